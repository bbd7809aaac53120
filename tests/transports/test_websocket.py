"""A WebSocket connection: order, outbox, backlog, timeouts, and how it ends."""

import asyncio
import gc
import logging
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heliograph.http.first_request import FirstRequest
from heliograph.http.protocol import GuardedHttpProtocol
from heliograph.routing.broker import Broker
from heliograph.routing.session import Session
from heliograph.transports.connection_service import SEND_BUFFER_BYTES
from heliograph.transports.frame_parser import BUFFER_BYTES, READ_BYTES
from heliograph.transports.websocket import WebSocketConnection
from tests.support.nodes import RunningNode, node_config, running_node, web_transport
from tests.support.websocket import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Connection,
    WampClient,
    connect_wamp,
    encode,
    frame,
    joined,
    open_websocket,
    upgrade_request,
)

TOPIC = "com.example.t"
KIB, MIB = 1024, 1024 * 1024


def one_path(**options: Any) -> dict[str, Any]:
    """Return a configuration whose only path is a WebSocket with these options."""
    return node_config(web_transport({"ws": {"type": "websocket", **options}}))


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    async with running_node(one_path(options={"close_timeout_s": 0.1})) as running:
        yield running


@pytest.fixture
def small_turns(node: RunningNode) -> int:
    """Turns so small that nearly every message waits for a later one."""
    node.node._turn.work_budget = 4
    return 4


def publishes(count: int, *, size: int = 0, **options: Any) -> bytes:
    return b"".join(
        frame(TEXT, encode("json", [16, n, options, TOPIC, [n, "x" * size]])) for n in range(1, count + 1)
    )


async def subscribed(client: WampClient) -> WampClient:
    assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
    return client


async def numbers(client: WampClient, count: int) -> list[int]:
    """Return the first argument of the next `count` events."""
    events = [await client.receive() for _ in range(count)]
    assert all(event[0] == 36 for event in events), events
    return [event[4][0] for event in events]


class TestOrder:
    async def test_close_never_overtakes_events_that_wait(self, node: RunningNode) -> None:
        async with joined(node.address) as client:
            await subscribed(client)
            await client.socket.send(publishes(100, exclude_me=False) + frame(CONTINUATION, b"orphan"))
            assert await numbers(client, 100) == list(range(1, 101))
            assert (await client.socket.closed()).close_code == 1002

    async def test_abort_never_overtakes_events_that_wait(self, node: RunningNode) -> None:
        async with joined(node.address) as client:
            await subscribed(client)
            await client.socket.send(publishes(100, exclude_me=False) + frame(TEXT, b"[7]"))
            assert await numbers(client, 100) == list(range(1, 101))
            assert (await client.aborted())[0] == "wamp.error.protocol_violation"

    async def test_goodbye_never_overtakes_events_that_wait(self, node: RunningNode) -> None:
        async with joined(node.address) as client:
            await subscribed(client)
            await client.socket.send(
                publishes(100, exclude_me=False) + frame(TEXT, b'[6,{},"wamp.close.normal"]')
            )
            assert await numbers(client, 100) == list(range(1, 101))
            assert (await client.receive())[0] == 6

    async def test_nothing_is_sent_behind_close_to_whoever_does_not_leave(self, node: RunningNode) -> None:
        async with joined(node.address) as stubborn, joined(node.address) as publisher:
            await subscribed(stubborn)
            await stubborn.socket.send_frame(CONTINUATION, b"orphan")
            assert (await stubborn.socket.read_frame()).opcode == CLOSE
            await publisher.socket.send(publishes(10))
            await publisher.ask(16, 11, {"acknowledge": True}, TOPIC)
            assert await stubborn.socket.ends() == b""

    async def test_a_flood_of_one_turn_goes_out_in_few_writes(self, node: RunningNode) -> None:
        async with joined(node.address) as publisher, joined(node.address) as subscriber:
            await subscribed(subscriber)
            writes: list[int] = []
            (connection,) = [
                other for other in node.connections if other._session.id == subscriber.session_id
            ]
            original = connection._transport
            connection._transport = Recorder(original, writes)  # type: ignore[assignment]
            await publisher.socket.send(publishes(200))
            assert await numbers(subscriber, 200) == list(range(1, 201))
            connection._transport = original
            assert len(writes) < 20


