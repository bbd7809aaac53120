"""Options of a WebSocket that shape its frames and its handshake."""

from collections.abc import AsyncIterator

import pytest

from tests.support.nodes import RunningNode, node_config, running_node, web_transport
from tests.support.websocket import (
    CONTINUATION,
    HELLO_ROLES,
    PING,
    PONG,
    TEXT,
    Connection,
    WampClient,
    WebSocket,
    encode,
    frame,
    open_websocket,
    upgrade_request,
)

PATHS = {
    "ws": {"type": "websocket"},
    "pieces": {"type": "websocket", "options": {"auto_fragment_size": 125}},
    "frames": {"type": "websocket", "options": {"max_frame_size": 200, "close_timeout_s": 0.1}},
    "pinging": {"type": "websocket", "options": {"auto_ping_interval": 1000, "auto_ping_size": 12}},
    "lenient": {"type": "websocket", "options": {"require_websocket_subprotocol": False}},
    "msgpack": {
        "type": "websocket",
        "serializers": ["msgpack"],
        "options": {"require_websocket_subprotocol": False},
    },
    "outside": {"type": "websocket", "options": {"allowed_origins": ["self"], "external_port": 8443}},
}


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    async with running_node(node_config(web_transport(PATHS))) as running:
        yield running


async def joined_at(node: RunningNode, path: str) -> WampClient:
    client = WampClient(await open_websocket(node.address, path), "json")
    await client.join()
    return client


async def test_messages_are_sent_in_fragments(node: RunningNode) -> None:
    socket = await open_websocket(node.address, "/pieces")
    await socket.send_frame(TEXT, encode("json", [1, "realm1", {"roles": HELLO_ROLES}]))
    first = await socket.read_frame()
    assert (first.opcode, first.fin, len(first.payload)) == (TEXT, False, 125)
    message = first.payload
    while not (part := await socket.read_frame()).fin:
        assert (part.opcode, len(part.payload)) == (CONTINUATION, 125)
        message += part.payload
    assert part.opcode == CONTINUATION
    assert (message + part.payload).startswith(b"[2,")


async def test_a_frame_that_is_too_large_is_refused_where_its_message_is_not(node: RunningNode) -> None:
    client = await joined_at(node, "/frames")
    message = encode("json", [16, 1, {"acknowledge": True}, "com.example.t", ["x" * 300]])
    await client.socket.send(frame(TEXT, message[:190], fin=False) + frame(CONTINUATION, message[190:]))
    assert (await client.receive())[0] == 17
    await client.socket.send_frame(TEXT, message)
    assert (await client.socket.closed()).close_code == 1009


async def test_pings_bear_as_much_as_was_said(node: RunningNode) -> None:
    client = await joined_at(node, "/pinging")
    ping = await client.socket.read_frame()
    assert (ping.opcode, len(ping.payload)) == (PING, 12)
    await client.socket.send_frame(PONG, ping.payload)
    assert (await client.ask(32, 1, {}, "com.example.t"))[0] == 33


@pytest.mark.parametrize("payload", [b"", b"anything", b"x" * 125])
async def test_a_pong_nobody_asked_for_is_fine(node: RunningNode, payload: bytes) -> None:
    # "A Pong frame MAY be sent unsolicited." (RFC 6455, section 5.5.3)
    client = await joined_at(node, "/ws")
    await client.socket.send_frame(PONG, payload)
    assert (await client.ask(32, 1, {}, "com.example.t"))[0] == 33


@pytest.mark.parametrize("opcode", [PING, PONG])
@pytest.mark.parametrize("how", [{"fin": False}, {"payload": b"x" * 126}], ids=["fragmented", "too long"])
async def test_a_control_frame_is_short_and_whole(
    node: RunningNode, opcode: int, how: dict[str, object]
) -> None:
    client = await joined_at(node, "/ws")
    await client.socket.send(frame(opcode, **how))  # type: ignore[arg-type]
    assert (await client.socket.closed()).close_code == 1002


class TestWithoutSubprotocol:
    async def test_json_is_spoken_where_that_is_allowed(self, node: RunningNode) -> None:
        plain = await Connection.open(node.address)
        await plain.send(upgrade_request("/lenient", subprotocols=None))
        response = await plain.response()
        assert response.status == 101
        assert "sec-websocket-protocol" not in response.headers
        client = WampClient(WebSocket(plain.reader, plain.writer), "json")
        await client.join()

    @pytest.mark.parametrize(
        ("path", "subprotocols"),
        [("/ws", None), ("/lenient", "wamp.2.ubjson"), ("/msgpack", None)],
        ids=["it is required", "an unknown one is named", "JSON is not offered"],
    )
    async def test_it_is_refused_elsewhere(
        self, node: RunningNode, path: str, subprotocols: str | None
    ) -> None:
        plain = await Connection.open(node.address)
        await plain.send(upgrade_request(path, subprotocols=subprotocols))
        response = await plain.response()
        assert response.status == 400
        assert b"must offer one of wamp.2." in response.body


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://localhost:8443", 101),
        ("https://localhost", 403),
        ("https://localhost:8080", 403),
        ("https://example.org:8443", 403),
    ],
)
async def test_self_has_the_port_that_pages_know(node: RunningNode, origin: str, status: int) -> None:
    plain = await Connection.open(node.address)
    await plain.send(upgrade_request("/outside", headers={"Origin": origin, "Host": "localhost:8080"}))
    assert (await plain.response()).status == status
