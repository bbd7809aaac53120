"""What frames are made of messages, and for how many receivers at once."""

import random
from typing import Any

import pytest

from heliograph.transports.websocket_format import (
    BATCH_BYTES,
    COMPRESSION_UNITS,
    FrameOptions,
    SentCompression,
    dialect,
)
from heliograph.wamp.messages import Event, EventDetails
from heliograph.wamp.payload import PlainPayload
from heliograph.wire.serializers import serializer

JSON, CBOR = serializer("json"), serializer("cbor")
ALONE, IN_CONTEXT = SentCompression(15, keeps_context=False), SentCompression(15, keeps_context=True)
RSV1 = 0x40


def event(value: Any) -> Event:
    return Event(1, 2, EventDetails(), PlainPayload([value]))


def test_what_compression_makes_larger_goes_as_it_is() -> None:
    made = dialect(CBOR, ALONE, FrameOptions(), is_batched=False)
    noise = random.Random(1).randbytes(1000)
    assert not made.wire_format.frame(event(noise))[0] & RSV1
    assert made.wire_format.frame(event("light " * 100))[0] & RSV1


def test_small_messages_are_not_compressed() -> None:
    made = dialect(JSON, ALONE, FrameOptions(least_compressed_bytes=100), is_batched=False)
    assert not made.wire_format.frame(event("a" * 50))[0] & RSV1
    assert made.wire_format.frame(event("a" * 200))[0] & RSV1


def test_a_context_leaves_out_small_messages_without_losing_its_place() -> None:
    made = dialect(JSON, IN_CONTEXT, FrameOptions(least_compressed_bytes=100), is_batched=False)
    assert made.new_framer is not None
    framer = made.new_framer()
    frames = [
        framer.finish([made.wire_format.frame(event(text))])
        for text in ("a" * 50, "ab" * 100, "a" * 50, "ab" * 100)
    ]
    assert [bool(frame[0] & RSV1) for frame in frames] == [False, True, False, True]
    assert len(frames[3]) < len(frames[1])


@pytest.mark.parametrize("compression", [None, ALONE])
def test_a_batch_is_made_once_for_all_who_get_the_same(compression: SentCompression | None) -> None:
    made = dialect(JSON, compression, FrameOptions(), is_batched=True)
    assert made.new_framer is not None
    first, second = made.new_framer(), made.new_framer()
    outbox = [made.wire_format.frame(event(number)) for number in range(100)]
    finished = first.finish(outbox)
    assert second.finish(list(outbox)) is finished
    assert second.finish(outbox[:-1]) != finished
    # What was made before does not come again for what is new.
    assert first.finish([*outbox[:-1], made.wire_format.frame(event("new"))]) != finished


def test_large_batches_are_not_kept() -> None:
    made = dialect(JSON, None, FrameOptions(), is_batched=True)
    assert made.new_framer is not None
    framer = made.new_framer()
    outbox = [made.wire_format.frame(event("x" * BATCH_BYTES)) for _ in range(2)]
    finished = framer.finish(outbox)
    again = framer.finish(outbox)
    assert again == finished
    assert again is not finished


def test_a_context_is_one_connections_own() -> None:
    made = dialect(JSON, IN_CONTEXT, FrameOptions(), is_batched=False)
    assert made.new_framer is not None
    message = made.wire_format.frame(event("light " * 100))
    assert made.new_framer().finish([message]) == made.new_framer().finish([message])
    framer = made.new_framer()
    assert framer.finish([message]) != framer.finish([message])


def test_compressing_for_each_receiver_counts_as_more_work() -> None:
    costs = {
        (compression, is_batched): dialect(
            JSON, compression, FrameOptions(), is_batched=is_batched
        ).wire_format.delivery_units
        for compression in (None, ALONE, IN_CONTEXT)
        for is_batched in (False, True)
    }
    assert {key for key, units in costs.items() if units == COMPRESSION_UNITS} == {
        (IN_CONTEXT, False),
        (IN_CONTEXT, True),
    }
    assert all(units in (1, COMPRESSION_UNITS) for units in costs.values())


def test_an_event_is_shared_although_each_receiver_has_its_context() -> None:
    """The outbox holds the encoded message: one object for all, whatever is made of it."""
    made = dialect(JSON, IN_CONTEXT, FrameOptions(), is_batched=False)
    assert made.wire_format.frame(event(1)) == JSON.encode(event(1))


def test_fragments_are_as_large_as_was_said() -> None:
    made = dialect(JSON, None, FrameOptions(fragment_bytes=125), is_batched=False)
    frames = made.wire_format.frame(event("x" * 300))
    assert frames[:2] == b"\x01\x7d"
    assert frames[127:129] == b"\x00\x7d"
    assert frames[254] == 0x80
