"""Retained events: the newest one the subscriber would have received."""

from typing import Any

import pytest

from heliograph.routing import retained_events, retention
from heliograph.routing.options import AllowedActions, PermissionRule, RoleOptions
from heliograph.wamp.messages import Event, EventDetails, Subscribed
from heliograph.wamp.payload import BarePayload, EncodedPayload, PlainPayload
from heliograph.wire.serializers import serializer
from tests.support.recording import EVERYTHING, OPEN_ROLE, Bench, SessionPair, publish, subscribe

TOPIC = "com.example.t"


def retain(pair: SessionPair, value: Any, topic: str = TOPIC, **options: Any) -> None:
    pair.says(publish(1, topic, PlainPayload([value]), retain=True, **options))


def retained(pair: SessionPair, topic: str = TOPIC, **options: Any) -> list[tuple[str | None, Any]]:
    """Subscribe and return topic and value of each event that comes at once."""
    pair.hears()
    answer, *events = pair.says(subscribe(1, topic, get_retained=True, **options))
    assert isinstance(answer, Subscribed)
    told = []
    for event in events:
        assert isinstance(event, Event)
        if event.details.retained:
            assert event.subscription == answer.subscription
            told.append((event.details.topic, event.payload.decoded()[0][0]))
    return told


class TestGetRetained:
    def test_brings_the_last_retained_event_after_the_acknowledgement(self, bench: Bench) -> None:
        publisher = bench.join()
        (published,) = publisher.says(
            publish(1, TOPIC, PlainPayload(["a"], {"b": 1}), retain=True, acknowledge=True)
        )
        assert bench.join().says(subscribe(7, TOPIC, get_retained=True)) == [
            Subscribed(7, 1),
            Event(1, published.publication, EventDetails(retained=True), PlainPayload(["a"], {"b": 1})),
        ]

    def test_brings_nothing_unless_both_sides_ask_for_it(self, bench: Bench) -> None:
        publisher = bench.join()
        retain(publisher, "kept", "com.example.kept")
        publisher.says(publish(1, TOPIC))
        assert bench.join().says(subscribe(1, "com.example.kept")) == [Subscribed(1, 1)]
        assert retained(bench.join()) == []

    def test_brings_the_newest_one(self, bench: Bench) -> None:
        publisher = bench.join()
        for value in (1, 2, 3):
            retain(publisher, value)
        publisher.says(publish(1, TOPIC, PlainPayload([4])))
        assert retained(bench.join()) == [(None, 3)]

    def test_works_again_for_who_subscribes_already(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(), bench.join()
        retain(publisher, 1)
        assert retained(subscriber) == retained(subscriber) == [(None, 1)]

    def test_is_told_of_events_nobody_listened_to_and_somebody_did(self, bench: Bench) -> None:
        publisher, listener = bench.join(), bench.join()
        retain(publisher, 1)
        listener.subscribe(TOPIC)
        retain(publisher, 2)
        (event,) = listener.hears()
        assert isinstance(event, Event)
        assert event.details.retained is None
        assert retained(bench.join()) == [(None, 2)]

    def test_outlives_its_publisher(self, bench: Bench) -> None:
        publisher = bench.join()
        retain(publisher, 1)
        publisher.session.lost()
        assert retained(bench.join()) == [(None, 1)]

    @pytest.mark.parametrize(
        ("pattern", "match", "topics"),
        [
            ("com.", "prefix", ["com.a.x", "com.b.x", "com.b.y"]),
            ("com..x", "wildcard", ["com.a.x", "com.b.x"]),
            ("", "prefix", ["com.a.x", "com.b.x", "com.b.y", "org"]),
            ("net", "prefix", []),
        ],
    )
    def test_by_pattern_brings_the_newest_of_each_topic(
        self, bench: Bench, pattern: str, match: str, topics: list[str]
    ) -> None:
        publisher = bench.join()
        for value in (1, 2):
            for topic in ("com.a.x", "com.b.x", "com.b.y", "org"):
                retain(publisher, value, topic)
        assert retained(bench.join(), pattern, match=match) == [(topic, 2) for topic in topics]

    def test_by_pattern_brings_nothing_one_may_not_subscribe_to(self) -> None:
        bound = RoleOptions(
            name="bound",
            permissions=[
                PermissionRule(uri="", match="prefix", allow=AllowedActions(subscribe=True)),
                PermissionRule(uri="secret.", match="prefix"),
            ],
        )
        bench = Bench([OPEN_ROLE, bound])
        publisher = bench.join()
        retain(publisher, 1, "secret.x")
        retain(publisher, 1, "open.x")
        assert retained(bench.join(role="bound"), "", match="prefix") == [("open.x", 1)]
        assert retained(bench.join(), "", match="prefix") == [("secret.x", 1), ("open.x", 1)]

    def test_keeps_what_was_said_of_the_publisher(self, bench: Bench) -> None:
        publisher = bench.join_as("joe")
        retain(publisher, 1, disclose_me=True)
        _, event = bench.join().says(subscribe(1, TOPIC, get_retained=True))
        assert isinstance(event, Event)
        assert event.details == EventDetails(
            publisher=publisher.session.id,
            publisher_authid="joe",
            publisher_authrole="anonymous",
            retained=True,
        )


class TestFilters:
    ROLES = tuple(
        RoleOptions(name=name, permissions=[PermissionRule(uri="", match="prefix", allow=EVERYTHING)])
        for name in ("staff", "boss")
    )

    @pytest.mark.parametrize(("exclude_me", "values"), [(True, []), (False, [(None, 1)])])
    def test_the_publisher_hears_its_own_only_when_it_would_have(
        self, bench: Bench, exclude_me: bool, values: list[Any]
    ) -> None:
        publisher = bench.join()
        retain(publisher, 1, exclude_me=exclude_me)
        assert retained(publisher) == values

    def test_bring_the_newest_event_the_subscriber_would_have_received(self) -> None:
        bench = Bench(self.ROLES)
        publisher = bench.join_as("joe", "staff")
        retain(publisher, "for all")
        retain(publisher, "for the boss", eligible_authrole=["boss"])
        retain(publisher, "for ann", eligible_authid=["ann"])
        retain(publisher, "not for ann", exclude_authid=["ann"])
        retain(publisher, "for nobody", eligible=[])
        assert retained(bench.join_as("ann", "boss")) == [(None, "for ann")]
        assert retained(bench.join_as("bob", "staff")) == [(None, "not for ann")]
        retain(publisher, "for the boss again", eligible_authrole=["boss"])
        assert retained(bench.join_as("ann", "boss")) == [(None, "for the boss again")]
        assert retained(bench.join_as("ann", "staff")) == [(None, "for ann")]

    def test_by_session_are_honoured(self) -> None:
        bench = Bench(self.ROLES)
        publisher, first, second = (bench.join(role="staff") for _ in range(3))
        retain(publisher, 1, eligible=[first.session.id])
        assert retained(first) == [(None, 1)]
        assert retained(second) == []
        retain(publisher, 2, exclude=[first.session.id])
        assert retained(first) == [(None, 1)]
        assert retained(second) == [(None, 2)]

    def test_are_forgotten_with_the_next_event_for_everybody(self) -> None:
        bench = Bench(self.ROLES)
        publisher = bench.join(role="staff")
        retain(publisher, "for the boss", eligible_authrole=["boss"])
        retain(publisher, "for all")
        assert retained(bench.join(role="boss")) == [(None, "for all")]


class TestBounds:
    def test_of_topics_let_the_one_renewed_longest_ago_go(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "MAX_RETAINED_TOPICS", 3)
        publisher = bench.join()
        for topic in ("a", "b", "c", "a", "d"):
            retain(publisher, 1, topic)
        assert sorted(topic for topic, _ in retained(bench.join(), "", match="prefix") if topic) == [
            "a", "c", "d",
        ]  # fmt: skip

    def test_of_what_a_pattern_brings_leave_out_what_was_renewed_longest_ago(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retained_events, "TOPICS_SENT", 2)
        publisher = bench.join()
        for topic in ("com.a", "com.b", "com.c", "com.a", "org"):
            retain(publisher, 1, topic)
        assert retained(bench.join(), "com.", match="prefix") == [("com.c", 1), ("com.a", 1)]

    def test_of_restricted_events_never_cost_the_one_for_everybody(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "MAX_RESTRICTED_EVENTS", 3)
        publisher = bench.join()
        retain(publisher, "for all")
        for number in range(5):
            retain(publisher, number, eligible_authid=[f"u{number}"])
        values = [retained(bench.join_as(f"u{number}")) for number in range(5)]
        assert values == [[(None, "for all")]] * 2 + [[(None, number)] for number in (2, 3, 4)]

    def test_of_bytes_count_every_kind_of_payload(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "MAX_RETAINED_BYTES", 3000 + 2 * retention.EVENT_BYTES)
        json, text = serializer("json"), "x" * 1000
        payloads = [
            EncodedPayload(json, f'["{text}"]'.encode(), b""),
            EncodedPayload(json, b"[]", f'{{"a":"{text}"}}'.encode()),
            PlainPayload([text]),
            PlainPayload([], {"a": text}),
            BarePayload(text.encode()),
        ]
        kept = retention.Retention()
        for round_ in range(3):
            for number, payload in enumerate(payloads):
                event = retention.RetainedEvent(1, {}, payload, None, None)
                kept.keep(f"t{number}.{round_}", event)
                assert len(list(kept.topics_newest_first())) == (1 if (round_, number) == (0, 0) else 2)
                assert next(kept.topics_newest_first()) == f"t{number}.{round_}"

    def test_of_bytes_spare_the_newest_topic_however_large(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "MAX_RETAINED_BYTES", 800 + 2 * retention.EVENT_BYTES)
        publisher = bench.join()
        retain(publisher, "small", "a")
        retain(publisher, "x" * 2000, "b")
        assert retained(bench.join(), "", match="prefix") == [("b", "x" * 2000)]
        retain(publisher, "small", "b")
        retain(publisher, "small", "c")
        assert retained(bench.join(), "", match="prefix") == [("b", "small"), ("c", "small")]


class TestFormats:
    @pytest.mark.parametrize("source", ["json", "msgpack", "cbor"])
    @pytest.mark.parametrize("target", ["json", "msgpack", "cbor"])
    def test_meet_as_with_live_events(self, bench: Bench, source: str, target: str) -> None:
        codec = serializer(source)
        args, kwargs = codec.encode_value([b"\x00\xff", "text"]), codec.encode_value({"n": [1.5, None]})
        publisher = bench.join(codec)
        publisher.says(publish(1, TOPIC, EncodedPayload(codec, args, kwargs), retain=True))
        _, event = bench.join(serializer(target)).says(subscribe(1, TOPIC, get_retained=True))
        assert isinstance(event, Event)
        assert event.payload == PlainPayload([b"\x00\xff", "text"], {"n": [1.5, None]})

    def test_that_cannot_express_it_cost_the_event_not_the_subscriber(self, bench: Bench) -> None:
        publisher = bench.join(serializer("msgpack"))
        retain(publisher, float("nan"))
        assert retained(bench.join(serializer("json"))) == []
        assert bench.router.counters.events_dropped == 1
        assert len(retained(bench.join(serializer("cbor")))) == 1

    def test_that_somebody_hearing_now_cannot_take_leave_nothing_retained(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(serializer("msgpack")), bench.join(serializer("json"))
        subscriber.subscribe(TOPIC)
        retain(publisher, float("nan"))
        assert bench.router.counters.publications_refused == 1
        assert retained(bench.join(serializer("cbor"))) == []
