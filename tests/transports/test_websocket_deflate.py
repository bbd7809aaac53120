"""permessage-deflate on a WebSocket: compressed once for all, or for each with its context; bombs and broken data."""

import json
import random
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heliograph.transports import turn as turn_module
from heliograph.transports import websocket_format
from heliograph.transports.websocket import WebSocketConnection
from tests.support.nodes import RunningNode, node_config, running_node, web_transport
from tests.support.websocket import (
    CONTINUATION,
    HELLO_ROLES,
    PING,
    TEXT,
    Connection,
    Frame,
    WebSocket,
    encode,
    frame,
    joined,
    open_websocket,
    upgrade_request,
)

TOPIC = "com.example.t"
RSV1 = 4
TAIL = b"\x00\x00\xff\xff"
TEXT_OF_2_KIB = "light " * 340
MIB = 1024 * 1024


def path(deflate: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    compression = {"deflate": deflate or {}}
    return {
        "type": "websocket",
        "serializers": ["cbor", "msgpack", "json", "json.batched"],
        "options": {"close_timeout_s": 0.1, "compression": compression, **options},
    }


PATHS = {
    "ws": path(),
    "keeping": path({"no_context_takeover": False, "request_no_context_takeover": False}),
    "plain": {"type": "websocket"},
    "small": path({"max_window_bits": 9, "request_max_window_bits": 10, "memory_level": 1}),
    "pieces": path(auto_fragment_size=125),
}


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    async with running_node(node_config(web_transport(PATHS))) as running:
        yield running


class DeflatingClient:
    """A WAMP client in JSON that compresses all it sends, with a context or without."""

    def __init__(self, socket: WebSocket, response: str | None, *, is_batched: bool = False) -> None:
        self.socket = socket
        self.response = response
        self.is_batched = is_batched
        self.frames: list[Frame] = []
        self._read: list[Any] = []
        self._keeps = response is not None and "client_no_context" not in response
        self._server_keeps = response is not None and "server_no_context" not in response
        self._compressor = zlib.compressobj(wbits=-15)
        self._decompressor = zlib.decompressobj(-15)

    @classmethod
    async def open(
        cls,
        node: RunningNode,
        path: str = "/ws",
        offer: str | None = "permessage-deflate",
        *,
        is_batched: bool = False,
    ) -> "DeflatingClient":
        plain = await Connection.open(node.address)
        subprotocol = "wamp.2.json.batched" if is_batched else "wamp.2.json"
        await plain.send(
            upgrade_request(path, subprotocols=subprotocol, headers={"Sec-WebSocket-Extensions": offer})
        )
        response = await plain.response()
        assert response.status == 101, response
        socket = WebSocket(plain.reader, plain.writer)
        return cls(socket, response.headers.get("sec-websocket-extensions"), is_batched=is_batched)

    @classmethod
    async def join(cls, node: RunningNode, path: str = "/ws", **how: Any) -> "DeflatingClient":
        client = await cls.open(node, path, **how)
        assert client.response is not None
        assert (await client.ask(1, "realm1", {"roles": HELLO_ROLES}))[0] == 2
        return client

    def compress(self, data: bytes) -> bytes:
        compressor = self._compressor if self._keeps else zlib.compressobj(wbits=-15)
        return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)

    async def send(self, *message: Any) -> None:
        end = b"\x1e" if self.is_batched else b""
        await self.socket.send_frame(TEXT, self.compress(encode("json", message) + end), reserved=RSV1)

    async def receive(self) -> Any:
        if not self._read:
            payload = await self._payload()
            parts = payload.removesuffix(b"\x1e").split(b"\x1e") if self.is_batched else [payload]
            self._read = [json.loads(part) for part in parts]
        return self._read.pop(0)

    async def _payload(self) -> bytes:
        first = received = await self.socket.read_frame()
        payload = received.payload
        self.frames.append(first)
        while not received.fin:
            received = await self.socket.read_frame()
            assert received.opcode == CONTINUATION
            assert not received.reserved
            payload += received.payload
        assert first.opcode == TEXT, first
        if first.reserved:
            assert first.reserved == RSV1
            decompressor = self._decompressor if self._server_keeps else zlib.decompressobj(-15)
            payload = decompressor.decompress(payload + TAIL)
        return payload

    async def ask(self, *message: Any) -> Any:
        await self.send(*message)
        return await self.receive()


