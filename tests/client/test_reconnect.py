"""What a session does when its connection goes."""

import asyncio
import logging
from typing import Any

import pytest
from picows import WSCloseCode, WSUpgradeResponse

from heliograph import cli
from heliograph.client import (
    ClientOptions,
    ConnectFailed,
    ConnectionLost,
    Event,
    HeliographError,
    Rejoin,
    Session,
    connect,
)
from heliograph.client.reconnect import Backoff
from heliograph.wamp import messages as m
from heliograph.wamp.payload import PlainPayload
from tests.client.scripted_router import (
    TIMEOUT_S,
    InstantClock,
    Peer,
    ScriptedRouter,
    eventually,
    obedient,
    refusing,
)

AT_ONCE: dict[str, Any] = {"random": lambda: 0.0}


class Turns:
    """Counts joins and leaves of a session and can be waited for."""

    def __init__(self, session: Session) -> None:
        self.joins = 0
        self.leaves: list[HeliographError] = []
        self._changed = asyncio.Event()
        session.on_join(self._joined)
        session.on_leave(self._left)

    def _joined(self) -> None:
        self.joins += 1
        self._changed.set()

    def _left(self, error: HeliographError) -> None:
        self.leaves.append(error)
        self._changed.set()

    async def until(self, *, joins: int = 0, leaves: int = 0) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while self.joins < joins or len(self.leaves) < leaves:
                self._changed.clear()
                await self._changed.wait()


# Back-off


