"""A RawSocket endpoint: the handshake, and all its connections."""

from __future__ import annotations

import asyncio

from heliograph.routing.router import Router
from heliograph.transports.connection import close_this_side
from heliograph.transports.connection_service import (
    ConnectionLimits,
    ConnectionService,
    bound_send_buffer,
    keep_alive,
)
from heliograph.transports.counters import TransportCounters
from heliograph.transports.facts import connection_facts
from heliograph.transports.options import RawSocketServiceOptions
from heliograph.transports.rawsocket import PING_BYTES, RawSocketConnection, RawSocketFormat
from heliograph.transports.turn import Turn
from heliograph.wire.rawsocket import (
    HANDSHAKE_BYTES,
    MAGIC,
    Handshake,
    HandshakeError,
    HandshakeRefused,
    announced_limit,
    handshake,
    handshake_error,
    limit_exponent,
    read_handshake,
)
from heliograph.wire.serializers import serializer
from heliograph.wire.serializers.serializer import Serializer

SMALLEST_USEFUL_LIMIT_BYTES = 2048
"""A client that takes less could not be given WELCOME."""


class RawSocketService(ConnectionService):
    """One RawSocket endpoint.

    Args:
        options: formats and limits.
        router: where sessions join.
        turn: the current turn of the loop.
        counters: where connections and messages are counted.
        loop: the event loop.
    """

    def __init__(
        self,
        options: RawSocketServiceOptions,
        *,
        router: Router,
        turn: Turn,
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        limits = ConnectionLimits(
            outbox_bytes=options.outbox.limit_bytes,
            outbox_policy=options.outbox.policy,
            hello_timeout_s=options.hello.hello_timeout_s,
            close_timeout_s=options.options.close_timeout_s,
            ping_interval_s=options.options.ping_interval_s,
            ping_timeout_s=options.options.ping_timeout_s,
            ping_bytes=PING_BYTES,
            client_timeout_s=options.outbox.client_timeout_s,
        )
        super().__init__(limits, options, router=router, turn=turn, counters=counters, loop=loop)
        self.limit_bytes = announced_limit(limit_exponent(options.options.max_message_bytes))
        self._formats: dict[str, tuple[Serializer, RawSocketFormat]] = {}
        for name in options.serializers:
            codec = serializer(name)
            self._formats[name] = (codec, RawSocketFormat(codec))
        self._handshakes: set[RawSocketHandshake] = set()

    def connection(self) -> asyncio.Protocol:
        """Return the protocol for a new connection."""
        return RawSocketHandshake(self)

    def begin(self, pending: RawSocketHandshake) -> None:
        """Take note that a client is about to shake hands."""
        self._handshakes.add(pending)
        self.counters.connections += 1
        self.counters.connections_opened += 1

    def forget_handshake(self, pending: RawSocketHandshake) -> None:
        """Take note that a handshake is over, one way or the other."""
        if pending in self._handshakes:
            self._handshakes.remove(pending)
            self.counters.connections -= 1

    def accept(self, asked: Handshake, transport: asyncio.Transport, early: bytes) -> None:
        """Answer a handshake and serve the connection from now on.

        Args:
            asked: what the client wants.
            transport: its socket.
            early: bytes that came behind the handshake.

        Raises:
            HandshakeRefused: nothing was written; the caller answers.
        """
        if asked.serializer not in self._formats:
            raise HandshakeRefused(HandshakeError.SERIALIZER_UNSUPPORTED)
        if asked.limit_bytes < SMALLEST_USEFUL_LIMIT_BYTES:
            raise HandshakeRefused(HandshakeError.LENGTH_UNACCEPTABLE)
        transport.write(handshake(asked.serializer, self.limit_bytes))
        bound_send_buffer(transport)
        keep_alive(transport)
        codec, wire_format = self._formats[asked.serializer]
        connection = RawSocketConnection(
            self, transport, codec, wire_format, asked.limit_bytes, connection_facts(transport)
        )
        self.remember(connection)
        transport.set_protocol(connection)
        if early:
            connection.data_received(early)

    async def drain(self, timeout_s: float) -> None:
        """Say goodbye to everybody and wait until they are gone, at most `timeout_s` seconds; then drop the rest."""
        for pending in list(self._handshakes):
            pending.abort()
        await super().drain(timeout_s)


class RawSocketHandshake(asyncio.Protocol):
    """A connection whose client has still to send its four octets.

    Args:
        service: the endpoint it came in on.
    """

    __slots__ = ("_is_refused", "_octets", "_service", "_timer", "_transport")

    _transport: asyncio.Transport
    _timer: asyncio.TimerHandle

    def __init__(self, service: RawSocketService) -> None:
        self._service = service
        self._octets = b""
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio's own name
        """Wait for the handshake, for a while."""
        self._transport = transport
        self._service.begin(self)
        self._timer = self._service.loop.call_later(self._service.limits.hello_timeout_s, self._on_timeout)

    def data_received(self, data: bytes) -> None:
        """Take a piece of the handshake, and what may have come behind it."""
        if self._is_refused:
            return
        self._octets += data
        if self._octets[0] != MAGIC:
            # There is no answer to what is no RawSocket.
            self._refuse(b"")
        elif len(self._octets) >= HANDSHAKE_BYTES:
            try:
                asked = read_handshake(self._octets[:HANDSHAKE_BYTES])
                self._service.accept(asked, self._transport, self._octets[HANDSHAKE_BYTES:])
            except HandshakeRefused as refusal:
                self._refuse(handshake_error(refusal.error))
            else:
                self._timer.cancel()
                self._service.forget_handshake(self)

    def _refuse(self, answer: bytes) -> None:
        self._is_refused = True
        self._octets = b""
        self._service.counters.handshakes_refused += 1
        self._timer.cancel()
        self._timer = self._service.loop.call_later(
            self._service.limits.close_timeout_s, self._transport.abort
        )
        self._transport.write(answer)
        close_this_side(self._transport)

    def _on_timeout(self) -> None:
        self._service.counters.hello_timeouts += 1
        self._transport.abort()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """Take note that the client is gone."""
        self._timer.cancel()
        self._service.forget_handshake(self)
