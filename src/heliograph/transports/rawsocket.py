"""WAMP over RawSocket: one connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from heliograph.auth.facts import ConnectionFacts
from heliograph.transports.connection import CONNECTION_SLOTS, Connection, close_this_side
from heliograph.transports.sending import End
from heliograph.wamp.errors import (
    CLOSE_SYSTEM_SHUTDOWN,
    PAYLOAD_SIZE_EXCEEDED,
    RUNTIME_ERROR,
    SLOW_RECEIVER,
    PayloadTooLong,
    ProtocolViolation,
)
from heliograph.wamp.messages import Abort, CloseDetails, Error, Event, Invocation, Message, Result
from heliograph.wire.rawsocket import (
    HEAD_BYTES,
    LARGEST_MESSAGE_BYTES,
    MESSAGE,
    PING,
    PONG,
    FrameReader,
    RawSocketViolation,
    frame,
)
from heliograph.wire.serializers.serializer import Serializer

if TYPE_CHECKING:
    from heliograph.transports.rawsocket_service import RawSocketService

# What an application sends, which finds its receiver too small; the other messages are the router's own.
_FROM_SOMEBODY = (Event, Result, Invocation)

_ABORT_REASONS = {
    End.GOING_AWAY: CLOSE_SYSTEM_SHUTDOWN,
    End.TOO_SLOW: SLOW_RECEIVER,
    End.DEFECT: RUNTIME_ERROR,
    End.LIMIT_TOO_SMALL: PAYLOAD_SIZE_EXCEEDED,
}


PING_BYTES = 8
"""What a PING bears."""


class RawSocketFormat:
    """A serializer whose messages travel in RawSocket frames."""

    delivery_units = 1

    def __init__(self, serializer: Serializer) -> None:
        self.serializer = serializer
        self._encode = serializer.encode

    def frame(self, message: Message) -> bytes:
        """Return `message` as a finished frame; raises `PayloadError`."""
        payload = self._encode(message)
        if len(payload) > LARGEST_MESSAGE_BYTES:
            # No frame holds it. Each connection drops it, as it drops what only its own client finds too long.
            return bytes(HEAD_BYTES) + payload
        return frame(MESSAGE, payload)


class RawSocketConnection(Connection, asyncio.Protocol):
    """One RawSocket connection, the peer of one session, after the handshake.

    Args:
        service: the endpoint it came in on; shared limits, counters and the current turn.
        transport: the socket.
        serializer: the one the client has chosen.
        wire_format: that serializer in frames.
        limit_bytes: the longest message the client takes.
        facts: what the socket tells of the other end.
    """

    __slots__ = (*CONNECTION_SLOTS, "_longest_frame_bytes", "_reader")

    _service: RawSocketService

    def __init__(
        self,
        service: RawSocketService,
        transport: asyncio.Transport,
        serializer: Serializer,
        wire_format: RawSocketFormat,
        limit_bytes: int,
        facts: ConnectionFacts,
    ) -> None:
        super().__init__(service, transport, serializer.decode, wire_format, facts)
        self._longest_frame_bytes = HEAD_BYTES + limit_bytes
        self._reader = FrameReader(service.limit_bytes)

    # Reading.

    def data_received(self, data: bytes) -> None:
        """Take the next piece of the stream."""
        if self._closing:
            return
        try:
            for kind, payload in self._reader.read(data):
                if kind == MESSAGE:
                    self.heard = True
                    self._on_message(payload)
                else:
                    self._on_other_frame(HEAD_BYTES + len(payload))
                    if kind == PING:
                        self.heard = True
                        self._answer_ping(payload)
                    else:
                        self._service.hear_pong(self, payload)
                if self._closing:
                    return
            if self._reader.is_within_frame:
                self.heard = True
        except RawSocketViolation as violation:
            self._service.counters.violations += 1
            self._session.violate(ProtocolViolation(str(violation)))

    def _answer_ping(self, payload: bytes) -> None:
        # "the peer MUST reply with exactly one PONG", so a client must not ask for one it does not take.
        pong = frame(PONG, payload)
        if len(pong) > self._longest_frame_bytes:
            raise RawSocketViolation("a PING is longer than the PONG may be")
        self._pong(pong)

    def eof_received(self) -> bool:
        """Take note that the peer has closed its side."""
        self.end(End.DONE)
        return self._stays_open_to_write()

    # Writing.

    def send(self, message: Message) -> None:
        """Send `message` at the end of this turn.

        Raises:
            PayloadTooLong: the client does not take so much.
            PayloadError: its format cannot express it.
        """
        finished = self.wire_format.frame(message)
        if len(finished) > self._longest_frame_bytes:
            self._service.counters.messages_too_long += 1
            if isinstance(message, _FROM_SOMEBODY):
                limit = self._longest_frame_bytes - HEAD_BYTES
                raise PayloadTooLong(f"the receiver takes messages of at most {limit} octets")
            self._send_at_least(message)
        else:
            self._enqueue(finished)

    def _send_at_least(self, message: Message) -> None:
        """Send what matters of a message that is too long; without it the client would wait for ever."""
        shorter: Message | None = None
        if isinstance(message, Error):
            shorter = Error(message.request_type, message.request, {}, message.error)
        elif isinstance(message, Abort):
            shorter = Abort(CloseDetails(), message.reason)
        finished = self.wire_format.frame(shorter) if shorter is not None else b""
        if finished and len(finished) <= self._longest_frame_bytes:
            self._enqueue(finished)
        else:
            # Not now: the session is in the middle of something.
            self._service.loop.call_soon(self.end, End.LIMIT_TOO_SMALL)

    def flush(self) -> int:
        """Write all that waits as one piece; events that are longer than the client takes are dropped."""
        outbox = self.outbox
        if outbox and max(map(len, outbox)) > self._longest_frame_bytes:
            fitting = [finished for finished in outbox if len(finished) <= self._longest_frame_bytes]
            self._service.counters.messages_too_long += len(outbox) - len(fitting)
            outbox[:] = fitting
        return super().flush()

    # The end.

    def end(self, why: End) -> None:
        """Say ABORT where the session has not said its own last word, and close this side."""
        if self._closing:
            return
        reason = _ABORT_REASONS.get(why)
        farewell = b""
        if reason is not None:
            abort = self.wire_format.frame(Abort(CloseDetails(message=why.value), reason))
            farewell = abort if len(abort) <= self._longest_frame_bytes else b""
        self._end(farewell)
        self._at_end(lambda: close_this_side(self._transport))

    def ping(self) -> None:
        """Ask whether the peer is there; whatever it sends next is an answer, but for another pong."""
        if not self._closing:
            self._write_control(frame(PING, self._service.ping_payload(self)))

    def _on_close(self, code: int) -> None:
        """Nothing to do: RawSocket has no message that closes."""

    def connection_lost(self, _error: Exception | None) -> None:
        """Take note that the socket is gone."""
        self._gone()
