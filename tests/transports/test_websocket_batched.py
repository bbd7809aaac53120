"""The batched subprotocols on a WebSocket."""

import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heliograph.routing.broker import Broker
from heliograph.transports.websocket_format import BATCH_BYTES
from tests.support.nodes import RunningNode, node_config, running_node, web_transport
from tests.support.websocket import (
    BINARY,
    CLOSE,
    HELLO_ROLES,
    TEXT,
    Connection,
    WebSocket,
    connect_wamp,
    decode,
    encode,
    frame,
    joined,
    open_websocket,
    upgrade_request,
)

TOPIC = "com.example.t"
SERIALIZERS = ("json", "msgpack", "cbor")
ALL = [*SERIALIZERS, *(f"{name}.batched" for name in SERIALIZERS)]


def batch(serializer: str, *messages: Any) -> bytes:
    parts = [encode(serializer, message) for message in messages]
    if serializer == "json":
        return b"".join(part + b"\x1e" for part in parts)
    return b"".join(struct.pack("!L", len(part)) + part for part in parts)


def unbatch(serializer: str, data: bytes) -> list[Any]:
    parts: list[bytes] = []
    if serializer == "json":
        assert data.endswith(b"\x1e")
        parts = data[:-1].split(b"\x1e")
    while serializer != "json" and data:
        (length,) = struct.unpack("!L", data[:4])
        parts.append(data[4 : 4 + length])
        data = data[4 + length :]
    return [decode(serializer, part) for part in parts]


class BatchedClient:
    """Reads whole batches, and messages one by one out of them."""

    def __init__(self, socket: WebSocket, serializer: str) -> None:
        self.socket = socket
        self.serializer = serializer
        self.opcode = TEXT if serializer == "json" else BINARY
        self.batches: list[int] = []
        self._read: list[Any] = []

    @classmethod
    async def join(cls, node: RunningNode, serializer: str) -> "BatchedClient":
        client = cls(
            await open_websocket(node.address, subprotocols=f"wamp.2.{serializer}.batched"), serializer
        )
        await client.send([1, "realm1", {"roles": HELLO_ROLES}])
        assert (await client.receive())[0] == 2
        return client

    async def send(self, *messages: Any) -> None:
        await self.socket.send_frame(self.opcode, batch(self.serializer, *messages))

    async def receive(self) -> Any:
        if not self._read:
            received = await self.socket.read_frame()
            assert received.opcode == self.opcode, received
            self._read = unbatch(self.serializer, received.payload)
            self.batches.append(len(self._read))
        return self._read.pop(0)


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    path = {"type": "websocket", "serializers": ALL, "options": {"close_timeout_s": 0.1}}
    async with running_node(node_config(web_transport({"ws": path}))) as running:
        yield running


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_several_messages_travel_in_one(node: RunningNode, serializer: str) -> None:
    client = await BatchedClient.join(node, serializer)
    await client.send([32, 1, {}, TOPIC], [32, 2, {}, f"{TOPIC}.other"])
    assert [(await client.receive())[1] for _ in range(2)] == [1, 2]
    assert client.batches == [1, 2]


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_what_one_turn_brings_is_one_batch(node: RunningNode, serializer: str) -> None:
    subscriber = await BatchedClient.join(node, serializer)
    await subscriber.send([32, 1, {}, TOPIC])
    await subscriber.receive()
    publisher = await BatchedClient.join(node, "json")
    await publisher.send(*([16, n, {}, TOPIC, [n]] for n in range(1, 101)))
    assert [(await subscriber.receive())[4][0] for _ in range(100)] == list(range(1, 101))
    # WELCOME and SUBSCRIBED came alone, all events of the batch together.
    assert subscriber.batches == [1, 1, 100]


async def test_an_event_goes_to_batched_and_to_other_clients(node: RunningNode) -> None:
    batched = [await BatchedClient.join(node, serializer) for serializer in SERIALIZERS]
    async with joined(node.address, "msgpack") as single, joined(node.address) as publisher:
        for client in (*batched, single):
            await client.send([32, 1, {}, TOPIC])
            assert (await client.receive())[0] == 33
        await publisher.send([16, 1, {}, TOPIC, ["\x1e", {"a": 1}]])
        for client in (*batched, single):
            assert (await client.receive())[4] == ["\x1e", {"a": 1}]


async def test_the_order_in_which_the_client_names_subprotocols_wins(node: RunningNode) -> None:
    socket = await open_websocket(node.address, subprotocols="x, wamp.2.cbor.batched, wamp.2.json")
    await socket.send_frame(BINARY, batch("cbor", [1, "realm1", {"roles": HELLO_ROLES}]))
    assert unbatch("cbor", (await socket.read_frame()).payload)[0][0] == 2