class Recorder:
    """A transport that notes the size of every write."""

    def __init__(self, transport: Any, writes: list[int]) -> None:
        self._transport = transport
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._writes.append(len(data))
        self._transport.write(data)


@pytest.mark.usefixtures("small_turns")
class TestBacklog:
    async def test_messages_beyond_a_turn_are_handled_in_order(self, node: RunningNode) -> None:
        async with joined(node.address) as publisher, joined(node.address) as subscriber:
            await subscribed(subscriber)
            await publisher.socket.send(publishes(500))
            assert await numbers(subscriber, 500) == list(range(1, 501))
            assert await publisher.ask(16, 501, {"acknowledge": True}, TOPIC)

    async def test_messages_before_a_close_are_handled_before_it(self, node: RunningNode) -> None:
        async with joined(node.address) as publisher, joined(node.address) as subscriber:
            await subscribed(subscriber)
            await publisher.socket.send(publishes(200) + frame(CLOSE, struct.pack("!H", 1000)))
            assert await numbers(subscriber, 200) == list(range(1, 201))
            close = await publisher.socket.read_frame()
            assert (close.opcode, close.close_code) == (CLOSE, 1000)
            assert await publisher.socket.ends() == b""

    async def test_messages_before_the_end_of_a_connection_are_handled(self, node: RunningNode) -> None:
        async with joined(node.address) as publisher, joined(node.address) as subscriber:
            await subscribed(subscriber)
            await publisher.socket.send(publishes(200))
            publisher.socket.writer.write_eof()
            assert await numbers(subscriber, 200) == list(range(1, 201))

    async def test_nothing_is_handled_behind_a_violation(self, node: RunningNode) -> None:
        async with joined(node.address) as publisher, joined(node.address) as subscriber:
            await subscribed(subscriber)
            await publisher.socket.send(publishes(20) + frame(TEXT, b"[7]") + publishes(20))
            assert (await publisher.aborted())[0] == "wamp.error.protocol_violation"
            assert await numbers(subscriber, 20) == list(range(1, 21))
            # Had there been more, they would stand before this answer.
            assert (await subscriber.ask(32, 2, {}, "com.example.other"))[0] == 33

    async def test_a_flood_waits_in_the_kernel_not_in_the_router(
        self, node: RunningNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        longest = 0
        original = WebSocketConnection.handle_next

        def handle_next(connection: WebSocketConnection) -> bool:
            nonlocal longest
            backlog = connection._backlog or ()
            longest = max(longest, sum(len(item) for item in backlog if isinstance(item, bytes)))
            return original(connection)

        monkeypatch.setattr(WebSocketConnection, "handle_next", handle_next)
        async with joined(node.address) as publisher:
            sending = asyncio.create_task(publisher.socket.send(publishes(10_000, size=400)))
            await sending
            await publisher.ask(16, 1, {"acknowledge": True}, TOPIC)
        assert 0 < longest <= 2 * READ_BYTES

    async def test_a_bystander_is_served_while_another_floods(self, node: RunningNode) -> None:
        async with joined(node.address) as publisher, joined(node.address) as bystander:
            handled: list[str] = []
            broker = node.router.realms["realm1"].broker
            original = broker.publish

            def publish(session: Any, message: Any) -> None:
                handled.append(message.topic)
                original(session, message)

            broker.publish = publish
            await publisher.socket.send(publishes(20_000))
            await bystander.ask(16, 1, {"acknowledge": True}, "com.example.bystander")
            assert "com.example.bystander" in handled
            assert len(handled) < 20_000
            broker.publish = original

    async def test_a_defect_in_a_message_that_waited_ends_only_its_session(
        self, node: RunningNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(Broker, "subscribe", _fail)
        async with joined(node.address) as unlucky, joined(node.address) as other:
            await unlucky.socket.send(publishes(20) + frame(TEXT, encode("json", [32, 1, {}, TOPIC])))
            close = await unlucky.socket.closed()
            assert (close.close_code, close.close_reason) == (1011, "the router failed; its log says where")
            assert (await other.ask(16, 1, {"acknowledge": True}, TOPIC))[0] == 17
        assert node.counter("transport_defects_total") == 1
        assert "ZeroDivisionError" in caplog.text


def _fail(*_: Any) -> None:
    raise ZeroDivisionError


async def test_a_defect_of_the_router_is_logged_counted_and_ends_only_its_session(
    node: RunningNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with joined(node.address) as unlucky, joined(node.address) as other:
        await subscribed(unlucky)
        monkeypatch.setattr(Broker, "publish", _fail)
        await unlucky.send([16, 1, {}, TOPIC])
        assert (await unlucky.socket.closed()).close_code == 1011
        monkeypatch.undo()
        assert (await other.ask(16, 1, {"acknowledge": True}, TOPIC))[0] == 17
    assert node.counter("transport_defects_total") == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "ZeroDivisionError" in caplog.text


class TestSlowReceiver:
    LIMIT = 64 * KIB

    async def test_is_disconnected_and_what_is_dropped_is_counted(self) -> None:
        config = one_path(outbox={"limit_bytes": self.LIMIT}, options={"close_timeout_s": 0.1})
        async with (
            running_node(config) as node,
            joined(node.address) as publisher,
            joined(node.address) as slow,
            joined(node.address) as healthy,
        ):
            await subscribed(slow)
            await subscribed(healthy)
            slow.socket.reader._transport.pause_reading()  # type: ignore[attr-defined]
            sent = 0
            while node.counter("transport_slow_receivers_total") == 0:
                await publisher.ask(16, 1, {"acknowledge": True}, TOPIC, [sent, "x" * 16 * KIB])
                assert await numbers(healthy, 1) == [sent]
                sent += 1
                assert sent < 2000, "the receiver was never found to be slow"
                waiting = [connection.waiting_bytes for connection in node.connections]
                assert max(waiting) <= self.LIMIT + 17 * KIB
            assert node.counter("transport_frames_dropped_total") >= 1
            # Its session is over at once, its connection soon.
            assert len(node.router.realms["realm1"].sessions) == 2
            await node.until(lambda: len(node.connections) == 2)
            await publisher.ask(16, 1, {"acknowledge": True}, TOPIC, ["after"])
            assert (await healthy.receive())[4] == ["after"]

    async def test_may_be_sent_more_than_its_limit_in_one_turn_when_it_keeps_up(self) -> None:
        async with (
            running_node(one_path(outbox={"limit_bytes": self.LIMIT})) as node,
            joined(node.address) as client,
        ):
            await subscribed(client)
            message = encode("json", [16, 1, {"exclude_me": False}, TOPIC, [1, "x" * 4 * self.LIMIT]])
            await client.socket.send_frame(TEXT, message)
            assert await numbers(client, 1) == [1]

    async def test_that_only_pings_is_disconnected_too(self) -> None:
        config = one_path(outbox={"limit_bytes": self.LIMIT}, options={"close_timeout_s": 0.1})
        async with running_node(config) as node, joined(node.address) as client:
            client.socket.reader._transport.pause_reading()  # type: ignore[attr-defined]
            pings = frame(PING, b"x" * 125) * 1000
            sent = 0
            while node.counter("transport_slow_receivers_total") == 0:
                client.socket.writer.write(pings)
                await asyncio.sleep(0)
                sent += 1
                assert sent < 2000, "the receiver was never found to be slow"
            await node.until(lambda: not node.connections)


class TestEnd:
    async def test_of_a_peer_that_answers_nothing_comes_after_the_close_timeout(
        self, node: RunningNode
    ) -> None:
        async with joined(node.address) as client:
            await client.socket.send_frame(TEXT, b"[7]")
            assert (await client.receive())[0] == 3
            assert (await client.socket.read_frame()).opcode == CLOSE
            assert await client.socket.ends() == b""
            await node.until(lambda: not node.connections)

    async def test_of_a_peer_that_closes_and_never_reads_comes_after_the_close_timeout(
        self, node: RunningNode
    ) -> None:
        async with joined(node.address) as client, joined(node.address) as publisher:
            await subscribed(client)
            await self.stuff(node, client, publisher)
            await client.socket.send_frame(CLOSE, b"")
            await node.until(lambda: len(node.connections) == 1)

    async def test_of_a_peer_that_closes_its_side_and_never_reads_comes_after_the_close_timeout(
        self, node: RunningNode
    ) -> None:
        async with joined(node.address) as client, joined(node.address) as publisher:
            await subscribed(client)
            await self.stuff(node, client, publisher)
            client.socket.writer.write_eof()
            await node.until(lambda: len(node.connections) == 1)
            assert len(node.router.realms["realm1"].sessions) == 1

    async def stuff(self, node: RunningNode, client: WampClient, publisher: WampClient) -> None:
        """Send `client`, which stops reading, so much that some of it waits in the router."""
        client.socket.reader._transport.pause_reading()  # type: ignore[attr-defined]
        (connection,) = [other for other in node.connections if other._session.id == client.session_id]
        while not connection.waiting_bytes:
            await publisher.ask(16, 1, {"acknowledge": True}, TOPIC, ["x" * 64 * KIB])

    async def test_of_a_peer_that_resets_is_noticed(self, node: RunningNode) -> None:
        async with joined(node.address) as client:
            await subscribed(client)
        await node.until(lambda: not node.connections)
        assert node.router.realms["realm1"].sessions == {}
        assert node.counter("transport_connections") == 0

    async def test_counts_each_connection_once(self, node: RunningNode) -> None:
        async with joined(node.address), joined(node.address):
            assert node.counter("transport_connections") == 2
            assert node.counter("transport_connections_opened_total") == 2
        await node.until(lambda: node.counter("transport_connections") == 0)
        assert node.counter("transport_connections_opened_total") == 2


class TestHello:
    async def test_that_does_not_come_ends_the_connection(self) -> None:
        async with running_node(one_path(hello={"hello_timeout_s": 0.1})) as node:
            client = await connect_wamp(node.address)
            assert await client.aborted() == (
                "wamp.error.protocol_violation",
                "no HELLO within 0.1 seconds",
            )
            assert node.counter("transport_hello_timeouts_total") == 1

    async def test_that_was_refused_leaves_no_clock_running(self) -> None:
        config = one_path(hello={"hello_timeout_s": 0.1}, options={"close_timeout_s": 0.3})
        async with running_node(config) as node:
            client = await connect_wamp(node.address)
            await client.send([1, "nowhere", {"roles": {"caller": {}}}])
            assert (await client.receive())[0] == 3
            assert (await client.socket.read_frame()).opcode == CLOSE
            # The peer does not answer CLOSE: the connection outlives the time for HELLO.
            assert await client.socket.ends() == b""
            assert node.counter("transport_hello_timeouts_total") == 0

    async def test_must_come_again_after_goodbye(self) -> None:
        async with (
            running_node(one_path(hello={"hello_timeout_s": 0.1})) as node,
            joined(node.address) as client,
        ):
            assert (await client.ask(6, {}, "wamp.close.normal"))[0] == 6
            assert (await client.aborted())[1] == "no HELLO within 0.1 seconds"

    async def test_of_a_session_somebody_else_let_in_leaves_no_clock_running_after_goodbye(self) -> None:
        asked = {"type": "dynamic", "authenticator": "com.example.authenticate"}
        door = {"type": "websocket", "auth": {"ticket": asked}}
        async with (
            running_node(node_config(web_transport({"ws": {"type": "websocket"}, "door": door}))) as node,
            joined(node.address) as authenticator,
        ):
            await authenticator.ask(64, 1, {}, "com.example.authenticate")
            client = await connect_wamp(node.address, path="/door")
            details = {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "joe"}
            assert (await client.ask(1, "realm1", details))[0] == 4
            await client.send([5, "s3cret", {}])
            invocation = await authenticator.receive()
            await authenticator.send([70, invocation[1], {}, ["anonymous"]])
            assert (await client.receive())[0] == 2
            (connection,) = [each for each in node.connections if each._session.principal.authid == "joe"]
            joining = connection._service.joining
            due_s = joining.due_s(connection)
            assert due_s is not None, "nothing has come in since"
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            # The loop's clock counts milliseconds.
            await node.until(lambda: loop.time() > began_s)
            assert (await client.ask(6, {}, "wamp.close.normal"))[0] == 6
            assert joining.due_s(connection) > due_s, "another HELLO is awaited"

    async def test_in_time_stops_the_clock(self) -> None:
        async with (
            running_node(one_path(hello={"hello_timeout_s": 0.1})) as node,
            joined(node.address) as early,
        ):
            late = await connect_wamp(node.address)
            assert (await late.aborted())[1] == "no HELLO within 0.1 seconds"
            assert (await early.ask(32, 1, {}, TOPIC))[0] == 33


async def test_a_silent_peer_is_pinged_and_dropped_unless_it_answers() -> None:
    config = one_path(options={"ping_interval_s": 1, "ping_timeout_s": 1})
    async with (
        running_node(config) as node,
        joined(node.address) as living,
        joined(node.address) as dead,
    ):

        async def answer_pings() -> None:
            while True:
                received = await living.socket.read_frame()
                if received.opcode == PING:
                    await living.socket.send_frame(PONG, received.payload)
                else:
                    assert received.opcode == TEXT

        answering = asyncio.create_task(answer_pings())
        assert (await dead.socket.read_frame()).opcode == PING
        assert await dead.socket.ends() == b""
        assert node.counter("transport_ping_timeouts_total") == 1
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        assert (await living.ask(32, 1, {}, TOPIC))[0] == 33


class TestMemory:
    async def test_the_kernel_holds_a_bound_for_a_receiver_too(self, node: RunningNode) -> None:
        async with joined(node.address):
            (connection,) = node.connections
            kernel = connection._transport.get_extra_info("socket")
            # Linux doubles what is asked for, and tells the double.
            assert kernel.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SEND_BUFFER_BYTES

    async def test_a_payload_that_is_kept_stays_what_it_was(self, node: RunningNode) -> None:
        async with joined(node.address) as listener, joined(node.address) as client:
            for letter in "abc":
                # The parser reads all of them into the same place.
                options = {"acknowledge": True, "retain": True}
                await client.ask(16, 1, options, f"{TOPIC}.{letter}", [letter * 500], {"k": letter * 500})
            await listener.ask(32, 1, {"match": "prefix", "get_retained": True}, f"{TOPIC}.")
            kept = [(await listener.receive())[4:] for _ in "abc"]
        assert kept == [[[letter * 500], {"k": letter * 500}] for letter in "abc"]

    @pytest.mark.parametrize(
        "behind",
        [b"", frame(TEXT, b'[16,2,{},"com.example.t"]'), frame(PING, b"")],
        ids=["nothing behind it", "a message behind it", "a ping behind it"],
    )
    async def test_a_large_message_leaves_no_large_buffer(self, node: RunningNode, behind: bytes) -> None:
        async with joined(node.address) as client:
            large = encode("json", [16, 1, {}, TOPIC, ["x" * (MIB - 100)]])
            await client.socket.send(frame(TEXT, large) + behind)
            await client.socket.send_frame(PING, b"done")
            while (await client.socket.read_frame()).payload != b"done":
                pass
            (connection,) = node.connections
            await node.until(lambda: _buffer_bytes(connection) == 0)
            assert _spare_bytes(connection) <= BUFFER_BYTES
            assert (await client.ask(32, 1, {}, TOPIC))[0] == 33

    async def test_a_flood_of_small_messages_leaves_no_large_buffer(self, node: RunningNode) -> None:
        async with joined(node.address) as client:
            await client.socket.send(publishes(20_000, size=100))
            await client.ask(16, 1, {"acknowledge": True}, TOPIC)
            await client.ask(16, 1, {"acknowledge": True}, TOPIC)
            (connection,) = node.connections
            assert _buffer_bytes(connection) == 0
            assert _spare_bytes(connection) <= BUFFER_BYTES

    async def test_large_messages_one_after_another_all_arrive(self, node: RunningNode) -> None:
        async with joined(node.address) as publisher, joined(node.address) as subscriber:
            await subscribed(subscriber)
            sending = asyncio.create_task(publisher.socket.send(publishes(20, size=200 * KIB)))
            assert await numbers(subscriber, 20) == list(range(1, 21))
            await sending


def _buffer_bytes(connection: WebSocketConnection) -> int:
    """Return how much memory `connection` reads into."""
    return 0 if connection._parser is None else connection._parser._size


def _spare_bytes(connection: WebSocketConnection) -> int:
    """Return how much is kept for whoever reads next at the endpoint of `connection`."""
    return sum(parser._size for parser in connection._service.parsers._spare)


class TestOrigin:
    @pytest.fixture
    async def strict(self) -> AsyncIterator[RunningNode]:
        async with running_node(
            one_path(options={"allowed_origins": ["self", "https://app.example"]})
        ) as node:
            yield node

    @pytest.mark.parametrize(
        ("origin", "host", "status"),
        [
            (None, "127.0.0.1", 101),
            ("http://localhost:8080", "localhost:8080", 101),
            ("https://app.example", "127.0.0.1", 101),
            ("http://evil.example", "127.0.0.1", 403),
            ("http://evil.example:8080", "evil.example:8080", 403),
            ("null", "127.0.0.1", 403),
        ],
        ids=[
            "no page",
            "our page",
            "an allowed page",
            "a foreign page",
            "a page whose name leads here",
            "a file",
        ],
    )
    async def test_of_the_page_decides(
        self, strict: RunningNode, origin: str | None, host: str, status: int
    ) -> None:
        connection = await Connection.open(strict.address)
        await connection.send(upgrade_request(headers={"Origin": origin, "Host": host}))
        response = await connection.response()
        assert response.status == status
        if status == 403:
            assert response.body == f"pages from {origin} may not connect here\n".encode()
            assert await connection.ends() == b""
            assert strict.counter("transport_upgrades_refused_total") == 1
        connection.abort()

    async def test_of_other_sites_is_refused_by_default(self, node: RunningNode) -> None:
        for origin in ("http://any.example", "http://127.0.0.1:1", "null"):
            connection = await Connection.open(node.address)
            await connection.send(upgrade_request(headers={"Origin": origin}))
            assert (await connection.response()).status == 403
            connection.abort()
        (await open_websocket(node.address, headers={"Origin": "http://127.0.0.1"})).abort()


@pytest.fixture(params=["read by HTTP", "read at once"])
def handshake_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads a handshake that is not known."""
    if request.param == "read by HTTP":
        monkeypatch.setattr(FirstRequest, "_is_upgraded", lambda _self, _data: False)


@pytest.mark.usefixtures("handshake_reader")
async def test_nothing_of_the_handshake_lives_as_long_as_the_connection(node: RunningNode) -> None:
    client = await connect_wamp(node.address, "json")
    await client.join()
    gc.collect()
    assert not [held for held in gc.get_objects() if type(held) is GuardedHttpProtocol]


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.usefixtures("handshake_reader")
async def test_nothing_of_a_connection_that_is_gone_is_left_to_the_garbage_collector(
    node: RunningNode, *, is_known: bool
) -> None:
    async def come_and_go() -> None:
        if not is_known:
            node.http.known_handshakes._openings.clear()
        async with joined(node.address) as client:
            await subscribed(client)
        await node.until(lambda: not node.connections)

    def held() -> int:
        kinds = (WebSocketConnection, Session, GuardedHttpProtocol)
        return len([each for each in gc.get_objects() if type(each) in kinds])

    await come_and_go()
    gc.collect()
    before = held()
    gc.disable()
    try:
        for _ in range(3):
            await come_and_go()
        await node.until(lambda: held() == before)
    finally:
        gc.enable()
