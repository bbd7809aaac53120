"""The way out: what is shared, how much is written in a turn, what counts into the limit, who is cut off."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.transports.send_queue import HANDED_BYTES, IN_TRANSPORT_BYTES, STEP_BYTES
from heliograph.transports.sending import End
from heliograph.transports.turn import WRITE_BUDGET
from heliograph.wamp.messages import PLAIN_PUBLISH, Result, ResultDetails
from heliograph.wamp.payload import PlainPayload
from tests.support.certificates import Identity, client_context
from tests.support.nodes import OPEN_REALM, RunningNode, node_config, running_node
from tests.support.rawsocket import PING as RAW_PING
from tests.support.rawsocket import PONG as RAW_PONG
from tests.support.rawsocket import RawSocket, joined_rawsocket, rawsocket_frame
from tests.support.websocket import CLOSE, PING, PONG, Tls, WampClient, joined

KIB = 1024
MIB = 1024 * KIB
LIMIT = 64 * KIB
TOPIC = "com.example.t"
KINDS = ("websocket", "rawsocket", "websocket-tls", "rawsocket-tls")
kinds = pytest.mark.parametrize("kind", KINDS)


class World:
    """Files of TLS, and nodes with one transport of each kind."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Identity(directory, "authority")
        Identity(directory, "server", self.authority)

    @contextlib.asynccontextmanager
    async def node(self, kind: str, **options: Any) -> AsyncIterator[RunningNode]:
        transport, _, tls = kind.partition("-")
        endpoint: dict[str, Any] = {"type": "tcp", "port": 0, "interface": "127.0.0.1"}
        if tls:
            endpoint["tls"] = {"key": "server.key", "certificate": "server.crt"}
        options = {"options": {}, **options}
        if transport == "websocket":
            options["options"] = {"max_message_size": 8 * MIB, **options["options"]}
        config = node_config({"type": transport, "endpoint": endpoint, **options}, realm=OPEN_REALM)
        async with running_node(config, directory=self.directory) as node:
            yield node

    @contextlib.asynccontextmanager
    async def client(self, kind: str, node: RunningNode) -> AsyncIterator[Any]:
        transport, _, tls = kind.partition("-")
        door: Any = Tls(node.address, client_context(self.authority)) if tls else node.address
        if transport == "websocket":
            async with joined(door, path="/") as client:
                yield client
        else:
            async with joined_rawsocket(door) as client:
                yield client


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("tls"))


def reading(client: WampClient | RawSocket) -> Any:
    """Return what can be told to pause and to go on."""
    reader = client.reader if isinstance(client, RawSocket) else client.socket.reader
    return reader._transport  # type: ignore[attr-defined]


def end_of(node: RunningNode, client: WampClient | RawSocket) -> Any:
    """Return the router's end of `client`."""
    (connection,) = [each for each in node.connections if each._session.id == client.session_id]
    return connection


def is_stuck(end: Any) -> bool:
    """Return whether the socket takes no more."""
    return end._send_queue is not None and end._send_queue.is_paused


def publish(node: RunningNode, *args: Any, by: WampClient | RawSocket, topic: str = TOPIC) -> None:
    """Publish within the turn at hand."""
    session = node.router.realms["realm1"].sessions[by.session_id]
    session.publish(topic, PLAIN_PUBLISH, PlainPayload(list(args)))


@kinds
async def test_receivers_that_do_not_read_share_one_large_event(world: World, kind: str) -> None:
    async with world.node(kind) as node, contextlib.AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(world.client(kind, node))
        ends = []
        for _ in range(10):
            client = await stack.enter_async_context(world.client(kind, node))
            await client.ask(32, 1, {}, TOPIC)
            reading(client).pause_reading()
            ends.append(end_of(node, client))
        publish(node, "x" * 3 * MIB, by=publisher)
        await node.until(lambda: all(map(is_stuck, ends)))
        for each in ends:
            assert each._transport.get_write_buffer_size() <= IN_TRANSPORT_BYTES
            assert each.waiting_bytes > MIB, "the kernel has taken too much: make the event larger"
        assert len({id(each._send_queue._piece) for each in ends}) == 1, "not one copy"


