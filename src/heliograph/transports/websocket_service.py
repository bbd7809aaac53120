"""A WebSocket endpoint: who may connect, and all its connections."""

import asyncio
import base64
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from heliograph.auth.facts import ConnectionFacts
from heliograph.routing.router import Router
from heliograph.transports.connection_service import ConnectionLimits, ConnectionService, bound_send_buffer
from heliograph.transports.cookies import cookie_tracking
from heliograph.transports.counters import TransportCounters
from heliograph.transports.facts import connection_facts
from heliograph.transports.forwarded import FORWARDING_HEADERS
from heliograph.transports.frame_parser import FrameParsers
from heliograph.transports.http_trust import USUAL_TRUST, HttpTrust
from heliograph.transports.options import WebSocketOptions, WebSocketServiceOptions
from heliograph.transports.origins import OriginCheck, is_loopback_address
from heliograph.transports.turn import Turn
from heliograph.transports.websocket import WebSocketConnection
from heliograph.transports.websocket_negotiation import Agreement, Negotiation
from heliograph.wire.websocket import accept_key, most_compressed_bytes
from heliograph.wire.websocket_extensions import ExtensionsMalformed

_KEY_BYTES = 16

_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
)

_OF_ONE_CLIENT = ("origin", "cookie", "authorization", *FORWARDING_HEADERS)
"""Headers of which the answer may depend in other ways than by their text, or that say who a client is."""


class Handshake(Struct, frozen=True):
    """A client's request to speak WebSocket, as far as it matters.

    Attributes:
        method: of the request.
        headers: names in lower case; those that may come twice are joined by commas.
    """

    method: str
    headers: dict[str, str]


class Opening(Struct, frozen=True):
    """How a connection is opened, whatever the key of its handshake.

    Attributes:
        agreed: what is spoken.
        answer: what follows `Sec-WebSocket-Accept` in the answer, to its end.
    """

    agreed: Agreement
    answer: bytes


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
        trust: what is believed of handshakes.
    """

    def __init__(
        self,
        options: WebSocketServiceOptions,
        *,
        router: Router,
        turn: Turn,
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
        trust: HttpTrust = USUAL_TRUST,
    ) -> None:
        limits = ConnectionLimits(
            outbox_bytes=options.outbox.limit_bytes,
            outbox_policy=options.outbox.policy,
            hello_timeout_s=options.hello.hello_timeout_s,
            close_timeout_s=options.options.close_timeout_s,
            ping_interval_s=options.options.ping_interval_s,
            ping_timeout_s=options.options.ping_timeout_s,
            ping_bytes=options.options.ping_bytes,
            client_timeout_s=options.outbox.client_timeout_s,
        )
        super().__init__(limits, options, router=router, turn=turn, counters=counters, loop=loop)
        self.options = options
        self._origins = OriginCheck(
            options.options.allowed_origins,
            allow_null=options.options.allow_null_origin,
            external_port=options.options.external_port,
            hosts=trust.hosts,
        )
        self._proxies = trust.proxies
        self._negotiation = Negotiation(options.serializers, options.options)
        self.subprotocols = self._negotiation.subprotocols
        self._cookies = cookie_tracking(options.cookie, self.authenticators)
        self.max_message_bytes = options.options.max_message_bytes
        self.parsers = FrameParsers(_max_frame_bytes(options.options))

    def accept(self, handshake: Handshake, transport: asyncio.Transport, early: bytes) -> Opening | None:
        """Answer `handshake` and serve the connection from now on.

        What is returned opens any connection whose client sends the same, but for the key; None where that depends on
        more.

        Args:
            handshake: the client's request.
            transport: its socket.
            early: bytes that came behind the request.

        Raises:
            HandshakeRefused: nothing was written; the caller answers.
        """
        self._check(handshake, transport)
        headers = handshake.headers
        agreed = self._agree(headers)
        facts = self._proxies.facts(transport, headers)
        answer = {}
        if agreed.subprotocol is not None:
            answer["Sec-WebSocket-Protocol"] = agreed.subprotocol
        if agreed.deflate is not None:
            answer["Sec-WebSocket-Extensions"] = agreed.deflate.response
        if self._cookies is not None:
            value, set_cookie = self._cookies.recognise(
                headers.get("cookie", ""), is_encrypted=facts.is_encrypted
            )
            facts = replace(facts, cookie=value)
            if set_cookie is not None:
                answer["Set-Cookie"] = set_cookie
        lines = ["", *(f"{name}: {value}" for name, value in answer.items()), "", ""]
        opening = Opening(agreed, "\r\n".join(lines).encode())
        self._begin(opening, headers["sec-websocket-key"].encode(), transport, facts, early)
        if self._cookies is not None or any(name in headers for name in _OF_ONE_CLIENT):
            return None
        return opening

    def open(self, opening: Opening, key: bytes, transport: asyncio.Transport, early: bytes) -> None:
        """Answer a handshake like one that was accepted, and serve the connection from now on.

        Args:
            opening: what `accept` has returned.
            key: `Sec-WebSocket-Key` of this one.
            transport: its socket.
            early: bytes that came behind it.
        """
        self._begin(opening, key, transport, connection_facts(transport), early)

    def _begin(
        self,
        opening: Opening,
        key: bytes,
        transport: asyncio.Transport,
        facts: ConnectionFacts,
        early: bytes,
    ) -> None:
        bound_send_buffer(transport)
        connection = self._connection(transport, opening.agreed, facts)
        self.remember(connection)
        connection.start(b"%b%b%b" % (_SWITCHING, accept_key(key), opening.answer), early)

    def _connection(
        self, transport: asyncio.Transport, agreed: Agreement, facts: ConnectionFacts
    ) -> WebSocketConnection:
        return WebSocketConnection(self, transport, agreed, facts)

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
        origin = headers.get("origin")
        if origin is None:
            return
        allowed = self._origins.allows(
            origin,
            host=headers.get("host", ""),
            is_loopback=is_loopback_address(transport.get_extra_info("sockname")),
            is_encrypted=self._proxies.facts(transport, headers).is_encrypted,
        )
        if not allowed:
            raise HandshakeRefused(403, f"pages from {origin} may not connect here")

    def _agree(self, headers: dict[str, str]) -> Agreement:
        """Return what to speak, or raise `HandshakeRefused`."""
        try:
            agreed = self._negotiation.agree(
                headers.get("sec-websocket-protocol"), headers.get("sec-websocket-extensions", "")
            )
        except ExtensionsMalformed as error:
            raise HandshakeRefused(400, str(error)) from error
        if agreed is None:
            known = ", ".join(self.subprotocols)
            raise HandshakeRefused(400, f"Sec-WebSocket-Protocol must offer one of {known}")
        return agreed


def _max_frame_bytes(options: WebSocketOptions) -> int:
    """Return the size of the largest frame a client may send; messages are measured when they are whole."""
    limit = options.max_message_bytes
    if options.compression is not None and options.compression.deflate is not None:
        limit = most_compressed_bytes(limit)
    return limit if options.max_frame_bytes is None else min(limit, options.max_frame_bytes)


def _is_key(text: str) -> bool:
    """Return whether `text` is a `Sec-WebSocket-Key`: 16 bytes in base64 (section 4.2.1)."""
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except ValueError:
        return False
