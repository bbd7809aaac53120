"""Event history: what `wamp.subscription.get_events` returns, against an implementation that is obviously right."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.routing.options import (
    AllowedActions,
    EventHistoryOptions,
    PermissionRule,
    RoleOptions,
    StoreOptions,
)
from heliograph.wamp.errors import INVALID_ARGUMENT
from heliograph.wamp.messages import Error, Event, Published, Result, Subscribed
from heliograph.wamp.payload import BarePayload, EncodedPayload, Payload, PlainPayload
from heliograph.wamp.uris import Match
from heliograph.wire.serializers import serializer
from tests.support.recording import EVERYTHING, OPEN_ROLE, Bench, SessionPair, call, publish, subscribe

GET_EVENTS = "wamp.subscription.get_events"
TOPIC = "com.example.log"
START_S = 1_700_000_000.0


def keeping(*kept: tuple[str, Match, int], roles: Sequence[RoleOptions] = (OPEN_ROLE,)) -> Bench:
    history = [EventHistoryOptions(uri=uri, match=match, limit=limit) for uri, match, limit in kept]
    return Bench(roles, store=StoreOptions(event_history=history))


def subscription_of(pair: SessionPair, topic: str = TOPIC, match: Match = "exact") -> int:
    """Return the id of a subscription without subscribing."""
    (result,) = pair.says(call(1, "wamp.subscription.lookup", PlainPayload([topic, {"match": match}])))
    assert isinstance(result, Result), result
    ((found,), _) = result.payload.decoded()
    assert isinstance(found, int)
    return found


def events(pair: SessionPair, subscription: int, **conditions: Any) -> list[dict[str, Any]]:
    (result,) = pair.says(call(1, GET_EVENTS, PlainPayload([subscription], conditions)))
    assert isinstance(result, Result), result
    args, kwargs = result.payload.decoded()
    assert kwargs == {}
    # "an array of `Event` objects"
    return args


def values(pair: SessionPair, subscription: int, **conditions: Any) -> list[Any]:
    return [event["args"][0] for event in events(pair, subscription, **conditions)]


def refused(pair: SessionPair, *args: Any, **conditions: Any) -> str:
    (error,) = pair.says(call(1, GET_EVENTS, PlainPayload(args, conditions)))
    assert isinstance(error, Error), error
    return error.error


def publish_values(bench: Bench, *published: Any, topic: str = TOPIC, step_s: float = 1.0) -> list[int]:
    """Publish each value, time passing between, and return the publications' ids."""
    publisher, ids = bench.join(), []
    for value in published:
        (answer,) = publisher.says(publish(1, topic, PlainPayload([value]), acknowledge=True))
        assert isinstance(answer, Published)
        ids.append(answer.publication)
        bench.clock.advance(step_s)
    return ids


def rfc3339(seconds: float) -> str:
    return (datetime.fromtimestamp(START_S, UTC) + timedelta(seconds=seconds)).isoformat()


