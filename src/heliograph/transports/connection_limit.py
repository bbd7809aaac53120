"""How many connections one port has open at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from heliograph.transports.connection import close_this_side
from heliograph.transports.counters import TransportCounters

REFUSED_OVER_HTTP = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 10\r\n"
    b"Content-Length: 35\r\nConnection: close\r\n\r\nas many connections as may be open\n"
)

POLITELY_REFUSED = 256
"""Connections that may wait for their client to read why they are refused."""

REFUSAL_TIMEOUT_S = 2.0


class ConnectionLimit:
    """Lets a bounded number of connections in.

    Args:
        connection: makes the protocol of a connection that is let in.
        most: connections open at once.
        refusal: what a further one is told before it is closed.
        counters: tell how many are open, and count who was refused.
        loop: the event loop.
    """

    def __init__(
        self,
        connection: Callable[[], asyncio.Protocol],
        *,
        most: int,
        refusal: bytes,
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._connection = connection
        self._most = most
        self._refusal = refusal
        self._counters = counters
        self._loop = loop
        # Accepted in this turn of the loop, and not counted as open yet.
        self._beginning = 0
        self._being_refused = 0

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol for a new connection."""
        if self._counters.connections + self._beginning >= self._most:
            self._counters.connections_refused += 1
            return _Refused(self)
        if not self._beginning:
            # The loop accepts many before it goes on with what is due, and then begins all of them.
            self._loop.call_soon(self._begun)
        self._beginning += 1
        return self._connection()

    def _begun(self) -> None:
        self._beginning = 0

    def refuse(self, transport: asyncio.Transport) -> asyncio.TimerHandle | None:
        """Say why, and leave it to the client to close, for a while; when many are being refused, just close."""
        if self._being_refused >= POLITELY_REFUSED:
            transport.abort()
            return None
        self._being_refused += 1
        transport.write(self._refusal)
        close_this_side(transport)
        return self._loop.call_later(REFUSAL_TIMEOUT_S, transport.abort)

    def refused(self) -> None:
        """Take note that somebody who was told why is gone."""
        self._being_refused -= 1


class _Refused(asyncio.Protocol):
    """A connection that is one too many; what it sends is forgotten."""

    __slots__ = ("_limit", "_timer")

    def __init__(self, limit: ConnectionLimit) -> None:
        self._limit = limit
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio's own name
        self._timer = self._limit.refuse(transport)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._limit.refused()
