"""Formats meet: what one can say and another cannot is the sender's error, before anything is acknowledged."""

import json
from collections.abc import Iterator
from typing import Any

import cbor2
import msgpack
import pytest

from tests.support.nodes import RouterProcess, node_config, router_process, web_transport
from tests.support.websocket import BINARY, TEXT, WampClient, joined, post_json

TOPIC, PROCEDURE = "com.example.t", "com.example.p"


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    paths: dict[str, Any] = {
        "ws": {"type": "websocket"},
        "notify": {"type": "publisher", "realm": "realm1", "role": "anonymous"},
        "call": {"type": "caller", "realm": "realm1", "role": "anonymous"},
        "metrics": {"type": "metrics"},
    }
    with router_process(tmp_path_factory.mktemp("router"), node_config(web_transport(paths))) as running:
        yield running


NAN = float("nan")
UNCONVERTIBLE: list[tuple[str, str, str, Any]] = [
    ("NaN", "msgpack", "json", NAN),
    ("infinity", "cbor", "json", float("inf")),
    ("a text that means binary", "msgpack", "json", "\0text"),
    ("a big integer", "cbor", "msgpack", 2**70),
    ("an integer too small", "cbor", "msgpack", -(2**64)),
    ("infinity written out", "json", "msgpack", b"1e999"),
    ("a mark without base64", "json", "cbor", b'"\\u0000no!"'),
]


def _message(serializer: str, head: list[Any], value: Any) -> bytes:
    """Return a message with one argument, even one that its writer would refuse."""
    if serializer == "msgpack":
        return bytes(msgpack.packb([*head, [value]]))
    if serializer == "cbor":
        return cbor2.dumps([*head, [value]])
    start = json.dumps(head).encode()
    return start[:-1] + b",[" + value + b"]]"


async def _say(client: WampClient, head: list[Any], value: Any) -> None:
    opcode = TEXT if client.serializer == "json" else BINARY
    await client.socket.send_frame(opcode, _message(client.serializer, head, value))


@pytest.mark.parametrize(
    ("sender", "receiver", "value"), [row[1:] for row in UNCONVERTIBLE], ids=[row[0] for row in UNCONVERTIBLE]
)
async def test_an_event_one_subscriber_cannot_be_given_is_refused_for_all(
    router: RouterProcess, sender: str, receiver: str, value: Any
) -> None:
    async with (
        joined(router.address, sender) as publisher,
        joined(router.address, receiver) as unable,
        joined(router.address, sender) as able,
    ):
        for subscriber in (able, unable):
            await subscriber.ask(32, 1, {}, TOPIC)
        await _say(publisher, [16, 1, {"acknowledge": True}, TOPIC], value)
        error = await publisher.receive()
        assert error[:5] == [8, 16, 1, {}, "wamp.error.invalid_argument"]
        assert error[5][0].startswith("a receiver cannot be given this payload: ")

        assert (await publisher.ask(16, 2, {"acknowledge": True}, TOPIC, ["good"]))[0] == 17
        for subscriber in (able, unable):
            assert (await subscriber.receive())[4] == ["good"]


@pytest.mark.parametrize(
    ("sender", "receiver", "value"), [row[1:] for row in UNCONVERTIBLE], ids=[row[0] for row in UNCONVERTIBLE]
)
async def test_a_call_its_callee_cannot_be_given_is_refused(
    router: RouterProcess, sender: str, receiver: str, value: Any
) -> None:
    async with joined(router.address, sender) as caller, joined(router.address, receiver) as callee:
        await callee.ask(64, 1, {"concurrency": 1}, PROCEDURE)
        await _say(caller, [48, 1, {}, PROCEDURE], value)
        assert (await caller.receive())[:5] == [8, 48, 1, {}, "wamp.error.invalid_argument"]

        # It was never given to the callee, who is free for the next.
        await caller.send([48, 2, {}, PROCEDURE, ["good"]])
        invocation = await callee.receive()
        assert invocation[4] == ["good"]
        await callee.send([70, invocation[1], {}])
        assert await caller.receive() == [50, 2, {}]


@pytest.mark.parametrize(
    ("sender", "receiver", "value"), [row[1:] for row in UNCONVERTIBLE], ids=[row[0] for row in UNCONVERTIBLE]
)
async def test_a_result_its_caller_cannot_be_given_ends_the_call_with_an_error(
    router: RouterProcess, sender: str, receiver: str, value: Any
) -> None:
    async with joined(router.address, receiver) as caller, joined(router.address, sender) as callee:
        await callee.ask(64, 1, {}, PROCEDURE)
        await caller.send([48, 1, {}, PROCEDURE])
        invocation = await callee.receive()
        await _say(callee, [70, invocation[1], {}], value)
        assert (await caller.receive())[:5] == [8, 48, 1, {}, "wamp.error.invalid_argument"]


async def test_a_bridge_request_a_subscriber_cannot_be_given_is_told(router: RouterProcess) -> None:
    async with joined(router.address, "msgpack") as subscriber:
        await subscriber.ask(32, 1, {}, TOPIC)
        response = await post_json(router.address, "/notify", {"topic": TOPIC, "args": [2**70]})
        assert response.json["error"] == "wamp.error.invalid_argument"
        assert (await post_json(router.address, "/notify", {"topic": TOPIC, "args": [1]})).json["id"]
        assert (await subscriber.receive())[4] == [1]


async def test_binary_of_the_bridge_is_binary_for_those_who_have_it(router: RouterProcess) -> None:
    async with joined(router.address, "cbor") as able, joined(router.address, "json") as other:
        for subscriber in (able, other):
            await subscriber.ask(32, 1, {}, TOPIC)
        await post_json(router.address, "/notify", {"topic": TOPIC, "args": ["\0AP8="]})
        assert (await able.receive())[4] == [b"\x00\xff"]
        assert (await other.receive())[4] == ["\0AP8="]