@kinds
async def test_all_comes_in_order_whatever_its_size_and_however_it_is_read(world: World, kind: str) -> None:
    draw = random.Random(kind)
    async with (
        world.node(kind, outbox={"limit_bytes": 64 * MIB}) as node,
        world.client(kind, node) as publisher,
        world.client(kind, node) as reader,
    ):
        await reader.ask(32, 1, {}, TOPIC)
        sent: list[list[Any]] = []
        heard: list[list[Any]] = []
        for _ in range(40):
            for _ in range(draw.choice([1, 1, 3, 150])):
                size = draw.choice([0, 20, 300, 3 * KIB, 5 * KIB, 20 * KIB, 100 * KIB])
                sent.append([len(sent), draw.choice("abc") * size])
                publish(node, *sent[-1], by=publisher)
            if draw.random() < 0.5:
                draw.choice([reading(reader).pause_reading, reading(reader).resume_reading])()
            await asyncio.sleep(0)
        reading(reader).resume_reading()
        while len(heard) < len(sent):
            heard.append((await reader.receive())[4])
        assert heard == sent
        assert node.counter("transport_frames_sent_total") == len(sent) + 3, "two WELCOMEs and SUBSCRIBED"
        await node.until(lambda: all(each._send_queue is None for each in node.connections))


def test_the_pure_event_loop_keeps_the_order_too(world: World) -> None:
    async def talk() -> None:
        async with (
            world.node("websocket") as node,
            world.client("websocket", node) as publisher,
            world.client("websocket", node) as reader,
        ):
            await reader.ask(32, 1, {}, TOPIC)
            reading(reader).pause_reading()
            for number in range(20):
                publish(node, number, "x" * 150 * KIB, by=publisher)
            await node.until(lambda: is_stuck(end_of(node, reader)))
            reading(reader).resume_reading()
            assert [(await reader.receive())[4][0] for _ in range(20)] == list(range(20))

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(talk())


@kinds
async def test_what_is_said_last_comes_behind_all_that_waits(world: World, kind: str) -> None:
    async with (
        world.node(kind) as node,
        world.client(kind, node) as publisher,
        world.client(kind, node) as reader,
    ):
        await reader.ask(32, 1, {}, TOPIC)
        reading(reader).pause_reading()
        for number in range(3):
            publish(node, number, "x" * MIB, by=publisher)
        await node.until(lambda: end_of(node, reader)._send_queue is not None)
        end_of(node, reader).end(End.GOING_AWAY)
        reading(reader).resume_reading()
        assert [(await reader.receive())[4][0] for _ in range(3)] == [0, 1, 2]
        if isinstance(reader, RawSocket):
            assert (await reader.aborted())[0] == "wamp.close.system_shutdown"
        else:
            assert (await reader.socket.closed()).close_code == 1001


@kinds
async def test_who_reads_nothing_is_dropped_soon_after_the_goodbye(world: World, kind: str) -> None:
    async with (
        world.node(kind, options={"close_timeout_s": 0.1}) as node,
        world.client(kind, node) as publisher,
        world.client(kind, node) as reader,
    ):
        await reader.ask(32, 1, {}, TOPIC)
        reading(reader).pause_reading()
        publish(node, "x" * 3 * MIB, by=publisher)
        await node.until(lambda: is_stuck(end_of(node, reader)))
        end_of(node, reader).end(End.GOING_AWAY)
        await node.until(lambda: len(node.connections) == 1)


async def test_a_peer_that_has_closed_its_side_still_gets_what_waits(world: World) -> None:
    async with (
        world.node("rawsocket") as node,
        world.client("rawsocket", node) as publisher,
        world.client("rawsocket", node) as reader,
    ):
        await reader.ask(32, 1, {}, TOPIC)
        reading(reader).pause_reading()
        publish(node, "x" * 3 * MIB, by=publisher)
        end = end_of(node, reader)
        await node.until(lambda: end._send_queue is not None)
        reader.writer.write_eof()
        await node.until(lambda: end._closing)
        reading(reader).resume_reading()
        assert (await reader.receive())[4] == ["x" * 3 * MIB]
        assert await reader.ends() == b""