class TestKeeping:
    def test_tells_of_an_event_as_the_specification_shows(self) -> None:
        bench = keeping((TOPIC, "exact", 10))
        publisher, reader = bench.join_as("joe"), bench.join()
        (published,) = publisher.says(
            publish(1, TOPIC, PlainPayload([1, 2], {"k": "v"}), acknowledge=True, disclose_me=True)
        )
        subscription = subscription_of(reader)
        assert events(reader, subscription) == [
            {
                "timestamp": "2023-11-14T22:13:20.000Z",
                "subscription": subscription,
                "publication": published.publication,
                "details": {
                    "publisher": publisher.session.id,
                    "publisher_authid": "joe",
                    "publisher_authrole": "anonymous",
                },
                "args": [1, 2],
                "kwargs": {"k": "v"},
            }
        ]

    def test_leaves_out_arguments_there_are_none_of(self) -> None:
        bench = keeping((TOPIC, "exact", 10))
        pair = bench.join()
        pair.says(publish(1, TOPIC))
        (event,) = events(pair, subscription_of(pair))
        assert set(event) == {"timestamp", "subscription", "publication", "details"}

    def test_begins_before_anybody_subscribes_and_goes_on_when_all_have_left(self) -> None:
        bench = keeping((TOPIC, "exact", 10))
        publish_values(bench, 1)
        reader = bench.join()
        subscription = subscription_of(reader)
        listener = bench.join()
        assert listener.subscribe(TOPIC) == subscription
        publish_values(bench, 2)
        listener.session.lost()
        publish_values(bench, 3)
        assert values(reader, subscription) == [1, 2, 3]
        assert bench.join().subscribe(TOPIC) == subscription

    @pytest.mark.parametrize("listeners", [0, 1, 5])
    def test_makes_one_entry_a_publication_however_many_receive_it(self, listeners: int) -> None:
        bench = keeping((TOPIC, "exact", 3))
        for _ in range(listeners):
            bench.join().subscribe(TOPIC)
        publish_values(bench, 1, 2, 3)
        reader = bench.join()
        assert values(reader, subscription_of(reader)) == [1, 2, 3]

    def test_is_bounded_and_forgets_the_oldest(self) -> None:
        bench = keeping((TOPIC, "exact", 3))
        publish_values(bench, *range(10))
        reader = bench.join()
        assert values(reader, subscription_of(reader)) == [7, 8, 9]

    def test_is_kept_for_each_subscription_by_itself_as_in_the_specifications_example(self) -> None:
        log = "com.mycompany.log"
        bench = keeping((f"{log}.auth", "exact", 9), (f"{log}.basket", "exact", 9), (log, "prefix", 9))
        for number, topic in enumerate(["auth", "basket", "basket", "basket", "checkout"], 1):
            publish_values(bench, number, topic=f"{log}.{topic}")
        reader = bench.join()
        assert values(reader, subscription_of(reader, f"{log}.auth")) == [1]
        assert values(reader, subscription_of(reader, f"{log}.basket")) == [2, 3, 4]
        of_all = subscription_of(reader, log, "prefix")
        assert values(reader, of_all) == [1, 2, 3, 4, 5]
        assert [event["details"]["topic"] for event in events(reader, of_all)][-1] == f"{log}.checkout"
        assert events(reader, subscription_of(reader, f"{log}.auth"))[0]["details"] == {}

    def test_is_empty_for_a_subscription_nobody_configured(self) -> None:
        bench = keeping((TOPIC, "exact", 3))
        listener = bench.join()
        subscription = listener.subscribe("com.example.other")
        publish_values(bench, 1, topic="com.example.other")
        listener.hears()
        assert events(listener, subscription) == []

    def test_configured_twice_for_one_topic_counts_the_last(self) -> None:
        bench = keeping((TOPIC, "exact", 1), (TOPIC, "exact", 3))
        publish_values(bench, 1, 2, 3, 4)
        reader = bench.join()
        assert values(reader, subscription_of(reader)) == [2, 3, 4]

    @pytest.mark.parametrize(
        ("options", "kept"),
        [
            ({"exclude": [1]}, False),
            ({"eligible": [1]}, False),
            ({"eligible": []}, False),
            ({"exclude": []}, True),
            ({"exclude_authid": ["x"]}, True),
            ({"eligible_authid": ["reader"]}, True),
            ({"exclude_authrole": ["x"]}, True),
            ({"eligible_authrole": ["anonymous"]}, True),
            ({"exclude": [1], "eligible_authid": ["reader"]}, False),
        ],
    )
    def test_leaves_out_what_was_addressed_to_sessions(self, options: dict[str, Any], kept: bool) -> None:
        bench = keeping((TOPIC, "exact", 1))
        bench.join().says(publish(1, TOPIC, PlainPayload(["before"])))
        bench.join().says(publish(1, TOPIC, PlainPayload(["this"]), **options))
        reader = bench.join_as("reader")
        # What is not kept takes nobody's place.
        assert values(reader, subscription_of(reader)) == ["this" if kept else "before"]

    def test_includes_testaments(self) -> None:
        bench = keeping((TOPIC, "exact", 3))
        pair, reader = bench.join(), bench.join()
        pair.says(call(1, "wamp.session.add_testament", PlainPayload([TOPIC, ["bye"]])))
        pair.session.lost()
        assert values(reader, subscription_of(reader)) == ["bye"]


