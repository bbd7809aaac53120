"""WebSocket messages and frames, without I/O (RFC 6455).

The frame parser below us (picows) unmasks and cuts frames; what it leaves open is decided here: reserved bits,
continuation order, size of the reassembled message, kind of message.
"""

import binascii
import hashlib
import struct
from collections.abc import Iterable, Iterator

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_PROTOCOL_ERROR = 1002
CLOSE_UNSUPPORTED_DATA = 1003
CLOSE_NO_STATUS = 1005
CLOSE_INVALID_TEXT = 1007
CLOSE_POLICY_VIOLATION = 1008
CLOSE_MESSAGE_TOO_BIG = 1009
CLOSE_INTERNAL_ERROR = 1011

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
FIN = 0x80
_RSV1 = 0x40
_LONGEST_REASON_BYTES = 123

# 1004 is reserved; 1005, 1006 and 1015 stand for what was never sent (section 7.4.1).
_CLOSE_CODES = frozenset(range(1000, 1015)) - {1004, 1005, 1006}
_PRIVATE_CLOSE_CODES = range(3000, 5000)

_SHORT_HEAD = struct.Struct("!BB").pack
_MEDIUM_HEAD = struct.Struct("!BBH").pack
_LONG_HEAD = struct.Struct("!BBQ").pack


class WebSocketViolation(Exception):  # noqa: N818 - named as WAMP's ProtocolViolation is
    """The peer broke the WebSocket protocol.

    Args:
        close_code: the code for CLOSE.
        reason: what was wrong, for the peer's developer.
    """

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(close_code, reason)
        self.close_code = close_code
        self.reason = reason


def accept_key(key: bytes) -> bytes:
    """Return the value of `Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key` (section 4.2.2)."""
    # SHA-1 is what the RFC prescribes; nothing is kept secret by it.
    digest = hashlib.sha1(key + _ACCEPT_GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False)


def server_frame(opcode: int, payload: bytes, *, is_compressed: bool = False) -> bytes:
    """Return an unfragmented, unmasked frame: 2 to 10 bytes and the payload.

    Args:
        opcode: of the frame.
        payload: of the frame, already compressed if it is to be.
        is_compressed: whether to say so by the bit of permessage-deflate.
    """
    return frame(FIN | _RSV1 | opcode if is_compressed else FIN | opcode, payload)


def server_message(
    opcode: int, payload: bytes, *, is_compressed: bool = False, fragment_bytes: int | None = None
) -> bytes:
    """Return the frames of one message.

    Args:
        opcode: TEXT or BINARY.
        payload: of the message, already compressed if it is to be.
        is_compressed: whether to say so by the bit of permessage-deflate.
        fragment_bytes: the most a frame's payload may have; None puts the message into one frame.
    """
    if fragment_bytes is None or len(payload) <= fragment_bytes:
        return server_frame(opcode, payload, is_compressed=is_compressed)
    last = len(payload) - 1 - (len(payload) - 1) % fragment_bytes
    frames = [
        frame(CONTINUATION, payload[start : start + fragment_bytes])
        for start in range(fragment_bytes, last, fragment_bytes)
    ]
    # The bit stands on the first fragment only (RFC 7692, section 6.1).
    first = frame(_RSV1 | opcode if is_compressed else opcode, payload[:fragment_bytes])
    return b"".join([first, *frames, frame(FIN | CONTINUATION, payload[last:])])


def compressed_fragments(
    opcode: int, parts: Iterable[bytes], *, fragment_bytes: int | None = None
) -> Iterator[bytes]:
    """Return the frames of one compressed message, made when they are asked for.

    Args:
        opcode: TEXT or BINARY.
        parts: of the message, at least one.
        fragment_bytes: the most a frame's payload may have; None puts each part into one frame.
    """
    # The bit stands on the first fragment only (RFC 7692, section 6.1).
    first_byte = _RSV1 | opcode
    waiting: bytes | None = None
    for part in parts:
        size = fragment_bytes or len(part)
        for start in range(0, len(part), size):
            if waiting is not None:
                yield frame(first_byte, waiting)
                first_byte = CONTINUATION
            waiting = part[start : start + size]
    yield frame(FIN | first_byte, waiting or b"")


