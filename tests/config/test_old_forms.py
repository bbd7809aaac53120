"""Old forms are read as today's, and each is named with its new form."""

from pathlib import Path
from typing import Any

import pytest

from heliograph.config import check
from heliograph.config.upgrade import upgrade
from heliograph.routing.options import AllowedActions, Match, PermissionRule


def _with_rule(rule: dict[str, Any], correct: dict[str, Any]) -> dict[str, Any]:
    correct["workers"][0]["realms"][0]["roles"][0]["permissions"] = [rule]
    return correct


@pytest.mark.parametrize(
    ("uri", "match", "bare"),
    [
        ("*", "prefix", ""),
        ("com.foo.*", "prefix", "com.foo."),
        ("com.foo*", "prefix", "com.foo"),
        ("com.*.bar", "wildcard", "com..bar"),
        ("*.bar", "wildcard", ".bar"),
        ("com.*.*", "wildcard", "com.."),
        ("com.foo", "exact", "com.foo"),
    ],
)
def test_stars_in_a_uri_without_match_become_an_explicit_match(
    uri: str, match: Match, bare: str, correct: dict[str, Any], tmp_path: Path
) -> None:
    checked = check(_with_rule({"uri": uri}, correct), node_directory=tmp_path)

    assert checked.options is not None
    assert checked.options.workers[0].realms[0].roles[0].permissions == [
        PermissionRule(uri=bare, match=match)
    ]
    new_form = [f'"{uri}" is an old form: write "uri": "{bare}", "match": "{match}"'] if "*" in uri else []
    assert [problem.message for problem in checked.problems] == new_form


def test_a_star_beside_match_is_an_ordinary_character(correct: dict[str, Any], tmp_path: Path) -> None:
    checked = check(_with_rule({"uri": "com.*", "match": "exact"}, correct), node_directory=tmp_path)

    assert checked.problems == ()
    assert checked.options is not None
    assert checked.options.workers[0].realms[0].roles[0].permissions[0].uri == "com.*"


def test_flat_permissions_of_version_1_move_into_allow(correct: dict[str, Any], tmp_path: Path) -> None:
    rule = {"uri": "com.a", "publish": True, "call": False}
    checked = check(_with_rule(rule, correct), node_directory=tmp_path)

    assert [str(problem) for problem in checked.problems] == [
        "workers[0].realms[0].roles[0].permissions[0]: warning: an old form: actions belong into "
        '"allow": {"call": false, "publish": true}'
    ]
    assert checked.options is not None
    assert checked.options.workers[0].realms[0].roles[0].permissions[0].allow == AllowedActions(publish=True)


def test_flat_permissions_never_override_what_allow_says(correct: dict[str, Any], tmp_path: Path) -> None:
    rule = {"uri": "com.a", "publish": True, "allow": {"publish": False}}
    checked = check(_with_rule(rule, correct), node_directory=tmp_path)

    assert checked.options is not None
    assert checked.options.workers[0].realms[0].roles[0].permissions[0].allow == AllowedActions()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, 'is missing, which means version 1; read as version 2: write "version": 2'),
        ({"version": 1}, 'is 1; read as version 2: write "version": 2'),
    ],
)
def test_version_1_is_read_as_version_2(value: dict[str, Any], message: str) -> None:
    upgraded, warnings = upgrade(value, {})

    assert upgraded == {"version": 2}
    assert [problem.message for problem in warnings] == [message]


def test_what_is_rewritten_is_a_copy(correct: dict[str, Any]) -> None:
    value = _with_rule({"uri": "*"}, correct)
    del value["version"]

    upgrade(value, {})

    assert "version" not in value
    assert value["workers"][0]["realms"][0]["roles"][0]["permissions"] == [{"uri": "*"}]


@pytest.mark.parametrize(
    ("environment", "port", "message"),
    [
        ({"PORT": "9000"}, 9000, None),
        ({"PORT": "65536"}, 65536, None),  # refused later, like the number itself
        ({"PORT": "http"}, 0, 'the environment variable PORT is "http": set it to a port from 0 to 65535'),
        ({}, 0, "the environment variable PORT is not set: set it to a port from 0 to 65535"),
    ],
)
def test_a_port_may_come_from_the_environment(
    environment: dict[str, str], port: int, message: str | None, correct: dict[str, Any]
) -> None:
    correct["workers"][0]["transports"][0]["endpoint"]["port"] = "$PORT"

    upgraded: Any
    upgraded, problems = upgrade(correct, environment)

    assert upgraded["workers"][0]["transports"][0]["endpoint"]["port"] == port
    assert [(problem.severity, problem.message) for problem in problems] == [("error", message)][
        : message is not None
    ]
