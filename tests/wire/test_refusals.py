"""What is no WAMP message is refused, with `ProtocolViolation` and nothing else."""

import struct
from collections.abc import Callable
from typing import Any

import cbor2
import msgpack
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heliograph.wamp.errors import PayloadError, ProtocolViolation
from heliograph.wamp.messages import MESSAGE_TYPES, Error, Message, code_of
from heliograph.wamp.payload import PlainPayload
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer
from heliograph.wire.serializers.serializer import Serializer
from heliograph.wire.serializers.shapes import BEARING_PAYLOAD
from tests.wire.strategies import messages

WRITERS: dict[str, Callable[[Any], bytes]] = {
    "json": msgspec.json.encode,
    "msgpack": msgpack.packb,
    "cbor": cbor2.dumps,
}
"""Writers that write anything, ours not among them."""


@pytest.fixture(params=SERIALIZER_NAMES, scope="module")
def reader(request: pytest.FixtureRequest) -> Serializer:
    return serializer(request.param)


WRONG_SHAPES: dict[str, Any] = {
    "no list": {"0": 16},
    "a text": "PUBLISH",
    "a number": 16,
    "nothing": None,
    "an empty list": [],
    "an unknown code": [999, 1],
    "the code of nothing": [0],
    "a negative code": [-1],
    "a text as code": ["16", 1, {}, "a.b"],
    "a fraction as code": [16.5, 1, {}, "a.b"],
    "true as code": [True, "realm1", {}],
    "a list as code": [[16], 1, {}, "a.b"],
    "too short": [16, 1, {}],
    "too long": [16, 1, {}, "a.b", [], {}, 5],
    "too long without payload": [17, 1, 1, 5],
    "too long goodbye": [6, {}, "wamp.close.normal", []],
    "id zero": [17, 0, 1],
    "id above 2^53": [17, 1, 2**53 + 1],
    "an id of 2^63": [17, 1, 2**63],
    "a negative id": [17, -1, 1],
    "a fraction as id": [17, 1.5, 1],
    "a text as id": [17, "1", 1],
    "true as id": [17, True, 1],
    "null as id": [17, None, 1],
    "null as options": [16, 1, None, "a.b"],
    "a list as options": [16, 1, [], "a.b"],
    "a number as topic": [16, 1, {}, 5],
    "null as topic": [16, 1, {}, None],
    "null as args": [16, 1, {}, "a.b", None],
    "a text as args": [16, 1, {}, "a.b", "x"],
    "a map as args": [16, 1, {}, "a.b", {}],
    "null as kwargs": [16, 1, {}, "a.b", [], None],
    "a list as kwargs": [16, 1, {}, "a.b", [], []],
    "acknowledge of 1": [16, 1, {"acknowledge": 1}, "a.b"],
    "acknowledge of null": [16, 1, {"acknowledge": None}, "a.b"],
    "acknowledge of text": [16, 1, {"acknowledge": "true"}, "a.b"],
    "exclude_me of 0": [16, 1, {"exclude_me": 0}, "a.b"],
    "exclude of text": [16, 1, {"exclude": "x"}, "a.b"],
    "exclude of texts": [16, 1, {"exclude": ["x"]}, "a.b"],
    "eligible_authid of numbers": [16, 1, {"eligible_authid": [1]}, "a.b"],
    "an unknown match": [32, 1, {"match": "regexp"}, "a.b"],
    "match of null": [32, 1, {"match": None}, "a.b"],
    "an unknown invoke": [64, 1, {"invoke": "all"}, "a.b"],
    "an unknown cancel mode": [49, 1, {"mode": "gently"}],
    "a negative timeout": [48, 1, {"timeout": -1}, "a.b"],
    "roles of a list": [1, "realm1", {"roles": []}],
    "authmethods of text": [1, "realm1", {"authmethods": "ticket"}],
    "authid of a number": [1, "realm1", {"authid": 5}],
    "an error without details": [8, 48, 1, "com.example.no"],
}


@pytest.mark.parametrize("case", WRONG_SHAPES)
def test_a_wrong_shape_or_type_is_a_violation(reader: Serializer, case: str) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        reader.decode(WRITERS[reader.name](WRONG_SHAPES[case]))
    assert caught.value.message
    assert caught.value.reason == "wamp.error.protocol_violation"


@pytest.mark.parametrize("kind", MESSAGE_TYPES, ids=lambda kind: kind.__name__)
def test_every_message_has_a_least_and_a_greatest_length(reader: Serializer, kind: type[Message]) -> None:
    with pytest.raises(ProtocolViolation):
        reader.decode(WRITERS[reader.name]([code_of(kind)]))
    filler = [[]] * 10
    with pytest.raises(ProtocolViolation):
        reader.decode(WRITERS[reader.name]([code_of(kind), *filler]))


