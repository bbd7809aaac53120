"""Authorizers, stores and sessions: what is read, and what deserves a word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.config import NodeOptions, Problem, check
from heliograph.routing.options import (
    CallQueueOptions,
    Disclosure,
    EventHistoryOptions,
    RealmBehaviour,
    SessionOptions,
)
from heliograph.transports.options import WebSocketPathOptions

AUTHORIZER = "com.example.authorize"
ROLES = "workers 0 realms 0 roles"


def _options(value: object, directory: Path) -> NodeOptions:
    checked = check(value, node_directory=directory)
    assert checked.options is not None, checked.problems
    return checked.options


def _websocket(options: NodeOptions) -> WebSocketPathOptions:
    path = options.workers[0].transports[0].paths["ws"]
    assert isinstance(path, WebSocketPathOptions)
    return path


def _role(name: str, *uris: str, **more: Any) -> dict[str, Any]:
    permissions = [{"uri": uri, "allow": {"register": True}} for uri in uris]
    return {"name": name, "permissions": permissions, **more}


def test_what_counts_for_sessions_stands_beside_the_other_options_of_a_path(
    spoil: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    value = spoil(
        "workers 0 transports 0 paths ws",
        {"type": "websocket", "anonymous_role": "anonymous", "strict_ids": True, "goodbye_timeout_s": 1},
    )

    read = _websocket(_options(value, tmp_path))

    assert isinstance(read, SessionOptions)
    assert (read.anonymous_role, read.strict_ids, read.goodbye_timeout_s) == ("anonymous", True, 1.0)


def test_request_ids_are_not_counted_unless_asked_for(correct: dict[str, Any], tmp_path: Path) -> None:
    assert not _websocket(_options(correct, tmp_path)).strict_ids


def test_options_and_store_of_a_realm_are_read_in_crossbars_spelling(
    spoil: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    value = spoil("workers 0 realms 0 options", {"uri_check": "strict", "call_timeout_unit": "s"})
    value["workers"][0]["realms"][0]["store"] = {
        "type": "memory",
        "event-history": [{"uri": "com.a", "limit": 5}, {"uri": "com.", "match": "prefix"}],
        "call-queue": [{"uri": "com..b", "match": "wildcard", "limit": 7}],
    }

    realm = _options(value, tmp_path).workers[0].realms[0]

    assert realm.options == RealmBehaviour(uri_check="strict", call_timeout_unit="s")
    assert realm.store.event_history == [
        EventHistoryOptions(uri="com.a", limit=5),
        EventHistoryOptions(uri="com.", match="prefix"),
    ]
    assert realm.store.call_queue == [CallQueueOptions(uri="com..b", match="wildcard", limit=7)]


def test_the_limit_of_a_whole_store_goes_to_the_items_that_have_none(
    spoil: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    store = {
        "limit": 12,
        "event-history": [{"uri": "com.a"}, {"uri": "com.b", "limit": 3}],
        "call-queue": [{"uri": "com.c"}],
    }

    read = _options(spoil("workers 0 realms 0 store", store), tmp_path).workers[0].realms[0].store

    assert [kept.limit for kept in read.event_history] == [12, 3]
    assert [kept.limit for kept in read.call_queue] == [12]


def test_disclosure_is_read(spoil: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    value = spoil(f"{ROLES} 0 permissions 0 disclose", {"caller": True})

    role = _options(value, tmp_path).workers[0].realms[0].roles[0]

    assert role.permissions[0].disclose == Disclosure(caller=True)


@pytest.mark.parametrize(
    "implementer",
    [
        _role("backend", AUTHORIZER),
        _role("backend", "com.example.", authorizer="com.example.other"),
        {"name": "backend", "allow-by-default": True},
        {
            "name": "authorize",
            "permissions": [{"uri": "com.example.{authrole}", "allow": {"register": True}}],
        },
    ],
    ids=["by a rule", "by another authorizer", "by default", "by a rule with a template"],
)
def test_an_authorizer_that_another_role_may_implement_needs_no_word(
    implementer: dict[str, Any],
    spoil: Callable[..., dict[str, Any]],
    problems_of: Callable[[object], list[Problem]],
) -> None:
    value = spoil(f"{ROLES} 0 authorizer", AUTHORIZER)
    value["workers"][0]["realms"][0]["roles"].append(implementer)

    assert [problem for problem in problems_of(value) if "register" in problem.message] == []


@pytest.mark.parametrize(
    "implementer",
    [
        _role("backend"),
        _role("backend", "com.example"),
        {"name": "backend", "permissions": [{"uri": AUTHORIZER, "allow": {"call": True}}]},
        {"name": "backend", "permissions": [{"uri": "com.example.{authid}", "allow": {"register": True}}]},
    ],
    ids=["no rule", "a rule for another URI", "a rule for calling", "a rule with somebody's authid"],
)
def test_an_authorizer_that_no_role_may_implement_is_told_with_the_rule_that_is_missing(
    implementer: dict[str, Any],
    spoil: Callable[..., dict[str, Any]],
    problems_of: Callable[[object], list[Problem]],
) -> None:
    value = spoil(f"{ROLES} 0 authorizer", AUTHORIZER)
    value["workers"][0]["realms"][0]["roles"].append(implementer)

    (found,) = problems_of(value)

    assert found.where == "workers[0].realms[0].roles[0].authorizer"
    assert f'{{"uri": "{AUTHORIZER}", "allow": {{"register": true}}}}' in found.message


def test_an_authorizer_anybody_may_implement_is_loud(
    spoil: Callable[..., dict[str, Any]], problems_of: Callable[[object], list[Problem]]
) -> None:
    value = spoil(f"{ROLES} 0", _role("anonymous", AUTHORIZER))
    value["workers"][0]["realms"][0]["roles"].append(_role("member", AUTHORIZER, authorizer=AUTHORIZER))

    (found,) = problems_of(value)

    assert found.loud
    assert found.where == "workers[0].realms[0].roles[1].authorizer"


def test_a_role_that_an_authorizer_decides_for_is_not_called_open(
    spoil: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    value = spoil(f"{ROLES} 0 authorizer", AUTHORIZER)
    value["workers"][0]["realms"][0]["roles"].append(_role("backend", AUTHORIZER))

    assert [
        problem.where
        for problem in check(value, node_directory=tmp_path, listen=("", 8080)).problems
        if problem.loud
    ] == []


def test_an_open_role_is_called_open_under_whatever_name_anybody_gets_it(
    spoil: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    value = spoil("workers 0 transports 0 paths ws anonymous_role", "guest")
    del value["workers"][0]["transports"][0]["paths"]["notify"]
    value["workers"][0]["realms"][0]["roles"].append(_role("guest", "com.a"))

    assert [
        problem.where
        for problem in check(value, node_directory=tmp_path, listen=("", 8080)).problems
        if problem.loud
    ] == ["workers[0].realms[0].roles[1]"]
