"""A session as callee: what functions learn of a call, progressive results, pieces, interruption."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heliograph.client import ClientOptions, ConnectionLost, Invocation, Result, Session, connect
from heliograph.client.invocation import Target
from heliograph.wamp import messages as m
from heliograph.wamp.payload import PlainPayload
from tests.client.scripted_router import ScriptedRouter, eventually

CALL = {"caller": 9, "caller_authid": "joe", "caller_authrole": "staff", "trustlevel": 3}


def invoke(router: ScriptedRouter, *args: Any, request: int = 1, **details: Any) -> None:
    message = m.Invocation(request, router.id_of("a.b"), m.InvocationDetails(**details), PlainPayload(args))
    router.peer.send(message)


def interrupt(router: ScriptedRouter, request: int = 1) -> None:
    router.peer.send(m.Interrupt(request, m.InterruptOptions(mode="kill")))


def answers(router: ScriptedRouter) -> list[Any]:
    return [each for each in router.peer.received if isinstance(each, m.Yield | m.Error)]


async def answered(router: ScriptedRouter, count: int = 1) -> list[Any]:
    """Wait for `count` answers; returns what each says: its arguments, or its URI."""
    await router.until(lambda: len(answers(router)) >= count)
    return [
        each.error if isinstance(each, m.Error) else each.payload.decoded()[0] for each in answers(router)
    ]


# What functions learn


async def first(invocation: Invocation, value: int) -> Any:
    return [value, invocation.procedure, invocation.caller, invocation.caller_authid]


def keyword(value: int, *, call: "Invocation") -> Any:
    return [value, call.procedure, call.caller_authrole, call.trustlevel]


class Answering:
    async def __call__(self, value: int, *, of: Invocation) -> Any:
        return [value, of.procedure]

    async def method(self, of: Invocation, value: int) -> Any:
        return [value, of.procedure]


@pytest.mark.parametrize(
    ("function", "learns"),
    [
        (first, [5, "a.b.c", 9, "joe"]),
        (keyword, [5, "a.b.c", "staff", 3]),
        (Answering(), [5, "a.b.c"]),
        (Answering().method, [5, "a.b.c"]),
    ],
    ids=["first", "keyword", "object", "method"],
)
async def test_a_function_that_asks_for_it_learns_of_its_call(
    router: ScriptedRouter, function: Any, learns: list[Any]
) -> None:
    async with connect(router.url) as session:
        await session.register(function, "a.b", "prefix", invoke="first", concurrency=3, disclose_caller=True)
        invoke(router, 5, procedure="a.b.c", **CALL)
        assert await answered(router) == [[learns]]
    [register] = [each for each in router.peer.received if isinstance(each, m.Register)]
    options = m.RegisterOptions(match="prefix", invoke="first", concurrency=3, disclose_caller=True)
    assert register.options == options


def test_an_annotation_is_understood_where_others_are_not() -> None:
    def function(first: "Unknown", *, call: "client.Invocation") -> None:  # type: ignore[name-defined]  # noqa: F821
        """Only the text of its annotations can be read."""

    assert Target(function).wants_invocation
    assert not Target(print).wants_invocation


def middle(value: int, invocation: Invocation) -> None: ...


def several(*invocations: Invocation) -> None: ...


@pytest.mark.parametrize("function", [middle, several])
async def test_an_invocation_that_cannot_be_given_is_told_when_registering(
    router: ScriptedRouter, function: Any
) -> None:
    async with connect(router.url) as session:
        with pytest.raises(TypeError, match="invocation"):
            await session.register(function, "a.b")
        with pytest.raises(ValueError, match="concurrency"):
            await session.register(print, "a.b", concurrency=0)


async def test_a_caller_cannot_give_the_invocation_itself(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        await session.register(keyword, "a.b")
        message = m.Invocation(1, router.id_of("a.b"), m.InvocationDetails(), PlainPayload([1], {"call": 2}))
        router.peer.send(message)
        assert await answered(router) == ["wamp.error.invalid_argument"]


async def test_a_type_error_inside_a_function_is_its_own(
    router: ScriptedRouter, caplog: pytest.LogCaptureFixture
) -> None:
    def function() -> int:
        return len(5)  # type: ignore[arg-type]  # that is the defect

    async with connect(router.url) as session:
        await session.register(function, "a.b")
        invoke(router)
        assert await answered(router) == ["wamp.error.runtime_error"]
    assert any(record.levelno == logging.ERROR for record in caplog.records)


# Progressive results


async def test_progress_is_sent_to_who_takes_it(router: ScriptedRouter) -> None:
    async def function(*, invocation: Invocation) -> str:
        await invocation.progress(1, of=2)
        return "done"

    async with connect(router.url) as session:
        await session.register(function, "a.b")
        invoke(router, receive_progress=True)
        assert await answered(router, 2) == [[1], ["done"]]
        assert [each.options.progress for each in answers(router)] == [True, False]
        assert answers(router)[0].payload.decoded()[1] == {"of": 2}
        invoke(router, request=2)
        assert (await answered(router, 3))[2:] == [["done"]]


async def count(until: int) -> AsyncIterator[Any]:
    for number in range(until):
        yield number
    yield Result([until], {"is": "last"})


async def test_what_a_generator_yields_are_progressive_results(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        await session.register(count, "a.b")
        invoke(router, 2, receive_progress=True)
        assert await answered(router, 4) == [[0], [1], [2], []]
        assert [each.options.progress for each in answers(router)] == [True, True, True, False]


async def test_a_caller_that_takes_no_progress_gets_all_at_once(router: ScriptedRouter) -> None:
    async with connect(router.url, options=ClientOptions(max_queued_results=3)) as session:
        await session.register(count, "a.b")
        invoke(router, 1)
        [[zero, one]] = await answered(router)
        assert (zero, one) == (0, {"args": [1], "kwargs": {"is": "last"}})
        invoke(router, 3, request=2)
        assert (await answered(router, 2))[1] == "wamp.error.invalid_argument"


async def test_a_generator_that_fails_is_an_error_after_its_results(router: ScriptedRouter) -> None:
    async def failing() -> AsyncIterator[int]:
        yield 1
        raise LookupError("no more")

    async with connect(router.url) as session:
        await session.register(failing, "a.b")
        invoke(router, receive_progress=True)
        assert await answered(router, 2) == [[1], "wamp.error.runtime_error"]


# Interruption


class Endless:
    """Functions that never end by themselves, and tell when they have begun and ended."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self.has_ended = asyncio.Event()

    async def wait(self) -> None:
        self.has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.has_ended.set()

    async def stream(self) -> AsyncIterator[int]:
        yield 1
        await self.wait()

    async def insist(self) -> str:
        try:
            await self.wait()
        except asyncio.CancelledError:
            return "nevertheless"
        return "never"

    async def pieces(self, *, invocation: Invocation) -> Any:
        self.has_begun.set()
        try:
            return [piece async for piece in invocation.pieces]
        finally:
            self.has_ended.set()