def frame(first_byte: int, payload: bytes) -> bytes:
    """Return an unmasked frame: 2 to 10 bytes and the payload.

    Args:
        first_byte: FIN, reserved bits and opcode.
        payload: of the frame.
    """
    length = len(payload)
    if length < 126:
        return _SHORT_HEAD(first_byte, length) + payload
    if length < 65536:
        return _MEDIUM_HEAD(first_byte, 126, length) + payload
    return _LONG_HEAD(first_byte, 127, length) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a CLOSE frame; `CLOSE_NO_STATUS` makes an empty one, a long reason is cut at a character."""
    if code == CLOSE_NO_STATUS:
        return server_frame(CLOSE, b"")
    text = reason.encode()[:_LONGEST_REASON_BYTES].decode(errors="ignore").encode()
    return server_frame(CLOSE, struct.pack("!H", code) + text)


def read_close_code(payload: bytes) -> int:
    """Return the code a CLOSE frame bears, `CLOSE_NO_STATUS` when it bears none.

    Raises:
        WebSocketViolation: nobody may send this code.
    """
    if not payload:
        return CLOSE_NO_STATUS
    code = int.from_bytes(payload[:2], "big")
    if code not in _CLOSE_CODES and code not in _PRIVATE_CLOSE_CODES:
        raise WebSocketViolation(CLOSE_PROTOCOL_ERROR, f"{code} is no code a peer may close with")
    return code


class MessageReader:
    """Puts messages together from the frames of one connection.

    Args:
        opcode: the only kind of message this connection may send, TEXT or BINARY.
        max_message_bytes: the largest message taken.
        may_be_compressed: whether permessage-deflate was negotiated.
    """

    __slots__ = ("_fragments", "_max_message_bytes", "_may_be_compressed", "_opcode", "is_compressed")

    def __init__(self, opcode: int, max_message_bytes: int, *, may_be_compressed: bool = False) -> None:
        self._opcode = opcode
        self._max_message_bytes = max_message_bytes
        self._may_be_compressed = may_be_compressed
        self._fragments: bytearray | None = None
        self.is_compressed = False
        """Whether the message that was read last is compressed; it was put together, not looked into."""

    @property
    def is_within_message(self) -> bool:
        """Whether a message has begun and more of its fragments are to come."""
        return self._fragments is not None

    def read(
        self, opcode: int, payload: bytes, *, fin: bool, reserved: bool, rsv1: bool = False
    ) -> bytes | None:
        """Take one data frame and return the message it completes, if it does.

        Args:
            opcode: of the frame.
            payload: of the frame, unmasked.
            fin: whether it ends its message.
            reserved: whether its bit RSV2 or RSV3 is set.
            rsv1: whether its bit RSV1 is set, which permessage-deflate gives a meaning.

        Raises:
            WebSocketViolation: the frame may not stand here.
        """
        if reserved or (rsv1 and not self._may_be_compressed):
            # "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values" (section 5.2)
            raise WebSocketViolation(CLOSE_PROTOCOL_ERROR, "a reserved bit is set that no extension defines")
        if opcode == CONTINUATION:
            if self._fragments is None:
                raise WebSocketViolation(CLOSE_PROTOCOL_ERROR, "a continuation without a message to continue")
            if rsv1:
                # "An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments
                # of a data message" (RFC 7692, section 6.1)
                raise WebSocketViolation(
                    CLOSE_PROTOCOL_ERROR, "only a message's first frame tells that it is compressed"
                )
        elif self._fragments is not None:
            raise WebSocketViolation(CLOSE_PROTOCOL_ERROR, "a new message inside a fragmented one")
        elif opcode != self._opcode:
            kind = "text" if self._opcode == TEXT else "binary"
            raise WebSocketViolation(
                CLOSE_UNSUPPORTED_DATA, f"the negotiated serializer travels in {kind} messages"
            )
        else:
            self.is_compressed = rsv1

        size = len(payload) if self._fragments is None else len(self._fragments) + len(payload)
        limit = self._max_message_bytes
        if size > limit and size > (most_compressed_bytes(limit) if self.is_compressed else limit):
            raise WebSocketViolation(CLOSE_MESSAGE_TOO_BIG, f"a message may have at most {limit} bytes")
        if not fin or self._fragments is not None:
            # One array, not a list of parts: a million fragments of two bytes would weigh twenty times that.
            if self._fragments is None:
                self._fragments = bytearray()
            self._fragments += payload
            if not fin:
                return None
            payload = bytes(self._fragments)
            self._fragments = None
        if self._opcode == TEXT and not self.is_compressed:
            check_text(payload)
        return payload


def check_text(message: bytes) -> None:
    """Raise `WebSocketViolation` unless `message` is UTF-8, as a text message must be."""
    if message.isascii():
        return
    try:
        message.decode()
    except UnicodeDecodeError as error:
        raise WebSocketViolation(CLOSE_INVALID_TEXT, "a text message must be UTF-8") from error


def most_compressed_bytes(message_bytes: int) -> int:
    """Return how long a message of `message_bytes` may be once it is compressed; some data only grows by it."""
    return message_bytes + message_bytes // 512 + 64
