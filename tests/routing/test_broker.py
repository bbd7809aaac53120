"""Publish and subscribe as tables of messages in, messages out."""

from typing import Any

import pytest

from heliograph.routing import broker
from heliograph.routing.options import (
    AllowedActions,
    Disclosure,
    PermissionRule,
    RealmOptions,
    RoleOptions,
)
from heliograph.routing.router import Router
from heliograph.wamp.errors import INVALID_ARGUMENT, RequestError
from heliograph.wamp.messages import (
    Abort,
    Error,
    Event,
    EventDetails,
    Message,
    Published,
    PublishOptions,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from heliograph.wamp.payload import EMPTY, EncodedPayload, Payload, PlainPayload
from heliograph.wire.serializers import serializer
from tests.support.recording import (
    EVERYTHING,
    OPEN_ROLE,
    Bench,
    ManualClock,
    ManualWork,
    RecordingDeliverer,
    SessionPair,
    publish,
    subscribe,
)

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

    def test_to_one_text_by_three_kinds_of_matching_makes_three_subscriptions(self, bench: Bench) -> None:
        pair = bench.join()
        subscriptions = [pair.subscribe(TOPIC, match=match) for match in ("exact", "prefix", "wildcard")]
        assert len(set(subscriptions)) == 3
        again = [pair.subscribe(TOPIC, match=match) for match in ("exact", "prefix", "wildcard")]
        assert again == subscriptions

    def test_that_is_not_allowed_is_refused(self) -> None:
        bench = Bench([RoleOptions(name="anonymous")])
        assert bench.join().says(subscribe(1, TOPIC)) == [
            refusal(32, 1, "wamp.error.not_authorized", f"role 'anonymous' may not subscribe '{TOPIC}'")
        ]
        assert bench.realm.broker.subscriptions == {}
        assert len(bench.realm.broker.index) == 0

    @pytest.mark.parametrize(
        ("topic", "match"),
        [
            ("com..t", "exact"),
            ("com.t.", "exact"),
            ("", "exact"),
            ("com..t", "prefix"),
            (".com", "prefix"),
            ("two words", "prefix"),
            ("com.#", "wildcard"),
            ("com. .t", "wildcard"),
        ],
    )
    def test_to_an_unfit_topic_is_refused(self, bench: Bench, topic: str, match: str) -> None:
        assert bench.join().says(subscribe(1, topic, match=match)) == [
            refusal(32, 1, "wamp.error.invalid_uri", f"{topic!r} is not a valid URI (match: {match})")
        ]


def heard(pair: SessionPair) -> list[tuple[int, str | None]]:
    """Return the subscription and the topic of each event."""
    return [
        (message.subscription, message.details.topic)
        for message in pair.hears()
        if isinstance(message, Event)
    ]


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "match", "topics"),
        [
            ("com.a", "prefix", ["com.a", "com.a.x", "com.ab", "com.a.x.y"]),
            ("com.a.", "prefix", ["com.a.x", "com.a.x.y"]),
            ("", "prefix", ["com", "com.a", "com.a.x", "com.ab", "com.b.x", "com.a.x.y", "org.a.x"]),
            ("com..x", "wildcard", ["com.a.x", "com.b.x"]),
            (".a.", "wildcard", ["com.a.x", "org.a.x"]),
            ("", "wildcard", ["com"]),
            ("..", "wildcard", ["com.a.x", "com.b.x", "org.a.x"]),
            ("...", "wildcard", ["com.a.x.y"]),
            ("com.a", "wildcard", ["com.a"]),
        ],
    )
    def test_bring_the_topics_they_match_and_their_names(
        self, bench: Bench, pattern: str, match: str, topics: list[str]
    ) -> None:
        publisher, subscriber = bench.join(), bench.join()
        subscription = subscriber.subscribe(pattern, match=match)
        every = ["com", "com.a", "com.a.x", "com.ab", "com.b.x", "com.a.x.y", "org.a.x"]
        publisher.says(*(publish(number, topic) for number, topic in enumerate(every, 1)))
        assert heard(subscriber) == [(subscription, topic) for topic in topics]

    def test_that_match_together_bring_one_publication_once_each(self, bench: Bench) -> None:
        publisher, all_of_them, one = bench.join(), bench.join(), bench.join()
        subscriptions = {
            all_of_them.subscribe(topic, match=match): match
            for topic, match in (
                (TOPIC, "exact"),
                ("com.", "prefix"),
                ("com.example", "prefix"),
                ("com..t", "wildcard"),
                ("..", "wildcard"),
            )
        }
        shared = one.subscribe("com.", match="prefix")
        # ".." has heard of that.
        all_of_them.hears()
        events_before = bench.router.counters.events
        payload = PlainPayload([1], {"two": 2})
        (published,) = publisher.says(publish(1, TOPIC, payload, acknowledge=True))
        assert isinstance(published, Published)
        events = all_of_them.hears()
        assert {event.subscription: event for event in events if isinstance(event, Event)} == {
            subscription: Event(
                subscription,
                published.publication,
                EventDetails(topic=None if match == "exact" else TOPIC),
                payload,
            )
            for subscription, match in subscriptions.items()
        }
        assert len(events) == 5
        assert heard(one) == [(shared, TOPIC)]
        assert bench.router.counters.publications == 1
        assert bench.router.counters.events == events_before + 6

    def test_leave_the_publisher_out_like_any_subscription(self, bench: Bench) -> None:
        pair = bench.join()
        subscription = pair.subscribe("", match="prefix")
        pair.says(publish(1, TOPIC))
        assert heard(pair) == []
        pair.session.receive(publish(2, TOPIC, exclude_me=False))
        assert heard(pair) == [(subscription, TOPIC)]

    def test_end_one_by_one(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(), bench.join()
        prefix = subscriber.subscribe("com.", match="prefix")
        wildcard = subscriber.subscribe("com..t", match="wildcard")
        subscriber.says(Unsubscribe(3, prefix))
        publisher.says(publish(1, TOPIC))
        assert heard(subscriber) == [(wildcard, TOPIC)]
        subscriber.says(Unsubscribe(4, wildcard))
        assert len(bench.realm.broker.index) == 0

    @pytest.mark.parametrize(
        ("pattern", "match"),
        [("", "prefix"), ("sec", "prefix"), ("..", "wildcard"), (".plans.", "wildcard")],
    )
    def test_bring_nothing_that_their_subscriber_may_not_subscribe_to(self, pattern: str, match: str) -> None:
        restricted = RoleOptions(
            name="restricted",
            permissions=[
                PermissionRule(uri="", match="prefix", allow=EVERYTHING),
                PermissionRule(uri="secret.", match="prefix"),
                PermissionRule(uri="secret.plans.known", allow=AllowedActions(subscribe=True)),
            ],
        )
        bench = Bench([OPEN_ROLE, restricted])
        publisher, free, bound = bench.join(), bench.join(), bench.join(role="restricted")
        for pair in (free, bound):
            pair.subscribe(pattern, match=match)
        free.hears()
        publisher.says(publish(1, "secret.plans.war"), publish(2, "secret.plans.known"))
        assert [topic for _, topic in heard(free)] == ["secret.plans.war", "secret.plans.known"]
        assert [topic for _, topic in heard(bound)] == ["secret.plans.known"]

    def test_of_the_personal_kind_are_filtered_by_who_listens(self) -> None:
        role = RoleOptions(
            name="agent",
            permissions=[
                PermissionRule(uri="config.", match="exact", allow=AllowedActions(subscribe=True)),
                PermissionRule(uri="config.{authid}", allow=AllowedActions(subscribe=True)),
            ],
        )
        bench = Bench([OPEN_ROLE, role])
        publisher, first, second = bench.join(), bench.join_as("a", "agent"), bench.join_as("b", "agent")
        for pair in (first, second):
            pair.subscribe("config.", match="prefix")
        publisher.says(publish(1, "config.a"), publish(2, "config.b"), publish(3, "config.c"))
        assert [topic for _, topic in heard(first)] == ["config.a"]
        assert [topic for _, topic in heard(second)] == ["config.b"]

    def test_bring_to_each_of_several_roles_what_it_may_hear(self) -> None:
        everything = PermissionRule(uri="", match="prefix", allow=EVERYTHING)
        bench = Bench(
            [
                RoleOptions(name="all", permissions=[everything]),
                RoleOptions(
                    name="some", permissions=[everything, PermissionRule(uri="com.t.secret", match="exact")]
                ),
                RoleOptions(
                    name="own",
                    permissions=[
                        PermissionRule(uri="com.t.", match="exact", allow=EVERYTHING),
                        PermissionRule(uri="com.t.{authid}", allow=EVERYTHING),
                    ],
                ),
            ]
        )
        listening = {
            name: bench.join_as(name, role)
            for name, role in [("a", "all"), ("b", "all"), ("c", "some"), ("secret", "own"), ("other", "own")]
        }
        for pair in listening.values():
            pair.subscribe("com.t.", match="prefix")
            pair.hears()
        bench.join_as("publisher", "all").says(publish(1, "com.t.secret"))
        assert {name for name, pair in listening.items() if heard(pair)} == {"a", "b", "secret"}

    def test_bring_meta_events_to_those_who_may_hear_them(self) -> None:
        deaf = RoleOptions(
            name="deaf",
            permissions=[
                PermissionRule(uri="", match="prefix", allow=EVERYTHING),
                PermissionRule(uri="wamp.", match="prefix"),
            ],
        )
        bench = Bench([OPEN_ROLE, deaf])
        hearing, unhearing = bench.join(), bench.join(role="deaf")
        hearing.subscribe("", match="prefix")
        unhearing.subscribe("", match="prefix")
        hearing.hears()
        bench.join()
        assert [topic for _, topic in heard(hearing)] == ["wamp.session.on_join"]
        assert heard(unhearing) == []


class TestIdentity:
    """Publisher identification and trust levels."""

    @staticmethod
    def bench(**options: Any) -> Bench:
        told = PermissionRule(
            uri="told.", match="prefix", allow=EVERYTHING, disclose=Disclosure(publisher=True)
        )
        everything = PermissionRule(uri="", match="prefix", allow=EVERYTHING)
        return Bench([RoleOptions(name="anonymous", permissions=[everything, told], **options)])

    @staticmethod
    def details(bench: Bench, topic: str, **options: Any) -> tuple[SessionPair, EventDetails]:
        publisher, subscriber = bench.join_as("joe"), bench.join()
        subscriber.subscribe(topic)
        publisher.says(publish(1, topic, **options))
        (event,) = subscriber.hears()
        assert isinstance(event, Event)
        return publisher, event.details

    @pytest.mark.parametrize(("topic", "options"), [(TOPIC, {"disclose_me": True}), ("told.x", {})])
    def test_of_the_publisher_is_told_when_it_or_the_configuration_says_so(
        self, topic: str, options: dict[str, bool]
    ) -> None:
        publisher, details = self.details(self.bench(), topic, **options)
        assert details == EventDetails(
            publisher=publisher.session.id, publisher_authid="joe", publisher_authrole="anonymous"
        )

    def test_of_the_publisher_is_not_told_otherwise(self) -> None:
        assert self.details(self.bench(), TOPIC)[1] == EventDetails()

    def test_that_may_not_be_told_is_an_error_and_no_event(self) -> None:
        bench = self.bench(allow_disclose_me=False)
        publisher, subscriber = bench.join(), bench.join()
        subscriber.subscribe(TOPIC)
        assert publisher.says(publish(1, TOPIC, acknowledge=True, disclose_me=True)) == [
            refusal(
                16,
                1,
                "wamp.error.option_disallowed.disclose_me",
                "this role may not disclose its identity",
            )
        ]
        assert publisher.says(publish(2, TOPIC, disclose_me=True)) == []
        assert subscriber.hears() == []

    def test_is_told_by_configuration_even_of_a_role_that_may_not_ask(self) -> None:
        _, details = self.details(self.bench(allow_disclose_me=False), "told.x")
        assert details.publisher_authid == "joe"

    def test_is_no_reason_to_learn_what_one_may_not_publish(self) -> None:
        bench = Bench([RoleOptions(name="anonymous", allow_disclose_me=False)])
        (error,) = bench.join().says(publish(1, TOPIC, acknowledge=True, disclose_me=True))
        assert isinstance(error, Error)
        assert error.error == "wamp.error.not_authorized"

    @pytest.mark.parametrize("level", [0, 3])
    def test_comes_with_the_trust_level_of_the_role(self, level: int) -> None:
        assert self.details(self.bench(trustlevel=level), TOPIC)[1] == EventDetails(trustlevel=level)

    def test_stands_beside_the_topic_for_those_who_asked_for_a_pattern(self) -> None:
        bench = self.bench(trustlevel=1)
        publisher, subscriber = bench.join_as("joe"), bench.join()
        subscriber.subscribe("com.", match="prefix")
        publisher.says(publish(1, TOPIC, disclose_me=True))
        (event,) = subscriber.hears()
        assert isinstance(event, Event)
        assert event.details == EventDetails(
            topic=TOPIC,
            publisher=publisher.session.id,
            publisher_authid="joe",
            publisher_authrole="anonymous",
            trustlevel=1,
        )


class TestPassthru:
    def test_is_passed_on_as_it_is_said(self, bench: Bench) -> None:
        publisher = bench.join(features={"publisher": ["payload_passthru_mode"]})
        subscriber = bench.join()
        subscriber.subscribe(TOPIC)
        said = {"ppt_scheme": "x_mine", "ppt_serializer": "cbor", "ppt_cipher": "x", "ppt_keyid": "k"}
        publisher.says(publish(1, TOPIC, PlainPayload([b"..."]), **said))
        (event,) = subscriber.hears()
        assert isinstance(event, Event)
        assert event.details == EventDetails(**said)
        assert event.payload == PlainPayload([b"..."])

    def test_that_was_not_announced_is_a_violation(self, bench: Bench) -> None:
        publisher = bench.join()
        (abort,) = publisher.says(publish(1, TOPIC, ppt_scheme="x_mine"))
        assert isinstance(abort, Abort)
        assert abort.reason == "wamp.error.protocol_violation"


class TestUnsubscribe:
    def test_ends_the_events(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(), bench.join()
        subscription = subscriber.subscribe(TOPIC)
        assert subscriber.says(Unsubscribe(2, subscription)) == [Unsubscribed(2)]
        publisher.says(publish(1, TOPIC))
        assert subscriber.hears() == []
        assert bench.realm.broker.subscriptions == {}
        assert len(bench.realm.broker.index) == 0

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
    ids = iter(range(1, 100))
    realms = [RealmOptions(name=name, roles=[OPEN_ROLE]) for name in ("realm1", "realm2")]
    router = Router(
        realms,
        deliverer=RecordingDeliverer(),
        random_id=lambda: next(ids),
        clock=ManualClock(),
        work=ManualWork(),
        agent="Bench",
    )
    publisher, subscriber = SessionPair(router).join("realm1"), SessionPair(router).join("realm2")
    subscriber.subscribe(TOPIC)
    messages: list[Message] = publisher.says(
        publish(1, TOPIC), Subscribe(2, subscribe(1, TOPIC).options, TOPIC)
    )
    assert [type(message) for message in messages] == [Subscribed]
    assert subscriber.hears() == []


class TestOpenTopics:
    """What was allowed to all publishers of a role is not decided again, and opens nothing to anybody else."""

    def test_are_open_to_their_role_only(self) -> None:
        shut = PermissionRule(uri="com.", match="prefix", allow=AllowedActions(subscribe=True))
        bench = Bench([OPEN_ROLE, RoleOptions(name="reader", permissions=[shut])])
        writer, reader = bench.join(), bench.join(role="reader")
        for request in (1, 2):
            assert isinstance(writer.says(publish(request, "com.x", acknowledge=True))[0], Published)
            assert isinstance(reader.says(publish(request, "com.x", acknowledge=True))[0], Error)
        assert bench.router.counters.publications_refused == 2

    def test_are_not_remembered_where_an_authid_decides(self) -> None:
        own = PermissionRule(uri="com.{authid}", allow=AllowedActions(publish=True))
        bench = Bench([RoleOptions(name="anonymous", permissions=[own])])
        a, b = bench.join_as("a"), bench.join_as("b")
        for request in (1, 2):
            assert isinstance(a.says(publish(request, "com.a", acknowledge=True))[0], Published)
            assert isinstance(b.says(publish(request, "com.a", acknowledge=True))[0], Error)

    def test_are_a_bounded_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(broker, "OPEN_TOPICS", 3)
        bench = Bench()
        publisher = bench.join()
        for number in range(20):
            publisher.says(publish(number + 1, f"com.t{number}", acknowledge=True))
            assert len(bench.realm.broker._open_topics) <= 3
        assert bench.router.counters.publications == 20


class TestInThisProcess:
    """Who publishes without a message is judged and counted like those who send one."""

    def test_an_event_is_the_same(self, bench: Bench) -> None:
        subscriber, publisher = bench.join(), bench.join()
        subscriber.subscribe(TOPIC)
        (published,) = publisher.says(publish(1, TOPIC, PlainPayload([1]), acknowledge=True))
        publication = publisher.session.publish(TOPIC, PublishOptions(), PlainPayload([1]))
        said, done = subscriber.hears()
        assert isinstance(published, Published)
        assert (said.publication, done.publication) == (published.publication, publication)
        assert (said.subscription, said.details, said.payload) == (
            done.subscription,
            done.details,
            done.payload,
        )
        assert bench.router.counters.publications == 2

    @pytest.mark.parametrize("topic", ["wamp.x", "com..x", "com.#", ""])
    def test_a_refusal_is_the_same(self, bench: Bench, topic: str) -> None:
        publisher = bench.join()
        (told,) = publisher.says(publish(1, topic, acknowledge=True))
        with pytest.raises(RequestError) as raised:
            publisher.session.publish(topic, PublishOptions(), EMPTY)
        assert isinstance(told, Error)
        assert (raised.value.uri, list(raised.value.arguments)) == (told.error, told.payload.decoded()[0])
        assert bench.router.counters.publications_refused == 2
