"""RawSocket's octets: handshake, frames, limits."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.wire.rawsocket import (
    LARGEST_MESSAGE_BYTES,
    MESSAGE,
    PING,
    PONG,
    FrameReader,
    Handshake,
    HandshakeError,
    HandshakeRefused,
    RawSocketViolation,
    announced_limit,
    frame,
    handshake,
    handshake_error,
    limit_exponent,
    read_handshake,
)

KIB, MIB = 1024, 1024 * 1024


class TestHandshake:
    @pytest.mark.parametrize(
        ("octets", "asked"),
        [
            ("7f010000", Handshake("json", 512)),
            ("7f720000", Handshake("msgpack", 65536)),
            ("7ff30000", Handshake("cbor", 16 * MIB)),
        ],
    )
    def test_names_a_serializer_and_the_longest_message(self, octets: str, asked: Handshake) -> None:
        assert read_handshake(bytes.fromhex(octets)) == asked
        assert handshake(asked.serializer, asked.limit_bytes) == bytes.fromhex(octets)

    @pytest.mark.parametrize(
        ("octets", "error"),
        [
            ("7ff00000", HandshakeError.SERIALIZER_UNSUPPORTED),
            ("7ff40000", HandshakeError.SERIALIZER_UNSUPPORTED),
            ("7fff0000", HandshakeError.SERIALIZER_UNSUPPORTED),
            ("7ff10100", HandshakeError.RESERVED_BITS_USED),
            ("7ff10001", HandshakeError.RESERVED_BITS_USED),
        ],
    )
    def test_that_asks_for_the_unknown_is_refused_with_its_error(
        self, octets: str, error: HandshakeError
    ) -> None:
        with pytest.raises(HandshakeRefused) as refused:
            read_handshake(bytes.fromhex(octets))
        assert refused.value.error is error

    @pytest.mark.parametrize(
        ("error", "octets"),
        [
            (HandshakeError.SERIALIZER_UNSUPPORTED, "7f100000"),
            (HandshakeError.LENGTH_UNACCEPTABLE, "7f200000"),
            (HandshakeError.RESERVED_BITS_USED, "7f300000"),
            (HandshakeError.TOO_MANY_CONNECTIONS, "7f400000"),
        ],
    )
    def test_is_refused_in_four_octets(self, error: HandshakeError, octets: str) -> None:
        assert handshake_error(error) == bytes.fromhex(octets)

    @pytest.mark.parametrize(
        ("limit", "announced"),
        [(512, 512), (1023, 512), (MIB, MIB), (MIB + 1, MIB), (16 * MIB, 16 * MIB), (64 * MIB, 16 * MIB)],
    )
    def test_announces_no_more_than_the_limit(self, limit: int, announced: int) -> None:
        assert announced_limit(limit_exponent(limit)) == announced


class TestFrame:
    @pytest.mark.parametrize(
        ("kind", "payload", "octets"),
        [
            (MESSAGE, b"", "00000000"),
            (MESSAGE, b"[]", "000000025b5d"),
            (PING, b"\1", "0100000101"),
            (PONG, b"\1\2", "020000020102"),
        ],
    )
    def test_has_four_octets_before_its_payload(self, kind: int, payload: bytes, octets: str) -> None:
        assert frame(kind, payload) == bytes.fromhex(octets)

    def test_of_exactly_2_to_the_24_has_the_extra_bit_and_no_length(self) -> None:
        payload = bytes(LARGEST_MESSAGE_BYTES)
        octets = frame(MESSAGE, payload)
        assert octets[:4] == bytes.fromhex("08000000")
        assert list(FrameReader(LARGEST_MESSAGE_BYTES).read(octets)) == [(MESSAGE, payload)]

    def test_one_octet_shorter_has_not(self) -> None:
        octets = frame(MESSAGE, bytes(LARGEST_MESSAGE_BYTES - 1))
        assert octets[:4] == bytes.fromhex("00ffffff")


class TestReader:
    @given(
        frames=st.lists(st.tuples(st.sampled_from([MESSAGE, PING, PONG]), st.binary(max_size=100))),
        cuts=st.lists(st.integers(min_value=0, max_value=3000)),
    )
    def test_finds_the_same_frames_however_the_stream_is_cut(
        self, frames: list[tuple[int, bytes]], cuts: list[int]
    ) -> None:
        stream = b"".join(frame(kind, payload) for kind, payload in frames)
        edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
        reader = FrameReader(100)
        pieces = [stream[start:end] for start, end in pairwise(edges)]
        assert [found for piece in pieces for found in reader.read(piece)] == frames

    def test_takes_a_stream_octet_by_octet(self) -> None:
        reader = FrameReader(KIB)
        stream = frame(MESSAGE, b"x" * 600) + frame(PING, b"")
        assert [found for octet in stream for found in reader.read(bytes([octet]))] == [
            (MESSAGE, b"x" * 600),
            (PING, b""),
        ]

    @pytest.mark.parametrize("first", [0x10, 0x20, 0x40, 0x80, 0xF0, 3, 4, 5, 6, 7])
    def test_fails_at_reserved_bits_and_types_behind_the_good_frames(self, first: int) -> None:
        found = FrameReader(KIB).read(frame(MESSAGE, b"[]") + bytes([first, 0, 0, 0]))
        assert next(found) == (MESSAGE, b"[]")
        with pytest.raises(RawSocketViolation, match="reserved"):
            next(found)

    @pytest.mark.parametrize("octets", ["00000401", "00ffffff", "08000000", "08000001", "01000401"])
    def test_fails_at_the_head_of_a_frame_that_is_too_long(self, octets: str) -> None:
        with pytest.raises(RawSocketViolation, match="longer than the announced 1024"):
            list(FrameReader(KIB).read(bytes.fromhex(octets)))

    def test_fails_at_a_length_beyond_2_to_the_24_at_the_largest_limit(self) -> None:
        with pytest.raises(RawSocketViolation, match="16777217 octets"):
            list(FrameReader(LARGEST_MESSAGE_BYTES).read(bytes.fromhex("08000001")))

    def test_holds_what_came_and_not_what_was_promised(self) -> None:
        reader = FrameReader(LARGEST_MESSAGE_BYTES)
        assert list(reader.read(bytes.fromhex("00ffffff") + b"x")) == []
        assert reader._partial is not None
        assert len(reader._partial) == 5
