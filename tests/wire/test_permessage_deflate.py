"""permessage-deflate: what is agreed on, and compressed messages in and out."""

import random
import tracemalloc
import zlib

import pytest
from autobahn.websocket.compress_deflate import (
    PerMessageDeflate,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)
from hypothesis import given
from hypothesis import strategies as st

from heliograph.wire.permessage_deflate import (
    DeflateAgreement,
    Deflater,
    DeflateWishes,
    Inflater,
    agree,
    deflate_alone,
)
from heliograph.wire.websocket import WebSocketViolation, most_compressed_bytes
from heliograph.wire.websocket_extensions import ExtensionsMalformed, read_offers

LIMIT = 100_000

FRUGAL = DeflateWishes()
KEEPING = DeflateWishes(no_context_takeover=False, request_no_context_takeover=False)

MESSAGES = st.lists(
    st.one_of(st.binary(max_size=2000), st.text("abc[]{},", max_size=5000).map(str.encode)), max_size=6
)
WINDOW_BITS = st.integers(9, 15)
MEMORY_LEVELS = st.integers(1, 9)


def response(header: str, wishes: DeflateWishes = FRUGAL) -> str | None:
    agreement = agree(read_offers(header), wishes)
    return None if agreement is None else agreement.response


@pytest.mark.parametrize(
    ("offer", "wishes", "expected"),
    [
        ("", FRUGAL, None),
        ("x-webkit-deflate-frame", FRUGAL, None),
        ("permessage-deflate", KEEPING, "permessage-deflate"),
        (
            "permessage-deflate",
            FRUGAL,
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ),
        (
            "permessage-deflate; server_no_context_takeover",
            KEEPING,
            "permessage-deflate; server_no_context_takeover",
        ),
        (
            "permessage-deflate; client_no_context_takeover",
            KEEPING,
            "permessage-deflate; client_no_context_takeover",
        ),
        (
            "permessage-deflate; server_max_window_bits=10",
            KEEPING,
            "permessage-deflate; server_max_window_bits=10",
        ),
        (
            'permessage-deflate; server_max_window_bits="10"',
            KEEPING,
            "permessage-deflate; server_max_window_bits=10",
        ),
        # A window of 8 bits is legal, and more than zlib can promise.
        ("permessage-deflate; server_max_window_bits=8", KEEPING, None),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            KEEPING,
            "permessage-deflate",
        ),
        ("permessage-deflate; client_max_window_bits", KEEPING, "permessage-deflate"),
        (
            "permessage-deflate; client_max_window_bits=12",
            KEEPING,
            "permessage-deflate; client_max_window_bits=12",
        ),
        # A client that does not say it can limit its window is not asked to.
        (
            "permessage-deflate",
            DeflateWishes(
                no_context_takeover=False, request_no_context_takeover=False, request_max_window_bits=10
            ),
            "permessage-deflate",
        ),
        (
            "permessage-deflate; client_max_window_bits",
            DeflateWishes(
                no_context_takeover=False, request_no_context_takeover=False, request_max_window_bits=10
            ),
            "permessage-deflate; client_max_window_bits=10",
        ),
        (
            "permessage-deflate; client_max_window_bits=9",
            DeflateWishes(
                no_context_takeover=False, request_no_context_takeover=False, request_max_window_bits=10
            ),
            "permessage-deflate; client_max_window_bits=9",
        ),
        (
            "permessage-deflate",
            DeflateWishes(no_context_takeover=False, request_no_context_takeover=False, max_window_bits=11),
            "permessage-deflate; server_max_window_bits=11",
        ),
        (
            "permessage-deflate; server_max_window_bits=15",
            DeflateWishes(no_context_takeover=False, request_no_context_takeover=False, max_window_bits=11),
            "permessage-deflate; server_max_window_bits=11",
        ),
        # "if the negotiation offer contains an extension parameter not defined for use in an offer", and so on
        ("permessage-deflate; windows=10", FRUGAL, None),
        ("permessage-deflate; server_no_context_takeover=1", FRUGAL, None),
        ("permessage-deflate; client_no_context_takeover=true", FRUGAL, None),
        ("permessage-deflate; server_max_window_bits", FRUGAL, None),
        ("permessage-deflate; server_max_window_bits=7", FRUGAL, None),
        ("permessage-deflate; server_max_window_bits=16", FRUGAL, None),
        ("permessage-deflate; server_max_window_bits=010", FRUGAL, None),
        ("permessage-deflate; client_max_window_bits=16", FRUGAL, None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", FRUGAL, None),
        ("permessage-deflate; server_max_window_bits=10; server_max_window_bits=11", FRUGAL, None),
        # The second offer is a way out of the first.
        (
            "permessage-deflate; x, permessage-deflate; client_max_window_bits",
            KEEPING,
            "permessage-deflate",
        ),
        ("foo; bar=1, permessage-deflate", KEEPING, "permessage-deflate"),
        # Chromium, Firefox
        (
            "permessage-deflate; client_max_window_bits",
            FRUGAL,
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ),
    ],
)
def test_an_offer_gets_its_answer(offer: str, wishes: DeflateWishes, expected: str | None) -> None:
    assert response(offer, wishes) == expected


