"""WebSocket messages and frames, without I/O (RFC 6455).

The frame parser below us (picows) unmasks and cuts frames; what it leaves open is decided here: reserved bits,
continuation order, size of the reassembled message, kind of message.
"""

import base64
import hashlib
import struct

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
_FIN = 0x80
_LONGEST_REASON_BYTES = 123

# 1004 is reserved; 1005, 1006 and 1015 stand for what was never sent (section 7.4.1).
_CLOSE_CODES = frozenset(range(1000, 1015)) - {1004, 1005, 1006}
_PRIVATE_CLOSE_CODES = range(3000, 5000)


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
    return base64.b64encode(hashlib.sha1(key + _ACCEPT_GUID, usedforsecurity=False).digest())


def server_frame(opcode: int, payload: bytes) -> bytes:
    """Return an unfragmented, unmasked frame: 2 to 10 bytes and the payload."""
    length = len(payload)
    if length < 126:
        return bytes((_FIN | opcode, length)) + payload
    if length < 65536:
        return struct.pack("!BBH", _FIN | opcode, 126, length) + payload
    return struct.pack("!BBQ", _FIN | opcode, 127, length) + payload


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
    """

    __slots__ = ("_fragments", "_max_message_bytes", "_opcode")

    def __init__(self, opcode: int, max_message_bytes: int) -> None:
        self._opcode = opcode
        self._max_message_bytes = max_message_bytes
        self._fragments: bytearray | None = None

    def read(self, opcode: int, payload: bytes, *, fin: bool, reserved: bool) -> bytes | None:
        """Take one data frame and return the message it completes, if it does.

        Args:
            opcode: of the frame.
            payload: of the frame, unmasked.
            fin: whether it ends its message.
            reserved: whether one of its reserved bits is set.

        Raises:
            WebSocketViolation: the frame may not stand here.
        """
        if reserved:
            # "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values" (section 5.2)
            raise WebSocketViolation(
                CLOSE_PROTOCOL_ERROR, "a reserved bit is set, no extension was negotiated"
            )
        if opcode == CONTINUATION:
            if self._fragments is None:
                raise WebSocketViolation(CLOSE_PROTOCOL_ERROR, "a continuation without a message to continue")
        elif self._fragments is not None:
            raise WebSocketViolation(CLOSE_PROTOCOL_ERROR, "a new message inside a fragmented one")
        elif opcode != self._opcode:
            kind = "text" if self._opcode == TEXT else "binary"
            raise WebSocketViolation(
                CLOSE_UNSUPPORTED_DATA, f"the negotiated serializer travels in {kind} messages"
            )

        size = len(payload) if self._fragments is None else len(self._fragments) + len(payload)
        if size > self._max_message_bytes:
            raise WebSocketViolation(
                CLOSE_MESSAGE_TOO_BIG, f"a message may have at most {self._max_message_bytes} bytes"
            )
        if not fin or self._fragments is not None:
            # One array, not a list of parts: a million fragments of two bytes would weigh twenty times that.
            if self._fragments is None:
                self._fragments = bytearray()
            self._fragments += payload
            if not fin:
                return None
            payload = bytes(self._fragments)
            self._fragments = None
        if self._opcode == TEXT and not payload.isascii():
            self._check_utf8(payload)
        return payload

    @staticmethod
    def _check_utf8(message: bytes) -> None:
        try:
            message.decode()
        except UnicodeDecodeError as error:
            raise WebSocketViolation(CLOSE_INVALID_TEXT, "a text message must be UTF-8") from error
