"""WAMP over WebSocket: what a connection does with the frames that come, and how it says goodbye."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from picows import WSFrame, WSMsgType, WSTransport

from heliograph.auth.facts import ConnectionFacts
from heliograph.transports.connection import CONNECTION_SLOTS, Connection, Parcel
from heliograph.transports.direct_write import direct_write
from heliograph.transports.frame_parser import FrameParser
from heliograph.transports.sending import End
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

INFLATED_BYTES_A_UNIT = 256
"""Bytes that are decompressed for one unit of a turn's work: a few KiB may stand for a MiB, which takes 3 to 5 ms."""

_CLIENT_HEAD_BYTES = 6
"""Of the smallest frame of a client: two bytes and the mask."""

_FAREWELLS = {
    why: close_frame(code, why.value)
    for why, code in (
        (End.DONE, CLOSE_NORMAL),
        (End.GOING_AWAY, CLOSE_GOING_AWAY),
        (End.TOO_SLOW, CLOSE_POLICY_VIOLATION),
        (End.DEFECT, CLOSE_INTERNAL_ERROR),
        (End.LIMIT_TOO_SMALL, CLOSE_MESSAGE_TOO_BIG),
    )
}


class WebSocketConnection(Connection, asyncio.BufferedProtocol):
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
        "_inflater",
        "_opcode",
        "_parser",
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
        if dialect.new_framer is not None:
            self._framer = dialect.new_framer()
        self._inflater = deflate.inflater() if deflate is not None else None
        # Only while it reads, and as long as a part of a frame is left.
        self._parser: FrameParser | None = None
        # Not before there is a frame that is no plain message.
        self._reader: MessageReader | None = None
        # Of frames that may be WAMP messages as they are.
        self._plain_type = _DATA_TYPES[self._opcode] if self._batching is None else None

    def start(self, answer: bytes, early: bytes) -> None:
        """Write the answer to the handshake and read frames from now on.

        Args:
            answer: what is written.
            early: bytes that came with the handshake.
        """
        direct_write(self._transport, self._descriptor, answer)
        # uvloop keeps a method of the last protocol that had no buffer of its own; the HTTP protocol that took the
        # handshake would live as long as the connection, and weighs 6 KiB.
        self._transport.set_protocol(_NOBODY)
        self._transport.set_protocol(self)
        while early:
            room = self.get_buffer(-1)
            size = min(len(room), len(early))
            room[:size] = early[:size]
            self.buffer_updated(size)
            early = early[size:]

    # What the event loop asks of a protocol.

    def get_buffer(self, _size_hint: int) -> memoryview:
        """Return where to put what comes."""
        parser = self._parser
        if parser is None:
            parser = self._parser = self._service.parsers.lend(self)
        return parser.room

    def buffer_updated(self, size: int) -> None:
        """Handle `size` bytes that have come."""
        parser = self._parser
        # The end of the connection takes it away, and nothing comes after that.
        if parser is not None and parser.read(size):
            self._parser = None
            self._service.parsers.take_back(parser)

    def eof_received(self) -> bool:
        """Take note that the peer has closed its side; return whether the transport stays open for a while."""
        if self._has_close_waiting():
            # It has said CLOSE: what it said before counts, and has its turn.
            return True
        self.end(End.DONE)
        # It may stay open for a while, and reads no more.
        self._give_parser_back()
        return self._stays_open_to_write()

    def connection_lost(self, _error: Exception | None) -> None:
        """Take note that the socket is gone."""
        self._give_parser_back()
        self._gone()

    def _give_parser_back(self) -> None:
        parser, self._parser = self._parser, None
        if parser is not None:
            self._service.parsers.take_back(parser)

    # Reading.

    def on_ws_frame(self, _parser: WSTransport, frame: WSFrame) -> None:
        """Take one frame from the parser."""
        payload = frame.get_payload_as_bytes()
        # What most are, a small whole message, not compressed, in ASCII if it is text, is spared the reader: that looks
        # at everything a frame may be.
        if (
            frame.msg_type is self._plain_type
            and frame.fin
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3 or self._closing)
            and len(payload) <= self._service.max_message_bytes
            and (self._reader is None or not self._reader.is_within_message)
            and (self._opcode != TEXT or payload.isascii())
        ):
            self.heard = True
            self._on_message(payload)
            return
        opcode = frame.msg_type.value
        if opcode != PONG:
            self.heard = True
        try:
            reserved = bool(frame.rsv2 or frame.rsv3)
            if opcode >= CLOSE:
                # permessage-deflate is for messages only: RSV1 must not be set either.
                self._on_control_frame(opcode, payload, reserved=reserved or bool(frame.rsv1))
            elif not self._closing:
                reader = self._message_reader()
                message = reader.read(
                    opcode, payload, fin=frame.fin, reserved=reserved, rsv1=bool(frame.rsv1)
                )
                if message is not None:
                    self._on_websocket_message(message, is_compressed=reader.is_compressed)
                else:
                    self._on_other_frame(len(payload) + _CLIENT_HEAD_BYTES)
        except WebSocketViolation as violation:
            self._violate(violation.close_code, violation.reason)

    def _message_reader(self) -> MessageReader:
        if self._reader is None:
            self._reader = MessageReader(
                self._opcode,
                self._service.max_message_bytes,
                may_be_compressed=self._inflater is not None,
            )
        return self._reader

    def _on_websocket_message(self, message: bytes, *, is_compressed: bool) -> None:
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
        limit_bytes = self._service.max_message_bytes
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
        self._on_other_frame(len(payload) + _CLIENT_HEAD_BYTES)
        if opcode == PING:
            if not self._closing:
                self._pong(server_frame(PONG, payload))
        elif opcode == PONG:
            self._service.hear_pong(self, payload)
        elif opcode == CLOSE:
            try:
                code = read_close_code(payload)
            except WebSocketViolation as violation:
                self._violate(violation.close_code, violation.reason)
                # It has said its last word, so there is nothing to wait for.
                self._at_end(self._transport.close)
            else:
                self._on_close_in_order(code)

    def _on_close(self, code: int) -> None:
        """Answer the peer's CLOSE, which may be the answer to ours, and close."""
        self.close_with(code)
        self._at_end(self._transport.close)

    def on_bad_frame(self, code: int, reason: str) -> None:
        """Take note that the parser cannot go on; it has read something that is no frame a client may send."""
        # The parser would keep whatever else comes, and see no CLOSE in it.
        self._transport.set_protocol(_Deaf(self))
        # It looks one frame ahead: the good frame before the bad one comes when this returns.
        self._service.loop.call_soon(self._end_at_bad_frame, code, reason)

    def _end_at_bad_frame(self, code: int, reason: str) -> None:
        self._violate(code, reason)
        if self._transport.can_write_eof():
            self._at_end(self._end_writing)

    def _end_writing(self) -> None:
        if not self._transport.is_closing():
            self._transport.write_eof()

    def _violate(self, code: int, reason: str) -> None:
        if not self._closing:
            self._service.counters.violations += 1
            self.close_with(code, reason)

    # Writing, and the end.

    def close_with(self, code: int, reason: str = "") -> None:
        """End the session, flush, send CLOSE, and drop the connection if the peer does not close it in time."""
        self._end(close_frame(code, reason))

    def end(self, why: End) -> None:
        """Say CLOSE after all that was sent before."""
        self._end(_FAREWELLS[why])

    def ping(self) -> None:
        """Ask whether the peer is there; whatever it sends next is an answer, but for another pong."""
        if not self._closing:
            self._write_control(server_frame(PING, self._service.ping_payload(self)))


_NOBODY = asyncio.Protocol()

_DATA_TYPES = {TEXT: WSMsgType.TEXT, BINARY: WSMsgType.BINARY}


class _Deaf(asyncio.Protocol):
    """Reads and forgets until the connection is gone."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection

    def connection_lost(self, _error: Exception | None) -> None:
        self._connection.connection_lost(None)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()