WRONG_JSON: dict[str, bytes] = {
    "nothing": b"",
    "white space": b"  ",
    "half a message": b'[16,1,{},"a.b"',
    "half a text": b'[16,1,{},"a.b',
    "two messages": b"[17,1,1][17,1,1]",
    "bytes after the end": b"[17,1,1] x",
    "bad UTF-8 in the topic": b'[16,1,{},"\xff"]',
    "bad UTF-8 in args": b'[16,1,{},"a.b",["\xff"]]',
    "bad UTF-8 in kwargs": b'[16,1,{},"a.b",[],{"\xc3\x28":1}]',
    "half a surrogate pair as bytes": b'[16,1,{},"a.b",["\xed\xa0\x80"]]',
    "half a surrogate pair in the topic": b'[16,1,{},"\\ud800"]',
    "half a surrogate pair in args": b'[16,1,{},"a.b",["\\ud800"]]',
    "NaN": b'[16,1,{},"a.b",[NaN]]',
    "Infinity": b'[16,1,{},"a.b",[Infinity]]',
    "single quotes": b"[16,1,{},'a.b']",
    "a comma at the end": b"[17,1,1,]",
    "a comment": b"[17,1,1]/**/",
    "a broken number": b'[16,1,{},"a.b",[01]]',
    "a broken escape": b'[16,1,{},"a.b",["\\x"]]',
    "a raw line break in text": b'[16,1,{},"a.b",["\n"]]',
    "a deep list": b'[16,1,{},"a.b",' + b"[" * 100_000,
    "deep args, closed": b'[16,1,{},"a.b",' + b"[" * 100_000 + b"]" * 100_000 + b"]",
    "deep options": b'[16,1,{"x_x":' + b'{"x":' * 100_000 + b"1" + b"}" * 100_000 + b'},"a.b"]',
    "a huge id": b"[17,1," + b"9" * 5000 + b"]",
    "UTF-16": "[17,1,1]".encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf[17,1,1]",
    "a NUL at the end": b"[17,1,1]\x00",
}

DEEP = 100_000

WRONG_MSGPACK: dict[str, bytes] = {
    "nothing": b"",
    "half a message": msgpack.packb([17, 1, 1])[:-1],
    "bytes after the end": msgpack.packb([17, 1, 1]) + b"\x00",
    "two messages": msgpack.packb([17, 1, 1]) * 2,
    "an unused byte": b"\xc1",
    "a length that is not there": b"\xdd\xff\xff\xff\xff",
    "a text longer than the message": b"\x94\x10\x01\x80\xdb\xff\xff\xff\xff",
    "bad UTF-8 in the topic": b"\x94\x10\x01\x80\xa1\xff",
    "bad UTF-8 in args": b"\x95\x10\x01\x80\xa3a.b\x91\xa1\xff",
    "bad UTF-8 in a key": b"\x96\x10\x01\x80\xa3a.b\x90\x81\xa1\xff\x01",
    "an extension in args": msgpack.packb([16, 1, {}, "a.b", [msgpack.ExtType(5, b"x")]]),
    "a timestamp in args": msgpack.packb([16, 1, {}, "a.b", [msgpack.Timestamp(1)]]),
    "an extension as topic": msgpack.packb([16, 1, {}, msgpack.ExtType(5, b"x")]),
    "a number as key of kwargs": msgpack.packb([16, 1, {}, "a.b", [], {1: 1}]),
    "deep args": b"\x95\x10\x01\x80\xa3a.b" + b"\x91" * DEEP + b"\xc0",
    "deep options": b"\x94\x10\x01\x81\xa3x_x" + b"\x91" * DEEP + b"\xc0" + b"\xa3a.b",
    "a key of kwargs that is a list": b"\x96\x10\x01\x80\xa3a.b\x90\x81\x90\x01",
}