@pytest.mark.parametrize(
    ("name", "answer"),
    [("wait", "wamp.error.canceled"), ("stream", "wamp.error.canceled"), ("insist", ["nevertheless"])],
)
async def test_an_interrupt_cancels_the_functions_task(
    router: ScriptedRouter, name: str, answer: Any
) -> None:
    endless = Endless()
    async with connect(router.url) as session:
        await session.register(getattr(endless, name), "a.b")
        invoke(router, receive_progress=True)
        await eventually(endless.has_begun.wait())
        interrupt(router)
        await eventually(endless.has_ended.wait())
        assert (await answered(router, 2 if name == "stream" else 1))[-1] == answer
        assert await session.call("a.c", 1) == 1  # the session goes on


@pytest.mark.parametrize("name", ["wait", "stream"])
async def test_an_interrupt_that_comes_with_its_call_is_answered_too(
    router: ScriptedRouter, name: str
) -> None:
    async with connect(router.url) as session:
        await session.register(getattr(Endless(), name), "a.b")
        invoke(router, receive_progress=True)
        interrupt(router)
        interrupt(router)
        assert (await answered(router))[-1] == "wamp.error.canceled"


async def test_a_function_that_has_answered_is_not_interrupted(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        await session.register(lambda: 5, "a.b")
        invoke(router)
        assert await answered(router) == [[5]]
        interrupt(router)
        assert await session.call("a.c", 1) == 1


# When the caller is gone


async def dropped(router: ScriptedRouter, session: Session) -> None:
    left = asyncio.Event()
    session.on_leave(lambda _: left.set())
    router.peer.drop()
    await eventually(left.wait())


async def test_a_generator_ends_with_the_connection_and_a_function_works_on(router: ScriptedRouter) -> None:
    streaming, working = Endless(), Endless()
    async with connect(router.url) as session:
        await session.register(streaming.stream, "a.b")
        await session.register(working.wait, "a.work")
        invoke(router, receive_progress=True)
        router.peer.send(m.Invocation(2, router.id_of("a.work"), m.InvocationDetails()))
        await eventually(streaming.has_begun.wait())
        await eventually(working.has_begun.wait())
        await dropped(router, session)
        await eventually(streaming.has_ended.wait())
        assert not working.has_ended.is_set()
    assert working.has_ended.is_set()


async def test_who_sends_progress_hears_that_nobody_takes_it(
    router: ScriptedRouter, caplog: pytest.LogCaptureFixture
) -> None:
    go_on, heard = asyncio.Event(), asyncio.Event()

    async def function(*, invocation: Invocation) -> None:
        await go_on.wait()
        try:
            await invocation.progress(1)
        except ConnectionLost:
            heard.set()
            raise

    async with connect(router.url) as session:
        await session.register(function, "a.b")
        invoke(router, receive_progress=True)
        await session.call("a.c")
        await dropped(router, session)
        go_on.set()
        await eventually(heard.wait())
    assert not any(record.levelno == logging.ERROR for record in caplog.records)


# Pieces


async def test_pieces_are_read_in_a_loop(router: ScriptedRouter) -> None:
    endless = Endless()
    async with connect(router.url) as session:
        await session.register(endless.pieces, "a.b")
        invoke(router, progress=True)
        invoke(router, "one", progress=True)
        await eventually(endless.has_begun.wait())
        invoke(router, "two", 2, progress=True)
        invoke(router, "last")
        assert await answered(router) == [[["one", {"args": ["two", 2], "kwargs": {}}, "last"]]]


async def test_an_empty_last_message_is_no_piece(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        await session.register(Endless().pieces, "a.b")
        invoke(router, progress=True)
        invoke(router, progress=True)
        invoke(router)
        assert await answered(router) == [[[None]]]
        invoke(router, request=2)  # a call that is not in pieces
        assert (await answered(router, 2))[1] == [[]]


async def test_a_function_that_takes_no_pieces_is_sent_none(router: ScriptedRouter) -> None:
    called: list[Any] = []
    async with connect(router.url) as session:
        await session.register(called.append, "a.b")
        invoke(router, 1, progress=True)
        invoke(router, 2)
        assert await answered(router) == ["wamp.error.feature_not_supported"]
        await session.call("a.c")
    assert called == []


async def test_pieces_that_nobody_reads_are_bounded(router: ScriptedRouter) -> None:
    endless = Endless()

    async def unread(*, invocation: Invocation) -> None:
        await endless.wait()

    async with connect(router.url, options=ClientOptions(max_queued_pieces=3)) as session:
        await session.register(unread, "a.b")
        for _ in range(10):
            invoke(router, progress=True)
        assert await answered(router) == ["wamp.error.runtime_error"]
        await session.call("a.c")
        assert len(answers(router)) == 1


async def test_pieces_end_with_the_connection(router: ScriptedRouter) -> None:
    endless = Endless()
    async with connect(router.url) as session:
        await session.register(endless.pieces, "a.b")
        invoke(router, progress=True)
        await eventually(endless.has_begun.wait())
        await dropped(router, session)
        await eventually(endless.has_ended.wait())


# Too much at once


async def test_a_flood_of_calls_is_bounded(router: ScriptedRouter) -> None:
    async with connect(router.url, options=ClientOptions(max_running_calls=10)) as session:
        await session.register(Endless().wait, "a.b")
        for request in range(1, 1001):
            invoke(router, request=request)
        uris = await answered(router, 990)
        assert set(uris) == {"wamp.error.runtime_error"}
        assert len(session._connection._tasks) < 20


async def test_calls_that_outlive_their_connection_count(router: ScriptedRouter) -> None:
    async with connect(router.url, options=ClientOptions(max_running_calls=2), random=lambda: 0.0) as session:
        await session.register(Endless().wait, "a.b")
        back = asyncio.Event()
        session.on_rejoin(lambda _: back.set())
        invoke(router, request=1)
        invoke(router, request=2)
        await session.call("a.c")
        router.peer.drop()
        await eventually(back.wait())
        invoke(router, request=1)
        assert await answered(router) == ["wamp.error.runtime_error"]