@pytest.mark.parametrize(
    ("serializer", "payload"),
    [
        ("json", b""),
        ("json", b"\x1e"),
        ("json", b'[32,1,{},"a"]'),
        ("msgpack", b""),
        ("msgpack", b"\x00\x00\x00\x00"),
        ("msgpack", b"\x00\x00\x00\x09\x00"),
        ("cbor", b"\x00\x00"),
    ],
    ids=[
        "json: empty",
        "json: a message of no bytes",
        "json: without a separator",
        "msgpack: empty",
        "msgpack: a message of no bytes",
        "msgpack: longer than it is",
        "cbor: half a length",
    ],
)
async def test_what_is_no_batch_fails_the_transport(
    node: RunningNode, serializer: str, payload: bytes
) -> None:
    client = await BatchedClient.join(node, serializer)
    await client.socket.send_frame(client.opcode, payload)
    close = await client.socket.closed()
    assert close.close_code == 1002
    assert "batch" in close.close_reason


async def test_what_stands_before_a_break_counts(node: RunningNode) -> None:
    client = await BatchedClient.join(node, "json")
    await client.socket.send_frame(TEXT, batch("json", [32, 1, {}, TOPIC]) + b"\x1e")
    assert (await client.receive())[0] == 33
    assert (await client.socket.closed()).close_code == 1002


async def test_a_broken_message_in_a_batch_aborts_the_session(node: RunningNode) -> None:
    client = await BatchedClient.join(node, "json")
    await client.socket.send_frame(TEXT, b"[nonsense\x1e" + batch("json", [32, 1, {}, TOPIC]))
    assert (await client.receive())[0] == 3
    assert (await client.socket.closed()).close_code == 1000


