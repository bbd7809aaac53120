"""Batches: messages in, the same messages out; everything else is refused."""

import json
import struct
from collections.abc import Iterator
from itertools import pairwise

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Event, EventDetails
from heliograph.wamp.payload import PlainPayload
from heliograph.wire.batched import BatchError, Batching, batches, batching
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer

JSON = batching(is_binary=False)
BINARY = batching(is_binary=True)

MESSAGES = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20)


@given(MESSAGES)
def test_binary_messages_come_out_as_they_went_in(messages: list[bytes]) -> None:
    assert list(BINARY.unwrap(b"".join(map(BINARY.wrap, messages)))) == messages


@given(st.lists(st.text(max_size=50), min_size=1, max_size=20))
def test_json_messages_come_out_as_they_went_in(texts: list[str]) -> None:
    """Whatever a text holds, 0x1e in it is escaped: no publisher can put a message of its own into a batch."""
    codec = serializer("json")
    events = [Event(1, 2, EventDetails(), PlainPayload([f"\x1e{text}"])) for text in texts]
    batch = b"".join(JSON.wrap(codec.encode(event)) for event in events)
    assert [codec.decode(message) for message in JSON.unwrap(batch)] == events


@pytest.mark.parametrize("message", [b'[16,1,{},"a.b",["\x1e[]\x1e"]]', b'[16,1,{},"a.b",[1\x1e]]'])
def test_the_separator_cannot_come_in_with_a_payload(message: bytes) -> None:
    """Payloads are passed on unread: what held the separator would end a batch wherever it goes."""
    with pytest.raises(ProtocolViolation):
        serializer("json").decode(message)


def test_the_form_is_that_of_the_specification() -> None:
    assert JSON.wrap(b"[1]") == b"[1]\x1e"
    assert BINARY.wrap(b"abc") == b"\x00\x00\x00\x03abc"


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
def test_each_serializer_has_its_batching(name: str) -> None:
    codec = serializer(name)
    event = Event(1, 2, EventDetails(), PlainPayload(["x"]))
    wrapped = batching(is_binary=codec.is_binary).wrap(codec.encode(event))
    if name == "json":
        assert json.loads(wrapped.removesuffix(b"\x1e"))[0] == 36
    elif name == "msgpack":
        assert msgpack.unpackb(wrapped[4:])[0] == 36
    else:
        assert struct.unpack("!L", wrapped[:4]) == (len(wrapped) - 4,)


@pytest.mark.parametrize(
    ("form", "batch", "good"),
    [
        (JSON, b"", []),
        (JSON, b"[1]", []),
        (JSON, b"[1]\x1e[2]", [b"[1]"]),
        (JSON, b"\x1e", []),
        (JSON, b"[1]\x1e\x1e", [b"[1]"]),
        (BINARY, b"", []),
        (BINARY, b"\x00\x00\x00", []),
        (BINARY, b"\x00\x00\x00\x01a\x00", [b"a"]),
        (BINARY, b"\x00\x00\x00\x02a", []),
        (BINARY, b"\xff\xff\xff\xffa", []),
        (BINARY, b"\x00\x00\x00\x00", []),
    ],
    ids=[
        "json: empty",
        "json: no separator",
        "json: the last one without a separator",
        "json: a message of no bytes",
        "json: a second message of no bytes",
        "binary: empty",
        "binary: half a length",
        "binary: half a length behind a message",
        "binary: half a message",
        "binary: a length of 4 GiB",
        "binary: a message of no bytes",
    ],
)
def test_what_is_no_batch_is_refused_behind_what_is_good(
    form: Batching, batch: bytes, good: list[bytes]
) -> None:
    messages = form.unwrap(batch)
    assert [next(messages) for _ in good] == good
    with pytest.raises(BatchError):
        next(messages)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_refused(data: bytes) -> None:
    for form in (JSON, BINARY):
        assert rewrapped(form, form.unwrap(data)) in (data, None)


def rewrapped(form: Batching, messages: Iterator[bytes]) -> bytes | None:
    try:
        return b"".join(map(form.wrap, messages))
    except BatchError:
        return None


def test_a_large_batch_is_cut_out_one_by_one() -> None:
    """Nothing is cut before it is asked for: a batch of a million messages costs no more than its bytes."""
    messages = BINARY.unwrap(BINARY.wrap(b"x") + b"\xff")
    assert next(messages) == b"x"


@given(MESSAGES, st.integers(1, 1000))
def test_batches_keep_order_and_size(messages: list[bytes], limit: int) -> None:
    joined = list(batches(messages, limit))
    assert b"".join(joined) == b"".join(messages)
    longest = max(map(len, messages))
    assert all(len(batch) <= max(limit, longest) for batch in joined)
    # No two neighbours would have fitted into one.
    assert all(len(first) + len(second) > limit for first, second in pairwise(joined))