@kinds
async def test_a_bystander_is_answered_while_much_is_written_to_others(world: World, kind: str) -> None:
    async with world.node(kind) as node, contextlib.AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(world.client(kind, node))
        bystander = await stack.enter_async_context(world.client(kind, node))
        for _ in range(40):
            client = await stack.enter_async_context(world.client(kind, node))
            await client.ask(32, 1, {}, TOPIC)
        written: list[int] = []
        turn = node.node._turn
        flush = turn._flush

        def noted() -> None:
            before = node.counter("transport_bytes_sent_total") - waiting()
            flush()
            written.append(node.counter("transport_bytes_sent_total") - waiting() - before)

        def waiting() -> int:
            queues = [each._send_queue for each in node.connections if each._send_queue is not None]
            return sum(len(queue._piece) - queue._offset for queue in queues)

        turn._flush = noted  # type: ignore[method-assign]
        await publisher.ask(16, 1, {"acknowledge": True}, TOPIC, ["x" * MIB])
        assert sum(written) < 30 * MIB, "the publisher is answered before all is written"
        await bystander.ask(16, 1, {"acknowledge": True}, "com.example.other")
        assert max(written) <= WRITE_BUDGET + STEP_BYTES


class TestLimit:
    @kinds
    async def test_counts_in_the_first_turn(self, world: World, kind: str) -> None:
        """Nothing waits from earlier turns, and one turn brings fifty times the limit."""
        async with (
            world.node(kind, outbox={"limit_bytes": LIMIT}, options={"close_timeout_s": 0.1}) as node,
            world.client(kind, node) as publisher,
            world.client(kind, node) as reader,
        ):
            await reader.ask(32, 1, {}, TOPIC)
            end = end_of(node, reader)
            reading(reader).pause_reading()
            for number in range(100):
                publish(node, number, "x" * 32 * KIB, by=publisher)
            await node.until(lambda: not end.outbox)
            assert node.counter("transport_slow_receivers_total") == 1
            assert end.waiting_bytes <= LIMIT
            reading(reader).resume_reading()
            heard = 0
            with contextlib.suppress(EOFError, AssertionError):
                while (await reader.receive())[0] == 36:
                    heard += 1
            assert heard + node.counter("transport_frames_dropped_total") == 100

    @kinds
    @pytest.mark.parametrize(
        ("policy", "counter"),
        [
            ("drop-newest", "transport_events_dropped_newest_total"),
            ("conflate", "transport_events_conflated_total"),
        ],
    )
    async def test_lets_the_policy_decide_in_the_first_turn(
        self, world: World, kind: str, policy: str, counter: str
    ) -> None:
        async with (
            world.node(kind, outbox={"limit_bytes": LIMIT, "policy": policy}) as node,
            world.client(kind, node) as publisher,
            world.client(kind, node) as reader,
        ):
            await reader.ask(32, 1, {}, TOPIC)
            end = end_of(node, reader)
            reading(reader).pause_reading()
            for number in range(100):
                publish(node, number, "x" * 32 * KIB, by=publisher)
            await node.until(lambda: not end.outbox)
            assert end.waiting_bytes <= LIMIT + HANDED_BYTES
            lost = node.counter(counter)
            assert lost > 50
            reading(reader).resume_reading()
            heard = [(await reader.receive())[4][0] for _ in range(100 - lost)]
            assert heard == sorted(set(heard))
            assert policy == "drop-newest" or heard[-1] == 99
            await reader.ask(34, 2, 1)
            assert node.counter("transport_slow_receivers_total") == 0

    @kinds
    @pytest.mark.parametrize("policy", ["disconnect", "drop-newest", "conflate"])
    async def test_does_not_keep_one_longer_message_from_who_reads(
        self, world: World, kind: str, policy: str
    ) -> None:
        async with (
            world.node(kind, outbox={"limit_bytes": LIMIT, "policy": policy}) as node,
            world.client(kind, node) as publisher,
            world.client(kind, node) as reader,
        ):
            await reader.ask(32, 1, {}, TOPIC)
            for turn in range(3):
                publish(node, turn, by=publisher)
                publish(node, turn, "x" * 5 * MIB, by=publisher)
                publish(node, turn, by=publisher)
                await asyncio.sleep(0)
                publish(node, turn, by=publisher)
                assert [len((await reader.receive())[4]) for _ in range(4)] == [1, 2, 1, 1]
            assert node.counter("transport_slow_receivers_total") == 0

    @pytest.mark.parametrize("policy", ["disconnect", "drop-newest", "conflate"])
    async def test_leaves_no_message_uncounted(self, world: World, policy: str) -> None:
        async with (
            world.node("websocket", outbox={"limit_bytes": LIMIT, "policy": policy}) as node,
            world.client("websocket", node) as publisher,
            world.client("websocket", node) as reader,
        ):
            await reader.ask(32, 1, {}, TOPIC)
            end = end_of(node, reader)
            reading(reader).pause_reading()
            turns = 0
            while node.counter("transport_slow_receivers_total") == 0:
                turns += 1
                for number in range(5):
                    publish(node, "x" * 3 * KIB, by=publisher)
                    end.send(Result(number, ResultDetails(), PlainPayload(["x" * 8 * KIB])))
                await node.until(lambda: not end.outbox)
                assert turns < 200, "the receiver was never found to be slow"
            assert end.waiting_bytes <= LIMIT + 8 * KIB, "what was begun"
            names = (
                "frames_dropped",
                "events_dropped_newest",
                "events_conflated",
                "events_conflation_dropped",
            )
            lost = sum(node.counter(f"transport_{name}_total") for name in names)
            reading(reader).resume_reading()
            heard = 0
            while (await reader.socket.read_frame()).opcode != CLOSE:
                heard += 1
            assert heard + lost == 10 * turns

    async def test_leaves_alone_what_the_socket_takes_at_once(self, world: World) -> None:
        async with (
            world.node("websocket", outbox={"limit_bytes": LIMIT}) as node,
            world.client("websocket", node) as publisher,
            world.client("websocket", node) as reader,
        ):
            await reader.ask(32, 1, {}, TOPIC)
            for number in range(4):
                publish(node, number, "x" * 32 * KIB, by=publisher)
            assert [(await reader.receive())[4][0] for _ in range(4)] == [0, 1, 2, 3]


