"""HTTP on a port, and the way from there to WebSocket: uvicorn's httptools protocol behind a guard.

Left to itself that protocol reads headers of any size for any time and hands WebSockets to libraries of its own
choice; here headers are bounded in size and time, and an upgrade goes to the path's WebSocket service together with
the bytes that came behind it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl

from heliograph.http.exchange import TRANSPORT_EXTENSION, headers_by_name, last_answer
from heliograph.http.head import Head, HeadRefused, judged_head
from heliograph.http.lane import BODY_BYTES_A_UNIT, UNITS_A_REQUEST, LaneRequest, LaneService
from heliograph.http.repeated_head import RepeatedHead, repeated_head
from heliograph.http.upgrade_request import HEADER_PUNCTUATION_BYTES
from heliograph.transports.direct_write import descriptor_of, direct_write
from heliograph.transports.websocket_service import Handshake, HandshakeRefused, WebSocketService

if TYPE_CHECKING:
    from heliograph.http.port import HttpPort

PIPELINED_REQUESTS = 16
"""Requests of one connection that may wait while one is answered."""

FRAMING_GRANTED = 8
"""Bytes that a chunk's size and extensions may have for each byte of its content, beside as many as a head may have."""

_COVERED_BY_CONTENT = 1 + FRAMING_GRANTED

HEADS_TRIED = 8
"""Heads of one connection that are kept without being seen again, before its client is believed to repeat none."""


