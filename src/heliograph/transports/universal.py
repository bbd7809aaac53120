"""Several protocols on one port, told apart by the first octet a client sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from heliograph.transports.counters import TransportCounters
from heliograph.wire.rawsocket import MAGIC

ConnectionFactory = Callable[[], asyncio.Protocol]


class UniversalService:
    """Hands each connection to the protocol that it speaks.

    Args:
        rawsocket: makes the protocol of a RawSocket connection; None closes those.
        http: makes the protocol of any other.
        first_octet_timeout_s: seconds a client may stay silent.
        counters: where connections are counted.
        loop: the event loop.
    """

    def __init__(
        self,
        *,
        rawsocket: ConnectionFactory | None,
        http: ConnectionFactory,
        first_octet_timeout_s: float,
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._rawsocket = rawsocket
        self._http = http
        self.first_octet_timeout_s = first_octet_timeout_s
        self.counters = counters
        self.loop = loop
        self._undecided: set[FirstOctet] = set()

    def connection(self) -> asyncio.Protocol:
        """Return the protocol for a new connection."""
        return FirstOctet(self)

    def begin(self, connection: FirstOctet) -> None:
        """Take note of a connection that has said nothing yet."""
        self._undecided.add(connection)
        self.counters.connections += 1

    def forget(self, connection: FirstOctet) -> None:
        """Take note that a connection is decided, or gone."""
        if connection in self._undecided:
            self._undecided.remove(connection)
            self.counters.connections -= 1

    def speaker(self, first_octet: int) -> asyncio.Protocol | None:
        """Return the protocol that a connection speaks, None when it is not spoken here."""
        if first_octet != MAGIC:
            return self._http()
        return self._rawsocket() if self._rawsocket is not None else None

    async def drain(self, _timeout_s: float) -> None:
        """Drop who has said nothing yet."""
        for connection in list(self._undecided):
            connection.abort()


class FirstOctet(asyncio.Protocol):
    """A connection that has said nothing yet.

    Args:
        service: of the port it came in on.
    """

    __slots__ = ("_service", "_timer", "_transport")

    _transport: asyncio.Transport
    _timer: asyncio.TimerHandle

    def __init__(self, service: UniversalService) -> None:
        self._service = service

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio's own name
        """Wait for the first octet, for a while."""
        self._transport = transport
        self._service.begin(self)
        self._timer = self._service.loop.call_later(self._service.first_octet_timeout_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Hand the connection over, with what has come."""
        if self._transport.is_closing():
            return
        self._timer.cancel()
        self._service.forget(self)
        protocol = self._service.speaker(data[0])
        if protocol is None:
            self._service.counters.handshakes_refused += 1
            self._transport.close()
            return
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """Take note that the client is gone."""
        self._timer.cancel()
        self._service.forget(self)