class TestReader:
    """Who may read what."""

    ROLES = (
        RoleOptions(name="anonymous", permissions=[PermissionRule(uri="", match="prefix", allow=EVERYTHING)]),
        RoleOptions(name="boss", permissions=[PermissionRule(uri="", match="prefix", allow=EVERYTHING)]),
        RoleOptions(
            name="bound",
            permissions=[
                PermissionRule(uri="", match="prefix", allow=AllowedActions(call=True, subscribe=True)),
                PermissionRule(uri="secret.", match="prefix", allow=AllowedActions(call=True)),
            ],
        ),
        RoleOptions(
            name="uncalling",
            permissions=[PermissionRule(uri="", match="prefix", allow=AllowedActions(subscribe=True))],
        ),
    )

    def test_must_be_allowed_to_subscribe(self) -> None:
        bench = keeping(("secret.x", "exact", 3), ("secret.", "prefix", 3), roles=self.ROLES)
        subscriptions = [
            subscription_of(bench.join(), "secret.x"),
            subscription_of(bench.join(), "secret.", "prefix"),
        ]
        for subscription in subscriptions:
            assert refused(bench.join(role="bound"), subscription) == "wamp.error.not_authorized"
            assert events(bench.join(), subscription) == []

    def test_must_be_allowed_to_call(self) -> None:
        bench = keeping((TOPIC, "exact", 3), roles=self.ROLES)
        subscription = subscription_of(bench.join())
        assert refused(bench.join(role="uncalling"), subscription) == "wamp.error.not_authorized"

    def test_of_a_pattern_reads_only_topics_it_may_subscribe_to(self) -> None:
        bench = keeping(("", "prefix", 9), roles=self.ROLES)
        publish_values(bench, 1, topic="open.x")
        publish_values(bench, 2, topic="secret.x")
        subscription = subscription_of(bench.join(), "", "prefix")
        assert values(bench.join(role="bound"), subscription) == [1]
        assert values(bench.join(), subscription) == [1, 2]
        # What may not be read does not count for the limit.
        assert values(bench.join(role="bound"), subscription, limit=1, reverse=True) == [1]

    @pytest.mark.parametrize(
        ("options", "readers"),
        [
            ({}, {"ann", "bob", "boss"}),
            ({"eligible_authid": ["ann"]}, {"ann"}),
            ({"exclude_authid": ["ann"]}, {"bob", "boss"}),
            ({"eligible_authrole": ["boss"]}, {"boss"}),
            ({"exclude_authrole": ["boss"]}, {"ann", "bob"}),
            ({"eligible_authid": []}, set()),
            ({"eligible_authid": ["ann", "boss"], "exclude_authrole": ["boss"]}, {"ann"}),
        ],
    )
    def test_is_judged_by_the_lists_of_authids_and_authroles(
        self, options: dict[str, Any], readers: set[str]
    ) -> None:
        bench = keeping((TOPIC, "exact", 3), roles=self.ROLES)
        bench.join().says(publish(1, TOPIC, PlainPayload([1]), **options))
        subscription = subscription_of(bench.join())
        people = {
            "ann": bench.join_as("ann"),
            "bob": bench.join_as("bob"),
            "boss": bench.join_as("boss", "boss"),
        }
        assert {name for name, pair in people.items() if events(pair, subscription)} == readers


# What was published, second by second, to which topic; the fourth and fifth in the same second.
LOG = [(1, "a"), (2, "b"), (3, "a"), (4, "b"), (4, "a"), (6, "a"), (7, "b")]
POSITIONS = st.integers(0, len(LOG) - 1)
TIMES = st.integers(0, 8)


