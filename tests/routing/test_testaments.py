"""Testaments: what a session leaves to be published when it has ended."""

from typing import Any

import pytest

from heliograph.routing import meta_sessions
from heliograph.routing.options import AllowedActions, PermissionRule, RoleOptions
from heliograph.wamp.errors import CLOSE_NORMAL
from heliograph.wamp.messages import CloseDetails, Error, Event, EventDetails, Goodbye, Result, ResultDetails
from heliograph.wamp.payload import EncodedPayload, PlainPayload
from heliograph.wire.serializers import serializer
from tests.support.recording import EVERYTHING, OPEN_ROLE, Bench, SessionPair, call, hello, subscribe

TOPIC = "com.example.gone"
ADD, FLUSH = "wamp.session.add_testament", "wamp.session.flush_testaments"


def add(pair: SessionPair, value: Any, topic: str = TOPIC, **kwargs: Any) -> None:
    answers = pair.says(call(1, ADD, PlainPayload([topic, [value], {}], kwargs)))
    assert answers == [Result(1, ResultDetails())], answers


def refused(pair: SessionPair, procedure: str, args: list[Any], **kwargs: Any) -> str:
    (error,) = pair.says(call(1, procedure, PlainPayload(args, kwargs)))
    assert isinstance(error, Error), error
    return error.error


def values(pair: SessionPair) -> list[Any]:
    return [message.payload.decoded()[0][0] for message in pair.hears() if isinstance(message, Event)]


