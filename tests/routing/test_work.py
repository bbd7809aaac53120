"""What costs more than a turn has room for spends what it takes, and is done in steps; the session's order holds."""

from collections.abc import Callable
from typing import Any

import pytest

from heliograph.routing import history, retained_events
from heliograph.routing.options import EventHistoryOptions, StoreOptions
from heliograph.routing.receivers import ReceiverFilter
from heliograph.routing.work import LOOKED_AT_A_UNIT, UNITS_A_MESSAGE
from heliograph.wamp.errors import INVALID_ARGUMENT, INVALID_URI, PAYLOAD_SIZE_EXCEEDED
from heliograph.wamp.messages import (
    Abort,
    CloseDetails,
    Error,
    Event,
    Goodbye,
    Message,
    Published,
    PublishOptions,
    Result,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from heliograph.wamp.payload import EncodedPayload, PlainPayload
from heliograph.wire.serializers import serializer
from tests.support.calling import yield_
from tests.support.recording import Bench, SessionPair, call, publish, subscribe

MANY = 1000


def spent_on(bench: Bench, action: Callable[[], object]) -> int:
    """Return the units of work that `action` spends."""
    before = sum(bench.work.spent)
    action()
    return sum(bench.work.spent) - before


def wildcards(pair: SessionPair, count: int) -> str:
    """Subscribe to patterns with gaps at different places, and return a topic that matches all."""
    for number in range(count):
        pair.subscribe(".".join("" if number >> bit & 1 else "a" for bit in range(12)), match="wildcard")
    return ".".join(["a"] * 12)


def fetched(pair: SessionPair, subscription: int, **conditions: Any) -> list[Message]:
    payload = PlainPayload([subscription], conditions)
    return pair.says(call(900, "wamp.subscription.get_events", payload))


class TestCosts:
    """Each loop over stored things spends at least what it looks at."""

    def test_matching_costs_a_unit_for_each_shape_of_patterns(self, bench: Bench) -> None:
        subscriber, publisher = bench.join(), bench.join()
        topic = wildcards(subscriber, MANY)
        assert spent_on(bench, lambda: publisher.says(publish(1, f"{topic}.b"))) == 1
        assert spent_on(bench, lambda: publisher.says(publish(1, topic.replace("a", "b", 1)))) >= MANY

    def test_an_event_for_many_subscriptions_costs_a_message_for_each(self, bench: Bench) -> None:
        subscriber, publisher = bench.join(), bench.join()
        topic = wildcards(subscriber, MANY)
        spent = spent_on(bench, lambda: publisher.says(publish(1, topic)))
        assert len(subscriber.hears()) == MANY
        assert spent > UNITS_A_MESSAGE * (MANY - MANY // 64)

    def test_a_filter_costs_what_it_looks_at(self, bench: Bench) -> None:
        for _ in range(200):
            bench.join().subscribe("a")
        publisher = bench.join()
        spent = spent_on(bench, lambda: publisher.says(publish(1, "a", eligible=[publisher.id])))
        assert spent >= 200 // LOOKED_AT_A_UNIT

    @pytest.mark.parametrize(
        ("procedure", "args"),
        [
            ("wamp.subscription.list", []),
            ("wamp.registration.list", []),
            ("wamp.session.list", []),
            ("wamp.session.count", [["x"]]),
        ],
    )
    def test_meta_procedures_cost_what_they_list(self, bench: Bench, procedure: str, args: list[Any]) -> None:
        pairs = [bench.join() for _ in range(200)]
        for number, pair in enumerate(pairs):
            pair.subscribe(f"t{number}")
            pair.register(f"p{number}")
        spent = spent_on(bench, lambda: pairs[0].says(call(500, procedure, PlainPayload(args))))
        assert spent >= 200 // LOOKED_AT_A_UNIT

    def test_leaving_costs_what_a_session_had(self, bench: Bench) -> None:
        pair, caller = bench.join(), bench.join()
        for number in range(200):
            pair.subscribe(f"t{number}")
            pair.register(f"p{number}")
        for number in range(200):
            caller.says(call(number + 1, f"p{number}"))
        assert spent_on(bench, pair.session.lost) >= 400 + 200 * UNITS_A_MESSAGE

    def test_requests_and_receivers_cannot_be_chosen_to_meet_in_a_table(self, bench: Bench) -> None:
        numbers = [number << 16 for number in range(1, 1_001)]
        callee, caller = bench.join(), bench.join()
        callee.register("p")
        caller.says(*[call(number, "p") for number in numbers])
        listed = ReceiverFilter(PublishOptions(eligible=numbers, exclude=numbers))
        for table in (
            bench.realm.dealer._of_session[caller.session].made,
            listed._sessions,
            listed._not_sessions,
        ):
            assert table is not None
            assert len({hash(key) % (1 << 15) for key in table}) > 900

    def test_a_meta_event_costs_a_message_and_a_meta_call_two(self, bench: Bench) -> None:
        listener, pair = bench.join(), bench.join()
        listener.subscribe("wamp.registration.on_create")
        assert spent_on(bench, lambda: pair.register("p")) >= UNITS_A_MESSAGE
        assert spent_on(bench, lambda: pair.says(call(9, "wamp.session.get", PlainPayload([1])))) >= 16

    def test_history_costs_what_it_looks_at(self) -> None:
        bench = Bench(store=StoreOptions(event_history=[EventHistoryOptions(uri="a", limit=2 * MANY)]))
        pair = bench.join()
        subscription = pair.subscribe("a")
        for number in range(2 * MANY):
            pair.says(publish(number + 2, "a", PlainPayload([number])))
        spent = spent_on(bench, lambda: fetched(pair, subscription, topic="b"))
        assert spent >= 2 * MANY - history.ENTRIES_A_STEP

    def test_retained_events_cost_what_is_looked_at_and_sent(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(), bench.join()
        for number in range(2 * MANY):
            publisher.says(publish(number + 1, f"t{number}", retain=True))
        nothing = spent_on(bench, lambda: subscriber.subscribe("nothing", match="prefix", get_retained=True))
        assert nothing >= 2 * MANY - retained_events.TOPICS_A_STEP
        some = spent_on(bench, lambda: subscriber.subscribe("t1", match="prefix", get_retained=True))
        assert some >= UNITS_A_MESSAGE * retained_events.TOPICS_SENT


class TestSteps:
    """With a small budget, what is much takes several turns, and nothing else of the session comes between."""

    def test_a_publication_is_acknowledged_when_all_have_it(self, bench: Bench) -> None:
        subscriber, publisher = bench.join(), bench.join()
        topic = wildcards(subscriber, 300)
        subscriber.hears()
        bench.work.budget = 1
        assert (
            publisher.says(publish(1, topic, acknowledge=True), publish(2, "other", acknowledge=True)) == []
        )
        assert 0 < len(subscriber.hears()) < 300
        bench.work.finish()
        (first, second) = publisher.hears()
        assert isinstance(first, Published)
        assert first.request == 1
        assert isinstance(second, Published)
        assert second.request == 2

    def test_others_are_served_between(self, bench: Bench) -> None:
        subscriber, publisher, other = bench.join(), bench.join(), bench.join()
        topic = wildcards(subscriber, 300)
        bench.work.budget = 1
        publisher.says(publish(1, topic, acknowledge=True))
        bench.work.next_turn()
        (answer,) = other.says(publish(1, "x", acknowledge=True))
        assert isinstance(answer, Published)
        assert publisher.hears() == []

    def test_nobody_receives_what_one_of_many_cannot_be_given(self, bench: Bench) -> None:
        reader, other, publisher = (
            bench.join(serializer("json")),
            bench.join(serializer("cbor")),
            bench.join(),
        )
        topic = wildcards(reader, 300)
        other.subscribe(topic)
        json = serializer("json")
        (answer,) = publisher.says(publish(1, topic, EncodedPayload(json, b"[1e999]", b""), acknowledge=True))
        assert isinstance(answer, Error)
        assert answer.error == INVALID_ARGUMENT
        assert not [message for message in reader.hears() if isinstance(message, Event)]

    def test_a_large_event_for_a_few_patterns_is_made_in_turns(self, bench: Bench) -> None:
        subscriber, publisher = bench.join(), bench.join()
        topic = wildcards(subscriber, 20)
        subscriber.hears()
        bench.work.budget = 1
        publisher.says(publish(1, topic, PlainPayload(["x" * 200_000])))
        assert len(subscriber.hears()) < 20
        bench.work.finish()
        assert len(subscriber.hears()) == 20 - 2

    def test_a_receiver_of_another_format_that_comes_meanwhile_costs_nobody_the_event(
        self, bench: Bench
    ) -> None:
        reader, latecomer, publisher = (
            bench.join(serializer("json")),
            bench.join(serializer("cbor")),
            bench.join(),
        )
        topic = wildcards(reader, 300)
        reader.hears()
        bench.work.budget = 1
        json = serializer("json")
        publisher.says(publish(1, topic, EncodedPayload(json, b'["\\u0000?"]', b""), acknowledge=True))
        pattern = ".".join("" if 299 >> bit & 1 else "a" for bit in range(12))
        latecomer.subscribe(pattern, match="wildcard")
        bench.work.finish()
        assert [type(message) for message in publisher.hears()] == [Published]
        assert len([message for message in reader.hears() if isinstance(message, Event)]) == 300 - 1
        assert bench.router.counters.events_dropped == 1

    def test_a_publication_goes_to_all_though_its_publisher_leaves(self, bench: Bench) -> None:
        subscriber, publisher = bench.join(), bench.join()
        topic = wildcards(subscriber, 300)
        subscriber.hears()
        bench.work.budget = 1
        publisher.says(publish(1, topic, acknowledge=True))
        publisher.session.lost()
        bench.work.finish()
        assert len(subscriber.hears()) == 300

    def test_an_event_never_follows_unsubscribed(self, bench: Bench) -> None:
        subscriber, publisher = bench.join(), bench.join()
        topic = wildcards(subscriber, 300)
        last = max(bench.realm.broker.subscriptions)
        subscriber.hears()
        bench.work.budget = 1
        publisher.says(publish(1, topic))
        heard = subscriber.says(Unsubscribe(800, last))
        bench.work.finish()
        heard += subscriber.hears()
        at = next(number for number, message in enumerate(heard) if isinstance(message, Unsubscribed))
        assert not [m for m in heard[at:] if isinstance(m, Event) and m.subscription == last]

    def test_retained_events_wait_for_room_and_requests_behind_wait_for_them(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(), bench.join()
        for number in range(10):
            publisher.says(publish(number + 1, f"t{number}", PlainPayload([number]), retain=True))
        subscriber.peer.room = 4
        heard = subscriber.says(
            subscribe(1, "t", match="prefix", get_retained=True), publish(2, "x", acknowledge=True)
        )
        assert isinstance(heard[0], Subscribed)
        assert len(heard) == 4
        rounds = 0
        while bench.work.waiting:
            bench.work.next_turn()
            heard += subscriber.hears()
            rounds += 1
        assert rounds >= 2
        events = [message for message in heard if isinstance(message, Event)]
        assert [event.payload.decoded()[0][0] for event in events] == list(range(10))
        assert isinstance(heard[-1], Published), "what was asked behind it is answered behind it"

    def test_a_retained_event_that_was_renewed_meanwhile_is_sent_once(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(), bench.join()
        for number in range(5):
            publisher.says(publish(number + 1, f"t{number}", PlainPayload(["old"]), retain=True))
        subscriber.peer.room = 2
        heard = subscriber.says(subscribe(1, "t", match="prefix", get_retained=True))
        publisher.says(publish(6, "t4", PlainPayload(["new"]), retain=True))
        while bench.work.waiting:
            heard += subscriber.hears()
            bench.work.next_turn()
        heard += subscriber.hears()
        of_topic = [m for m in heard if isinstance(m, Event) and m.details.topic == "t4"]
        assert [event.payload.decoded()[0][0] for event in of_topic] == ["new"]

    def test_a_session_that_ends_is_sent_no_more_of_it(self, bench: Bench) -> None:
        publisher, subscriber = bench.join(), bench.join()
        for number in range(10):
            publisher.says(publish(number + 1, f"t{number}", retain=True))
        subscriber.peer.room = 4
        subscriber.says(subscribe(1, "t", match="prefix", get_retained=True))
        subscriber.session.lost()
        bench.work.finish()
        assert subscriber.hears() == []
        assert not bench.realm.broker.subscriptions

    def test_leaving_takes_effect_at_once_and_is_told_of_in_turns(self, bench: Bench) -> None:
        watcher, pair, caller = bench.join(), bench.join(), bench.join()
        watcher.subscribe("wamp.registration.on_unregister")
        for number in range(20):
            pair.register(f"p{number}")
        watcher.hears()
        bench.work.budget = 1
        pair.session.lost()
        told = len(watcher.hears())
        assert told < 20
        (refused,) = caller.says(call(1, "p19"))
        assert isinstance(refused, Error), "nobody is given a call whose callee has left"
        bench.work.finish()
        assert told + len(watcher.hears()) == 20

    @pytest.mark.parametrize("is_killed", [False, True])
    def test_no_result_follows_goodbye(self, bench: Bench, is_killed: bool) -> None:
        callee, caller = bench.join(), bench.join()
        callee.register("p")
        caller.says(*[call(request, "p") for request in range(1, 51)])
        caller.hears()
        bench.work.budget = 1
        if is_killed:
            caller.session.end("wamp.close.killed", None)
        else:
            caller.session.receive(Goodbye(CloseDetails(), "wamp.close.close_realm"))
        callee.says(*[yield_(invocation) for invocation in range(30, 40)])
        bench.work.finish()
        assert [type(message) for message in caller.hears()] == [Goodbye]
        callee.session.lost()
        bench.work.finish()
        assert bench.realm.dealer._of_session == {}

    def test_goodbye_is_answered_when_nothing_is_left(self, bench: Bench) -> None:
        watcher, pair = bench.join(), bench.join()
        watcher.subscribe("wamp.subscription.on_unsubscribe")
        for number in range(20):
            pair.subscribe(f"t{number}")
        bench.work.budget = 1
        assert pair.says(Goodbye(CloseDetails(), "wamp.close.normal")) == []
        bench.work.finish()
        (answer,) = pair.hears()
        assert isinstance(answer, Goodbye)
        assert pair.peer.times_left == 1

    def test_calls_that_are_overdue_together_are_answered_in_turns(self, bench: Bench) -> None:
        callee, caller = bench.join(), bench.join()
        callee.register("p")
        for number in range(20):
            caller.says(call(number + 1, "p", timeout=1000))
        bench.work.budget = 1
        bench.clock.advance(1.0)
        assert len(caller.hears()) < 20
        bench.work.finish()
        assert len([m for m in caller.peer.sent if isinstance(m, Error)]) == 20
        assert bench.clock.pending == []

    def test_history_is_answered_in_turns(self) -> None:
        bench = Bench(store=StoreOptions(event_history=[EventHistoryOptions(uri="a", limit=50)]))
        pair = bench.join()
        subscription = pair.subscribe("a")
        for number in range(50):
            pair.says(publish(number + 2, "a", PlainPayload([number])))
        bench.work.budget = 1
        assert fetched(pair, subscription) == []
        bench.work.finish()
        (answer,) = pair.hears()
        assert isinstance(answer, Result)
        assert len(answer.payload.decoded()[0]) == 50

    def test_a_defect_on_the_way_ends_the_session_and_nobody_waits_for_ever(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench = Bench(store=StoreOptions(event_history=[EventHistoryOptions(uri="a")]))
        pair = bench.join()
        subscription = pair.subscribe("a")
        pair.says(publish(2, "a"))
        monkeypatch.setattr(bench.realm.broker, "may_read", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fetched(pair, subscription)
        (answer,) = pair.hears()
        assert isinstance(answer, Abort)
        assert answer.reason == "wamp.error.runtime_error"
        assert pair.is_closed


class TestBounds:
    @pytest.mark.parametrize("options", [{"eligible": [1] * 4097}, {"exclude_authid": ["a"] * 4097}])
    def test_lists_of_receivers_have_one(self, bench: Bench, options: dict[str, Any]) -> None:
        (answer,) = bench.join().says(publish(1, "a", acknowledge=True, **options))
        assert isinstance(answer, Error)
        assert answer.error == INVALID_ARGUMENT

    def test_names_in_them_have_one(self, bench: Bench) -> None:
        (answer,) = bench.join().says(publish(1, "a", acknowledge=True, eligible_authid=["x" * 1025]))
        assert isinstance(answer, Error)
        assert answer.error == INVALID_ARGUMENT

    def test_texts_of_payload_passthru_have_one(self, bench: Bench) -> None:
        pair = bench.join(features={"publisher": ["payload_passthru_mode"]})
        options = {"ppt_scheme": "x_a", "ppt_keyid": "k" * 257}
        (answer,) = pair.says(publish(1, "a", acknowledge=True, **options))
        assert isinstance(answer, Error)
        assert answer.error == INVALID_ARGUMENT

    def test_components_of_a_wildcard_have_one(self, bench: Bench) -> None:
        pair = bench.join()
        pair.subscribe("." * 31, match="wildcard")
        (answer,) = pair.says(subscribe(5, "." * 32, match="wildcard"))
        assert isinstance(answer, Error)
        assert answer.error == INVALID_URI

    def test_history_keeps_so_many_bytes(self) -> None:
        kept = EventHistoryOptions(uri="a", limit=1000, limit_bytes=20_000)
        bench = Bench(store=StoreOptions(event_history=[kept]))
        pair = bench.join()
        for number in range(50):
            pair.says(publish(number + 1, "a", PlainPayload(["x" * 1000])))
        assert 15_000 < bench.realm.broker.kept_bytes <= 20_000

    def test_an_answer_of_history_has_so_many_bytes_and_says_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("heliograph.routing.meta_subscriptions.ANSWER_BYTES", 10_000)
        bench = Bench(store=StoreOptions(event_history=[EventHistoryOptions(uri="a")]))
        pair = bench.join()
        subscription = pair.subscribe("a")
        for number in range(50):
            pair.says(publish(number + 2, "a", PlainPayload([number])))
        (answer,) = fetched(pair, subscription)
        assert isinstance(answer, Error)
        assert answer.error == PAYLOAD_SIZE_EXCEEDED
        assert "smaller limit" in answer.payload.decoded()[0][0]
        (answer,) = fetched(pair, subscription, limit=3)
        assert isinstance(answer, Result)

    def test_an_answer_of_history_has_so_many_lists(self) -> None:
        bench = Bench(store=StoreOptions(event_history=[EventHistoryOptions(uri="a")]))
        pair = bench.join()
        subscription = pair.subscribe("a")
        msgpack = serializer("msgpack")
        lists = EncodedPayload(msgpack, msgpack.encode_value([[]] * 40_000), b"")
        pair.says(publish(1, "a", lists), publish(2, "a", lists))
        *_, answer = fetched(pair, subscription)
        assert isinstance(answer, Error)
        *_, answer = fetched(pair, subscription, limit=1)
        assert isinstance(answer, Result)

    @pytest.mark.parametrize(
        ("details", "is_too_much"), [({"a": "x" * 1000}, False), ({"a": "x" * 20_000}, True)]
    )
    def test_details_added_to_a_session_have_so_many_bytes(
        self, bench: Bench, details: dict[str, Any], is_too_much: bool
    ) -> None:
        pair = bench.join()
        if is_too_much:
            with pytest.raises(Exception, match="16384 bytes"):
                pair.session.modify_details(details)
        else:
            pair.session.modify_details(details)

    def test_retained_events_are_weighed_with_all_that_is_kept_of_them(self, bench: Bench) -> None:
        pair = bench.join(features={"publisher": ["payload_passthru_mode"]})
        pair.says(publish(1, "a", retain=True))
        plain = bench.realm.broker.kept_bytes
        pair.says(publish(2, "a", retain=True, eligible_authid=[f"{number:0100d}" for number in range(100)]))
        with_names = bench.realm.broker.kept_bytes
        assert with_names > plain + 100 * 100
        pair.says(publish(3, "b", retain=True, ppt_scheme="x_" + "a" * 200))
        assert bench.realm.broker.kept_bytes > with_names + plain + 200
