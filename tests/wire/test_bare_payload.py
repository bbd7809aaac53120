"""The older form of payload passthru: one binary in the place of the argument list, told by `enc_algo`."""

import base64
from collections.abc import Callable
from typing import Any

import cbor2
import msgpack
import msgspec
import pytest

from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Error, Publish
from heliograph.wamp.payload import BarePayload
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer

DATA = b"\x00secret\xff"
WRITERS: dict[str, Callable[[Any], bytes]] = {
    "json": msgspec.json.encode,
    "msgpack": msgpack.packb,
    "cbor": cbor2.dumps,
}


def _binary(name: str) -> Any:
    return "\0" + base64.b64encode(DATA).decode() if name == "json" else DATA


def _read(name: str, elements: list[Any]) -> Any:
    return serializer(name).decode(WRITERS[name](elements))


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
@pytest.mark.parametrize("target", SERIALIZER_NAMES)
def test_a_bare_binary_is_carried_from_every_format_to_every_other(name: str, target: str) -> None:
    message = _read(name, [16, 1, {"enc_algo": "cryptobox"}, "com.example.t", _binary(name)])

    assert isinstance(message, Publish)
    assert message.payload == BarePayload(DATA)
    assert message.payload.decoded() == ([DATA], {})
    written = serializer(target).encode(message)
    assert written == WRITERS[target]([16, 1, {"enc_algo": "cryptobox"}, "com.example.t", _binary(target)])
    assert serializer(target).decode(written) == message


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
def test_an_error_carries_one_too(name: str) -> None:
    elements = [8, 68, 1, {"enc_algo": "x_mine"}, "com.example.e", _binary(name)]
    message = _read(name, elements)

    assert isinstance(message, Error)
    assert message.payload == BarePayload(DATA)


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
@pytest.mark.parametrize(
    "options_and_rest",
    [
        ({}, "binary"),
        ({"ppt_scheme": "wamp"}, "binary"),
        ({"enc_serializer": "cbor"}, "binary"),
        ({"enc_algo": "cryptobox"}, "text"),
        ({"enc_algo": "cryptobox"}, {"a": 1}),
        ({"enc_algo": "cryptobox"}, None),
        ({"enc_algo": "cryptobox"}, "binary", {}),
        ({"enc_algo": "cryptobox"}, "binary", {"a": 1}),
    ],
    ids=repr,
)
def test_anything_else_in_the_place_of_the_list_is_a_violation(
    name: str, options_and_rest: tuple[Any, ...]
) -> None:
    options, *rest = options_and_rest
    rest = [_binary(name) if item == "binary" else item for item in rest]

    with pytest.raises(ProtocolViolation, match="Arguments must be a list"):
        _read(name, [16, 1, options, "com.example.t", *rest])


@pytest.mark.parametrize("algorithm", ["invalid", "", "x_", "cryptobox ", "cryptobox\n"])
@pytest.mark.parametrize("name", SERIALIZER_NAMES)
def test_an_unknown_algorithm_is_a_violation(name: str, algorithm: str) -> None:
    with pytest.raises(ProtocolViolation, match="enc_algo"):
        _read(name, [16, 1, {"enc_algo": algorithm}, "com.example.t", _binary(name)])


def test_text_that_is_no_base64_behind_the_mark_of_binary_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation, match="base64"):
        _read("json", [16, 1, {"enc_algo": "cryptobox"}, "com.example.t", "\0!"])
