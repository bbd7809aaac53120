"""Calls in pieces, both ways (specification, "Progressive Call Results" and "Progressive Call Invocations")."""

from collections.abc import Sequence

import pytest

from heliograph.routing import calls
from heliograph.routing.options import CallQueueOptions, StoreOptions
from heliograph.wamp.messages import Invocation, Message
from heliograph.wamp.payload import EncodedPayload
from heliograph.wire.serializers import serializer
from tests.support.calling import (
    CANCELING,
    PROCEDURE,
    PROGRESSIVE_INVOCATIONS,
    PROGRESSIVE_RESULTS,
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
    violation,
    yield_,
)
from tests.support.recording import Bench, SessionPair, call

STREAMS = [PROGRESSIVE_RESULTS, PROGRESSIVE_INVOCATIONS, CANCELING, REROUTE]
UNREADABLE = EncodedPayload(serializer("json"), b"[1e999]", b"")


def join_callee(bench: Bench, features: Sequence[str] = STREAMS, **options: object) -> SessionPair:
    callee = bench.join(features={"callee": features})
    callee.register(PROCEDURE, **options)
    return callee


def join_caller(bench: Bench) -> SessionPair:
    return bench.join(features={"caller": STREAMS})


@pytest.fixture
def callee(bench: Bench) -> SessionPair:
    return join_callee(bench)


@pytest.fixture
def caller(bench: Bench) -> SessionPair:
    return join_caller(bench)


def kinds(messages: list[Message]) -> list[str]:
    return [type(message).__name__ for message in messages]


class TestResults:
    def test_on_the_way_are_forwarded_at_once_and_end_with_a_final_one(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(7, PROCEDURE, text(2010), receive_progress=True))
        assert callee.hears() == [invocation(1, 1, text(2010), receive_progress=True)]
        for number in (1, 2, 3):
            assert callee.says(yield_(1, text(number), progress=True)) == []
            assert caller.hears() == [result(7, text(number), progress=True)]
        assert callee.says(yield_(1, text("total"))) == []
        assert caller.hears() == [result(7, text("total"))]
        assert bench.router.counters.calls == 1

    def test_may_be_empty_and_end_with_an_error(self, callee: SessionPair, caller: SessionPair) -> None:
        caller.says(call(7, PROCEDURE, receive_progress=True))
        callee.says(yield_(1, progress=True), failure(1, "com.example.bad_year", text(1830)))
        heard = caller.hears()
        assert heard[0] == result(7, progress=True)
        assert errors(heard[1:]) == [(7, "com.example.bad_year")]

    def test_after_the_final_one_are_dropped(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(7, PROCEDURE, receive_progress=True))
        callee.hears()
        assert callee.says(yield_(1), yield_(1, progress=True), yield_(1)) == []
        assert caller.hears() == [result(7)]
        assert bench.router.counters.answers_dropped == 2

    @pytest.mark.parametrize(
        "features",
        [[], [PROGRESSIVE_RESULTS], [CANCELING], [PROGRESSIVE_RESULTS, PROGRESSIVE_INVOCATIONS]],
        ids=lambda features: " and ".join(features) or "nothing",
    )
    def test_are_not_asked_of_a_callee_that_announced_only(
        self, bench: Bench, caller: SessionPair, features: list[str]
    ) -> None:
        callee = join_callee(bench, features)
        caller.says(call(7, PROCEDURE, receive_progress=True))
        assert callee.hears() == [invocation(1, 1)]
        # Nor are they passed on: nobody could stop such a callee when the caller has gone.
        callee.says(yield_(1, progress=True), yield_(1))
        assert caller.hears() == [result(7)]

    def test_are_asked_of_a_callee_that_spells_canceling_like_that_section_of_the_specification(
        self, bench: Bench, caller: SessionPair
    ) -> None:
        callee = join_callee(bench, [PROGRESSIVE_RESULTS, "call_cancelling"])
        caller.says(call(7, PROCEDURE, receive_progress=True))
        assert callee.hears() == [invocation(1, 1, receive_progress=True)]

    def test_do_not_reach_a_caller_that_did_not_ask(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(7, PROCEDURE))
        assert callee.hears() == [invocation(1, 1)]
        assert callee.says(yield_(1, text("some"), progress=True)) == []
        assert caller.hears() == []
        callee.says(yield_(1, text("all")))
        assert caller.hears() == [result(7, text("all"))]
        assert bench.router.counters.answers_dropped == 1

    def test_stop_when_the_caller_leaves(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(7, PROCEDURE, receive_progress=True))
        callee.says(yield_(1, progress=True))
        callee.hears()
        caller.session.lost()
        assert callee.hears() == [interrupt(1, "killnowait")]
        assert callee.says(yield_(1, progress=True), yield_(1)) == []
        assert bench.router.counters.answers_dropped == 2

    def test_end_with_an_error_when_the_callee_leaves(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(7, PROCEDURE, receive_progress=True))
        callee.says(yield_(1, progress=True))
        callee.session.lost()
        assert caller.hears() == [
            result(7, progress=True),
            call_error(7, "wamp.error.canceled", "the callee left before it answered"),
        ]
        caller.session.lost()
        bench.assert_nothing_left()

    def test_that_cannot_be_converted_end_the_call(self, bench: Bench) -> None:
        callee = bench.join(serializer("json"), features={"callee": STREAMS})
        callee.register(PROCEDURE)
        caller = bench.join(serializer("msgpack"))
        caller.says(call(7, PROCEDURE, receive_progress=True))
        callee.hears()
        assert callee.says(yield_(1, UNREADABLE, progress=True)) == [
            interrupt(1, "killnowait", "wamp.error.invalid_argument")
        ]
        assert errors(caller.hears()) == [(7, "wamp.error.invalid_argument")]
        assert callee.says(yield_(1)) == []
        assert caller.hears() == []


