"""Several WAMP messages in one message of the transport: the subprotocols `wamp.2.<serializer>.batched`.

"Batched transports" of the specification: JSON messages are each followed by the byte 0x1e, which cannot stand inside
JSON; messages of the binary serializers each follow their length.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Protocol

SUFFIX = ".batched"
"""What the name of a batched subprotocol ends with."""

RECORD_SEPARATOR = b"\x1e"

_LENGTH = struct.Struct("!L")


class BatchError(ValueError):
    """What came is no batch; the text says why."""


class Batching(Protocol):
    """How the messages of a batch are told apart."""

    def wrap(self, message: bytes) -> bytes:
        """Return `message` as it stands in a batch."""

    def unwrap(self, batch: bytes) -> Iterator[bytes]:
        """Return the messages in `batch`, cut out when they are asked for, so that a large batch costs nothing yet.

        The iterator raises `BatchError` where the batch is broken or empty; what stands before that comes first.
        """


class SeparatedBatching:
    """JSON: each message is followed by 0x1e, the last one too."""

    def wrap(self, message: bytes) -> bytes:
        """Return `message` and its separator."""
        return message + RECORD_SEPARATOR

    def unwrap(self, batch: bytes) -> Iterator[bytes]:
        """Return what stands before each separator."""
        if not batch:
            raise BatchError("a batch must hold at least one message")
        start = 0
        while start < len(batch):
            end = batch.find(RECORD_SEPARATOR, start)
            if end < 0:
                raise BatchError("the last message of a batch must be followed by 0x1e like all others")
            if end == start:
                raise BatchError("a batch holds a message of no bytes")
            yield batch[start:end]
            start = end + 1


class PrefixedBatching:
    """MessagePack and CBOR: each message follows its length, four bytes in network order."""

    def wrap(self, message: bytes) -> bytes:
        """Return the length of `message` and `message`."""
        return _LENGTH.pack(len(message)) + message

    def unwrap(self, batch: bytes) -> Iterator[bytes]:
        """Return what stands behind each length."""
        if not batch:
            raise BatchError("a batch must hold at least one message")
        start = 0
        while start < len(batch):
            if len(batch) - start < _LENGTH.size:
                raise BatchError("a batch ends within the length of a message")
            (length,) = _LENGTH.unpack_from(batch, start)
            start += _LENGTH.size
            if length == 0:
                raise BatchError("a batch holds a message of no bytes")
            if length > len(batch) - start:
                raise BatchError("a batch ends within a message")
            yield batch[start : start + length]
            start += length


def batching(*, is_binary: bool) -> Batching:
    """Return how a serializer's messages stand in a batch."""
    return PrefixedBatching() if is_binary else SeparatedBatching()


def batches(wrapped: Iterable[bytes], limit_bytes: int) -> Iterator[bytes]:
    """Return wrapped messages joined to batches of at most `limit_bytes`; a larger message is a batch of its own."""
    parts: list[bytes] = []
    size = 0
    for message in wrapped:
        if parts and size + len(message) > limit_bytes:
            yield b"".join(parts)
            parts, size = [], 0
        parts.append(message)
        size += len(message)
    if parts:
        yield b"".join(parts)
