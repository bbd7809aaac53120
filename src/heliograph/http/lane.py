"""The bridge's own lane: a POST is read, checked and answered where its bytes are parsed.

Through ASGI a small POST costs four times what it costs here: a scope, a task, two events and two writes. A request of
the lane takes its place among the other requests of its connection: the protocol holds it in `cycle` and `pipeline`
like one of uvicorn's, and answers leave in the order in which requests came.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from heliograph.http import exchange
from heliograph.http.exchange import HttpError

if TYPE_CHECKING:
    from heliograph.http.head import Head
    from heliograph.http.protocol import GuardedHttpProtocol
    from heliograph.http.repeated_head import RepeatedHead

_LOG = logging.getLogger(__name__)

JSON = b"application/json; charset=utf-8"
UNITS_A_REQUEST = 24
"""Units of work that a request takes beside what its body asks for."""

BODY_BYTES_A_UNIT = 64
"""Bytes of a body that are read for one unit of work."""

PLAIN_TEXT = b"text/plain; charset=utf-8"


class Work(Protocol):
    """What a request takes longer for than one step."""

    def step(self) -> bytes | asyncio.Future[Any] | None:
        """Do one piece of it.

        Returns:
            The answer's JSON; or a future, to be called again when it is done; or None, to be called again when the
            turn has room for it.

        Raises:
            Exception: what the service makes an answer of.
        """

    def abandon(self) -> None:
        """Stop what is under way: the client has gone."""


Begin = Callable[[bytes], bytes | Work]
"""What is done with a body, which is UTF-8: returns the JSON of the answer, or what has to be done for it. Raises
what the service makes an answer of."""


class LaneService(Protocol):
    """What answers the requests of one path."""

    limit_bytes: int
    """Longest body."""

    def admit(self, request: LaneRequest, headers: Mapping[bytes, bytes]) -> None:
        """Judge a request by its head, set its `header_lines` and `begin`, and perhaps answer it; raises `HttpError`.

        The same head on the same connection is judged alike, whatever the length of the body: it may be judged once.
        """

    def perform(self, begin: Begin, body: bytes) -> bytes | Work:
        """Do what the body asks; return the answer's JSON, or what has to be done for it.

        Raises:
            Exception: what `refusal` makes an answer of.
        """

    def refusal(self, error: BaseException) -> Refusal | None:
        """Return what is answered for `error`, None for a defect of ours."""


class Refusal(msgspec.Struct):
    """An answer to a request that is not served.

    Attributes:
        status: of the answer.
        body: its JSON.
        headers: further headers.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]


