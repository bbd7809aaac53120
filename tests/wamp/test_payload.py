"""What a payload weighs is known whatever it holds, and what is kept of it is bytes."""

from typing import Any

import cbor2
import pytest

from heliograph.wamp.errors import PayloadError
from heliograph.wamp.payload import COUNTED_BYTES, BarePayload, EncodedPayload, PlainPayload, ReadPayload
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer

HUGE = 10**5000
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("values", "least"),
    [
        ([], 0),
        (["x" * 1000], 1000),
        (["\U0001f600" * 1000], 4000),
        ([HUGE], 2000),
        ([b"x" * 1000], 1000),
        ([{"x" * 1000: 1}], 1000),
        ([[] for _ in range(100)], 5600),
        (DEEP, 500_000),
        ([float("nan"), None, True], 24),
    ],
    ids=[
        "nothing",
        "text",
        "wide text",
        "a huge number",
        "binary",
        "a key",
        "empty lists",
        "deep",
        "odd ones",
    ],
)
def test_values_are_weighed_without_failing(values: list[Any], least: int) -> None:
    assert PlainPayload(values).size_bytes >= least
    assert PlainPayload([], {"a": values}).size_bytes >= least


def test_weighing_ends_where_no_limit_is_higher() -> None:
    values = [["x"] * 100 for _ in range(2000)]
    assert COUNTED_BYTES < PlainPayload(values).size_bytes < COUNTED_BYTES + 2000


def test_other_payloads_weigh_what_their_bytes_do() -> None:
    json = serializer("json")
    assert EncodedPayload(json, b"[1]", b"{}").size_bytes == 5
    assert BarePayload(b"12345").size_bytes == 5


def test_what_was_read_on_arrival_is_kept_as_bytes_again() -> None:
    data = cbor2.dumps([16, 1, {}, "a.b", [[]] * 1000, {"n": HUGE}])
    payload = serializer("cbor").decode(data).payload  # type: ignore[attr-defined]  # PUBLISH
    assert isinstance(payload, ReadPayload)
    assert payload.size_bytes == len(data)
    kept = payload.compact()
    assert isinstance(kept, EncodedPayload)
    assert kept.size_bytes < len(data)
    assert kept == payload


@pytest.mark.parametrize("source", SERIALIZER_NAMES)
@pytest.mark.parametrize("target", SERIALIZER_NAMES)
@pytest.mark.parametrize(
    ("value", "is_too_much"),
    [
        ([[]] * 70_000, True),
        ([{"a": []}] * 40_000, True),
        ([{}] * 60_000, False),
        ([1] * 200_000, False),
        (["[" * 200_000], False),
    ],
    ids=["lists", "dictionaries of lists", "not so many", "numbers", "a text"],
)
def test_only_so_many_lists_and_dictionaries_are_converted(
    source: str, target: str, value: list[Any], is_too_much: bool
) -> None:
    head = PlainPayload([value]).encoded(serializer(source))[0]
    opener = {
        "json": b'[16,1,{},"a",%b]',
        "msgpack": b"\x95\x10\x01\x80\xa1a%b",
        "cbor": b"\x85\x10\x01\xa0\x61a%b",
    }
    payload = serializer(source).decode(opener[source] % head).payload  # type: ignore[attr-defined]  # PUBLISH
    if is_too_much and source != target:
        with pytest.raises(PayloadError, match="65536 lists"):
            payload.encoded(serializer(target))
    else:
        assert payload.encoded(serializer(target))[0]