class TestInvocations:
    def test_have_the_ids_of_the_first_and_end_with_the_last_piece(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        for piece in (1, 2):
            assert caller.says(call(7, PROCEDURE, text(piece), progress=True)) == []
            assert callee.hears() == [invocation(1, 1, text(piece), progress=True)]
        assert caller.says(call(7, PROCEDURE, text(3))) == []
        assert callee.hears() == [invocation(1, 1, text(3))]
        callee.says(yield_(1, text("sum")))
        assert caller.hears() == [result(7, text("sum"))]
        assert bench.router.counters.calls == 1

    def test_may_go_on_between_other_calls(self, callee: SessionPair, caller: SessionPair) -> None:
        caller.says(call(1, PROCEDURE, progress=True), call(2, PROCEDURE), call(1, PROCEDURE))
        assert callee.hears() == [invocation(1, 1, progress=True), invocation(2, 1), invocation(1, 1)]

    def test_keep_the_options_of_the_first(self, bench: Bench, caller: SessionPair) -> None:
        callee = join_callee(bench, match="prefix")
        identity = {
            "caller": caller.id,
            "caller_authid": caller.session.principal.authid,
            "caller_authrole": "anonymous",
            "procedure": PROCEDURE,
            "receive_progress": True,
        }
        caller.says(
            call(7, PROCEDURE, progress=True, disclose_me=True, receive_progress=True),
            call(7, PROCEDURE, progress=True, timeout=5, ppt_scheme="x_late"),
            call(7, PROCEDURE),
        )
        assert callee.hears() == [
            invocation(1, 1, progress=True, **identity),
            invocation(1, 1, progress=True, **identity),
            invocation(1, 1, **identity),
        ]
        assert bench.clock.pending == []

    def test_take_no_options_the_first_did_not_have(self, callee: SessionPair, caller: SessionPair) -> None:
        caller.says(
            call(7, PROCEDURE, progress=True), call(7, PROCEDURE, disclose_me=True, receive_progress=True)
        )
        assert callee.hears() == [invocation(1, 1, progress=True), invocation(1, 1)]

    def test_of_a_caller_that_did_not_announce_them_are_a_violation(
        self, bench: Bench, callee: SessionPair
    ) -> None:
        caller = bench.join(features={"caller": [PROGRESSIVE_RESULTS, CANCELING]})
        assert caller.says(call(7, PROCEDURE, progress=True)) == [
            violation("progressive_call_invocations was not announced in HELLO")
        ]
        assert callee.hears() == []

    @pytest.mark.parametrize(
        "features",
        [[], [PROGRESSIVE_INVOCATIONS], [CANCELING, PROGRESSIVE_RESULTS]],
        ids=lambda features: " and ".join(features) or "nothing",
    )
    def test_are_refused_where_the_callee_announced_only(
        self, bench: Bench, caller: SessionPair, features: list[str]
    ) -> None:
        callee = join_callee(bench, features)
        assert caller.says(call(7, PROCEDURE, progress=True)) == [
            call_error(
                7,
                "wamp.error.feature_not_supported",
                "the callee does not support progressive call invocations",
            )
        ]
        # The caller cannot know yet: what it has sent on is neither a new call nor a fault.
        assert caller.says(call(7, PROCEDURE, progress=True), call(7, PROCEDURE)) == []
        assert callee.hears() == []

    def test_of_a_refused_call_never_become_a_new_one(self, bench: Bench, caller: SessionPair) -> None:
        assert errors(caller.says(call(7, PROCEDURE, progress=True))) == [(7, "wamp.error.no_such_procedure")]
        callee = join_callee(bench)
        assert caller.says(call(7, PROCEDURE, progress=True), call(7, PROCEDURE)) == []
        assert callee.hears() == []

    def test_of_the_routers_own_procedures_are_answered_once(self, caller: SessionPair) -> None:
        assert caller.says(call(7, "wamp.session.count", progress=True)) == [result(7, text(1))]
        assert caller.says(call(7, "wamp.session.count")) == []
        assert caller.says(call(7, "wamp.session.count")) == [result(7, text(1))]

    @pytest.mark.parametrize("answer", [yield_(1), failure(1)], ids=["RESULT", "ERROR"])
    def test_of_a_call_that_has_ended_are_discarded(
        self, callee: SessionPair, caller: SessionPair, answer: Message
    ) -> None:
        caller.says(call(7, PROCEDURE, progress=True))
        callee.hears()
        callee.says(answer)
        assert len(caller.hears()) == 1
        assert caller.says(call(7, PROCEDURE, progress=True), call(7, PROCEDURE)) == []
        assert callee.hears() == []

    def test_of_a_call_whose_callee_has_left_are_discarded(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(7, PROCEDURE, progress=True))
        callee.session.lost()
        assert errors(caller.hears()) == [(7, "wamp.error.canceled")]
        join_callee(bench)
        assert caller.says(call(7, PROCEDURE, progress=True)) == []

    def test_after_the_last_piece_are_a_violation(self, callee: SessionPair, caller: SessionPair) -> None:
        caller.says(call(7, PROCEDURE, progress=True), call(7, PROCEDURE))
        assert caller.says(call(7, PROCEDURE)) == [
            violation("request id 7 belongs to a call that is not answered yet")
        ]

    def test_of_a_call_that_is_not_progressive_are_a_violation(
        self, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(7, PROCEDURE))
        assert caller.says(call(7, PROCEDURE, progress=True)) == [
            violation("request id 7 belongs to a call that is not answered yet")
        ]
        assert kinds(callee.hears()) == ["Invocation", "Interrupt"]

    def test_of_another_procedure_are_a_violation(self, callee: SessionPair, caller: SessionPair) -> None:
        callee.register("com.example.q")
        caller.says(call(7, PROCEDURE, progress=True))
        assert kinds(caller.says(call(7, "com.example.q"))) == ["Abort"]

    def test_leave_the_id_free_when_the_last_piece_was_sent(
        self, callee: SessionPair, caller: SessionPair
    ) -> None:
        for number in (1, 2):
            caller.says(call(7, PROCEDURE, progress=True), call(7, PROCEDURE))
            callee.says(yield_(number))
            assert caller.hears() == [result(7)]

    def test_are_no_new_requests_where_ids_are_held_to_count_up(
        self, bench: Bench, callee: SessionPair
    ) -> None:
        """ "Verification of CALL Request IDs": neither while the call goes on nor when it has just ended."""
        caller = SessionPair(bench.router, strict_ids=True).join(features={"caller": STREAMS})
        assert caller.says(call(1, PROCEDURE, progress=True), call(2, PROCEDURE)) == []
        assert caller.says(call(1, PROCEDURE, progress=True)) == []
        callee.says(yield_(1))
        assert caller.says(call(1, PROCEDURE, progress=True), call(1, PROCEDURE)) == [result(1)]
        assert caller.says(call(4, PROCEDURE)) == [violation("request id 3 was expected, not 4")]

    def test_are_known_by_the_ids_of_only_so_many_ended_calls(
        self, callee: SessionPair, caller: SessionPair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(calls, "ENDED_CALLS_LIMIT", 2)
        for request in (1, 2, 3):
            caller.says(call(request, PROCEDURE, progress=True))
            callee.says(yield_(request))
        callee.hears()
        caller.says(call(2, PROCEDURE, progress=True), call(3, PROCEDURE, progress=True))
        assert callee.hears() == []
        caller.says(call(1, PROCEDURE, progress=True))
        assert callee.hears() == [invocation(4, 1, progress=True)]

    @pytest.mark.parametrize("policy", ["roundrobin", "random", "first", "last"])
    def test_stay_with_the_callee_that_got_the_first(self, bench: Bench, policy: str) -> None:
        callees = [join_callee(bench, invoke=policy) for _ in range(3)]
        caller = join_caller(bench)
        for request in range(1, 7):
            for _ in range(4):
                caller.says(call(request, PROCEDURE, progress=True))
            caller.says(call(request, PROCEDURE))
            (messages,) = (messages for callee in callees if (messages := callee.hears()))
            assert len({message.request for message in messages if isinstance(message, Invocation)}) == 1
            assert len(messages) == 5

    def test_stop_when_the_caller_leaves(self, callee: SessionPair, caller: SessionPair) -> None:
        caller.says(call(7, PROCEDURE, progress=True))
        caller.session.lost()
        assert callee.hears() == [invocation(1, 1, progress=True), interrupt(1, "killnowait")]

    def test_go_no_further_when_the_call_is_canceled(self, callee: SessionPair, caller: SessionPair) -> None:
        caller.says(call(7, PROCEDURE, progress=True))
        assert errors(caller.says(cancel(7))) == [(7, "wamp.error.canceled")]
        assert caller.says(call(7, PROCEDURE)) == []
        assert kinds(callee.hears()) == ["Invocation", "Interrupt"]

    def test_go_no_further_when_the_callee_was_told_to_stop(
        self, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(7, PROCEDURE, progress=True), cancel(7, "kill"), call(7, PROCEDURE))
        assert kinds(callee.hears()) == ["Invocation", "Interrupt"]
        callee.says(failure(1, "wamp.error.canceled"))
        assert errors(caller.hears()) == [(7, "wamp.error.canceled")]

    def test_have_one_time_limit_together(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(7, PROCEDURE, progress=True, timeout=1000))
        bench.clock.advance(0.7)
        caller.says(call(7, PROCEDURE, progress=True))
        bench.clock.advance(0.7)
        assert errors(caller.hears()) == [(7, "wamp.error.timeout")]
        assert caller.says(call(7, PROCEDURE)) == []
        assert kinds(callee.hears()) == ["Invocation", "Invocation", "Interrupt"]

    def test_and_results_go_both_ways_at_once(self, callee: SessionPair, caller: SessionPair) -> None:
        caller.says(call(7, PROCEDURE, text(1), progress=True, receive_progress=True))
        assert callee.says(yield_(1, text("a"), progress=True)) == [
            invocation(1, 1, text(1), progress=True, receive_progress=True)
        ]
        assert caller.says(call(7, PROCEDURE, text(2), progress=True)) == [
            result(7, text("a"), progress=True)
        ]
        callee.says(yield_(1, text("b"), progress=True), yield_(1, text("c"), progress=True))
        assert caller.says(call(7, PROCEDURE, text(3))) == [
            result(7, text("b"), progress=True),
            result(7, text("c"), progress=True),
        ]
        callee.says(yield_(1))
        assert caller.hears() == [result(7)]

    def test_that_cannot_be_converted_end_the_call(self, bench: Bench) -> None:
        callee = bench.join(serializer("msgpack"), features={"callee": STREAMS})
        callee.register(PROCEDURE)
        caller = bench.join(serializer("json"), features={"caller": STREAMS})
        caller.says(call(7, PROCEDURE, progress=True))
        assert errors(caller.says(call(7, PROCEDURE, UNREADABLE, progress=True))) == [
            (7, "wamp.error.invalid_argument")
        ]
        assert callee.hears() == [
            invocation(1, 1, progress=True),
            interrupt(1, "killnowait", "wamp.error.invalid_argument"),
        ]
        assert caller.says(call(7, PROCEDURE)) == []
        assert callee.says(yield_(1)) == []


class TestRerouting:
    """A callee that is not available gives back all it was sent."""

    def join(self, bench: Bench) -> tuple[SessionPair, SessionPair, SessionPair]:
        first, second = (join_callee(bench, invoke="first") for _ in range(2))
        return first, second, join_caller(bench)

    @pytest.mark.parametrize("is_complete", [False, True])
    def test_sends_the_next_callee_all_pieces(self, bench: Bench, is_complete: bool) -> None:
        first, second, caller = self.join(bench)
        caller.says(call(7, PROCEDURE, text(1), progress=True), call(7, PROCEDURE, text(2), progress=True))
        if is_complete:
            caller.says(call(7, PROCEDURE, text(3)))
        first.says(unavailable(1))
        if not is_complete:
            caller.says(call(7, PROCEDURE, text(3)))
        assert second.hears() == [
            invocation(1, 1, text(1), progress=True),
            invocation(1, 1, text(2), progress=True),
            invocation(1, 1, text(3)),
        ]
        second.says(yield_(1))
        assert caller.hears() == [result(7)]

    def test_is_given_up_when_there_were_too_many_pieces_to_keep(self, bench: Bench) -> None:
        first, second, caller = self.join(bench)
        for _ in range(calls.KEPT_PIECES_LIMIT + 1):
            caller.says(call(7, PROCEDURE, progress=True))
        first.says(unavailable(1))
        assert errors(caller.hears()) == [(7, "wamp.error.no_available_callee")]
        assert second.hears() == []

    def test_is_given_up_when_the_caller_has_results_already(self, bench: Bench) -> None:
        first, second, caller = self.join(bench)
        caller.says(call(7, PROCEDURE, receive_progress=True))
        first.says(yield_(1, progress=True), unavailable(1))
        heard = caller.hears()
        assert heard[0] == result(7, progress=True)
        assert errors(heard[1:]) == [(7, "wamp.error.no_available_callee")]
        assert second.hears() == []


class TestWaiting:
    """A progressive call that has to wait until a callee is free keeps its pieces."""

    @pytest.fixture
    def bench(self) -> Bench:
        return Bench(store=StoreOptions(call_queue=[CallQueueOptions(uri=PROCEDURE)]))

    def test_hands_them_over_in_their_order(self, bench: Bench) -> None:
        callee, caller = join_callee(bench, concurrency=1), join_caller(bench)
        caller.says(call(1, PROCEDURE), *(call(2, PROCEDURE, text(n), progress=True) for n in (1, 2)))
        assert callee.says(yield_(1)) == [
            invocation(1, 1),
            invocation(2, 1, text(1), progress=True),
            invocation(2, 1, text(2), progress=True),
        ]
        assert caller.says(call(2, PROCEDURE, text(3))) == [result(1)]
        assert callee.hears() == [invocation(2, 1, text(3))]
        callee.says(yield_(2))
        assert caller.hears() == [result(2)]

    def test_hands_over_a_complete_one(self, bench: Bench) -> None:
        callee, caller = join_callee(bench, concurrency=1), join_caller(bench)
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE, progress=True), call(2, PROCEDURE))
        assert callee.says(yield_(1)) == [
            invocation(1, 1),
            invocation(2, 1, progress=True),
            invocation(2, 1),
        ]

    def test_is_refused_when_it_has_too_many(self, bench: Bench) -> None:
        callee, caller = join_callee(bench, concurrency=1), join_caller(bench)
        caller.says(call(1, PROCEDURE))
        for _ in range(calls.KEPT_PIECES_LIMIT):
            assert caller.says(call(2, PROCEDURE, progress=True)) == []
        assert errors(caller.says(call(2, PROCEDURE, progress=True))) == [
            (2, "crossbar.error.max_concurrency_reached")
        ]
        assert caller.says(call(2, PROCEDURE)) == []
        assert callee.says(yield_(1)) == [invocation(1, 1)]
        callee.session.lost()
        caller.session.lost()
        bench.assert_nothing_left()

    def test_is_refused_when_its_pieces_are_more_than_a_callee_can_be_sent_at_once(
        self, bench: Bench
    ) -> None:
        callee, caller = join_callee(bench, concurrency=1), join_caller(bench)
        piece = text("x" * (calls.KEPT_PIECES_BYTES // 2))
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE, piece, progress=True))
        assert errors(caller.says(call(2, PROCEDURE, piece, progress=True))) == [
            (2, "crossbar.error.max_concurrency_reached")
        ]
        assert callee.says(yield_(1)) == [invocation(1, 1)]

    def test_ends_when_a_kept_piece_cannot_be_converted(self, bench: Bench) -> None:
        callee = bench.join(serializer("msgpack"), features={"callee": STREAMS})
        callee.register(PROCEDURE, concurrency=1)
        caller = bench.join(serializer("json"), features={"caller": STREAMS})
        caller.says(
            call(1, PROCEDURE),
            call(2, PROCEDURE, progress=True),
            call(2, PROCEDURE, UNREADABLE, progress=True),
            call(2, PROCEDURE),
            call(3, PROCEDURE),
        )
        assert callee.says(yield_(1)) == [
            invocation(1, 1),
            invocation(2, 1, progress=True),
            interrupt(2, "killnowait", "wamp.error.invalid_argument"),
            invocation(3, 1),
        ]
        # Nothing is promised about the order of answers to different calls.
        heard = caller.hears()
        heard.remove(result(1))
        assert errors(heard) == [(2, "wamp.error.invalid_argument")]

    def test_is_refused_when_the_callee_turns_out_not_to_take_pieces(self, bench: Bench) -> None:
        callee, caller = join_callee(bench, [CANCELING], concurrency=1), join_caller(bench)
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE, progress=True))
        callee.says(yield_(1))
        heard = caller.hears()
        heard.remove(result(1))
        assert errors(heard) == [(2, "wamp.error.feature_not_supported")]
        assert caller.says(call(2, PROCEDURE)) == []
