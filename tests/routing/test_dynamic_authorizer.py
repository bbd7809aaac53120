"""A WAMP procedure decides: requests wait for it in order, and everything but a clear yes is a no."""

from typing import Any

import pytest

from heliograph.routing import authorizer
from heliograph.routing.options import (
    AllowedActions,
    EventHistoryOptions,
    PermissionRule,
    RoleOptions,
    StoreOptions,
)
from heliograph.routing.session import State
from heliograph.wamp.errors import CLOSE_NORMAL, NOT_AUTHORIZED, PROTOCOL_VIOLATION, ProtocolViolation
from heliograph.wamp.messages import (
    Abort,
    CloseDetails,
    Error,
    Event,
    EventDetails,
    Goodbye,
    Invocation,
    Message,
    Published,
    Registered,
    Result,
    ResultDetails,
    Subscribed,
    Yield,
    YieldOptions,
)
from heliograph.wamp.payload import EncodedPayload, Payload, PlainPayload
from heliograph.wire.serializers import serializer
from tests.support.recording import (
    EVERYTHING,
    OPEN_ROLE,
    Bench,
    SessionPair,
    call,
    publish,
    register,
    subscribe,
)

PROCEDURE = "com.example.authorize"
TOPIC = "com.example.t"
TIMEOUT_S = 3.0


def asking_role(*permissions: PermissionRule, name: str = "asking", **options: Any) -> RoleOptions:
    return RoleOptions(
        name=name,
        authorizer=PROCEDURE,
        authorizer_timeout_s=TIMEOUT_S,
        permissions=list(permissions),
        **options,
    )


class Room:
    """A realm whose role `asking` has an authorizer, and a session that implements it."""

    def __init__(self, *permissions: PermissionRule, **realm: Any) -> None:
        self.bench = Bench([OPEN_ROLE, asking_role(*permissions)], **realm)
        self.authorizer = self.bench.join()
        self.authorizer.register(PROCEDURE)
        self.invocations: list[Invocation] = []
        self._unread: list[Message] = []

    def join(self, authid: str = "joe") -> SessionPair:
        return self.bench.join_as(authid, "asking")

    def asked(self) -> list[list[Any]]:
        """Return the arguments of each question since the last time, without the session's details."""
        return [question[1:] for question in self.questions()]

    def questions(self) -> list[list[Any]]:
        heard, self._unread = [*self._unread, *self.authorizer.hears()], []
        self.invocations = [message for message in heard if isinstance(message, Invocation)]
        return [invocation.payload.decoded()[0] for invocation in self.invocations]

    def answer(self, answer: Any, *, position: int = 0) -> None:
        """Answer one of the questions last asked."""
        self.answer_with(PlainPayload([answer]), position=position)

    def answer_with(self, payload: Payload, *, position: int = 0) -> None:
        answer = Yield(self.invocations[position].request, YieldOptions(), payload)
        self._unread += self.authorizer.says(answer)


@pytest.fixture
def room() -> Room:
    return Room()


def is_refusal(message: Message) -> bool:
    return isinstance(message, Error) and message.error == NOT_AUTHORIZED


