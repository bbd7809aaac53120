"""`wamp.2.json`: JSON in text frames; binary values are strings of NUL and base64."""

import base64
import binascii
import math
from typing import Any

import msgspec

from heliograph.wamp.containers import ContainerCount
from heliograph.wamp.errors import PayloadError, ProtocolViolation
from heliograph.wamp.messages import PLAIN_EVENT, Event, Message
from heliograph.wire.serializers.keys import check_key
from heliograph.wire.serializers.shapes import BEARING_PAYLOAD, HEADS, WIRE_TYPE, RawPayloadReader

_BINARY_MARK = "\0"


_PLAIN_TYPES = frozenset({int, bool, type(None)})
"""What JSON and the other formats have in common, whatever its value."""


def _from_binary(value: Any) -> Any:
    """Return `value` as JSON can express it; raises `PayloadError` where it cannot.

    "convert the byte array to a Base64 encoded (host language) string", "prepend the string with a `\\0` character"
    (specification, "Binary support in JSON").
    """
    kind = type(value)
    if kind is str:
        if value.startswith(_BINARY_MARK):
            raise PayloadError("a text that begins with NUL means binary in JSON")
        return value
    if kind is dict:
        return {check_key(key): _from_binary(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        if _PLAIN_TYPES.issuperset(map(type, value)):
            return value
        return [_from_binary(item) for item in value]
    if kind is bytes:
        return _BINARY_MARK + base64.b64encode(value).decode()
    if kind is float and not math.isfinite(value):
        raise PayloadError(f"JSON has no {value}")
    return value


def _to_binary(value: Any, count: ContainerCount) -> Any:
    kind = type(value)
    if kind is str:
        if not value.startswith(_BINARY_MARK):
            return value
        try:
            return base64.b64decode(value[1:], validate=True)
        except binascii.Error as error:
            raise PayloadError(f"a text that begins with NUL must be base64 after it: {error}") from error
    if kind is dict:
        count.add()
        return {key: _to_binary(item, count) for key, item in value.items()}
    if kind is list:
        count.add()
        return [_to_binary(item, count) for item in value]
    return value


class JsonSerializer:
    """JSON by msgspec. The payload is passed on unread; its UTF-8 is checked with the whole message's."""

    name = "json"
    read_bytes_a_unit = 256
    is_binary = False

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(WIRE_TYPE)
        self._value_decoder = msgspec.json.Decoder()
        self._reader = RawPayloadReader(self, list_openers=b"[", map_openers=b"{")

    def encode(self, message: Message) -> bytes:
        """Return `message` as JSON text in UTF-8."""
        kind = type(message)
        if kind is Event and message.details is PLAIN_EVENT:  # type: ignore[attr-defined]  # an event has them
            return self._plain_event(message)  # type: ignore[arg-type]  # as above
        try:
            encoded = self._encoder.encode(HEADS[kind](message))
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise PayloadError(f"cannot be expressed in JSON: {error}") from error
        if kind not in BEARING_PAYLOAD:
            return encoded
        args, kwargs = message.payload.encoded(self)  # type: ignore[attr-defined]  # it bears a payload
        if kwargs:
            return b"%b,%b,%b]" % (encoded[:-1], args or b"[]", kwargs)
        if args:
            return b"%b,%b]" % (encoded[:-1], args)
        return encoded

    def _plain_event(self, event: Event) -> bytes:
        # Three times as fast as the general way, and most of what a router writes.
        args, kwargs = event.payload.encoded(self)
        if kwargs:
            return b"[36,%d,%d,{},%b,%b]" % (event.subscription, event.publication, args or b"[]", kwargs)
        if args:
            return b"[36,%d,%d,{},%b]" % (event.subscription, event.publication, args)
        return b"[36,%d,%d,{}]" % (event.subscription, event.publication)

    def decode(self, data: bytes) -> Message:
        """Return the message in `data`."""
        try:
            # msgspec skips over raw payload without looking at its UTF-8; strict subscribers would close on it.
            if not data.isascii():
                data.decode()
            return self._reader.message(self._decoder.decode(data))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolViolation(f"not a WAMP message in JSON: {error}") from error

    def encode_value(self, value: Any) -> bytes:
        """Return `value` as JSON."""
        try:
            return self._encoder.encode(_from_binary(value))
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise PayloadError(f"cannot be expressed in JSON: {error}") from error

    def decode_value(self, data: bytes) -> Any:
        """Return the value that `data` holds."""
        try:
            value = self._value_decoder.decode(data)
            return _to_binary(value, ContainerCount()) if b"\\u0000" in data else value
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise PayloadError(f"not JSON: {error}") from error


SERIALIZER = JsonSerializer()
