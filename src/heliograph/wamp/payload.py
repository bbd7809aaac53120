"""The opaque payload of a message: arguments that travel through the router without being read."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from heliograph.wamp.containers import MOST_CONTAINERS, check_containers
from heliograph.wamp.errors import PayloadError


class PayloadFormat(Protocol):
    """Turns application values into bytes and back; one object a serializer."""

    name: str

    def encode_value(self, value: Any) -> bytes:
        """Return `value` encoded; raises `PayloadError` where this format cannot express it."""

    def decode_value(self, data: bytes) -> Any:
        """Return the value that `data` holds; raises `PayloadError` where it cannot be read."""


class Payload(Protocol):
    """Positional and keyword arguments of a message."""

    def encoded(self, target: PayloadFormat) -> tuple[bytes, bytes]:
        """Return (args, kwargs) in `target`'s bytes, empty where absent; raises `PayloadError`."""

    def decoded(self) -> tuple[list[Any], dict[str, Any]]:
        """Return (args, kwargs) as Python values; raises `PayloadError`."""

    @property
    def size_bytes(self) -> int:
        """About how many bytes it takes; never fails, whatever it holds."""

    def compact(self) -> "Payload":
        """Return the same payload as it is kept for later: as bytes, if it has a format."""


class EncodedPayload(Struct, eq=False):
    """Arguments as they came from the wire: bytes of one format, read only when somebody must.

    Args:
        source: the format of the bytes.
        args: the encoded list, or empty bytes when absent.
        kwargs: the encoded map, or empty bytes when absent.
    """

    source: PayloadFormat
    args: bytes
    kwargs: bytes

    def encoded(self, target: PayloadFormat) -> tuple[bytes, bytes]:
        """Return the bytes as they are, or translated when `target` is another format."""
        if target is self.source:
            return self.args, self.kwargs
        return self._converted(self.args, target), self._converted(self.kwargs, target)

    def _converted(self, data: bytes, target: PayloadFormat) -> bytes:
        if not data:
            return data
        value = self.source.decode_value(data)
        # One has a byte at least.
        if len(data) > MOST_CONTAINERS:
            check_containers(value)
        return target.encode_value(value)

    def decoded(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments as Python values."""
        args = self.source.decode_value(self.args) if self.args else []
        kwargs = self.source.decode_value(self.kwargs) if self.kwargs else {}
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise PayloadError("args must be a list and kwargs a map")
        return args, kwargs

    @property
    def size_bytes(self) -> int:
        """How many bytes it takes."""
        return len(self.args) + len(self.kwargs)

    def compact(self) -> "EncodedPayload":
        """Return it as it is."""
        return self

    def __repr__(self) -> str:
        return f"EncodedPayload({self.source.name}, {self.args!r}, {self.kwargs!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EncodedPayload | PlainPayload) and self.decoded() == other.decoded()

    __hash__ = None  # type: ignore[assignment]  # equal by value, so not a key


class PlainPayload:
    """Arguments that are Python values, encoded when a receiver's format is known.

    Args:
        args: positional arguments.
        kwargs: keyword arguments.
    """

    __slots__ = ("args", "kwargs")

    def __init__(self, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> None:
        self.args = list(args)
        self.kwargs = kwargs or {}

    def encoded(self, target: PayloadFormat) -> tuple[bytes, bytes]:
        """Return (args, kwargs) in `target`'s bytes; empty ones are left out, as the specification asks."""
        return (
            target.encode_value(self.args) if self.args or self.kwargs else b"",
            target.encode_value(self.kwargs) if self.kwargs else b"",
        )

    def decoded(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments as they are."""
        return self.args, self.kwargs

    @property
    def size_bytes(self) -> int:
        """About how many bytes the values take in memory; counting ends at `COUNTED_BYTES`."""
        return _size_of([self.args, self.kwargs])

    def compact(self) -> "Payload":
        """Return it as it is: nobody knows its format."""
        return self

    def __repr__(self) -> str:
        return f"PlainPayload({self.args!r}, {self.kwargs!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EncodedPayload | PlainPayload) and self.decoded() == other.decoded()

    __hash__ = None  # type: ignore[assignment]  # equal by value, so not a key


class ReadPayload(PlainPayload):
    """Arguments that had to be read on arrival, of a format that has no way to leave a part unread.

    Args:
        source: the format they came in.
        args: positional arguments.
        kwargs: keyword arguments.
        size_bytes: how many bytes they had at most.
    """

    __slots__ = ("_size_bytes", "source")

    def __init__(
        self, source: PayloadFormat, args: list[Any], kwargs: dict[str, Any], size_bytes: int
    ) -> None:
        super().__init__(args, kwargs)
        self.source = source
        self._size_bytes = size_bytes

    @property
    def size_bytes(self) -> int:
        """How many bytes they had at most; as values they may take fifty times as many."""
        return self._size_bytes

    def encoded(self, target: PayloadFormat) -> tuple[bytes, bytes]:
        """Return (args, kwargs) in `target`'s bytes."""
        if target is not self.source and self._size_bytes > MOST_CONTAINERS:
            check_containers([self.args, self.kwargs])
        return super().encoded(target)

    def compact(self) -> Payload:
        """Return them as bytes again."""
        return EncodedPayload(self.source, *self.encoded(self.source))


class BarePayload:
    """One binary in the place of the argument list: how the older form of payload passthru packs arguments.

    Args:
        data: what only the two ends can read.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def encoded(self, target: PayloadFormat) -> tuple[bytes, bytes]:
        """Return the binary in `target`'s bytes, where the arguments would stand."""
        return target.encode_value(self.data), b""

    def decoded(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the binary as the only argument."""
        return [self.data], {}

    @property
    def size_bytes(self) -> int:
        """How many bytes it takes."""
        return len(self.data)

    def compact(self) -> "BarePayload":
        """Return it as it is."""
        return self

    def __repr__(self) -> str:
        return f"BarePayload({self.data!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BarePayload) and self.data == other.data

    __hash__ = None  # type: ignore[assignment]  # equal by value, so not a key


class PreparedPayload:
    """A payload that was converted beforehand, once for each format in which it is sent.

    Args:
        payload: what was converted.
        formats: those in which it is sent.

    Raises:
        PayloadError: one of them cannot express it.
    """

    __slots__ = ("_encoded", "_payload")

    def __init__(self, payload: Payload, formats: Iterable[PayloadFormat]) -> None:
        self._payload = payload
        self._encoded = {target.name: payload.encoded(target) for target in formats}

    def encoded(self, target: PayloadFormat) -> tuple[bytes, bytes]:
        """Return (args, kwargs) in `target`'s bytes."""
        return self._encoded.get(target.name) or self._payload.encoded(target)

    def decoded(self) -> tuple[list[Any], dict[str, Any]]:
        """Return (args, kwargs) as Python values."""
        return self._payload.decoded()

    @property
    def size_bytes(self) -> int:
        """About how many bytes one encoding takes."""
        return self._payload.size_bytes

    def compact(self) -> Payload:
        """Return what was converted, without its conversions."""
        return self._payload.compact()


COUNTED_BYTES = 1024 * 1024
"""Where the size of values is no longer counted: no limit on values is higher."""


def _size_of(values: list[Any]) -> int:
    """Return about how many bytes `values` take in memory, or a little more than `COUNTED_BYTES` if that is less."""
    size = 0
    waiting = list(values)
    while waiting and size <= COUNTED_BYTES:
        value = waiting.pop()
        size += sys.getsizeof(value) + _PLACE_BYTES
        if isinstance(value, dict):
            waiting.extend(value.keys())
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
    return size


_PLACE_BYTES = 8
"""What each value takes in the list or dictionary that holds it."""

EMPTY = PlainPayload()