class TestQuestion:
    def test_tells_who_wants_what(self, room: Room) -> None:
        pair = room.join()
        pair.says(publish(1, TOPIC))
        assert room.questions() == [
            [
                {
                    "session": pair.session.id,
                    "authid": "joe",
                    "authrole": "asking",
                    "authmethod": "ticket",
                    "authprovider": "static",
                },
                TOPIC,
                "publish",
                {},
            ]
        ]

    @pytest.mark.parametrize(
        ("message", "question"),
        [
            (publish(1, TOPIC), [TOPIC, "publish", {}]),
            (call(1, "com.p"), ["com.p", "call", {}]),
            (call(1, "wamp.session.count"), ["wamp.session.count", "call", {}]),
            (subscribe(1, TOPIC), [TOPIC, "subscribe", {"match": "exact"}]),
            (subscribe(1, "com.", match="prefix"), ["com.", "subscribe", {"match": "prefix"}]),
            (subscribe(1, "a..b", match="wildcard"), ["a..b", "subscribe", {"match": "wildcard"}]),
            (register(1, "com.p"), ["com.p", "register", {"match": "exact"}]),
            (register(1, "com.p", match="prefix"), ["com.p", "register", {"match": "prefix"}]),
        ],
    )
    def test_is_asked_for_every_action_with_how_it_matches(
        self, room: Room, message: Message, question: list[Any]
    ) -> None:
        pair = room.join()
        assert pair.says(message) == []
        assert room.asked() == [question]

    @pytest.mark.parametrize("message", [publish(1, "two words", acknowledge=True), subscribe(1, "a..b")])
    def test_is_not_asked_about_what_cannot_be(self, room: Room, message: Message) -> None:
        (error,) = room.join().says(message)
        assert isinstance(error, Error)
        assert error.error == "wamp.error.invalid_uri"
        assert room.asked() == []


class TestAnswer:
    @pytest.mark.parametrize(
        "payload",
        [
            PlainPayload([True]),
            PlainPayload([{"allow": True}]),
            PlainPayload([{"allow": True, "cache": False, "disclose": False}]),
            PlainPayload([], {"allow": True}),
            EncodedPayload(serializer("json"), b'[{"allow":true}]', b""),
        ],
    )
    def test_that_says_yes_allows(self, room: Room, payload: Payload) -> None:
        pair = room.join()
        pair.says(publish(1, TOPIC, acknowledge=True))
        room.questions()
        room.answer_with(payload)
        assert [type(message) for message in pair.hears()] == [Published]

    @pytest.mark.parametrize(
        "payload",
        [
            PlainPayload([False]),
            PlainPayload([{"allow": False}]),
            PlainPayload([], {"allow": False}),
            PlainPayload(),
            PlainPayload([None]),
            PlainPayload([1]),
            PlainPayload(["true"]),
            PlainPayload([[True]]),
            PlainPayload([{}]),
            PlainPayload([{"allow": 1}]),
            PlainPayload([{"allow": "yes"}]),
            PlainPayload([{"allow": True, "cache": 1}]),
            PlainPayload([{"allow": True, "disclose": None}]),
            PlainPayload([{"allow": True, "surprise": 1}]),
            PlainPayload([True, True]),
            PlainPayload([True, False]),
            PlainPayload([False], {"allow": True}),
            PlainPayload([True], {"allow": False}),
            PlainPayload([1, 2], {"allow": True}),
            PlainPayload([], {"cache": True}),
            EncodedPayload(serializer("json"), b'["\\u0000no base64"]', b""),
            EncodedPayload(serializer("msgpack"), b"\x91\xc1", b""),
        ],
        ids=repr,
    )
    def test_that_is_no_clear_yes_denies(self, room: Room, payload: Payload) -> None:
        pair = room.join()
        pair.says(publish(1, TOPIC, acknowledge=True))
        room.questions()
        room.answer_with(payload)
        assert [is_refusal(message) for message in pair.hears()] == [True]

    def test_that_is_an_error_denies(self, room: Room) -> None:
        pair = room.join()
        pair.says(publish(1, TOPIC, acknowledge=True))
        room.questions()
        room.authorizer.says(Error(68, room.invocations[0].request, {}, "com.example.broken"))
        assert [is_refusal(message) for message in pair.hears()] == [True]

    def test_that_never_comes_denies_and_interrupts(self) -> None:
        room = Room()
        room.authorizer.session.lost()
        room.authorizer = room.bench.join(features={"callee": ["call_canceling"]})
        room.authorizer.register(PROCEDURE)
        pair = room.join()
        pair.says(publish(1, TOPIC, acknowledge=True))
        room.questions()
        room.bench.clock.advance(TIMEOUT_S - 0.1)
        assert pair.hears() == []
        room.bench.clock.advance(0.2)
        assert [is_refusal(message) for message in pair.hears()] == [True]
        assert [type(message).__name__ for message in room.authorizer.hears()] == ["Interrupt"]
        # Too late.
        room.answer(True)
        assert pair.hears() == []
        assert room.bench.clock.pending == []

    def test_of_nobody_denies_at_once(self) -> None:
        bench = Bench([asking_role()])
        (error,) = bench.join_as("joe", "asking").says(publish(1, TOPIC, acknowledge=True))
        assert is_refusal(error)
        assert bench.clock.pending == []

    def test_of_somebody_who_leaves_denies_at_once(self, room: Room) -> None:
        pair = room.join()
        pair.says(publish(1, TOPIC, acknowledge=True))
        room.authorizer.session.lost()
        assert [is_refusal(message) for message in pair.hears()] == [True]
        assert room.bench.clock.pending == []

    def test_of_one_who_registered_a_pattern_is_not_asked_for(self) -> None:
        bench = Bench([OPEN_ROLE, asking_role()])
        usurper = bench.join()
        usurper.register("com.example.", match="prefix")
        usurper.register("com..authorize", match="wildcard")
        (error,) = bench.join_as("joe", "asking").says(publish(1, TOPIC, acknowledge=True))
        assert is_refusal(error)
        assert usurper.hears() == []

    @pytest.mark.parametrize("told", [True, False])
    def test_says_whether_the_publisher_is_disclosed(self, room: Room, told: bool) -> None:
        pair, subscriber = room.join(), room.bench.join()
        subscriber.subscribe(TOPIC)
        pair.says(publish(1, TOPIC))
        room.questions()
        room.answer({"allow": True, "disclose": told})
        (event,) = subscriber.hears()
        assert isinstance(event, Event)
        expected = EventDetails(
            publisher=pair.session.id, publisher_authid="joe", publisher_authrole="asking"
        )
        assert event.details == (expected if told else EventDetails())

    def test_lets_each_kind_of_request_through(self, room: Room) -> None:
        pair = room.join()
        for message, answer in (
            (subscribe(1, TOPIC), Subscribed),
            (register(2, "com.p"), Registered),
            (call(3, "wamp.session.count"), Result),
            (publish(4, TOPIC, acknowledge=True), Published),
        ):
            pair.says(message)
            room.questions()
            room.answer(True)
            assert [type(heard) for heard in pair.hears()] == [answer]