class TestFilters:
    """All of them, alone and together."""

    @staticmethod
    def room() -> tuple[SessionPair, int, list[int]]:
        bench = keeping(("com.", "prefix", 50))
        publisher, publications = bench.join(), []
        for number, (second, topic) in enumerate(LOG):
            bench.clock.time_s = START_S + second
            (answer,) = publisher.says(publish(1, f"com.{topic}", PlainPayload([number]), acknowledge=True))
            publications.append(answer.publication)
        reader = bench.join()
        return reader, subscription_of(reader, "com.", "prefix"), publications

    @pytest.mark.parametrize(
        ("conditions", "found"),
        [
            ({}, [0, 1, 2, 3, 4, 5, 6]),
            ({"reverse": False}, [0, 1, 2, 3, 4, 5, 6]),
            ({"reverse": True}, [6, 5, 4, 3, 2, 1, 0]),
            ({"limit": 2}, [0, 1]),
            ({"limit": 100}, [0, 1, 2, 3, 4, 5, 6]),
            ({"limit": 2**60}, [0, 1, 2, 3, 4, 5, 6]),
            ({"limit": 2, "reverse": True}, [6, 5]),
            ({"from_time": rfc3339(4)}, [3, 4, 5, 6]),
            ({"after_time": rfc3339(4)}, [5, 6]),
            ({"before_time": rfc3339(4)}, [0, 1, 2]),
            ({"until_time": rfc3339(4)}, [0, 1, 2, 3, 4]),
            ({"from_time": rfc3339(5)}, [5, 6]),
            ({"until_time": rfc3339(0)}, []),
            ({"from_time": "2023-11-14T23:13:24+01:00"}, [3, 4, 5, 6]),
            ({"from_time": "2023-11-14T22:13:24Z"}, [3, 4, 5, 6]),
            ({"from_time": "0001-01-01T00:00:00+14:00", "until_time": "9999-12-31T23:59:59-12:00"},
             [0, 1, 2, 3, 4, 5, 6]),
            ({"topic": "com.b"}, [1, 3, 6]),
            ({"topic": "com"}, []),
            ({"from_time": rfc3339(2), "before_time": rfc3339(6)}, [1, 2, 3, 4]),
            ({"from_time": rfc3339(2), "topic": "com.a", "limit": 2}, [2, 4]),
            ({"from_time": rfc3339(2), "topic": "com.a", "limit": 2, "reverse": True}, [5, 4]),
            ({"from_time": rfc3339(6), "until_time": rfc3339(2)}, []),
        ],
    )  # fmt: skip
    def test_by_time_topic_limit_and_order(self, conditions: dict[str, Any], found: list[int]) -> None:
        reader, subscription, _ = self.room()
        assert values(reader, subscription, **conditions) == found

    @pytest.mark.parametrize(
        ("conditions", "found"),
        [
            ({"from_publication": 3}, [3, 4, 5, 6]),
            ({"after_publication": 3}, [4, 5, 6]),
            ({"before_publication": 3}, [0, 1, 2]),
            ({"until_publication": 3}, [0, 1, 2, 3]),
            ({"from_publication": 2, "until_publication": 4}, [2, 3, 4]),
            ({"after_publication": 2, "before_publication": 4}, [3]),
            ({"after_publication": 3, "before_publication": 4}, []),
            ({"from_publication": 5, "before_publication": 2}, []),
            ({"from_publication": 2, "after_publication": 4}, [5, 6]),
            ({"after_publication": 2, "limit": 2}, [3, 4]),
            ({"before_publication": 4, "limit": 2, "reverse": True}, [3, 2]),
            # One that is not kept (-1) is older than all that are.
            ({"from_publication": -1}, [0, 1, 2, 3, 4, 5, 6]),
            ({"after_publication": -1}, [0, 1, 2, 3, 4, 5, 6]),
            ({"before_publication": -1}, []),
            ({"until_publication": -1}, []),
            ({"after_publication": -1, "until_publication": 1}, [0, 1]),
        ],
    )
    def test_by_publication_go_by_position(self, conditions: dict[str, Any], found: list[int]) -> None:
        reader, subscription, publications = self.room()
        given_ = {
            name: (publications[value] if value >= 0 else 2**53) if name.endswith("publication") else value
            for name, value in conditions.items()
        }
        assert values(reader, subscription, **given_) == found

    @settings(deadline=None)
    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "reverse": st.booleans(),
                "limit": st.integers(1, 9),
                "from_time": TIMES,
                "after_time": TIMES,
                "before_time": TIMES,
                "until_time": TIMES,
                "topic": st.sampled_from(["com.a", "com.b", "com.c"]),
                "from_publication": POSITIONS,
                "after_publication": POSITIONS,
                "before_publication": POSITIONS,
                "until_publication": POSITIONS,
            },
        )
    )
    def test_together_are_conditions_that_all_hold(self, conditions: dict[str, Any]) -> None:
        reader, subscription, publications = self.room()
        compare = {
            "from": lambda own, other: own >= other,
            "after": lambda own, other: own > other,
            "before": lambda own, other: own < other,
            "until": lambda own, other: own <= other,
        }
        expected, given_ = [], dict(conditions)
        for number, (second, topic) in enumerate(LOG):
            holds = conditions.get("topic") in (None, f"com.{topic}")
            for word, holds_between in compare.items():
                time, publication = conditions.get(f"{word}_time"), conditions.get(f"{word}_publication")
                if time is not None:
                    holds &= holds_between(second, time)
                    given_[f"{word}_time"] = rfc3339(time)
                if publication is not None:
                    holds &= holds_between(number, publication)
                    given_[f"{word}_publication"] = publications[publication]
            if holds:
                expected.append(number)
        if conditions.get("reverse"):
            expected.reverse()
        assert values(reader, subscription, **given_) == expected[: conditions.get("limit")]

    @pytest.mark.parametrize("fraction", [0.0, 0.001, 0.0004, 0.0016, 0.9999, 0.123456])
    def test_by_time_understand_the_timestamps_they_are_told(self, fraction: float) -> None:
        bench = keeping((TOPIC, "exact", 9))
        bench.clock.time_s = START_S + fraction
        publish_values(bench, 1, step_s=0.0021)
        publish_values(bench, 2)
        reader = bench.join()
        subscription = subscription_of(reader)
        stamp = events(reader, subscription)[0]["timestamp"]
        assert values(reader, subscription, from_time=stamp) == [1, 2]
        assert values(reader, subscription, after_time=stamp) == [2]
        assert values(reader, subscription, until_time=stamp) == [1]
        assert values(reader, subscription, before_time=stamp) == []

    def test_page_through_everything_forward_and_backward(self) -> None:
        reader, subscription, _ = self.room()
        for reverse, name in ((False, "after_publication"), (True, "before_publication")):
            seen: list[int] = []
            conditions: dict[str, Any] = {"limit": 2, "reverse": reverse}
            while page := events(reader, subscription, **conditions):
                seen += [event["args"][0] for event in page]
                conditions[name] = page[-1]["publication"]
            assert seen == sorted(range(len(LOG)), reverse=reverse)

    def test_page_on_after_what_was_read_has_made_room(self) -> None:
        bench = keeping((TOPIC, "exact", 3))
        reader = bench.join()
        subscription = subscription_of(reader)
        (last,) = publish_values(bench, 0)
        publish_values(bench, 1, 2, 3, 4)
        assert values(reader, subscription, after_publication=last) == [2, 3, 4]
        assert values(reader, subscription, before_publication=last, reverse=True) == []

    @pytest.mark.parametrize(
        ("args", "conditions"),
        [
            ([], {}),
            (["1"], {}),
            ([1, 10], {}),
            ([True], {}),
            ([1], {"limit": 0}),
            ([1], {"limit": -1}),
            ([1], {"limit": "5"}),
            ([1], {"limit": True}),
            ([1], {"limit": 1.5}),
            ([1], {"reverse": 1}),
            ([1], {"topic": 5}),
            ([1], {"from_time": "yesterday"}),
            ([1], {"from_time": "2023-11-14T22:13:20"}),
            ([1], {"from_time": 1_700_000_000}),
            ([1], {"until_time": "2023-13-14T22:13:20Z"}),
            ([1], {"from_publication": "x"}),
            ([1], {"from_publication": 0}),
            ([1], {"after_publication": 2**53 + 1}),
            ([1], {"limt": 5}),
            ([1], {"self": 5}),
            ([1], {"session": 5}),
            ([1], {"subscription_id": 5}),
            ([1], {"": 5}),
        ],
    )
    def test_that_make_no_sense_are_refused(self, args: list[Any], conditions: dict[str, Any]) -> None:
        bench = keeping((TOPIC, "exact", 3))
        pair = bench.join()
        assert refused(pair, *args, **conditions) == INVALID_ARGUMENT
        assert not pair.is_closed

    def test_of_a_subscription_there_is_not_are_refused(self) -> None:
        bench = keeping((TOPIC, "exact", 3))
        pair = bench.join()
        assert refused(pair, 99) == "wamp.error.no_such_subscription"
        reserved = pair.subscribe("wamp.session.on_join")
        assert refused(pair, reserved) == "wamp.error.no_such_subscription"


