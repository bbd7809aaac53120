"""`wamp.2.cbor`: CBOR in binary frames; the only tags taken are those of big integers."""

import io
from typing import Any, NoReturn

import msgspec

try:
    import cbor2
    import ormsgpack
except ModuleNotFoundError as missing:
    text = f"the serializer cbor needs {missing.name}: pip install {missing.name}"
    raise ModuleNotFoundError(text, name=missing.name) from missing

from heliograph.wamp.errors import PayloadError, ProtocolViolation
from heliograph.wamp.messages import Message
from heliograph.wamp.payload import EMPTY, Payload, ReadPayload
from heliograph.wire.serializers.keys import RULE
from heliograph.wire.serializers.shapes import (
    BEARING_PAYLOAD,
    HEAD_LENGTH,
    HEADS,
    WIRE_TYPES,
    bare_payload,
    with_payload,
    with_raw_payload,
)
from heliograph.wire.serializers.undefined import without_undefined

_EMPTY_ARRAY = b"\x80"
_UNDEFINED_BYTE = b"\xf7"
_MAX_DEPTH = 400

_TAGS_WITH_A_DECODER = (
    0,
    1,
    4,
    5,
    25,
    28,
    29,
    30,
    35,
    36,
    37,
    52,
    54,
    100,
    256,
    258,
    260,
    261,
    1004,
    43000,
    55799,
)


def _refuse_tag(*_: Any) -> NoReturn:
    raise ValueError("tags other than those of big integers are not WAMP values")


# By default cbor2 would build cycles, sets, dates and regular expressions out of a stranger's bytes.
_SAFELY: dict[str, Any] = {
    "tag_hook": _refuse_tag,
    "semantic_decoders": dict.fromkeys(_TAGS_WITH_A_DECODER, _refuse_tag),
    "max_depth": _MAX_DEPTH,
    "strict_hashable_types": True,
}


def _read(data: bytes) -> Any:
    # Not `loads`, which is silent about what follows the value.
    source = io.BytesIO(data)
    value = cbor2.CBORDecoder(source, **_SAFELY).decode()
    if source.tell() != len(data):
        raise ValueError("something follows the end")
    _refuse_binary_keys(value)
    return without_undefined(value, cbor2.undefined) if _UNDEFINED_BYTE in data else value


def _refuse_binary_keys(value: Any) -> None:
    """Raise `PayloadError` for keys that are no text, at every depth: to write the value finds them in no time."""
    try:
        ormsgpack.packb(value, default=_as_none, option=_EVERYTHING)
    except TypeError as error:
        raise PayloadError(RULE if "key" in str(error) else str(error)) from error


def _told(error: Exception) -> str:
    """Return what is wrong, in our words where the library tells of keys."""
    return RULE if "map key" in str(error) else str(error)


def _as_none(_value: Any) -> None:
    """Stand in for what MessagePack cannot express."""


_EVERYTHING = ormsgpack.OPT_PASSTHROUGH_BIG_INT


class CborSerializer:
    """CBOR by cbor2.

    Everything is read on arrival, for cbor2 has no way to leave a part unread; the payload's values are kept and
    encoded once for all receivers of a format.
    """

    name = "cbor"
    read_bytes_a_unit = 32
    is_binary = True

    def encode(self, message: Message) -> bytes:
        """Return `message` as CBOR."""
        kind = type(message)
        elements = HEADS[kind](message)
        try:
            encoded = cbor2.dumps(msgspec.to_builtins(elements, builtin_types=(bytes,)))
        except (cbor2.CBOREncodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise PayloadError(f"cannot be expressed in CBOR: {error}") from error
        if kind not in BEARING_PAYLOAD:
            return encoded
        args, kwargs = message.payload.encoded(self)  # type: ignore[attr-defined]  # it bears a payload
        return with_raw_payload(encoded, args, kwargs, empty_array=_EMPTY_ARRAY)

    def decode(self, data: bytes) -> Message:
        """Return the message in `data`."""
        try:
            elements = _read(data)
            if type(elements) is not list or not elements or type(elements[0]) is not int:
                raise ProtocolViolation("a WAMP message is a list that begins with its code")
            wire_type = WIRE_TYPES.get(elements[0])
            if wire_type is None:
                raise ProtocolViolation(f"{elements[0]} is not the code of a WAMP message")
            length = HEAD_LENGTH.get(elements[0], len(elements))
            decoded = msgspec.convert(elements[:length], wire_type)
            return with_payload(decoded, _payload(decoded, elements[length:], len(data)))
        except (
            cbor2.CBORDecodeError,
            msgspec.MsgspecError,
            ValueError,
            TypeError,
            PayloadError,
            RecursionError,
            OverflowError,
        ) as error:
            raise ProtocolViolation(f"not a WAMP message in CBOR: {_told(error)}") from error

    def encode_value(self, value: Any) -> bytes:
        """Return `value` as CBOR."""
        try:
            _refuse_binary_keys(value)
            return cbor2.dumps(value)
        except (cbor2.CBOREncodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise PayloadError(f"cannot be expressed in CBOR: {error}") from error

    def decode_value(self, data: bytes) -> Any:
        """Return the value that `data` holds."""
        try:
            return _read(data)
        except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError, OverflowError) as error:
            raise PayloadError(f"not CBOR: {_told(error)}") from error


def _payload(decoded: Any, elements: list[Any], size_bytes: int) -> Payload:
    """Return the payload that `elements`, what follows the head `decoded` of a message of that size, stand for."""
    if not elements:
        return EMPTY
    if len(elements) > 2:
        raise ProtocolViolation("a message ends with Arguments and ArgumentsKw")
    args, kwargs = elements if len(elements) == 2 else (elements[0], {})
    if type(args) is not list:
        return bare_payload(decoded, args if len(elements) == 1 else None)
    if type(kwargs) is not dict:
        raise ProtocolViolation("ArgumentsKw must be a dictionary")
    return ReadPayload(SERIALIZER, args, kwargs, size_bytes)


SERIALIZER = CborSerializer()
