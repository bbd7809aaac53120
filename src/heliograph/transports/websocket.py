"""WAMP over WebSocket: the one place that knows picows.

picows cuts frames out of the byte stream and unmasks them; it is given a transport that swallows its handshake and
hands the CLOSE it answers bad frames with to the connection, so nothing overtakes what was sent before. Its protocol
object is semi-private: `tests/transports/test_picows_canary.py` fails when a new version changes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]  # not in its stub

from heliograph.auth.facts import ConnectionFacts
from heliograph.transports.connection import CONNECTION_SLOTS, Connection, End, Parcel
from heliograph.transports.websocket_negotiation import Agreement
from heliograph.wire.batched import BatchError
from heliograph.wire.permessage_deflate import Inflater
from heliograph.wire.websocket import (
    BINARY,
    CLOSE,
    CLOSE_GOING_AWAY,
    CLOSE_INTERNAL_ERROR,
    CLOSE_MESSAGE_TOO_BIG,
    CLOSE_NORMAL,
    CLOSE_POLICY_VIOLATION,
    CLOSE_PROTOCOL_ERROR,
    PING,
    PONG,
    TEXT,
    MessageReader,
    WebSocketViolation,
    check_text,
    close_frame,
    read_close_code,
    server_frame,
)

if TYPE_CHECKING:
    from heliograph.transports.websocket_service import WebSocketService

_LOG = logging.getLogger(__name__)

READ_BUFFER_BYTES = 2048
"""What a connection starts with; picows doubles it as needed and never gives any back."""

READ_BYTES = 64 * 1024
"""Most that is read at once. It bounds the buffer, which doubles whenever a read fills it, and with the buffer what
was read and not handled when reading pauses: no more than one largest message and twice this, and the connection's
`HELD_BYTES`."""

INFLATED_BYTES_A_UNIT = 256
"""Bytes that are decompressed for one unit of a turn's work: a few KiB may stand for a MiB, which takes 3 to 5 ms."""

LARGE_BYTES = 32 * 1024
"""After a frame of this size, or with as much behind one, the parser is replaced by a fresh one as soon as its buffer
is empty: 20 idle connections that had once sent 4 MiB held 84 MiB."""

_CLOSE_CODES = {
    End.DONE: CLOSE_NORMAL,
    End.GOING_AWAY: CLOSE_GOING_AWAY,
    End.TOO_SLOW: CLOSE_POLICY_VIOLATION,
    End.DEFECT: CLOSE_INTERNAL_ERROR,
    End.LIMIT_TOO_SMALL: CLOSE_MESSAGE_TOO_BIG,
}

