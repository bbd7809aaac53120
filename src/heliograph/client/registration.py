"""Procedures that this client offers, and how a call of one becomes an answer."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from heliograph.client.errors import ApplicationError, BadPayload
from heliograph.client.payload import Result, encode_payload, read_payload
from heliograph.client.protocol import ClientProtocol, OpenInvocation
from heliograph.wamp.errors import CANCELED, INVALID_ARGUMENT, RUNTIME_ERROR
from heliograph.wamp.payload import PlainPayload
from heliograph.wire.serializers.serializer import Serializer

logger = logging.getLogger("heliograph.client")

Function = Callable[..., Any]
"""Takes a call's arguments, returns its result; may be a coroutine function."""


class Registration:
    """A procedure that this session offers.

    Attributes:
        procedure: its URI.
    """

    def __init__(
        self, function: Function, procedure: str, withdraw: Callable[["Registration"], Awaitable[None]]
    ) -> None:
        self.procedure = procedure
        self.function = function
        self._withdraw = withdraw

    async def unregister(self) -> None:
        """Stop offering the procedure. Does nothing the second time.

        Raises:
            RequestTimeout: the router did not confirm in time.
        """
        await self._withdraw(self)


class InvocationRunner:
    """Runs functions for the calls that come in and answers each exactly once.

    Args:
        protocol: where answers go.
        serializer: returns the serializer of the present connection.
        spawn: starts a task that lives as long as the session.
        max_running: calls at once; one more is refused.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        *,
        serializer: Callable[[], Serializer],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        max_running: int,
    ) -> None:
        self._protocol = protocol
        self._serializer = serializer
        self._spawn = spawn
        self._max_running = max_running

    def start(self, invocation: OpenInvocation) -> None:
        """Call the function; a coroutine goes on as a task of its own, so that calls run side by side."""
        if self._protocol.running_invocations > self._max_running:
            self._refuse(
                invocation, RUNTIME_ERROR, f"busy: {self._max_running} calls are running; call later"
            )
            return
        try:
            args, kwargs = read_payload(invocation.payload)
        except BadPayload as error:
            self._refuse(invocation, INVALID_ARGUMENT, str(error))
            return
        try:
            result = invocation.function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - logged and sent by `_failed`
            self._failed(invocation, error)
            return
        if inspect.isawaitable(result):
            self._spawn(self._finish(invocation, result))
        else:
            self._answer(invocation, result)

    async def _finish(self, invocation: OpenInvocation, result: Awaitable[Any]) -> None:
        try:
            value = await result
        except asyncio.CancelledError:
            self._refuse(invocation, CANCELED, "the callee is stopping")
            raise
        except Exception as error:  # noqa: BLE001 - logged and sent by `_failed`
            self._failed(invocation, error)
        else:
            self._answer(invocation, value)

    def _answer(self, invocation: OpenInvocation, value: Any) -> None:
        result = value if isinstance(value, Result) else Result((value,))
        try:
            payload = encode_payload(self._serializer(), result.args, result.kwargs)
        except BadPayload as error:
            logger.error("the result of %s cannot be sent: %s", invocation.procedure, error)
            self._refuse(invocation, RUNTIME_ERROR, f"the result cannot be sent: {error}")
        else:
            self._protocol.answer_invocation(invocation, payload)

    def _failed(self, invocation: OpenInvocation, error: Exception) -> None:
        if not isinstance(error, ApplicationError):
            logger.error("%s failed", invocation.procedure, exc_info=error)
            self._refuse(invocation, RUNTIME_ERROR, f"{type(error).__name__}: {error}")
            return
        try:
            payload = encode_payload(self._serializer(), error.args_, error.kwargs_)
        except BadPayload as unsendable:
            logger.error("the error of %s cannot be sent: %s", invocation.procedure, unsendable)
            self._refuse(invocation, error.uri, str(unsendable))
        else:
            self._protocol.refuse_invocation(invocation, error.uri, payload)

    def _refuse(self, invocation: OpenInvocation, uri: str, text: str) -> None:
        # What an exception says may hold half a surrogate pair, which no serializer takes.
        sendable = text.encode(errors="replace").decode()
        self._protocol.refuse_invocation(invocation, uri, PlainPayload([sendable]))
