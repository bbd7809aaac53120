"""HTTP on a port, and the way from there to WebSocket: uvicorn's httptools protocol behind a guard.

Left to itself that protocol reads headers of any size for any time and hands WebSockets to libraries of its own
choice; here headers are bounded in size and time, and an upgrade goes to the path's WebSocket service together with
the bytes that came behind it.
"""

import asyncio
import http
from collections.abc import Mapping
from email.utils import formatdate

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from heliograph.http.exchange import AsgiApplication, headers_by_name
from heliograph.transports.counters import TransportCounters
from heliograph.transports.options import HttpGuardOptions
from heliograph.transports.websocket_service import Handshake, HandshakeRefused, WebSocketService

SERVER_NAME = b"Heliograph"

PIPELINED_REQUESTS = 16
"""Requests of one connection that may wait while one is answered."""


_HEADER_PUNCTUATION_BYTES = len(b": \r\n")


class _HeadTooLarge(Exception):  # noqa: N818 - what the parser is stopped with
    """Target, headers and trailers of one request are more than allowed."""


class _TooManyRequests(Exception):  # noqa: N818 - what the parser is stopped with
    """More requests than may wait came in one go."""


class HttpPort:
    """What all HTTP connections of one port share.

    Args:
        application: answers requests.
        websockets: path to the service that takes WebSockets there.
        options: limits of every request.
        counters: where refused requests are counted.
        loop: the event loop.
    """

    def __init__(
        self,
        application: AsgiApplication,
        websockets: Mapping[str, WebSocketService],
        *,
        options: HttpGuardOptions,
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.websockets = websockets
        self.options = options
        self.counters = counters
        self.state = ServerState()
        self._config = Config(
            application,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            # It would believe X-Forwarded-For from every client on this machine.
            proxy_headers=False,
            timeout_keep_alive=int(options.client_timeout_s),
        )
        self._config.load()
        self._loop = loop
        self._dating: asyncio.TimerHandle | None = None
        self._renew_date()

    def connection(self) -> "GuardedHttpProtocol":
        """Return the protocol for a new connection."""
        return GuardedHttpProtocol(self, self._config, self._loop)

    async def drain(self, timeout_s: float) -> None:
        """Let requests under way end, for at most `timeout_s` seconds, and close all connections."""
        for connection in list(self.state.connections):
            connection.shutdown()
        if self.state.tasks:
            await asyncio.wait(self.state.tasks, timeout=timeout_s)
        for connection in list(self.state.connections):
            if isinstance(connection, GuardedHttpProtocol):
                connection.transport.abort()
        if self._dating is not None:
            self._dating.cancel()

    def _renew_date(self) -> None:
        # "An origin server with a clock MUST generate a Date header field" (RFC 9110, 6.6.1)
        self.state.default_headers = [(b"date", formatdate(usegmt=True).encode()), (b"server", SERVER_NAME)]
        self._dating = self._loop.call_later(1, self._renew_date)


class GuardedHttpProtocol(HttpToolsProtocol):
    """One HTTP connection.

    Args:
        port: what it shares with others.
        config: uvicorn's.
        loop: the event loop.
    """

    def __init__(self, port: HttpPort, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, port.state, {}, _loop=loop)
        self._port = port
        self._in_head = True
        # Bytes of the current request's target, headers and trailers.
        self._head_bytes = 0
        # Bytes the parser was fed since it last completed a head or handed on a piece of a body.
        self._unparsed_bytes = 0
        # Whether what comes is no longer read, because the connection ends with the answers that are owed.
        self._is_deaf = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._stalled_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._port.counters.connections += 1
        self._port.counters.connections_opened += 1
        self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._port.counters.connections -= 1
        self._stop_head_timer()
        self._stop_stalled_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a piece of a request."""
        if self._is_deaf:
            return
        limit = self._port.options.max_header_bytes
        self._unparsed_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            # What a callback raises comes as the context of the parser's own error.
            if isinstance(error.__context__, _HeadTooLarge):
                self._refuse(431, f"headers may have at most {limit} bytes")
            elif isinstance(error.__context__, _TooManyRequests):
                self._refuse(429, f"at most {PIPELINED_REQUESTS} requests may wait for their answers")
            else:
                self._refuse(400, "this is not HTTP/1.1")
        else:
            if self._unparsed_bytes > limit:
                self._refuse(431, f"headers may have at most {limit} bytes")

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        if len(self.pipeline) >= PIPELINED_REQUESTS:
            raise _TooManyRequests
        super().on_message_begin()
        self._head_bytes = 0
        if not self._in_head:
            self._start_head()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer behind the body."""
        self._count_head(len(name) + len(value) + _HEADER_PUNCTUATION_BYTES)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Note that the request's headers are there."""
        self._in_head = False
        self._unparsed_bytes = 0
        self._stop_head_timer()
        # Not before: a client that stands still within a body nobody reads any more is closed by this clock.
        self._unset_keepalive_if_required()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the request's body."""
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is there."""
        self._unparsed_bytes = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Give a client that takes nothing of its response a while."""
        super().pause_writing()
        self._stalled_timer = self.loop.call_later(self._port.options.client_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._stop_stalled_timer()
        super().resume_writing()

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._port.options.max_header_bytes:
            raise _HeadTooLarge

    def _should_upgrade(self) -> bool:
        # Other upgrades, such as h2c, are left alone: the request is answered as plain HTTP. So is HTTP/1.0: "The
        # method of the request MUST be GET, and the HTTP version MUST be at least 1.1" (RFC 6455, section 4.1).
        return (
            self._get_upgrade() == b"websocket"
            and self._websocket_service() is not None
            and self.parser.get_http_version() == "1.1"
        )

    def _websocket_service(self) -> WebSocketService | None:
        path = self.url.partition(b"?")[0].decode("latin-1")
        return self._port.websockets.get(path.strip("/"))

    def _upgrade(self, early: bytes) -> None:
        service = self._websocket_service() if self._should_upgrade() else None
        if service is None:
            # The parser stops at any upgrade, so this is the connection's last request.
            self._end_with_answers()
            return
        if self._owes_answers():
            self._refuse(400, "a WebSocket is not opened behind a request that is not answered yet")
            return
        handshake = Handshake(self.scope["method"], headers_by_name(self.headers))
        try:
            service.accept(handshake, self.transport, early)
        except HandshakeRefused as refusal:
            self._port.counters.upgrades_refused += 1
            self._respond(refusal.status, refusal.text, refusal.headers)
        else:
            self._leave_to_websocket()

    def _leave_to_websocket(self) -> None:
        self._stop_stalled_timer()
        self.connections.discard(self)
        self._port.counters.connections -= 1

    def _start_head(self) -> None:
        self._in_head = True
        self._head_timer = self.loop.call_later(self._port.options.header_timeout_s, self._on_head_timeout)

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
        if self.cycle is None and not self._unparsed_bytes:
            # Nothing was asked, so nothing is answered.
            self.transport.close()
            return
        self._refuse(408, f"headers must be complete within {self._port.options.header_timeout_s:g} seconds")

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
        self._port.counters.requests_refused += 1
        if not self._owes_answers():
            self._respond(status, text, {})
        elif not self.cycle.more_body:
            self._end_with_answers()
        else:
            # The very request that is under way is broken; its application hears that the client has gone.
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
        body = f"{text}\n".encode()
        lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}".encode()]
        lines += [name + b": " + value for name, value in self.server_state.default_headers]
        lines += [f"{name}: {value}".encode("latin-1") for name, value in headers.items()]
        lines += [
            b"content-type: text/plain; charset=utf-8",
            b"content-length: %d" % len(body),
            b"connection: close",
            b"",
            body,
        ]
        self._stop_head_timer()
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()
