"""`undefined`, which JavaScript's clients write where an option was not given, is as absent as in JSON."""

from collections.abc import Callable
from typing import Any

import cbor2
import msgpack
import pytest

from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Publish, Subscribe, SubscribeOptions
from heliograph.wire.serializers import serializer

UNDEFINED: dict[str, Any] = {"msgpack": msgpack.ExtType(0, b"\0"), "cbor": cbor2.undefined}
WRITERS: dict[str, Callable[[Any], bytes]] = {"msgpack": msgpack.packb, "cbor": cbor2.dumps}


@pytest.mark.parametrize("name", UNDEFINED)
def test_an_undefined_option_is_not_given(name: str) -> None:
    options = {"match": UNDEFINED[name], "get_retained": UNDEFINED[name]}

    message = serializer(name).decode(WRITERS[name]([32, 1, options, "a.b"]))

    assert message == Subscribe(1, SubscribeOptions(), "a.b")


@pytest.mark.parametrize("name", UNDEFINED)
def test_undefined_in_a_payload_is_left_out_or_null(name: str) -> None:
    undefined = UNDEFINED[name]
    args = [undefined, [1, undefined], {"gone": undefined, "kept": [None]}]

    message = serializer(name).decode(WRITERS[name]([16, 1, {}, "a.b", args, {"gone": undefined, "n": 1}]))

    assert isinstance(message, Publish)
    assert message.payload.decoded() == ([None, [1, None], {"kept": [None]}], {"n": 1})
    json_args, json_kwargs = message.payload.encoded(serializer("json"))
    assert (json_args, json_kwargs) == (b'[null,[1,null],{"kept":[null]}]', b'{"n":1}')


@pytest.mark.parametrize("name", UNDEFINED)
@pytest.mark.parametrize("place", ["request", "options", "topic"])
def test_undefined_in_place_of_a_required_part_is_no_message(name: str, place: str) -> None:
    parts = {"request": 1, "options": {}, "topic": "a.b", place: UNDEFINED[name]}

    with pytest.raises(ProtocolViolation):
        serializer(name).decode(WRITERS[name]([32, *parts.values()]))


def test_text_that_looks_like_undefined_stays_as_it_is() -> None:
    text = "\x54\x00\x00 \u00d4\x00\x00"
    binary = b"\xd4\x00\x00"

    message = serializer("msgpack").decode(msgpack.packb([16, 1, {}, "a.b", [text, binary, 2**63, 1.5]]))

    assert isinstance(message, Publish)
    assert message.payload.decoded()[0] == [text, binary, 2**63, 1.5]


def test_other_extensions_are_no_values_even_beside_undefined() -> None:
    args = [msgpack.ExtType(0, b"\0"), msgpack.ExtType(0, b"\1")]

    with pytest.raises(ProtocolViolation, match="an extension type is not a WAMP value"):
        serializer("msgpack").decode(msgpack.packb([16, 1, {}, "a.b", args]))