WRONG_CBOR: dict[str, bytes] = {
    "nothing": b"",
    "half a message": cbor2.dumps([17, 1, 1])[:-1],
    "bytes after the end": cbor2.dumps([17, 1, 1]) + b"\x00",
    "two messages": cbor2.dumps([17, 1, 1]) * 2,
    "a break alone": b"\xff",
    "reserved additional information": b"\x1c",
    "a length that is not there": b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    "bytes that are not there": b"\x84\x10\x01\xa0\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "bad UTF-8 in the topic": b"\x84\x10\x01\xa0\x61\xff",
    "bad UTF-8 in args": b"\x85\x10\x01\xa0\x63a.b\x81\x61\xff",
    "a date in args": b"\x85\x10\x01\xa0\x63a.b\x81\xc1\x01",
    "a set in args": cbor2.dumps([16, 1, {}, "a.b", [{1, 2}]]),
    "a regular expression": b"\x85\x10\x01\xa0\x63a.b\x81\xd8\x23\x64(a+)",
    "a shareable that holds itself": b"\x85\x10\x01\xa0\x63a.b\x81\xd8\x1c\x81\xd8\x1d\x00",
    "a reference to a string": b"\x85\x10\x01\xa0\x63a.b\x81\xd9\x01\x00\x82\x63aaa\xd8\x19\x00",
    "a rational": b"\x85\x10\x01\xa0\x63a.b\x81\xd8\x1e\x82\x01\x00",
    "a huge decimal fraction": b"\x85\x10\x01\xa0\x63a.b\x81\xc4\x82\x1b\x7f" + b"\xff" * 7 + b"\x01",
    "a bigfloat": b"\x85\x10\x01\xa0\x63a.b\x81\xc5\x82\x1b\x7f" + b"\xff" * 7 + b"\x01",
    "an unknown tag": b"\x85\x10\x01\xa0\x63a.b\x81\xda\x00\x01\xe2\x40\x01",
    "an IP address": b"\x85\x10\x01\xa0\x63a.b\x81\xd8\x34\x44\x7f\x00\x00\x01",
    "a self-described message": b"\xd9\xd9\xf7" + cbor2.dumps([17, 1, 1]),
    "a number as key of kwargs": cbor2.dumps([16, 1, {}, "a.b", [], {1: 1}]),
    "a list as key": b"\x86\x10\x01\xa0\x63a.b\x80\xa1\x80\x01",
    "a map as key in args": b"\x85\x10\x01\xa0\x63a.b\x81\xa1\xa0\x01",
    "deep args": b"\x85\x10\x01\xa0\x63a.b" + b"\x81" * DEEP + b"\xf6",
    "deep tags": b"\x85\x10\x01\xa0\x63a.b\x81" + b"\xc2" * DEEP + b"\x41\x01",
    "deep maps": b"\x84\x10\x01" + b"\xa1\x61x" * DEEP + b"\xf6\x63a.b",
    "an endless list": b"\x9f" + b"\x00" * 1000,
    "a list without end in args": b"\x85\x10\x01\xa0\x63a.b\x9f\x01",
    "undefined as args": b"\x85\x10\x01\xa0\x63a.b\xf7",
    "an IPv6 address": b"\x85\x10\x01\xa0\x63a.b\x81\xd8\x36\x50" + b"\x00" * 16,
}

WRONG_BYTES = {"json": WRONG_JSON, "msgpack": WRONG_MSGPACK, "cbor": WRONG_CBOR}


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name, cases in WRONG_BYTES.items() for case in cases]
)
def test_bytes_that_are_no_message_are_a_violation(name: str, case: str) -> None:
    with pytest.raises(ProtocolViolation):
        serializer(name).decode(WRONG_BYTES[name][case])


def test_a_number_beyond_all_bounds_is_refused_or_bounded_by_the_message() -> None:
    """A tag in three bytes must not make a number of gigabytes."""
    value = serializer("cbor").decode(b"\x85\x10\x01\xa0\x63a.b\x81\xc2\x49\x01" + b"\x00" * 8)
    assert value.payload.decoded() == ([2**64], {})  # type: ignore[attr-defined]  # PUBLISH


# Values that one format has and another has not


@pytest.mark.parametrize(
    ("source", "raw", "targets"),
    [
        ("cbor", cbor2.dumps([float("nan")]), ("json",)),
        ("msgpack", msgpack.packb([float("inf")]), ("json",)),
        ("cbor", cbor2.dumps([float("-inf")]), ("json",)),
        ("cbor", cbor2.dumps([2**64]), ("msgpack",)),
        ("cbor", cbor2.dumps([-(2**63) - 1]), ("msgpack",)),
        ("json", b"[18446744073709551616]", ("msgpack",)),
        ("json", b"[1e999]", ("msgpack", "cbor")),
        ("json", b'["\\u0000not base64"]', ("msgpack", "cbor")),
        ("json", b'["\\u0000AQ="]', ("msgpack", "cbor")),
        ("msgpack", msgpack.packb(["\0text"]), ("json",)),
        ("cbor", b"\x81\xf8\x63", ("json", "msgpack")),
    ],
    ids=[
        "NaN", "Infinity", "-Infinity", "2^64", "below -2^63", "2^64 from JSON", "1e999", "no base64",
        "short base64", "a text that begins with NUL", "simple value",
    ],
)  # fmt: skip
def test_a_value_the_other_format_has_not_is_a_payload_error(
    source: str, raw: bytes, targets: tuple[str, ...]
) -> None:
    payload = _payload_of(source, raw)
    for target in targets:
        with pytest.raises(PayloadError):
            payload.encoded(serializer(target))


