"""Time limits of calls (specification, "Call Timeouts")."""

from collections.abc import Callable

import pytest

from heliograph.routing.options import CallQueueOptions, RealmBehaviour, StoreOptions
from tests.support.calling import (
    CANCELING,
    PROCEDURE,
    PROGRESSIVE_INVOCATIONS,
    PROGRESSIVE_RESULTS,
    REROUTE,
    TIMEOUT,
    call_error,
    cancel,
    errors,
    failure,
    interrupt,
    invocation,
    result,
    text,
    unavailable,
    yield_,
)
from tests.support.recording import Bench, SessionPair, call

TIMED_OUT = call_error(7, "wamp.error.timeout", "the call has run out of time")


@pytest.fixture
def caller(bench: Bench) -> SessionPair:
    return bench.join(features={"caller": [PROGRESSIVE_INVOCATIONS]})


def join_callee(bench: Bench, *features: str, **options: object) -> SessionPair:
    callee = bench.join(features={"callee": features})
    callee.register(PROCEDURE, **options)
    return callee


def test_the_router_answers_when_the_time_is_over_and_interrupts(bench: Bench, caller: SessionPair) -> None:
    callee = join_callee(bench, CANCELING)
    caller.says(call(7, PROCEDURE, timeout=1500))
    assert callee.hears() == [invocation(1, 1)]
    bench.clock.advance(1.4)
    assert caller.hears() == []
    bench.clock.advance(0.1)
    assert caller.hears() == [TIMED_OUT]
    assert callee.hears() == [interrupt(1, "killnowait", "wamp.error.timeout")]
    assert callee.says(yield_(1), failure(1)) == []
    assert caller.hears() == []
    assert bench.router.counters.answers_dropped == 2


def test_a_callee_that_cannot_be_interrupted_is_left_alone(bench: Bench, caller: SessionPair) -> None:
    callee = join_callee(bench)
    caller.says(call(7, PROCEDURE, timeout=1000))
    bench.clock.advance(1)
    assert caller.hears() == [TIMED_OUT]
    assert callee.hears() == [invocation(1, 1)]
    assert callee.says(yield_(1)) == []


@pytest.mark.parametrize("options", [{}, {"timeout": 0}])
def test_without_a_limit_there_is_no_timer(
    bench: Bench, caller: SessionPair, options: dict[str, int]
) -> None:
    join_callee(bench)
    caller.says(call(7, PROCEDURE, **options))
    assert bench.clock.pending == []


def test_seconds_are_counted_where_the_realm_says_so() -> None:
    bench = Bench(options=RealmBehaviour(call_timeout_unit="s"))
    join_callee(bench)
    caller = bench.join()
    caller.says(call(7, PROCEDURE, timeout=2))
    bench.clock.advance(1.9)
    assert caller.hears() == []
    bench.clock.advance(0.1)
    assert caller.hears() == [TIMED_OUT]


def test_a_limit_nobody_can_wait_for_is_taken(bench: Bench, caller: SessionPair) -> None:
    callee = join_callee(bench)
    assert caller.says(call(7, PROCEDURE, timeout=10**400)) == []
    callee.says(yield_(1))
    assert caller.hears() == [result(7)]


class TestForwarding:
    """`forward_timeout`: the callee keeps time itself."""

    def test_leaves_the_limit_to_a_callee_that_wants_and_can(self, bench: Bench, caller: SessionPair) -> None:
        callee = join_callee(bench, TIMEOUT, CANCELING, forward_timeout=True)
        caller.says(call(7, PROCEDURE, timeout=1000))
        assert callee.hears() == [invocation(1, 1, timeout=1000)]
        assert bench.clock.pending == []
        callee.says(failure(1, "wamp.error.timeout"))
        assert caller.hears() == [call_error(7, "wamp.error.timeout")]

    @pytest.mark.parametrize(
        ("features", "forward_timeout"), [([TIMEOUT], False), ([CANCELING], True), ([], True)]
    )
    def test_is_not_done_for_one_that_does_not_want_or_cannot(
        self, bench: Bench, caller: SessionPair, features: list[str], forward_timeout: bool
    ) -> None:
        callee = join_callee(bench, *features, forward_timeout=forward_timeout)
        caller.says(call(7, PROCEDURE, timeout=1000))
        assert callee.hears() == [invocation(1, 1)]
        bench.clock.advance(1)
        assert errors(caller.hears()) == [(7, "wamp.error.timeout")]

    def test_says_nothing_of_no_limit(self, bench: Bench, caller: SessionPair) -> None:
        callee = join_callee(bench, TIMEOUT, forward_timeout=True)
        caller.says(call(7, PROCEDURE, timeout=0))
        assert callee.hears() == [invocation(1, 1)]

    def test_ends_with_a_callee_that_does_not_keep_time(self, bench: Bench, caller: SessionPair) -> None:
        first = join_callee(bench, TIMEOUT, REROUTE, invoke="first", forward_timeout=True)
        second = join_callee(bench, invoke="first")
        caller.says(call(7, PROCEDURE, timeout=1000))
        assert first.says(unavailable(1)) == [invocation(1, 1, timeout=1000)]
        assert second.hears() == [invocation(1, 1)]
        bench.clock.advance(1)
        assert caller.hears() == [TIMED_OUT]

    def test_is_not_done_when_the_router_keeps_time_already(self, bench: Bench, caller: SessionPair) -> None:
        first = join_callee(bench, REROUTE, invoke="first")
        second = join_callee(bench, TIMEOUT, invoke="first", forward_timeout=True)
        caller.says(call(7, PROCEDURE, timeout=1000))
        bench.clock.advance(0.9)
        first.says(unavailable(1))
        assert second.hears() == [invocation(1, 1)]
        bench.clock.advance(0.1)
        assert caller.hears() == [TIMED_OUT]


