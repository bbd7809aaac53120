"""Compressed WebSocket messages: the extension permessage-deflate (RFC 7692), without I/O.

A compressor that keeps what it has seen ("context takeover") compresses better and costs its memory for each
connection; one that begins afresh with each message makes the same bytes for every receiver, so an event is compressed
once for all of them.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from heliograph.wire.websocket import (
    CLOSE_INVALID_TEXT,
    CLOSE_MESSAGE_TOO_BIG,
    WebSocketViolation,
)
from heliograph.wire.websocket_extensions import Offer, Parameters

if TYPE_CHECKING:
    # Their names are private in `zlib`, and only there for type checkers.
    from zlib import _Compress, _Decompress

NAME = "permessage-deflate"

LEAST_WINDOW_BITS = 9
"""The smallest window zlib compresses raw data with, though the RFC allows 8."""

MOST_WINDOW_BITS = 15

_LEVEL = zlib.Z_BEST_SPEED
"""Level 6 makes WAMP messages 0 to 5 % smaller than level 1, and takes up to twice the time."""

_TAIL = b"\x00\x00\xff\xff"

_LOOKAHEAD_BYTES = 262
"""What zlib needs of its window besides the data it looks back at."""

_SMALL_BYTES = 4096
_SMALL_MEMORY_LEVEL = 5
"""Enough for a message of `_SMALL_BYTES`: to set up a compressor of 256 KiB takes 200 µs, one of this size 10 µs."""

_FINAL_BLOCKS = 16
"""Final blocks one message may hold. Compressors write one at most, and each costs a copy of what follows it."""

# "Extension parameters" of RFC 7692, section 7.1.
_SERVER_NO_CONTEXT = "server_no_context_takeover"
_CLIENT_NO_CONTEXT = "client_no_context_takeover"
_SERVER_WINDOW = "server_max_window_bits"
_CLIENT_WINDOW = "client_max_window_bits"
_WINDOW_BITS = {str(bits): bits for bits in range(8, MOST_WINDOW_BITS + 1)}
"""What may be said of a window: "a decimal integer value without leading zeroes between 8 to 15, inclusive"."""


class DeflateWishes(Struct, frozen=True):
    """What a server would have its connections agree on.

    Attributes:
        no_context_takeover: compress each message by itself.
        max_window_bits: of the server's compressor.
        request_no_context_takeover: ask clients to compress each message by itself.
        request_max_window_bits: ask clients that can for this window; None asks for nothing.
    """

    no_context_takeover: bool = True
    max_window_bits: int = MOST_WINDOW_BITS
    request_no_context_takeover: bool = True
    request_max_window_bits: int | None = None


class DeflateAgreement(Struct, frozen=True):
    """What one connection has agreed on.

    Attributes:
        response: the value of `Sec-WebSocket-Extensions` in the answer.
        server_keeps_context: whether the server's messages refer to earlier ones.
        server_window_bits: of the server's compressor.
        client_keeps_context: whether the client's messages may refer to earlier ones.
        client_window_bits: the most the client's compressor may use.
    """

    response: str
    server_keeps_context: bool
    server_window_bits: int
    client_keeps_context: bool
    client_window_bits: int

    def inflater(self) -> "Inflater":
        """Return what decompresses the messages of one client."""
        return Inflater(window_bits=self.client_window_bits, keeps_context=self.client_keeps_context)


def agree(offers: Iterable[Offer], wishes: DeflateWishes) -> DeflateAgreement | None:
    """Return what the first acceptable offer leads to, None when there is none.

    Args:
        offers: the extensions the client names, in its order of preference.
        wishes: the server's.
    """
    for name, parameters in offers:
        if name == NAME:
            agreement = _accept(parameters, wishes)
            if agreement is not None:
                return agreement
    return None


def _accept(parameters: Parameters, wishes: DeflateWishes) -> DeflateAgreement | None:
    """Return the answer to one offer, or None, which declines it.

    "A server MUST decline an extension negotiation offer for this extension if" it has parameters that are not
    defined, have invalid values, or stand there twice, or that the server does not support (section 7.1).
    """
    offered = dict(parameters)
    if len(offered) != len(parameters) or not all(_is_valid(*parameter) for parameter in parameters):
        return None
    no_server_context = wishes.no_context_takeover or _SERVER_NO_CONTEXT in offered
    no_client_context = wishes.request_no_context_takeover or _CLIENT_NO_CONTEXT in offered
    server_limit = offered.get(_SERVER_WINDOW)
    server_bits = min(wishes.max_window_bits, _WINDOW_BITS.get(server_limit or "", MOST_WINDOW_BITS))
    if server_bits < LEAST_WINDOW_BITS:
        return None
    client_bits = MOST_WINDOW_BITS
    answer = [NAME]
    if no_server_context:
        answer.append(_SERVER_NO_CONTEXT)
    if no_client_context:
        answer.append(_CLIENT_NO_CONTEXT)
    if server_limit is not None or server_bits < MOST_WINDOW_BITS:
        answer.append(f"{_SERVER_WINDOW}={server_bits}")
    # "If a received extension negotiation offer doesn't have the "client_max_window_bits" extension parameter, the
    # corresponding extension negotiation response to the offer MUST NOT include" it (section 7.1.2.2).
    if _CLIENT_WINDOW in offered:
        client_bits = min(
            wishes.request_max_window_bits or MOST_WINDOW_BITS,
            _WINDOW_BITS.get(offered[_CLIENT_WINDOW] or "", MOST_WINDOW_BITS),
        )
        if client_bits < MOST_WINDOW_BITS:
            answer.append(f"{_CLIENT_WINDOW}={client_bits}")
    return DeflateAgreement(
        response="; ".join(answer),
        server_keeps_context=not no_server_context,
        server_window_bits=server_bits,
        client_keeps_context=not no_client_context,
        client_window_bits=client_bits,
    )


def _is_valid(name: str, value: str | None) -> bool:
    if name in (_SERVER_NO_CONTEXT, _CLIENT_NO_CONTEXT):
        return value is None
    if name == _SERVER_WINDOW:
        return value in _WINDOW_BITS
    return name == _CLIENT_WINDOW and (value is None or value in _WINDOW_BITS)


class Inflater:
    """Decompresses the messages of one peer.

    Args:
        window_bits: the most the peer may use.
        keeps_context: whether its messages may refer to earlier ones; if not, nothing is kept between them.
    """

    __slots__ = ("_decompressor", "_keeps_context", "_window_bits")

    def __init__(self, *, window_bits: int, keeps_context: bool) -> None:
        self._window_bits = window_bits
        self._keeps_context = keeps_context
        self._decompressor: _Decompress | None = None

    def inflate(self, data: bytes, *, limit_bytes: int) -> bytes:
        """Return the message that `data`, the payload of all its frames, stands for.

        Args:
            data: the compressed message.
            limit_bytes: the largest message taken; no more than that and a window is ever held in memory.

        Raises:
            WebSocketViolation: this is no compressed data, or too large a message.
        """
        decompressor = self._decompressor or self._begin()
        rest = data + _TAIL
        message = b""
        for _ in range(_FINAL_BLOCKS):
            try:
                # One byte more than the limit tells a message that is too large from one that is not.
                message += decompressor.decompress(rest, limit_bytes + 1 - len(message))
            except zlib.error as error:
                raise WebSocketViolation(CLOSE_INVALID_TEXT, "this is no compressed message") from error
            if len(message) > limit_bytes:
                raise WebSocketViolation(
                    CLOSE_MESSAGE_TOO_BIG, f"a message may have at most {limit_bytes} bytes, uncompressed"
                )
            if not decompressor.eof:
                self._decompressor = decompressor if self._keeps_context else None
                return message
            # Behind a final block (section 7.2.3.4) a compressor has begun afresh, and so does this.
            rest = decompressor.unused_data
            decompressor = self._begin()
            if rest == _TAIL:
                self._decompressor = None
                return message
        raise WebSocketViolation(
            CLOSE_INVALID_TEXT, f"a message may have at most {_FINAL_BLOCKS} final blocks"
        )

    def _begin(self) -> "_Decompress":
        return zlib.decompressobj(-self._window_bits)


class Deflater:
    """Compresses the messages for one peer, each referring to those before it.

    Args:
        window_bits: what the peer has agreed to.
        memory_level: zlib's, 1 to 9: how much memory finds repetitions.
    """

    __slots__ = ("_compressor",)

    def __init__(self, *, window_bits: int, memory_level: int) -> None:
        self._compressor = _compressor(window_bits, memory_level)

    def deflate(self, message: bytes) -> bytes:
        """Return `message` compressed; the peer must get all that was returned before, in this order."""
        return _deflate(self._compressor, message)

    def deflate_in_parts(self, message: bytes, part_bytes: int) -> Iterator[bytes]:
        """Return `message` compressed, in parts that are made when they are asked for; all of them must be.

        Args:
            message: what to compress.
            part_bytes: of `message`, that one part stands for.
        """
        compressor = self._compressor
        last = (len(message) - 1) // part_bytes * part_bytes
        for start in range(0, last, part_bytes):
            part = compressor.compress(message[start : start + part_bytes])
            if part:
                yield part
        yield _deflate(compressor, message[last:])


def deflate_alone(message: bytes, *, window_bits: int, memory_level: int) -> bytes:
    """Return `message` compressed without reference to another: the same bytes for every peer.

    Args:
        message: what to compress.
        window_bits: the most the peers have agreed to.
        memory_level: zlib's, 1 to 9.
    """
    needed = max(LEAST_WINDOW_BITS, (len(message) + _LOOKAHEAD_BYTES).bit_length())
    if len(message) <= _SMALL_BYTES:
        memory_level = min(memory_level, _SMALL_MEMORY_LEVEL)
    return _deflate(_compressor(min(window_bits, needed), memory_level), message)


def _compressor(window_bits: int, memory_level: int) -> "_Compress":
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -window_bits, memory_level)


def _deflate(compressor: "_Compress", message: bytes) -> bytes:
    data = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    # "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end" (section 7.2.1)
    return data[: -len(_TAIL)]