class TestOrder:
    def test_of_what_a_session_says_is_kept(self, room: Room) -> None:
        pair, subscriber = room.join(), room.bench.join()
        subscriber.subscribe("", match="prefix")
        subscriber.hears()
        said = [publish(number, f"com.t{number}", acknowledge=True) for number in range(1, 5)]
        assert pair.says(*said) == []
        for number in range(1, 5):
            assert room.asked() == [[f"com.t{number}", "publish", {}]]
            assert pair.peer.is_held
            room.answer(number != 3)
            answers = pair.hears()
            assert [answer.request for answer in answers] == [number]
            assert is_refusal(answers[0]) is (number == 3)
        assert not pair.peer.is_held
        topics = [message.details.topic for message in subscriber.hears() if isinstance(message, Event)]
        assert topics == ["com.t1", "com.t2", "com.t4"]

    def test_of_other_sessions_is_not_held_up(self, room: Room) -> None:
        waiting, other = room.join(), room.bench.join()
        waiting.says(publish(1, TOPIC, acknowledge=True))
        (answer,) = other.says(publish(1, TOPIC, acknowledge=True))
        assert isinstance(answer, Published)

    def test_goodbye_waits_for_what_was_said_before(self, room: Room) -> None:
        pair = room.join()
        assert pair.says(publish(1, TOPIC, acknowledge=True), Goodbye(CloseDetails(), CLOSE_NORMAL)) == []
        room.questions()
        room.answer(True)
        assert [type(message) for message in pair.hears()] == [Published, Goodbye]

    def test_events_are_heard_while_a_decision_is_awaited(self, room: Room) -> None:
        pair, publisher = room.join(), room.bench.join()
        pair.says(subscribe(1, TOPIC))
        room.questions()
        room.answer(True)
        pair.hears()
        pair.says(publish(2, "com.other"))
        publisher.says(publish(1, TOPIC))
        assert [type(message) for message in pair.hears()] == [Event]

    def test_with_strict_ids_counts_a_message_that_waited_once(self, room: Room) -> None:
        pair = SessionPair(room.bench.router, role="asking", strict_ids=True).join()
        pair.says(publish(1, TOPIC, acknowledge=True), publish(2, TOPIC, acknowledge=True))
        for request in (1, 2):
            room.questions()
            room.answer(True)
            (published,) = pair.hears()
            assert isinstance(published, Published)
            assert published.request == request
        (abort,) = pair.says(publish(2, TOPIC))
        assert isinstance(abort, Abort)
        assert abort.reason == PROTOCOL_VIOLATION


