"""Every message goes through every serializer and comes out the same."""

import json
from typing import Any

import cbor2
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.wamp.messages import (
    MESSAGE_TYPES,
    PLAIN_EVENT,
    CallOptions,
    CloseDetails,
    Event,
    EventDetails,
    Goodbye,
    Hello,
    HelloDetails,
    Message,
    Publish,
    PublishOptions,
    Unsubscribed,
    UnsubscribedDetails,
    Yield,
    YieldOptions,
    code_of,
)
from heliograph.wamp.payload import EMPTY, BarePayload, EncodedPayload, Payload, PlainPayload
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer
from heliograph.wire.serializers.serializer import Serializer
from tests.wire.strategies import PAYLOADS, VALUES, struct

FOREIGN_READERS: dict[str, Any] = {"json": json.loads, "msgpack": msgpack.unpackb, "cbor": cbor2.loads}
"""Other people's decoders: what we write must be theirs to read."""


@pytest.fixture(params=SERIALIZER_NAMES, scope="module")
def written(request: pytest.FixtureRequest) -> Serializer:
    return serializer(request.param)


@pytest.mark.parametrize("kind", MESSAGE_TYPES, ids=lambda kind: kind.__name__)
@settings(max_examples=25)  # a kind and a serializer
@given(data=st.data())
def test_a_message_comes_out_as_it_went_in(
    written: Serializer, kind: type[Message], data: st.DataObject
) -> None:
    message = data.draw(struct(kind))
    encoded = written.encode(message)
    assert written.decode(encoded) == message
    assert FOREIGN_READERS[written.name](encoded)[0] == code_of(kind)


@given(message=struct(Event))
def test_what_was_read_in_one_format_can_be_written_in_another(written: Serializer, message: Event) -> None:
    for name in SERIALIZER_NAMES:
        other = serializer(name)
        assert other.decode(other.encode(written.decode(written.encode(message)))) == message


@given(payload=PAYLOADS)
def test_a_payload_survives_every_chain_of_formats(payload: PlainPayload) -> None:
    args, kwargs = payload.decoded()
    for name in ("json", "cbor", "msgpack", "json", "msgpack", "cbor"):
        written = serializer(name)
        message = written.decode(written.encode(Publish(1, PublishOptions(), "a.b", payload)))
        assert isinstance(message, Publish)
        payload = message.payload  # type: ignore[assignment]  # any payload goes on
    assert payload.decoded() == (args, kwargs)


@given(value=VALUES)
def test_a_value_comes_out_as_it_went_in(written: Serializer, value: Any) -> None:
    assert written.decode_value(written.encode_value(value)) == value


