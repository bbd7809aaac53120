"""Publish and subscribe as tables of messages in, messages out."""

import pytest

from heliograph.routing.options import AllowedActions, PermissionRule, RoleOptions
from heliograph.wamp.errors import INVALID_ARGUMENT
from heliograph.wamp.messages import (
    Error,
    Event,
    EventDetails,
    Message,
    Published,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from heliograph.wamp.payload import EMPTY, EncodedPayload, Payload, PlainPayload
from heliograph.wire.serializers import serializer
from tests.support.recording import Bench, publish, subscribe

TOPIC = "com.example.t"


def event(subscription: int, publication: int, payload: Payload = EMPTY) -> Event:
    return Event(subscription, publication, EventDetails(), payload)


def refusal(request_type: int, request: int, uri: str, text: str) -> Error:
    return Error(request_type, request, {}, uri, PlainPayload([text]))


class TestPublish:
    def test_reaches_every_other_subscriber_with_one_publication_id(self, bench: Bench) -> None:
        publisher, first, second = bench.join(), bench.join(), bench.join()
        subscription = first.subscribe(TOPIC)
        assert second.subscribe(TOPIC) == subscription
        payload = PlainPayload([1, "two"], {"three": 3})

        (published,) = publisher.says(publish(1, TOPIC, payload, acknowledge=True))
        assert isinstance(published, Published)
        assert published.request == 1
        expected = [event(subscription, published.publication, payload)]
        assert first.hears() == expected
        assert second.hears() == expected
        assert bench.router.counters.publications == 1
        assert bench.router.counters.events == 2

    def test_is_silent_without_acknowledge(self, bench: Bench) -> None:
        assert bench.join().says(publish(1, TOPIC)) == []

    @pytest.mark.parametrize(("exclude_me", "events"), [(True, 0), (False, 1)])
    def test_comes_back_to_its_publisher_only_when_asked_to(
        self, bench: Bench, exclude_me: bool, events: int
    ) -> None:
        pair = bench.join()
        pair.subscribe(TOPIC)
        heard = pair.says(publish(1, TOPIC, exclude_me=exclude_me))
        assert [type(message) for message in heard] == [Event] * events

    def test_reaches_nobody_on_another_topic(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(), bench.join()
        subscriber.subscribe("com.example.tt")
        subscriber.subscribe("com.example")
        publisher.says(publish(1, TOPIC))
        assert subscriber.hears() == []

    def test_keeps_the_publishers_order_across_topics(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(), bench.join()
        subscriber.subscribe("com.example.a")
        subscriber.subscribe("com.example.b")
        topics = ["com.example.a", "com.example.b", "com.example.b", "com.example.a"]
        publisher.says(*(publish(n, topic, PlainPayload([n])) for n, topic in enumerate(topics, 1)))
        heard = [message.payload.decoded()[0] for message in subscriber.hears() if isinstance(message, Event)]
        assert heard == [[1], [2], [3], [4]]

    def test_does_not_care_for_gaps_and_repeats_in_request_ids(self, bench: Bench) -> None:
        pair = bench.join()
        answers = pair.says(*(publish(request, TOPIC, acknowledge=True) for request in (7, 7, 3)))
        assert [answer.request for answer in answers if isinstance(answer, Published)] == [7, 7, 3]

    @pytest.mark.parametrize(
        ("topic", "text"),
        [
            ("", "'' is not a valid URI (match: exact)"),
            ("com..t", "'com..t' is not a valid URI (match: exact)"),
            ("com.t.", "'com.t.' is not a valid URI (match: exact)"),
            ("two words", "'two words' is not a valid URI (match: exact)"),
            ("com.#.t", "'com.#.t' is not a valid URI (match: exact)"),
            ("com.t\n", r"'com.t\n' is not a valid URI (match: exact)"),
            ("x" * 1025, "a URI may have at most 1024 bytes"),
            (
                "wamp.session.on_join",
                "'wamp.session.on_join' is reserved: only the router publishes under wamp.",
            ),
            ("wamp", "'wamp' is reserved: only the router publishes under wamp."),
        ],
    )
    def test_to_an_unfit_topic_is_refused(self, bench: Bench, topic: str, text: str) -> None:
        pair = bench.join()
        answers = pair.says(publish(4, topic, acknowledge=True))
        assert answers == [refusal(16, 4, "wamp.error.invalid_uri", text)]
        assert pair.says(publish(5, topic)) == []
        assert not pair.is_closed
        assert bench.router.counters.publications_refused == 2
        assert bench.router.counters.publications == 0

    def test_that_is_not_allowed_is_refused_and_silent_without_acknowledge(self) -> None:
        role = RoleOptions(
            name="anonymous",
            permissions=[PermissionRule(uri=TOPIC, allow=AllowedActions(subscribe=True))],
        )
        bench = Bench([role])
        pair, subscriber = bench.join(), bench.join()
        subscriber.subscribe(TOPIC)
        assert pair.says(publish(1, TOPIC)) == []
        assert pair.says(publish(2, TOPIC, acknowledge=True)) == [
            refusal(16, 2, "wamp.error.not_authorized", f"role 'anonymous' may not publish '{TOPIC}'")
        ]
        assert subscriber.hears() == []
        assert bench.router.counters.publications_refused == 2


class TestSubscribe:
    def test_again_returns_the_same_subscription_and_no_second_event(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(), bench.join()
        assert subscriber.subscribe(TOPIC) == subscriber.subscribe(TOPIC)
        publisher.says(publish(1, TOPIC))
        assert [type(message) for message in subscriber.hears()] == [Event]

    def test_precedes_every_event(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(), bench.join()
        subscriber.session.receive(subscribe(1, TOPIC))
        publisher.says(publish(1, TOPIC))
        assert [type(message) for message in subscriber.hears()] == [Subscribed, Event]

    def test_to_what_the_router_itself_publishes_is_allowed(self, bench: Bench) -> None:
        (answer,) = bench.join().says(subscribe(1, "wamp.session.on_join"))
        assert isinstance(answer, Subscribed)

    @pytest.mark.parametrize("match", ["prefix", "wildcard"])
    def test_to_a_pattern_is_refused_because_it_is_not_announced(self, bench: Bench, match: str) -> None:
        assert bench.join().says(subscribe(1, "com.example", match=match)) == [
            refusal(32, 1, "wamp.error.option_not_allowed", f"match: {match!r} is not supported; use 'exact'")
        ]

    def test_that_is_not_allowed_is_refused(self) -> None:
        bench = Bench([RoleOptions(name="anonymous")])
        assert bench.join().says(subscribe(1, TOPIC)) == [
            refusal(32, 1, "wamp.error.not_authorized", f"role 'anonymous' may not subscribe '{TOPIC}'")
        ]
        assert bench.realm.broker._by_topic == {}

    def test_to_an_unfit_topic_is_refused(self, bench: Bench) -> None:
        assert bench.join().says(subscribe(1, "com..t")) == [
            refusal(32, 1, "wamp.error.invalid_uri", "'com..t' is not a valid URI (match: exact)")
        ]


class TestUnsubscribe:
    def test_ends_the_events(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(), bench.join()
        subscription = subscriber.subscribe(TOPIC)
        assert subscriber.says(Unsubscribe(2, subscription)) == [Unsubscribed(2)]
        publisher.says(publish(1, TOPIC))
        assert subscriber.hears() == []
        assert bench.realm.broker._by_topic == {}

    def test_of_one_leaves_the_others_subscribed(self, bench: Bench) -> None:
        publisher, going, staying = bench.join(), bench.join(), bench.join()
        going.says(Unsubscribe(2, going.subscribe(TOPIC)))
        staying.subscribe(TOPIC)
        publisher.says(publish(1, TOPIC))
        assert [type(message) for message in staying.hears()] == [Event]

    @pytest.mark.parametrize("subscription", [1, 99], ids=["somebody else's", "nobody's"])
    def test_from_what_one_does_not_have_is_refused(self, bench: Bench, subscription: int) -> None:
        assert bench.join().subscribe(TOPIC) == 1
        assert bench.join().says(Unsubscribe(3, subscription)) == [
            refusal(
                34, 3, "wamp.error.no_such_subscription", f"this session has no subscription {subscription}"
            )
        ]

    def test_twice_is_refused_the_second_time(self, bench: Bench) -> None:
        pair = bench.join()
        subscription = pair.subscribe(TOPIC)
        first, second = pair.says(Unsubscribe(2, subscription), Unsubscribe(3, subscription))
        assert first == Unsubscribed(2)
        assert isinstance(second, Error)


class TestPayload:
    def test_is_encoded_once_a_format_however_many_receive_it(self, bench: Bench) -> None:
        json, msgpack = serializer("json"), serializer("msgpack")
        publisher = bench.join(json)
        for codec in (json, msgpack, json, msgpack, json):
            bench.join(codec).subscribe(TOPIC)
        publisher.says(publish(1, TOPIC, EncodedPayload(json, b"[1]", b"")))
        assert bench.deliverer.encodings == [2]

    @pytest.mark.parametrize(
        ("source", "args", "target"),
        [
            ("json", b"[1e999]", "msgpack"),
            ("json", b"[123456789012345678901234567890]", "msgpack"),
            ("json", b'["\\u0000no base64"]', "cbor"),
            ("msgpack", b"\x91\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "json"),
        ],
        ids=["1e999", "a big integer", "no base64", "NaN"],
    )
    def test_that_cannot_be_converted_is_the_senders_error_and_nobody_receives_it(
        self, bench: Bench, source: str, args: bytes, target: str
    ) -> None:
        publisher, same, other = (bench.join(serializer(name)) for name in (source, source, target))
        same.subscribe(TOPIC)
        other.subscribe(TOPIC)

        payload = EncodedPayload(serializer(source), args, b"")
        (error,) = publisher.says(publish(1, TOPIC, payload, acknowledge=True))
        assert isinstance(error, Error)
        assert (error.request_type, error.request, error.error) == (16, 1, INVALID_ARGUMENT)
        assert publisher.says(publish(2, TOPIC, payload)) == []
        assert same.hears() == []
        assert other.hears() == []
        assert bench.router.counters.events == 0


def test_a_session_that_goes_takes_its_subscriptions_along(bench: Bench) -> None:
    pair = bench.join()
    for number in range(5):
        pair.subscribe(f"com.example.t{number}")
    pair.session.lost()
    bench.assert_nothing_left()


def test_realms_share_nothing() -> None:
    from heliograph.routing.options import RealmOptions
    from heliograph.routing.router import Router
    from tests.support.recording import OPEN_ROLE, RecordingDeliverer, SessionPair

    ids = iter(range(1, 100))
    realms = [RealmOptions(name=name, roles=[OPEN_ROLE]) for name in ("realm1", "realm2")]
    router = Router(realms, deliverer=RecordingDeliverer(), random_id=lambda: next(ids), agent="Bench")
    publisher, subscriber = SessionPair(router).join("realm1"), SessionPair(router).join("realm2")
    subscriber.subscribe(TOPIC)
    messages: list[Message] = publisher.says(
        publish(1, TOPIC), Subscribe(2, subscribe(1, TOPIC).options, TOPIC)
    )
    assert [type(message) for message in messages] == [Subscribed]
    assert subscriber.hears() == []