class TestProgressiveResults:
    def test_start_the_limit_anew(self, bench: Bench, caller: SessionPair) -> None:
        callee = join_callee(bench, CANCELING, PROGRESSIVE_RESULTS)
        caller.says(call(7, PROCEDURE, timeout=1000, receive_progress=True))
        callee.hears()
        for number in range(3):
            bench.clock.advance(0.9)
            callee.says(yield_(1, text(number), progress=True))
            assert caller.hears() == [result(7, text(number), progress=True)]
            assert len(bench.clock.pending) == 1
        bench.clock.advance(0.9)
        assert caller.hears() == []
        bench.clock.advance(0.1)
        assert caller.hears() == [TIMED_OUT]
        assert callee.hears() == [interrupt(1, "killnowait", "wamp.error.timeout")]

    def test_nobody_asked_for_do_not(self, bench: Bench, caller: SessionPair) -> None:
        callee = join_callee(bench, CANCELING, PROGRESSIVE_RESULTS)
        caller.says(call(7, PROCEDURE, timeout=1000))
        bench.clock.advance(0.9)
        callee.says(yield_(1, progress=True))
        bench.clock.advance(0.1)
        assert caller.hears() == [TIMED_OUT]


def answer(bench: Bench, caller: SessionPair, callee: SessionPair) -> None:
    callee.says(yield_(1))


def fail(bench: Bench, caller: SessionPair, callee: SessionPair) -> None:
    callee.says(failure(1))


def decline(bench: Bench, caller: SessionPair, callee: SessionPair) -> None:
    callee.says(unavailable(1))


def give_up(bench: Bench, caller: SessionPair, callee: SessionPair) -> None:
    caller.says(cancel(7))


def give_up_and_wait(bench: Bench, caller: SessionPair, callee: SessionPair) -> None:
    caller.says(cancel(7, "kill"))
    callee.says(yield_(1))


def caller_leaves(bench: Bench, caller: SessionPair, callee: SessionPair) -> None:
    caller.session.lost()


def callee_leaves(bench: Bench, caller: SessionPair, callee: SessionPair) -> None:
    callee.session.lost()


def caller_breaks_the_protocol(bench: Bench, caller: SessionPair, callee: SessionPair) -> None:
    caller.says(yield_(99))


def caller_is_shut_down(bench: Bench, caller: SessionPair, callee: SessionPair) -> None:
    caller.session.shut_down()
    caller.session.lost()


def abandoned(bench: Bench, caller: SessionPair, callee: SessionPair) -> None:
    bench.realm.dealer.abandon(caller.session, 7)


def time_is_over(bench: Bench, caller: SessionPair, callee: SessionPair) -> None:
    bench.clock.advance(1)


@pytest.mark.parametrize(
    "end",
    [
        answer,
        fail,
        decline,
        give_up,
        give_up_and_wait,
        caller_leaves,
        callee_leaves,
        caller_breaks_the_protocol,
        caller_is_shut_down,
        abandoned,
        time_is_over,
    ],
)
def test_no_timer_outlives_its_call(
    bench: Bench, caller: SessionPair, end: Callable[[Bench, SessionPair, SessionPair], None]
) -> None:
    callee = join_callee(bench, CANCELING, REROUTE, invoke="random")
    caller.says(call(7, PROCEDURE, timeout=1000))
    assert len(bench.clock.pending) == 1
    end(bench, caller, callee)
    assert bench.clock.pending == []
    heard = len(caller.peer.sent)
    bench.clock.advance(2)
    assert len(caller.peer.sent) == heard


def test_a_limit_ends_the_wait_for_a_callee_told_to_stop(bench: Bench, caller: SessionPair) -> None:
    callee = join_callee(bench, CANCELING)
    caller.says(call(7, PROCEDURE, timeout=1000), cancel(7, "kill"))
    bench.clock.advance(1)
    assert caller.hears() == [TIMED_OUT]
    assert callee.hears() == [invocation(1, 1), interrupt(1, "kill", "wamp.error.canceled")]


class TestWaiting:
    """The limit counts while a call waits for a callee to be free."""

    @pytest.fixture
    def bench(self) -> Bench:
        return Bench(store=StoreOptions(call_queue=[CallQueueOptions(uri=PROCEDURE)]))

    def test_ends_with_the_time(self, bench: Bench, caller: SessionPair) -> None:
        callee = join_callee(bench, CANCELING, concurrency=1)
        caller.says(call(1, PROCEDURE), call(7, PROCEDURE, timeout=1000))
        bench.clock.advance(1)
        assert caller.hears() == [TIMED_OUT]
        assert callee.says(yield_(1)) == [invocation(1, 1)]
        assert caller.hears() == [result(1)]

    def test_takes_from_the_time_for_the_answer(self, bench: Bench, caller: SessionPair) -> None:
        callee = join_callee(bench, TIMEOUT, concurrency=1, forward_timeout=True)
        caller.says(call(1, PROCEDURE), call(7, PROCEDURE, timeout=1000))
        bench.clock.advance(0.9)
        assert callee.says(yield_(1)) == [invocation(1, 1), invocation(2, 1)]
        bench.clock.advance(0.1)
        assert caller.hears() == [result(1), TIMED_OUT]
        assert bench.clock.pending == []
