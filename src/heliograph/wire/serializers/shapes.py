"""Between message structs and the flat arrays on the wire.

A message that bears a payload is decoded as its *shape*: the same fields, with `args` and `kwargs` left as raw bytes
at the end. Shapes are derived from the messages, so there is one definition of each.
"""

from collections.abc import Callable
from typing import Any, Union

import msgspec
from msgspec import Raw

from heliograph.wamp.errors import PayloadError, ProtocolViolation
from heliograph.wamp.messages import MESSAGE_TYPES, Message, code_of
from heliograph.wamp.payload import EMPTY, BarePayload, EncodedPayload, Payload, PayloadFormat
from heliograph.wire.serializers.keys import check_keys

PAYLOAD_TYPES = tuple(kind for kind in MESSAGE_TYPES if "payload" in kind.__struct_fields__)

HEAD_LENGTH = {code_of(kind): len(kind.__struct_fields__) for kind in PAYLOAD_TYPES}
"""Message code to the number of elements, code included, that stand before the payload."""


def _shape(kind: type[Message]) -> type[msgspec.Struct]:
    fields: list[Any] = [
        (field.name, field.type) for field in msgspec.structs.fields(kind) if field.name != "payload"
    ]
    return msgspec.defstruct(
        f"{kind.__name__}Shape",
        [*fields, ("args", Raw, Raw(b"")), ("kwargs", Raw, Raw(b""))],
        array_like=True,
        forbid_unknown_fields=True,
        tag=code_of(kind),
    )


_SHAPES: dict[type[Message], type[msgspec.Struct]] = {kind: _shape(kind) for kind in PAYLOAD_TYPES}

WIRE_TYPES = {code_of(kind): _SHAPES.get(kind, kind) for kind in MESSAGE_TYPES}
"""Message code to the type that is decoded."""

WIRE_TYPE: Any = Union[tuple(WIRE_TYPES.values())]  # noqa: UP007 - built at run time


def _builder(kind: type[Message]) -> Callable[[Any, Any], Message]:
    """Return the function (shape, payload) → message, written out: `getattr` in a loop would double its cost."""
    fields = [name for name in kind.__struct_fields__ if name != "payload"]
    source = f"lambda shape, payload: kind({', '.join(f'shape.{name}' for name in fields)}, payload)"
    return eval(source, {"kind": kind})  # type: ignore[no-any-return]  # noqa: S307 - built from our own field names


_BUILDERS = {shape: _builder(kind) for kind, shape in _SHAPES.items()}


def with_payload(decoded: Any, payload: Payload) -> Message:
    """Return the message for `decoded`, a value of `WIRE_TYPE`; `payload` is used where the type bears one."""
    build = _BUILDERS.get(type(decoded))
    # A message without payload is decoded as itself.
    return decoded if build is None else build(decoded, payload)


def bare_payload(decoded: Any, value: Any) -> BarePayload:
    """Return the payload that `value`, which stands bare in the place of the argument list, is.

    "transparent payload" of Autobahn and Crossbar.io, told by `enc_algo`; otherwise arguments are a list.

    Args:
        decoded: the message's head, a value of `WIRE_TYPE`.
        value: what stands after it, and nothing behind that.

    Raises:
        ProtocolViolation: it is no binary, or the message does not say that it is packed.
    """
    said = getattr(decoded, "options", None) or getattr(decoded, "details", None)
    algorithm = said.get("enc_algo") if isinstance(said, dict) else getattr(said, "enc_algo", None)
    if algorithm is None or type(value) is not bytes:
        raise ProtocolViolation("Arguments must be a list, or one binary with enc_algo")
    return BarePayload(value)


