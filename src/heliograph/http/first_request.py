"""A connection of a port for HTTP until its first bytes are there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from heliograph.http.exchange import headers_by_name
from heliograph.http.upgrade_request import read_upgrade
from heliograph.transports.websocket_service import Handshake, HandshakeRefused

if TYPE_CHECKING:
    from heliograph.http.port import HttpPort


class FirstRequest(asyncio.Protocol):
    """A connection that has said nothing yet: it speaks no HTTP, and leaves that to a protocol that does.

    A WebSocket's handshake does without: that protocol weighs 6 KiB and takes 30 µs to make.

    Args:
        port: what it shares with others.
    """

    __slots__ = ("_port", "_transport")

    _transport: asyncio.Transport

    def __init__(self, port: HttpPort) -> None:
        self._port = port

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio's own name
        """Wait for the first request, for a while."""
        self._transport = transport
        port = self._port
        port.counters.connections += 1
        port.counters.connections_opened += 1
        port.silent.begin(self)

    def data_received(self, data: bytes) -> None:
        """Hand the connection over, with what has come."""
        if self._transport.is_closing():
            return
        port = self._port
        found = port.known_handshakes.find(data)
        if found is not None:
            self._leave()
            found.service.open(found.opening, found.key, self._transport, found.early)
        elif not self._is_upgraded(data):
            self._leave_to_http(data)

    def _is_upgraded(self, data: bytes) -> bool:
        """Open a WebSocket if that is plainly asked for; whatever is wrong with one is for HTTP to say."""
        port = self._port
        request = read_upgrade(data, limit_bytes=port.options.max_header_bytes)
        if request is None or port.paths.in_lane(request.head.target) is not None:
            return False
        service = port.websocket_for(request.head)
        if service is None or request.head.has_content:
            return False
        handshake = Handshake(request.head.method.decode("ascii"), headers_by_name(request.head.headers))
        try:
            opening = service.accept(handshake, self._transport, data[request.head_bytes :])
        except HandshakeRefused:
            return False
        self._leave()
        if opening is not None:
            port.known_handshakes.remember(data[: request.head_bytes], service, opening)
        return True

    def _leave(self) -> None:
        self._port.silent.end(self)
        self._port.counters.connections -= 1

    def _leave_to_http(self, data: bytes) -> None:
        port = self._port
        http = port.http(head_due_s=port.silent.due_s(self))
        port.silent.end(self)
        self._transport.set_protocol(http)
        http.connection_made(self._transport)
        http.data_received(data)

    def end(self) -> None:
        """Close; nothing was asked, so nothing is answered."""
        self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """Take note that the client is gone."""
        self._leave()
