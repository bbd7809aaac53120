"""WAMP over WebSocket: the one place that knows picows.

picows cuts frames out of the byte stream and unmasks them; it is given a transport that swallows its handshake and
puts whatever else it writes into our outbox, so nothing overtakes what was sent before. Its protocol object is
semi-private: `tests/transports/test_picows_canary.py` fails when a new version changes it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from picows import WSFrame, WSListener, WSTransport
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]  # not in its stub

from heliograph.routing.session import Session, State
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Message
from heliograph.wire.serializers.serializer import Serializer
from heliograph.wire.websocket import (
    BINARY,
    CLOSE,
    CLOSE_GOING_AWAY,
    CLOSE_NO_STATUS,
    CLOSE_NORMAL,
    CLOSE_POLICY_VIOLATION,
    PING,
    PONG,
    TEXT,
    MessageReader,
    WebSocketViolation,
    close_frame,
    server_frame,
)

if TYPE_CHECKING:
    from heliograph.transports.websocket_service import WebSocketService

READ_BUFFER_BYTES = 2048
"""What a connection starts with; picows doubles it as needed and never gives any back."""

LARGE_FRAME_BYTES = 32 * 1024
"""After a frame of this size the parser is replaced by a fresh one: 20 idle connections that had once sent 4 MiB held
84 MiB."""

BACKLOG_LIMIT_BYTES = 4 * 1024 * 1024
"""Messages of one connection that were read but not handled; reading pauses with the first of them, so only what had
been read by then can pile up."""

_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class WebSocketFormat:
    """A serializer whose messages travel in WebSocket frames."""

    def __init__(self, serializer: Serializer) -> None:
        self._encode = serializer.encode
        self._opcode = BINARY if serializer.is_binary else TEXT

    def frame(self, message: Message) -> bytes:
        """Return `message` as a finished frame; raises `PayloadError`."""
        return server_frame(self._opcode, self._encode(message))


class WebSocketConnection(WSListener):
    """One WebSocket connection, the peer of one session.

    Args:
        service: the endpoint it came in on; shared limits, counters and the current turn.
        transport: the socket, after the handshake.
        serializer: the one negotiated.
        wire_format: that serializer in frames.
    """

    __slots__ = (
        "_backlog",
        "_backlog_bytes",
        "_close_timer",
        "_closing",
        "_decode",
        "_hello_timer",
        "_reader",
        "_service",
        "_session",
        "_transport",
        "heard",
        "outbox",
        "wire_format",
    )

    def __init__(
        self,
        service: WebSocketService,
        transport: asyncio.Transport,
        serializer: Serializer,
        wire_format: WebSocketFormat,
    ) -> None:
        self._service = service
        self._transport = transport
        self._decode = serializer.decode
        self._reader = MessageReader(
            BINARY if serializer.is_binary else TEXT, service.options.options.max_message_bytes
        )
        self.wire_format = wire_format
        self.outbox: list[bytes] = []
        self._session = Session(service.router, self)
        self._backlog: deque[bytes] | None = None
        self._backlog_bytes = 0
        self._closing = False
        self._close_timer: asyncio.TimerHandle | None = None
        self._hello_timer: asyncio.TimerHandle | None = None
        self.heard = True
        self._await_hello()

    def start(self, early: bytes) -> None:
        """Read frames from now on, beginning with `early`, which came with the handshake."""
        parser = _new_parser(self, self._transport, self._service.options.options.max_message_bytes)
        self._transport.set_protocol(parser)
        _feed(parser, early)

    # What routing asks of a peer.

    def send(self, message: Message) -> None:
        """Send `message` at the end of this turn."""
        self._enqueue(self.wire_format.frame(message))

    def close(self) -> None:
        """Say CLOSE after all that was sent before."""
        self.close_with(CLOSE_NORMAL)

    def left(self) -> None:
        """Expect another HELLO, for a while."""
        self._await_hello()

    # Reading.

    def on_ws_frame(self, _parser: WSTransport, frame: WSFrame) -> None:
        """Take one frame from the parser."""
        self.heard = True
        opcode = frame.msg_type.value
        if opcode in (PING, PONG, CLOSE):
            self._on_control_frame(opcode, frame)
            return
        if self._closing:
            return
        payload = frame.get_payload_as_bytes()
        try:
            message = self._reader.read(
                opcode, payload, fin=frame.fin, reserved=bool(frame.rsv1 or frame.rsv2 or frame.rsv3)
            )
        except WebSocketViolation as violation:
            self._service.counters.violations += 1
            self.close_with(violation.close_code, violation.reason)
            return
        if message is not None:
            self._on_message(message)
        if len(payload) > LARGE_FRAME_BYTES and frame.last_in_buffer and frame.tail_size == 0:
            self._transport.set_protocol(
                _new_parser(self, self._transport, self._service.options.options.max_message_bytes)
            )

    def _on_control_frame(self, opcode: int, frame: WSFrame) -> None:
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close_with(1002, "a reserved bit is set, no extension was negotiated")
        elif opcode == PING:
            # A pong may overtake what waits: it answers the transport, not the session.
            if not self._closing:
                self._transport.write(server_frame(PONG, frame.get_payload_as_bytes()))
                self._drop_if_too_much_waits(0)
        elif opcode == CLOSE:
            code = frame.get_close_code().value or CLOSE_NO_STATUS
            self.close_with(code)
            self._session_lost()
            self._transport.close()

    def _on_message(self, data: bytes) -> None:
        counters = self._service.counters
        counters.messages_received += 1
        counters.bytes_received += len(data)
        turn = self._service.turn
        if self._backlog is None and not turn.is_exhausted:
            turn.spend(1)
            self._handle(data)
            return
        if self._backlog is None:
            self._backlog = deque()
            self._transport.pause_reading()
            turn.wait(self)
        self._backlog.append(data)
        self._backlog_bytes += len(data)
        if self._backlog_bytes > BACKLOG_LIMIT_BYTES:
            self._violate(ProtocolViolation("more was sent in one go than this router keeps waiting"))

    def handle_next(self) -> bool:
        """Handle the first message of the backlog; return whether more wait."""
        backlog = self._backlog
        if not backlog or self._closing:
            self._resume()
            return False
        data = backlog.popleft()
        self._backlog_bytes -= len(data)
        self._service.turn.spend(1)
        self._handle(data)
        if not backlog:
            self._resume()
        return bool(backlog)

    def _resume(self) -> None:
        self._backlog = None
        self._backlog_bytes = 0
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _handle(self, data: bytes) -> None:
        try:
            message = self._decode(data)
        except ProtocolViolation as violation:
            self._violate(violation)
            return
        self._session.receive(message)
        if self._hello_timer is not None and self._session.state is State.ESTABLISHED:
            self._hello_timer.cancel()
            self._hello_timer = None

    def _violate(self, violation: ProtocolViolation) -> None:
        self._session.violate(violation)

    # Writing.

    def _enqueue(self, frame: bytes) -> None:
        if self._closing:
            return
        if not self.outbox:
            self._service.turn.flush_at_end(self)
        self.outbox.append(frame)

    def flush(self) -> None:
        """Write all that waits as one piece, unless it is too much for this receiver."""
        outbox = self.outbox
        if not outbox:
            return
        if self._transport.is_closing():
            outbox.clear()
            return
        data = outbox[0] if len(outbox) == 1 else b"".join(outbox)
        if self._drop_if_too_much_waits(len(data)):
            return
        counters = self._service.counters
        counters.frames_sent += len(outbox)
        counters.bytes_sent += len(data)
        outbox.clear()
        self._transport.write(data)

    def _drop_if_too_much_waits(self, more: int) -> bool:
        """Disconnect a receiver that has not taken earlier turns' bytes and would now hold too many."""
        waiting = self._transport.get_write_buffer_size()
        if not waiting or waiting + more <= self._service.options.outbox.limit_bytes:
            return False
        counters = self._service.counters
        counters.slow_receivers += 1
        counters.frames_dropped += len(self.outbox)
        self.outbox.clear()
        self._session_lost()
        self.close_with(
            CLOSE_POLICY_VIOLATION, "more waits for this connection than it may hold: read faster"
        )
        return True

    # The end.

    def close_with(self, code: int, reason: str = "") -> None:
        """Flush, send CLOSE, and drop the connection if the peer does not close it in time."""
        if self._closing:
            return
        self.flush()
        self._closing = True
        if not self._transport.is_closing():
            self._transport.write(close_frame(code, reason))
            self._close_timer = self._service.loop.call_later(
                self._service.options.options.close_timeout_s, self._transport.abort
            )

    def shut_down(self) -> None:
        """End the session because the router stops; the connection ends with it."""
        if self._session.state is State.ESTABLISHED:
            self._session.shut_down()
        else:
            self.close_with(CLOSE_GOING_AWAY)

    def abort(self) -> None:
        """Drop the connection without another word."""
        self._transport.abort()

    def ping(self) -> None:
        """Ask whether the peer is there; whatever it sends next is an answer."""
        if not self._closing:
            self._transport.write(server_frame(PING, b""))

    def on_ws_disconnected(self, _parser: WSTransport) -> None:
        """Take note that the socket is gone."""
        for timer in (self._close_timer, self._hello_timer):
            if timer is not None:
                timer.cancel()
        self._hello_timer = self._close_timer = None
        self._closing = True
        self.outbox.clear()
        self._session_lost()
        self._service.forget(self)

    def pause_writing(self) -> None:
        """Nothing to do: the outbox's limit decides when a receiver is too slow."""

    def resume_writing(self) -> None:
        """Nothing to do, as above."""

    def _session_lost(self) -> None:
        self._session.lost()

    def _await_hello(self) -> None:
        self._hello_timer = self._service.loop.call_later(
            self._service.options.hello.hello_timeout_s, self._on_hello_timeout
        )

    def _on_hello_timeout(self) -> None:
        self._hello_timer = None
        self._service.counters.hello_timeouts += 1
        self._violate(
            ProtocolViolation(f"no HELLO within {self._service.options.hello.hello_timeout_s:g} seconds")
        )


