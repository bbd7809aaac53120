"""RawSocket connections: handshake, messages, pings, limits, and how they end."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.routing.broker import Broker
from heliograph.transports.connection import HELD_BYTES
from heliograph.transports.rawsocket import RawSocketConnection
from tests.support.nodes import RunningNode, node_config, rawsocket_transport, running_node, web_transport
from tests.support.rawsocket import (
    MESSAGE,
    PING,
    PONG,
    RawSocket,
    joined_rawsocket,
    open_rawsocket,
    rawsocket_frame,
)
from tests.support.websocket import encode, joined

TOPIC = "com.example.t"
PROCEDURE = "com.example.p"
KIB, MIB = 1024, 1024 * 1024
VIOLATION = "wamp.error.protocol_violation"
TOO_LONG = "wamp.error.payload_size_exceeded"


def rawsocket(**more: Any) -> dict[str, Any]:
    return node_config(rawsocket_transport(**more))


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    async with running_node(rawsocket(options={"close_timeout_s": 0.3})) as running:
        yield running


class TestHandshake:
    @pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
    async def test_is_answered_with_the_clients_serializer_and_the_routers_limit(
        self, node: RunningNode, serializer: str
    ) -> None:
        async with joined_rawsocket(node.address, serializer) as client:
            # 2^(9+11) is 1 MiB.
            assert client.answer[1] >> 4 == 11
            assert client.answer[2:] == b"\0\0"
            assert (await client.ask(32, 1, {}, TOPIC))[0] == 33

    async def test_announces_the_power_of_two_below_the_configured_limit(self) -> None:
        async with running_node(rawsocket(options={"max_message_size": 5000})) as node:
            client = await open_rawsocket(node.address)
            await client.shake_hands()
            assert 2 ** (9 + (client.answer[1] >> 4)) == 4096

    async def test_may_come_octet_by_octet(self, node: RunningNode) -> None:
        client = await open_rawsocket(node.address)
        for octet in b"\x7f\xf1\0":
            await client.send(bytes([octet]))
            await asyncio.sleep(0)
        await client.send(b"\0" + client.framed([1, "realm1", {"roles": {"caller": {}}}]))
        assert await client.octets(4) == bytes.fromhex("7fb10000")
        assert (await client.receive())[0] == 2

    async def test_may_have_messages_behind_it(self, node: RunningNode) -> None:
        client = await open_rawsocket(node.address)
        hello = client.framed([1, "realm1", {"roles": {"subscriber": {}}}], [32, 1, {}, TOPIC])
        await client.send(b"\x7f\xf1\0\0" + hello)
        await client.octets(4)
        assert [(await client.receive())[0] for _ in range(2)] == [2, 33]

    @pytest.mark.parametrize(
        ("octets", "answer"),
        [
            ("7ff00000", "7f100000"),
            ("7ff40000", "7f100000"),
            ("7ff50000", "7f100000"),
            ("7f010000", "7f200000"),
            ("7f110000", "7f200000"),
            ("7ff10001", "7f300000"),
            ("7ff18000", "7f300000"),
        ],
        ids=[
            "serializer 0",
            "ubjson",
            "flatbuffers",
            "512 octets",
            "1024 octets",
            "last octet",
            "third octet",
        ],
    )
    async def test_that_asks_for_too_much_is_answered_with_its_error(
        self, node: RunningNode, octets: str, answer: str
    ) -> None:
        client = await open_rawsocket(node.address)
        # What comes behind it does not take the answer from the client.
        await client.send(bytes.fromhex(octets) + b"x" * KIB)
        assert (await client.ends()).hex() == answer
        assert node.counter("transport_handshakes_refused_total") == 1

    async def test_for_a_serializer_that_is_not_configured_is_answered_with_error_1(self) -> None:
        async with running_node(rawsocket(serializers=["cbor"])) as node:
            client = await open_rawsocket(node.address)
            await client.send(bytes.fromhex("7ff10000"))
            assert (await client.ends()).hex() == "7f100000"

    @pytest.mark.parametrize("garbage", [b"G", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\0", b"\xff" * 5000])
    async def test_that_is_none_ends_the_connection_without_an_answer(
        self, node: RunningNode, garbage: bytes
    ) -> None:
        client = await open_rawsocket(node.address)
        await client.send(garbage)
        assert await client.ends() == b""
        await node.until(lambda: node.counter("transport_connections") == 0)
        assert node.counter("transport_handshakes_refused_total") == 1

    @pytest.mark.parametrize("octets", ["", "7f", "7ff100"])
    async def test_that_is_not_completed_ends_after_the_hello_timeout(self, octets: str) -> None:
        async with running_node(rawsocket(hello={"hello_timeout_s": 0.1})) as node:
            client = await open_rawsocket(node.address)
            await client.send(bytes.fromhex(octets))
            assert await client.ends() == b""
            assert node.counter("transport_hello_timeouts_total") == 1
            assert node.counter("transport_connections") == 0

    @pytest.mark.parametrize("octets", ["", "7ff1"])
    async def test_that_is_truncated_leaves_nothing(self, node: RunningNode, octets: str) -> None:
        client = await open_rawsocket(node.address)
        await client.send(bytes.fromhex(octets))
        await node.until(lambda: node.counter("transport_connections") == 1)
        client.writer.write_eof()
        assert await client.ends() == b""
        await node.until(lambda: node.counter("transport_connections") == 0)
        assert not node.node._ports[0].services[0]._handshakes  # type: ignore[attr-defined]

    async def test_without_hello_behind_it_ends_with_abort(self) -> None:
        async with running_node(rawsocket(hello={"hello_timeout_s": 0.1})) as node:
            client = await open_rawsocket(node.address)
            await client.shake_hands()
            assert await client.aborted() == (VIOLATION, "no HELLO within 0.1 seconds")
            assert node.counter("transport_hello_timeouts_total") == 1


class TestPing:
    async def test_is_answered_with_its_octets_also_before_hello(self, node: RunningNode) -> None:
        client = await open_rawsocket(node.address)
        await client.shake_hands()
        for payload in (b"", b"\0\1\2", b"x" * 70_000):
            await client.send(rawsocket_frame(payload, PING))
            assert await client.read_frame() == (PONG, payload)
        await client.join()

    async def test_that_asks_for_a_longer_pong_than_it_takes_fails(self, node: RunningNode) -> None:
        async with joined_rawsocket(node.address, exponent=2) as client:
            await client.send(rawsocket_frame(b"x" * 2049, PING))
            assert (await client.aborted())[1] == "a PING is longer than the PONG may be"

    async def test_a_pong_nobody_asked_for_is_ignored(self, node: RunningNode) -> None:
        async with joined_rawsocket(node.address) as client:
            await client.send(rawsocket_frame(b"?", PONG))
            assert (await client.ask(32, 1, {}, TOPIC))[0] == 33

    async def test_goes_to_silent_peers_that_are_dropped_unless_they_answer(self) -> None:
        config = rawsocket(options={"ping_interval_s": 1, "ping_timeout_s": 1})
        async with (
            running_node(config) as node,
            joined_rawsocket(node.address) as living,
            joined_rawsocket(node.address) as dead,
        ):

            async def answer_pings() -> None:
                while True:
                    kind, payload = await living.read_frame()
                    assert kind == PING
                    await living.send(rawsocket_frame(payload, PONG))

            answering = asyncio.create_task(answer_pings())
            kind, payload = await dead.read_frame()
            assert (kind, len(payload)) == (PING, 8)
            assert await dead.ends() == b""
            assert node.counter("transport_ping_timeouts_total") == 1
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            assert (await living.ask(32, 1, {}, TOPIC))[0] == 33

    async def test_is_left_to_the_kernel_by_default(self, node: RunningNode) -> None:
        async with joined_rawsocket(node.address):
            (connection,) = node.connections
            kernel = connection._transport.get_extra_info("socket")
            assert kernel.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
            assert node.node._ports[0].services[0]._pinging is None

    @pytest.mark.parametrize("kind", [PING, PONG])
    async def test_very_many_of_one_turn_wait_for_the_next(self, node: RunningNode, kind: int) -> None:
        async with joined_rawsocket(node.address) as client:
            (connection,) = node.connections
            assert isinstance(connection, RawSocketConnection)
            await client.ask(32, 1, {}, TOPIC)
            node.node._turn.work_budget = 10
            node.node._turn._work_left = 10
            connection.data_received(rawsocket_frame(b"", kind) * 9)
            assert not connection._is_paused
            connection.data_received(rawsocket_frame(b"", kind))
            assert connection._is_paused
            assert len(connection._pongs) == (10 if kind == PING else 0), "they leave together"
            for _ in connection._pongs:
                assert await client.read_frame() == (PONG, b"")
            await node.until(lambda: not connection._is_paused)
            assert (await client.ask(32, 2, {}, TOPIC))[0] == 33

    async def test_very_many_behind_a_message_that_waits_for_a_decision_are_not_read(
        self, node: RunningNode
    ) -> None:
        async with joined_rawsocket(node.address) as client:
            (connection,) = node.connections
            assert isinstance(connection, RawSocketConnection)
            connection.hold()
            connection.data_received(rawsocket_frame(b"", PING) * (HELD_BYTES // 4))
            assert not connection._is_paused
            connection.data_received(rawsocket_frame(b"", PING))
            assert connection._is_paused
            connection.release()
            await node.until(lambda: not connection._is_paused)
            for _ in range(HELD_BYTES // 4 + 1):
                assert await client.read_frame() == (PONG, b"")

    async def test_flood_from_a_peer_that_reads_nothing_ends_it(self) -> None:
        config = rawsocket(outbox={"limit_bytes": 64 * KIB}, options={"close_timeout_s": 0.1})
        async with running_node(config) as node, joined_rawsocket(node.address) as client:
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            pings = rawsocket_frame(b"x" * KIB, PING) * 100
            sent = 0
            while node.counter("transport_slow_receivers_total") == 0:
                client.writer.write(pings)
                await asyncio.sleep(0)
                sent += 1
                assert sent < 2000, "the receiver was never found to be slow"
            await node.until(lambda: not node.connections)


class TestViolation:
    @pytest.mark.parametrize("is_joined", [False, True], ids=["before HELLO", "in a session"])
    @pytest.mark.parametrize(
        ("head", "text"),
        [
            *((f"0{kind}000000", f"frames of type {kind} are reserved") for kind in range(3, 8)),
            ("10000000", "a reserved bit of a frame is set"),
            ("80000000", "a reserved bit of a frame is set"),
            ("00100001", "a frame of 1048577 octets is longer than the announced 1048576"),
            ("08000000", "a frame of 16777216 octets is longer than the announced 1048576"),
        ],
    )
    async def test_of_the_framing_ends_the_connection_and_says_why(
        self, node: RunningNode, head: str, text: str, is_joined: bool
    ) -> None:
        async with joined_rawsocket(node.address) as bystander:
            client = await open_rawsocket(node.address)
            await client.shake_hands()
            if is_joined:
                await client.join()
            await client.send(bytes.fromhex(head) + b"x" * KIB)
            assert await client.aborted() == (VIOLATION, text)
            assert node.counter("transport_violations_total") == 1
            assert (await bystander.ask(32, 1, {}, TOPIC))[0] == 33

    @pytest.mark.parametrize(
        ("serializer", "payload"),
        [
            ("json", b""),
            ("json", b'[16,1,{},"com.example.t",["\xff\xfe"]]'),
            ("json", b"\xef\xbb\xbf[]"),
            ("json", b"[16,1"),
            ("msgpack", b"\xc1"),
            ("cbor", b"\xff"),
            ("cbor", b'[32,1,{},"com.example.t"]'),
        ],
    )
    async def test_of_the_serializer_aborts(self, node: RunningNode, serializer: str, payload: bytes) -> None:
        async with joined_rawsocket(node.address, serializer) as client:
            await client.send(rawsocket_frame(payload))
            assert (await client.aborted())[0] == VIOLATION

    async def test_nothing_is_handled_behind_it(self, node: RunningNode) -> None:
        async with joined_rawsocket(node.address) as publisher, joined_rawsocket(node.address) as other:
            assert (await other.ask(32, 1, {}, TOPIC))[0] == 33
            event = publisher.framed([16, 1, {}, TOPIC, ["before"]])
            await publisher.send(event + rawsocket_frame(b"", 3) + event)
            assert (await publisher.aborted())[0] == VIOLATION
            assert (await other.receive())[4] == ["before"]
            # Had there been more, it would stand before this answer.
            assert (await other.ask(32, 2, {}, "com.example.other"))[0] == 33

    async def test_of_a_defect_of_the_router_ends_only_its_session(
        self, node: RunningNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: Any) -> None:
            raise ZeroDivisionError

        async with joined_rawsocket(node.address) as unlucky, joined_rawsocket(node.address) as other:
            monkeypatch.setattr(Broker, "subscribe", fail)
            await unlucky.tell([32, 1, {}, TOPIC])
            assert await unlucky.aborted() == (
                "wamp.error.runtime_error",
                "the router failed; its log says where",
            )
            monkeypatch.undo()
            assert (await other.ask(32, 1, {}, TOPIC))[0] == 33
        assert node.counter("transport_defects_total") == 1
        assert "ZeroDivisionError" in caplog.text


class TestOrder:
    async def test_messages_beyond_a_turn_are_handled_in_order(self, node: RunningNode) -> None:
        node.node._turn.work_budget = 4
        async with joined_rawsocket(node.address) as publisher, joined_rawsocket(node.address) as subscriber:
            assert (await subscriber.ask(32, 1, {}, TOPIC))[0] == 33
            await publisher.tell(*([16, n, {}, TOPIC, [n]] for n in range(1, 501)))
            publisher.writer.write_eof()
            assert [(await subscriber.receive())[4][0] for _ in range(500)] == list(range(1, 501))
            assert await publisher.ends() == b""

    async def test_abort_never_overtakes_events_that_wait(self, node: RunningNode) -> None:
        async with joined_rawsocket(node.address) as client:
            assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
            events = [[16, n, {"exclude_me": False}, TOPIC, [n]] for n in range(1, 101)]
            await client.send(client.framed(*events) + rawsocket_frame(b"", 7))
            assert [(await client.receive())[4][0] for _ in range(100)] == list(range(1, 101))
            assert (await client.aborted())[0] == VIOLATION

    async def test_goodbye_is_answered_and_another_session_may_follow(self, node: RunningNode) -> None:
        async with joined_rawsocket(node.address) as client:
            assert await client.ask(6, {}, "wamp.close.normal") == [6, {}, "wamp.close.goodbye_and_out"]
            await client.join()

    async def test_a_flood_waits_in_the_kernel_not_in_the_router(
        self, node: RunningNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        longest = 0
        original = RawSocketConnection.handle_next

        def handle_next(connection: RawSocketConnection) -> bool:
            nonlocal longest
            backlog = connection._backlog or ()
            longest = max(longest, sum(len(item) for item in backlog if isinstance(item, bytes)))
            return original(connection)

        monkeypatch.setattr(RawSocketConnection, "handle_next", handle_next)
        node.node._turn.work_budget = 4
        async with joined_rawsocket(node.address) as publisher:
            await publisher.tell(*([16, n, {}, TOPIC, ["x" * 400]] for n in range(1, 10_001)))
            await publisher.ask(16, 1, {"acknowledge": True}, TOPIC)
        assert 0 < longest <= 512 * KIB


class TestLimit:
    """2^(9+2) octets are all that the small clients here take."""

    async def test_of_16_mib_takes_exactly_that(self) -> None:
        config = rawsocket(options={"max_message_size": 16 * MIB}, outbox={"limit_bytes": 64 * MIB})
        async with (
            running_node(config) as node,
            joined_rawsocket(node.address) as publisher,
            joined_rawsocket(node.address) as subscriber,
        ):
            assert (await subscriber.ask(32, 1, {}, TOPIC))[0] == 33
            around = len(encode("json", [16, 1, {}, TOPIC, [""]]))
            length = 16 * MIB - around
            message = encode("json", [16, 1, {}, TOPIC, ["x" * length]])
            await publisher.send(bytes.fromhex("08000000") + message)
            # Written without spaces, the event is a little shorter.
            assert len((await subscriber.receive())[4][0]) == length

    async def test_of_one_subscriber_costs_the_others_nothing(self, node: RunningNode) -> None:
        async with (
            joined_rawsocket(node.address) as publisher,
            joined_rawsocket(node.address, exponent=2) as small,
            joined_rawsocket(node.address) as large,
        ):
            for subscriber in (small, large):
                assert (await subscriber.ask(32, 1, {}, TOPIC))[0] == 33
            for payload in ("x" * 3000, "fits"):
                answer = await publisher.ask(16, 1, {"acknowledge": True}, TOPIC, [payload])
                assert answer[0] == 17
            assert [(await large.receive())[4] for _ in range(2)] == [["x" * 3000], ["fits"]]
            assert (await small.receive())[4] == ["fits"]
            assert node.counter("transport_messages_too_long_total") == 1

    async def test_of_a_callee_is_told_to_the_caller(self, node: RunningNode) -> None:
        async with (
            joined_rawsocket(node.address, exponent=2) as callee,
            joined_rawsocket(node.address) as caller,
        ):
            assert (await callee.ask(64, 1, {}, PROCEDURE))[0] == 65
            error = await caller.ask(48, 1, {}, PROCEDURE, ["x" * 3000])
            assert error[:2] == [8, 48]
            assert error[4] == TOO_LONG
            assert "at most 2048 octets" in error[5][0]
            await caller.tell([48, 2, {}, PROCEDURE, ["fits"]])
            assert (await callee.receive())[0] == 68

    async def test_of_a_caller_turns_a_long_result_into_an_error(self, node: RunningNode) -> None:
        async with (
            joined_rawsocket(node.address) as callee,
            joined_rawsocket(node.address, exponent=2) as caller,
        ):
            assert (await callee.ask(64, 1, {}, PROCEDURE))[0] == 65
            await caller.tell([48, 1, {}, PROCEDURE])
            invocation = await callee.receive()
            await callee.tell([70, invocation[1], {}, ["x" * 3000]])
            error = await caller.receive()
            assert (error[0], error[4]) == (8, TOO_LONG)
            assert (await callee.ask(32, 2, {}, TOPIC))[0] == 33

    async def test_of_a_caller_costs_a_long_error_its_arguments(self, node: RunningNode) -> None:
        async with (
            joined_rawsocket(node.address) as callee,
            joined_rawsocket(node.address, exponent=2) as caller,
        ):
            assert (await callee.ask(64, 1, {}, PROCEDURE))[0] == 65
            await caller.tell([48, 1, {}, PROCEDURE])
            invocation = await callee.receive()
            await callee.tell([8, 68, invocation[1], {}, "com.example.error", ["x" * 3000]])
            assert await caller.receive() == [8, 48, 1, {}, "com.example.error"]

    async def test_costs_an_abort_its_text(self, node: RunningNode) -> None:
        client = await open_rawsocket(node.address)
        await client.shake_hands(exponent=2)
        # The text repeats what was offered.
        details = {"roles": {"caller": {}}, "authmethods": ["x" * 3000]}
        abort = await client.ask(1, "realm1", details)
        assert (abort[0], abort[2]) == (3, "wamp.error.no_matching_auth_method")
        assert await client.ends() == b""

    async def test_is_for_the_whole_message_whatever_a_websocket_sends(self) -> None:
        config = node_config(
            web_transport({"ws": {"type": "websocket", "options": {"max_message_size": 32 * MIB}}}),
            rawsocket_transport(outbox={"limit_bytes": 64 * MIB}),
        )
        async with (
            running_node(config) as node,
            joined(node.addresses[0]) as publisher,
            joined_rawsocket(node.addresses[1]) as subscriber,
        ):
            assert (await subscriber.ask(32, 1, {}, TOPIC))[0] == 33
            for payload in ("x" * 17 * MIB, "fits"):
                assert (await publisher.ask(16, 1, {"acknowledge": True}, TOPIC, [payload]))[0] == 17
            assert (await subscriber.receive())[4] == ["fits"]
            assert node.counter("transport_messages_too_long_total") == 1


class TestEnd:
    async def test_of_a_peer_that_resets_is_noticed(self, node: RunningNode) -> None:
        async with joined_rawsocket(node.address):
            assert len(node.connections) == 1
        await node.until(lambda: not node.connections)
        assert node.router.realms["realm1"].sessions == {}
        assert node.counter("transport_connections") == 0

    async def test_of_a_peer_that_never_closes_comes_after_the_close_timeout(self, node: RunningNode) -> None:
        async with joined_rawsocket(node.address) as client:
            await client.tell([7])
            assert (await client.receive())[0] == 3
            assert await client.ends() == b""
            await node.until(lambda: not node.connections)

    async def test_of_the_router_says_goodbye(self) -> None:
        async with running_node(rawsocket()) as node, joined_rawsocket(node.address) as client:
            early = await open_rawsocket(node.address)
            await early.shake_hands()
            late = await open_rawsocket(node.address)
            await node.until(lambda: node.counter("transport_connections") == 3)
            stopping = asyncio.create_task(node.node.stop())
            goodbye = await client.receive()
            assert (goodbye[0], goodbye[2]) == (6, "wamp.close.system_shutdown")
            await client.tell([6, {}, "wamp.close.goodbye_and_out"])
            assert await client.ends() == b""
            assert (await early.aborted())[0] == "wamp.close.system_shutdown"
            early.abort()
            assert await late.ends() == b""
            await asyncio.wait_for(stopping, 5)

    async def test_of_a_slow_receiver_is_told_and_counted(self) -> None:
        config = rawsocket(outbox={"limit_bytes": 64 * KIB}, options={"close_timeout_s": 0.1})
        async with (
            running_node(config) as node,
            joined_rawsocket(node.address) as publisher,
            joined_rawsocket(node.address) as slow,
        ):
            assert (await slow.ask(32, 1, {}, TOPIC))[0] == 33
            slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
            sent = 0
            while node.counter("transport_slow_receivers_total") == 0:
                await publisher.ask(16, 1, {"acknowledge": True}, TOPIC, ["x" * 16 * KIB])
                sent += 1
                assert sent < 2000, "the receiver was never found to be slow"
                waiting = [connection.waiting_bytes for connection in node.connections]
                assert max(waiting) <= 64 * KIB + 17 * KIB
            assert node.counter("transport_frames_dropped_total") >= 1
            await node.until(lambda: len(node.connections) == 1)


async def test_one_event_is_framed_once_for_all_of_a_format(
    node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients: list[RawSocket] = []
    for _ in range(5):
        client = await open_rawsocket(node.address)
        await client.shake_hands("cbor")
        await client.join()
        assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
        clients.append(client)
    written: list[bytes] = []
    original = RawSocketConnection.flush

    def flush(connection: RawSocketConnection) -> int:
        written.extend(connection.outbox)
        return original(connection)

    monkeypatch.setattr(RawSocketConnection, "flush", flush)
    async with joined_rawsocket(node.address, "cbor") as publisher:
        await publisher.tell([16, 1, {}, TOPIC, ["x"]])
        for client in clients:
            assert (await client.receive())[4] == ["x"]
    events = [frame for frame in written if b"x" in frame[-2:]]
    assert len(events) == 5
    assert len({id(frame) for frame in events}) == 1


async def test_a_unix_socket_serves_it_too(tmp_path: Path) -> None:
    config = node_config({"type": "rawsocket", "endpoint": {"type": "unix", "path": "router.sock"}})
    async with (
        running_node(config, directory=tmp_path) as node,
        joined_rawsocket(str(tmp_path / "router.sock"), "msgpack") as client,
    ):
        assert node.node.urls == [f"unix:{tmp_path / 'router.sock'}"]
        assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
        await client.send(rawsocket_frame(b"\xc1", MESSAGE))
        assert (await client.aborted())[0] == VIOLATION