class LaneRequest:
    """One request of the lane; has the attributes uvicorn looks for in a cycle.

    Args:
        connection: it came on.
        service: answers it.
        head: of the request.
        keep_alive: whether the connection outlives the answer.
    """

    __slots__ = (
        "_answered", "_body_timer", "_connection", "_is_started", "_is_too_long", "_pieces", "_size", "_work", "begin",
        "disconnected", "head", "header_lines", "keep_alive", "method", "more_body", "response_complete",
        "response_started", "service",
    )  # fmt: skip

    def __init__(
        self,
        connection: GuardedHttpProtocol,
        service: LaneService,
        head: Head,
        *,
        keep_alive: bool,
    ) -> None:
        self._connection = connection
        self.service = service
        self.head = head
        self.method = head.method
        self.keep_alive = keep_alive
        self.header_lines = b""
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self.disconnected = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_started = False
        self._is_too_long = False
        self._work: Work | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._answered: asyncio.Future[None] | None = None

    @property
    def server_address(self) -> object:
        """The address the connection came in on."""
        return self._connection.server

    @property
    def is_encrypted(self) -> bool:
        """Whether the client speaks TLS, to its proxy if it has one."""
        connection = self._connection
        headers = exchange.headers_by_name(self.head.headers)
        forwarded = connection.port.proxies.forwarded(connection.transport, headers)
        if forwarded is None or forwarded.is_encrypted is None:
            return connection.scheme == "https"
        return forwarded.is_encrypted

    begin: Begin
    """What is to be done with the body; set by the service that admits the request."""

    @classmethod
    def admitted_before(cls, connection: GuardedHttpProtocol, head: RepeatedHead) -> LaneRequest:
        """Return a request that is all there, and whose head was let in when it came first."""
        request = cls(connection, head.service, head.head, keep_alive=True)
        request.header_lines = head.header_lines
        request.begin = head.begin
        request.more_body = False
        request._is_started = True
        return request

    @property
    def is_admitted(self) -> bool:
        """Whether only its body decides what it is answered."""
        return self._is_started and not self.response_complete

    # What comes.

    def start(self) -> None:
        """Begin: all requests before this one are answered."""
        # A refusal is written, too: whoever reads none must not be able to ask for ever more of them.
        if self._connection.is_held_up:
            self._connection.hold_up(self)
        else:
            self._admit()

    def _admit(self) -> None:
        self._is_started = True
        self._connection.port.turn.spend(UNITS_A_REQUEST)
        try:
            headers = self.head.fields
            self.service.admit(self, headers)
            if self.response_complete:
                return
            # The connection stays open: closed upon unread bytes, it would be reset, and the answer lost with it.
            # Whatever comes of the body is skipped.
            length = headers.get(b"content-length", b"")
            if self._is_too_long or (length.isdigit() and int(length) > self.service.limit_bytes):
                raise self._too_long()
            if headers.get(b"expect", b"").lower() == b"100-continue":
                self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        except HttpError as error:
            self.fail(error)
        else:
            if not self.more_body:
                self._perform()

    def ignore(self) -> None:
        """Do nothing about this one."""
        self.response_complete = True

    def feed(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if self.response_complete or self._is_too_long:
            return
        self._size += len(piece)
        if self._size > self.service.limit_bytes:
            self._is_too_long = True
            self._pieces.clear()
            if self._is_started:
                self.fail(self._too_long())
        else:
            self._pieces.append(piece)

    def complete(self) -> None:
        """Take note that the body is there."""
        self.more_body = False
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        if self._is_started and not self.response_complete:
            self._perform()

    def await_body(self) -> None:
        """Wait for the rest of the body, for a while."""
        if self._is_started and self.more_body and not self.response_complete and self._body_timer is None:
            self._body_timer = self._connection.loop.call_later(
                exchange.BODY_TIMEOUT_S,
                self.fail,
                HttpError(408, "the body did not arrive in time", {"Connection": "close"}),
            )

    def lost(self) -> None:
        """Take note that the client has gone."""
        self.disconnected = True
        self._end()
        if self._work is not None:
            self._work.abandon()

    # What is done.

    def _perform(self) -> None:
        connection = self._connection
        if connection.is_held_up:
            connection.hold_up(self)
            return
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        turn = connection.port.turn
        turn.spend(len(body) // BODY_BYTES_A_UNIT)
        try:
            result = self.service.perform(self.begin, body)
        except Exception as error:  # noqa: BLE001 - answered, or logged
            self.fail(error)
            return
        if isinstance(result, bytes):
            self.answer(200, result)
        else:
            self.work_on(result)

    def work_on(self, work: Work) -> None:
        """Do the pieces of `work` in turns to come, and answer."""
        self._work = work
        self._connection.port.turn.wait(self)

    def handle_next(self) -> bool:
        """Do one piece of what waits for its turn; return whether more waits."""
        if self.response_complete or self.disconnected:
            return False
        if not self._is_started:
            self._go_on()
            return False
        if self._work is None:
            self._perform()
            return False
        self._connection.port.turn.spend(1)
        try:
            result = self._work.step()
        except Exception as error:  # noqa: BLE001 - answered, or logged
            self.fail(error)
            return False
        if result is None:
            return True
        if isinstance(result, bytes):
            self.answer(200, result)
        else:
            result.add_done_callback(self._on_done)
        return False

    def _go_on(self) -> None:
        """Begin after all, and read what is still to come of the body."""
        self.start()
        if self._is_started and not self.response_complete and self.more_body:
            self._connection.flow.resume_reading()
            self.await_body()

    def _on_done(self, future: asyncio.Future[Any]) -> None:
        if not self.disconnected:
            if self.handle_next():
                self._connection.port.turn.wait(self)
        elif not future.cancelled():
            # Looked at, it is not reported as forgotten.
            future.exception()

    # What is answered.

    def _too_long(self) -> HttpError:
        return HttpError(413, f"the body may have at most {self.service.limit_bytes} bytes")

    def fail(self, error: Exception) -> None:
        """Answer what an error is answered with."""
        if self.disconnected or self.response_complete:
            return
        refusal = self.service.refusal(error)
        if refusal is None:
            _LOG.error("a request of the bridge failed because of a defect", exc_info=error)
            self.keep_alive = False
            self.header_lines = b""
            self.answer(500, b"Internal Server Error", PLAIN_TEXT)
            return
        for name, value in refusal.headers.items():
            if name == "Connection":
                self.keep_alive = False
            else:
                self.header_lines += b"%b: %b\r\n" % (name.lower().encode(), value.encode("latin-1"))
        self.answer(refusal.status, refusal.body)

    def answer(self, status: int, body: bytes, content_type: bytes = JSON) -> None:
        """Send the whole response."""
        connection = self._connection
        # What has no content has no such headers either (RFC 9110, section 8.6).
        content = b"content-type: %b\r\ncontent-length: %d\r\n" % (content_type, len(body))
        data = b"%b%b%b%b%b\r\n%b" % (
            STATUS_LINE[status],
            connection.port.default_header_lines,
            content if status != 204 else b"",
            self.header_lines,
            b"" if self.keep_alive else b"connection: close\r\n",
            body if self.method != b"HEAD" else b"",
        )
        self._end()
        self.response_started = self.response_complete = True
        connection.write(data)
        if not self.keep_alive:
            connection.end()
        connection.on_response_complete()

    def answered(self) -> asyncio.Future[None]:
        """Return what is done when the request is answered, or its client gone."""
        if self._answered is None:
            self._answered = self._connection.loop.create_future()
            if self.response_complete or self.disconnected:
                self._answered.set_result(None)
        return self._answered

    def _end(self) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
