"""Events as an asynchronous iterator."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from heliograph.client import (
    ApplicationError,
    BadPayload,
    ClientOptions,
    ConnectionLost,
    Event,
    Events,
    Gap,
    Missed,
    RequestTimeout,
    Session,
    connect,
)
from heliograph.wamp import messages as m
from heliograph.wamp.payload import PlainPayload
from tests.client.scripted_router import Peer, ScriptedRouter, eventually, obedient

AT_ONCE: dict[str, Any] = {"random": lambda: 0.0}


def sending(router: ScriptedRouter, topic: str, count: int) -> None:
    router.peer.send(*(router.event(topic, number, publication=number) for number in range(1, count + 1)))


async def reading(events: Events[Event], until: int) -> list[Any]:
    seen = []
    async for event in events:
        seen.append(event.args[0])
        if event.args[0] == until:
            break
    return seen


async def test_a_loop_subscribes_when_it_begins_and_unsubscribes_when_it_is_left(
    router: ScriptedRouter,
) -> None:
    async with connect(router.url) as session:
        events = session.events("a.b")
        assert "Subscribe" not in router.peer.names()
        task = asyncio.create_task(reading(events, 3))
        await router.until(lambda: "Subscribe" in router.peer.names())
        sending(router, "a.b", 5)
        assert await eventually(task) == [1, 2, 3]
        await router.until(lambda: "Unsubscribe" in router.peer.names())
        assert not events.is_active


async def test_a_loop_that_is_cancelled_unsubscribes(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        task = asyncio.create_task(reading(session.events("a.b"), 3))
        await router.until(lambda: "Subscribe" in router.peer.names())
        await session.call("a.c")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await router.until(lambda: "Unsubscribe" in router.peer.names())


async def test_a_loop_that_raises_unsubscribes(router: ScriptedRouter) -> None:
    async def fail(session: Session) -> None:
        async for _ in session.events("a.b"):
            raise LookupError("in the loop")

    async with connect(router.url) as session:
        task = asyncio.create_task(fail(session))
        await router.until(lambda: "Subscribe" in router.peer.names())
        sending(router, "a.b", 1)
        with pytest.raises(LookupError):
            await eventually(task)
        gc.collect()
        await router.until(lambda: "Unsubscribe" in router.peer.names())


async def test_a_session_may_end_right_after_the_loop(
    router: ScriptedRouter, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop's subscription is given back in a task of its own, which must not find fault with that."""
    async with connect(router.url) as session:
        task = asyncio.create_task(reading(session.events("a.b"), 1))
        await router.until(lambda: "Subscribe" in router.peer.names())
        sending(router, "a.b", 1)
        await eventually(task)
    await asyncio.sleep(0)
    assert caplog.records == []