class TestFormats:
    @pytest.mark.parametrize("source", ["json", "msgpack", "cbor"])
    @pytest.mark.parametrize("target", ["json", "msgpack", "cbor"])
    def test_of_publisher_and_reader_may_differ(self, source: str, target: str) -> None:
        bench = keeping((TOPIC, "exact", 3))
        codec = serializer(source)
        args, kwargs = codec.encode_value([b"\x00\xff", "text"]), codec.encode_value({"n": [1.5, None]})
        bench.join(codec).says(publish(1, TOPIC, EncodedPayload(codec, args, kwargs)))
        reader = bench.join(serializer(target))
        (event,) = events(reader, subscription_of(reader))
        assert (event["args"], event["kwargs"]) == ([b"\x00\xff", "text"], {"n": [1.5, None]})

    @pytest.mark.parametrize(
        "payload",
        [
            EncodedPayload(serializer("json"), b'["\\u0000no base64"]', b""),
            EncodedPayload(serializer("msgpack"), b"\x91\xc1", b""),
        ],
        ids=["no base64", "no MessagePack"],
    )
    def test_that_nobody_could_read_are_the_publishers_error(self, payload: Payload) -> None:
        bench = keeping((TOPIC, "exact", 3))
        publisher, listener, reader = bench.join(), bench.join(), bench.join()
        listener.subscribe(TOPIC)
        (error,) = publisher.says(publish(1, TOPIC, payload, acknowledge=True))
        assert isinstance(error, Error)
        assert error.error == INVALID_ARGUMENT
        assert listener.hears() == []
        assert events(reader, subscription_of(reader)) == []

    def test_that_a_reader_cannot_express_cost_one_call_and_no_session(self) -> None:
        bench = keeping((TOPIC, "exact", 3))
        publish_values(bench, float("nan"), 2)
        reader = bench.join(serializer("json"))
        subscription = subscription_of(reader)
        assert refused(reader, subscription) == INVALID_ARGUMENT
        assert values(reader, subscription, limit=1, reverse=True) == [2]

    def test_of_a_payload_only_the_ends_can_read_are_told_as_one_binary(self) -> None:
        bench = keeping((TOPIC, "exact", 3))
        bench.join().says(publish(1, TOPIC, BarePayload(b"sealed"), enc_algo="cryptobox"))
        reader = bench.join()
        (event,) = events(reader, subscription_of(reader))
        assert event["args"] == [b"sealed"]
        assert event["details"] == {"enc_algo": "cryptobox"}


def test_live_events_and_history_have_the_same_publication() -> None:
    bench = keeping((TOPIC, "exact", 3))
    listener = bench.join()
    answer = listener.says(subscribe(1, TOPIC))[0]
    assert isinstance(answer, Subscribed)
    publish_values(bench, 1)
    (event,) = listener.hears()
    assert isinstance(event, Event)
    (kept,) = events(listener, answer.subscription)
    assert (kept["publication"], kept["subscription"]) == (event.publication, event.subscription)