def test_pauses_are_random_below_a_bound_that_doubles_up_to_the_largest() -> None:
    backoff = Backoff(0.2, 30.0, lambda: 1.0)
    assert [backoff.next() for _ in range(10)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    backoff.reset()
    assert backoff.next() == 0.2
    assert Backoff(0.2, 30.0, lambda: 0.0).next() == 0.0


async def test_a_router_that_is_down_is_tried_ever_more_rarely_until_it_is_back(
    router: ScriptedRouter, caplog: pytest.LogCaptureFixture
) -> None:
    clock = InstantClock()
    async with connect(router.url, clock=clock, random=lambda: 1.0) as session:
        turns = Turns(session)
        await router.stop()
        await clock.until_pauses(10)
        await router.start()
        await turns.until(joins=1)
        assert session.joins == 2
    assert clock.pauses[:10] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    complaints = [record for record in caplog.records if "nobody listens" in record.getMessage()]
    assert sum(record.levelno >= logging.WARNING for record in complaints) == 1  # not once an attempt


@pytest.mark.parametrize(("lasted_s", "pauses"), [(5.0, [0.2, 0.2, 0.2]), (4.9, [0.2, 0.4, 0.8])])
async def test_pauses_begin_anew_only_after_a_session_that_lasted(
    router: ScriptedRouter, lasted_s: float, pauses: list[float]
) -> None:
    """Else a router that lets everybody in and dies would be run over by its clients."""
    clock = InstantClock()
    async with connect(router.url, clock=clock, random=lambda: 1.0) as session:
        turns = Turns(session)
        for number in (1, 2, 3):
            clock.now_s += lasted_s
            router.peer.drop()
            await turns.until(joins=number)
    assert clock.pauses == pauses


async def test_leaving_does_not_wait_for_the_pause(router: ScriptedRouter) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        async with connect(
            router.url,
            options=ClientOptions(backoff_initial_s=1000, backoff_max_s=1000),
            random=lambda: 1.0,
        ) as session:
            turns = Turns(session)
            router.peer.drop()
            await turns.until(leaves=1)


# The first connection


async def test_the_first_connection_is_tried_again_where_that_is_asked_for(router: ScriptedRouter) -> None:
    await router.stop()
    clock = InstantClock()

    async def block() -> int:
        async with connect(router.url, retry_first=True, clock=clock) as session:
            return session.joins

    task = asyncio.create_task(block())
    await clock.until_pauses(3)
    await router.start()
    assert await eventually(task) == 1


async def test_a_proxy_that_is_busy_is_tried_again_but_a_wrong_path_is_not(router: ScriptedRouter) -> None:
    router.refuses_with = WSUpgradeResponse.create_error_response(503)
    clock = InstantClock()

    async def block() -> None:
        async with connect(router.url, retry_first=True, clock=clock):
            pass

    task = asyncio.create_task(block())
    await clock.until_pauses(2)
    router.refuses_with = WSUpgradeResponse.create_error_response(404)
    with pytest.raises(ConnectFailed, match="404"):
        await eventually(task)


async def test_giving_up_waiting_for_the_first_connection_is_possible(router: ScriptedRouter) -> None:
    await router.stop()

    async def block() -> None:
        async with asyncio.timeout(0.05), connect(router.url, retry_first=True):
            raise AssertionError("nobody is there")

    with pytest.raises(TimeoutError):
        await block()


# After a loss


@pytest.mark.parametrize("how", ["dropped", "goodbye", "abort", "closed", "violation"])
async def test_subscriptions_and_registrations_are_there_again(router: ScriptedRouter, how: str) -> None:
    heard: asyncio.Queue[Event] = asyncio.Queue()
    async with connect(router.url, **AT_ONCE) as session:
        turns = Turns(session)
        await session.subscribe(heard.put_nowait, "a.topic")
        await session.register(lambda value: value + 1, "a.procedure")
        peer = router.peer
        match how:
            case "dropped":
                peer.drop()
            case "goodbye":
                peer.send(m.Goodbye(m.CloseDetails(), "wamp.close.system_shutdown"))
            case "abort":
                peer.send(m.Abort(m.CloseDetails(), "wamp.error.protocol_violation"))
            case "closed":
                peer.close(WSCloseCode.GOING_AWAY, "restarting")
            case "violation":
                peer.send_bytes(b"[36]")
        await turns.until(joins=1, leaves=1)
        assert session.session_id == 2
        await router.until(lambda: len(router.peer.received) == 3)
        router.peer.send(router.event("a.topic", "again"))
        assert (await eventually(heard.get())).args == ["again"]
        details = m.InvocationDetails()
        router.peer.send(m.Invocation(1, router.id_of("a.procedure"), details, PlainPayload([41])))
        await router.until(lambda: "Yield" in router.peer.names())
        answer = router.peer.received[-1]
        assert isinstance(answer, m.Yield)
        assert answer.payload == PlainPayload([42])
    error, _ = turns.leaves  # the other is the end of the block
    assert isinstance(error, ConnectionLost)
    says = {
        "dropped": "broke",
        "goodbye": "system_shutdown",
        "abort": "protocol_violation",
        "closed": "1001 restarting",
        "violation": "broke the protocol",
    }
    assert says[how] in str(error)
    if how == "goodbye":
        assert peer.names()[-1] == "Goodbye"
    if how == "violation":
        assert peer.names()[-1] == "Abort"
        assert peer.close_code == 1002


async def test_what_was_under_way_fails_and_is_never_repeated(router: ScriptedRouter) -> None:
    def script(peer: Peer, message: m.Message) -> None:
        if not isinstance(message, m.Call | m.Publish):
            obedient(peer, message)

    router.script = script
    async with connect(router.url, **AT_ONCE) as session:
        turns = Turns(session)
        first = router.peer
        call = asyncio.create_task(session.call("a.b"))
        publication = asyncio.create_task(session.publish_event("a.b", acknowledge=True))
        await router.until(lambda: len(first.received) == 3)
        first.drop()
        for task in (call, publication):
            with pytest.raises(ConnectionLost):
                await eventually(task)
        await turns.until(joins=1)
    assert router.peer is not first
    assert router.peer.names() == ["Hello", "Goodbye"]


async def test_between_connections_what_happens_once_fails_and_what_lasts_waits(
    router: ScriptedRouter,
) -> None:
    heard: asyncio.Queue[Event] = asyncio.Queue()
    async with connect(router.url, **AT_ONCE) as session:
        turns = Turns(session)
        await router.stop()
        await turns.until(leaves=1)
        assert not session.is_joined
        for request in (session.publish("a.b"), session.call("a.b")):
            with pytest.raises(ConnectionLost):
                await request
        subscribing = asyncio.create_task(session.subscribe(heard.put_nowait, "a.topic"))
        registering = asyncio.create_task(session.register(print, "a.procedure"))
        await asyncio.sleep(0)
        await router.start()
        await eventually(subscribing)
        await eventually(registering)
        router.peer.send(router.event("a.topic"))
        await eventually(heard.get())


async def test_what_lasts_does_not_wait_for_ever(router: ScriptedRouter) -> None:
    async with connect(router.url, options=ClientOptions(request_timeout_s=0.05)) as session:
        turns = Turns(session)
        await router.stop()
        await turns.until(leaves=1)
        with pytest.raises(ConnectionLost, match=r"subscribing to a\.b: there was no session within 0\.05 s"):
            await session.subscribe(print, "a.b")
        await router.start()
        await turns.until(joins=1)
    assert router.peer.names() == ["Hello", "Goodbye"]  # it was withdrawn


async def test_without_reconnect_the_session_stays_lost(router: ScriptedRouter) -> None:
    async with connect(router.url, reconnect=False) as session:
        turns = Turns(session)
        router.peer.drop()
        await turns.until(leaves=1)
        with pytest.raises(ConnectionLost):
            await session.call("a.b")
    assert len(router.peers) == 1


async def test_a_refusal_when_joining_again_is_tried_again(router: ScriptedRouter) -> None:
    """The router may be in the middle of being configured anew: a session does not die unseen."""
    clock = InstantClock()
    async with connect(router.url, clock=clock) as session:
        turns = Turns(session)
        router.script = refusing("wamp.error.no_such_realm")
        router.peer.drop()
        await clock.until_pauses(3)
        router.script = obedient
        await turns.until(joins=1)
        assert len(turns.leaves) == 1


async def test_a_procedure_the_router_still_holds_for_the_lost_session_is_registered_later(
    router: ScriptedRouter,
) -> None:
    refusals = 0

    def script(peer: Peer, message: m.Message) -> None:
        nonlocal refusals
        if isinstance(message, m.Register) and len(router.peers) == 2 and refusals < 2:
            refusals += 1
            uri = "wamp.error.procedure_already_exists"
            peer.send(m.Error(64, message.request, {}, uri))
        else:
            obedient(peer, message)

    router.script = script
    clock = InstantClock()
    async with connect(router.url, clock=clock) as session:
        await session.register(lambda: "here", "a.b")
        router.peer.drop()
        await router.until(lambda: len(router.peers) == 2 and router.peer.names().count("Register") == 3)
        router.peer.send(m.Invocation(1, router.id_of("a.b"), m.InvocationDetails()))
        await router.until(lambda: "Yield" in router.peer.names())
    assert all(pause <= ClientOptions().ping_interval_s for pause in clock.pauses)


async def test_callbacks_may_be_coroutine_functions_be_taken_back_and_fail(
    router: ScriptedRouter, caplog: pytest.LogCaptureFixture
) -> None:
    calls: asyncio.Queue[str] = asyncio.Queue()

    async def on_join() -> None:
        calls.put_nowait("joined")
        raise LookupError("in on_join")

    def on_leave(_: HeliographError) -> None:
        calls.put_nowait("left")
        raise LookupError("in on_leave")

    async with connect(router.url, **AT_ONCE) as session:
        session.on_join(on_join)
        take_back = session.on_leave(on_leave)
        router.peer.drop()
        assert [await eventually(calls.get()), await eventually(calls.get())] == ["left", "joined"]
        take_back()
        take_back()
        router.peer.drop()
        assert await eventually(calls.get()) == "joined"
        await asyncio.sleep(0)
    assert [record.exc_info[1].args[0] for record in caplog.records if record.exc_info] == [
        "in on_leave",
        "in on_join",
        "in on_join",
    ]


async def test_coroutines_that_are_told_of_the_end_may_finish(router: ScriptedRouter) -> None:
    told: list[str] = []

    async def on_leave(error: HeliographError) -> None:
        await asyncio.sleep(0)
        told.append(str(error))

    async with connect(router.url) as session:
        session.on_leave(on_leave)
    assert told == ["the session was closed"]


async def test_a_coroutine_that_never_finishes_does_not_hold_up_the_end(router: ScriptedRouter) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        async with connect(router.url, options=ClientOptions(close_timeout_s=0.1)) as session:
            session.on_leave(lambda _: asyncio.Event().wait())


async def test_a_router_that_vanished_is_noticed_by_its_silence(router: ScriptedRouter) -> None:
    """Its machine is off: no FIN, no RST, and nothing that was sent is acknowledged."""
    async with connect(
        router.url, options=ClientOptions(ping_interval_s=0.25, ping_timeout_s=0.25), **AT_ONCE
    ) as session:
        turns = Turns(session)
        vanished = router.peer.transport
        assert vanished is not None
        vanished.underlying_transport.pause_reading()
        await turns.until(leaves=1, joins=1)
        assert "ping" in str(turns.leaves[0])
        assert await session.call("a.b", 1) == 1


async def test_a_router_that_answers_pings_is_not_left(router: ScriptedRouter) -> None:
    async with connect(
        router.url, options=ClientOptions(ping_interval_s=0.25, ping_timeout_s=0.25)
    ) as session:
        await router.until(lambda: router.peer.pings == 3)
        assert session.joins == 1
        assert session.is_joined


# What a session tells when it has joined again


async def test_joining_again_is_reported_with_what_is_there_again_and_what_is_not(
    router: ScriptedRouter,
) -> None:
    def forgetful(peer: Peer, message: m.Message) -> None:
        """Refuses on the second connection what the first was given."""
        if len(router.peers) > 1 and isinstance(message, m.Subscribe) and message.topic == "a.secret":
            peer.send(m.Error(32, message.request, {}, "wamp.error.not_authorized"))
        elif len(router.peers) > 1 and isinstance(message, m.Register) and message.procedure == "a.taken":
            peer.send(m.Error(64, message.request, {}, "wamp.error.procedure_already_exists"))
        else:
            obedient(peer, message)

    router.script = forgetful
    reports: asyncio.Queue[Rejoin] = asyncio.Queue()
    clock = InstantClock()
    async with connect(router.url, clock=clock, **AT_ONCE) as session:
        session.on_rejoin(reports.put)
        await session.subscribe(print, "a.news")
        await session.subscribe(print, "a.secret")
        await session.register(print, "a.procedure")
        await session.register(print, "a.taken")
        assert reports.empty()
        session.on_leave(lambda _: setattr(clock, "now_s", clock.now_s + 7))
        router.peer.drop()
        report = await eventually(reports.get())
    assert report.away_s == 7
    assert isinstance(report.cause, ConnectionLost)
    assert (report.subscriptions, report.registrations) == (("a.news",), ("a.procedure",))
    assert {uri: error.uri for uri, error in report.failed.items()} == {
        "a.secret": "wamp.error.not_authorized",
        "a.taken": "wamp.error.procedure_already_exists",
    }
    assert report.has_history


async def test_the_subscriber_of_the_command_line_ends_when_it_may_no_longer_subscribe(
    router: ScriptedRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    def changed(peer: Peer, message: m.Message) -> None:
        if len(router.peers) > 1 and isinstance(message, m.Subscribe):
            peer.send(m.Error(32, message.request, {}, "wamp.error.not_authorized"))
        else:
            obedient(peer, message)

    router.script = changed
    subscribing = asyncio.create_task(
        asyncio.to_thread(cli.main, ["subscribe", "--url", router.url, "a.news"])
    )
    await router.until(lambda: router.peers and "Subscribe" in router.peer.names())
    router.peer.drop()
    assert await eventually(subscribing) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("wamp.error.not_authorized")


async def test_a_session_without_subscriptions_reports_joining_again_at_once(
    router: ScriptedRouter,
) -> None:
    reports: asyncio.Queue[Rejoin] = asyncio.Queue()
    async with connect(router.url, **AT_ONCE) as session:
        take_back = session.on_rejoin(reports.put)
        router.peer.drop()
        report = await eventually(reports.get())
        assert (report.subscriptions, report.registrations, report.failed) == ((), (), {})
        take_back()
        turns = Turns(session)
        router.peer.drop()
        await turns.until(joins=1)
        await session.call("a.b")
    assert reports.empty()
