"""What the router tells about subscriptions, and how it takes them away (specification, "Subscriptions Meta API")."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.routing.options import (
    AllowedActions,
    EventHistoryOptions,
    PermissionRule,
    RoleOptions,
    StoreOptions,
)
from heliograph.wamp.messages import (
    Error,
    Event,
    Result,
    Unsubscribe,
    Unsubscribed,
    UnsubscribedDetails,
)
from heliograph.wamp.payload import PlainPayload
from heliograph.wamp.uris import Match, matches_reserved
from tests.support.recording import EVERYTHING, Bench, SessionPair, call, publish, subscribe

TOPIC = "com.example.t"
CREATED = "2023-11-14T22:13:20.000Z"
"""Where the bench's clock stands."""

EVENTS = ("on_create", "on_subscribe", "on_unsubscribe", "on_delete")
ADMINISTRATOR = RoleOptions(
    name="administrator",
    permissions=[
        PermissionRule(uri="", match="prefix", allow=EVERYTHING),
        PermissionRule(uri="wamp.", match="prefix", allow=EVERYTHING),
    ],
)
OPEN = RoleOptions(name="anonymous", permissions=[PermissionRule(uri="", match="prefix", allow=EVERYTHING)])


def new_bench(**realm: Any) -> Bench:
    return Bench([OPEN, ADMINISTRATOR], **realm)


@pytest.fixture
def bench() -> Bench:
    return new_bench()


@pytest.fixture
def asker(bench: Bench) -> SessionPair:
    return bench.join(role="administrator")


def ask(pair: SessionPair, procedure: str, *args: Any, **kwargs: Any) -> Any:
    """Call `wamp.subscription.…` and return its only result, or the URI of its error."""
    answer = pair.says(call(1, f"wamp.subscription.{procedure}", PlainPayload(args, kwargs)))[-1]
    if isinstance(answer, Error):
        return answer.error
    assert isinstance(answer, Result), answer
    values, named = answer.payload.decoded()
    assert named == {}
    assert len(values) <= 1
    return values[0] if values else None


class Listener:
    """Hears what happens to subscriptions."""

    def __init__(self, bench: Bench) -> None:
        self.pair = bench.join()
        self.names = {self.pair.subscribe(f"wamp.subscription.{name}"): name for name in EVENTS}

    def heard(self) -> list[tuple[Any, ...]]:
        """Return name and arguments of each event, in order."""
        return [
            (self.names[message.subscription], *message.payload.decoded()[0])
            for message in self.pair.hears()
            if isinstance(message, Event)
        ]


PATTERNS: list[tuple[str, Match]] = [
    ("com.example.t", "exact"), ("wamp.session.on_join", "exact"), ("wamp.subscription.on_delete", "exact"),
    ("", "prefix"), ("wa", "prefix"), ("wamp.subscription.", "prefix"), ("wampy", "prefix"), ("com.", "prefix"),
    ("..", "wildcard"), ("wamp..on_join", "wildcard"), ("com..t", "wildcard"),
]  # fmt: skip


@given(data=st.data())
def test_subscriptions_to_the_router_are_counted_as_they_come_and_go(data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.sampled_from(PATTERNS), max_size=2, unique=True))
    bench = new_bench(
        store=StoreOptions(event_history=[EventHistoryOptions(uri=uri, match=match) for uri, match in kept])
    )
    broker = bench.realm.broker
    pairs = [bench.join(), bench.join()]
    for _ in range(data.draw(st.integers(1, 12))):
        number = data.draw(st.integers(0, 1))
        uri, match = data.draw(st.sampled_from(PATTERNS))
        known = broker.index.get(uri, match)
        if data.draw(st.booleans()) and known is not None and pairs[number].session in known.subscribers:
            pairs[number].says(Unsubscribe(2, known.id))
        elif data.draw(st.integers(0, 4)):
            pairs[number].says(subscribe(2, uri, match=match))
        else:
            pairs[number].session.lost()
            pairs[number] = bench.join()
        matched = [each for each in broker.subscriptions.values() if matches_reserved(each.topic, each.match)]
        assert broker.meta_subscriptions == len(matched)


