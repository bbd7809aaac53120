"""Receivers that are behind: what is dropped, what waits, in which order, and what is counted."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heliograph.transports.overload import TOPIC_BYTES, Conflation, without_newest
from tests.support.nodes import (
    ALLOW_ALL,
    USUAL_PATHS,
    RunningNode,
    node_config,
    rawsocket_transport,
    running_node,
    web_transport,
)
from tests.support.rawsocket import joined_rawsocket
from tests.support.websocket import joined

KIB = 1024
LIMIT = 64 * KIB
TOPICS = ("com.example.a", "com.example.b", "com.example.c")


def key_of(frame: bytes) -> tuple[int, str | None] | None:
    """An event's frame begins with the number of its subscription; an answer's does not."""
    return (frame[0] - ord("0"), None) if frame[:1].isdigit() else None


def test_very_many_tiny_events_are_bounded_by_their_number() -> None:
    waiting = Conflation(64 * KIB)
    for number in range(1000):
        waiting.add([b"%d" % number], lambda frame: (int(frame), None))
    assert len(waiting) == 64 * KIB // TOPIC_BYTES
    assert waiting.dropped == 1000 - len(waiting)
    waiting.add([b"7"], lambda frame: (int(frame), None))
    assert waiting.replaced == 1


class TestWithoutNewest:
    def test_all_that_fits_stays_in_its_order(self) -> None:
        fitting = without_newest([b"1aa", b"x", b"2bb", b"1cc"], key_of, room=7, answers_room=0)
        assert fitting == ([b"1aa", b"x", b"2bb"], 1, False)

    def test_a_smaller_event_may_fit_behind_one_that_does_not(self) -> None:
        assert without_newest([b"1aaaa", b"2"], key_of, room=1, answers_room=0).frames == [b"2"]

    def test_answers_stay_where_no_event_does(self) -> None:
        fitting = without_newest([b"1a", b"xx", b"2b"], key_of, room=-5, answers_room=10)
        assert fitting == ([b"xx"], 2, False)

    @pytest.mark.parametrize(("answers_room", "are_too_many"), [(2, False), (1, True)])
    def test_answers_may_be_too_many(self, answers_room: int, *, are_too_many: bool) -> None:
        fitting = without_newest([b"xx", b"1"], key_of, room=0, answers_room=answers_room)
        assert fitting.are_answers_too_many is are_too_many


class TestConflation:
    def test_the_newest_event_of_a_topic_takes_the_place_of_the_first(self) -> None:
        waiting = Conflation(100)
        assert waiting.add([b"1a", b"2a", b"x", b"1b", b"y", b"2b", b"3a"], key_of)
        assert (waiting.replaced, waiting.dropped) == (2, 0)
        assert waiting.take(100) == [b"1b", b"2b", b"x", b"y", b"3a"]
        assert len(waiting) == 0

    def test_topics_of_one_pattern_are_several(self) -> None:
        waiting = Conflation(100)
        keys = {b"1": (7, "a"), b"2": (7, "b"), b"3": (7, "a")}
        waiting.add(keys, keys.get)
        assert waiting.take_all() == [b"3", b"2"]

    def test_further_topics_are_dropped_when_there_is_no_room(self) -> None:
        waiting = Conflation(4)
        assert waiting.add([b"1a", b"2a", b"3a", b"1b"], key_of)
        assert (waiting.replaced, waiting.dropped) == (1, 1)
        assert waiting.take_all() == [b"1b", b"2a"]

    def test_a_longer_event_replaces_no_shorter_one_beyond_the_limit(self) -> None:
        waiting = Conflation(10)
        assert waiting.add([b"1a", b"2a", b"1" + b"b" * 7, b"2" + b"b" * 7, b"2c"], key_of)
        assert (waiting.replaced, waiting.dropped) == (2, 1)
        assert waiting.take_all() == [b"1" + b"b" * 7, b"2c"]

    def test_one_event_may_be_longer_than_the_limit_where_nothing_else_waits(self) -> None:
        waiting = Conflation(4)
        assert waiting.add([b"1" + b"a" * 9, b"1" + b"b" * 9, b"2"], key_of)
        assert (waiting.replaced, waiting.dropped) == (1, 1)
        assert waiting.take(4) == [b"1" + b"b" * 9]

    def test_answers_alone_may_be_too_many(self) -> None:
        assert not Conflation(3).add([b"1aa", b"xx", b"yy"], key_of)

    def test_is_taken_bit_by_bit(self) -> None:
        waiting = Conflation(100)
        waiting.add([b"1aaa", b"xx", b"2a"], key_of)
        assert waiting.take(0) == []
        assert waiting.take(1) == [b"1aaa"], "one, if there is any room"
        assert waiting.take(3) == [b"xx"]
        assert waiting.take(3) == [b"2a"]

    def test_there_is_room_again_for_what_was_taken(self) -> None:
        waiting = Conflation(4)
        for _ in range(3):
            assert waiting.add([b"xxx", b"1"], key_of)
            assert waiting.take(4) == [b"xxx", b"1"]
        assert waiting.dropped == 0


def configuration(kind: str, policy: str | None, role_policy: str | None = None) -> dict[str, Any]:
    outbox = {"limit_bytes": LIMIT, **({} if policy is None else {"policy": policy})}
    role = {
        "name": "anonymous",
        "permissions": [{"uri": "", "match": "prefix", "allow": ALLOW_ALL}],
        **({} if role_policy is None else {"outbox_policy": role_policy}),
    }
    realm = {"name": "realm1", "roles": [role]}
    if kind == "rawsocket":
        return node_config(rawsocket_transport(outbox=outbox), web_transport(), realm=realm)
    path = {"type": "websocket", "outbox": outbox}
    return node_config(web_transport({**USUAL_PATHS, "ws": path}), realm=realm)


@contextlib.asynccontextmanager
async def receiver(node: RunningNode, kind: str) -> AsyncIterator[Any]:
    if kind == "rawsocket":
        async with joined_rawsocket(node.addresses[0]) as client:
            yield client
    else:
        async with joined(node.address) as client:
            yield client


async def tell(client: Any, message: list[Any]) -> None:
    await (client.tell(message) if hasattr(client, "tell") else client.send(message))


def stop_reading(client: Any) -> Any:
    reader = client.reader if hasattr(client, "reader") else client.socket.reader
    reader._transport.pause_reading()
    return reader._transport


class Run:
    """A publisher that publishes until a receiver is behind."""

    def __init__(self, node: RunningNode, publisher: Any) -> None:
        self.node = node
        self.publisher = publisher
        self.sent = 0

    async def publish(self, size: int = 8 * KIB) -> None:
        """Publish the next number to each topic."""
        for topic in TOPICS:
            await self.publisher.ask(16, 1, {"acknowledge": True}, topic, [self.sent, "x" * size])
        self.sent += 1

    async def publish_until(self, counter: str, count: int = 1) -> None:
        while self.node.counter(counter) < count:
            await self.publish()
            assert self.sent < 2000, f"{counter} stays below {count}"


async def subscribe(client: Any) -> dict[int, str]:
    return {(await client.ask(32, number, {}, topic))[2]: topic for number, topic in enumerate(TOPICS, 1)}


async def read_until(client: Any, topics: dict[int, str], last: int) -> dict[str, list[int]]:
    """Return the numbers heard of each topic, until `last` was heard of all that are behind."""
    heard: dict[str, list[int]] = {topic: [] for topic in TOPICS}
    while any(not numbers or numbers[-1] != last for numbers in heard.values()):
        event = await client.receive()
        assert event[0] == 36, event
        heard[topics[event[1]]].append(event[4][0])
    return heard


KINDS = pytest.mark.parametrize("kind", ["websocket", "rawsocket"])


@KINDS
@pytest.mark.parametrize("by_role", [False, True])
async def test_events_that_do_not_fit_are_dropped_and_the_others_come_in_order(
    kind: str, *, by_role: bool
) -> None:
    policies = (None, "drop-newest") if by_role else ("drop-newest", None)
    async with running_node(configuration(kind, *policies)) as node, joined(node.addresses[-1]) as publisher:
        async with receiver(node, kind) as slow:
            topics = await subscribe(slow)
            reading = stop_reading(slow)
            run = Run(node, publisher)
            await run.publish_until("transport_events_dropped_newest_total", 20)
            waiting = [connection.waiting_bytes for connection in node.connections]
            assert max(waiting) <= LIMIT + 1 * KIB
            # An answer is not dropped, whatever waits.
            await tell(slow, [32, 9, {}, "com.example.d"])
            await node.until(lambda: len(node.router.realms["realm1"].broker.subscriptions) == 4)
            reading.resume_reading()
            heard: dict[str, list[int]] = {topic: [] for topic in TOPICS}
            while (message := await slow.receive())[0] == 36:
                heard[topics[message[1]]].append(message[4][0])
            assert message[:2] == [33, 9]
            for numbers in heard.values():
                assert numbers == sorted(set(numbers)), "in order, each once"
                assert numbers[0] == 0
            dropped = node.counter("transport_events_dropped_newest_total")
            assert sum(map(len, heard.values())) + dropped == 3 * run.sent
            # It has caught up, so it hears everything again.
            await run.publish()
            await read_until(slow, topics, run.sent - 1)
        assert node.counter("transport_slow_receivers_total") == 0
        assert node.counter("transport_frames_dropped_total") == 0


@KINDS
@pytest.mark.parametrize("by_role", [False, True])
async def test_the_latest_event_of_each_topic_waits_until_the_receiver_has_caught_up(
    kind: str, *, by_role: bool
) -> None:
    policies = ("disconnect", "conflate") if by_role else ("conflate", None)
    async with running_node(configuration(kind, *policies)) as node, joined(node.addresses[-1]) as publisher:
        async with receiver(node, kind) as slow:
            topics = await subscribe(slow)
            reading = stop_reading(slow)
            run = Run(node, publisher)
            await run.publish_until("transport_events_conflated_total", 30)
            waiting = [connection.waiting_bytes for connection in node.connections]
            assert max(waiting) <= LIMIT + 1 * KIB
            reading.resume_reading()
            heard = await read_until(slow, topics, run.sent - 1)
            for numbers in heard.values():
                assert numbers == sorted(set(numbers))
                assert numbers[0] == 0
            replaced = node.counter("transport_events_conflated_total")
            assert sum(map(len, heard.values())) + replaced == 3 * run.sent
            await node.until(lambda: all(each._send_queue is None for each in node.connections))
            await run.publish()
            last = await read_until(slow, topics, run.sent - 1)
            assert last == {topic: [run.sent - 1] for topic in TOPICS}
        assert node.counter("transport_slow_receivers_total") == 0
        assert node.counter("transport_events_conflation_dropped_total") == 0


async def test_answers_wait_with_the_events_and_keep_their_order() -> None:
    async with (
        running_node(configuration("websocket", "conflate")) as node,
        joined(node.address) as publisher,
        joined(node.address) as slow,
    ):
        topics = await subscribe(slow)
        reading = stop_reading(slow)
        run = Run(node, publisher)
        await run.publish_until("transport_events_conflated_total")
        await slow.send([34, 9, next(iter(topics))])
        await node.until(lambda: len(node.router.realms["realm1"].broker.subscriptions) == 2)
        reading.resume_reading()
        heard = []
        while (message := await slow.receive())[0] == 36:
            heard.append(message)
        assert message == [35, 9]
        first = next(iter(topics))
        assert [event[4][0] for event in heard if event[1] == first][-1] == run.sent - 1, "before it is left"
        await run.publish()
        for _ in range(2):
            assert (await slow.receive())[1] != first


@pytest.mark.parametrize("policy", ["drop-newest", "conflate"])
async def test_a_receiver_whose_answers_alone_are_too_many_is_disconnected(policy: str) -> None:
    async with running_node(configuration("websocket", policy)) as node, joined(node.address) as callee:
        await callee.ask(64, 1, {}, "com.example.p")
        async with joined(node.address) as slow:
            stop_reading(slow)
            number = 0
            while node.counter("transport_slow_receivers_total") == 0:
                number += 1
                await slow.send([48, number, {}, "com.example.p"])
                invocation = await callee.receive()
                await callee.send([70, invocation[1], {}, ["x" * 16 * KIB]])
                assert number < 2000, "the receiver was never found to be slow"
            assert node.counter("transport_frames_dropped_total") >= 1
            await node.until(lambda: len(node.router.realms["realm1"].sessions) == 1)


async def test_a_receiver_that_is_behind_and_goes_leaves_nothing() -> None:
    async with (
        running_node(configuration("websocket", "conflate")) as node,
        joined(node.address) as publisher,
    ):
        async with joined(node.address) as slow:
            await subscribe(slow)
            stop_reading(slow)
            run = Run(node, publisher)
            await run.publish_until("transport_events_conflated_total")
        await node.until(lambda: len(node.connections) == 1)
        await run.publish()


async def test_what_waits_is_sent_before_the_goodbye() -> None:
    async with (
        running_node(configuration("websocket", "conflate")) as node,
        joined(node.address) as publisher,
        joined(node.address) as slow,
    ):
        topics = await subscribe(slow)
        reading = stop_reading(slow)
        run = Run(node, publisher)
        await run.publish_until("transport_events_conflated_total")
        session = next(
            each for each in node.router.realms["realm1"].sessions.values() if each.id == slow.session_id
        )
        session.end("wamp.close.killed", None)
        reading.resume_reading()
        heard = []
        while (message := await slow.receive())[0] == 36:
            heard.append((topics[message[1]], message[4][0]))
        assert (message[0], message[2]) == (6, "wamp.close.killed")
        assert {topic for topic, number in heard if number == run.sent - 1} == set(TOPICS)


async def test_nothing_is_noted_of_events_where_nobody_may_lose_one() -> None:
    async with running_node(configuration("websocket", None)) as node:
        assert not node.node._turn.keeps_keys


async def test_a_publisher_is_read_no_further_while_the_router_cannot_keep_up() -> None:
    async with (
        running_node(configuration("websocket", None)) as node,
        joined(node.address) as publisher,
        joined(node.address) as subscriber,
    ):
        await subscriber.ask(32, 1, {}, TOPICS[0])
        the_turn = node.node._turn
        node.node._turn.work_budget = 0
        the_turn._work_left = 0
        end = next(each for each in node.connections if each._session.id == publisher.session_id)
        for number in range(50):
            await publisher.send([16, number + 1, {}, TOPICS[0], [number, "x" * 64 * KIB]])
            if end._is_paused:
                break
            await node.until(lambda: end._backlog_bytes > 0)
        await node.until(lambda: end._is_paused)
        assert node.router.counters.publications == 0
        assert not end._transport.is_reading()
        node.node._turn.work_budget = 10
        await publisher.send([16, number + 2, {"acknowledge": True}, TOPICS[0], ["last"]])
        heard = []
        while not heard or heard[-1] != "last":
            heard.append((await subscriber.receive())[4][0])
        assert heard[:-1] == list(range(number + 1))
        await node.until(lambda: not end._is_paused)
