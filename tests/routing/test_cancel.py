"""Calls given up by their caller, and peers that leave in the middle (specification, "Call Canceling")."""

import pytest

from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Message
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer
from tests.support.calling import (
    CANCELING,
    PROCEDURE,
    REROUTE,
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

CANCELED = call_error(7, "wamp.error.canceled", "the caller has canceled the call")
ANSWERS = {"RESULT": yield_(1, text("late")), "ERROR": failure(1, "com.example.stopped")}


@pytest.fixture
def caller(bench: Bench) -> SessionPair:
    return bench.join()


@pytest.fixture
def callee(bench: Bench) -> SessionPair:
    """A callee that can be interrupted."""
    pair = bench.join(features={"callee": [CANCELING, REROUTE]})
    pair.register(PROCEDURE, invoke="roundrobin")
    return pair


@pytest.fixture
def plain(bench: Bench) -> SessionPair:
    """A callee that cannot."""
    pair = bench.join()
    pair.register(PROCEDURE)
    return pair


def begin(caller: SessionPair, callee: SessionPair) -> None:
    assert caller.says(call(7, PROCEDURE)) == []
    assert callee.hears() == [invocation(1, 1)]


def assert_late_answers_are_dropped(bench: Bench, callee: SessionPair, caller: SessionPair) -> None:
    before = bench.router.counters.answers_dropped
    assert callee.says(yield_(1), failure(1), yield_(1, progress=True)) == []
    assert not callee.is_closed
    assert caller.hears() == []
    assert bench.router.counters.answers_dropped == before + 3


@pytest.mark.parametrize("mode", ["killnowait", None])
def test_killnowait_and_no_mode_answer_at_once_and_interrupt(
    bench: Bench, callee: SessionPair, caller: SessionPair, mode: str | None
) -> None:
    begin(caller, callee)
    assert caller.says(cancel(7, mode)) == [CANCELED]
    assert callee.hears() == [interrupt(1, "killnowait", "wamp.error.canceled")]
    assert_late_answers_are_dropped(bench, callee, caller)


def test_skip_answers_at_once_and_does_not_interrupt(
    bench: Bench, callee: SessionPair, caller: SessionPair
) -> None:
    begin(caller, callee)
    assert caller.says(cancel(7, "skip")) == [CANCELED]
    assert callee.hears() == []
    assert_late_answers_are_dropped(bench, callee, caller)


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait", None])
def test_a_callee_that_cannot_be_interrupted_is_skipped(
    bench: Bench, plain: SessionPair, caller: SessionPair, mode: str | None
) -> None:
    begin(caller, plain)
    assert caller.says(cancel(7, mode)) == [CANCELED]
    assert plain.hears() == []
    assert_late_answers_are_dropped(bench, plain, caller)


class TestKill:
    @pytest.mark.parametrize("kind", ANSWERS)
    def test_waits_for_the_callees_answer_whichever_it_is(
        self, bench: Bench, callee: SessionPair, caller: SessionPair, kind: str
    ) -> None:
        begin(caller, callee)
        assert caller.says(cancel(7, "kill")) == []
        assert callee.says(ANSWERS[kind]) == [interrupt(1, "kill", "wamp.error.canceled")]
        expected: dict[str, Message] = {
            "RESULT": result(7, text("late")),
            "ERROR": call_error(7, "com.example.stopped"),
        }
        assert caller.hears() == [expected[kind]]
        assert_late_answers_are_dropped(bench, callee, caller)

    def test_again_changes_nothing(self, callee: SessionPair, caller: SessionPair) -> None:
        begin(caller, callee)
        assert caller.says(cancel(7, "kill"), cancel(7, "kill")) == []
        assert callee.says(yield_(1)) == [interrupt(1, "kill", "wamp.error.canceled")]
        assert caller.hears() == [result(7)]

    @pytest.mark.parametrize("mode", ["skip", "killnowait", None])
    def test_can_be_given_up_as_well(
        self, bench: Bench, callee: SessionPair, caller: SessionPair, mode: str | None
    ) -> None:
        begin(caller, callee)
        assert caller.says(cancel(7, "kill"), cancel(7, mode)) == [CANCELED]
        # The callee was told to stop, and once is enough.
        assert callee.hears() == [interrupt(1, "kill", "wamp.error.canceled")]
        assert_late_answers_are_dropped(bench, callee, caller)

    def test_is_over_when_the_callee_leaves(self, callee: SessionPair, caller: SessionPair) -> None:
        begin(caller, callee)
        caller.says(cancel(7, "kill"))
        callee.session.lost()
        assert errors(caller.hears()) == [(7, "wamp.error.canceled")]

    def test_is_over_when_the_caller_leaves(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        begin(caller, callee)
        caller.says(cancel(7, "kill"))
        callee.hears()
        caller.session.lost()
        assert callee.hears() == []
        assert callee.says(yield_(1)) == []
        callee.session.lost()
        bench.assert_nothing_left()

    def test_does_not_find_another_callee(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        """A call its caller has given up is not begun again somewhere else."""
        other = bench.join(features={"callee": [REROUTE]})
        other.register(PROCEDURE, invoke="roundrobin")
        begin(caller, callee)
        caller.says(cancel(7, "kill"))
        callee.says(unavailable(1))
        assert caller.hears() == [call_error(7, "wamp.error.unavailable")]
        assert other.hears() == []


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait", None])
class TestOfNothing:
    def test_is_ignored_before_any_call(self, caller: SessionPair, mode: str | None) -> None:
        assert caller.says(cancel(7, mode)) == []
        assert not caller.is_closed

    def test_is_ignored_after_the_answer(
        self, callee: SessionPair, caller: SessionPair, mode: str | None
    ) -> None:
        begin(caller, callee)
        callee.says(yield_(1))
        assert caller.says(cancel(7, mode)) == [result(7)]
        assert callee.hears() == []

    def test_does_not_touch_somebody_elses_call(
        self, bench: Bench, callee: SessionPair, caller: SessionPair, mode: str | None
    ) -> None:
        begin(caller, callee)
        assert bench.join().says(cancel(7, mode)) == []
        callee.says(yield_(1))
        assert caller.hears() == [result(7)]


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
@pytest.mark.parametrize("mode", ["abort", "", "KILL", 1, None, ["kill"]])
def test_an_unknown_mode_is_a_violation(name: str, mode: object) -> None:
    written = serializer(name)
    with pytest.raises(ProtocolViolation):
        # Null is no mode either: the key is left out.
        written.decode(written.encode_value([49, 7, {"mode": mode}] if mode is not None else [49, 7, None]))


def test_ends_what_the_call_kept(bench: Bench, callee: SessionPair, caller: SessionPair) -> None:
    caller.says(call(7, PROCEDURE, timeout=1000))
    caller.says(cancel(7))
    assert bench.clock.pending == []
    for pair in (callee, caller):
        pair.session.lost()
    bench.assert_nothing_left()


class TestCallerLeaving:
    def test_interrupts_a_callee_that_supports_it(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        begin(caller, callee)
        caller.session.lost()
        assert callee.hears() == [interrupt(1, "killnowait")]
        assert callee.says(yield_(1), failure(1)) == []
        assert bench.router.counters.answers_dropped == 2
        callee.session.lost()
        bench.assert_nothing_left()

    def test_does_not_interrupt_one_that_does_not(
        self, bench: Bench, plain: SessionPair, caller: SessionPair
    ) -> None:
        begin(caller, plain)
        caller.session.lost()
        assert plain.says(yield_(1)) == []
        assert not plain.is_closed

    def test_frees_a_callee_for_the_next_call(self, bench: Bench, caller: SessionPair) -> None:
        callee, other = bench.join(features={"callee": [CANCELING]}), bench.join()
        callee.register(PROCEDURE, concurrency=1)
        begin(caller, callee)
        caller.session.lost()
        other.says(call(1, PROCEDURE))
        assert callee.hears() == [interrupt(1, "killnowait"), invocation(2, 1)]
        assert callee.says(yield_(1), yield_(2)) == []
        assert other.hears() == [result(1)]

    def test_who_is_its_own_callee_leaves_nothing(self, bench: Bench, callee: SessionPair) -> None:
        callee.says(call(7, PROCEDURE))
        callee.session.lost()
        assert callee.hears() == []
        bench.assert_nothing_left()


class TestCalleeLeaving:
    @pytest.mark.parametrize("how", ["crash", "violation"])
    def test_answers_all_its_callers_at_once(
        self, bench: Bench, callee: SessionPair, caller: SessionPair, how: str
    ) -> None:
        other = bench.join()
        caller.says(call(7, PROCEDURE), call(8, PROCEDURE))
        other.says(call(7, PROCEDURE))
        if how == "crash":
            callee.session.lost()
        else:
            callee.says(yield_(99))
        assert errors(caller.hears()) == [(7, "wamp.error.canceled"), (8, "wamp.error.canceled")]
        assert errors(other.hears()) == [(7, "wamp.error.canceled")]
        for pair in (caller, other):
            pair.session.lost()
        bench.assert_nothing_left()

    def test_that_did_not_register_any_more_still_answers(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        begin(caller, callee)
        registration = next(iter(bench.realm.dealer.procedures.registrations.values()))
        bench.realm.dealer.procedures.revoke(registration, callee.session, None)
        callee.session.lost()
        assert errors(caller.hears()) == [(7, "wamp.error.canceled")]
