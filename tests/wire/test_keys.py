"""The keys of dictionaries are text, in every format, at every depth, wherever a message has a dictionary."""

from collections.abc import Callable
from typing import Any

import cbor2
import msgpack
import pytest

from benchmarks.attacks import colliding_keys
from heliograph.wamp.errors import PayloadError, ProtocolViolation
from heliograph.wamp.messages import (
    Authenticate,
    Challenge,
    Error,
    Hello,
    HelloDetails,
    Message,
    Publish,
    PublishOptions,
    Yield,
    YieldOptions,
)
from heliograph.wamp.payload import EMPTY, PlainPayload
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer

WRITERS: dict[str, Callable[[Any], bytes]] = {
    "msgpack": lambda value: msgpack.packb(value, strict_types=False),
    "cbor": cbor2.dumps,
}
OTHER_KEYS: dict[str, Any] = {
    "a whole number": 1,
    "0": 0,
    "a negative number": -7,
    "a large number": 2**63,
    "a fraction": 1.5,
    "binary": b"a",
    "true": True,
    "null": None,
}
PLACES: dict[str, Callable[[Any], list[Any]]] = {
    "HELLO.Details": lambda inner: [1, "r", {"roles": {"caller": {}}, **inner}],
    "HELLO.Details.roles": lambda inner: [1, "r", {"roles": inner}],
    "features": lambda inner: [1, "r", {"roles": {"caller": {"features": inner}}}],
    "authextra": lambda inner: [1, "r", {"roles": {"caller": {}}, "authextra": inner}],
    "deep in authextra": lambda inner: [1, "r", {"roles": {"caller": {}}, "authextra": {"a": [[inner]]}}],
    "an unknown detail": lambda inner: [1, "r", {"roles": {"caller": {}}, "x_y": inner}],
    "AUTHENTICATE.Extra": lambda inner: [5, "s", inner],
    "CHALLENGE.Extra": lambda inner: [4, "ticket", inner],
    "ERROR.Details": lambda inner: [8, 68, 1, inner, "a.b"],
    "PUBLISH.Options": lambda inner: [16, 1, inner, "a.b"],
    "an unknown option": lambda inner: [16, 1, {"x_y": inner}, "a.b"],
    "an unknown option of CALL": lambda inner: [48, 1, {"x_y": [inner]}, "a.b"],
    "Arguments": lambda inner: [16, 1, {}, "a.b", [inner]],
    "deep in Arguments": lambda inner: [16, 1, {}, "a.b", [[{"a": [inner]}]]],
    "ArgumentsKw": lambda inner: [16, 1, {}, "a.b", [], inner],
    "deep in ArgumentsKw": lambda inner: [48, 1, {}, "a.b", [], {"a": {"b": inner}}],
    "a result": lambda inner: [70, 1, {}, [], {"a": inner}],
    "an event": lambda inner: [36, 1, 1, {}, [inner]],
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", OTHER_KEYS)
def test_no_message_is_read_with_a_key_that_is_no_text(name: str, place: str, key: str) -> None:
    data = WRITERS[name](PLACES[place]({OTHER_KEYS[key]: 1}))
    with pytest.raises(ProtocolViolation):
        serializer(name).decode(data)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("place", PLACES)
def test_a_key_that_is_text_is_read_there(name: str, place: str) -> None:
    if place != "HELLO.Details.roles":
        serializer(name).decode(WRITERS[name](PLACES[place]({"x_text": {}})))


@pytest.mark.parametrize("name", WRITERS)
def test_beside_undefined_they_are_refused_as_well(name: str) -> None:
    undefined: Any = msgpack.ExtType(0, b"\0") if name == "msgpack" else cbor2.undefined
    with pytest.raises(ProtocolViolation):
        serializer(name).decode(WRITERS[name]([16, 1, {"match": undefined}, "a.b", [{1: 1}]]))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("key", OTHER_KEYS)
def test_no_value_is_read_with_one(name: str, key: str) -> None:
    with pytest.raises(PayloadError):
        serializer(name).decode_value(WRITERS[name]([{OTHER_KEYS[key]: 1}]))


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
@pytest.mark.parametrize("key", OTHER_KEYS)
def test_no_value_is_written_with_one(name: str, key: str) -> None:
    with pytest.raises(PayloadError):
        serializer(name).encode_value([{"a": {OTHER_KEYS[key]: 1}}])


MESSAGES: dict[str, Callable[[Any], Message]] = {
    "HELLO.Details.authextra": lambda inner: Hello("r", HelloDetails(roles={"caller": {}}, authextra=inner)),
    "CHALLENGE.Extra": lambda inner: Challenge("ticket", inner),
    "AUTHENTICATE.Extra": lambda inner: Authenticate("s", {"a": [inner]}),
    "ERROR.Details": lambda inner: Error(48, 1, inner, "a.b", EMPTY),
    "Arguments": lambda inner: Publish(1, PublishOptions(), "a.b", PlainPayload([inner])),
    "ArgumentsKw": lambda inner: Yield(1, YieldOptions(), PlainPayload([], {"a": inner})),
}


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
@pytest.mark.parametrize("place", MESSAGES)
def test_no_message_is_written_with_one(name: str, place: str) -> None:
    with pytest.raises(PayloadError):
        serializer(name).encode(MESSAGES[place]({1: 1}))
    assert serializer(name).decode(serializer(name).encode(MESSAGES[place]({"x": 1}))) is not None


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
def test_a_text_that_is_repeated_costs_no_more_than_its_bytes(name: str) -> None:
    pairs = 50_000
    writers = {
        "json": lambda keys: b'[16,1,{},"a",[{%b}]]' % b",".join(b'"%b":0' % key for key in keys),
        "msgpack": lambda keys: b"\x95\x10\x01\x80\xa1a\x91\xdf%b" % (
            pairs.to_bytes(4, "big") + b"".join(b"\xa5%b\0" % key for key in keys)
        ),
        "cbor": lambda keys: b"\x85\x10\x01\xa0\x61a\x81\xba%b" % (
            pairs.to_bytes(4, "big") + b"".join(b"\x65%b\0" % key for key in keys)
        ),
    }  # fmt: skip
    repeated = writers[name]([b"%05d" % (number % 7) for number in range(pairs)])
    message = serializer(name).decode(repeated)
    assert len(message.payload.decoded()[0][0]) == 7  # type: ignore[attr-defined]  # PUBLISH


def test_numbers_chosen_to_collide_are_refused_at_the_first_of_them() -> None:
    """86,000 of them and 52,000 repeats of one took seconds; what is left of the message is not even looked at."""
    numbers = colliding_keys()
    head = b"\x93\x01\xa1r\x82\xa5roles\x81\xa6caller\x80\xa9authextra\x81\xa1a"
    with pytest.raises(ProtocolViolation, match="keys of dictionaries must be texts"):
        serializer("msgpack").decode(head + numbers[: len(numbers) // 2])
    with pytest.raises(ProtocolViolation, match="keys of dictionaries must be texts"):
        serializer("msgpack").decode(head + numbers)
