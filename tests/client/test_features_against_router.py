"""What WAMP's advanced profile has for clients, through the real router."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from heliograph.client import (
    ApplicationError,
    ClientOptions,
    Event,
    Events,
    Invocation,
    Missed,
    RequestTimeout,
    Result,
    Session,
    connect,
)
from tests.client.scripted_router import eventually
from tests.support.nodes import RouterProcess, node_config, router_process, web_transport

REALM = {
    "name": "realm1",
    "roles": [
        {
            "name": "anonymous",
            "allow-by-default": True,
            "permissions": [
                {"uri": "wamp.subscription.remove_subscriber", "allow": {"call": True}},
                {"uri": "wamp.session.kill", "allow": {"call": True}},
            ],
        }
    ],
    "store": {
        "type": "memory",
        "event-history": [{"uri": "kept", "match": "exact", "limit": 3}],
        "call-queue": [{"uri": "queued", "match": "prefix", "limit": 10}],
    },
}


@pytest.fixture(scope="module", params=["websocket", "rawsocket"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("router")
    raw = {"type": "rawsocket", "endpoint": {"type": "unix", "path": str(directory / "raw.sock")}}
    with router_process(directory, node_config(web_transport(), raw, realm=REALM)) as running:
        yield websocket_url(running) if request.param == "websocket" else f"unix:{directory}/raw.sock"


def websocket_url(router: RouterProcess) -> str:
    host, port = router.address
    return f"ws://{host}:{port}/ws"


@pytest.fixture
async def session(url: str) -> AsyncIterator[Session]:
    async with connect(url) as joined:
        yield joined


@pytest.fixture
async def other(url: str) -> AsyncIterator[Session]:
    async with connect(url) as joined:
        yield joined


async def args_of(events: Events[Event], count: int) -> list[Any]:
    return [(await eventually(events.next())).args for _ in range(count)]


# Events


async def test_patterns_bring_the_topic_of_each_event(session: Session, other: Session) -> None:
    async with session.events("a.b", "prefix") as prefix, session.events("a..c", "wildcard") as wildcard:
        await other.publish("a.bee", 1)
        await other.publish("a.x.c", 2)
        assert (await eventually(prefix.next())).topic == "a.bee"
        assert (await eventually(wildcard.next())).topic == "a.x.c"


async def test_the_publisher_is_told_when_it_asks_for_it(session: Session, other: Session) -> None:
    async with session.events("told") as events:
        await other.publish_event("told", disclose_me=True)
        await other.publish("told")
        told, untold = [await eventually(events.next()) for _ in range(2)]
    assert (told.publisher, told.publisher_authrole) == (other.session_id, "anonymous")
    assert untold.publisher is None


async def test_lists_of_receivers_are_heeded(session: Session, other: Session) -> None:
    assert session.session_id is not None
    assert other.session_id is not None
    async with session.events("listed") as events:
        await other.publish_event("listed", [1], exclude=[session.session_id])
        await other.publish_event("listed", [2], eligible=[session.session_id])
        await other.publish_event("listed", [3], exclude_authrole=["anonymous"])
        await other.publish_event("listed", [4], eligible_authrole=["anonymous"])
        await other.publish_event("listed", [5], eligible_authid=["nobody"])
        await other.publish_event("listed", [6], exclude_authid=["nobody"])
        assert await args_of(events, 3) == [[2], [4], [6]]
    with pytest.raises(TypeError, match="list"):
        await other.publish_event("listed", eligible_authrole="anonymous")


async def test_a_retained_event_reaches_each_who_asks_for_it_once(session: Session, other: Session) -> None:
    await other.publish_event("retained", ["kept"], retain=True, acknowledge=True)
    heard: asyncio.Queue[Event] = asyncio.Queue()
    await session.subscribe(heard.put_nowait, "retained")
    async with session.events("retained", get_retained=True) as first:
        event = await eventually(first.next())
        assert (event.args, event.retained) == (["kept"], True)
        async with session.events("retained", get_retained=True) as second:
            assert await args_of(second, 1) == [["kept"]]
            await other.publish("retained", "new")
            assert await args_of(first, 1) == [["new"]]
            assert await args_of(second, 1) == [["new"]]
    assert (await eventually(heard.get())).args == ["new"]


async def test_a_subscription_that_an_administrator_takes_away_ends(session: Session, other: Session) -> None:
    async with session.events("taken") as events:
        subscription = await other.call("wamp.subscription.lookup", "taken")
        await other.call("wamp.subscription.remove_subscriber", subscription, session.session_id)
        with pytest.raises(ApplicationError, match="taken away"):
            await eventually(events.next())


async def test_a_testament_is_published_when_its_session_goes(url: str, session: Session) -> None:
    async with session.events("testament") as events:
        async with connect(url) as mortal:
            await mortal.add_testament("testament", ["gone"], {"why": "left"})
            await mortal.add_testament("testament", ["other"], scope="detached")
            await mortal.flush_testaments(scope="detached")
        event = await eventually(events.next())
        assert (event.args, event.kwargs) == (["gone"], {"why": "left"})


# Calls


async def test_the_caller_is_told_where_the_callee_or_it_asks_for_it(
    session: Session, other: Session
) -> None:
    async def who(*, invocation: Invocation) -> Any:
        return [invocation.caller, invocation.caller_authrole]

    await session.register(who, "who.asks", disclose_caller=True)
    await session.register(who, "who.does.not")
    assert await other.call("who.asks") == [other.session_id, "anonymous"]
    assert await other.call("who.does.not") == [None, None]
    told = await other.call_procedure("who.does.not", disclose_me=True)
    assert told.value() == [other.session_id, "anonymous"]


async def test_patterns_and_shared_registrations_are_called(session: Session, other: Session) -> None:
    async def named(*, invocation: Invocation) -> str:
        return invocation.procedure

    await session.register(named, "pattern.", "prefix")
    assert await other.call("pattern.of.this") == "pattern.of.this"
    await session.register(lambda: "one", "shared", invoke="roundrobin")
    await other.register(lambda: "two", "shared", invoke="roundrobin")
    assert {await other.call("shared"), await other.call("shared")} == {"one", "two"}
    with pytest.raises(ApplicationError, match="procedure_already_exists"):
        await other.register(lambda: None, "shared")


async def test_a_procedure_that_another_takes_over_is_lost_for_good(session: Session, other: Session) -> None:
    first = await session.register(lambda: "first", "mine")
    await other.register(lambda: "second", "mine", force_reregister=True)
    assert await session.call("mine") == "second"
    assert not first.is_active


async def test_concurrency_lets_calls_wait(session: Session, other: Session) -> None:
    running, most = 0, 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await session.register(work, "queued.work", concurrency=1)
    await eventually(asyncio.gather(*(other.call("queued.work") for _ in range(5))))
    assert most == 1


async def test_progressive_results_and_the_final_one(session: Session, other: Session) -> None:
    async def count(until: int, *, invocation: Invocation) -> str:
        for number in range(until):
            await invocation.progress(number)
        return "done"

    await session.register(count, "count")
    call = other.call_progressive("count", [3])
    assert [part async for part in call] == [0, 1, 2]
    assert call.result == "done"
    assert await other.call("count", 3) == "done"


async def test_a_generator_stops_when_its_caller_leaves_the_loop(session: Session, other: Session) -> None:
    stopped = asyncio.Event()

    async def forever() -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
        finally:
            stopped.set()

    await session.register(forever, "forever")
    async with other.call_progressive("forever") as call:
        async for part in call:
            if part == 10:
                break
    await eventually(stopped.wait())


@pytest.mark.parametrize("cancel_mode", ["kill", "killnowait", "skip"])
async def test_a_function_stops_when_its_caller_is_cancelled(
    session: Session, other: Session, cancel_mode: Any
) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()
    release = asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await release.wait()
        finally:
            stopped.set()

    await session.register(wait, "wait")
    task = asyncio.create_task(other.call_procedure("wait", cancel_mode=cancel_mode))
    await eventually(begun.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await other.call("wamp.session.count")  # CANCEL has been handled by then
    if cancel_mode == "skip":
        await session.call("wamp.session.count")
        assert not stopped.is_set()
        release.set()
    await eventually(stopped.wait())


async def test_a_function_stops_when_the_time_is_over(session: Session, other: Session) -> None:
    stopped = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    await session.register(wait, "wait.too.long")
    with pytest.raises(RequestTimeout):
        await other.call_procedure("wait.too.long", timeout_s=0.05)
    await eventually(stopped.wait())


async def test_a_call_goes_in_pieces_both_ways(session: Session, other: Session) -> None:
    async def total(start: int, *, invocation: Invocation) -> int:
        async for piece in invocation.pieces:
            start += piece
            await invocation.progress(start)
        return start

    async def numbers() -> AsyncIterator[int]:
        for number in range(5):
            yield number

    await session.register(total, "total")
    call = other.call_progressive("total", [100], pieces=numbers())
    assert [part async for part in call] == [100, 101, 103, 106, 110]
    assert call.result == 110


async def test_many_pieces_and_results_keep_their_order(session: Session, other: Session) -> None:
    async def echo(*, invocation: Invocation) -> AsyncIterator[Any]:
        async for piece in invocation.pieces:
            yield Result([piece])

    async def numbers() -> AsyncIterator[int]:
        for number in range(500):
            yield number

    await session.register(echo, "echo")
    call = other.call_progressive("echo", pieces=numbers())
    assert [part async for part in call] == list(range(500))


# What was missed


async def test_what_was_missed_comes_from_the_history(url: str, other: Session) -> None:
    options = ClientOptions(backoff_initial_s=0.5)
    async with (
        connect(url, options=options, random=lambda: 1.0) as away,
        away.events("kept", with_gaps=True) as events,
    ):
        await other.publish_event("kept", [1], acknowledge=True)
        assert await args_of(events, 1) == [[1]]  # type: ignore[arg-type]  # there is no gap yet
        back = asyncio.Event()
        away.on_rejoin(lambda _: back.set())
        await other.call("wamp.session.kill", away.session_id)
        await other.publish_event("kept", [2], acknowledge=True)
        await other.publish_event("kept", [3], acknowledge=True)
        await eventually(back.wait())
        await other.publish_event("kept", [4], acknowledge=True)
        gap = await eventually(events.next())
        assert 0.3 < gap.away_s < 10
        missed: Missed = await events.missed()
        assert await args_of(events, 1) == [[4]]  # type: ignore[arg-type]  # there is no other gap
    # The history holds three: the event before the gap had to make room for the one after it.
    assert [event.args for event in missed.events] == [[2], [3]]
    assert not missed.is_complete


async def test_a_history_is_asked_for_what_comes_after_the_last_event(url: str, other: Session) -> None:
    async with connect(url, random=lambda: 0.0) as away, away.events("kept") as events:
        await other.publish_event("kept", ["before"], acknowledge=True)
        assert await args_of(events, 1) == [["before"]]
        rejoin: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        away.on_rejoin(rejoin.set_result)
        away._connection._link.abort()  # type: ignore[union-attr]  # as if somebody had cut the cable
        report = await eventually(rejoin)
        assert (report.subscriptions, report.failed, report.has_history) == (("kept",), {}, True)
        assert await events.missed() == Missed([], is_complete=True)
