"""What may be said when: every message in every state, HELLO, GOODBYE and ABORT."""

from typing import Any

import pytest

from heliograph.auth.options import AuthOptions, TicketOptions
from heliograph.routing.authenticators.assembly import Authenticators
from heliograph.routing.options import RoleOptions, SessionOptions
from heliograph.routing.router import ROLES
from heliograph.routing.session import Session, State
from heliograph.wamp import errors
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import (
    MESSAGE_TYPES,
    Abort,
    Authenticate,
    Call,
    CallOptions,
    Cancel,
    CancelOptions,
    Challenge,
    CloseDetails,
    Error,
    Event,
    EventDetails,
    Goodbye,
    Hello,
    Interrupt,
    InterruptOptions,
    Invocation,
    InvocationDetails,
    Message,
    Publish,
    Published,
    PublishOptions,
    Register,
    Registered,
    RegisterOptions,
    Result,
    ResultDetails,
    Subscribe,
    Subscribed,
    SubscribeOptions,
    Unregister,
    Unregistered,
    Unsubscribe,
    Unsubscribed,
    Welcome,
    WelcomeDetails,
    Yield,
    YieldOptions,
)
from heliograph.wamp.payload import PlainPayload
from tests.support.recording import Bench, SessionPair, call, hello, publish, register, subscribe

GOODBYE = Goodbye(CloseDetails(), errors.CLOSE_NORMAL)
GOODBYE_AND_OUT = Goodbye(CloseDetails(), errors.CLOSE_GOODBYE_AND_OUT)

EXAMPLES: dict[type[Message], Message] = {
    type(message): message
    for message in (
        hello(),
        Welcome(1, WelcomeDetails()),
        Abort(CloseDetails(), "wamp.error.protocol_violation"),
        Challenge("ticket", {}),
        Authenticate("secret", {}),
        GOODBYE,
        Error(68, 1, {}, "com.example.error"),
        Publish(1, PublishOptions(acknowledge=True), "com.example.t"),
        Published(1, 1),
        Subscribe(1, SubscribeOptions(), "com.example.t"),
        Subscribed(1, 1),
        Unsubscribe(1, 1),
        Unsubscribed(1),
        Event(1, 1, EventDetails()),
        Call(1, CallOptions(), "com.example.p"),
        Cancel(1, CancelOptions()),
        Result(1, ResultDetails()),
        Register(1, RegisterOptions(), "com.example.p"),
        Registered(1, 1),
        Unregister(1, 1),
        Unregistered(1),
        Invocation(1, 1, InvocationDetails()),
        Interrupt(1, InterruptOptions()),
        Yield(1, YieldOptions()),
    )
}

# What the router takes in each state; everything else is a violation.
REQUESTS = {Publish, Subscribe, Unsubscribe, Call, Cancel, Register, Unregister, Yield, Error}
ALLOWED: dict[State, set[type[Message]]] = {
    State.CLOSED: {Hello, Abort},
    State.CHALLENGING: {Authenticate, Abort},
    State.ESTABLISHED: {*REQUESTS, Goodbye, Abort},
    State.SHUTTING_DOWN: {*REQUESTS, Hello, Authenticate, Goodbye, Abort},
    State.ABORTED: {*REQUESTS, Hello, Authenticate, Goodbye, Abort},
}

STATES_AND_MESSAGES = [
    pytest.param(state, kind, id=f"{kind.__name__.upper()} {state.value}")
    for state in State
    for kind in MESSAGE_TYPES
]


def in_state(bench: Bench, state: State) -> SessionPair:
    """Return a session brought into `state` the way a peer brings it there."""
    pair = bench.connect()
    if state is State.ABORTED:
        pair.says(GOODBYE)
    elif state is State.CHALLENGING:
        auth = AuthOptions(ticket=TicketOptions())
        pair = SessionPair(bench.router, authenticators=Authenticators(auth, bench.router))
        pair.says(hello(authmethods=["ticket"], authid="joe"))
    elif state is not State.CLOSED:
        pair.join()
        if state is State.SHUTTING_DOWN:
            pair.session.shut_down()
    pair.hears()
    assert pair.session.state is state
    return pair


def with_a_call_to_answer(bench: Bench, pair: SessionPair) -> None:
    """Let `pair` be asked something, so that YIELD and ERROR have something to answer."""
    pair.register("com.example.asked")
    bench.join().says(call(1, "com.example.asked"))
    pair.hears()


def test_the_examples_cover_every_message() -> None:
    assert set(EXAMPLES) == set(MESSAGE_TYPES)


def test_the_transition_table_is_the_one_documented_here() -> None:
    assert {state: set(handlers) for state, handlers in Session.transitions.items()} == ALLOWED