_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class WebSocketConnection(Connection, WSListener):
    """One WebSocket connection, the peer of one session.

    Args:
        service: the endpoint it came in on; shared limits, counters and the current turn.
        transport: the socket, after the handshake.
        agreed: what is spoken.
        facts: what the handshake and the socket tell of the other end.
    """

    __slots__ = (
        *CONNECTION_SLOTS,
        "_batching",
        "_framer",
        "_inflater",
        "_is_parser_large",
        "_opcode",
        "_plain_type",
        "_reader",
    )

    _service: WebSocketService

    def __init__(
        self,
        service: WebSocketService,
        transport: asyncio.Transport,
        agreed: Agreement,
        facts: ConnectionFacts,
    ) -> None:
        dialect, deflate = agreed.dialect, agreed.deflate
        super().__init__(service, transport, dialect.serializer.decode, dialect.wire_format, facts)
        self._opcode = dialect.opcode
        self._batching = dialect.batching
        self._framer = dialect.new_framer() if dialect.new_framer is not None else None
        self._inflater = deflate.inflater() if deflate is not None else None
        self._reader = MessageReader(
            self._opcode, service.options.options.max_message_bytes, may_be_compressed=deflate is not None
        )
        # Of frames that may be WAMP messages as they are.
        self._plain_type = _DATA_TYPES[self._opcode] if self._batching is None else None
        self._is_parser_large = False

    def start(self, early: bytes) -> None:
        """Read frames from now on, beginning with `early`, which came with the handshake."""
        self._is_parser_large = len(early) > LARGE_BYTES
        parser = self._renew_parser(buffer_bytes=READ_BUFFER_BYTES + len(early))
        _feed(parser, early)

    def _renew_parser(self, *, buffer_bytes: int = READ_BUFFER_BYTES) -> Any:
        """Let a fresh parser, whose buffer is small again, read what comes."""
        parser = _new_parser(self, self._transport, self._service.max_frame_bytes, buffer_bytes)
        # uvloop keeps a method of the last protocol that had no buffer of its own; the HTTP protocol that took the
        # handshake would live as long as the connection, and weighs 6 KiB.
        self._transport.set_protocol(_NOBODY)
        self._transport.set_protocol(parser)
        return parser

    # Reading.

    def on_ws_frame(self, _parser: WSTransport, frame: WSFrame) -> None:
        """Take one frame from the parser."""
        self.heard = True
        payload = frame.get_payload_as_bytes()
        if len(payload) > LARGE_BYTES or frame.tail_size > LARGE_BYTES:
            self._is_parser_large = True
        elif self._is_plain_message(frame, payload):
            self._on_message(payload)
            return
        opcode = frame.msg_type.value
        try:
            reserved = bool(frame.rsv2 or frame.rsv3)
            if opcode >= CLOSE:
                # permessage-deflate is for messages only: RSV1 must not be set either.
                self._on_control_frame(opcode, payload, reserved=reserved or bool(frame.rsv1))
            elif not self._closing:
                message = self._reader.read(
                    opcode, payload, fin=frame.fin, reserved=reserved, rsv1=bool(frame.rsv1)
                )
                if message is not None:
                    self._on_websocket_message(message)
        except WebSocketViolation as violation:
            self._violate(violation.close_code, violation.reason)
        if self._is_parser_large and frame.last_in_buffer and not frame.tail_size:
            self._is_parser_large = False
            self._renew_parser()

    def _is_plain_message(self, frame: WSFrame, payload: bytes) -> bool:
        """Return whether a frame is what most are: a small whole message, not compressed, in ASCII if it is text.

        It spares such a message the reader, which looks at everything a frame may be.
        """
        return bool(
            frame.msg_type is self._plain_type
            and frame.fin
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
            and not self._closing
            and not self._is_parser_large
            and self._reader.takes_whole(len(payload))
            and (self._opcode != TEXT or payload.isascii())
        )

    def _on_websocket_message(self, message: bytes) -> None:
        is_compressed = self._reader.is_compressed
        if self._batching is None and not is_compressed:
            self._on_message(message)
        else:
            # What is small here may be large once it is unpacked, so it waits for its turn as it is.
            self._on_parcel(Parcel(self._unpacked(message, is_compressed=is_compressed), len(message)))

    def _unpacked(self, message: bytes, *, is_compressed: bool) -> Iterator[bytes]:
        """Return the WAMP messages in `message`; what cannot be unpacked ends the connection."""
        try:
            if is_compressed and self._inflater is not None:
                message = self._inflated(self._inflater, message)
            if self._batching is None:
                yield message
            else:
                yield from self._batching.unwrap(message)
        except WebSocketViolation as violation:
            self._violate(violation.close_code, violation.reason)
        except BatchError as error:
            # What is no batch, or an empty one, fails the transport.
            self._violate(CLOSE_PROTOCOL_ERROR, str(error))

    def _inflated(self, inflater: Inflater, message: bytes) -> bytes:
        limit_bytes = self._service.options.options.max_message_bytes
        turn = self._service.turn
        try:
            message = inflater.inflate(message, limit_bytes=limit_bytes)
        except WebSocketViolation:
            turn.spend(limit_bytes // INFLATED_BYTES_A_UNIT)
            raise
        turn.spend(len(message) // INFLATED_BYTES_A_UNIT)
        if self._opcode == TEXT:
            check_text(message)
        return message

    def _on_control_frame(self, opcode: int, payload: bytes, *, reserved: bool) -> None:
        if reserved:
            raise WebSocketViolation(CLOSE_PROTOCOL_ERROR, "a reserved bit is set that no extension defines")
        if opcode == PING:
            # A pong may overtake what waits: it answers the transport, not the session.
            if not self._closing:
                self._transport.write(server_frame(PONG, payload))
                self._drop_if_pongs_are_too_much()
        elif opcode == CLOSE:
            try:
                code = read_close_code(payload)
            except WebSocketViolation as violation:
                self._violate(violation.close_code, violation.reason)
                # It has said its last word, so there is nothing to wait for.
                self._transport.close()
            else:
                self._on_close_in_order(code)

    def _on_close(self, code: int) -> None:
        """Answer the peer's CLOSE, which may be the answer to ours, and close."""
        self.close_with(code)
        self._transport.close()

    def on_bad_frame(self, code: int, reason: str) -> None:
        """Take note that the parser cannot go on; it has read something that is no frame a client may send."""
        # The parser would keep whatever else comes, and see no CLOSE in it.
        self._transport.set_protocol(_Deaf(self))
        # It looks one frame ahead: the good frame before the bad one comes when this returns.
        self._service.loop.call_soon(self._end_at_bad_frame, code, reason)

    def _end_at_bad_frame(self, code: int, reason: str) -> None:
        self._violate(code, reason)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def _violate(self, code: int, reason: str) -> None:
        if not self._closing:
            self._service.counters.violations += 1
            self.close_with(code, reason)

    def on_end_of_input(self) -> bool:
        """Take note that the peer has closed its side; return whether the transport stays open for a while."""
        if self._has_close_waiting():
            # It has said CLOSE: what it said before counts, and has its turn.
            return True
        self.close_with(CLOSE_NORMAL)
        return False

    # Writing, and the end.

    def _finished(self, outbox: list[bytes]) -> bytes:
        """Return what is written for all that waits: the frames in the outbox, or frames made of its messages."""
        if self._framer is not None:
            return self._framer.finish(outbox)
        return outbox[0] if len(outbox) == 1 else b"".join(outbox)

    def close_with(self, code: int, reason: str = "") -> None:
        """End the session, flush, send CLOSE, and drop the connection if the peer does not close it in time."""
        self._end(close_frame(code, reason))

    def end(self, why: End) -> None:
        """Say CLOSE after all that was sent before."""
        self.close_with(_CLOSE_CODES[why], why.value)

    def ping(self) -> None:
        """Ask whether the peer is there; whatever it sends next is an answer."""
        if not self._closing:
            self._transport.write(self._service.ping_frame)

    def on_ws_disconnected(self, _parser: WSTransport | None) -> None:
        """Take note that the socket is gone."""
        self._gone()

    def pause_writing(self) -> None:
        """Nothing to do: the outbox's limit decides when a receiver is too slow."""

    def resume_writing(self) -> None:
        """Nothing to do, as above."""


_DATA_TYPES = {TEXT: WSMsgType.TEXT, BINARY: WSMsgType.BINARY}


class _Parser(WSProtocol):  # type: ignore[misc]  # a Cython class
    """picows' protocol; reads in bounded pieces and tells when the peer has closed its side."""

    def get_buffer(self, size_hint: int) -> memoryview:
        buffer: memoryview = super().get_buffer(size_hint)
        return buffer[:READ_BYTES]

    def eof_received(self) -> bool:
        stays_open: bool = self.listener.on_end_of_input()
        return stays_open


class _Deaf(asyncio.Protocol):
    """Reads and forgets until the connection is gone."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection

    def connection_lost(self, _error: Exception | None) -> None:
        self._connection.on_ws_disconnected(None)


class _ParserLog:
    """What picows logs to: it would otherwise make a logger for each connection. Peers' mistakes are counted by us."""

    exception = staticmethod(_LOG.exception)

    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802 - the name in `logging`
        return False

    def debug(self, *_: object) -> None: ...

    info = warning = error = log = debug


class _ParserSocket:
    """What picows wants to know of a socket; ours may be one on which TCP options cannot be set."""

    def setsockopt(self, *_: object) -> None: ...

    def getsockopt(self, *_: object) -> int:
        return 0

    def fileno(self) -> int:
        return -1


class _ParserTransport:
    """The transport picows is given: it swallows the handshake and passes on the CLOSE that answers a bad frame."""

    __slots__ = ("_connection", "_in_handshake", "_transport")

    def __init__(self, connection: WebSocketConnection, transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport
        self._in_handshake = True

    def handshake_done(self) -> None:
        self._in_handshake = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        if name == "socket":
            return _SOCKET
        # Taken for TLS, picows writes nothing to the socket by itself.
        return True if name == "ssl_object" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        # Past the handshake picows writes nothing but CLOSE: two bytes of frame, two of code, the reason.
        if not self._in_handshake:
            self._connection.on_bad_frame(
                int.from_bytes(data[2:4], "big"), bytes(data[4:]).decode(errors="replace")
            )

    def close(self) -> None:
        """Leave closing to the connection, whose timer is shorter than the parser's."""

    def abort(self) -> None:
        self._transport.abort()


_PARSER_LOG = _ParserLog()
_NOBODY = asyncio.Protocol()
_SOCKET = _ParserSocket()


def _new_parser(
    connection: WebSocketConnection, transport: asyncio.Transport, max_frame_bytes: int, buffer_bytes: int
) -> Any:
    """Return a picows protocol that is past its handshake and hands frames to `connection`."""
    parser_transport = _ParserTransport(connection, transport)
    parser = _Parser(
        None,  # host and port: those of a client
        None,  # path: likewise
        False,  # noqa: FBT003 - the server's side; the parameters are positional only
        lambda _request: connection,
        _PARSER_LOG,
        True,  # noqa: FBT003 - disconnect when a listener raises, which is a defect of ours
        None,  # no handshake timeout
        False,  # noqa: FBT003 - no pings of its own: one task a connection
        None,
        None,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # noqa: FBT003 - no pongs of its own: they would escape the outbox's limit
        max_frame_bytes,
        None,
        buffer_bytes,
    )
    parser.connection_made(parser_transport)
    _feed(parser, _UPGRADE)
    parser_transport.handshake_done()
    return parser


def _feed(parser: Any, data: bytes) -> None:
    """Let `parser`, whose buffer is large enough, read `data` in one piece."""
    if data:
        WSProtocol.get_buffer(parser, -1)[: len(data)] = data
        parser.buffer_updated(len(data))
