"""A module that lies in the directory where a program is started takes no other module's place."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import FrozenImporter
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.support.nodes import OPEN_REALM, node_config, web_transport
from tests.support.programs import environment, running

TIMEOUT_S = 60.0
CONSOLE_SCRIPT = f"{Path(sys.executable).with_name('heliograph')}"
LIBRARIES = (
    *(
        "aiohttp",
        "asgiref",
        "cbor2",
        "django",
        "gunicorn",
        "httptools",
        "msgspec",
        "nacl",
        "picows",
        "psutil",
    ),
    *("sqlparse", "starlette", "uvicorn", "uvloop", "yaml", "multidict", "yarl", "h11", "anyio", "orjson"),
)
APPLICATION = """
import colorsys, decimal, json, sqlite3, django
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"the application"]
"""
DECIDING = """
import colorsys, decimal, json
def create(config, controller):
    return lambda realm, authid, details: "anonymous"
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Path]:
    """A directory with a module for every name that Python or a library of ours has, which leaves its name behind."""
    directory, found = tmp_path / "hostile", tmp_path / "found.txt"
    directory.mkdir()
    names = {name for name in sys.stdlib_module_names if name not in sys.builtin_module_names}
    for name in (*names, *LIBRARIES):
        if FrozenImporter.find_spec(name) is None:
            (directory / f"{name}.py").write_text(f"open({str(found)!r}, 'a').write({name!r} + '\\n')\n")
    yield directory
    assert not found.exists(), f"imported from the current directory: {found.read_text().split()}"


@pytest.fixture(scope="module")
def imported_by_python_itself(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What `python -m` imports, from the current directory first, before any module of ours runs."""
    directory = tmp_path_factory.mktemp("trivial")
    (directory / "trivial").mkdir()
    (directory / "trivial" / "__main__.py").write_text("import sys; print(*sys.modules)")
    command = [sys.executable, "-m", "trivial"]
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, check=True, timeout=TIMEOUT_S
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def _without(hostile: Path, names: set[str]) -> None:
    for name in names:
        (hostile / f"{name}.py").unlink(missing_ok=True)


def _node_directory(hostile: Path) -> None:
    (hostile / "own_application.py").write_text(APPLICATION)
    (hostile / "own_deciding.py").write_text(DECIDING)
    paths = {
        "/": {"type": "wsgi", "module": "own_application", "object": "application"},
        "ws": {
            "type": "websocket",
            "auth": {"ticket": {"type": "function", "create": "own_deciding.create"}},
        },
    }
    config: dict[str, Any] = node_config(web_transport(paths), realm=OPEN_REALM)
    (hostile / "config.json").write_text(json.dumps(config))


@contextlib.contextmanager
def _running(command: str, directory: Path, ready: str) -> Iterator[str]:
    with running(command, directory, ready=ready, variables={}, timeout_s=TIMEOUT_S) as program:
        yield program.line


def _page(url: str) -> bytes:
    with urlopen(url, timeout=TIMEOUT_S) as response:
        return bytes(response.read())


@pytest.mark.parametrize(
    "program", [CONSOLE_SCRIPT, f"{sys.executable} -m heliograph", f"{sys.executable} -P -m heliograph"]
)
def test_a_router_and_its_application_and_authenticator(
    program: str, hostile: Path, imported_by_python_itself: set[str]
) -> None:
    _node_directory(hostile)
    for module in hostile.glob("*.py"):
        # An application's modules are here, by the current directory's last place: what is nowhere else is its own.
        if not module.stem.startswith("own_") and find_spec(module.stem) is None:
            module.unlink()
    if program.endswith(f"{sys.executable} -m heliograph"):
        _without(hostile, imported_by_python_itself)
    else:
        # With -m alone, Python itself takes this name from the current directory.
        (hostile / "heliograph.py").write_text("raise RuntimeError('hijacked')")
    with _running(f"{program} start --cbdir .", hostile, "Heliograph ready: ") as line:
        assert _page(line.split()[-1]) == b"the application"


@pytest.mark.parametrize("program", [CONSOLE_SCRIPT, f"{sys.executable} -m heliograph"])
def test_a_monitor_with_its_site_and_its_agent(
    program: str, hostile: Path, tmp_path: Path, imported_by_python_itself: set[str]
) -> None:
    if " -m " in program:
        _without(hostile, imported_by_python_itself)
    data = tmp_path / "data"
    with _running(f"{program} monitor run --port 0 --data {data}", hostile, "Heliograph monitor ") as line:
        assert b"<html" in _page(line.split()[-1]).lower()


@pytest.mark.parametrize(
    "command",
    [
        f"{CONSOLE_SCRIPT} check --cbdir .",
        f"{sys.executable} -m heliograph check --cbdir .",
        f"{sys.executable} -m heliograph version",
        f"{sys.executable} -m heliograph agent --help",
        f"{sys.executable} -m heliograph.agent --help",
    ],
)
def test_a_command(command: str, hostile: Path, imported_by_python_itself: set[str]) -> None:
    if " -m " in command:
        _without(hostile, imported_by_python_itself)
    _node_directory(hostile)
    subprocess.run(command.split(), cwd=hostile, env=environment(), check=True, timeout=TIMEOUT_S)


def test_the_router_of_somebodys_tests(hostile: Path) -> None:
    program = """
from heliograph.testing import router
with router() as running:
    running.publish("com.example.t")
"""
    command = [sys.executable, "-P", "-c", program]
    subprocess.run(command, cwd=hostile, env=environment(), check=True, timeout=TIMEOUT_S)
