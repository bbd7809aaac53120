"""The command line as a person runs it: exit codes, the ready line, what is imported."""

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

RUN = [sys.executable, "-m", "heliograph"]
TIMEOUT_S = 30.0


def _run(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, *arguments], cwd=directory, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def test_exit_codes_tell_good_from_bad_from_misused(tmp_path: Path) -> None:
    assert _run("init", directory=tmp_path).returncode == 0
    assert _run("check", directory=tmp_path).returncode == 0
    (tmp_path / ".heliograph" / "config.yaml").write_text("workers: 1\n")
    bad = _run("check", directory=tmp_path)
    assert (bad.returncode, bad.stdout.splitlines()[-1]) == (
        1,
        "workers: expected a list, got a number: put it in [ ]",
    )
    assert _run("start", directory=tmp_path).returncode == 1
    assert _run("start", "--listen", "x", directory=tmp_path).returncode == 2


def test_what_init_wrote_starts_serves_its_page_takes_an_event_and_stops_on_sigterm(tmp_path: Path) -> None:
    _run("init", directory=tmp_path)
    with (tmp_path / "log").open("w+") as log:
        node = subprocess.Popen(
            [*RUN, "start", "--listen", "127.0.0.1:0"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert node.stdout is not None
        try:
            ready = node.stdout.readline()  # ends with the process at the latest
            log.seek(0)
            match = re.fullmatch(r"Heliograph ready: (http://127\.0\.0\.1:\d+/)\n", ready)
            assert match is not None, f"{ready!r}\n{log.read()}"

            with urllib.request.urlopen(match[1], timeout=TIMEOUT_S) as page:
                assert b"<h1>Heliograph</h1>" in page.read()
            event = urllib.request.Request(
                f"{match[1]}notify",
                data=b'{"topic": "hello", "args": ["world"]}',
                headers={"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(event, timeout=TIMEOUT_S) as answer:
                assert re.fullmatch(rb'\{"id": ?\d+\}', answer.read())

            node.send_signal(signal.SIGTERM)
            code = node.wait(TIMEOUT_S)
            log.seek(0)
            assert code == 0, log.read()
        finally:
            if node.poll() is None:
                node.kill()
                node.wait(TIMEOUT_S)
            node.stdout.close()


def _imported_by(*arguments: str, directory: Path) -> set[str]:
    code = (
        "import sys\nfrom heliograph.cli import main\n"
        f"try: main({list(arguments)!r})\nexcept SystemExit: pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return set(done.stderr.splitlines()[-1].split())


def test_the_help_imports_no_room_and_no_library(tmp_path: Path) -> None:
    imported = _imported_by("--help", directory=tmp_path)

    assert {name for name in imported if name.startswith("heliograph")} == {"heliograph", "heliograph.cli"}
    assert not imported & {"msgspec", "picows", "uvloop", "asyncio", "django", "yaml", "logging.handlers"}


def test_check_starts_no_server_and_imports_none(tmp_path: Path) -> None:
    imported = _imported_by("check", directory=tmp_path)

    assert "heliograph.config" in imported
    assert not imported & {"uvloop", "uvicorn", "picows", "starlette", "django", "heliograph.node"}


def test_the_help_loads_no_room_and_no_library(tmp_path: Path) -> None:
    # What makes a command slow to answer is what it imports; a time would measure the machine.
    listing = subprocess.run(
        [sys.executable, "-X", "importtime", *RUN[1:], "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    ).stderr
    imported = {line.rpartition("|")[2].strip() for line in listing.splitlines()}
    assert "heliograph.cli" in imported
    assert {name.partition(".")[0] for name in imported}.isdisjoint(
        {
            "asyncio",
            "cbor2",
            "django",
            "httptools",
            "msgspec",
            "picows",
            "psutil",
            "ssl",
            "uvicorn",
            "uvloop",
            "yaml",
        }
    )
    assert {name for name in imported if name.startswith("heliograph.")} <= {
        "heliograph.cli",
        "heliograph.__main__",
    }
