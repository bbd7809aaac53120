"""`wamp.2.msgpack`: MessagePack in binary frames."""

from functools import partial
from typing import Any

import msgspec

try:
    import ormsgpack
except ModuleNotFoundError as missing:
    text = "the serializer msgpack needs ormsgpack: pip install ormsgpack"
    raise ModuleNotFoundError(text, name="ormsgpack") from missing

from heliograph.wamp.errors import PayloadError, ProtocolViolation
from heliograph.wamp.messages import Message
from heliograph.wire.serializers.keys import RULE
from heliograph.wire.serializers.shapes import (
    BEARING_PAYLOAD,
    HEADS,
    WIRE_TYPE,
    RawPayloadReader,
    with_raw_payload,
)
from heliograph.wire.serializers.undefined import without_undefined

_EMPTY_ARRAY = b"\x90"


# How msgpackr and msgpack5, the serializers of Wampy and AutobahnJS, write `undefined`: an extension of type 0.
_UNDEFINED_BYTES = b"\xd4\x00\x00"
_UNDEFINED = object()


def _undefined_or_refuse(code: int, data: bytes) -> object:
    if code == 0 and data == b"\0":
        return _UNDEFINED
    raise PayloadError("an extension type")


# What is no value of MessagePack is written as in JSON; ormsgpack would write another offset for UTC.
_OPTIONS = ormsgpack.OPT_PASSTHROUGH_DATETIME
_as_in_json = partial(msgspec.to_builtins, builtin_types=(bytes,))


class MsgpackSerializer:
    """MessagePack by ormsgpack, which refuses keys that are no text as it comes to them, and by msgspec.

    A message is read once on arrival: what is passed on, or made of it, holds only what a WAMP message may hold.
    """

    name = "msgpack"
    read_bytes_a_unit = 32
    is_binary = True

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(WIRE_TYPE)
        self._reader = RawPayloadReader(
            self,
            list_openers=bytes([*range(0x90, 0xA0), 0xDC, 0xDD]),
            map_openers=bytes([*range(0x80, 0x90), 0xDE, 0xDF]),
        )

    def encode(self, message: Message) -> bytes:
        """Return `message` as MessagePack."""
        kind = type(message)
        elements = HEADS[kind](message)
        try:
            encoded = self._encoder.encode(elements)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise PayloadError(f"cannot be expressed in MessagePack: {error}") from error
        if kind not in BEARING_PAYLOAD:
            return encoded
        args, kwargs = message.payload.encoded(self)  # type: ignore[attr-defined]  # it bears a payload
        return with_raw_payload(encoded, args, kwargs, empty_array=_EMPTY_ARRAY)

    def decode(self, data: bytes) -> Message:
        """Return the message in `data`."""
        try:
            if _UNDEFINED_BYTES in data:
                read = ormsgpack.unpackb(data, ext_hook=_undefined_or_refuse)
                _refuse_what_follows(data)
                data = self._encoder.encode(without_undefined(read, _UNDEFINED))
            else:
                # Before msgspec builds any dictionary: it would take whole numbers as keys, and numbers can be chosen
                # so that each look-up among 86,000 of them compares with all.
                ormsgpack.unpackb(data)
            return self._reader.message(self._decoder.decode(data))
        except (msgspec.MsgspecError, ValueError, RecursionError, PayloadError) as error:
            raise ProtocolViolation(f"not a WAMP message in MessagePack: {_told(error)}") from error

    def encode_value(self, value: Any) -> bytes:
        """Return `value` as MessagePack."""
        try:
            return ormsgpack.packb(value, default=_as_in_json, option=_OPTIONS)
        except (TypeError, ValueError, RecursionError) as error:
            raise PayloadError(f"cannot be expressed in MessagePack: {_told(error)}") from error

    def decode_value(self, data: bytes) -> Any:
        """Return the value that `data` holds."""
        try:
            _refuse_what_follows(data)
            return ormsgpack.unpackb(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise PayloadError(f"not MessagePack: {_told(error)}") from error


def _told(error: Exception) -> str:
    """Return what is wrong, in our words where the library's do not say it."""
    text = str(error)
    if text.startswith("ext_hook"):
        return "an extension type is not a WAMP value"
    if text == "Dict key must be str" or (text.startswith("invalid type") and "Reserved" not in text):
        return RULE
    return text


_whole = msgspec.msgpack.Decoder(msgspec.Raw).decode


def _refuse_what_follows(data: bytes) -> None:
    """Raise `msgspec.MsgspecError` unless `data` is one value: ormsgpack is silent about what follows it."""
    _whole(data)


SERIALIZER = MsgpackSerializer()