class RawPayloadReader:
    """Makes messages of what a decoder of `WIRE_TYPE` returns, leaving the payload as bytes.

    Args:
        source: the format in which raw payloads are written.
        list_openers: the first bytes an encoded list can have.
        map_openers: the first bytes an encoded map can have.
    """

    def __init__(self, source: PayloadFormat, *, list_openers: bytes, map_openers: bytes) -> None:
        self._source = source
        self._list_openers = list_openers
        self._map_openers = map_openers

    def message(self, decoded: Any) -> Message:
        """Return the message for `decoded`; raises `ProtocolViolation` for args that are no list, kwargs no map."""
        build = _BUILDERS.get(type(decoded))
        if build is None:
            return decoded  # type: ignore[no-any-return]  # a message without payload is decoded as itself
        args = bytes(decoded.args)
        if not args:
            return build(decoded, EMPTY)
        kwargs = bytes(decoded.kwargs)
        if args[0] not in self._list_openers:
            return build(decoded, bare_payload(decoded, None if kwargs else self._value(args)))
        if kwargs and kwargs[0] not in self._map_openers:
            raise ProtocolViolation("ArgumentsKw must be a dictionary")
        return build(decoded, EncodedPayload(self._source, args, kwargs))

    def _value(self, data: bytes) -> Any:
        try:
            return self._source.decode_value(data)
        except PayloadError as error:
            raise ProtocolViolation(f"Arguments: {error}") from error


_FIXMAP_KEYS = 15
"""Keys a map may have whose MessagePack header is one byte. msgspec goes by the fields a struct could have, so the
options of PUBLISH would always be written with the long header, empty or not."""


def _element(field: msgspec.structs.FieldInfo) -> str:
    is_wide = len(getattr(field.type, "__struct_fields__", ())) > _FIXMAP_KEYS
    return f"to_builtins(message.{field.name})" if is_wide else f"message.{field.name}"


def _lister(kind: type[Message]) -> Callable[[Any], list[Any]]:
    fields = [field for field in msgspec.structs.fields(kind) if field.name != "payload"]
    source = f"lambda message: [{code_of(kind)}, {', '.join(map(_element, fields))}]"
    elements: Callable[[Any], list[Any]] = eval(source, {"to_builtins": msgspec.to_builtins})  # noqa: S307 - as above
    if fields[-1].default is not None:
        return elements

    def without_absent(message: Any) -> list[Any]:
        found = elements(message)
        while found[-1] is None:
            found.pop()
        return found

    return without_absent


def _free_values(kind: type[Message]) -> list[str]:
    """Return the expressions for what may be any dictionary; `roles` are always a side's own."""
    fields = msgspec.structs.fields(kind)
    free = [f"message.{field.name}" for field in fields if field.type == dict[str, Any]]
    inner = [field.name for field in fields if "authextra" in getattr(field.type, "__struct_fields__", ())]
    return [*free, *(f"message.{name}.authextra" for name in inner)]


def _head(kind: type[Message]) -> Callable[[Any], list[Any]]:
    elements, free = _lister(kind), _free_values(kind)
    if not free:
        return elements
    values: Callable[[Any], list[Any]] = eval(f"lambda message: [{', '.join(free)}]")  # noqa: S307 - as above

    def checked(message: Any) -> list[Any]:
        check_keys(values(message))
        return elements(message)

    return checked


HEADS = {kind: _head(kind) for kind in MESSAGE_TYPES}
"""Message type to the function that returns a message's elements before its payload, the code first; absent ones at the
end are left out. It raises `PayloadError` for a key that is no text."""

BEARING_PAYLOAD = frozenset(_SHAPES)
"""Types of messages that can carry arguments."""


def with_raw_payload(encoded_head: bytes, args: bytes, kwargs: bytes, *, empty_array: bytes) -> bytes:
    """Return a message of a binary format: its encoded head with the payload's bytes behind it.

    Args:
        encoded_head: a short array, whose first byte holds its length in the lower bits.
        args: the encoded Arguments, empty when absent.
        kwargs: the encoded ArgumentsKw, empty when absent.
        empty_array: stands for Arguments where only ArgumentsKw are there.
    """
    if not args and not kwargs:
        return encoded_head
    opener = bytes((encoded_head[0] + (2 if kwargs else 1),))
    return b"%b%b%b%b" % (opener, encoded_head[1:], args or empty_array, kwargs)