class _Silence:
    """A logger that says nothing: picows would otherwise make one for each connection."""

    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802 - the name in `logging`
        return False

    def debug(self, *_: object) -> None: ...

    info = warning = error = exception = log = debug


class _ParserSocket:
    """What picows wants to know of a socket; ours may be one on which TCP options cannot be set."""

    def setsockopt(self, *_: object) -> None: ...

    def getsockopt(self, *_: object) -> int:
        return 0

    def fileno(self) -> int:
        return -1


class _ParserTransport:
    """The transport picows is given: it swallows the handshake and passes on CLOSE frames of the parser's own."""

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
        if not self._in_handshake:
            code = int.from_bytes(data[2:4], "big") if len(data) >= 4 else CLOSE_NO_STATUS
            self._connection.close_with(code, bytes(data[4:]).decode(errors="replace"))

    def close(self) -> None:
        """Leave closing to the connection, whose timer is shorter than the parser's."""

    def abort(self) -> None:
        self._transport.abort()


_SILENCE = _Silence()
_SOCKET = _ParserSocket()


def _new_parser(connection: WebSocketConnection, transport: asyncio.Transport, max_frame_bytes: int) -> Any:
    """Return a picows protocol that is past its handshake and hands frames to `connection`."""
    parser_transport = _ParserTransport(connection, transport)
    parser = WSProtocol(
        None,  # host and port: those of a client
        None,  # path: likewise
        False,  # noqa: FBT003 - the server's side; the parameters are positional only
        lambda _request: connection,
        _SILENCE,
        True,  # noqa: FBT003 - disconnect when a listener raises, which is a defect of ours
        None,  # no handshake timeout
        False,  # noqa: FBT003 - no pings of its own: one task a connection
        None,
        None,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # noqa: FBT003 - no pongs of its own: they would escape the outbox's limit
        max_frame_bytes,
        None,
        READ_BUFFER_BYTES,
    )
    parser.connection_made(parser_transport)
    _feed(parser, _UPGRADE)
    parser_transport.handshake_done()
    return parser


def _feed(parser: Any, data: bytes) -> None:
    position = 0
    while position < len(data):
        buffer = parser.get_buffer(-1)
        length = min(len(buffer), len(data) - position)
        buffer[:length] = data[position : position + length]
        parser.buffer_updated(length)
        position += length