@pytest.mark.parametrize(
    "header",
    [
        "permessage-deflate; ",
        "; a",
        "a b",
        "a=1",
        "a; b=",
        'a; b="',
        'a; b=""',
        'a; b="c d"',
        "a; b=c d",
        "ä",
        "a;;b",
    ],
)
def test_a_malformed_header_fails_the_handshake(header: str) -> None:
    with pytest.raises(ExtensionsMalformed):
        read_offers(header)


def test_a_header_of_endless_names_is_refused_at_once() -> None:
    for header in ("a," * 30_000, "a" + ";b" * 30_000, 'a;b="' + "c" * 60_000):
        with pytest.raises(ExtensionsMalformed):
            read_offers(header)


def test_empty_elements_of_the_list_are_skipped() -> None:
    # "a recipient MUST parse and ignore a reasonable number of empty list elements" (RFC 9110, section 5.6.1)
    assert read_offers(" , a ;b = 1, ,c,") == [("a", [("b", "1")]), ("c", [])]


@given(st.text(max_size=100))
def test_any_header_is_read_or_refused(header: str) -> None:
    try:
        offers = read_offers(header)
    except ExtensionsMalformed:
        return
    assert all(name for name, _ in offers)


AGREEMENTS = st.builds(
    DeflateWishes,
    no_context_takeover=st.booleans(),
    max_window_bits=WINDOW_BITS,
    request_no_context_takeover=st.booleans(),
    request_max_window_bits=st.none() | WINDOW_BITS,
).map(lambda wishes: agree(read_offers("permessage-deflate; client_max_window_bits"), wishes))


def autobahn_client(agreement: DeflateAgreement) -> PerMessageDeflate:
    """What a client by other people makes of our answer."""
    ((_, parameters),) = read_offers(agreement.response)
    parsed = PerMessageDeflateResponse.parse(
        {name: [True if value is None else value] for name, value in parameters}
    )
    accepted = PerMessageDeflateResponseAccept(parsed)
    return PerMessageDeflate.create_from_response_accept(False, accepted)


@given(agreement=AGREEMENTS, messages=MESSAGES, memory_level=MEMORY_LEVELS)
def test_a_foreign_client_reads_what_is_sent(
    agreement: DeflateAgreement, messages: list[bytes], memory_level: int
) -> None:
    client = autobahn_client(agreement)
    deflater = Deflater(window_bits=agreement.server_window_bits, memory_level=memory_level)
    for message in messages:
        if agreement.server_keeps_context:
            compressed = deflater.deflate(message)
        else:
            compressed = deflate_alone(
                message, window_bits=agreement.server_window_bits, memory_level=memory_level
            )
        client.start_decompress_message()
        assert client.decompress_message_data(compressed) == message
        client.end_decompress_message()


@given(agreement=AGREEMENTS, messages=MESSAGES)
def test_what_a_foreign_client_sends_is_read(agreement: DeflateAgreement, messages: list[bytes]) -> None:
    client = autobahn_client(agreement)
    inflater = Inflater(
        window_bits=agreement.client_window_bits, keeps_context=agreement.client_keeps_context
    )
    for message in messages:
        client.start_compress_message()
        compressed = client.compress_message_data(message) + client.end_compress_message()
        assert inflater.inflate(compressed, limit_bytes=LIMIT) == message


@given(messages=MESSAGES, window_bits=WINDOW_BITS, memory_level=MEMORY_LEVELS)
def test_what_was_compressed_is_read_by_zlib(
    messages: list[bytes], window_bits: int, memory_level: int
) -> None:
    deflater = Deflater(window_bits=window_bits, memory_level=memory_level)
    decompressor = zlib.decompressobj(-window_bits)
    for message in messages:
        assert decompressor.decompress(deflater.deflate(message) + b"\x00\x00\xff\xff") == message
        alone = deflate_alone(message, window_bits=window_bits, memory_level=memory_level)
        assert zlib.decompressobj(-window_bits).decompress(alone + b"\x00\x00\xff\xff") == message
        assert len(alone) <= most_compressed_bytes(len(message))