@pytest.mark.parametrize(("state", "kind"), STATES_AND_MESSAGES)
def test_a_message_that_is_not_allowed_in_a_state_aborts_the_session(
    bench: Bench, state: State, kind: type[Message]
) -> None:
    pair = in_state(bench, state)
    if state is State.ESTABLISHED:
        with_a_call_to_answer(bench, pair)
    answers = pair.says(EXAMPLES[kind])

    if state is State.ABORTED:
        assert answers == []
    elif kind in ALLOWED[state]:
        is_refused = any(isinstance(answer, Abort) for answer in answers)
        assert is_refused is (kind is Authenticate and state is State.CHALLENGING), "nobody has that ticket"
    else:
        text = f"{kind.__name__.upper()} is not allowed {state.value}"
        assert answers == [Abort(CloseDetails(message=text), "wamp.error.protocol_violation")]
        assert pair.peer.closes == 1
        assert bench.router.counters.violations == 1


@pytest.mark.parametrize(("state", "kind"), STATES_AND_MESSAGES)
def test_nothing_is_processed_after_a_violation(bench: Bench, state: State, kind: type[Message]) -> None:
    pair = in_state(bench, state)
    pair.session.violate(ProtocolViolation("for the test"))
    pair.hears()

    assert pair.says(EXAMPLES[kind], hello(), subscribe(7, "com.example.t")) == []
    bench.assert_nothing_left()


@pytest.mark.parametrize("kind", sorted(REQUESTS | {Hello, Authenticate}, key=lambda kind: kind.__name__))
def test_everything_but_its_answer_is_ignored_after_our_goodbye(bench: Bench, kind: type[Message]) -> None:
    pair = in_state(bench, State.SHUTTING_DOWN)
    assert pair.says(EXAMPLES[kind]) == []
    assert not pair.is_closed
    assert len(bench.clock.pending) == 1, "the time limit for its answer"
    pair.session.lost()
    bench.assert_nothing_left()


class TestHello:
    def test_is_answered_with_welcome_that_says_who_the_session_is(self, bench: Bench) -> None:
        (welcome,) = bench.connect().says(hello())
        assert welcome == Welcome(
            1002,
            WelcomeDetails(
                roles=ROLES,
                agent="Bench",
                realm="realm1",
                authid="anonymous-3e9",
                authrole="anonymous",
                authmethod="anonymous",
                authprovider="static",
            ),
        )
        assert bench.router.counters.sessions_opened == 1

    def test_gives_no_two_sessions_of_a_realm_one_id(self, bench: Bench) -> None:
        first = bench.join()
        bench.random_ids = iter([5001, first.session.id, first.session.id, 5002])
        assert bench.join().session.id == 5002

    def test_again_after_goodbye_begins_from_scratch(self, bench: Bench) -> None:
        pair = bench.join(features={"subscriber": ["subscription_revocation"]})
        subscription = pair.subscribe("com.example.t")
        pair.session.modify_details({"shift": "night"})
        first = pair.session.id
        pair.says(GOODBYE)
        pair.join()
        assert pair.session.id != first
        assert pair.session.features == 0
        assert set(pair.session.details()) == {"session", "authid", "authrole", "authmethod", "authprovider"}
        (answer,) = pair.says(Unsubscribe(1, subscription))
        assert isinstance(answer, Error)
        assert answer.error == "wamp.error.no_such_subscription"

    @pytest.mark.parametrize("authmethods", [None, [], ["anonymous"], ["ticket", "anonymous"]])
    def test_without_authentication_is_anonymous(self, bench: Bench, authmethods: list[str] | None) -> None:
        (welcome,) = bench.connect().says(hello(authmethods=authmethods))
        assert isinstance(welcome, Welcome)

    def test_cannot_choose_its_own_identity(self, bench: Bench) -> None:
        (welcome,) = bench.connect().says(hello(authid="root", authrole="admin"))
        assert isinstance(welcome, Welcome)
        assert (welcome.details.authid, welcome.details.authrole) == ("anonymous-3e9", "anonymous")

    @pytest.mark.parametrize(
        ("message", "reason", "text"),
        [
            (hello("realm2"), "wamp.error.no_such_realm", "this router has no realm 'realm2'"),
            (hello(""), "wamp.error.invalid_uri", "'' is not a valid URI of a realm"),
            (hello("two words"), "wamp.error.invalid_uri", "'two words' is not a valid URI of a realm"),
            (hello("a..b"), "wamp.error.invalid_uri", "'a..b' is not a valid URI of a realm"),
            (
                hello(roles={}),
                "wamp.error.protocol_violation",
                "HELLO.Details.roles must name at least one role",
            ),
            (
                hello(roles={"caller": {}, "broker": {}, "boss": {}}),
                "wamp.error.protocol_violation",
                "HELLO.Details.roles names boss, broker, no role of a client",
            ),
            (
                hello(roles={"caller": True}),
                "wamp.error.protocol_violation",
                "HELLO.Details.roles must map each role to a dictionary",
            ),
            (
                hello(authmethods=["ticket", "wampcra"]),
                "wamp.error.no_matching_auth_method",
                "of ticket, wampcra none is configured here, only anonymous",
            ),
        ],
    )
    def test_that_will_not_do_is_aborted(self, bench: Bench, message: Hello, reason: str, text: str) -> None:
        pair = bench.connect()
        assert pair.says(message) == [Abort(CloseDetails(message=text), reason)]
        assert pair.peer.closes == 1
        assert pair.says(hello()) == []
        counters = bench.router.counters
        assert counters.sessions_refused + counters.violations == 1
        bench.assert_nothing_left()

    def test_needs_a_role_for_the_anonymous_in_the_realm(self) -> None:
        bench = Bench(roles=[RoleOptions(name="backend")])
        assert bench.connect().says(hello()) == [
            Abort(CloseDetails(message="realm 'realm1' has no role 'anonymous'"), "wamp.error.no_such_role")
        ]
        bench.assert_nothing_left()