@pytest.mark.parametrize("path", ["/ws", "/keeping", "/small", "/pieces"])
@pytest.mark.parametrize("is_batched", [False, True])
async def test_compressed_messages_go_both_ways(node: RunningNode, path: str, *, is_batched: bool) -> None:
    client = await DeflatingClient.join(node, path, is_batched=is_batched)
    assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
    for request in range(2, 12):
        await client.send(16, request, {"exclude_me": False}, TOPIC, [request, TEXT_OF_2_KIB])
        assert (await client.receive())[4] == [request, TEXT_OF_2_KIB]
        assert client.frames[-1].reserved == RSV1
        assert len(client.frames[-1].payload) < 200


async def test_without_an_offer_nothing_is_compressed(node: RunningNode) -> None:
    client = await DeflatingClient.open(node, offer=None)
    assert client.response is None
    await client.socket.send_frame(TEXT, client.compress(b"[]"), reserved=RSV1)
    assert (await client.socket.closed()).close_code == 1002


async def test_without_compression_in_the_configuration_no_offer_is_taken(node: RunningNode) -> None:
    assert (await DeflatingClient.open(node, "/plain")).response is None


async def test_the_answer_is_what_the_configuration_says(node: RunningNode) -> None:
    client = await DeflatingClient.open(node, "/small", "permessage-deflate; client_max_window_bits")
    assert client.response == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=9; client_max_window_bits=10"
    )


async def test_a_malformed_offer_fails_the_handshake(node: RunningNode) -> None:
    plain = await Connection.open(node.address)
    await plain.send(upgrade_request(headers={"Sec-WebSocket-Extensions": "permessage-deflate; ;"}))
    assert (await plain.response()).status == 400


async def test_small_messages_go_as_they_are(node: RunningNode) -> None:
    client = await DeflatingClient.join(node)
    assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
    assert not client.frames[-1].reserved


async def test_an_event_is_compressed_once_for_all_who_keep_no_context(
    node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressed: list[bytes] = []
    original = websocket_format.deflate_alone

    def counting(message: bytes, **how: Any) -> bytes:
        compressed.append(message)
        return original(message, **how)

    monkeypatch.setattr(websocket_format, "deflate_alone", counting)
    for is_batched in (False, True):
        clients = [await DeflatingClient.join(node, is_batched=is_batched) for _ in range(5)]
        for client in clients:
            assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
        compressed.clear()
        async with joined(node.address) as publisher:
            await publisher.send([16, 1, {}, TOPIC, [TEXT_OF_2_KIB]])
            for client in clients:
                assert (await client.receive())[4] == [TEXT_OF_2_KIB]
        assert len(compressed) == 1
        for client in clients:
            client.socket.abort()


async def test_windows_that_differ_are_compressed_for_apart(node: RunningNode) -> None:
    narrow = await DeflatingClient.join(node, offer="permessage-deflate; server_max_window_bits=9")
    wide = await DeflatingClient.join(node)
    await narrow.ask(32, 1, {}, TOPIC)
    await wide.ask(32, 1, {}, TOPIC)
    text = "".join(f"{number}," for number in range(1000)) * 2
    async with joined(node.address) as publisher:
        await publisher.send([16, 1, {}, TOPIC, [text]])
        assert (await narrow.receive())[4] == (await wide.receive())[4] == [text]
    assert len(narrow.frames[-1].payload) > len(wide.frames[-1].payload)


async def test_contexts_make_repetitions_small(node: RunningNode) -> None:
    client = await DeflatingClient.join(node, "/keeping")
    await client.ask(32, 1, {}, TOPIC)
    values = [number * 7919 % 100_003 for number in range(300)]
    sizes = []
    for request in (2, 3):
        await client.send(16, request, {"exclude_me": False}, TOPIC, values)
        await client.receive()
        sizes.append(len(client.frames[-1].payload))
    assert sizes[1] < sizes[0] / 10


async def test_a_fragmented_compressed_message_is_put_together(node: RunningNode) -> None:
    client = await DeflatingClient.join(node)
    data = client.compress(encode("json", [32, 1, {}, TOPIC]))
    await client.socket.send(
        frame(TEXT, data[:5], fin=False, reserved=RSV1)
        + frame(PING, b"between")
        + frame(CONTINUATION, data[5:9], fin=False)
        + frame(CONTINUATION, data[9:])
    )
    assert (await client.socket.read_frame()).payload == b"between"
    assert (await client.receive())[0] == 33


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(TEXT, b"x", fin=False), frame(CONTINUATION, b"x", reserved=RSV1)], 1002),
        ([frame(PING, b"x", reserved=RSV1)], 1002),
        ([frame(TEXT, b"x", reserved=2)], 1002),
        ([frame(TEXT, b"x", reserved=1)], 1002),
        ([frame(TEXT, b"\xff\xff\xff", reserved=RSV1)], 1007),
        ([frame(TEXT, zlib.compress(b'"\xff"', wbits=-15) + b"\x00", reserved=RSV1)], 1007),
    ],
    ids=[
        "RSV1 on a continuation",
        "RSV1 on a ping",
        "RSV2",
        "RSV3",
        "no compressed data",
        "no UTF-8 in it",
    ],
)
async def test_what_may_not_stand_there_ends_the_connection(
    node: RunningNode, frames: list[bytes], code: int
) -> None:
    client = await DeflatingClient.join(node)
    await client.socket.send(b"".join(frames))
    assert (await client.socket.closed()).close_code == code


