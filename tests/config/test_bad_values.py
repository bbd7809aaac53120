"""A table of what can be wrong in a configuration (data/bad-values.yaml), and single cases beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from heliograph.config import CheckedConfig, ConfigError, Problem, check
from heliograph.transports.options import WebSocketOptions, WebSocketPathOptions

TABLE: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parent / "data" / "bad-values.yaml").read_text(encoding="utf-8")
)

ENDPOINT = "workers 0 transports 0 endpoint"
PATHS = "workers 0 transports 0 paths"


def _websocket(checked: CheckedConfig) -> WebSocketOptions:
    assert checked.options is not None, checked.problems
    path = checked.options.workers[0].transports[0].paths["ws"]
    assert isinstance(path, WebSocketPathOptions)
    return path.options


def _named(row: dict[str, Any]) -> str:
    return str(row.get("says", row["at"]))


@pytest.mark.parametrize("row", TABLE["errors"], ids=_named)
def test_an_error_is_told_in_one_exact_line_and_keeps_the_node_from_starting(
    row: dict[str, Any], spoil: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    checked = check(spoil(**row), node_directory=tmp_path)

    assert [str(problem) for problem in checked.problems if problem.severity == "error"] == [row["says"]]
    assert checked.options is None


@pytest.mark.parametrize("row", TABLE["warnings"], ids=_named)
def test_a_warning_is_told_in_one_exact_line_and_lets_the_node_start(
    row: dict[str, Any], spoil: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    checked = check(spoil(**row), node_directory=tmp_path)

    assert [str(problem) for problem in checked.problems] == [row["says"]]
    assert checked.options is not None


@pytest.mark.parametrize("row", TABLE["harmless"], ids=_named)
def test_a_key_of_crossbar_io_that_asks_for_what_happens_anyway_is_not_mentioned(
    row: dict[str, Any],
    spoil: Callable[..., dict[str, Any]],
    problems_of: Callable[[object], list[Problem]],
) -> None:
    assert problems_of(spoil(**row)) == []


def test_the_correct_configuration_has_no_problems(
    correct: dict[str, Any], problems_of: Callable[[object], list[Problem]]
) -> None:
    assert problems_of(correct) == []


def test_every_problem_is_found_at_once(problems_of: Callable[[object], list[Problem]]) -> None:
    found = problems_of(
        {
            "version": 9,
            "workers": [
                {
                    "type": "router",
                    "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": 7}]}],
                    "transports": [
                        {
                            "type": "web",
                            "endpoint": {"type": "tcp", "port": 0.5},
                            "paths": {
                                "notify": {"type": "publisher", "realm": "nowhere", "role": "anonymous"},
                                "call": {"type": "caller", "realm": "realm1", "role": "nobody"},
                                "static": {"type": "static", "directory": "absent"},
                                "ws": {"type": "websocket", "option": {}},
                            },
                        }
                    ],
                }
            ],
        }
    )

    assert {problem.where for problem in found} == {
        "version",
        "workers[0].realms[0].roles[0].permissions",
        "workers[0].transports[0].endpoint.port",
        "workers[0].transports[0].paths.notify.realm",
        "workers[0].transports[0].paths.call.role",
        "workers[0].transports[0].paths.static.directory",
        "workers[0].transports[0].paths.ws.option",
    }


def test_a_secret_is_never_shown(
    spoil: Callable[..., dict[str, Any]], problems_of: Callable[[object], list[Problem]]
) -> None:
    for value in ("hunter2", 90210):
        found = problems_of(spoil(f"{PATHS} notify options secret", value))
        assert found
        assert not any(str(value) in str(problem) for problem in found)


def test_milliseconds_of_crossbar_io_become_seconds(
    spoil: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    options = {"auto_ping_interval": 1500, "auto_ping_timeout": 2000, "close_handshake_timeout": 2500}
    checked = check(spoil(f"{PATHS} ws options", options), node_directory=tmp_path)

    websocket = _websocket(checked)
    assert (websocket.ping_interval_s, websocket.ping_timeout_s, websocket.close_timeout_s) == (1.5, 2.0, 2.5)


@pytest.mark.parametrize("off", [0, None])
def test_a_ping_interval_of_zero_or_null_sends_no_pings(
    off: object, spoil: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    checked = check(spoil(f"{PATHS} ws options auto_ping_interval", off), node_directory=tmp_path)

    assert _websocket(checked).ping_interval_s is None


def test_a_value_given_in_both_spellings_is_an_error(
    spoil: Callable[..., dict[str, Any]], problems_of: Callable[[object], list[Problem]]
) -> None:
    found = problems_of(spoil(f"{PATHS} ws options", {"auto_ping_interval": 5000, "ping_interval_s": 5}))

    assert [(problem.where, problem.message) for problem in found] == [
        (
            "workers[0].transports[0].paths.ws.options.ping_interval_s",
            'says the same as "auto_ping_interval", which is there too: keep one of them',
        )
    ]


def test_a_missing_static_directory_is_named(
    spoil: Callable[..., dict[str, Any]], problems_of: Callable[[object], list[Problem]], tmp_path: Path
) -> None:
    found = problems_of(spoil(f"{PATHS} static", {"type": "static", "directory": "../absent"}))

    directory = tmp_path.parent / "absent"
    assert [(problem.where, problem.message) for problem in found] == [
        (
            "workers[0].transports[0].paths.static.directory",
            f'no such directory: "{directory}"; create it (Django: manage.py collectstatic)',
        )
    ]


def test_a_wsgi_module_that_is_nowhere_is_a_warning_and_one_on_the_pythonpath_is_none(
    spoil: Callable[..., dict[str, Any]], problems_of: Callable[[object], list[Problem]], tmp_path: Path
) -> None:
    value = spoil(f"{PATHS} app", {"type": "wsgi", "module": "shop_project.wsgi", "object": "application"})
    value["workers"][0]["options"] = {"pythonpath": ["code"]}
    assert [(problem.where, problem.severity) for problem in problems_of(value)] == [
        ("workers[0].transports[0].paths.app.module", "warning")
    ]

    package = tmp_path / "code" / "shop_project"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('nothing may import this')")
    (package / "wsgi.py").touch()
    assert problems_of(value) == []


def test_a_unix_socket_needs_a_directory_and_a_path_that_fits_an_address(
    spoil: Callable[..., dict[str, Any]], problems_of: Callable[[object], list[Problem]]
) -> None:
    assert problems_of(spoil(ENDPOINT, {"type": "unix", "path": "s"})) == []
    absent = problems_of(spoil(ENDPOINT, {"type": "unix", "path": "absent/s"}))
    assert [problem.where for problem in absent] == ["workers[0].transports[0].endpoint.path"]
    assert "there is no directory" in absent[0].message
    long = problems_of(spoil(ENDPOINT, {"type": "unix", "path": "s" * 200}))
    assert "choose a shorter one" in long[0].message


def test_a_value_that_is_no_json_raises_the_declared_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        check({"workers": [{1, 2}]}, node_directory=tmp_path)

    assert str(raised.value) == (
        "configuration cannot be used:\n  workers[0]: is a set, which JSON does not have: write it in quotes"
    )
