"""Autobahn|Testsuite, the field's WebSocket conformance suite, in an environment of its own.

It runs on Python 2.7 only. The environment is made at its first use in a directory that git ignores.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv-conformance"
PYTHON_2 = ENVIRONMENT / "python2"
STAMP = ENVIRONMENT / "installed.txt"

MAKER = "virtualenv<20.22"
"""The last that makes environments of Python 2.7."""

PACKAGES = ("setuptools==44.0.0", "incremental==16.10.1", "autobahntestsuite==25.10.1")
"""Installed one after the other: the suite's own dependencies are built with those before it."""

STEP_TIMEOUT_S = 240


class Unavailable(Exception):  # noqa: N818 - a reason to skip
    """The suite cannot be had here; the text says why."""


class Result(NamedTuple):
    """What the suite says of one case: of the messages, and of the closing handshake."""

    behaviour: str
    closing: str


def ensure_environment() -> Path:
    """Return the program `wstest`; make its environment first if need be.

    Raises:
        Unavailable: there is no Python 2.7, or the environment cannot be made.
    """
    python = find_python()
    ENVIRONMENT.mkdir(exist_ok=True)
    with (ENVIRONMENT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = "\n".join([str(python), str(ENVIRONMENT), MAKER, *PACKAGES])
        if not STAMP.is_file() or STAMP.read_text() != wanted:
            _make(python)
            STAMP.write_text(wanted)
    return PYTHON_2 / "bin" / "wstest"


def find_python() -> Path:
    """Return a Python 2.7 that starts.

    Raises:
        Unavailable: there is none.
    """
    tried = []
    for candidate in _candidates():
        tried.append(str(candidate))
        asked = subprocess.run(
            [str(candidate), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
            timeout=STEP_TIMEOUT_S,
        )
        if asked.returncode == 0 and asked.stdout.strip() == "2.7":
            return candidate
    found = f"; {', '.join(tried)} does not start" if tried else ""
    raise Unavailable(f"Autobahn|Testsuite needs Python 2.7: there is no python2.7 on PATH{found}")


def _candidates() -> Iterator[Path]:
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        program = Path(directory) / "python2.7"
        if os.access(program, os.X_OK):
            yield program
            # A version manager's shim starts only where its version is chosen; the versions lie beside the shims.
            yield from sorted(program.parent.parent.glob("versions/*/bin/python2.7"))


def _make(python: Path) -> None:
    maker = ENVIRONMENT / "maker"
    for old in (maker, PYTHON_2):
        shutil.rmtree(old, ignore_errors=True)
    STAMP.unlink(missing_ok=True)
    _run(sys.executable, "-m", "venv", str(maker))
    _run(str(maker / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", MAKER)
    _run(str(maker / "bin" / "virtualenv"), "--quiet", "--python", str(python), str(PYTHON_2))
    for package in PACKAGES:
        _run(str(PYTHON_2 / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", package)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=STEP_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as slow:
        raise Unavailable(f"`{' '.join(command)}` took more than {STEP_TIMEOUT_S} s") from slow
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
        raise Unavailable(
            f"the environment of Autobahn|Testsuite cannot be made: `{' '.join(command)}`:\n{said}"
        )


def run(wstest: Path, url: str, cases: list[str], directory: Path, *, timeout_s: float) -> dict[str, Result]:
    """Let the suite talk to a server and return what it says, by the name of the case.

    Args:
        wstest: the program.
        url: of the server.
        cases: names with wildcards, such as `1.*`.
        directory: where its specification and reports go.
        timeout_s: seconds it may take.
    """
    specification = directory / "specification.json"
    reports = directory / "reports"
    specification.write_text(
        json.dumps({"outdir": str(reports), "servers": [{"agent": "echo", "url": url}], "cases": cases})
    )
    done = subprocess.run(
        [str(wstest), "--mode", "fuzzingclient", "--spec", str(specification)],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, dict[str, Any]] = json.loads((reports / "index.json").read_text())["echo"]
    return {name: Result(case["behavior"], case["behaviorClose"]) for name, case in report.items()}
