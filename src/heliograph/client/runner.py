"""How a call of a registered function becomes an answer."""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, cast

from heliograph.client.errors import ApplicationError, BadPayload, ConnectionLost
from heliograph.client.invocation import Invocation, Target
from heliograph.client.invocations import Invocations, OpenInvocation
from heliograph.client.options import ClientOptions
from heliograph.client.payload import Result, encode_payload, read_payload
from heliograph.wamp.errors import (
    CANCELED,
    FEATURE_NOT_SUPPORTED,
    INVALID_ARGUMENT,
    RUNTIME_ERROR,
)
from heliograph.wamp.payload import Payload, PlainPayload
from heliograph.wire.serializers.serializer import Serializer

logger = logging.getLogger("heliograph.client")

LONGEST_TEXT = 1000
"""Characters of a text that tells what went wrong: an exception may hold anything, and a router take little."""


class _Running:
    """A function at work on a call."""

    __slots__ = ("invocation", "is_interrupted", "is_stream", "task")

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        self.task: asyncio.Task[None] | None = None
        self.is_stream = False
        self.is_interrupted = False


class InvocationRunner:
    """Runs functions for the calls that come in and answers each exactly once.

    Args:
        invocations: where answers go.
        serializer: returns the serializer of the present connection.
        writable: waits until there is room to write.
        spawn: starts a task that lives as long as the session.
        options: how many calls may run and how many pieces may wait.
    """

    def __init__(
        self,
        invocations: Invocations,
        *,
        serializer: Callable[[], Serializer],
        writable: Callable[[], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        options: ClientOptions,
    ) -> None:
        self._invocations = invocations
        self._serializer = serializer
        self._writable = writable
        self._spawn = spawn
        self._options = options
        self._running: dict[OpenInvocation, _Running] = {}

    # What comes from the router

    def start(self, opened: OpenInvocation) -> None:
        """Call the function; a coroutine goes on as a task of its own, so that calls run side by side."""
        limit = self._options.max_running_calls
        if len(self._running) >= limit:
            self._refuse(opened, RUNTIME_ERROR, f"busy: {limit} calls are running; call later")
            return
        target: Target = opened.target
        if not opened.is_last and not target.wants_invocation:
            text = f"{opened.procedure} takes no call in pieces"
            self._refuse(opened, FEATURE_NOT_SUPPORTED, text)
            return
        invocation = Invocation(
            opened,
            send_progress=self._send_progress,
            max_queued_pieces=self._options.max_queued_pieces,
        )
        try:
            args, kwargs = read_payload(opened.payload)
            result = target(invocation, args, kwargs)
        except BadPayload as error:
            self._refuse(opened, INVALID_ARGUMENT, str(error))
        except Exception as error:  # noqa: BLE001 - logged and sent by `_failed`
            self._failed(opened, error)
        else:
            self._go_on(opened, invocation, result)

    def piece_came(self, opened: OpenInvocation, payload: Payload) -> None:
        """Give a function a further piece of its call."""
        running = self._running.get(opened)
        if running is None:
            return
        try:
            running.invocation.put(payload, is_last=opened.is_last)
        except ApplicationError as error:
            self._failed(opened, error)
            self._cancel(running)

    def interrupted(self, opened: OpenInvocation) -> None:
        """Cancel the task of a function whose caller has given up."""
        running = self._running.get(opened)
        if running is not None:
            self._cancel(running)

    def dropped(self, opened: OpenInvocation) -> None:
        """Let a function finish whose caller is gone, unless all it does is to send results or take pieces."""
        running = self._running.get(opened)
        if running is None:
            return
        running.invocation.dropped()
        if running.is_stream:
            self._cancel(running)

    @staticmethod
    def _cancel(running: _Running) -> None:
        running.is_interrupted = True
        if running.task is not None:
            running.task.cancel()

    # The function at work

    def _go_on(self, opened: OpenInvocation, invocation: Invocation, result: Any) -> None:
        running = _Running(invocation)
        if inspect.isasyncgen(result):
            running.is_stream = True
            work = self._stream(opened, running, cast(AsyncGenerator[Any, None], result))
        elif inspect.isawaitable(result):
            work = self._finish(opened, running, result)
        else:
            self._answer(opened, result)
            return
        self._running[opened] = running
        running.task = self._spawn(work)
        running.task.add_done_callback(lambda _: self._ended(opened, result))

    def _ended(self, opened: OpenInvocation, result: Any) -> None:
        del self._running[opened]
        if inspect.iscoroutine(result):
            result.close()  # a task that is canceled before it has begun never awaits it
        self._refuse(opened, CANCELED, "the call was canceled")  # unless it is answered

    async def _finish(self, opened: OpenInvocation, running: _Running, result: Awaitable[Any]) -> None:
        try:
            value = await result
        except asyncio.CancelledError:
            self._refuse(opened, CANCELED, _why_canceled(running))
            raise
        except Exception as error:  # noqa: BLE001 - logged and sent by `_failed`
            self._failed(opened, error)
        else:
            self._answer(opened, value)

    async def _stream(
        self, opened: OpenInvocation, running: _Running, parts: AsyncGenerator[Any, None]
    ) -> None:
        """Send what a generator yields as progressive results, or all at once to a caller that takes none."""
        invocation = running.invocation
        collected: list[Any] = []
        try:
            async with aclosing(parts):
                async for part in parts:
                    if invocation.wants_progress:
                        await invocation.send_progress(part if isinstance(part, Result) else Result((part,)))
                    elif len(collected) < self._options.max_queued_results:
                        collected.append(part)
                    else:
                        text = f"{len(collected)} results are too many for one answer: call for progress"
                        raise ApplicationError(INVALID_ARGUMENT, text)
        except asyncio.CancelledError:
            self._refuse(opened, CANCELED, _why_canceled(running))
            raise
        except Exception as error:  # noqa: BLE001 - logged and sent by `_failed`
            self._failed(opened, error)
        else:
            self._answer(opened, Result(collected))

    async def _send_progress(self, opened: OpenInvocation, part: Result) -> bool:
        await self._writable()
        payload = encode_payload(self._serializer(), part.args, part.kwargs)
        return self._invocations.progress(opened, payload)

    # Answers

    def _answer(self, opened: OpenInvocation, value: Any) -> None:
        result = value if isinstance(value, Result) else Result((value,))
        try:
            payload = encode_payload(self._serializer(), result.args, result.kwargs)
            self._invocations.answer(opened, payload)
        except BadPayload as error:
            logger.error("the result of %s cannot be sent: %s", opened.procedure, error)
            self._refuse(opened, RUNTIME_ERROR, f"the result cannot be sent: {error}")

    def _failed(self, opened: OpenInvocation, error: Exception) -> None:
        if isinstance(error, ConnectionLost) and not self._invocations.is_open(opened):
            return  # nobody is there to be told
        if not isinstance(error, ApplicationError):
            logger.error("%s failed", opened.procedure, exc_info=error)
            self._refuse(opened, RUNTIME_ERROR, f"{type(error).__name__}: {error}")
            return
        try:
            payload = encode_payload(self._serializer(), error.args_, error.kwargs_)
            self._invocations.refuse(opened, error.uri, payload)
        except BadPayload as unsendable:
            logger.error("the error of %s cannot be sent: %s", opened.procedure, unsendable)
            self._refuse(opened, error.uri, str(unsendable))

    def _refuse(self, opened: OpenInvocation, uri: str, text: str) -> None:
        # What an exception says may hold half a surrogate pair, which no serializer takes.
        sendable = text.encode(errors="replace").decode()[:LONGEST_TEXT]
        self._invocations.refuse(opened, uri, PlainPayload([sendable]))


def _why_canceled(running: _Running) -> str:
    return "the caller has canceled the call" if running.is_interrupted else "the callee is stopping"
