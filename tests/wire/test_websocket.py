"""Messages out of frames, and frames around messages."""

import struct
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.wire import websocket
from heliograph.wire.websocket import (
    BINARY,
    CONTINUATION,
    TEXT,
    MessageReader,
    WebSocketViolation,
    compressed_fragments,
)

LIMIT = 100


def read(reader: MessageReader, opcode: int, payload: bytes, *, fin: bool = True) -> bytes | None:
    return reader.read(opcode, payload, fin=fin, reserved=False)


@given(message=st.binary(max_size=LIMIT), cuts=st.lists(st.integers(0, LIMIT), max_size=10))
def test_a_message_is_put_together_from_any_fragments(message: bytes, cuts: list[int]) -> None:
    reader = MessageReader(BINARY, LIMIT)
    edges = [0, *sorted(min(cut, len(message)) for cut in cuts), len(message)]
    parts = [message[start:end] for start, end in pairwise(edges)]
    for _ in range(2):  # the second time shows that nothing is left of the first
        for number, part in enumerate(parts):
            is_last = number == len(parts) - 1
            whole = read(reader, CONTINUATION if number else BINARY, part, fin=is_last)
            assert (whole == message) if is_last else (whole is None)


def test_text_is_checked_across_fragments() -> None:
    reader = MessageReader(TEXT, LIMIT)
    umlaut = "ä".encode()
    assert read(reader, TEXT, umlaut[:1], fin=False) is None
    assert read(reader, CONTINUATION, umlaut[1:]) == umlaut


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(CONTINUATION, b"", True)], 1002),
        ([(TEXT, b"a", False), (TEXT, b"b", True)], 1002),
        ([(BINARY, b"", True)], 1003),
        ([(TEXT, b"\xff", True)], 1007),
        ([(TEXT, b"\xed\xa0\x80", True)], 1007),
        ([(TEXT, b"\xc3", False), (CONTINUATION, b"", True)], 1007),
        ([(TEXT, b"x" * (LIMIT + 1), True)], 1009),
        ([(TEXT, b"x" * LIMIT, False), (CONTINUATION, b"x", False)], 1009),
    ],
    ids=[
        "a continuation of nothing",
        "a message inside another",
        "the wrong kind",
        "bad UTF-8",
        "half a surrogate pair",
        "a text that ends inside a character",
        "too large",
        "too large in fragments",
    ],
)
def test_what_may_not_stand_there_is_refused_with_its_close_code(
    frames: list[tuple[int, bytes, bool]], code: int
) -> None:
    reader = MessageReader(TEXT, LIMIT)
    *before, last = frames
    for opcode, payload, fin in before:
        assert read(reader, opcode, payload, fin=fin) is None
    with pytest.raises(WebSocketViolation) as caught:
        read(reader, last[0], last[1], fin=last[2])
    assert caught.value.close_code == code
    assert caught.value.reason


def test_a_reserved_bit_is_refused() -> None:
    with pytest.raises(WebSocketViolation) as caught:
        MessageReader(TEXT, LIMIT).read(TEXT, b"x", fin=True, reserved=True)
    assert caught.value.close_code == 1002


def test_a_message_of_the_largest_size_is_taken() -> None:
    assert read(MessageReader(TEXT, LIMIT), TEXT, b"x" * LIMIT) == b"x" * LIMIT


def test_many_small_fragments_weigh_no_more_than_the_message() -> None:
    """A peer that sends two bytes a frame must not hold twenty times its limit."""
    limit = 200_000
    reader = MessageReader(BINARY, limit)
    tracemalloc.start()
    try:
        read(reader, BINARY, b"", fin=False)
        for number in range(limit // 2):
            read(reader, CONTINUATION, struct.pack("!H", number % 65536), fin=False)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * limit


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70000])
def test_a_server_frame_has_the_shortest_header(size: int) -> None:
    payload = b"x" * size
    frame = websocket.server_frame(TEXT, payload)
    assert frame.endswith(payload)
    head = frame[: len(frame) - size]
    assert head[0] == 0x81
    assert not head[1] & 0x80  # unmasked
    if size < 126:
        assert head[1:] == bytes([size])
    elif size < 65536:
        assert head[1:] == b"\x7e" + size.to_bytes(2, "big")
    else:
        assert head[1:] == b"\x7f" + size.to_bytes(8, "big")


def test_a_close_frame_has_a_code_and_a_reason_that_fits() -> None:
    assert websocket.close_frame(1001, "bye") == b"\x88\x05\x03\xe9bye"
    assert websocket.close_frame(websocket.CLOSE_NO_STATUS) == b"\x88\x00"
    long = websocket.close_frame(1002, "ä" * 200)
    assert len(long) <= 2 + 125
    assert long[4:].decode() == "ä" * 61  # no half of a character


