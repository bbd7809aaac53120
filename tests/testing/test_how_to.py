"""What the how-to of testing shows is run here as it stands there."""

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

HOW_TO = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "testing.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)
SETTINGS = re.findall(r"^```ini\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)

# pytest-asyncio wants this setting in every project that has it installed.
STRICT = ("-W", "error", "-o", "asyncio_default_fixture_loop_scope=function")

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def without_our_django(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this run's settings out of the runs inside it."""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)


def test_the_programs_are_those_that_are_run_below() -> None:
    assert [kind(program) for program in PROGRAMS] == ["pytest", "pytest", "pytest", "unittest", "script"]
    assert len(SETTINGS) == 1


def kind(program: str) -> str:
    if "def test_" not in program:
        return "script"
    return "unittest" if "unittest" in program else "pytest"


def test_the_tests_pass_with_a_router_each(pytester: pytest.Pytester) -> None:
    tests = [program for program in PROGRAMS if kind(program) == "pytest"]
    pytester.makepyfile(**{f"test_shown_{number}": program for number, program in enumerate(tests)})

    pytester.runpytest_subprocess(*STRICT, timeout=120).assert_outcomes(passed=3)


def test_the_first_passes_with_a_shared_router(pytester: pytest.Pytester) -> None:
    pytester.makefile(".ini", pytest=SETTINGS[0])
    shared = "\n\ndef test_it_is_shared(heliograph_router):\n    assert heliograph_router.realm == 'realm1'\n"
    pytester.makepyfile(test_shown=PROGRAMS[0] + shared)

    result = pytester.runpytest_subprocess(*STRICT, "--setup-show", timeout=120)

    result.assert_outcomes(passed=2)
    assert result.stdout.str().count("SETUP    S heliograph_router") == 1


def test_the_unittest_passes(tmp_path: Path) -> None:
    (program,) = (program for program in PROGRAMS if kind(program) == "unittest")
    done = run(tmp_path, program)

    assert done.returncode == 0, done.stderr
    assert "OK" in done.stderr


def test_the_script_joins(tmp_path: Path) -> None:
    (program,) = (program for program in PROGRAMS if kind(program) == "script")
    done = run(tmp_path, program)

    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_the_echo_server_says_where_it_listens() -> None:
    ((command, answer),) = re.findall(r"^```console\n\$ (.*)\n(.*)\n```$", HOW_TO, re.MULTILINE)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    words = [sys.executable, *shlex.split(command.replace("9001", port))[1:]]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == f"{answer.replace('9001', port)}\n"
        server.terminate()
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.communicate()


def run(directory: Path, program: str) -> "subprocess.CompletedProcess[str]":
    file = directory / "program.py"
    file.write_text(program)
    return subprocess.run(
        [sys.executable, "-W", "error", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
