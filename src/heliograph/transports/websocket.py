"""WAMP over WebSocket: the one place that knows picows.

picows cuts frames out of the byte stream and unmasks them; it is given a transport that swallows its handshake and
hands the CLOSE it answers bad frames with to the connection, so nothing overtakes what was sent before. Its protocol
object is semi-private: `tests/transports/test_picows_canary.py` fails when a new version changes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from picows import WSFrame, WSListener, WSTransport
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]  # not in its stub

from heliograph.routing.session import Session, State
from heliograph.transports.turn import BYTES_A_UNIT
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Message
from heliograph.wire.serializers.serializer import Serializer
from heliograph.wire.websocket import (
    BINARY,
    CLOSE,
    CLOSE_GOING_AWAY,
    CLOSE_INTERNAL_ERROR,
    CLOSE_NORMAL,
    CLOSE_POLICY_VIOLATION,
    CLOSE_PROTOCOL_ERROR,
    PING,
    PONG,
    TEXT,
    MessageReader,
    WebSocketViolation,
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
was read and not handled when reading pauses: no more than one largest message and twice this, and `HELD_BYTES`."""

HELD_BYTES = 64 * 1024
"""Bytes of messages that are read behind one that waits for a decision; then reading pauses. Until then the end of the
connection is noticed, and pongs are heard, however long the decision takes."""

