"""How many connections one port has open at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from heliograph.processes.descriptors import Descriptors, Places
from heliograph.transports.connection import close_this_side
from heliograph.transports.counters import TransportCounters

_LOG = logging.getLogger(__name__)

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
        descriptors: tell when only a reserve of them is left, which is not for connections; None lets them in.
    """

    def __init__(
        self,
        connection: Callable[[], asyncio.Protocol],
        *,
        most: int,
        refusal: bytes,
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
        descriptors: Descriptors | None = None,
    ) -> None:
        self._connection = connection
        self._descriptors = descriptors
        self._most = most
        self._refusal = refusal
        self._counters = counters
        self._loop = loop
        # Accepted in this turn of the loop, and not counted as open yet.
        self._beginning = 0
        self._waiting = Places(POLITELY_REFUSED)

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol for a new connection."""
        descriptors = self._descriptors
        if descriptors is not None and descriptors.is_only_reserve_left():
            # Else the loop would close it without a word or a count, once there is no descriptor at all.
            _LOG.warning(
                "connection refused: all but %d of %d descriptors are in use",
                descriptors.reserve,
                descriptors.limit,
            )
            return self._refused(descriptors.lent)
        if self._counters.connections + self._beginning >= self._most:
            return self._refused(self._waiting)
        if not self._beginning:
            # The loop accepts many before it goes on with what is due, and then begins all of them.
            self._loop.call_soon(self._begun)
        self._beginning += 1
        return self._connection()

    def _begun(self) -> None:
        self._beginning = 0

    def _refused(self, waiting: Places) -> asyncio.Protocol:
        self._counters.connections_refused += 1
        return _Refused(self._refusal, waiting, self._loop)


class _Refused(asyncio.Protocol):
    """A connection that is one too many; what it sends is forgotten.

    It says why and leaves it to the client to close, for a while; when no place is free to wait, it just closes.

    Args:
        refusal: what is said.
        waiting: places of those that wait for their client.
        loop: the event loop.
    """

    __slots__ = ("_loop", "_refusal", "_timer", "_waiting")

    def __init__(self, refusal: bytes, waiting: Places, loop: asyncio.AbstractEventLoop) -> None:
        self._refusal = refusal
        self._waiting = waiting
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio's own name
        if not self._waiting.take():
            transport.abort()
            return
        transport.write(self._refusal)
        close_this_side(transport)
        self._timer = self._loop.call_later(REFUSAL_TIMEOUT_S, transport.abort)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._waiting.give_back()
