"""What all HTTP connections of one port share: who answers, limits, the date of answers, and how they end."""

import asyncio
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from heliograph.http.first_request import FirstRequest
from heliograph.http.head import Head
from heliograph.http.known_handshakes import KnownHandshakes
from heliograph.http.lane import JSON, LaneRequest
from heliograph.http.paths import Paths, names_nothing, path_of
from heliograph.http.protocol import GuardedHttpProtocol
from heliograph.http.upgrade_request import upgrades_to_websocket
from heliograph.transports.counters import TransportCounters
from heliograph.transports.deadlines import Deadlines
from heliograph.transports.http_options import HttpGuardOptions
from heliograph.transports.http_trust import USUAL_TRUST, HttpTrust
from heliograph.transports.turn import Turn
from heliograph.transports.websocket_service import WebSocketService

SERVER_NAME = b"Heliograph"


class HttpPort:
    """What all HTTP connections of one port share.

    Args:
        paths: answer requests.
        turn: the current turn of the event loop, whose work is bounded.
        websocket_at: returns the service that takes WebSockets at a path, without slashes at its ends; None if none
            does.
        options: limits of every request.
        counters: where refused requests are counted.
        loop: the event loop.
        trust: what is believed of requests.
    """

    def __init__(
        self,
        paths: Paths,
        websocket_at: Callable[[str], WebSocketService | None],
        *,
        turn: Turn,
        options: HttpGuardOptions,
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
        trust: HttpTrust = USUAL_TRUST,
    ) -> None:
        self.proxies = trust.proxies
        self.paths = paths
        self.turn = turn
        self.websocket_at = websocket_at
        self.options = options
        self.counters = counters
        self.state = ServerState()
        self.known_handshakes = KnownHandshakes()
        self.silent: Deadlines[FirstRequest] = Deadlines(options.header_timeout_s, FirstRequest.end, loop)
        """Connections on which nothing has come yet."""
        self._config = Config(
            paths,
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

    def connection(self) -> FirstRequest:
        """Return the protocol for a new connection."""
        return FirstRequest(self)

    def http(self, head_due_s: float | None) -> GuardedHttpProtocol:
        """Return the protocol for a connection whose client has begun to speak.

        Args:
            head_due_s: when the first request's head must be complete, by the loop's clock.
        """
        return GuardedHttpProtocol(self, self._config, self._loop, head_due_s)

    def websocket_for(self, head: Head) -> WebSocketService | None:
        """Return what takes the connection of an upgrade over; None if it is to be answered as any request."""
        if not upgrades_to_websocket(head.fields):
            return None
        path = path_of(head.target)
        return None if names_nothing(path) else self.websocket_at(path.strip("/"))

    async def drain(self, timeout_s: float) -> None:
        """Let requests under way end, for at most `timeout_s` seconds, and close all connections."""
        for silent in list(self.silent):
            silent.end()
        self.silent.stop()
        for connection in list(self.state.connections):
            connection.shutdown()
        under_way: list[asyncio.Future[Any]] = [*self.state.tasks, *self._lane_requests()]
        if under_way:
            await asyncio.wait(under_way, timeout=timeout_s)
        for connection in list(self.state.connections):
            if isinstance(connection, GuardedHttpProtocol):
                connection.transport.abort()
        if self._dating is not None:
            self._dating.cancel()

    def _lane_requests(self) -> Iterator[asyncio.Future[None]]:
        for connection in self.state.connections:
            if isinstance(connection, GuardedHttpProtocol) and isinstance(connection.cycle, LaneRequest):
                # The last one: it is answered behind all others.
                yield connection.cycle.answered()

    def _renew_date(self) -> None:
        # "An origin server with a clock MUST generate a Date header field" (RFC 9110, 6.6.1)
        date = formatdate(usegmt=True).encode()
        self.state.default_headers = [(b"date", date), (b"server", SERVER_NAME)]
        self.default_header_lines = b"date: %b\r\nserver: %b\r\n" % (date, SERVER_NAME)
        self.json_answer_lines = b"HTTP/1.1 200 OK\r\n%bcontent-type: %b\r\ncontent-length: " % (
            self.default_header_lines,
            JSON,
        )
        self._dating = self._loop.call_later(1, self._renew_date)
