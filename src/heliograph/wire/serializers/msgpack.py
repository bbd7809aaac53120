"""`wamp.2.msgpack`: MessagePack in binary frames."""

import datetime
import re
from typing import Any, NoReturn

import msgspec

from heliograph.wamp.errors import PayloadError, ProtocolViolation
from heliograph.wamp.messages import Message
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


def _undefined_or_refuse(code: int, data: memoryview) -> object:
    return _UNDEFINED if code == 0 and bytes(data) == b"\0" else _refuse_extension(code, data)


def _refuse_extension(code: int, _data: memoryview) -> NoReturn:
    raise PayloadError(f"MessagePack extension type {code} is not a WAMP value")


# Extension type -1, which msgspec takes for a date without asking.
_TIMESTAMP_OPENERS = re.compile(rb"\xd6\xff|\xd7\xff|\xc7\x0c\xff")


def _refuse_timestamps(value: Any) -> None:
    if isinstance(value, datetime.datetime):
        raise PayloadError("a MessagePack timestamp is not a WAMP value")
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_timestamps(key)
            _refuse_timestamps(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_timestamps(item)


class MsgpackSerializer:
    """MessagePack by msgspec. Payload is read once on arrival: text in it must be UTF-8 before it is passed on."""

    name = "msgpack"
    read_bytes_a_unit = 32
    is_binary = True

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(WIRE_TYPE, ext_hook=_refuse_extension)
        self._value_decoder = msgspec.msgpack.Decoder(ext_hook=_refuse_extension)
        self._reader_of_undefined = msgspec.msgpack.Decoder(ext_hook=_undefined_or_refuse)
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
                read = self._reader_of_undefined.decode(data)
                data = self._encoder.encode(without_undefined(read, _UNDEFINED))
            decoded = self._decoder.decode(data)
            message = self._reader.message(decoded)
            if type(message) in BEARING_PAYLOAD:
                _, kwargs = message.payload.decoded()  # type: ignore[attr-defined]  # it bears a payload
                if not all(type(key) is str for key in kwargs):
                    raise ProtocolViolation("ArgumentsKw must be a dictionary with texts as keys")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, PayloadError) as error:
            raise ProtocolViolation(f"not a WAMP message in MessagePack: {error}") from error
        return message

    def encode_value(self, value: Any) -> bytes:
        """Return `value` as MessagePack."""
        try:
            return self._encoder.encode(value)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise PayloadError(f"cannot be expressed in MessagePack: {error}") from error

    def decode_value(self, data: bytes) -> Any:
        """Return the value that `data` holds."""
        try:
            value = self._value_decoder.decode(data)
            if _TIMESTAMP_OPENERS.search(data):
                _refuse_timestamps(value)
            return value
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, TypeError) as error:
            raise PayloadError(f"not MessagePack: {error}") from error


SERIALIZER = MsgpackSerializer()
