"""RawSocket's handshake and frames, without I/O (specification, "RawSocket Transport")."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping

from msgspec import Struct

MAGIC = 0x7F
"""The first octet, "chosen to avoid any possible collision with the first octet of a valid HTTP request"."""

HANDSHAKE_BYTES = 4
HEAD_BYTES = 4

MESSAGE = 0
PING = 1
PONG = 2

SMALLEST_LIMIT_BYTES = 2**9
LARGEST_MESSAGE_BYTES = 2**24

SERIALIZER_IDS: Mapping[str, int] = {"json": 1, "msgpack": 2, "cbor": 3}

_SERIALIZER_NAMES = {number: name for name, number in SERIALIZER_IDS.items()}
_SMALLEST_EXPONENT = 9
_RESERVED_BITS = 0xF0
_LENGTH_EXTENSION = 0x08
_KIND_BITS = 0x07


class HandshakeError(enum.IntEnum):
    """The error octets of a handshake."""

    SERIALIZER_UNSUPPORTED = 1
    LENGTH_UNACCEPTABLE = 2
    RESERVED_BITS_USED = 3
    TOO_MANY_CONNECTIONS = 4


class HandshakeRefused(Exception):  # noqa: N818 - says what happened
    """A client's handshake that is answered with an error.

    Args:
        error: which.
    """

    def __init__(self, error: HandshakeError) -> None:
        super().__init__(error)
        self.error = error


class RawSocketViolation(Exception):  # noqa: N818 - named as WAMP's ProtocolViolation is
    """The peer sent something that is no RawSocket; the text is for its developer."""


class Handshake(Struct, frozen=True):
    """What a client asks for.

    Attributes:
        serializer: the format it speaks.
        limit_bytes: the longest message it takes.
    """

    serializer: str
    limit_bytes: int


def limit_exponent(limit_bytes: int) -> int:
    """Return the four bits that announce the largest limit of RawSocket's that is not above `limit_bytes`."""
    return min(max(limit_bytes.bit_length() - 1, _SMALLEST_EXPONENT), 24) - _SMALLEST_EXPONENT


def announced_limit(exponent: int) -> int:
    """Return the bytes that four bits announce."""
    return int(2 ** (exponent + _SMALLEST_EXPONENT))


def handshake(serializer: str, limit_bytes: int) -> bytes:
    """Return a handshake, of either side: the router answers with the client's serializer and its own limit."""
    return bytes((MAGIC, limit_exponent(limit_bytes) << 4 | SERIALIZER_IDS[serializer], 0, 0))


def handshake_error(error: HandshakeError) -> bytes:
    """Return the router's answer to a handshake it refuses."""
    return bytes((MAGIC, error << 4, 0, 0))


def read_handshake(octets: bytes) -> Handshake:
    """Return what a client asks for.

    Args:
        octets: its first four, of which the first is `MAGIC`.

    Raises:
        HandshakeRefused: the answer is an error.
    """
    _, choices, third, fourth = octets
    name = _SERIALIZER_NAMES.get(choices & 0x0F)
    if name is None:
        raise HandshakeRefused(HandshakeError.SERIALIZER_UNSUPPORTED)
    # "Octets 3 and 4 are reserved and MUST be all zeros for now."
    if third or fourth:
        raise HandshakeRefused(HandshakeError.RESERVED_BITS_USED)
    return Handshake(name, announced_limit(choices >> 4))


def frame(kind: int, payload: bytes) -> bytes:
    """Return a frame.

    Args:
        kind: MESSAGE, PING or PONG.
        payload: at most `LARGEST_MESSAGE_BYTES`.
    """
    length = len(payload)
    if length == LARGEST_MESSAGE_BYTES:
        return bytes((_LENGTH_EXTENSION | kind, 0, 0, 0)) + payload
    return (kind << 24 | length).to_bytes(HEAD_BYTES, "big") + payload


class FrameReader:
    """Cuts frames out of the byte stream of one connection.

    Args:
        limit_bytes: what was announced as the longest message taken.
    """

    __slots__ = ("_limit_bytes", "_partial", "_wanted_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._partial: bytearray | None = None
        self._wanted_bytes = 0

    @property
    def is_within_frame(self) -> bool:
        """Whether a frame has begun and the rest of it is to come."""
        return self._partial is not None

    def read(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Take the next piece of the stream and return kind and payload of each frame it completes.

        Raises:
            RawSocketViolation: behind the frames that were right; nothing can be read after it.
        """
        if self._partial is not None:
            self._partial += data
            if len(self._partial) < self._wanted_bytes:
                return
            data = bytes(self._partial)
            self._partial = None
        start, size = 0, len(data)
        self._wanted_bytes = HEAD_BYTES
        while size - start >= HEAD_BYTES:
            kind, length = self._read_head(data, start)
            end = start + HEAD_BYTES + length
            if end > size:
                self._wanted_bytes = HEAD_BYTES + length
                break
            yield kind, data[start + HEAD_BYTES : end]
            start = end
        if start < size:
            self._partial = bytearray(data[start:])

    def _read_head(self, data: bytes, start: int) -> tuple[int, int]:
        first = data[start]
        # "The bits RRRR are reserved for future use and MUST be set to 0"
        if first & _RESERVED_BITS:
            raise RawSocketViolation("a reserved bit of a frame is set")
        kind = first & _KIND_BITS
        if kind > PONG:
            raise RawSocketViolation(f"frames of type {kind} are reserved")
        length = int.from_bytes(data[start + 1 : start + HEAD_BYTES], "big")
        if first & _LENGTH_EXTENSION:
            # With no other bit of the length it stands for exactly 2^24.
            length |= LARGEST_MESSAGE_BYTES
        if length > self._limit_bytes:
            raise RawSocketViolation(
                f"a frame of {length} octets is longer than the announced {self._limit_bytes}"
            )
        return kind, length