@pytest.mark.parametrize(
    "data",
    [
        bytes.fromhex("f248cdc9c90700"),  # RFC 7692, 7.2.3.1
        bytes.fromhex("000500faff48656c6c6f00"),  # 7.2.3.3: a block without compression
        bytes.fromhex("f348cdc9c9070000"),  # 7.2.3.4: a final block
        bytes.fromhex("f348cdc9c90700"),  # the same by a sender that leaves the last octet out
        bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", "")),  # 7.2.3.5: two blocks
    ],
    ids=["one block", "not compressed", "final", "final, no octet behind it", "two blocks"],
)
@pytest.mark.parametrize("keeps_context", [True, False])
def test_the_examples_of_the_rfc_are_read(data: bytes, *, keeps_context: bool) -> None:
    inflater = Inflater(window_bits=15, keeps_context=keeps_context)
    assert inflater.inflate(data, limit_bytes=5) == b"Hello"
    assert inflater.inflate(data, limit_bytes=5) == b"Hello"


def test_a_message_may_refer_to_an_earlier_one_where_that_was_agreed() -> None:
    # 7.2.3.2: the second "Hello" refers to the first
    first, second = bytes.fromhex("f248cdc9c90700"), bytes.fromhex("f200110000")
    inflater = Inflater(window_bits=15, keeps_context=True)
    assert inflater.inflate(first, limit_bytes=5) == b"Hello"
    assert inflater.inflate(second, limit_bytes=5) == b"Hello"
    inflater = Inflater(window_bits=15, keeps_context=False)
    assert inflater.inflate(first, limit_bytes=5) == b"Hello"
    with pytest.raises(WebSocketViolation) as caught:
        inflater.inflate(second, limit_bytes=5)
    assert caught.value.close_code == 1007


def bomb(size: int) -> bytes:
    return deflate_alone(bytes(size), window_bits=15, memory_level=9)


def test_a_bomb_is_refused_without_being_unpacked() -> None:
    data = bomb(200_000_000)
    assert len(data) < 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(WebSocketViolation) as caught:
            Inflater(window_bits=15, keeps_context=True).inflate(data, limit_bytes=LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.close_code == 1009
    # The data itself, what zlib did not come to, and one message.
    assert peak < 3 * len(data) + 3 * LIMIT


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1])
def test_the_limit_is_that_of_the_uncompressed_message(size: int) -> None:
    inflater = Inflater(window_bits=15, keeps_context=False)
    if size <= LIMIT:
        assert inflater.inflate(bomb(size), limit_bytes=LIMIT) == bytes(size)
    else:
        with pytest.raises(WebSocketViolation):
            inflater.inflate(bomb(size), limit_bytes=LIMIT)


def test_final_blocks_in_great_number_are_refused_at_once() -> None:
    """Each costs a copy of what follows: a MiB of them would keep the router busy for minutes."""
    with pytest.raises(WebSocketViolation) as caught:
        Inflater(window_bits=15, keeps_context=True).inflate(b"\x03\x00" * 500_000, limit_bytes=LIMIT)
    assert caught.value.close_code == 1007


def test_several_final_blocks_are_one_message() -> None:
    inflater = Inflater(window_bits=15, keeps_context=True)
    part = zlib.compress(b"abc", wbits=-15)
    assert inflater.inflate(part * 3 + b"\x00", limit_bytes=LIMIT) == b"abc" * 3
    # What follows begins afresh, as the compressor has.
    assert inflater.inflate(part + b"\x00", limit_bytes=LIMIT) == b"abc"


@pytest.mark.parametrize("data", [b"\xff" * 20, b"Hello", b"\x06"])
def test_what_is_not_compressed_data_is_refused(data: bytes) -> None:
    with pytest.raises(WebSocketViolation) as caught:
        Inflater(window_bits=15, keeps_context=False).inflate(data, limit_bytes=LIMIT)
    assert caught.value.close_code == 1007


@given(data=st.lists(st.binary(max_size=500), max_size=5), keeps_context=st.booleans())
def test_any_bytes_are_read_or_refused_within_the_limit(data: list[bytes], *, keeps_context: bool) -> None:
    inflater = Inflater(window_bits=15, keeps_context=keeps_context)
    for piece in data:
        try:
            message = inflater.inflate(piece, limit_bytes=1000)
        except WebSocketViolation:
            return
        assert len(message) <= 1000


def test_parts_of_a_message_are_the_message_and_keep_the_context() -> None:
    deflater = Deflater(window_bits=15, memory_level=8)
    inflater = zlib.decompressobj(-15)
    texts = [b"light " * 50, random.Random(1).randbytes(300_000), b"", b"a" * 200_000, b"light " * 50]
    for text in texts:
        parts = list(deflater.deflate_in_parts(text, 65536)) if text else [deflater.deflate(text)]
        assert all(parts)
        assert inflater.decompress(b"".join(parts) + b"\x00\x00\xff\xff") == text
        again = deflater.deflate(text)
        assert inflater.decompress(again + b"\x00\x00\xff\xff") == text