class GuardedHttpProtocol(HttpToolsProtocol):
    """One HTTP connection, from its first bytes on.

    Args:
        port: what it shares with others.
        config: uvicorn's.
        loop: the event loop.
        head_due_s: when the first request's head must be complete, by the loop's clock.
    """

    # Requests of the lane stand among uvicorn's own.
    cycle: Any
    scheme: Literal["http", "https"]
    pipeline: deque[tuple[Any, Any]]

    def __init__(
        self, port: HttpPort, config: Config, loop: asyncio.AbstractEventLoop, head_due_s: float | None
    ) -> None:
        super().__init__(config, port.state, {}, _loop=loop)
        self.port = port
        self._max_header_bytes = port.options.max_header_bytes
        # The head this client is known to send, and how many are still tried for one.
        self._repeated: RepeatedHead | None = None
        self._heads_to_try = HEADS_TRIED
        # What the parser is fed, if a request begins with it; None from the end of that request's head on.
        self._fresh: bytes | None = None
        # Answers of the lane to requests that are being read; they leave together.
        self._answers: list[bytes] = []
        self._is_reading = False
        # The request an application was asked last; further ones may be behind it.
        self._asked: Any = None
        # The request of the lane that waits until the client has taken what was written.
        self._held_up: LaneRequest | None = None
        # When the last answer was complete; None while a request is under way.
        self._idle_since: float | None = None
        self._in_head = True
        # Whether the last request is there whole, as far as the parser goes.
        self._is_between_requests = True
        # What takes the connection over, once the request for that is complete.
        self._upgrading_to: WebSocketService | None = None
        # None once it is complete: further ones have all the time from their first byte.
        self._first_head_due_s = head_due_s
        # Bytes of the current request's target, headers and trailers.
        self._head_bytes = 0
        # Bytes the parser was fed since it last completed a head or handed on a piece of a body.
        self._unparsed_bytes = 0
        # What a body in chunks has brought beside its content, less what is granted for that. Bytes that come with the
        # head are not counted.
        self._framing_bytes = 0
        # Whether what comes is no longer read, because the connection ends with the answers that are owed.
        self._is_deaf = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._stalled_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Begin to read."""
        # As uvicorn's, but for the addresses, which take two sockets to learn: a WebSocket does without.
        self.connections.add(self)
        self.transport = transport
        self._descriptor = descriptor_of(transport)
        self.flow = FlowControl(transport)
        self.scheme = "https" if is_ssl(transport) else "http"

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self.port.counters.connections -= 1
        self._stop_head_timer()
        self._stop_stalled_timer()
        cycle = self.cycle
        if isinstance(cycle, LaneRequest):
            self.cycle = None
        for request in (cycle, *(waiting for waiting, _ in self.pipeline)):
            if isinstance(request, LaneRequest):
                request.lost()
        if self._asked is not None and not self._asked.response_complete:
            # Only the last request hears of it by uvicorn.
            self._asked.disconnected = True
            self._asked.message_event.set()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Read a piece of a request."""
        if self._is_deaf:
            return
        self._is_reading = True
        if self._is_between_requests and not self._unparsed_bytes:
            head = self._repeated
            if head is not None and self.cycle.response_complete and not self.transport.is_closing():
                data = self._read_repeated(head, data)
            self._fresh = data
        if data:
            self._parse(data)
        else:
            self._is_reading = False
            self._write_answers()

    def _parse(self, data: bytes) -> None:
        self._unparsed_bytes += len(data)
        self._framing_bytes += len(data)
        failure: Exception | None = None
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError) as error:
            # With its traceback it would hold this frame, and this frame it.
            failure = error.with_traceback(None)
        self._is_reading = False
        self._fresh = None
        if self._answers:
            self._write_answers()
        if failure is not None:
            self._on_failure(failure, data)
        elif self._unparsed_bytes > self._max_header_bytes:
            self._refuse(431, self._head_too_large().text)
        elif self._framing_bytes > self._max_header_bytes and not self._is_between_requests:
            # "A server ought to limit the total length of chunk extensions received in a request" (RFC 9112, 7.1.1).
            self._refuse(400, "the chunks have far more extensions than content")
        elif self._in_head:
            self._await_head()
        elif isinstance(self.cycle, LaneRequest):
            self.cycle.await_body()

    def _read_repeated(self, head: RepeatedHead, data: bytes) -> bytes:
        """Serve the requests at the start of `data` that have the repeated head; return what the parser has to read.

        They are served as the parser's are, but for what can hold one up: that one is left to the parser, too.
        """
        port, flow = self.port, self.flow
        turn, perform = port.turn, head.service.perform
        at, length = 0, len(data)
        # `LaneRequest` spends as much for a request that it admits.
        while at < length and turn.has_room_behind(UNITS_A_REQUEST) and not flow.write_paused:
            found = head.body_in(data, at)
            if found is None:
                break
            begin, at = found
            turn.spend(UNITS_A_REQUEST + (at - begin) // BODY_BYTES_A_UNIT)
            try:
                result = perform(head.begin, data[begin:at])
            except Exception as error:  # noqa: BLE001 - answered, or logged
                self._continue_repeated(head).fail(error)
                break
            if not isinstance(result, bytes):
                self._continue_repeated(head).work_on(result)
                break
            self._answers.append(
                b"%b%d\r\n%b\r\n%b" % (port.json_answer_lines, len(result), head.header_lines, result)
            )
            self.server_state.total_requests += 1
        if at:
            self._heads_to_try = HEADS_TRIED
            if self.cycle.response_complete:
                self._await_request()
        return data[at:]

    def _continue_repeated(self, head: RepeatedHead) -> LaneRequest:
        """Return a request that is known by its head, and is not answered at once, as what is under way."""
        self._idle_since = None
        request = self.cycle = LaneRequest.admitted_before(self, head)
        return request

    def _on_failure(self, failure: Exception, data: bytes) -> None:
        if isinstance(failure, httptools.HttpParserUpgrade):
            self._upgrade(data[failure.args[0] :])
        # What a callback raises comes as the context of the parser's own error.
        elif isinstance(refused := failure.__context__, HeadRefused):
            self._refuse(refused.status, refused.text)
        else:
            self._refuse(400, "this is not HTTP/1.1")

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        self._is_between_requests = False
        if len(self.pipeline) >= PIPELINED_REQUESTS:
            raise HeadRefused(429, f"at most {PIPELINED_REQUESTS} requests may wait for their answers")
        self.url = b""
        self.headers = []
        self._head_bytes = 0
        self._in_head = True
        self._upgrading_to = None

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        self._head_bytes += len(url)
        if self._head_bytes > self._max_header_bytes:
            raise self._head_too_large()
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer behind the body, which is counted and dropped."""
        self._head_bytes += len(name) + len(value) + HEADER_PUNCTUATION_BYTES
        if self._head_bytes > self._max_header_bytes:
            raise self._head_too_large()
        # "A recipient MUST NOT merge a received trailer field into the header section unless its corresponding header
        # field definition explicitly permits" it (RFC 9112, section 7.1.2; RFC 9110, section 6.5.1).
        if self._in_head:
            # "A field value does not include leading or trailing whitespace." (section 5.5)
            self.headers.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        """Note that the request's headers are there."""
        fresh, self._fresh = self._fresh, None
        self._in_head = False
        self._unparsed_bytes = self._framing_bytes = 0
        self._idle_since = None
        self._first_head_due_s = None
        if self._head_timer is not None:
            self._stop_head_timer()
        parser = self.parser
        head = judged_head(
            parser.get_method(), parser.get_http_version(), self.url, self.headers, scheme=self.scheme
        )
        if parser.should_upgrade() and head.has_content:
            # The parser skips a body behind any upgrade, so whoever answers would take it for empty. "A server MAY
            # ignore a received Upgrade header field" (RFC 9110, section 7.8), but not what else was sent.
            raise HeadRefused(400, "a request with Upgrade has no body here: send the body without Upgrade")
        service = self.port.paths.in_lane(head.target)
        if service is not None:
            self._learn_addresses()
            self._begin_in_lane(service, head, fresh)
            return
        self._upgrading_to = self._upgrade_service(head) if parser.should_upgrade() else None
        if self._upgrading_to is None:
            self._learn_addresses()
            self._begin_application(head)

    def _learn_addresses(self) -> None:
        if self.server is None and not self.transport.is_closing():
            self.server = get_local_addr(self.transport)
            self.client = get_remote_addr(self.transport)

    def _begin_application(self, head: Head) -> None:
        super().on_message_begin()
        self.url = head.target
        # uvicorn's scope refers to the list it has made.
        self.headers.extend(head.headers)
        self.scope["extensions"] = {TRANSPORT_EXTENSION: {"transport": self.transport}}
        if self.port.proxies.is_any:
            self._believe_proxy(head)
        self.expect_100_continue = head.fields.get(b"expect", b"").lower() == b"100-continue"
        super().on_headers_complete()

    def _believe_proxy(self, head: Head) -> None:
        forwarded = self.port.proxies.forwarded(self.transport, headers_by_name(head.headers))
        if forwarded is None:
            return
        if forwarded.address is not None:
            # The port is not told; 0 stands for that.
            self.scope["client"] = (forwarded.address, 0)
        if forwarded.is_encrypted is not None:
            self.scope["scheme"] = "https" if forwarded.is_encrypted else "http"

    def _begin_in_lane(self, service: LaneService, head: Head, fresh: bytes | None) -> None:
        before = self.cycle
        parser = self.parser
        request = self.cycle = LaneRequest(
            self,
            service,
            head,
            # The parser stops at any upgrade.
            keep_alive=parser.should_keep_alive()
            and not parser.should_upgrade()
            and parser.get_http_version() != "1.0",
        )
        if self.transport.is_closing():
            # "A server MUST NOT process any further requests received on that connection" (RFC 9112, section 9.6)
            request.ignore()
        elif before is None or before.response_complete:
            request.start()
            if fresh is not None and self._heads_to_try and request.is_admitted:
                self._heads_to_try -= 1
                self._repeated = repeated_head(fresh, request, most_bytes=self._max_header_bytes)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((request, None))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, LaneRequest):
            cycle.start()
            if not self._is_reading:
                cycle.await_body()
        else:
            self._asked = cycle
            super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for it, for a while."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._await_request()

    def _await_request(self) -> None:
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._await_next(self.timeout_keep_alive)

    def _await_next(self, timeout_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(timeout_s, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that has been idle long enough; one clock does for many requests."""
        self.timeout_keep_alive_task = None
        if self._idle_since is not None:
            left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
            if left_s > 0:
                self._await_next(left_s)
            else:
                super().timeout_keep_alive_handler()

    # What the lane asks of its connection.

    @property
    def is_held_up(self) -> bool:
        """Whether requests have to wait, because the turn has done enough or the client does not read."""
        return self.port.turn.is_exhausted or self.flow.write_paused

    def hold_up(self, request: LaneRequest) -> None:
        """Read no further, and come back to `request` when there is room for it."""
        self.flow.pause_reading()
        if self.flow.write_paused:
            self._held_up = request
        else:
            self.port.turn.wait(request)

    def write(self, data: bytes) -> None:
        """Write `data`, behind what was written before."""
        if self._is_reading:
            self._answers.append(data)
        elif not self.transport.is_closing():
            self.transport.write(data)

    def end(self) -> None:
        """Close, behind what was written."""
        self._write_answers()
        self.transport.close()

    def _write_answers(self) -> None:
        answers, self._answers = self._answers, []
        if answers and not self.transport.is_closing():
            data = answers[0] if len(answers) == 1 else b"".join(answers)
            direct_write(self.transport, self._descriptor, data)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the request's body."""
        self._unparsed_bytes = 0
        self._framing_bytes -= _COVERED_BY_CONTENT * len(body)
        cycle = self.cycle
        if type(cycle) is LaneRequest:
            cycle.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is there."""
        self._is_between_requests = True
        self._unparsed_bytes = 0
        cycle = self.cycle
        if type(cycle) is LaneRequest:
            cycle.complete()
        else:
            super().on_message_complete()

    def pause_writing(self) -> None:
        """Give a client that takes nothing of its response a while."""
        super().pause_writing()
        self._stalled_timer = self.loop.call_later(self.port.options.client_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._stop_stalled_timer()
        super().resume_writing()
        if self._held_up is not None:
            request, self._held_up = self._held_up, None
            self.port.turn.wait(request)

    def _head_too_large(self) -> HeadRefused:
        return HeadRefused(431, f"headers may have at most {self._max_header_bytes} bytes")

    def _should_upgrade(self) -> bool:
        return self._upgrading_to is not None

    def _upgrade_service(self, head: Head) -> WebSocketService | None:
        """Return what takes the request's connection over; None if it is to be answered as any request."""
        # HTTP/1.0 is answered as any request: "The method of the request MUST be GET, and the HTTP version MUST be at
        # least 1.1" (RFC 6455, section 4.1).
        if self.parser.get_http_version() != "1.1":
            return None
        service = self.port.websocket_for(head)
        self.headers = head.headers
        return service

    def _upgrade(self, early: bytes) -> None:
        service = self._upgrading_to
        if service is None:
            # The parser stops at any upgrade, so this is the connection's last request.
            self._end_with_answers()
            return
        if self._owes_answers():
            self._refuse(400, "a WebSocket is not opened behind a request that is not answered yet")
            return
        handshake = Handshake(self.parser.get_method().decode("ascii"), headers_by_name(self.headers))
        try:
            service.accept(handshake, self.transport, early)
        except HandshakeRefused as refusal:
            self.port.counters.upgrades_refused += 1
            self._respond(refusal.status, refusal.text, refusal.headers)
        else:
            self._leave_to_websocket()

    def _leave_to_websocket(self) -> None:
        self._stop_stalled_timer()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self.port.counters.connections -= 1
        # They hold each other.
        self.parser = None  # type: ignore[assignment]  # as uvicorn does at the end

    def _await_head(self) -> None:
        if self._head_timer is None:
            left_s = self.port.options.header_timeout_s
            if self._first_head_due_s is not None:
                left_s = max(self._first_head_due_s - self.loop.time(), 0)
            self._head_timer = self.loop.call_later(left_s, self._on_head_timeout)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_stalled_timer(self) -> None:
        if self._stalled_timer is not None:
            self._stalled_timer.cancel()
            self._stalled_timer = None

    def _on_head_timeout(self) -> None:
        self._head_timer = None
        self._refuse(408, f"headers must be complete within {self.port.options.header_timeout_s:g} seconds")

    def _owes_answers(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _end_with_answers(self) -> None:
        """Read no further; close when the requests that are there are answered."""
        self._is_deaf = True
        self._stop_head_timer()
        if self._owes_answers():
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    def _refuse(self, status: int, text: str) -> None:
        """Answer what cannot be read any further, behind the answers that are owed, and close."""
        self.port.counters.requests_refused += 1
        if not self._owes_answers():
            self._respond(status, text, {})
        elif not self.cycle.more_body:
            self._end_with_answers()
        else:
            # The very request that is under way is broken; its application hears that the client has gone.
            if isinstance(self.cycle, LaneRequest):
                self.cycle.lost()
            else:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            if self.cycle.response_started or self.pipeline:
                self.transport.close()
            else:
                self._respond(status, text, {})

    def _respond(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        """Answer without an application, and close."""
        self._is_deaf = True
        if self.transport.is_closing():
            return
        self._stop_head_timer()
        self.transport.write(last_answer(status, text, headers, self.server_state.default_headers))
        self.transport.close()
