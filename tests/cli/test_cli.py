"""The router's command line, within this process."""

import argparse
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from heliograph import cli
from heliograph.config import NodeOptions

OPEN = {
    "version": 2,
    "workers": [
        {
            "type": "router",
            "realms": [
                {
                    "name": "realm1",
                    "roles": [{"name": "anonymous", "allow-by-default": True, "permissions": []}],
                }
            ],
            "transports": [
                {
                    "type": "web",
                    "endpoint": {"type": "tcp", "port": 0},
                    "paths": {"ws": {"type": "websocket"}},
                }
            ],
        }
    ],
}


@pytest.fixture
def node_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty node directory, which is where the command runs."""
    monkeypatch.chdir(tmp_path)
    for name in ("HELIOGRAPH_DIR", "CROSSBAR_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand in for the node; what it is started with is recorded."""
    calls: list[dict[str, Any]] = []

    def run(options: NodeOptions, *, node_directory: Path) -> int:
        calls.append({"options": options, "node_directory": node_directory})
        return 7

    stand_in = types.ModuleType("heliograph.node")
    stand_in.run = run  # type: ignore[attr-defined]  # a module made here
    monkeypatch.setitem(sys.modules, "heliograph.node", stand_in)
    return calls


@pytest.fixture(autouse=True)
def _logging_as_it_was(logging_as_it_was: None) -> None:
    """A command sets logging up for its whole process."""


def test_check_prints_each_problem_on_a_line_and_exits_with_1(
    node_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (node_directory / "config.json").write_text('{"workers": [{"type": "router", "realmz": []}], "x": 1}')

    assert cli.main(["check"]) == 1

    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        'version: warning: is missing, which means version 1; read as version 2: write "version": 2',
        'workers[0].realmz: unknown key; did you mean "realms"?',
        "x: unknown key; known here: $schema, controller, version, workers",
        "workers[0].realms: warning: there are none, so that no session can join this router",
        "workers[0].transports: warning: there are none, so that nobody can reach this router",
    ]
    assert printed.err == f"{node_directory / 'config.json'}: 2 errors, 3 warnings\n"


def test_check_exits_with_0_when_there_are_only_warnings(
    node_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (node_directory / "node").mkdir()
    (node_directory / "node" / "mine.json").write_text(json.dumps(OPEN))

    assert cli.main(["check", "--cbdir", "node", "--config", "mine.json"]) == 0

    printed = capsys.readouterr()
    assert "warning: OPEN TO ANYBODY" in printed.out
    assert printed.err.endswith("mine.json: 0 errors, 1 warning\n")


def test_check_of_a_broken_file_tells_line_and_column(
    node_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (node_directory / "config.json").write_text('{\n  "workers": [}\n}')

    assert cli.main(["check"]) == 1
    assert capsys.readouterr().out == "line 2, column 15: not JSON: Expecting value\n"


def test_check_without_a_configuration_says_where_it_looked(
    node_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check"]) == 1
    assert "write one with `heliograph init`" in capsys.readouterr().out


def test_init_then_check_has_nothing_to_say(node_directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "now: heliograph start"
    assert (node_directory / ".heliograph" / "config.yaml").is_file()

    assert cli.main(["check"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith("config.yaml: no problems\n")


def test_init_never_overwrites(node_directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init", "--cbdir", "node"]) == 0
    assert "now: heliograph start --cbdir node" in capsys.readouterr().out
    (node_directory / "node" / "config.yaml").write_text("mine")

    assert cli.main(["init", "--cbdir", "node"]) == 1
    assert "config.yaml is there already; nothing was written" in capsys.readouterr().err
    assert (node_directory / "node" / "config.yaml").read_text() == "mine"


def test_start_runs_the_node_with_the_options_and_passes_its_exit_code_on(
    node_directory: Path, started: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    (node_directory / "config.json").write_text(json.dumps(OPEN))

    assert cli.main(["start", "--listen", "127.0.0.1:0"]) == 7

    (call,) = started
    assert call["node_directory"] == node_directory
    assert call["options"].workers[0].transports[0].endpoint.interface == "127.0.0.1"
    assert capsys.readouterr().err == ""


def test_start_warns_loudly_of_an_open_role(
    node_directory: Path, started: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    (node_directory / "config.json").write_text(json.dumps(OPEN))

    assert cli.main(["start"]) == 7

    first, second, third = capsys.readouterr().err.splitlines()
    assert first == third == "!" * 72
    assert second.startswith("heliograph: workers[0].realms[0].roles[0]: warning: OPEN TO ANYBODY")
    assert started


def test_start_with_an_error_in_the_configuration_starts_nothing(
    node_directory: Path, started: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    (node_directory / "config.json").write_text('{"version": 2, "workers": []}')

    assert cli.main(["start"]) == 1

    assert started == []
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"heliograph start: {node_directory / 'config.json'} cannot be used:\n  workers: needs at least 1 item\n"
    )


def test_version_names_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0

    words = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert words[:4] == [
        "heliograph",
        sys.implementation.name.replace("cpython", "CPython"),
        "msgspec",
        "picows",
    ]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["start", "--listen", "nowhere"], "expected HOST:PORT"),
        (["start", "--loglevel", "loud"], "invalid choice"),
        (["chekc"], "invalid choice"),
        (["check", "extra"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_exits_with_2(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(argv)

    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_no_subcommand_shows_the_help_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "write a small working configuration" in capsys.readouterr().err


@pytest.fixture
def agent_room(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Stand in for a subcommand's room."""
    room = types.ModuleType("heliograph.agent.cli")
    monkeypatch.setitem(sys.modules, "heliograph.agent.cli", room)
    return room


def test_another_rooms_subcommand_gets_its_own_arguments_and_its_name(agent_room: Any) -> None:
    names: list[str] = []

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        names.append(parser.get_default("command"))
        parser.add_argument("--url")

    agent_room.add_arguments = add_arguments
    agent_room.run = lambda arguments: 3 if arguments.url == "ws://x" else 4

    assert cli.main(["agent", "--url", "ws://x"]) == 3
    assert names == ["agent"]


@pytest.mark.parametrize(
    ("module", "extra"), [("psutil", "agent"), ("uvloop._loop", "router"), ("django", "monitor")]
)
def test_a_missing_extra_is_one_line_that_says_what_to_install(
    module: str, extra: str, agent_room: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: object) -> int:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    agent_room.add_arguments = lambda parser: None
    agent_room.run = run

    assert cli.main(["agent"]) == 69
    assert capsys.readouterr().err == f'heliograph agent needs {module}: pip install "heliograph[{extra}]"\n'


def test_ctrl_c_ends_any_subcommand_without_a_traceback(agent_room: Any) -> None:
    def run(arguments: object) -> int:
        raise KeyboardInterrupt

    agent_room.add_arguments = lambda parser: None
    agent_room.run = run

    assert cli.main(["agent"]) == 130


def test_a_module_no_extra_brings_is_a_fault_and_not_hidden(agent_room: Any) -> None:
    def run(arguments: object) -> int:
        raise ModuleNotFoundError("No module named 'mine'", name="mine")

    agent_room.add_arguments = lambda parser: None
    agent_room.run = run

    with pytest.raises(ModuleNotFoundError):
        cli.main(["agent"])
