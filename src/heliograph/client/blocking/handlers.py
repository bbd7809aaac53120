"""Plain functions as handlers and procedures: they run in threads, where they may block."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from threading import Event as Flag
from typing import Any, cast

from heliograph.client import invocation as asynchronous
from heliograph.client.blocking.portal import Portal
from heliograph.client.errors import ConnectionLost
from heliograph.client.payload import Result


class Invocation:
    """One call of a registered function, for functions that block.

        def copy(path: str, *, invocation: Invocation) -> int:
            invocation.progress("begun")

    Attributes:
        procedure: the procedure that was called; with a pattern, not the pattern.
        caller: the caller's session id, where the router tells it.
        caller_authid: the caller's authid, where the router tells it.
        caller_authrole: the caller's role, where the router tells it.
        trustlevel: the router's trust in the caller, 0 is the lowest; where the router tells it.
        wants_progress: whether the caller takes progressive results.
    """

    def __init__(self, invocation: asynchronous.Invocation, portal: Portal, is_canceled: Flag) -> None:
        self.procedure = invocation.procedure
        self.caller = invocation.caller
        self.caller_authid = invocation.caller_authid
        self.caller_authrole = invocation.caller_authrole
        self.trustlevel = invocation.trustlevel
        self.wants_progress = invocation.wants_progress
        self._invocation = invocation
        self._portal = portal
        self._is_canceled = is_canceled

    @property
    def is_canceled(self) -> bool:
        """Whether the caller has given up: a thread cannot be stopped, so a function that takes long should look."""
        return self._is_canceled.is_set()

    def progress(self, /, *args: Any, **kwargs: Any) -> None:
        """Send a progressive result; nothing is sent to a caller that takes none.

        Raises:
            ConnectionLost: the caller cannot be reached any more, or has given up.
            BadPayload: the values cannot be expressed in the session's serializer.
        """
        if self.is_canceled:
            raise ConnectionLost(f"the caller of {self.procedure} has given up")
        self._portal.run(lambda: self._invocation.send_progress(Result(args, kwargs)))

    @property
    def pieces(self) -> Iterator[Any]:
        """What follows the arguments in a call that is sent in pieces: a value each, or a `Result` of several.

        Raises:
            ConnectionLost: the connection went before the last piece, or the caller has given up.
            BadPayload: a piece cannot be read.
        """
        pieces = self._invocation.pieces

        async def next_piece() -> tuple[Any] | None:
            try:
                return (await anext(pieces),)
            except StopAsyncIteration:
                return None

        while (piece := self._portal.run(next_piece)) is not None:
            yield piece[0]


def procedure_in_thread(function: Callable[..., Any], portal: Portal) -> Callable[..., Any]:
    """Return a coroutine function, or an asynchronous generator function, that runs `function` in a thread."""
    target = asynchronous.Target(function, Invocation)
    if inspect.isgeneratorfunction(function):
        return _stream_in_thread(target, portal)

    async def run(invocation: asynchronous.Invocation, *args: Any, **kwargs: Any) -> Any:
        is_canceled = Flag()
        call = partial(target, Invocation(invocation, portal, is_canceled), list(args), kwargs)
        try:
            return await portal.in_thread(call)
        finally:
            is_canceled.set()  # it has ended, or nobody waits for it any more

    return run


def _stream_in_thread(target: asynchronous.Target, portal: Portal) -> Callable[..., Any]:
    async def stream(invocation: asynchronous.Invocation, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        is_canceled = Flag()
        blocking = Invocation(invocation, portal, is_canceled)
        parts = cast(Iterator[Any], target(blocking, list(args), kwargs))
        try:
            while (part := await portal.in_thread(_next, parts)) is not None:
                yield part[0]
        finally:
            is_canceled.set()

    return stream


def _next(parts: Iterator[Any]) -> tuple[Any] | None:
    try:
        return (next(parts),)
    except StopIteration:
        return None


def handler_in_thread(handler: Callable[..., Any], portal: Portal) -> Callable[..., Awaitable[Any]]:
    """Return a coroutine function that runs `handler` in a thread."""

    async def run(*args: Any) -> Any:
        return await portal.in_thread(handler, *args)

    return run


async def pieces_in_thread(pieces: Iterator[Any], portal: Portal) -> AsyncIterator[Any]:
    """Yield what an iterator yields that may block."""
    while (piece := await portal.in_thread(_next, pieces)) is not None:
        yield piece[0]
