"""A WebSocket endpoint: who may connect, and all its connections."""

import asyncio
import base64
from typing import Protocol

from msgspec import Struct

from heliograph.routing.router import Router
from heliograph.transports.connection_service import ConnectionLimits, ConnectionService, bound_send_buffer
from heliograph.transports.counters import TransportCounters
from heliograph.transports.facts import connection_facts
from heliograph.transports.options import WebSocketPathOptions
from heliograph.transports.origins import OriginCheck, is_loopback_address
from heliograph.transports.turn import Turn
from heliograph.transports.websocket import WebSocketConnection, WebSocketFormat
from heliograph.wire.serializers import serializer
from heliograph.wire.serializers.serializer import Serializer
from heliograph.wire.websocket import accept_key

SUBPROTOCOL_PREFIX = "wamp.2."

_KEY_BYTES = 16


class Handshake(Struct, frozen=True):
    """A client's request to speak WebSocket, as far as it matters.

    Attributes:
        method: of the request.
        headers: names in lower case; those that may come twice are joined by commas.
    """

    method: str
    headers: dict[str, str]


class HandshakeRefused(Exception):  # noqa: N818 - says what happened, not that something is broken
    """A handshake that is answered with an HTTP error.

    Args:
        status: of the answer.
        text: what the client should do.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.headers = headers or {}


class SocketAddress(Protocol):
    """The part of a transport a handshake looks at."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return what is known by `name`, as asyncio's transports do."""


class WebSocketService(ConnectionService):
    """One WebSocket endpoint.

    Args:
        options: formats, checks and limits.
        router: where sessions join.
        turn: the current turn of the loop.
        counters: where connections and messages are counted.
        loop: the event loop.
    """

    def __init__(
        self,
        options: WebSocketPathOptions,
        *,
        router: Router,
        turn: Turn,
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        limits = ConnectionLimits(
            outbox_bytes=options.outbox.limit_bytes,
            hello_timeout_s=options.hello.hello_timeout_s,
            close_timeout_s=options.options.close_timeout_s,
            ping_interval_s=options.options.ping_interval_s,
            ping_timeout_s=options.options.ping_timeout_s,
        )
        super().__init__(limits, options, router=router, turn=turn, counters=counters, loop=loop)
        self.options = options
        self._origins = OriginCheck(
            options.options.allowed_origins, allow_null=options.options.allow_null_origin
        )
        self._formats: dict[str, tuple[Serializer, WebSocketFormat]] = {}
        for name in options.serializers:
            codec = serializer(name)
            self._formats[SUBPROTOCOL_PREFIX + name] = (codec, WebSocketFormat(codec))

    def accept(self, handshake: Handshake, transport: asyncio.Transport, early: bytes) -> None:
        """Answer `handshake` and serve the connection from now on.

        Args:
            handshake: the client's request.
            transport: its socket.
            early: bytes that came behind the request.

        Raises:
            HandshakeRefused: nothing was written; the caller answers.
        """
        self._check(handshake, transport)
        subprotocol = self._choose_subprotocol(handshake)
        codec, wire_format = self._formats[subprotocol]
        key = handshake.headers["sec-websocket-key"].encode()
        transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\nSec-WebSocket-Protocol: %b\r\n\r\n"
            % (accept_key(key), subprotocol.encode())
        )
        bound_send_buffer(transport)
        connection = WebSocketConnection(self, transport, codec, wire_format, connection_facts(transport))
        self.remember(connection)
        connection.start(early)

    def _check(self, handshake: Handshake, transport: SocketAddress) -> None:
        """Raise `HandshakeRefused` unless a WebSocket may be opened."""
        headers = handshake.headers
        if handshake.method != "GET":
            raise HandshakeRefused(405, "a WebSocket is opened with GET", {"Allow": "GET"})
        if headers.get("sec-websocket-version") != "13":
            raise HandshakeRefused(
                426, "only WebSocket version 13 is spoken", {"Sec-WebSocket-Version": "13"}
            )
        if not _is_key(headers.get("sec-websocket-key", "")):
            raise HandshakeRefused(400, "Sec-WebSocket-Key must be the base64 of 16 bytes")
        allowed = self._origins.allows(
            headers.get("origin"),
            host=headers.get("host", ""),
            is_loopback=is_loopback_address(transport.get_extra_info("sockname")),
        )
        if not allowed:
            raise HandshakeRefused(403, f"pages from {headers.get('origin')} may not connect here")

    def _choose_subprotocol(self, handshake: Handshake) -> str:
        """Return the subprotocol to speak, or raise `HandshakeRefused`."""
        # The client's order wins, as everywhere in the field.
        offered = [name.strip() for name in handshake.headers.get("sec-websocket-protocol", "").split(",")]
        for name in offered:
            if name in self._formats:
                return name
        raise HandshakeRefused(400, f"Sec-WebSocket-Protocol must offer one of {', '.join(self._formats)}")


def _is_key(text: str) -> bool:
    """Return whether `text` is a `Sec-WebSocket-Key`: 16 bytes in base64 (section 4.2.1)."""
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except ValueError:
        return False