class TestGoodbye:
    def test_of_the_peer_is_answered_and_ends_the_session(self, bench: Bench) -> None:
        pair, other = bench.join(), bench.join()
        pair.subscribe("com.example.t")
        assert pair.says(GOODBYE) == [GOODBYE_AND_OUT]
        assert (pair.peer.closes, pair.peer.times_left) == (0, 1)

        assert other.says(publish(1, "com.example.t")) == []
        assert pair.hears() == []
        assert bench.router.counters.sessions_closed == 1

    def test_lets_the_transport_serve_another_session(self, bench: Bench) -> None:
        pair = bench.join()
        first = pair.session.id
        pair.says(GOODBYE)
        (welcome,) = pair.says(hello())
        assert isinstance(welcome, Welcome)
        assert welcome.session != first
        assert pair.subscribe("com.example.t") == 1

    def test_that_is_not_answered_in_time_ends_with_the_transport(self, bench: Bench) -> None:
        pair = bench.join()
        pair.session.shut_down()
        bench.clock.advance(SessionOptions().goodbye_timeout_s - 0.1)
        assert not pair.is_closed
        bench.clock.advance(0.2)
        assert pair.peer.closes == 1
        assert pair.says(subscribe(1, "com.example.t")) == [
            Goodbye(CloseDetails(message="the router is shutting down"), "wamp.close.system_shutdown")
        ]
        bench.assert_nothing_left()

    @pytest.mark.parametrize("end", ["answer", "abort", "lost transport", "violation", "a second shut-down"])
    def test_of_the_router_leaves_no_time_limit_behind(self, bench: Bench, end: str) -> None:
        pair = bench.join()
        pair.session.shut_down()
        if end == "answer":
            pair.says(GOODBYE_AND_OUT)
        elif end == "abort":
            pair.says(Abort(CloseDetails(), "wamp.error.whatever"))
        elif end == "lost transport":
            pair.session.lost()
        elif end == "violation":
            pair.session.violate(ProtocolViolation("for the test"))
        else:
            pair.session.shut_down()
        bench.assert_nothing_left()
        bench.clock.advance(60)
        assert pair.peer.closes == (0 if end == "lost transport" else 1)

    def test_of_the_router_waits_for_the_answer_and_then_closes(self, bench: Bench) -> None:
        pair = bench.join()
        pair.session.shut_down()
        assert pair.hears() == [
            Goodbye(CloseDetails(message="the router is shutting down"), "wamp.close.system_shutdown")
        ]
        assert not pair.is_closed
        assert pair.says(GOODBYE_AND_OUT) == []
        assert pair.peer.closes == 1

    def test_of_both_sides_at_once_count_as_each_others_answer(self, bench: Bench) -> None:
        pair = bench.join()
        pair.session.shut_down()
        pair.hears()
        assert pair.says(GOODBYE) == []
        assert pair.peer.closes == 1

    def test_is_said_to_nobody_who_has_not_joined(self, bench: Bench) -> None:
        pair = bench.connect()
        pair.session.shut_down()
        assert pair.hears() == []
        assert pair.peer.closes == 1