def test_the_accept_key_is_that_of_the_rfc() -> None:
    assert websocket.accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@given(size=st.integers(0, 400), fragment_bytes=st.none() | st.integers(1, 400), is_compressed=st.booleans())
def test_a_message_is_sent_in_fragments_that_make_it_up(
    size: int, fragment_bytes: int | None, *, is_compressed: bool
) -> None:
    message = bytes(number % 251 for number in range(size))
    sent = websocket.server_message(
        BINARY, message, is_compressed=is_compressed, fragment_bytes=fragment_bytes
    )
    frames = list(parsed(sent))
    assert b"".join(payload for _, payload in frames) == message
    assert all(len(payload) <= (fragment_bytes or size) for _, payload in frames)
    assert [head & 0x0F for head, _ in frames] == [BINARY] + [CONTINUATION] * (len(frames) - 1)
    assert [bool(head & 0x80) for head, _ in frames] == [False] * (len(frames) - 1) + [True]
    assert [bool(head & 0x40) for head, _ in frames] == [is_compressed] + [False] * (len(frames) - 1)
    assert len(frames) == 1 or all(payload for _, payload in frames)


def parsed(sent: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut short frames: all tested with have less than 64 KiB."""
    while sent:
        head, length = sent[0], sent[1]
        start = 2
        if length == 126:
            length, start = int.from_bytes(sent[2:4], "big"), 4
        yield head, sent[start : start + length]
        sent = sent[start + length :]


def read_bits(reader: MessageReader, opcode: int, *, fin: bool, rsv1: bool) -> bytes | None:
    return reader.read(opcode, b"x", fin=fin, reserved=False, rsv1=rsv1)


def test_a_compressed_message_is_told_by_its_first_frame() -> None:
    reader = MessageReader(TEXT, LIMIT, may_be_compressed=True)
    assert read_bits(reader, TEXT, fin=False, rsv1=True) is None
    assert read_bits(reader, CONTINUATION, fin=True, rsv1=False) == b"xx"
    assert reader.is_compressed
    assert read_bits(reader, TEXT, fin=True, rsv1=False) == b"x"
    assert not reader.is_compressed


@pytest.mark.parametrize("first", [True, False])
def test_a_later_frame_that_tells_of_compression_is_refused(*, first: bool) -> None:
    reader = MessageReader(TEXT, LIMIT, may_be_compressed=True)
    read_bits(reader, TEXT, fin=False, rsv1=first)
    with pytest.raises(WebSocketViolation) as caught:
        read_bits(reader, CONTINUATION, fin=True, rsv1=True)
    assert caught.value.close_code == 1002


def test_other_reserved_bits_are_refused_with_compression_too() -> None:
    with pytest.raises(WebSocketViolation) as caught:
        MessageReader(TEXT, LIMIT, may_be_compressed=True).read(
            TEXT, b"x", fin=True, reserved=True, rsv1=True
        )
    assert caught.value.close_code == 1002


def test_a_compressed_text_is_not_looked_into() -> None:
    """It is bytes until it is decompressed, which waits for its turn."""
    reader = MessageReader(TEXT, LIMIT, may_be_compressed=True)
    assert reader.read(TEXT, b"\xff", fin=True, reserved=False, rsv1=True) == b"\xff"


def test_a_compressed_message_may_have_grown_by_it() -> None:
    """Data that cannot be compressed becomes longer, and must not be refused for it."""
    reader = MessageReader(BINARY, LIMIT, may_be_compressed=True)
    most = websocket.most_compressed_bytes(LIMIT)
    assert reader.read(BINARY, bytes(most), fin=True, reserved=False, rsv1=True) == bytes(most)
    for size, rsv1 in ((most + 1, True), (LIMIT + 1, False)):
        with pytest.raises(WebSocketViolation) as caught:
            reader.read(BINARY, bytes(size), fin=True, reserved=False, rsv1=rsv1)
        assert caught.value.close_code == 1009


@pytest.mark.parametrize("fragment_bytes", [None, 1, 3, 100])
@pytest.mark.parametrize("parts", [[b"one"], [b"some", b"more", b"and more"]])
def test_a_compressed_message_may_be_made_in_parts(parts: list[bytes], fragment_bytes: int | None) -> None:
    data = b"".join(compressed_fragments(TEXT, iter(parts), fragment_bytes=fragment_bytes))
    payload, first_bytes = b"", []
    while data:
        first_byte, length = data[0], data[1]
        assert fragment_bytes is None or length <= fragment_bytes
        first_bytes.append(first_byte)
        payload += data[2 : 2 + length]
        data = data[2 + length :]
    assert payload == b"".join(parts)
    # RSV1 and the opcode in the first, FIN in the last.
    assert first_bytes[0] & 0x7F == 0x40 | TEXT
    assert all(byte & 0x7F == 0 for byte in first_bytes[1:])
    assert [byte >> 7 for byte in first_bytes] == [0] * (len(first_bytes) - 1) + [1]