class TestReceiverThatTakesNothing:
    @kinds
    async def test_is_cut_off_however_much_it_sends(self, world: World, kind: str) -> None:
        outbox = {"client_timeout_s": 1}
        async with (
            world.node(kind, outbox=outbox) as node,
            world.client(kind, node) as publisher,
            world.client(kind, node) as reader,
        ):
            await reader.ask(32, 1, {}, TOPIC)
            reading(reader).pause_reading()
            publish(node, 1, "x" * 2 * MIB, by=publisher)
            publish(node, 2, by=publisher)

            async def chatter() -> None:
                with contextlib.suppress(ConnectionError):
                    while True:
                        if isinstance(reader, RawSocket):
                            await reader.send(rawsocket_frame(b"", RAW_PING))
                        else:
                            await reader.socket.send_frame(PING)
                        await asyncio.sleep(0.01)

            chattering = asyncio.create_task(chatter())
            await node.until(lambda: node.counter("transport_slow_receivers_total") == 1)
            await node.until(lambda: len(node.connections) == 1)
            chattering.cancel()
            await asyncio.gather(chattering, return_exceptions=True)
            assert node.counter("transport_frames_dropped_total") == 1, "the other one was begun"

    async def test_has_the_whole_time_again_when_it_has_taken_something(self, world: World) -> None:
        async with (
            world.node("websocket") as node,
            world.client("websocket", node) as publisher,
            world.client("websocket", node) as reader,
        ):
            await reader.ask(32, 1, {}, TOPIC)
            reading(reader).pause_reading()
            publish(node, "x" * 3 * MIB, by=publisher)
            end = end_of(node, reader)
            stalled = end._service.stalled
            await node.until(lambda: stalled.due_s(end) is not None)
            first_s = stalled.due_s(end)
            reading(reader).resume_reading()
            await node.until(lambda: stalled.due_s(end) != first_s)
            assert (await reader.receive())[4] == ["x" * 3 * MIB]
            await node.until(lambda: stalled.due_s(end) is None)


PONGS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "the answer": lambda ping, _other: ping,
    "empty": lambda _ping, _other: b"",
    "cut": lambda ping, _other: ping[:-1],
    "guessed": lambda ping, _other: bytes(len(ping)),
    "what another is asked": lambda _ping, other: other,
}
"""Pongs made of one's own ping and of that of another connection."""


