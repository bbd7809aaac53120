"""A call that is answered, and perhaps sent, piece by piece."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable
from types import TracebackType
from typing import Any, Self

from heliograph.client.calls import CancelMode
from heliograph.client.connection import Connection
from heliograph.client.errors import ApplicationError, RequestTimeout, ResultsOverrun
from heliograph.client.features import has_announced
from heliograph.client.payload import Result, encode_payload, read_payload
from heliograph.wamp.errors import FEATURE_NOT_SUPPORTED, TIMEOUT
from heliograph.wamp.messages import CallOptions
from heliograph.wamp.payload import Payload


class ProgressiveCall:
    """A call under way; made by `session.call_progressive`.

        async for part in session.call_progressive("com.example.count", [10]):
            ...

    The call is made when the loop begins, and cancelled when the loop is left before its end; `async with` does so at
    once and at the end of the block.
    """

    def __init__(
        self,
        connection: Connection,
        procedure: str,
        arguments: Result,
        *,
        options: CallOptions,
        pieces: AsyncIterable[Any] | None,
        timeout_s: float | None,
        cancel_mode: CancelMode,
    ) -> None:
        self.procedure = procedure
        self._connection = connection
        self._protocol = connection.protocol
        self._arguments = arguments
        self._options = options
        self._pieces = pieces
        self._timeout_s = timeout_s
        self._cancel_mode: CancelMode = cancel_mode
        self._max_queued = connection.options.max_queued_results
        self._parts: deque[Payload] = deque()
        self._arrived = asyncio.Event()
        self._answer: asyncio.Future[Payload] | None = None
        self._request = 0
        self._sending: asyncio.Task[None] | None = None
        self._result: Result | None = None

    @property
    def result(self) -> Any:
        """The final value, as `session.call` returns it; `None` where the procedure has nothing more to say.

        Raises:
            RuntimeError: it is not there yet: read the results to their end.
        """
        if self._result is None:
            raise RuntimeError(f"{self.procedure} has not returned yet: read its results to their end")
        return self._result.value()

    async def __aenter__(self) -> Self:
        if self._answer is not None:
            raise RuntimeError("this call was made before; ask session.call_progressive() for another")
        connection = self._connection
        await connection.writable()
        self._check_pieces()
        payload = encode_payload(connection.serializer, self._arguments.args, self._arguments.kwargs)
        answer: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._request = self._protocol.calls.call(self.procedure, payload, answer, self._options, self._put)
        self._answer = answer
        answer.add_done_callback(self._answered)
        if self._pieces is not None:
            self._sending = connection.spawn(self._send(self._pieces))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._protocol.calls.give_up(self._request, self._cancel_mode)
        if self._answer is not None:
            self._answer.cancel()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        if self._answer is not None:
            while (part := await self.next()) is not None:
                yield part.value()
            return
        async with self:
            while (part := await self.next()) is not None:
                yield part.value()

    async def next(self) -> Result | None:
        """Wait for the next progressive result and return it, or `None` when the final one is there."""
        answer = self._answer
        if answer is None:
            raise AssertionError("a call is read after it was made")
        while not self._parts:
            if answer.done():
                self._result = Result(*read_payload(self._final(answer)))
                return None
            self._arrived.clear()
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._arrived.wait()
            except TimeoutError:
                raise self._timeout() from None
        return Result(*read_payload(self._parts.popleft()))

    def _final(self, answer: "asyncio.Future[Payload]") -> Payload:
        try:
            return answer.result()
        except ApplicationError as error:
            if self._timeout_s is not None and error.uri == TIMEOUT:  # the router's clock was faster
                raise self._timeout() from error
            raise

    def _timeout(self) -> RequestTimeout:
        return RequestTimeout(f"calling {self.procedure}: no result within {self._timeout_s:g} s")

    # What comes

    def _put(self, payload: Payload) -> None:
        if len(self._parts) >= self._max_queued:
            text = f"{self.procedure}: {self._max_queued} results wait already; the call is canceled"
            self._give_up(ResultsOverrun(text))
            return
        self._parts.append(payload)
        self._arrived.set()

    def _answered(self, _: object) -> None:
        self._arrived.set()
        if self._sending is not None:
            self._sending.cancel()

    def _give_up(self, error: Exception) -> None:
        self._protocol.calls.give_up(self._request, self._cancel_mode)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # What goes

    def _check_pieces(self) -> None:
        # "The *Caller* must not send progressive calls to a router that has not announced them" would be a violation
        # for the router; here it is an error of this call alone.
        welcome = self._protocol.welcome
        if self._pieces is None or welcome is None:
            return
        if not has_announced(welcome.details.roles, "dealer", "progressive_call_invocations"):
            raise ApplicationError(FEATURE_NOT_SUPPORTED, "the router takes no calls in pieces")

    async def _send(self, pieces: AsyncIterable[Any]) -> None:
        try:
            async for piece in pieces:
                part = piece if isinstance(piece, Result) else Result((piece,))
                if not await self._send_piece(part, is_last=False):
                    return
            await self._send_piece(Result(), is_last=True)
        except Exception as error:  # noqa: BLE001 - raised where the results are read
            self._give_up(error)
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()

    async def _send_piece(self, part: Result, *, is_last: bool) -> bool:
        await self._connection.writable()
        payload = encode_payload(self._connection.serializer, part.args, part.kwargs)
        return self._protocol.calls.send_piece(self._request, self.procedure, payload, is_last=is_last)
