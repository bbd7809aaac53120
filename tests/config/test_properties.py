"""Whatever a file holds, the answer is options or the declared error, with paths that lead somewhere."""

import json
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.config import ConfigError, NodeOptions, check
from heliograph.config.parse import parse
from tests.config.conftest import CORRECT

NOWHERE = Path("/nonexistent-node-directory")

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["router", "web", "websocket", "publisher", "tcp", "exact", "*", "realm1", "anonymous", 10**400]
    )
)
known_keys = st.sampled_from(
    [
        *(
            "version",
            "controller",
            "workers",
            "type",
            "realms",
            "roles",
            "permissions",
            "transports",
            "endpoint",
        ),
        *(
            "paths",
            "options",
            "name",
            "id",
            "uri",
            "match",
            "allow",
            "publish",
            "port",
            "serializers",
            "directory",
        ),
        *("max_message_size", "interface", "path", "module", "object", "realm", "role"),
        *(
            "store",
            "event-history",
            "call-queue",
            "limit",
            "authorizer",
            "disclose",
            "auth",
            "anonymous_role",
            "ticket",
            "wampcra",
            "tls",
            "cookie",
            "principals",
            "users",
            "secret",
            "file",
            "config",
        ),
    ]
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(known_keys | st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=30,
)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


def _require_errors(failure: ConfigError) -> None:
    assert failure.errors, "an error that names nothing"
    assert str(failure)


@given(values)
@settings(deadline=None)
def test_any_value_at_all_is_checked_without_any_other_exception(value: object) -> None:
    try:
        checked = check(value, node_directory=NOWHERE)
    except ConfigError as failure:
        _require_errors(failure)
    else:
        has_errors = any(problem.severity == "error" for problem in checked.problems)
        assert has_errors == (checked.options is None)


@given(st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_one_wrong_value_anywhere_in_a_correct_configuration_is_answered(data: st.DataObject) -> None:
    node = json.loads(json.dumps(CORRECT))
    place = data.draw(st.sampled_from([place for place in _places(node) if place]))
    inner: Any = node
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = data.draw(values)

    try:
        checked = check(node, node_directory=NOWHERE)
    except ConfigError as failure:
        _require_errors(failure)
    else:
        assert checked.options is None or isinstance(checked.options, NodeOptions)
        for problem in checked.problems:
            assert problem.message
            assert "\n" not in str(problem)
        if not checked.problems:
            # The walk and msgspec read the same types: neither is the laxer one.
            assert msgspec.convert(node, NodeOptions) == checked.options


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.sampled_from([".json", ".yaml"]))
@settings(deadline=None)
def test_any_bytes_are_parsed_or_refused(data: bytes, suffix: str) -> None:
    try:
        value = parse(data, suffix=suffix, source="config")
    except ConfigError as failure:
        _require_errors(failure)
    else:
        json.dumps(value, allow_nan=False).encode()


@given(
    st.sampled_from(["auto_ping_interval", "auto_ping_timeout", "close_handshake_timeout", "debug"]), scalars
)
@settings(deadline=None)
def test_any_value_of_a_key_of_crossbar_io_is_answered(key: str, value: object) -> None:
    node = json.loads(json.dumps(CORRECT))
    node["workers"][0]["transports"][0]["paths"]["ws"]["options"] = {key: value}

    for problem in check(node, node_directory=NOWHERE).problems:
        assert problem.where == f"workers[0].transports[0].paths.ws.options.{key}"
