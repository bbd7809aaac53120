"""What `publish()` takes, what it makes of it, and what it refuses before any commit."""

import datetime
import decimal
import uuid
from typing import Any

import pytest
from django.utils.translation import gettext_lazy

from heliograph.django import InvalidEvent, publish, publish_event
from heliograph.django.backends import MemoryBackend
from heliograph.django.events import make_event


def test_values_become_json_by_djangos_rules(memory: MemoryBackend) -> None:
    number = uuid.uuid4()
    publish(
        "shop.order",
        datetime.datetime(2026, 11, 23, 8, 30, 0, 123456, tzinfo=datetime.UTC),
        datetime.date(2026, 11, 23),
        decimal.Decimal("9.90"),
        number,
        gettext_lazy("paid"),
        (1, 2),
        {"when": datetime.timedelta(hours=1)},
        total=10**20,
    )
    (event,) = memory.events
    assert event.topic == "shop.order"
    assert event.args == [
        "2026-11-23T08:30:00.123Z",
        "2026-11-23",
        "9.90",
        str(number),
        "paid",
        [1, 2],
        {"when": "P0DT01H00M00S"},
    ]
    assert event.kwargs == {"total": 10**20}
    assert event.options == {}


def test_every_keyword_of_publish_is_payload_even_topic_and_options(memory: MemoryBackend) -> None:
    publish("t", 1, topic="a", options={"b": 1}, using="c", backend="d")
    assert memory.events[0].kwargs == {"topic": "a", "options": {"b": 1}, "using": "c", "backend": "d"}
    assert memory.events[0].options == {}


def test_publish_event_separates_options_from_payload(memory: MemoryBackend) -> None:
    publish_event("t", [1], {"a": 2}, options={"eligible_authrole": ["staff"]})
    (event,) = memory.events
    assert (event.args, event.kwargs, event.options) == ([1], {"a": 2}, {"eligible_authrole": ["staff"]})


def test_an_event_is_a_snapshot_of_the_callers_objects(memory: MemoryBackend) -> None:
    order = {"status": "paid", "lines": [1]}
    publish("t", order)
    order["status"] = "lost"
    order["lines"].append(2)  # type: ignore[attr-defined]
    assert memory.events[0].args == [{"status": "paid", "lines": [1]}]


def _endless() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", float("nan"), float("inf"), "\ud800", {(1, 2): 3}, _endless(), _deep()],
    ids=["object", "set", "bytes", "nan", "infinity", "surrogate", "tuple key", "endless", "deep"],
)
def test_a_value_json_cannot_express_raises_at_the_caller(memory: MemoryBackend, value: object) -> None:
    with pytest.raises(InvalidEvent, match=r"topic 'shop\.order': the payload cannot be sent as JSON"):
        publish("shop.order", value)
    assert memory.events == []


@pytest.mark.parametrize(
    "topic", ["", ".", "a.", ".a", "a..b", "a b", "a#b", "a\n", "\x00", "é\ud800", "x" * 1025, "é" * 600]
)
def test_a_wrong_topic_raises_and_is_named(topic: str) -> None:
    with pytest.raises(InvalidEvent, match="is not a topic"):
        make_event(topic, (), None, None, max_event_bytes=100)


@pytest.mark.parametrize("topic", ["wamp", "wamp.session.on_join"])
def test_the_routers_own_topics_are_refused(topic: str) -> None:
    with pytest.raises(InvalidEvent, match="belongs to the router"):
        make_event(topic, (), None, None, max_event_bytes=100)


@pytest.mark.parametrize("topic", ["clientstats", "clientconfig.2001:db8::7", "a-b.C_d.é", "wampum.x"])
def test_loose_topics_are_taken(topic: str) -> None:
    assert make_event(topic, (), None, None, max_event_bytes=100).topic == topic


def test_a_topic_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="a topic is text, got bytes"):
        make_event(b"a", (), None, None, max_event_bytes=100)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("args", "kwargs", "options", "text"),
    [
        ("text", None, None, "args must be a list or a tuple, got str"),
        ({"a": 1}, None, None, "args must be a list or a tuple, got dict"),
        ((), [1], None, "kwargs must be a dict, got list"),
        ((), None, "x", "options must be a dict, got str"),
    ],
)
def test_args_kwargs_and_options_of_a_wrong_type_are_refused(
    args: Any, kwargs: Any, options: Any, text: str
) -> None:
    with pytest.raises(InvalidEvent, match=text):
        make_event("t", args, kwargs, options, max_event_bytes=100)


def test_an_event_over_the_limit_is_refused_and_one_at_the_limit_is_not() -> None:
    event = make_event("t", ["x" * 50], None, None, max_event_bytes=100)
    assert make_event("t", ["x" * 50], None, None, max_event_bytes=event.size_bytes) == event
    with pytest.raises(
        InvalidEvent, match=f"has {event.size_bytes} bytes as JSON and may have {event.size_bytes - 1}"
    ):
        make_event("t", ["x" * 50], None, None, max_event_bytes=event.size_bytes - 1)