@pytest.mark.parametrize("kind", ["websocket", "rawsocket"])
async def test_only_the_answer_to_a_ping_is_a_sign_of_life(world: World, kind: str) -> None:
    options = {"ping_interval_s": 1, "ping_timeout_s": 1}
    async with world.node(kind, options=options) as node, contextlib.AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(world.client(kind, node)) for name in PONGS}
        ends = {name: end_of(node, client) for name, client in clients.items()}
        for client in clients.values():
            await _send_pong(client, b"")
        pings = {name: await _next_ping(client) for name, client in clients.items()}
        for name, ping in pings.items():
            await _send_pong(clients[name], PONGS[name](ping, pings["the answer"]))
        await node.until(lambda: len(node.connections) == 1)
        assert node.connections == [ends["the answer"]]
        assert node.counter("transport_ping_timeouts_total") == len(PONGS) - 1
        pings["the next"] = await _next_ping(clients["the answer"])
        assert len(set(pings.values())) == len(pings), "each bears something else"


async def _next_ping(client: WampClient | RawSocket) -> bytes:
    if isinstance(client, RawSocket):
        kind, payload = await client.read_frame()
        assert kind == RAW_PING
        return payload
    received = await client.socket.read_frame()
    assert received.opcode == PING
    return received.payload


async def _send_pong(client: WampClient | RawSocket, payload: bytes) -> None:
    if isinstance(client, RawSocket):
        await client.send(rawsocket_frame(payload, RAW_PONG))
    else:
        await client.socket.send_frame(PONG, payload)


async def test_a_ping_is_answered_before_what_waits(world: World) -> None:
    async with (
        world.node("websocket") as node,
        world.client("websocket", node) as publisher,
        world.client("websocket", node) as reader,
    ):
        await reader.ask(32, 1, {}, TOPIC)
        reading(reader).pause_reading()
        for number in range(3):
            publish(node, number, "x" * MIB, by=publisher)
        end = end_of(node, reader)
        await node.until(lambda: is_stuck(end))
        await reader.socket.send_frame(PING, b"?")
        await node.until(lambda: bool(end._send_queue._urgent))
        reading(reader).resume_reading()
        opcodes = [(await reader.socket.read_frame()).opcode for _ in range(4)]
        assert opcodes == [1, PONG, 1, 1]


class TestRoom:
    @kinds
    async def test_is_there_again_when_the_receiver_has_read(self, world: World, kind: str) -> None:
        async with (
            world.node(kind) as node,
            world.client(kind, node) as publisher,
            world.client(kind, node) as reader,
        ):
            await reader.ask(32, 1, {}, TOPIC)
            end = end_of(node, reader)
            assert end.has_room
            reading(reader).pause_reading()
            publish(node, "x" * 3 * MIB, by=publisher)
            assert not end.has_room
            called: list[bool] = []
            end.when_room(lambda: called.append(end.has_room))
            await node.until(lambda: is_stuck(end))
            assert not end.has_room
            assert called == []
            reading(reader).resume_reading()
            await reader.receive()
            await node.until(lambda: bool(called))
            assert called == [True]

    async def test_is_for_so_many_messages_a_turn(self, world: World) -> None:
        async with world.node("websocket") as node, world.client("websocket", node) as reader:
            await reader.ask(32, 1, {}, TOPIC)
            end = end_of(node, reader)
            numbers = iter(range(1000))

            def send_on() -> None:
                while end.has_room:
                    number = next(numbers, None)
                    if number is None:
                        return
                    publish(node, number, by=publisher)
                longest.append(len(end.outbox))
                end.when_room(send_on)

            longest: list[int] = []
            async with world.client("websocket", node) as publisher:
                send_on()
                assert [(await reader.receive())[4][0] for _ in range(1000)] == list(range(1000))
            assert 0 < max(longest) <= 64

    @pytest.mark.parametrize("how", ["abort", "end"])
    async def test_is_waited_for_no_longer_when_the_connection_ends(self, world: World, how: str) -> None:
        async with (
            world.node("websocket") as node,
            world.client("websocket", node) as publisher,
            world.client("websocket", node) as reader,
        ):
            await reader.ask(32, 1, {}, TOPIC)
            end = end_of(node, reader)
            reading(reader).pause_reading()
            publish(node, "x" * 3 * MIB, by=publisher)
            called: list[bool] = []
            end.when_room(lambda: called.append(end.has_room))
            await node.until(lambda: is_stuck(end))
            if how == "abort":
                reader.socket.abort()
            else:
                await reader.socket.send_frame(CLOSE)
            await node.until(lambda: bool(called))
            assert called == [True], "nobody is told of what is sent to it"