async def test_a_block_subscribes_at_once_and_unsubscribes_at_its_end(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        async with session.events("a.b") as events:
            sending(router, "a.b", 3)
            assert await reading(events, 2) == [1, 2]
            assert (await eventually(events.next())).args == [3]
            assert "Unsubscribe" not in router.peer.names()
            assert events.last_publication == 3
        assert router.peer.names()[-1] == "Unsubscribe"
        with pytest.raises(RuntimeError, match="another"):
            await events.__aenter__()


async def test_when_the_queue_is_full_the_oldest_events_are_dropped_and_counted(
    router: ScriptedRouter, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(router.url) as session, session.events("a.b", max_queued_events=3) as events:
        sending(router, "a.b", 10)
        await session.call("a.c")
        assert events.dropped == 7
        assert await reading(events, 10) == [8, 9, 10]
    assert sum("too slow" in record.message for record in caplog.records) == 1


async def test_events_that_cannot_be_read_are_left_out_and_counted(router: ScriptedRouter) -> None:
    async with connect(router.url) as session, session.events("a.b") as events:
        router.peer.send_bytes(b'[36,%d,1,{},["\\u0000?"]]' % router.id_of("a.b"))
        router.peer.send(router.event("a.b", 2))
        assert await reading(events, 2) == [2]
        assert events.failed == 1


async def test_an_event_tells_what_the_router_tells(router: ScriptedRouter) -> None:
    details = m.EventDetails(
        topic="a.b.c", publisher=9, publisher_authid="joe", publisher_authrole="staff", trustlevel=0
    )
    async with connect(router.url) as session, session.events("a.b", "prefix") as events:
        router.peer.send(m.Event(router.id_of("a.b"), 1, details), router.event("a.b", publication=2))
        event = await eventually(events.next())
        assert (event.topic, event.publisher, event.trustlevel) == ("a.b.c", 9, 0)
        assert (event.publisher_authid, event.publisher_authrole) == ("joe", "staff")
        event = await eventually(events.next())
        assert (event.topic, event.publisher, event.trustlevel, event.retained) == ("a.b", None, None, False)


async def test_the_loop_ends_with_the_session(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        task = asyncio.create_task(reading(session.events("a.b"), 3))
        await router.until(lambda: "Subscribe" in router.peer.names())
        sending(router, "a.b", 2)
        await session.call("a.c")
    assert await eventually(task) == [1, 2]


async def test_the_loop_raises_when_the_connection_is_lost_and_nobody_reconnects(
    router: ScriptedRouter,
) -> None:
    async with connect(router.url, reconnect=False) as session, session.events("a.b") as events:
        sending(router, "a.b", 1)
        await session.call("a.c")
        router.peer.drop()
        assert (await eventually(events.next())).args == [1]  # what has come is not lost
        with pytest.raises(ConnectionLost):
            await eventually(events.next())


async def test_a_refused_subscription_raises_when_the_loop_begins(router: ScriptedRouter) -> None:
    def script(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Subscribe):
            peer.send(m.Error(32, message.request, {}, "wamp.error.not_authorized"))
        else:
            obedient(peer, message)

    router.script = script
    async with connect(router.url) as session:
        with pytest.raises(ApplicationError, match="not_authorized"):
            await reading(session.events("a.b"), 1)
        assert len(session._protocol.standing) == 0


async def test_a_subscription_that_the_router_takes_away_raises_after_what_has_come(
    router: ScriptedRouter,
) -> None:
    async with connect(router.url) as session, session.events("a.b") as events:
        sending(router, "a.b", 1)
        revoked = m.UnsubscribedDetails(subscription=router.id_of("a.b"), reason="com.example.enough")
        router.peer.send(m.Unsubscribed(0, revoked))
        assert (await eventually(events.next())).args == [1]
        with pytest.raises(ApplicationError, match=r"com\.example\.enough"):
            await eventually(events.next())


async def test_a_bad_topic_and_a_bad_limit_are_told_at_once(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        with pytest.raises(ApplicationError, match="invalid_uri"):
            session.events("a..b")
        with pytest.raises(ValueError, match="max_queued_events"):
            session.events("a.b", max_queued_events=0)


async def test_a_router_that_never_confirms_does_not_hold_the_block(router: ScriptedRouter) -> None:
    def script(peer: Peer, message: m.Message) -> None:
        if not isinstance(message, m.Unsubscribe):
            obedient(peer, message)

    router.script = script
    async with connect(router.url, options=ClientOptions(request_timeout_s=0.05)) as session:
        async with session.events("a.b") as events:
            sending(router, "a.b", 1)
            assert (await eventually(events.next())).args == [1]
        subscription = await session.subscribe(print, "a.b")
        with pytest.raises(RequestTimeout):
            await subscription.unsubscribe()


# Gaps


async def rejoined(router: ScriptedRouter, topic: str, session: Session) -> None:
    """Drop the connection and wait until the topic is subscribed to on another."""
    back = asyncio.Event()
    take_back = session.on_rejoin(lambda _: back.set())
    router.peer.drop()
    await eventually(back.wait())
    take_back()


async def test_a_gap_stands_between_the_events_of_two_connections(router: ScriptedRouter) -> None:
    async with (
        connect(router.url, **AT_ONCE) as session,
        session.events("a.b", with_gaps=True) as events,
    ):
        sending(router, "a.b", 2)
        await session.call("a.c")
        await rejoined(router, "a.b", session)
        router.peer.send(router.event("a.b", 3, publication=3))
        seen = [await eventually(events.next()) for _ in range(4)]
        assert [type(item) for item in seen] == [Event, Event, Gap, Event]
        gap = seen[2]
        assert isinstance(gap, Gap)
        assert (gap.topic, gap.match, gap.last_publication) == ("a.b", "exact", 2)
        assert 0 < gap.away_s < 10
        assert events.last_gap == gap


async def test_without_being_asked_for_gaps_are_only_remembered(router: ScriptedRouter) -> None:
    async with connect(router.url, **AT_ONCE) as session, session.events("a.b") as events:
        await rejoined(router, "a.b", session)
        router.peer.send(router.event("a.b", 1))
        assert (await eventually(events.next())).args == [1]
        assert events.last_gap is not None
        assert events.last_gap.last_publication is None


async def test_a_handler_is_told_of_gaps_in_their_place(router: ScriptedRouter) -> None:
    told: asyncio.Queue[Any] = asyncio.Queue()
    async with connect(router.url, **AT_ONCE) as session:
        await session.subscribe(told.put_nowait, "a.b", on_gap=told.put)
        sending(router, "a.b", 1)
        await session.call("a.c")
        await rejoined(router, "a.b", session)
        router.peer.send(router.event("a.b", 2))
        kinds = [type(await eventually(told.get())) for _ in range(3)]
    assert kinds == [Event, Gap, Event]


async def test_a_subscription_refused_after_joining_again_ends_the_loop(router: ScriptedRouter) -> None:
    def refusing_again(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Subscribe) and len(router.peers) > 1:
            peer.send(m.Error(32, message.request, {}, "wamp.error.not_authorized"))
        else:
            obedient(peer, message)

    router.script = refusing_again
    async with connect(router.url, **AT_ONCE) as session, session.events("a.b") as events:
        router.peer.drop()
        with pytest.raises(ApplicationError, match="not_authorized"):
            await eventually(events.next())


async def test_a_retained_event_that_has_come_already_does_not_come_again(router: ScriptedRouter) -> None:
    def retaining(publication: int) -> m.Event:
        return m.Event(router.id_of("a.b"), publication, m.EventDetails(retained=True))

    async with (
        connect(router.url, **AT_ONCE) as session,
        session.events("a.b", get_retained=True, with_gaps=True) as events,
    ):
        router.peer.send(retaining(7))
        event = await eventually(events.next())
        assert isinstance(event, Event)
        assert event.retained
        await rejoined(router, "a.b", session)
        assert isinstance(await eventually(events.next()), Gap)
        router.peer.send(retaining(7), retaining(8))
        event = await eventually(events.next())
        assert isinstance(event, Event)
        assert event.publication == 8


# What was missed


def history(router: ScriptedRouter, *publications: int) -> Callable[[Peer, m.Message], None]:
    """A router whose history holds `publications` and that remembers what it was asked."""

    def script(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Call) and message.procedure == "wamp.subscription.get_events":
            entries = [{"publication": each, "details": {}, "args": [each]} for each in publications]
            peer.send(m.Result(message.request, m.ResultDetails(), PlainPayload([entries])))
        else:
            obedient(peer, message)

    return script


@pytest.mark.parametrize(
    ("kept", "missed", "is_complete"),
    [
        ([2, 3, 4, 5], [3, 4], True),  # 5 has come since
        ([4, 5], [4], False),  # 3 made room
        ([], [], False),
        ([2], [], True),
    ],
)
async def test_what_was_missed_is_fetched_from_the_history(
    router: ScriptedRouter, kept: list[int], missed: list[int], is_complete: bool
) -> None:
    async with connect(router.url, **AT_ONCE) as session, session.events("a.b") as events:
        assert await events.missed() == Missed([], is_complete=True)
        sending(router, "a.b", 2)
        await session.call("a.c")
        await rejoined(router, "a.b", session)
        router.peer.send(router.event("a.b", 5, publication=5))
        await session.call("a.c")
        router.script = history(router, *kept)
        found = await events.missed()
        assert [event.args for event in found.events] == [[each] for each in missed]
        assert found.is_complete == is_complete
        call = router.peer.received[-1]
        assert isinstance(call, m.Call)
        assert call.payload.decoded() == ([router.id_of("a.b")], {"from_publication": 2})


async def test_a_history_that_makes_no_sense_is_an_error(router: ScriptedRouter) -> None:
    async with connect(router.url, **AT_ONCE) as session, session.events("a.b") as events:
        await rejoined(router, "a.b", session)
        with pytest.raises(BadPayload, match="no list of events"):
            await events.missed()  # the obedient router sends the arguments back
