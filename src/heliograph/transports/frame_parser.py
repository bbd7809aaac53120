"""Cutting frames out of what comes: the one place that knows picows.

picows unmasks frames, too. It is given a transport that swallows its handshake, and hands the CLOSE it answers bad
frames with to the connection, so nothing overtakes what was sent before. Its protocol object is semi-private:
`tests/transports/test_picows_canary.py` fails when a new version changes it.

A parser weighs 5 KiB and takes a handshake to make. Most connections are silent most of the time, and what is read
ends most of the time where a frame does; so a connection has a parser only while it reads, and longer when a part of
a frame is left in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from picows import WSFrame, WSListener, WSTransport
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]  # not in its stub

_LOG = logging.getLogger(__name__)

READ_BYTES = 16 * 1024
"""Most that is read at once, and with it what was read and not handled when reading pauses: no more than one largest
message and twice this, and the connection's `HELD_BYTES`."""

BUFFER_BYTES = 4 * READ_BYTES
"""What a parser starts with, and the most a connection takes that stops within a small frame. A larger one makes it
grow: picows doubles a buffer that is nearly full and never gives any back."""

SPARE_PARSERS = 8
"""Parsers that are kept for the next connections that read."""

_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class FrameReader(Protocol):
    """A connection, as its parser sees it."""

    def on_ws_frame(self, _parser: WSTransport, frame: WSFrame) -> None:
        """Take one frame, which is gone afterwards."""

    def on_bad_frame(self, code: int, reason: str) -> None:
        """Take note that the parser cannot go on."""

    def abort(self) -> None:
        """Drop the connection."""


class FrameParser(WSListener):
    """Hands frames to the connection that has it at the time.

    Args:
        max_frame_bytes: the largest frame taken.
    """

    __slots__ = (
        "_first_room", "_is_broken", "_protocol", "_room_of", "_size", "is_grown", "is_idle", "on_ws_frame", "reader",
        "room",
    )  # fmt: skip

    reader: FrameReader | None
    # An attribute, not a method: picows calls what it finds by this name, and so the connection without a detour.
    on_ws_frame: Callable[[WSTransport, WSFrame], None] | None  # type: ignore[assignment]  # see above

    def __init__(self, max_frame_bytes: int) -> None:
        self.reader = None
        self.on_ws_frame = None
        self._is_broken = False
        self._protocol = self._past_handshake(max_frame_bytes)
        self._room_of: Callable[[int], memoryview] = self._protocol.get_buffer
        # Of its buffer; all of it is room as long as nothing is in it.
        whole = self._room_of(-1)
        self._size = len(whole)
        self._first_room: memoryview = whole[:READ_BYTES]
        self.room: memoryview = self._first_room
        """Where to put what comes next."""
        self.is_grown = False
        """Whether it holds more memory than a new one, for good."""
        self.is_idle = True
        """Whether nothing is left in it, and any frame may follow."""

    def _past_handshake(self, max_frame_bytes: int) -> Any:
        transport = _ParserTransport(self)
        protocol = WSProtocol(
            None,  # host and port: those of a client
            None,  # path: likewise
            False,  # noqa: FBT003 - the server's side; the parameters are positional only
            lambda _request: self,
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
            BUFFER_BYTES,
        )
        protocol.connection_made(transport)
        protocol.get_buffer(-1)[: len(_UPGRADE)] = _UPGRADE
        protocol.buffer_updated(len(_UPGRADE))
        transport.handshake_done()
        return protocol

    def read(self, size: int) -> bool:
        """Cut frames out of `size` bytes that were put into the room; return `is_idle`."""
        self._protocol.buffer_updated(size)
        room = self._room_of(-1)
        free = len(room)
        if free > self._size:
            self._size *= 2
            self.is_grown = True
        self.is_idle = (
            free == self._size
            and not self._is_broken
            # Who has read CLOSE knows that nothing may follow.
            and self._protocol.transport.close_handshake is None
        )
        if self.is_idle and not self.is_grown:
            self.room = self._first_room
        else:
            # A byte is left over, so that what is room afterwards tells whether the buffer has grown.
            self.room = room[: min(free - 1, READ_BYTES)]
        return self.is_idle

    def discard(self) -> None:
        """Give the memory back at once: it and its protocol hold each other, and a buffer may have MiB."""
        self._protocol = None
        self._room_of = _no_room
        self._first_room = self.room = _NO_ROOM

    def on_bad_frame(self, code: int, reason: str) -> None:
        """Take note that picows has read something that is no frame a client may send."""
        self._is_broken = True
        if self.reader is not None:
            self.reader.on_bad_frame(code, reason)

    def abort(self) -> None:
        """Drop the connection: the parser has failed."""
        if self.reader is not None:
            self.reader.abort()


class FrameParsers:
    """The parsers of one endpoint.

    Args:
        max_frame_bytes: the largest frame taken.
    """

    def __init__(self, max_frame_bytes: int) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._spare: list[FrameParser] = []

    def lend(self, reader: FrameReader) -> FrameParser:
        """Return a parser that hands what it reads to `reader`."""
        parser = self._spare.pop() if self._spare else FrameParser(self._max_frame_bytes)
        parser.reader = reader
        parser.on_ws_frame = reader.on_ws_frame
        return parser

    def take_back(self, parser: FrameParser) -> None:
        """Keep a parser for others, if they can use it."""
        parser.reader = parser.on_ws_frame = None
        if parser.is_idle and not parser.is_grown and len(self._spare) < SPARE_PARSERS:
            self._spare.append(parser)
        else:
            parser.discard()


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

    __slots__ = ("_in_handshake", "_parser")

    def __init__(self, parser: FrameParser) -> None:
        self._parser = parser
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
            self._parser.on_bad_frame(
                int.from_bytes(data[2:4], "big"), bytes(data[4:]).decode(errors="replace")
            )

    def close(self) -> None:
        """Leave closing to the connection, whose timer is shorter than the parser's."""

    def abort(self) -> None:
        self._parser.abort()


def _no_room(_size_hint: int) -> memoryview:
    raise RuntimeError("a parser that was discarded is asked to read")


_NO_ROOM = memoryview(b"")
_PARSER_LOG = _ParserLog()
_SOCKET = _ParserSocket()