class TestEvents:
    def test_tell_of_a_subscriptions_whole_life_in_order(self, bench: Bench) -> None:
        listener = Listener(bench)
        first, second = bench.join(), bench.join()
        subscription = first.subscribe("com.", match="prefix")
        second.subscribe("com.", match="prefix")
        details = {"id": subscription, "created": CREATED, "uri": "com.", "match": "prefix"}
        assert listener.heard() == [
            ("on_create", first.session.id, details),
            ("on_subscribe", first.session.id, subscription),
            ("on_subscribe", second.session.id, subscription),
        ]
        first.says(Unsubscribe(2, subscription))
        assert listener.heard() == [("on_unsubscribe", first.session.id, subscription)]
        second.says(Unsubscribe(2, subscription))
        assert listener.heard() == [
            ("on_unsubscribe", second.session.id, subscription),
            ("on_delete", second.session.id, subscription),
        ]

    def test_tell_nothing_of_subscribing_again(self, bench: Bench) -> None:
        listener, pair = Listener(bench), bench.join()
        pair.subscribe(TOPIC)
        listener.heard()
        pair.subscribe(TOPIC)
        assert listener.heard() == []

    def test_tell_of_everything_a_session_leaves_in_the_order_it_came(self, bench: Bench) -> None:
        listener, pair, other = Listener(bench), bench.join(), bench.join()
        topics = [f"com.t{number}" for number in range(8)]
        subscriptions = [pair.subscribe(topic) for topic in topics]
        other.subscribe(topics[3])
        listener.heard()
        pair.session.lost()
        expected: list[tuple[Any, ...]] = []
        for number, subscription in enumerate(subscriptions):
            expected.append(("on_unsubscribe", pair.session.id, subscription))
            if number != 3:
                expected.append(("on_delete", pair.session.id, subscription))
        assert listener.heard() == expected

    def test_tell_nothing_of_subscriptions_to_the_router(self, bench: Bench) -> None:
        listener, pair = Listener(bench), bench.join()
        for topic, match in (
            ("wamp.session.on_join", "exact"),
            ("wamp.", "prefix"),
            ("wamp..on_join", "wildcard"),
        ):
            subscription = pair.subscribe(topic, match=match)
            pair.says(Unsubscribe(2, subscription))
        assert listener.heard() == []

    def test_come_after_the_answer_to_who_caused_them(self, bench: Bench) -> None:
        pair = bench.join()
        pair.subscribe("wamp.subscription.", match="prefix")
        answer, *events = pair.says(subscribe(2, TOPIC))
        assert type(answer).__name__ == "Subscribed"
        assert [event.details.topic for event in events if isinstance(event, Event)] == [
            "wamp.subscription.on_create",
            "wamp.subscription.on_subscribe",
        ]

    def test_of_a_kept_history_tell_of_the_first_and_the_last_subscriber(self) -> None:
        bench = new_bench(store=StoreOptions(event_history=[EventHistoryOptions(uri=TOPIC)]))
        listener, pair = Listener(bench), bench.join()
        for _ in range(2):
            subscription = pair.subscribe(TOPIC)
            pair.says(Unsubscribe(2, subscription))
            assert [name for name, *_ in listener.heard()] == list(EVENTS)
        assert bench.realm.broker.subscriptions[subscription].topic == TOPIC