class TestSeveralDecisions:
    """A message may need more than one; none is asked for twice, though none is remembered."""

    def test_for_a_testament_are_of_calling_and_of_publishing(self, room: Room) -> None:
        pair, heir = room.join(), room.bench.join()
        heir.subscribe(TOPIC)
        pair.says(call(1, "wamp.session.add_testament", PlainPayload([TOPIC, [1]])))
        assert room.asked() == [["wamp.session.add_testament", "call", {}]]
        room.answer(True)
        assert room.asked() == [[TOPIC, "publish", {}]]
        assert pair.hears() == []
        room.answer(True)
        assert pair.hears() == [Result(1, ResultDetails())]
        assert room.asked() == []
        assert len(room.bench.realm.testaments[pair.session]["destroyed"]) == 1

    def test_may_differ(self, room: Room) -> None:
        pair = room.join()
        pair.says(call(1, "wamp.session.add_testament", PlainPayload([TOPIC, [1]])))
        room.questions()
        room.answer(True)
        room.questions()
        room.answer(False)
        assert [is_refusal(message) for message in pair.hears()] == [True]
        assert room.bench.realm.testaments == {}

    def test_for_history_are_of_calling_and_of_subscribing(self) -> None:
        room = Room(store=StoreOptions(event_history=[EventHistoryOptions(uri=TOPIC)]))
        pair = room.join()
        pair.says(call(1, "wamp.subscription.get_events", PlainPayload([1])))
        room.questions()
        room.answer(True)
        assert room.asked() == [[TOPIC, "subscribe", {"match": "exact"}]]
        room.answer(True)
        assert pair.hears() == [Result(1, ResultDetails())]

    def test_are_forgotten_with_their_message(self, room: Room) -> None:
        pair = room.join()
        for request in (1, 2):
            pair.says(call(request, "wamp.session.add_testament", PlainPayload([TOPIC, [1]])))
            for _ in range(2):
                assert len(room.questions()) == 1
                room.answer(True)
            assert pair.hears() == [Result(request, ResultDetails())]


