"""A session as caller: cancellation, time limits, progressive results and calls in pieces."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heliograph.client import (
    ApplicationError,
    BadPayload,
    ClientOptions,
    ConnectionLost,
    ProgressiveCall,
    RequestTimeout,
    Result,
    ResultsOverrun,
    connect,
)
from heliograph.wamp import messages as m
from heliograph.wamp.payload import PlainPayload
from tests.client.scripted_router import Peer, ScriptedRouter, eventually, obedient


def quiet(peer: Peer, message: m.Message) -> None:
    """A router that likes everything but answers no call of `a.slow`."""
    if isinstance(message, m.Call) and message.procedure == "a.slow":
        return
    obedient(peer, message)


@pytest.fixture
def slow(router: ScriptedRouter) -> ScriptedRouter:
    router.script = quiet
    return router


def result(call: m.Call, *args: Any, progress: bool | None = None) -> m.Result:
    return m.Result(call.request, m.ResultDetails(progress=progress), PlainPayload(args))


async def call_of(router: ScriptedRouter, procedure: str = "a.slow") -> m.Call:
    """Wait until `procedure` is called; returns the first call."""

    def calls() -> list[m.Call]:
        return [
            each for each in router.peer.received if isinstance(each, m.Call) and each.procedure == procedure
        ]

    await router.until(calls)
    return calls()[0]


def cancels(router: ScriptedRouter) -> list[m.Cancel]:
    return [each for each in router.peer.received if isinstance(each, m.Cancel)]


async def reading(call: ProgressiveCall, seen: list[Any] | None = None) -> list[Any]:
    """Read all results, into `seen` where what came before an error matters."""
    parts = [] if seen is None else seen
    async for part in call:
        parts.append(part)
    return parts


# Calls that are given up


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait"])
async def test_a_task_that_is_cancelled_cancels_its_call(slow: ScriptedRouter, mode: Any) -> None:
    async with connect(slow.url) as session:
        task = asyncio.create_task(session.call_procedure("a.slow", cancel_mode=mode))
        call = await call_of(slow)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await slow.until(lambda: cancels(slow))
        assert cancels(slow) == [m.Cancel(call.request, m.CancelOptions(mode=mode))]
        slow.peer.send(m.Error(48, call.request, {}, "wamp.error.canceled"))
        assert await session.call("a.b", 1) == 1  # the session goes on


async def test_a_call_that_runs_out_of_time_is_cancelled(slow: ScriptedRouter) -> None:
    async with connect(slow.url) as session:
        with pytest.raises(RequestTimeout):
            await session.call_procedure("a.slow", timeout_s=0.0101)
        call = await call_of(slow)
        await slow.until(lambda: cancels(slow))
    assert call.options == m.CallOptions(timeout=11)  # milliseconds, rounded up
    assert [cancel.request for cancel in cancels(slow)] == [call.request]


async def test_the_routers_clock_may_be_faster(slow: ScriptedRouter) -> None:
    async with connect(slow.url) as session:
        task = asyncio.create_task(session.call_procedure("a.slow", timeout_s=60))
        call = await call_of(slow)
        slow.peer.send(m.Error(48, call.request, {}, "wamp.error.timeout"))
        with pytest.raises(RequestTimeout):
            await eventually(task)
    assert cancels(slow) == []


async def test_an_error_called_timeout_is_the_procedures_own_where_no_limit_was_set(
    slow: ScriptedRouter,
) -> None:
    async with connect(slow.url) as session:
        task = asyncio.create_task(session.call("a.slow"))
        call = await call_of(slow)
        slow.peer.send(m.Error(48, call.request, {}, "wamp.error.timeout"))
        with pytest.raises(ApplicationError):
            await eventually(task)


async def test_a_call_that_is_answered_is_not_cancelled(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        await session.call_procedure("a.b", timeout_s=60, disclose_me=True)
    assert cancels(router) == []
    assert (await call_of(router, "a.b")).options == m.CallOptions(timeout=60_000, disclose_me=True)


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
async def test_a_time_limit_is_above_zero(router: ScriptedRouter, timeout_s: float) -> None:
    async with connect(router.url) as session:
        with pytest.raises(ValueError, match="timeout_s"):
            await session.call_procedure("a.b", timeout_s=timeout_s)


async def test_an_answer_that_comes_with_the_cancellation_does_no_harm(slow: ScriptedRouter) -> None:
    async with connect(slow.url) as session:
        task = asyncio.create_task(session.call("a.slow"))
        call = await call_of(slow)
        slow.peer.send(result(call, 1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await session.call("a.b", 1) == 1
        assert len(session._protocol.requests) == 0


# Progressive results


async def test_progressive_results_are_read_in_a_loop_and_then_the_final_one(slow: ScriptedRouter) -> None:
    async with connect(slow.url) as session:
        call = session.call_progressive("a.slow", [1], {"key": 2}, timeout_s=60)
        task = asyncio.create_task(reading(call))
        made = await call_of(slow)
        assert made.options == m.CallOptions(receive_progress=True, timeout=60_000)
        assert made.payload == PlainPayload([1], {"key": 2})
        slow.peer.send(
            result(made, 1, progress=True),
            m.Result(made.request, m.ResultDetails(progress=True), PlainPayload([2], {"of": 3})),
            result(made, "done"),
        )
        assert await eventually(task) == [1, Result([2], {"of": 3})]
        assert call.result == "done"
    assert cancels(slow) == []


async def test_there_is_no_result_before_the_end(slow: ScriptedRouter) -> None:
    async with connect(slow.url) as session, session.call_progressive("a.slow") as call:
        with pytest.raises(RuntimeError, match="to their end"):
            _ = call.result
        with pytest.raises(RuntimeError, match="another"):
            await call.__aenter__()


async def test_an_error_comes_after_the_results_that_came_before(slow: ScriptedRouter) -> None:
    async with connect(slow.url) as session, session.call_progressive("a.slow") as call:
        made = await call_of(slow)
        slow.peer.send(
            result(made, 1, progress=True),
            m.Error(48, made.request, {}, "com.example.no", PlainPayload(["so"])),
        )
        seen: list[Any] = []
        with pytest.raises(ApplicationError, match="so"):
            await reading(call, seen)
        assert seen == [1]


async def test_a_loop_that_is_left_early_cancels_the_call(slow: ScriptedRouter) -> None:
    async with connect(slow.url) as session:

        async def first() -> Any:
            async for part in session.call_progressive("a.slow", cancel_mode="kill"):
                return part
            return None

        task = asyncio.create_task(first())
        made = await call_of(slow)
        slow.peer.send(result(made, 1, progress=True))
        assert await eventually(task) == 1
        gc.collect()
        await slow.until(lambda: cancels(slow))
        slow.peer.send(result(made, 2, progress=True), m.Error(48, made.request, {}, "wamp.error.canceled"))
        assert await session.call("a.b", 1) == 1
    assert cancels(slow) == [m.Cancel(made.request, m.CancelOptions(mode="kill"))]


async def test_the_time_limit_counts_between_results(slow: ScriptedRouter) -> None:
    async with connect(slow.url) as session, session.call_progressive("a.slow", timeout_s=0.2) as call:
        made = await call_of(slow)
        slow.peer.send(result(made, 1, progress=True))
        seen: list[Any] = []
        with pytest.raises(RequestTimeout, match=r"0\.2 s"):
            await reading(call, seen)
        assert seen == [1]


async def test_results_that_nobody_reads_are_bounded_and_end_the_call(slow: ScriptedRouter) -> None:
    async with connect(slow.url, options=ClientOptions(max_queued_results=3)) as session:
        async with session.call_progressive("a.slow") as call:
            made = await call_of(slow)
            slow.peer.send(*(result(made, number, progress=True) for number in range(10)))
            await slow.until(lambda: cancels(slow))
            seen: list[Any] = []
            with pytest.raises(ResultsOverrun):
                await reading(call, seen)
            assert seen == [0, 1, 2]
        assert await session.call("a.b", 1) == 1


async def test_a_progressive_call_is_lost_with_its_connection(slow: ScriptedRouter) -> None:
    async with connect(slow.url) as session, session.call_progressive("a.slow") as call:
        await call_of(slow)
        slow.peer.drop()
        with pytest.raises(ConnectionLost):
            await eventually(reading(call))


async def test_results_that_cannot_be_read_are_an_error(slow: ScriptedRouter) -> None:
    async with connect(slow.url) as session, session.call_progressive("a.slow") as call:
        made = await call_of(slow)
        slow.peer.send_bytes(b'[50,%d,{"progress":true},["\\u0000?"]]' % made.request)
        with pytest.raises(BadPayload):
            await eventually(reading(call))


# Calls in pieces


def with_features(*features: str) -> Any:
    def script(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Hello):
            dealer = {"features": dict.fromkeys(features, True)}
            peer.send(m.Welcome(1, m.WelcomeDetails(roles={"dealer": dealer})))
        else:
            quiet(peer, message)

    return script


def pieces_of(router: ScriptedRouter) -> list[tuple[list[Any], bool]]:
    return [
        (each.payload.decoded()[0], each.options.progress)
        for each in router.peer.received
        if isinstance(each, m.Call) and each.procedure == "a.slow"
    ]


async def test_pieces_are_sent_as_they_come_and_then_the_end(slow: ScriptedRouter) -> None:
    more = asyncio.Event()

    async def pieces() -> AsyncIterator[Any]:
        yield "one"
        await more.wait()
        yield Result(["two", 2])

    async with connect(slow.url) as session:
        call = session.call_progressive("a.slow", ["begin"], pieces=pieces())
        task = asyncio.create_task(reading(call))
        await slow.until(lambda: len(pieces_of(slow)) == 2)
        more.set()
        await slow.until(lambda: len(pieces_of(slow)) == 4)
        assert pieces_of(slow) == [(["begin"], True), (["one"], True), (["two", 2], True), ([], False)]
        made = await call_of(slow)
        slow.peer.send(result(made, "done"))
        assert await eventually(task) == []
        assert call.result == "done"


async def test_no_more_pieces_are_sent_when_the_answer_is_there(slow: ScriptedRouter) -> None:
    is_closed = asyncio.Event()

    async def pieces() -> AsyncIterator[Any]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            is_closed.set()

    async with connect(slow.url) as session:
        task = asyncio.create_task(reading(session.call_progressive("a.slow", pieces=pieces())))
        await slow.until(lambda: len(pieces_of(slow)) == 2)
        slow.peer.send(result(await call_of(slow), "enough"))
        await eventually(task)
        await eventually(is_closed.wait())
        await session.call("a.b")
    assert len(pieces_of(slow)) == 2
    assert cancels(slow) == []


async def test_pieces_that_fail_cancel_the_call_and_raise_where_it_is_read(slow: ScriptedRouter) -> None:
    async def pieces() -> AsyncIterator[Any]:
        yield 1
        raise LookupError("no more")

    async with connect(slow.url) as session:
        with pytest.raises(LookupError, match="no more"):
            await eventually(reading(session.call_progressive("a.slow", pieces=pieces())))
        await slow.until(lambda: cancels(slow))


async def test_a_piece_that_cannot_be_expressed_cancels_the_call(slow: ScriptedRouter) -> None:
    async def pieces() -> AsyncIterator[Any]:
        yield object()

    async with connect(slow.url) as session:
        with pytest.raises(BadPayload):
            await eventually(reading(session.call_progressive("a.slow", pieces=pieces())))


async def test_a_router_that_takes_no_calls_in_pieces_is_sent_none(router: ScriptedRouter) -> None:
    async def pieces() -> AsyncIterator[Any]:
        yield 1

    router.script = with_features("call_canceling")
    async with connect(router.url) as session:
        with pytest.raises(ApplicationError, match="feature_not_supported"):
            await reading(session.call_progressive("a.slow", pieces=pieces()))
    assert pieces_of(router) == []