class TestLooking:
    def test_lists_subscriptions_by_matching(self, bench: Bench, asker: SessionPair) -> None:
        assert ask(asker, "list") == {"exact": [], "prefix": [], "wildcard": []}
        pair = bench.join()
        ids = {match: pair.subscribe(TOPIC, match=match) for match in ("exact", "prefix", "wildcard")}
        assert ask(asker, "list") == {match: [found] for match, found in ids.items()}

    def test_looks_one_up_by_its_very_pattern(self, bench: Bench, asker: SessionPair) -> None:
        pair = bench.join()
        exact, prefix = pair.subscribe(TOPIC), pair.subscribe(TOPIC, match="prefix")
        assert ask(asker, "lookup", TOPIC) == exact
        assert ask(asker, "lookup", TOPIC, {}) == exact
        assert ask(asker, "lookup", TOPIC, {"match": "prefix"}) == prefix
        assert ask(asker, "lookup", TOPIC, {"match": "prefix", "get_retained": True}) == prefix
        assert ask(asker, "lookup", TOPIC, {"match": "wildcard"}) is None
        assert ask(asker, "lookup", TOPIC + ".x") is None

    def test_matches_a_topic_with_all_that_cover_it(self, bench: Bench, asker: SessionPair) -> None:
        pair = bench.join()
        found = [
            pair.subscribe(TOPIC),
            pair.subscribe("com.", match="prefix"),
            pair.subscribe("com..t", match="wildcard"),
        ]
        pair.subscribe("org")
        assert sorted(ask(asker, "match", TOPIC)) == sorted(found)
        assert ask(asker, "match", "net.x") is None
        assert ask(asker, "match", "a..b") is None

    def test_tells_of_one(self, bench: Bench, asker: SessionPair) -> None:
        first, second = bench.join(), bench.join()
        subscription = first.subscribe("com..t", match="wildcard")
        second.subscribe("com..t", match="wildcard")
        assert ask(asker, "get", subscription) == {
            "id": subscription,
            "created": CREATED,
            "uri": "com..t",
            "match": "wildcard",
        }
        assert ask(asker, "list_subscribers", subscription) == [first.session.id, second.session.id]
        assert ask(asker, "count_subscribers", subscription) == 2
        first.session.lost()
        assert ask(asker, "list_subscribers", subscription) == [second.session.id]

    def test_says_nothing_of_subscriptions_to_the_router(self, bench: Bench, asker: SessionPair) -> None:
        topic = "wamp.session.on_join"
        subscription = bench.join().subscribe(topic)
        assert ask(asker, "list") == {"exact": [], "prefix": [], "wildcard": []}
        assert ask(asker, "lookup", topic) is None
        assert ask(asker, "match", topic) is None
        for procedure in ("get", "list_subscribers", "count_subscribers"):
            assert ask(asker, procedure, subscription) == "wamp.error.no_such_subscription"

    @pytest.mark.parametrize("procedure", ["get", "list_subscribers", "count_subscribers"])
    def test_of_one_there_is_not_is_an_error(self, bench: Bench, asker: SessionPair, procedure: str) -> None:
        pair = bench.join()
        gone = pair.subscribe(TOPIC)
        pair.says(Unsubscribe(2, gone))
        for subscription in (0, -1, 99, gone):
            assert ask(asker, procedure, subscription) == "wamp.error.no_such_subscription"

    def test_shows_kept_histories_without_subscribers(self) -> None:
        bench = new_bench(store=StoreOptions(event_history=[EventHistoryOptions(uri="com.", match="prefix")]))
        asker = bench.join()
        (subscription,) = ask(asker, "list")["prefix"]
        assert ask(asker, "match", TOPIC) == [subscription]
        assert ask(asker, "count_subscribers", subscription) == 0

    @pytest.mark.parametrize(
        ("procedure", "args", "kwargs"),
        [
            ("list", [1], {}),
            ("list", [], {"x": 1}),
            ("lookup", [], {}),
            ("lookup", [5], {}),
            ("lookup", [TOPIC, "prefix"], {}),
            ("lookup", [TOPIC, {"match": "bogus"}], {}),
            ("lookup", [TOPIC, {"match": 1}], {}),
            ("lookup", [TOPIC, {}, 1], {}),
            ("match", [], {}),
            ("match", [None], {}),
            ("match", [TOPIC, {}], {}),
            ("get", [], {}),
            ("get", ["1"], {}),
            ("get", [True], {}),
            ("get", [1.0], {"x": 1}),
            ("list_subscribers", [None], {}),
            ("count_subscribers", [[]], {}),
            ("remove_subscriber", [1], {}),
            ("remove_subscriber", [1, "x"], {}),
            ("remove_subscriber", [1, 2], {"reason": 5}),
        ],
    )
    def test_with_bad_arguments_is_refused(
        self, asker: SessionPair, procedure: str, args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        assert ask(asker, procedure, *args, **kwargs) == "wamp.error.invalid_argument"
        assert not asker.is_closed

    def test_needs_the_permission_to_call(self) -> None:
        rule = PermissionRule(uri="com.", match="prefix", allow=EVERYTHING)
        bench = Bench([RoleOptions(name="anonymous", permissions=[rule])])
        assert ask(bench.join(), "list") == "wamp.error.not_authorized"


class TestRevocation:
    REVOCATION = {"subscriber": ["subscription_revocation"]}

    @pytest.mark.parametrize(
        ("kwargs", "details"),
        [
            ({}, UnsubscribedDetails(subscription=1)),
            (
                {"reason": "no longer authorized"},
                UnsubscribedDetails(subscription=1, reason="no longer authorized"),
            ),
        ],
    )
    def test_is_told_to_a_subscriber_that_knows_it(
        self, bench: Bench, asker: SessionPair, kwargs: dict[str, str], details: UnsubscribedDetails
    ) -> None:
        pair = bench.join(features=self.REVOCATION)
        assert pair.subscribe(TOPIC) == 1
        assert ask(asker, "remove_subscriber", 1, pair.session.id, **kwargs) is None
        assert pair.hears() == [Unsubscribed(0, details)]

    def test_is_done_without_a_word_to_one_that_does_not(self, bench: Bench, asker: SessionPair) -> None:
        pair = bench.join()
        subscription = pair.subscribe(TOPIC)
        ask(asker, "remove_subscriber", subscription, pair.session.id, reason="x")
        assert pair.hears() == []
        asker.says(publish(2, TOPIC))
        assert pair.hears() == []
        (error,) = pair.says(Unsubscribe(2, subscription))
        assert isinstance(error, Error)
        assert error.error == "wamp.error.no_such_subscription"

    def test_ends_the_events_of_one_subscriber_and_one_subscription(
        self, bench: Bench, asker: SessionPair
    ) -> None:
        pair, other = bench.join(), bench.join()
        subscription, prefix = pair.subscribe(TOPIC), pair.subscribe("com.", match="prefix")
        other.subscribe(TOPIC)
        ask(asker, "remove_subscriber", subscription, pair.session.id)
        asker.says(publish(2, TOPIC))
        assert [message.subscription for message in pair.hears() if isinstance(message, Event)] == [prefix]
        assert [message.subscription for message in other.hears() if isinstance(message, Event)] == [
            subscription
        ]

    def test_is_announced_like_unsubscribing(self, bench: Bench, asker: SessionPair) -> None:
        listener, pair = Listener(bench), bench.join()
        subscription = pair.subscribe(TOPIC)
        listener.heard()
        ask(asker, "remove_subscriber", subscription, pair.session.id)
        assert listener.heard() == [
            ("on_unsubscribe", pair.session.id, subscription),
            ("on_delete", pair.session.id, subscription),
        ]

    def test_lets_the_session_leave_and_subscribe_as_before(self, bench: Bench, asker: SessionPair) -> None:
        pair = bench.join(features=self.REVOCATION)
        subscription = pair.subscribe(TOPIC)
        ask(asker, "remove_subscriber", subscription, pair.session.id)
        pair.hears()
        assert pair.subscribe(TOPIC) != subscription
        pair.session.lost()
        asker.session.lost()
        bench.assert_nothing_left()

    def test_of_what_there_is_not_is_an_error(self, bench: Bench, asker: SessionPair) -> None:
        pair, other = bench.join(), bench.join()
        subscription = pair.subscribe(TOPIC)
        reserved = pair.subscribe("wamp.session.on_join")
        for of, whose in (
            (99, pair.session.id),
            (subscription, other.session.id),
            (subscription, 99),
            (reserved, pair.session.id),
        ):
            assert ask(asker, "remove_subscriber", of, whose) == "wamp.error.no_such_subscription"
        assert ask(asker, "count_subscribers", subscription) == 1

    def test_needs_a_permission_that_names_it(self, bench: Bench) -> None:
        pair = bench.join()
        subscription = pair.subscribe(TOPIC)
        refused = ask(pair, "remove_subscriber", subscription, pair.session.id)
        assert refused == "wamp.error.not_authorized"

    def test_is_open_to_a_role_whose_rule_names_it(self) -> None:
        rule = PermissionRule(uri="wamp.subscription.remove_subscriber", allow=AllowedActions(call=True))
        bench = Bench([OPEN, RoleOptions(name="censor", permissions=[rule])])
        pair, censor = bench.join(), bench.join(role="censor")
        subscription = pair.subscribe(TOPIC)
        assert ask(censor, "remove_subscriber", subscription, pair.session.id) is None
        assert ask(censor, "list") == "wamp.error.not_authorized"