@pytest.mark.parametrize(
    ("message", "elements"),
    [
        (Hello("realm1", HelloDetails(roles={"caller": {}})), [1, "realm1", {"roles": {"caller": {}}}]),
        (Goodbye(CloseDetails(), "wamp.close.normal"), [6, {}, "wamp.close.normal"]),
        (Publish(7, PublishOptions(), "a.b"), [16, 7, {}, "a.b"]),
        (Publish(7, PublishOptions(acknowledge=True), "a.b"), [16, 7, {"acknowledge": True}, "a.b"]),
        (Publish(7, PublishOptions(exclude_me=False), "a.b"), [16, 7, {"exclude_me": False}, "a.b"]),
        (Publish(7, PublishOptions(), "a.b", PlainPayload([1])), [16, 7, {}, "a.b", [1]]),
        (Publish(7, PublishOptions(), "a.b", PlainPayload([], {"k": 1})), [16, 7, {}, "a.b", [], {"k": 1}]),
        (Publish(7, PublishOptions(), "a.b", PlainPayload([1], {"k": 1})), [16, 7, {}, "a.b", [1], {"k": 1}]),
        (Event(5, 6, EventDetails(topic="a.b")), [36, 5, 6, {"topic": "a.b"}]),
        (Unsubscribed(7), [35, 7]),
        (Unsubscribed(0, UnsubscribedDetails(subscription=5)), [35, 0, {"subscription": 5}]),
        (Yield(7, YieldOptions(), PlainPayload([None])), [70, 7, {}, [None]]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Message) else "",
)
def test_the_shape_on_the_wire_is_the_specifications(
    written: Serializer, message: Message, elements: list[Any]
) -> None:
    """Empty arguments and options at their default are left out."""
    encoded = written.encode(message)
    assert FOREIGN_READERS[written.name](encoded) == elements
    assert written.decode(encoded) == message


@pytest.mark.parametrize(
    "details", [{"x_private": [1, {"deep": b""}]}, {"_private_key": 1}, {"unknown": None}]
)
def test_keys_of_details_that_nobody_knows_are_ignored(written: Serializer, details: dict[str, Any]) -> None:
    raw = written.encode_value([16, 1, details, "a.b", [1]])
    assert written.decode(raw) == Publish(1, PublishOptions(), "a.b", PlainPayload([1]))


def test_empty_arguments_that_were_sent_are_taken(written: Serializer) -> None:
    for elements in ([16, 1, {}, "a.b", []], [16, 1, {}, "a.b", [], {}]):
        message = written.decode(written.encode_value(elements))
        assert isinstance(message, Publish)
        assert message.payload == EMPTY


@pytest.mark.parametrize("number", [1, 2**53])
def test_ids_may_be_from_one_to_two_to_the_53(written: Serializer, number: int) -> None:
    message = written.decode(written.encode_value([17, number, number]))
    assert written.decode(written.encode(message)) == message


def test_the_payload_is_not_written_anew_for_its_own_format() -> None:
    """Fan-out stands on it: an event goes to subscribers of the publisher's format byte for byte."""
    raw = b'[16,1,{},"a.b",[ 1.50, "\\u00e4" ],{"k":\t1e2}]'
    message = serializer("json").decode(raw)
    assert isinstance(message, Publish)
    event = Event(5, 6, EventDetails(), message.payload)
    assert serializer("json").encode(event) == b'[36,5,6,{},[ 1.50, "\\u00e4" ],{"k":\t1e2}]'


PAYLOADS: list[Payload] = [
    *(
        EMPTY,
        PlainPayload(),
        PlainPayload([1, "ü"]),
        PlainPayload([], {"a": 1}),
        PlainPayload([1], {"a": b"x"}),
    ),
    *(
        EncodedPayload(serializer("json"), *parts)
        for parts in ((b"[1]", b""), (b"[]", b'{"a":1}'), (b"", b""))
    ),
    *(EncodedPayload(serializer("msgpack"), *parts) for parts in ((b"\x91\x01", b""), (b"\x90", b"\x80"))),
    BarePayload(b"packed"),
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=repr)
def test_a_plain_event_is_written_as_any_other(written: Serializer, payload: Payload) -> None:
    for subscription, publication in ((1, 1), (2**53, 2**53)):
        plain, other = (
            written.encode(Event(subscription, publication, details, payload))
            for details in (PLAIN_EVENT, EventDetails())
        )
        assert plain == other


def test_the_payload_is_a_copy_of_the_bytes_that_came() -> None:
    message = serializer("json").decode(b'[16,1,{},"a.b",[1],{"k":2}]')
    assert isinstance(message, Publish)
    assert isinstance(message.payload, EncodedPayload)
    assert (type(message.payload.args), type(message.payload.kwargs)) == (bytes, bytes)


# Binary


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", '"\\u0000"'),
        (b"\x10\xe3\xff\x90\x53\x07\x5c\x52", '"\\u0000EOP/kFMHXFI="'),
        (b"\x00", '"\\u0000AA=="'),
    ],
)
def test_binary_in_json_is_nul_and_base64(value: bytes, text: str) -> None:
    json_serializer = serializer("json")
    assert json.loads(json_serializer.encode_value([value])) == json.loads(f"[{text}]")
    assert json_serializer.decode_value(f"[{text}]".encode()) == [value]
    raw = f'[16,1,{{}},"a.b",[{text}],{{"k":[{text}]}}]'.encode()
    message = json_serializer.decode(raw)
    for name in ("cbor", "msgpack"):
        other = serializer(name)
        again = other.decode(other.encode(message))
        assert isinstance(again, Publish)
        assert again.payload.decoded() == ([value], {"k": [value]})


def test_binary_in_json_may_be_spelled_with_any_escape_of_nul() -> None:
    assert serializer("json").decode_value(b'["\\u0000AQ=="]') == [b"\x01"]


# The serializers themselves


def test_there_is_one_of_each_and_no_other() -> None:
    assert [serializer(name).name for name in SERIALIZER_NAMES] == list(SERIALIZER_NAMES)
    assert serializer("json") is serializer("json")
    with pytest.raises(LookupError, match="there are json, msgpack, cbor"):
        serializer("ubjson")


def test_text_frames_are_for_json_alone() -> None:
    assert [serializer(name).is_binary for name in SERIALIZER_NAMES] == [False, True, True]


def test_options_of_a_message_are_values_that_do_not_change() -> None:
    options = CallOptions()
    with pytest.raises(AttributeError):
        options.timeout = 5  # type: ignore[misc]  # that is the point
