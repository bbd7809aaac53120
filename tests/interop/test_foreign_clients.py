"""WAMP clients that others wrote, in all of the wire formats, together in one realm."""

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import (
    BROWSER,
    ERROR_KWARGS,
    FORBIDDEN,
    KINDS,
    NAMES,
    PUBLICATION_IDS,
    SEND_PROGRESS,
    TAKE_PROGRESS,
    TOPIC,
    UNREGISTER_WILDCARD,
    UNSUBSCRIBE_PATTERN,
    Kind,
    start,
    why_not,
)
from tests.interop.foreign import REFUSAL, Client, Refused
from tests.support.nodes import RouterProcess, router_process

Clients = dict[str, Client]

LARGEST_SAFE_INTEGER = 2**53 - 1
ARGS = [
    "naïve 😀\n\u2028",
    0,
    -1,
    LARGEST_SAFE_INTEGER,
    0.5,
    -1e-300,
    True,
    False,
    None,
    [],
    {},
    [[{"deep": [1, [2, [3]]]}]],
]
KWARGS = {"text": "“quoted”", "number": 7, "nothing": None, "nested": {"a": [1, {"b": "ß"}]}}


def post(router: RouterProcess, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Use the bridge."""
    host, port = router.address
    request = urllib.request.Request(
        f"http://{host}:{port}/{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def refusal(client: Client, action: str, uri: str, **details: Any) -> str:
    """Return the error URI that the client is answered with."""
    with pytest.raises(Refused) as refused:
        client.do(action, uri, **details)
    return str(refused.value.error["uri"])


@pytest.mark.parametrize("name", NAMES)
def test_each_client_gets_the_wire_format_it_asks_for(clients: Clients, name: str) -> None:
    expected = {
        BROWSER: {"wamp.2.json"},
        # It offers all that Autobahn has, in an order of its own.
        "autobahn_twisted-any": {
            f"wamp.2.{serializer}{form}"
            for serializer in ("json", "msgpack", "cbor")
            for form in ("", ".batched")
        },
    }.get(name, {f"wamp.2.{name.rpartition('-')[2]}"})

    assert clients[name].protocol in expected


@pytest.mark.parametrize("name", NAMES)
def test_what_one_publishes_all_others_receive(clients: Clients, router: RouterProcess, name: str) -> None:
    publication = clients[name].do("publish", TOPIC, args=[name, *ARGS], kwargs=KWARGS)

    if not why_not(name, PUBLICATION_IDS):
        assert 1 <= publication <= 2**53
    received = {
        other: client.next_event() for other, client in clients.items() if client is not clients[name]
    }
    expected = {"topic": TOPIC, "args": [name, *ARGS], "kwargs": KWARGS}
    assert received == dict.fromkeys(received, expected)

    # A publisher does not hear its own event: the next it gets is the bridge's, as do all.
    post(router, "notify", {"topic": TOPIC, "args": ["bridge", name], "kwargs": KWARGS})
    expected = {"topic": TOPIC, "args": ["bridge", name], "kwargs": KWARGS}
    assert {other: client.next_event() for other, client in clients.items()} == dict.fromkeys(
        clients, expected
    )


@pytest.mark.parametrize("name", NAMES)
def test_each_calls_the_procedures_of_all(clients: Clients, name: str) -> None:
    caller = clients[name]
    expected = {"args": ARGS, "kwargs": KWARGS}

    results = {
        other: caller.do("call", f"{callee.prefix}.echo", args=ARGS, kwargs=KWARGS)
        for other, callee in clients.items()
    }
    assert results == dict.fromkeys(clients, expected)

    short = {
        other: caller.do("call", f"{callee.prefix}.echo", args=["one"], kwargs={})
        for other, callee in clients.items()
    }
    expected = {"args": ["one"], "kwargs": {}}
    assert short == dict.fromkeys(clients, expected)


@pytest.mark.parametrize("name", NAMES)
def test_each_hears_the_errors_of_all(clients: Clients, name: str) -> None:
    for callee in clients.values():
        with pytest.raises(Refused) as refused:
            clients[name].do("call", f"{callee.prefix}.refuse", args=[], kwargs={})
        left_out = {"kwargs": {}} if why_not(callee.name, ERROR_KWARGS) else {}
        assert refused.value.error == {**REFUSAL, **left_out}, callee.name


@pytest.mark.parametrize("name", NAMES)
def test_the_bridge_calls_each(clients: Clients, router: RouterProcess, name: str) -> None:
    prefix = clients[name].prefix

    result = post(router, "call", {"procedure": f"{prefix}.echo", "args": ARGS, "kwargs": KWARGS})
    error = post(router, "call", {"procedure": f"{prefix}.refuse"})

    assert (result["args"], result["kwargs"]) == (ARGS, KWARGS)
    kwargs = {} if why_not(name, ERROR_KWARGS) else REFUSAL["kwargs"]
    assert (error["error"], error["args"], error["kwargs"]) == (REFUSAL["uri"], REFUSAL["args"], kwargs)


@pytest.mark.parametrize("name", NAMES)
def test_each_hears_why_the_router_refuses(clients: Clients, name: str) -> None:
    client = clients[name]
    payload: dict[str, Any] = {"args": [], "kwargs": {}}
    taken = next(other for other in clients.values() if other is not client).prefix + ".echo"

    assert refusal(client, "call", "com.example.nobody", **payload) == "wamp.error.no_such_procedure"
    assert refusal(client, "register", taken, procedure="echo") == "wamp.error.procedure_already_exists"
    for action, details in {
        "publish": payload,
        "subscribe": {},
        "call": payload,
        "register": {"procedure": "echo"},
    }.items():
        assert refusal(client, action, f"{FORBIDDEN}x", **details) == "wamp.error.not_authorized", action


@pytest.mark.parametrize("name", NAMES)
def test_each_takes_back_what_it_subscribed_and_registered(
    clients: Clients, router: RouterProcess, name: str
) -> None:
    client = clients[name]
    topic, procedure = f"{client.prefix}.passing", f"{client.prefix}.passing.echo"

    client.do("subscribe", topic)
    client.do("register", procedure, procedure="echo")
    post(router, "notify", {"topic": topic, "args": [1]})
    assert client.next_event() == {"topic": topic, "args": [1], "kwargs": {}}
    assert post(router, "call", {"procedure": procedure, "args": [2]})["args"] == [2]

    client.do("undo", topic)
    client.do("undo", procedure)
    post(router, "notify", {"topic": topic, "args": [3]})
    post(router, "notify", {"topic": TOPIC, "args": [4]})
    for other in clients.values():
        assert other.next_event() == {"topic": TOPIC, "args": [4], "kwargs": {}}
    assert post(router, "call", {"procedure": procedure})["error"] == "wamp.error.no_such_procedure"


@pytest.mark.parametrize("name", [name for name in NAMES if not why_not(name, TAKE_PROGRESS)])
def test_each_that_can_takes_progressive_results_of_all_that_send_them(clients: Clients, name: str) -> None:
    procedures = {}
    for other, callee in clients.items():
        if not why_not(other, SEND_PROGRESS):
            procedures[other] = f"{callee.prefix}.count"
            callee.do("register", procedures[other], procedure="count")
    assert len(procedures) >= 7

    for other, procedure in procedures.items():
        counted = clients[name].do("call", procedure, args=[3], kwargs={}, progress=True)
        assert counted == {"args": [3], "kwargs": {}, "progress": [[0], [1], [2]]}, other
        clients[other].do("undo", procedure)


@pytest.mark.parametrize("name", NAMES)
def test_each_takes_no_progress_it_has_not_asked_for(clients: Clients, name: str) -> None:
    callee = clients["autobahn_asyncio-json"]
    procedure = f"{callee.prefix}.count_for.{name.replace('-', '_')}"
    callee.do("register", procedure, procedure="count")

    assert clients[name].do("call", procedure, args=[3], kwargs={}) == {"args": [3], "kwargs": {}}

    callee.do("undo", procedure)


PATTERNS = {"prefix": ("patterns", "patterns.{}"), "wildcard": (".patterns", "{}.patterns")}
"""What follows a client's prefix in a pattern, and in the URIs that match it."""


@pytest.mark.parametrize("match", PATTERNS)
@pytest.mark.parametrize("name", NAMES)
def test_each_hears_all_topics_of_a_pattern(
    clients: Clients, router: RouterProcess, name: str, match: str
) -> None:
    client = clients[name]
    pattern, uri = (f"{client.prefix}.{rest}" for rest in PATTERNS[match])
    topics = [uri.format(part) for part in ("a", "b")]
    client.do("subscribe", pattern, match=match)

    for topic in topics:
        post(router, "notify", {"topic": topic, "args": [topic]})

    assert [client.next_event() for _ in topics] == [
        {"topic": topic, "args": [topic], "kwargs": {}} for topic in topics
    ]
    if not why_not(name, UNSUBSCRIBE_PATTERN):
        client.do("undo", pattern)


@pytest.mark.parametrize("match", PATTERNS)
@pytest.mark.parametrize("name", NAMES)
def test_each_answers_all_procedures_of_a_pattern(
    clients: Clients, router: RouterProcess, name: str, match: str
) -> None:
    client = clients[name]
    pattern, uri = (f"{client.prefix}.{rest}" for rest in PATTERNS[match])
    client.do("register", pattern, match=match, procedure="called")

    for part in ("a", "b"):
        procedure = uri.format(part)
        assert post(router, "call", {"procedure": procedure})["args"] == [procedure]

    if match == "prefix" or not why_not(name, UNREGISTER_WILDCARD):
        client.do("undo", pattern)


WITHOUT_BYTES_IN_JSON = {
    "autobahn_node-json",
    "wampy_node-json",
    "xconn_sync-json",
    "xconn_async-json",
    BROWSER,
}
"""They leave the specification's form of bytes in JSON as it is: a string that begins with NUL."""
SPEAKERS_OF_BYTES = [
    kind.name
    for kind in KINDS
    if kind.program.endswith(".py") and kind.serializer != "any" and kind.name not in WITHOUT_BYTES_IN_JSON
]


@pytest.mark.parametrize("name", SPEAKERS_OF_BYTES)
def test_bytes_cross_the_wire_formats(clients: Clients, name: str) -> None:
    sent = {"bytes": bytes(range(256)).hex()}

    clients[name].do("publish", TOPIC, args=[sent], kwargs={})

    as_text = "\0" + base64.b64encode(bytes(range(256))).decode()
    for other, client in clients.items():
        if other != name:
            assert client.next_event()["args"] == [as_text if other in WITHOUT_BYTES_IN_JSON else sent], other


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.serializer in ("any", "json")], ids=str)
def test_each_is_told_when_the_router_stops(kind: Kind, tmp_path: Path) -> None:
    with router_process(tmp_path) as router:
        host, port = router.address
        client = start(kind, f"ws://{host}:{port}/ws", tmp_path)
        try:
            client.wait_ready()
            assert router.terminate() == 0
            # Those whose library hands the reason on say what it was.
            left = client.left()
            assert left.get("reason", "wamp.close.system_shutdown") == "wamp.close.system_shutdown"
        finally:
            client.stop()