class TestStrictIds:
    """Request ids that count up from 1, where a transport asks for it."""

    @staticmethod
    def join(bench: Bench) -> SessionPair:
        return SessionPair(bench.router, strict_ids=True).join()

    def test_count_all_requests_together(self, bench: Bench) -> None:
        pair = self.join(bench)
        answers = pair.says(
            subscribe(1, "com.example.t"),
            publish(2, "com.example.t", acknowledge=True),
            register(3, "com.example.p"),
            call(4, "wamp.session.count"),
            Unregister(5, 1),
            Unsubscribe(6, 1),
            publish(7, "com.example.t", acknowledge=True),
        )
        assert [type(answer).__name__ for answer in answers] == [
            "Subscribed", "Published", "Registered", "Result", "Unregistered", "Unsubscribed", "Published",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("requests", "text"),
        [
            ([2], "request id 1 was expected, not 2"),
            ([1, 1], "request id 2 was expected, not 1"),
            ([1, 3], "request id 2 was expected, not 3"),
            ([1, 2, 1], "request id 3 was expected, not 1"),
        ],
    )
    def test_abort_the_session_at_a_gap_or_repeat(self, bench: Bench, requests: list[int], text: str) -> None:
        pair = self.join(bench)
        answers = pair.says(*(publish(request, "com.example.t") for request in requests))
        assert answers == [Abort(CloseDetails(message=text), "wamp.error.protocol_violation")]
        bench.assert_nothing_left()

    def test_count_a_request_that_was_refused(self, bench: Bench) -> None:
        pair = self.join(bench)
        first, second = pair.says(
            publish(1, "two words", acknowledge=True), publish(2, "com.t", acknowledge=True)
        )
        assert isinstance(first, Error)
        assert isinstance(second, Published)

    def test_leave_answers_and_cancel_alone(self, bench: Bench) -> None:
        pair, caller = self.join(bench), bench.join()
        pair.says(register(1, "com.example.p"))
        caller.says(call(1, "com.example.p"))
        pair.says(Yield(1, YieldOptions()), Cancel(99, CancelOptions()), publish(2, "com.example.t"))
        assert not pair.is_closed

    def test_wrap_to_1_after_the_largest(self, bench: Bench) -> None:
        pair = self.join(bench)
        pair.session._last_request = 2**53 - 1
        answers = pair.says(*(publish(request, "com.t", acknowledge=True) for request in (2**53, 1)))
        assert [type(answer) for answer in answers] == [Published, Published]

    def test_begin_again_with_the_next_session_of_the_transport(self, bench: Bench) -> None:
        pair = self.join(bench)
        pair.says(publish(1, "com.example.t"), GOODBYE)
        pair.join()
        (answer,) = pair.says(publish(1, "com.example.t", acknowledge=True))
        assert isinstance(answer, Published)

    def test_mean_nothing_once_the_router_has_said_goodbye(self, bench: Bench) -> None:
        pair = self.join(bench)
        pair.session.shut_down()
        pair.hears()
        assert pair.says(publish(7, "com.example.t"), publish(7, "com.example.t")) == []
        assert not pair.is_closed


class TestEnd:
    def test_is_silent_to_the_session_itself(self, bench: Bench) -> None:
        pair = bench.join()
        pair.subscribe("com.example.t")
        pair.register("com.example.p")
        testament = PlainPayload(["com.example.t", []], {"publish_options": {"exclude_me": False}})
        pair.says(call(1, "wamp.session.add_testament", testament))
        pair.subscribe("wamp.", match="prefix")
        assert pair.says(GOODBYE) == [GOODBYE_AND_OUT]

    @pytest.mark.parametrize("state", [State.CLOSED, State.ESTABLISHED, State.SHUTTING_DOWN])
    def test_by_abort_of_the_peer_is_not_answered(self, bench: Bench, state: State) -> None:
        pair = in_state(bench, state)
        assert pair.says(Abort(CloseDetails(), "wamp.error.whatever")) == []
        assert pair.peer.closes == 1
        bench.assert_nothing_left()

    @pytest.mark.parametrize("state", list(State))
    def test_by_a_lost_transport_leaves_nothing_behind(self, bench: Bench, state: State) -> None:
        pair = in_state(bench, state)
        if state is State.ESTABLISHED:
            pair.subscribe("com.example.t")
            pair.register("com.example.p")
        pair.session.lost()
        pair.session.lost()
        assert pair.hears() == []
        bench.assert_nothing_left()
        counters = bench.router.counters
        assert counters.sessions_opened == counters.sessions_closed

    def test_a_second_hello_aborts_and_takes_the_subscriptions_with_it(self, bench: Bench) -> None:
        pair = bench.join()
        pair.subscribe("com.example.t")
        (abort,) = pair.says(hello())
        assert isinstance(abort, Abort)
        bench.assert_nothing_left()

    def test_an_error_in_the_router_itself_is_not_hidden(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(bench.realm.broker, "publish", fail)
        with pytest.raises(ZeroDivisionError):
            bench.join().says(publish(1, "com.example.t"))