class TestMemory:
    YES = {"allow": True, "cache": True}

    def ask(self, room: Room, pair: SessionPair, message: Message, answer: Any = YES) -> bool:
        """Return whether the authorizer was asked about the message; then it has answered."""
        pair.says(message)
        was_asked = bool(room.questions())
        if was_asked:
            room.answer(answer)
        pair.hears()
        return was_asked

    def test_is_kept_only_when_the_answer_says_so(self, room: Room) -> None:
        pair = room.join()
        assert self.ask(room, pair, publish(1, TOPIC), answer=True)
        assert self.ask(room, pair, publish(2, TOPIC), answer={"allow": True})
        assert self.ask(room, pair, publish(3, TOPIC))
        assert not self.ask(room, pair, publish(4, TOPIC))

    def test_is_of_refusals_too(self, room: Room) -> None:
        pair = room.join()
        assert self.ask(room, pair, publish(1, TOPIC), answer={"allow": False, "cache": True})
        (refusal,) = pair.says(publish(2, TOPIC, acknowledge=True))
        assert is_refusal(refusal)
        assert room.questions() == []

    def test_is_of_disclosure_too(self, room: Room) -> None:
        pair, subscriber = room.join(), room.bench.join()
        self.ask(room, pair, publish(1, TOPIC), {"allow": True, "cache": True, "disclose": True})
        subscriber.subscribe(TOPIC)
        pair.says(publish(2, TOPIC))
        (event,) = subscriber.hears()
        assert isinstance(event, Event)
        assert event.details.publisher_authid == "joe"

    def test_is_of_one_session_uri_action_and_matching(self, room: Room) -> None:
        pair, namesake = room.join("joe"), room.join("joe")
        assert self.ask(room, pair, subscribe(1, TOPIC))
        for other, message in (
            (namesake, subscribe(1, TOPIC)),
            (pair, subscribe(2, TOPIC, match="prefix")),
            (pair, subscribe(3, TOPIC, match="wildcard")),
            (pair, subscribe(4, TOPIC + ".x")),
            (pair, publish(5, TOPIC)),
            (pair, call(6, TOPIC)),
            (pair, register(7, TOPIC)),
        ):
            assert self.ask(room, other, message), message
        assert not self.ask(room, pair, subscribe(8, TOPIC))

    def test_ends_with_the_session(self, room: Room) -> None:
        pair = room.join()
        self.ask(room, pair, publish(1, TOPIC))
        pair.says(Goodbye(CloseDetails(), CLOSE_NORMAL))
        pair.join()
        assert self.ask(room, pair, publish(1, TOPIC))

    def test_ends_when_the_sessions_details_change(self, room: Room) -> None:
        pair = room.join()
        self.ask(room, pair, publish(1, TOPIC))
        pair.session.modify_details({"suspended": True})
        pair.says(publish(2, TOPIC))
        ((details, *_),) = room.questions()
        assert details["suspended"] is True

    def test_is_bounded(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(authorizer, "REMEMBERED_DECISIONS", 4)
        pair = room.join()
        remembered = pair.session.authorizer._remembered  # type: ignore[attr-defined]
        for number in range(20):
            assert self.ask(room, pair, publish(1, f"com.t{number}"))
            assert not self.ask(room, pair, publish(1, f"com.t{number}"))
            assert 1 <= len(remembered) <= 4

    def test_of_waiting_requests_ends_with_their_answer(self, room: Room) -> None:
        pair = room.join()
        self.ask(room, pair, publish(1, TOPIC), answer=True)
        assert pair.session.authorizer._waiting == {}  # type: ignore[attr-defined]
        assert not pair.session.decisions


class TestAuthorizerItself:
    """Whoever implements the procedure is judged by static rules and never waits for itself."""

    @staticmethod
    def bench() -> Bench:
        return Bench(
            [
                OPEN_ROLE,
                asking_role(
                    PermissionRule(uri=PROCEDURE, allow=AllowedActions(register=True)),
                    PermissionRule(uri="com.own.", match="prefix", allow=EVERYTHING),
                ),
            ]
        )

    def test_registers_by_the_static_rules(self) -> None:
        bench = self.bench()
        (answer,) = bench.join_as("boss", "asking").says(register(1, PROCEDURE))
        assert isinstance(answer, Registered)

    def test_must_be_allowed_to(self) -> None:
        bench = Bench([asking_role()])
        (answer,) = bench.join_as("boss", "asking").says(register(1, PROCEDURE))
        assert is_refusal(answer)

    def test_is_judged_by_the_static_rules_afterwards(self) -> None:
        bench = self.bench()
        callee = bench.join_as("boss", "asking")
        callee.register(PROCEDURE)
        allowed, refused = callee.says(
            publish(2, "com.own.x", acknowledge=True), publish(3, "com.other", acknowledge=True)
        )
        assert isinstance(allowed, Published)
        assert is_refusal(refused)

    def test_may_ask_something_while_it_decides(self) -> None:
        bench = self.bench()
        callee, pair = bench.join_as("boss", "asking"), bench.join_as("joe", "asking")
        callee.register(PROCEDURE)
        pair.says(publish(1, TOPIC, acknowledge=True))
        (invocation,) = callee.hears()
        assert isinstance(invocation, Invocation)
        (answer,) = callee.says(publish(2, "com.own.x", acknowledge=True))
        assert isinstance(answer, Published)
        callee.says(Yield(invocation.request, YieldOptions(), PlainPayload([True])))
        assert [type(message) for message in pair.hears()] == [Published]

    def test_is_called_by_others_by_the_static_rules(self, room: Room) -> None:
        (refused,) = room.join().says(call(1, PROCEDURE))
        assert is_refusal(refused)
        assert room.questions() == []

    def test_is_asked_like_others_before_it_registers_and_after_it_unregistered(self) -> None:
        bench = self.bench()
        callee = bench.join_as("boss", "asking")
        (refused,) = callee.says(publish(1, "com.own.x", acknowledge=True))
        assert is_refusal(refused)

    def test_of_another_role_is_judged_by_that_role(self) -> None:
        other = "com.example.other"
        bench = Bench(
            [
                RoleOptions(name="first", authorizer=PROCEDURE, permissions=OPEN_ROLE.permissions),
                RoleOptions(name="second", authorizer=other, permissions=OPEN_ROLE.permissions),
            ]
        )
        # Each role is judged by a session of the other one.
        first, second = bench.join_as("a", "first"), bench.join_as("b", "second")
        second.session.authorizer = bench.realm.role("first").authorizer
        second.register(PROCEDURE)
        second.session.authorizer = bench.realm.role("second").authorizer
        first.session.authorizer = bench.realm.role("second").authorizer
        first.register(other)
        first.session.authorizer = bench.realm.role("first").authorizer

        first.says(publish(1, TOPIC, acknowledge=True))
        (invocation,) = second.hears()
        assert isinstance(invocation, Invocation)
        second.says(Yield(invocation.request, YieldOptions(), PlainPayload([True])))
        assert [type(message) for message in first.hears()] == [Published]


class TestEndOfSession:
    @pytest.mark.parametrize("end", ["lost", "killed", "violation"])
    def test_while_it_waits_makes_the_answer_meaningless(self, room: Room, end: str) -> None:
        pair, subscriber = room.join(), room.bench.join()
        subscriber.subscribe(TOPIC)
        pair.says(publish(1, TOPIC, acknowledge=True))
        room.questions()
        if end == "lost":
            pair.session.lost()
        elif end == "killed":
            pair.session.end("wamp.close.killed", None)
        else:
            pair.session.violate(ProtocolViolation("for the test"))
        pair.hears()
        room.answer(True)
        assert pair.hears() == []
        assert subscriber.hears() == []

    def test_by_the_router_lets_the_peer_answer_goodbye_at_once(self, room: Room) -> None:
        pair = room.join()
        pair.says(publish(1, TOPIC, acknowledge=True), publish(2, TOPIC, acknowledge=True))
        pair.session.shut_down()
        assert not pair.peer.is_held
        assert [type(message) for message in pair.says(Goodbye(CloseDetails(), CLOSE_NORMAL))] == [Goodbye]
        assert pair.peer.closes == 1

    def test_does_not_let_its_answer_count_for_the_next_session(self, room: Room) -> None:
        pair = room.join()
        pair.says(publish(1, TOPIC, acknowledge=True))
        room.questions()
        old = room.invocations[0]
        # A transport that does not hold messages back, as the one within the process.
        pair.session.receive(Goodbye(CloseDetails(), CLOSE_NORMAL))
        pair.hears()
        pair.session.establish(room.bench.realm, pair.session.principal)
        assert pair.session.state is State.ESTABLISHED
        pair.says(publish(1, TOPIC, acknowledge=True))
        assert len(room.questions()) == 1
        room.authorizer.says(Yield(old.request, YieldOptions(), PlainPayload([True])))
        assert pair.hears() == []
        assert pair.peer.is_held
        room.answer(False)
        assert [is_refusal(message) for message in pair.hears()] == [True]

    def test_leaves_no_call_behind(self, room: Room) -> None:
        pair = room.join()
        pair.says(publish(1, TOPIC, acknowledge=True))
        pair.session.lost()
        room.bench.clock.advance(TIMEOUT_S)
        assert room.bench.clock.pending == []
        room.authorizer.session.lost()
        assert room.bench.realm.sessions == {}


def test_several_requests_wait_for_one_decision(room: Room) -> None:
    pair = room.join()
    # A transport that does not hold messages back.
    for request in (1, 2, 3):
        pair.session.receive(publish(request, TOPIC, acknowledge=True))
    assert room.asked() == [[TOPIC, "publish", {}]]
    room.answer(True)
    assert [answer.request for answer in pair.hears() if isinstance(answer, Published)] == [1, 2, 3]


def test_more_requests_than_may_wait_are_denied(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.routing.dealer.PENDING_CALLS_LIMIT", 2)
    pairs = [room.join(f"u{number}") for number in range(3)]
    answers = [pair.says(publish(1, TOPIC, acknowledge=True)) for pair in pairs]
    assert [len(heard) for heard in answers] == [0, 0, 1]
    assert is_refusal(answers[2][0])


class TestPatternSubscribers:
    """An event cannot wait for a decision: it is heard by whoever is known to be allowed to."""

    def test_hear_only_topics_that_were_decided_and_remembered(self, room: Room) -> None:
        pair, publisher = room.join(), room.bench.join()
        pair.says(subscribe(1, "com.", match="prefix"))
        room.questions()
        room.answer(True)
        publisher.says(publish(1, TOPIC))
        assert [type(message) for message in pair.hears()] == [Subscribed]
        assert room.questions() == []

        for topic, answer in (("com.yes", True), ("com.no", False)):
            pair.says(subscribe(2, topic))
            room.questions()
            room.answer({"allow": answer, "cache": True})
        pair.hears()
        publisher.says(publish(2, "com.yes"), publish(3, "com.no"), publish(4, TOPIC))
        topics = [message.details.topic for message in pair.hears() if isinstance(message, Event)]
        # By the exact subscription and by the pattern.
        assert sorted(topics, key=str) == [None, "com.yes"]

    def test_get_no_retained_event_without_a_decision(self, room: Room) -> None:
        publisher, pair = room.bench.join(), room.join()
        publisher.says(publish(1, TOPIC, retain=True))
        pair.says(subscribe(1, "com.", match="prefix", get_retained=True))
        room.questions()
        room.answer(True)
        assert [type(message) for message in pair.hears()] == [Subscribed]
        pair.says(subscribe(2, TOPIC, get_retained=True))
        room.questions()
        room.answer(True)
        assert [type(message) for message in pair.hears()] == [Subscribed, Event]


class TestPrivileged:
    """The router's privileged procedures need a static rule that names them beside the authorizer's yes."""

    KILL = call(1, "wamp.session.kill_by_authid", PlainPayload(["nobody"]))
    NAMED = PermissionRule(uri="wamp.session.kill_by_authid", allow=AllowedActions(call=True))

    @pytest.mark.parametrize(
        ("permissions", "answer", "allowed"),
        [
            ([], True, False),
            ([PermissionRule(uri="", match="prefix", allow=EVERYTHING)], True, False),
            ([NAMED], True, True),
            ([NAMED], False, False),
            ([PermissionRule(uri="wamp.session.kill_by_authid")], True, False),
        ],
    )
    def test_need_both(self, permissions: list[PermissionRule], answer: bool, allowed: bool) -> None:
        room = Room(*permissions)
        pair = room.join()
        pair.says(self.KILL)
        room.questions()
        room.answer(answer)
        (heard,) = pair.hears()
        assert isinstance(heard, Result) if allowed else is_refusal(heard)