LARGE_BYTES = 32 * 1024
"""After a frame of this size, or with as much behind one, the parser is replaced by a fresh one as soon as its buffer
is empty: 20 idle connections that had once sent 4 MiB held 84 MiB."""

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
        "_is_held",
        "_is_in_rotation",
        "_is_parser_large",
        "_is_paused",
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
        self._session = Session(service.router, self, service.options)
        # Messages that were read and not handled, and at the end perhaps the code of a CLOSE.
        self._backlog: deque[bytes | int] | None = None
        self._backlog_bytes = 0
        self._is_held = False
        self._is_paused = False
        self._is_in_rotation = False
        self._is_parser_large = False
        self._closing = False
        self._close_timer: asyncio.TimerHandle | None = None
        self._hello_timer: asyncio.TimerHandle | None = None
        self.heard = True
        self._await_hello()

    def start(self, early: bytes) -> None:
        """Read frames from now on, beginning with `early`, which came with the handshake."""
        self._is_parser_large = len(early) > LARGE_BYTES
        parser = self._renew_parser(buffer_bytes=READ_BUFFER_BYTES + len(early))
        _feed(parser, early)

    def _renew_parser(self, *, buffer_bytes: int = READ_BUFFER_BYTES) -> Any:
        """Let a fresh parser, whose buffer is small again, read what comes."""
        parser = _new_parser(
            self, self._transport, self._service.options.options.max_message_bytes, buffer_bytes
        )
        self._transport.set_protocol(parser)
        return parser

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

    def hold(self) -> None:
        """Keep what comes until `release`."""
        self._is_held = True
        if self._backlog is None:
            self._backlog = deque()
        self._pause_or_resume()

    def release(self) -> None:
        """Handle what has come, from the next turn on."""
        self._is_held = False
        self._pause_or_resume()
        self._join_rotation()

    # Reading.

    def on_ws_frame(self, _parser: WSTransport, frame: WSFrame) -> None:
        """Take one frame from the parser."""
        self.heard = True
        opcode = frame.msg_type.value
        payload = frame.get_payload_as_bytes()
        if len(payload) > LARGE_BYTES or frame.tail_size > LARGE_BYTES:
            self._is_parser_large = True
        try:
            reserved = bool(frame.rsv1 or frame.rsv2 or frame.rsv3)
            if opcode >= CLOSE:
                self._on_control_frame(opcode, payload, reserved=reserved)
            elif not self._closing:
                message = self._reader.read(opcode, payload, fin=frame.fin, reserved=reserved)
                if message is not None:
                    self._on_message(message)
        except WebSocketViolation as violation:
            self._violate(violation.close_code, violation.reason)
        if self._is_parser_large and frame.last_in_buffer and not frame.tail_size:
            self._is_parser_large = False
            self._renew_parser()

    def _on_control_frame(self, opcode: int, payload: bytes, *, reserved: bool) -> None:
        if reserved:
            raise WebSocketViolation(
                CLOSE_PROTOCOL_ERROR, "a reserved bit is set, no extension was negotiated"
            )
        if opcode == PING:
            # A pong may overtake what waits: it answers the transport, not the session.
            if not self._closing:
                self._transport.write(server_frame(PONG, payload))
                self._drop_if_too_much_waits(0)
        elif opcode == CLOSE:
            code = read_close_code(payload)
            if self._backlog is not None and not self._closing:
                self._backlog.append(code)
            else:
                self._on_close(code)

    def _on_close(self, code: int) -> None:
        """Answer the peer's CLOSE, which may be the answer to ours, and close."""
        self.close_with(code)
        self._transport.close()

    def on_bad_frame(self, code: int, reason: str) -> None:
        """Take note that the parser cannot go on; it has read something that is no frame a client may send."""
        self._violate(code, reason)
        # The parser would keep whatever else comes, and see no CLOSE in it.
        self._transport.set_protocol(_Deaf(self))
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def _violate(self, code: int, reason: str) -> None:
        if not self._closing:
            self._service.counters.violations += 1
            self.close_with(code, reason)

    def on_end_of_input(self) -> bool:
        """Take note that the peer has closed its side; return whether the transport stays open for a while."""
        if self._backlog and isinstance(self._backlog[-1], int):
            # It has said CLOSE: what it said before counts, and has its turn.
            return True
        self.close_with(CLOSE_NORMAL)
        return False

    def _on_message(self, data: bytes) -> None:
        counters = self._service.counters
        counters.messages_received += 1
        counters.bytes_received += len(data)
        turn = self._service.turn
        if self._backlog is None and not turn.is_exhausted:
            self._handle(data)
            return
        if self._backlog is None:
            self._backlog = deque()
        self._backlog.append(data)
        self._backlog_bytes += len(data)
        self._pause_or_resume()
        if not self._is_held:
            self._join_rotation()

    def _pause_or_resume(self) -> None:
        """Read on unless there is a backlog; behind a message that waits for a decision, as long as it is small."""
        is_much = not self._is_held or self._backlog_bytes > HELD_BYTES
        should_pause = self._backlog is not None and is_much
        if should_pause is self._is_paused or self._transport.is_closing():
            return
        self._is_paused = should_pause
        if should_pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _join_rotation(self) -> None:
        if not self._is_in_rotation:
            self._is_in_rotation = True
            self._service.turn.wait(self)

    def handle_next(self) -> bool:
        """Handle the first message of the backlog; return whether more wait."""
        if self._is_held and not self._closing:
            self._is_in_rotation = False
            return False
        backlog = self._backlog
        if backlog and not self._closing:
            item = backlog.popleft()
            if isinstance(item, bytes):
                self._backlog_bytes -= len(item)
                self._handle(item)
            else:
                self._on_close(item)
        if backlog and not self._closing:
            return True
        self._is_in_rotation = False
        if self._is_held and not self._closing:
            return False
        self._backlog = None
        self._backlog_bytes = 0
        self._pause_or_resume()
        return False

    def _handle(self, data: bytes) -> None:
        self._service.turn.spend(1 + len(data) // BYTES_A_UNIT)
        try:
            self._session.receive(self._decode(data))
        except ProtocolViolation as violation:
            self._session.violate(violation)
        except Exception:  # noqa: BLE001 - logged
            # Neither refusal nor violation: a defect of ours, which must not cost anybody else anything.
            self._service.counters.defects += 1
            _LOG.exception("a session ends because the router failed")
            self.close_with(CLOSE_INTERNAL_ERROR, "the router failed; its log says where")
        if self._hello_timer is not None and self._session.state is State.ESTABLISHED:
            self._stop_hello_timer()

    # Writing.

    def _enqueue(self, frame: bytes) -> None:
        if self._closing:
            return
        if not self.outbox:
            self._service.turn.flush_at_end(self)
        self.outbox.append(frame)
        # One small request may be answered with much: retained events, history.
        self._service.turn.spend(len(frame) // BYTES_A_UNIT)

    def flush(self) -> None:
        """Write all that waits as one piece, unless it is too much for this receiver."""
        outbox = self.outbox
        if not outbox:
            return
        if self._closing or self._transport.is_closing():
            # Nothing may follow CLOSE.
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
        self.close_with(
            CLOSE_POLICY_VIOLATION, "more waits for this connection than it may hold: read faster"
        )
        return True

    # The end.

    def close_with(self, code: int, reason: str = "") -> None:
        """End the session, flush, send CLOSE, and drop the connection if the peer does not close it in time."""
        self.flush()
        if self._closing:
            return
        self._closing = True
        self._stop_hello_timer()
        self._close_timer = self._service.loop.call_later(
            self._service.options.options.close_timeout_s, self._transport.abort
        )
        if not self._transport.is_closing():
            self._transport.write(close_frame(code, reason))
        self._session.lost()

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

    def on_ws_disconnected(self, _parser: WSTransport | None) -> None:
        """Take note that the socket is gone."""
        self._closing = True
        self._stop_hello_timer()
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        self.outbox.clear()
        self._service.forget(self)
        self._session.lost()

    def pause_writing(self) -> None:
        """Nothing to do: the outbox's limit decides when a receiver is too slow."""

    def resume_writing(self) -> None:
        """Nothing to do, as above."""

    def _await_hello(self) -> None:
        self._hello_timer = self._service.loop.call_later(
            self._service.options.hello.hello_timeout_s, self._on_hello_timeout
        )

    def _stop_hello_timer(self) -> None:
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None

    def _on_hello_timeout(self) -> None:
        self._hello_timer = None
        self._service.counters.hello_timeouts += 1
        self._session.violate(
            ProtocolViolation(f"no HELLO within {self._service.options.hello.hello_timeout_s:g} seconds")
        )


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