class TestAddTestament:
    @pytest.mark.parametrize("end", ["goodbye", "lost", "violation", "shut_down"])
    def test_is_published_however_the_session_ends(self, bench: Bench, end: str) -> None:
        pair, heir = bench.join(), bench.join()
        heir.subscribe(TOPIC)
        assert pair.says(call(1, ADD, PlainPayload([TOPIC, [1, 2], {"three": 3}]))) == [
            Result(1, ResultDetails())
        ]
        assert heir.hears() == []
        if end == "goodbye":
            pair.says(Goodbye(CloseDetails(), CLOSE_NORMAL))
        elif end == "lost":
            pair.session.lost()
        elif end == "violation":
            pair.says(hello())
        else:
            pair.session.shut_down()
        (event,) = heir.hears()
        assert isinstance(event, Event)
        assert event.payload == PlainPayload([1, 2], {"three": 3})
        assert bench.router.counters.publications == 1
        pair.session.lost()
        assert heir.hears() == []

    def test_takes_several_and_publishes_those_of_detached_first(self, bench: Bench) -> None:
        pair, heir = bench.join(), bench.join()
        heir.subscribe(TOPIC)
        for value, scope in ((1, "destroyed"), (2, "detached"), (3, "destroyed"), (4, "detached")):
            add(pair, value, scope=scope)
        add(pair, 5)
        pair.session.lost()
        assert values(heir) == [2, 4, 1, 3, 5]

    def test_takes_arguments_or_none(self, bench: Bench) -> None:
        pair, heir = bench.join(), bench.join()
        heir.subscribe(TOPIC)
        for payload in (PlainPayload([TOPIC]), PlainPayload([TOPIC, None, None]), PlainPayload([TOPIC, []])):
            assert pair.says(call(1, ADD, payload)) == [Result(1, ResultDetails())]
        pair.session.lost()
        events = heir.hears()
        assert len(events) == 3
        assert all(isinstance(event, Event) and event.payload == PlainPayload() for event in events)

    def test_reads_arguments_of_any_format_and_publishes_in_any(self, bench: Bench) -> None:
        for name in ("json", "msgpack", "cbor"):
            codec = serializer(name)
            pair, heirs = (
                bench.join(codec),
                [bench.join(serializer(to)) for to in ("json", "msgpack", "cbor")],
            )
            for heir in heirs:
                heir.subscribe(TOPIC)
            args = codec.encode_value([TOPIC, [b"\x00binary"], {"k": 1}])
            pair.says(call(1, ADD, EncodedPayload(codec, args, b"")))
            pair.session.lost()
            for heir in heirs:
                (event,) = [message for message in heir.hears() if isinstance(message, Event)]
                assert event.payload == PlainPayload([b"\x00binary"], {"k": 1})
                heir.session.lost()

    def test_that_an_heir_cannot_be_given_is_counted(self, bench: Bench) -> None:
        pair, heir = bench.join(), bench.join(serializer("json"))
        heir.subscribe(TOPIC)
        add(pair, float("nan"))
        add(pair, 2)
        pair.session.lost()
        assert values(heir) == [2]
        assert bench.router.counters.publications_refused == 1

    def test_honours_the_options_of_publish(self) -> None:
        role = RoleOptions(
            name="anonymous",
            permissions=[PermissionRule(uri="", match="prefix", allow=EVERYTHING)],
            trustlevel=2,
        )
        bench = Bench([role])
        pair, heir, other = bench.join_as("joe"), bench.join_as("ann"), bench.join_as("bob")
        for listener in (heir, other):
            listener.subscribe(TOPIC)
        add(
            pair,
            1,
            publish_options={"eligible_authid": ["ann"], "disclose_me": True, "retain": True, "unknown": 1},
        )
        session_id = pair.session.id
        pair.session.lost()
        (event,) = heir.hears()
        assert isinstance(event, Event)
        assert event.details == EventDetails(
            publisher=session_id, publisher_authid="joe", publisher_authrole="anonymous", trustlevel=2
        )
        assert other.hears() == []
        _, event = bench.join_as("ann").says(subscribe(1, TOPIC, get_retained=True))
        assert isinstance(event, Event)
        assert event.details.retained

    def test_is_not_heard_by_the_session_itself(self, bench: Bench) -> None:
        pair = bench.join()
        pair.subscribe(TOPIC)
        add(pair, 1, publish_options={"exclude_me": False, "acknowledge": True})
        (answer,) = pair.says(Goodbye(CloseDetails(), CLOSE_NORMAL))
        assert isinstance(answer, Goodbye)

    @pytest.mark.parametrize(
        ("args", "kwargs", "uri"),
        [
            ([], {}, "wamp.error.invalid_argument"),
            ([5], {}, "wamp.error.invalid_argument"),
            ([TOPIC, "x"], {}, "wamp.error.invalid_argument"),
            ([TOPIC, [], []], {}, "wamp.error.invalid_argument"),
            ([TOPIC, [], {}, 4], {}, "wamp.error.invalid_argument"),
            ([TOPIC], {"scope": "elsewhere"}, "wamp.error.invalid_argument"),
            ([TOPIC], {"scope": 1}, "wamp.error.invalid_argument"),
            ([TOPIC], {"scopes": "detached"}, "wamp.error.invalid_argument"),
            ([TOPIC], {"publish_options": []}, "wamp.error.invalid_argument"),
            ([TOPIC], {"publish_options": {"retain": 1}}, "wamp.error.invalid_argument"),
            ([TOPIC], {"publish_options": {"exclude": ["x"]}}, "wamp.error.invalid_argument"),
            (["com..x"], {}, "wamp.error.invalid_uri"),
            (["wamp.session.on_join"], {}, "wamp.error.invalid_uri"),
        ],
    )
    def test_that_will_not_do_is_refused_and_leaves_nothing(
        self, bench: Bench, args: list[Any], kwargs: dict[str, Any], uri: str
    ) -> None:
        pair = bench.join()
        assert refused(pair, ADD, args, **kwargs) == uri
        assert bench.realm.testaments == {}
        assert not pair.is_closed

    def test_needs_the_permission_to_publish_when_it_is_added(self) -> None:
        role = RoleOptions(
            name="bound",
            permissions=[
                PermissionRule(uri="wamp.", match="prefix", allow=AllowedActions(call=True)),
                PermissionRule(uri="open.", match="prefix", allow=AllowedActions(publish=True)),
            ],
            allow_disclose_me=False,
        )
        bench = Bench([OPEN_ROLE, role])
        pair, heir = bench.join(role="bound"), bench.join()
        heir.subscribe("", match="prefix")
        assert refused(pair, ADD, ["secret.x"]) == "wamp.error.not_authorized"
        disclosing = {"disclose_me": True}
        assert (
            refused(pair, ADD, ["open.x"], publish_options=disclosing)
            == "wamp.error.option_disallowed.disclose_me"
        )
        add(pair, 1, "open.x")
        pair.session.lost()
        assert values(heir)[0] == 1

    def test_is_bounded_for_each_scope(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(meta_sessions, "TESTAMENTS_LIMIT", 2)
        pair = bench.join()
        for _ in range(2):
            add(pair, 1)
        assert refused(pair, ADD, [TOPIC]) == "wamp.error.invalid_argument"
        add(pair, 1, scope="detached")

    def test_is_bounded_in_bytes(self, bench: Bench) -> None:
        pair = bench.join()
        add(pair, "x" * 60_000)
        assert refused(pair, ADD, [TOPIC, ["x" * 70_000]]) == "wamp.error.payload_size_exceeded"

    def test_is_no_longer_there_for_the_next_session_of_the_transport(self, bench: Bench) -> None:
        pair, heir = bench.join(), bench.join()
        heir.subscribe(TOPIC)
        add(pair, 1)
        pair.says(Goodbye(CloseDetails(), CLOSE_NORMAL))
        pair.join()
        assert values(heir) == [1]
        pair.session.lost()
        assert values(heir) == []


class TestFlushTestaments:
    @pytest.mark.parametrize(
        ("kwargs", "left"), [({}, [1]), ({"scope": "destroyed"}, [1]), ({"scope": "detached"}, [2])]
    )
    def test_forgets_those_of_one_scope(self, bench: Bench, kwargs: dict[str, str], left: list[int]) -> None:
        pair, heir = bench.join(), bench.join()
        heir.subscribe(TOPIC)
        add(pair, 1, scope="detached")
        add(pair, 2, scope="destroyed")
        assert pair.says(call(1, FLUSH, PlainPayload([], kwargs))) == [Result(1, ResultDetails())]
        pair.session.lost()
        assert values(heir) == left

    def test_of_nothing_is_fine(self, bench: Bench) -> None:
        pair = bench.join()
        assert pair.says(call(1, FLUSH)) == [Result(1, ResultDetails())]
        pair.session.lost()
        bench.assert_nothing_left()

    def test_leaves_those_of_others(self, bench: Bench) -> None:
        pair, other, heir = bench.join(), bench.join(), bench.join()
        heir.subscribe(TOPIC)
        add(other, 1)
        pair.says(call(1, FLUSH))
        other.session.lost()
        assert values(heir) == [1]

    @pytest.mark.parametrize(("args", "kwargs"), [(["detached"], {}), ([], {"scope": "all"}), ([], {"x": 1})])
    def test_with_bad_arguments_is_refused(
        self, bench: Bench, args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        assert refused(bench.join(), FLUSH, args, **kwargs) == "wamp.error.invalid_argument"


def test_testaments_come_before_the_news_that_the_session_has_left(bench: Bench) -> None:
    pair, heir = bench.join(), bench.join()
    heir.subscribe("wamp.session.on_leave")
    heir.subscribe(TOPIC)
    add(pair, "the end")
    session_id = pair.session.id
    pair.session.lost()
    assert values(heir) == ["the end", session_id]
