"""What one session may make the router hold, and that it may again when it has given some back."""

import pytest

from heliograph.routing.options import CallQueueOptions, RealmBehaviour, StoreOptions
from heliograph.wamp import codes
from heliograph.wamp.messages import Registered, Subscribed, Unregister, Unsubscribe
from tests.support.calling import (
    PROCEDURE,
    errors,
    invocation,
    refusal,
    result,
    text,
    unavailable,
    yield_,
)
from tests.support.recording import Bench, call, register, subscribe

TOO_MANY_CALLS = "heliograph.error.too_many_calls"


def kept_bytes(bench: Bench, session: object) -> int:
    kept: int = bench.realm.dealer._of_session[session].kept_bytes
    return kept


class TestSubscriptions:
    @pytest.fixture
    def bench(self) -> Bench:
        return Bench(options=RealmBehaviour(subscriptions_limit=2))

    def test_beyond_the_limit_are_refused_and_counted(self, bench: Bench) -> None:
        session = bench.join()
        session.says(subscribe(1, "com.example.a"), subscribe(2, "com.example", match="prefix"))
        session.hears()
        assert session.says(subscribe(3, "com.example.c")) == [
            refusal(
                codes.SUBSCRIBE,
                3,
                "heliograph.error.too_many_subscriptions",
                "a session may have 2 subscriptions here; a pattern covers many topics",
            )
        ]
        assert bench.router.counters.session_limits_reached == 1
        assert len(bench.realm.broker.subscriptions) == 2, "the refused one leaves nothing"

    def test_that_are_there_already_cost_nothing(self, bench: Bench) -> None:
        session = bench.join()
        session.says(subscribe(1, "com.example.a"), subscribe(2, "com.example.b"))
        session.hears()
        assert session.says(subscribe(3, "com.example.b")) == [Subscribed(3, 2)]

    def test_make_room_when_one_is_given_back(self, bench: Bench) -> None:
        session = bench.join()
        session.says(subscribe(1, "com.example.a"), subscribe(2, "com.example.b"), Unsubscribe(3, 1))
        session.hears()
        assert session.says(subscribe(4, "com.example.c")) == [Subscribed(4, 3)]

    def test_are_counted_for_each_session(self, bench: Bench) -> None:
        for _ in range(2):
            session = bench.join()
            heard = session.says(subscribe(1, "com.example.a"), subscribe(2, "com.example.b"))
            assert [type(message) for message in heard] == [Subscribed, Subscribed]


class TestRegistrations:
    @pytest.fixture
    def bench(self) -> Bench:
        return Bench(options=RealmBehaviour(registrations_limit=2))

    def test_beyond_the_limit_are_refused_and_counted(self, bench: Bench) -> None:
        session = bench.join()
        session.says(register(1, "com.example.a"), register(2, "com.example.b"))
        session.hears()
        assert session.says(register(3, "com.example.c")) == [
            refusal(
                codes.REGISTER,
                3,
                "heliograph.error.too_many_registrations",
                "a session may register 2 procedures here; a pattern covers many",
            )
        ]
        assert bench.router.counters.session_limits_reached == 1
        assert len(bench.realm.dealer.procedures.registrations) == 2

    def test_make_room_when_one_is_given_back(self, bench: Bench) -> None:
        session = bench.join()
        session.says(register(1, "com.example.a"), register(2, "com.example.b"), Unregister(3, 1))
        session.hears()
        assert session.says(register(4, "com.example.c")) == [Registered(4, 3)]


class TestKeptCalls:
    """Each payload is one text of a thousand characters."""

    PIECE = text("x" * 1000)

    @pytest.fixture
    def bench(self) -> Bench:
        return Bench(
            options=RealmBehaviour(kept_calls_limit_bytes=3000),
            store=StoreOptions(call_queue=[CallQueueOptions(uri=PROCEDURE)]),
        )

    def test_that_wait_are_refused_beyond_the_limit_and_counted(self, bench: Bench) -> None:
        callee, caller = bench.join(), bench.join()
        callee.register(PROCEDURE, concurrency=1)
        assert caller.says(*(call(number, PROCEDURE, self.PIECE) for number in range(1, 5))) == [
            refusal(48, 4, TOO_MANY_CALLS, "calls of this session that wait hold 3000 bytes already")
        ]
        assert bench.router.counters.session_limits_reached == 1
        # There is room again behind those that were answered.
        callee.hears()
        callee.says(yield_(1), yield_(2), yield_(3))
        assert kept_bytes(bench, caller.session) == 0
        assert caller.hears() == [result(number) for number in (1, 2, 3)]
        assert caller.says(call(5, PROCEDURE, self.PIECE)) == []

    def test_of_another_session_have_room_of_their_own(self, bench: Bench) -> None:
        callee, first, second = bench.join(), bench.join(), bench.join()
        callee.register(PROCEDURE, concurrency=1)
        assert first.says(*(call(number, PROCEDURE, self.PIECE) for number in range(1, 4))) == []
        assert second.says(call(1, PROCEDURE, self.PIECE)) == []

    def test_are_given_back_with_their_session(self, bench: Bench) -> None:
        callee, caller = bench.join(), bench.join()
        callee.register(PROCEDURE, concurrency=1)
        caller.says(*(call(number, PROCEDURE, self.PIECE) for number in range(1, 4)))
        caller.session.lost()
        callee.session.lost()
        bench.assert_nothing_left()

    def test_are_not_rerouted_beyond_the_limit(self, bench: Bench) -> None:
        features = {"callee": ["call_reroute"]}
        first, second, caller = bench.join(features=features), bench.join(features=features), bench.join()
        for callee in (first, second):
            callee.register(PROCEDURE, invoke="first")
        for number in range(1, 4):
            caller.says(call(number, PROCEDURE, self.PIECE))
        assert kept_bytes(bench, caller.session) > 0
        first.hears()
        first.says(unavailable(1), unavailable(2), unavailable(3))
        assert second.hears() == [invocation(1, 1, self.PIECE), invocation(2, 1, self.PIECE)]
        assert errors(caller.hears()) == [(3, "wamp.error.no_available_callee")]
        second.says(yield_(1), yield_(2))
        assert kept_bytes(bench, caller.session) == 0

    def test_progressive_ones_end_when_their_pieces_are_too_much(self, bench: Bench) -> None:
        callee = bench.join(features={"callee": ["progressive_call_invocations"]})
        caller = bench.join(features={"caller": ["progressive_call_invocations"]})
        callee.register(PROCEDURE, concurrency=1)
        caller.says(call(1, PROCEDURE))
        heard = caller.says(*(call(2, PROCEDURE, self.PIECE, progress=True) for _ in range(3)))
        assert errors(heard) == [(2, "crossbar.error.max_concurrency_reached")]
        assert kept_bytes(bench, caller.session) == 0
        assert bench.router.counters.session_limits_reached == 1