async def test_a_large_outbox_becomes_several_batches(node: RunningNode) -> None:
    """A receiver has limits too: a batch ends at a size, never within a message."""
    subscriber = await BatchedClient.join(node, "json")
    await subscriber.send([32, 1, {}, TOPIC])
    await subscriber.receive()
    async with joined(node.address) as publisher:
        text = "x" * (BATCH_BYTES // 4)
        await publisher.socket.send(
            b"".join(frame(TEXT, encode("json", [16, n, {}, TOPIC, [n, text]])) for n in range(1, 21))
        )
        assert [(await subscriber.receive())[4][0] for _ in range(20)] == list(range(1, 21))
    assert all(count <= 4 for count in subscriber.batches)


class TestTurns:
    async def test_a_batch_beyond_a_turn_is_handled_in_order(self, node: RunningNode) -> None:
        node.node._turn.work_budget = 4
        client = await BatchedClient.join(node, "json")
        await client.send(*([16, n, {"acknowledge": True}, TOPIC] for n in range(1, 301)))
        await client.send([16, 301, {"acknowledge": True}, TOPIC])
        assert [(await client.receive())[1] for _ in range(301)] == list(range(1, 302))
        assert len(client.batches) > 50

    async def test_a_batch_of_ten_thousand_does_not_hold_others_up(
        self, node: RunningNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It counts as so many messages: a bystander is answered while most of it still waits."""
        node.node._turn.work_budget = 100
        handled: list[int] = []
        original = Broker.publish

        def publish(self: Broker, session: Any, message: Any) -> None:
            handled.append(message.request)
            original(self, session, message)

        monkeypatch.setattr(Broker, "publish", publish)
        flood = await BatchedClient.join(node, "json")
        async with joined(node.address) as bystander:
            await flood.send(*([16, n, {}, TOPIC] for n in range(1, 10_001)))
            await bystander.ask(16, 1, {"acknowledge": True}, TOPIC)
            assert len(handled) < 10_000
            await flood.send([16, 10_001, {"acknowledge": True}, TOPIC])
            assert (await flood.receive())[1] == 10_001

    async def test_a_close_behind_a_batch_waits_for_it(self, node: RunningNode) -> None:
        node.node._turn.work_budget = 4
        async with joined(node.address) as subscriber:
            await subscriber.ask(32, 1, {}, TOPIC)
            client = await BatchedClient.join(node, "json")
            await client.socket.send(
                frame(TEXT, batch("json", *([16, n, {}, TOPIC, [n]] for n in range(1, 101))))
                + frame(CLOSE, struct.pack("!H", 1000))
            )
            assert [(await subscriber.receive())[4][0] for _ in range(100)] == list(range(1, 101))

    async def test_messages_behind_one_that_waits_for_a_decision_wait_too(self) -> None:
        """The authorizer answers after the whole batch has come; order holds within it."""
        realm = {
            "name": "realm1",
            "roles": [
                {
                    "name": "anonymous",
                    "permissions": [
                        {"uri": "com.decider", "allow": {"register": True, "call": True}},
                        {"uri": "", "match": "prefix", "allow": {"subscribe": True, "publish": True}},
                    ],
                },
                {"name": "asking", "authorizer": "com.decider"},
            ],
        }
        paths = {
            "ws": {"type": "websocket"},
            "asking": {"type": "websocket", "serializers": ALL, "anonymous_role": "asking"},
        }
        config = node_config(web_transport(paths), realm=realm)
        async with running_node(config) as node, joined(node.address) as decider:
            await decider.ask(64, 1, {}, "com.decider")
            socket = await open_websocket(node.address, "/asking", subprotocols="wamp.2.json.batched")
            client = BatchedClient(socket, "json")
            await client.send([1, "realm1", {"roles": HELLO_ROLES}])
            assert (await client.receive())[0] == 2
            await client.send(*([16, n, {"acknowledge": True}, TOPIC] for n in range(1, 4)))
            for number in range(1, 4):
                invocation = await decider.receive()
                assert invocation[0] == 68
                await decider.send([70, invocation[1], {}, [True]])
                assert (await client.receive())[1] == number


async def test_batches_are_offered_where_only_they_are(node: RunningNode) -> None:
    path = {"type": "websocket", "serializers": ["json.batched"]}
    async with running_node(node_config(web_transport({"ws": path}))) as strict:
        assert (await BatchedClient.join(strict, "json")).batches == [1]
        with pytest.raises(AssertionError, match=r"must offer one of wamp.2.json.batched"):
            await connect_wamp(strict.address)


async def test_batches_of_json_are_offered_where_they_are_named(node: RunningNode) -> None:
    """Autobahn for Python offers them before all other JSON, with 0x18 where 0x1e should be."""
    async with running_node(node_config(web_transport({"ws": {"type": "websocket"}}))) as usual:
        plain = await Connection.open(usual.address)
        await plain.send(upgrade_request(subprotocols="wamp.2.json.batched, wamp.2.json"))
        assert (await plain.response()).headers["sec-websocket-protocol"] == "wamp.2.json"


async def test_batches_are_text_and_utf8(node: RunningNode) -> None:
    client = await BatchedClient.join(node, "json")
    await client.socket.send_frame(
        TEXT, json.dumps([32, 1, {}, "ä"], ensure_ascii=False).encode("latin-1") + b"\x1e"
    )
    assert (await client.socket.closed()).close_code == 1007


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_a_reader_that_stops_and_goes_on_gets_all_in_order(node: RunningNode, serializer: str) -> None:
    subscriber = await BatchedClient.join(node, serializer)
    await subscriber.send([32, 1, {}, TOPIC])
    await subscriber.receive()
    publisher = await BatchedClient.join(node, "json")
    subscriber.socket.reader._transport.pause_reading()  # type: ignore[attr-defined]
    sizes = [10, 10, 5_000, 40_000, 10, 200_000, 10, 900_000, 30] * 3
    for number, size in enumerate(sizes):
        await publisher.send([16, number + 1, {}, TOPIC, [number, "x" * size]])
    await publisher.send([16, len(sizes) + 1, {"acknowledge": True}, TOPIC, [len(sizes), ""]])
    assert (await publisher.receive())[0] == 17
    subscriber.socket.reader._transport.resume_reading()  # type: ignore[attr-defined]
    heard = [(await subscriber.receive())[4] for _ in range(len(sizes) + 1)]
    assert [(number, len(text)) for number, text in heard] == list(enumerate([*sizes, 0]))


async def test_receivers_that_do_not_read_share_one_large_event(node: RunningNode) -> None:
    ends = []
    for _ in range(5):
        subscriber = await BatchedClient.join(node, "json")
        await subscriber.send([32, 1, {}, TOPIC])
        await subscriber.receive()
        subscriber.socket.reader._transport.pause_reading()  # type: ignore[attr-defined]
    ends = list(node.connections)
    publisher = await BatchedClient.join(node, "json")
    for _ in range(3):
        await publisher.send([16, 1, {}, TOPIC, ["x" * 900_000]])
    await node.until(
        lambda: all(each._send_queue is not None and each._send_queue.is_paused for each in ends)
    )
    await node.until(lambda: all(each.waiting_bytes > 1_000_000 for each in ends))
    pieces = [each._send_queue._piece for each in ends if each._send_queue is not None]
    assert len({id(piece) for piece in pieces}) < len(pieces), "which of the three events may differ"
    waiting = [entry for each in ends if each._send_queue is not None for entry in each._send_queue._entries]
    assert len({id(entry) for entry in [*waiting, *pieces]}) <= 3, "not one copy"