def _payload_of(name: str, raw: bytes) -> Any:
    opener = {
        "json": b'[16,1,{},"a.b",%b]',
        "msgpack": b"\x95\x10\x01\x80\xa3a.b%b",
        "cbor": b"\x85\x10\x01\xa0\x63a.b%b",
    }
    return serializer(name).decode(opener[name] % raw).payload  # type: ignore[attr-defined]  # PUBLISH


UNUSUAL_VALUES: dict[str, Any] = {
    "an object": object(),
    "NaN": float("nan"),
    "half a surrogate pair": "\ud800",
    "half a surrogate pair as key": {"\ud800": 1},
    "a tuple as key": {(1, 2): 1},
    "a fraction as key": {1.5: 1},
    "a function": print,
    "a class": type,
    "an exception": Exception("x"),
    "an object in a list": [object()],
    "an object in a map": {"k": object()},
    "a complex number": 1j,
    "a huge number": 2**70_000,
    "a text that begins with NUL": "\0text",
}


@pytest.mark.parametrize("case", UNUSUAL_VALUES)
def test_encoding_raises_nothing_but_payload_error(reader: Serializer, case: str) -> None:
    try:
        encoded = reader.encode_value(UNUSUAL_VALUES[case])
    except PayloadError:
        return
    assert isinstance(encoded, bytes)


@pytest.mark.parametrize("value", [object(), "\ud800", cbor2.undefined, 2**70], ids=repr)
def test_encoding_details_of_free_form_raises_nothing_but_payload_error(
    reader: Serializer, value: Any
) -> None:
    try:
        encoded = reader.encode(Error(48, 1, {"x_free": value}, "com.example.no"))
    except PayloadError:
        return
    assert isinstance(encoded, bytes)


def test_values_that_hold_themselves_are_refused(reader: Serializer) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(PayloadError):
        reader.encode_value(cycle)
    with pytest.raises(PayloadError):
        PlainPayload([cycle]).encoded(reader)


# Nothing but these two exceptions


@settings(max_examples=500)
@given(data=st.binary(max_size=200))
@example(b"\x95\x10\x01\x80\xa3a.b" + struct.pack(">bI", -35, 2**32 - 1))
def test_decoding_any_bytes_raises_nothing_but_a_violation(reader: Serializer, data: bytes) -> None:
    try:
        message = reader.decode(data)
    except ProtocolViolation:
        return
    assert isinstance(message, Message)


@settings(max_examples=500)
@given(data=st.binary(max_size=200))
def test_decoding_any_value_raises_nothing_but_payload_error(reader: Serializer, data: bytes) -> None:
    try:
        reader.decode_value(data)
    except PayloadError:
        return


@settings(max_examples=300)
@given(message=messages(), data=st.data())
def test_a_damaged_message_is_read_or_refused_and_never_more(
    reader: Serializer, message: Message, data: st.DataObject
) -> None:
    """Flip, cut, double: what gets through must be whole enough to be passed on in its own format."""
    raw = bytearray(reader.encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(raw) - 1)))
        match data.draw(st.sampled_from(["set", "cut", "double", "insert"])):
            case "set":
                raw[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
            case "cut":
                del raw[at:]
            case "double":
                raw[at:at] = raw[at : at + 8]
            case "insert":
                raw[at:at] = data.draw(st.binary(max_size=9))
    try:
        damaged = reader.decode(bytes(raw))
    except ProtocolViolation:
        return
    _pass_on(reader, damaged)


LOOSE_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 2**54),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(st.sampled_from(["acknowledge", "match", "roles", "x_y"]), inner),
    ),
    max_leaves=10,
)


@settings(max_examples=300)
@given(value=LOOSE_VALUES, code=st.sampled_from([code_of(kind) for kind in MESSAGE_TYPES]))
def test_any_list_that_begins_with_a_code_is_read_or_refused(
    reader: Serializer, value: Any, code: int
) -> None:
    elements = [code, *(value if isinstance(value, list) else [value])]
    try:
        raw = WRITERS[reader.name](elements)
    except (OverflowError, ValueError):
        return
    try:
        message = reader.decode(raw)
    except ProtocolViolation:
        return
    _pass_on(reader, message)


def _pass_on(reader: Serializer, message: Message) -> None:
    again = reader.encode(message)
    assert reader.decode(again) == message or type(message) not in BEARING_PAYLOAD or _is_odd(message)
    for name in SERIALIZER_NAMES:
        try:
            serializer(name).encode(message)
        except PayloadError:
            continue


def _is_odd(message: Any) -> bool:
    """Whether the payload holds what is not equal to itself, or cannot be read."""
    try:
        return bool(message.payload != message.payload)
    except PayloadError:
        return True