def bomb(size: int) -> bytes:
    return zlib.compress(bytes(size), wbits=-15) + b"\x00"


class TestBombs:
    async def test_a_bomb_is_refused(self, node: RunningNode) -> None:
        client = await DeflatingClient.join(node)
        await client.socket.send_frame(TEXT, bomb(500 * MIB), reserved=RSV1)
        close = await client.socket.closed()
        assert close.close_code == 1009
        assert "uncompressed" in close.close_reason

    async def test_messages_that_wait_are_not_unpacked(
        self, node: RunningNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """60 bombs fit into what is read at once: unpacked, they would be 60 MiB that wait."""
        node.node._turn.work_budget = 1
        waiting: list[int] = []
        original = WebSocketConnection.handle_next

        def handle_next(self: WebSocketConnection) -> bool:
            waiting.append(sum(len(item) for item in self._backlog or () if isinstance(item, bytes)))
            waiting.append(self._backlog_bytes)
            return original(self)

        monkeypatch.setattr(WebSocketConnection, "handle_next", handle_next)
        client = await DeflatingClient.join(node)
        text = "x" * (MIB - 200)
        data = client.compress(encode("json", [16, 1, {}, TOPIC, [text]]))
        assert len(data) < 2000
        await client.socket.send(frame(TEXT, data, reserved=RSV1) * 30)
        assert (await client.ask(32, 2, {}, TOPIC))[0] == 33
        assert len(waiting) > 30
        assert max(waiting) < 100 * 1024

    async def test_what_is_unpacked_counts_as_work(
        self, node: RunningNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """60 messages that were read at once may stand for 60 MiB, which take a third of a second to unpack."""
        spent: list[int] = []
        original = turn_module.Turn.spend

        def spend(self: turn_module.Turn, units: int) -> None:
            spent.append(units)
            original(self, units)

        client = await DeflatingClient.join(node)
        monkeypatch.setattr(turn_module.Turn, "spend", spend)
        await client.ask(16, 1, {"acknowledge": True}, TOPIC, ["x" * (MIB - 200)])
        assert 8000 < sum(spent) < 10_000
        spent.clear()
        await client.socket.send_frame(TEXT, bomb(2 * MIB), reserved=RSV1)
        assert (await client.socket.closed()).close_code == 1009
        assert sum(spent) >= 4096

    async def test_others_keep_their_service(self, node: RunningNode) -> None:
        async with joined(node.address) as bystander:
            attackers = [await DeflatingClient.join(node) for _ in range(5)]
            for attacker in attackers:
                await attacker.socket.send_frame(TEXT, bomb(100 * MIB), reserved=RSV1)
            assert (await bystander.ask(32, 1, {}, TOPIC))[0] == 33
            for attacker in attackers:
                assert (await attacker.socket.closed()).close_code == 1009


async def test_a_message_of_the_largest_size_may_come_compressed(node: RunningNode) -> None:
    client = await DeflatingClient.join(node)
    message = [32, 1, {"x": ""}, TOPIC]
    message[2] = {"x": "y" * (MIB - len(encode("json", message)))}
    assert len(encode("json", message)) == MIB
    assert (await client.ask(*message))[0] == 33
    message[2] = {"x": "y" * MIB}
    await client.send(*message)
    assert (await client.socket.closed()).close_code == 1009


async def test_compressed_and_uncompressed_messages_keep_their_order(node: RunningNode) -> None:
    node.node._turn.work_budget = 2
    client = await DeflatingClient.join(node, "/keeping")
    parts = []
    for request in range(1, 101):
        data = encode("json", [16, request, {"acknowledge": True}, TOPIC])
        parts.append(frame(TEXT, client.compress(data), reserved=RSV1) if request % 3 else frame(TEXT, data))
    await client.socket.send(b"".join(parts))
    assert [(await client.receive())[1] for _ in range(100)] == list(range(1, 101))


async def test_plain_and_compressed_subscribers_get_the_same(node: RunningNode) -> None:
    compressed = [await DeflatingClient.join(node, where) for where in ("/ws", "/keeping", "/small")]
    for client in compressed:
        await client.ask(32, 1, {}, TOPIC)
    async with joined(node.address, "cbor") as plain, joined(node.address, "msgpack") as publisher:
        await plain.ask(32, 1, {}, TOPIC)
        for request in range(1, 6):
            await publisher.send([16, request, {}, TOPIC, [request, TEXT_OF_2_KIB]])
        for request in range(1, 6):
            assert (await plain.receive())[4] == [request, TEXT_OF_2_KIB]
            for client in compressed:
                assert (await client.receive())[4] == [request, TEXT_OF_2_KIB]


async def test_an_open_websocket_without_offer_is_untouched(node: RunningNode) -> None:
    socket = await open_websocket(node.address)
    await socket.send_frame(TEXT, encode("json", [1, "realm1", {"roles": HELLO_ROLES}]))
    assert not (await socket.read_frame()).reserved


@pytest.mark.parametrize("path", ["/keeping", "/ws", "/pieces"])
@pytest.mark.parametrize("is_batched", [False, True])
async def test_a_reader_that_stops_and_goes_on_gets_all_in_order(
    node: RunningNode, path: str, *, is_batched: bool
) -> None:
    client = await DeflatingClient.join(node, path, is_batched=is_batched)
    await client.ask(32, 1, {}, TOPIC)
    (end,) = node.connections
    draw = random.Random(path)
    client.socket.reader._transport.pause_reading()  # type: ignore[attr-defined]
    sizes = [10, 10, 5_000, 40_000, 10, 200_000, 10, 700_000, 30] * 3
    texts = [draw.randbytes(size).hex() for size in sizes]
    async with joined(node.address) as publisher:
        for number, text in enumerate(texts):
            await publisher.send([16, number + 1, {}, TOPIC, [number, text[: sizes[number]]]])
        await publisher.ask(16, 1, {"acknowledge": True}, TOPIC, [len(sizes), ""])
        await node.until(lambda: end._send_queue is not None and end._send_queue.is_paused)
        assert end._send_queue is not None
        assert len(end._send_queue._piece) <= max(100 * 1024, 0 if path == "/keeping" else MIB)
        client.socket.reader._transport.resume_reading()  # type: ignore[attr-defined]
        for number, text in enumerate(texts):
            assert (await client.receive())[4] == [number, text[: sizes[number]]]
        assert (await client.receive())[4] == [len(sizes), ""]
