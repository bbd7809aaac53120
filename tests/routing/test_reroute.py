"""Calls another callee is asked to take (specification, "Call Re-Routing")."""

import pytest

from heliograph.routing.options import CallQueueOptions, StoreOptions
from heliograph.wamp.messages import Invocation
from heliograph.wamp.payload import EncodedPayload
from heliograph.wire.serializers import serializer
from tests.support.calling import (
    CANCELING,
    PASSTHRU,
    PROCEDURE,
    PROGRESSIVE_INVOCATIONS,
    REROUTE,
    call_error,
    cancel,
    errors,
    interrupt,
    invocation,
    result,
    text,
    unavailable,
    yield_,
)
from tests.support.recording import Bench, SessionPair, call

NOBODY = call_error(7, "wamp.error.no_available_callee", f"no callee of {PROCEDURE!r} is available")
SHARED = ["roundrobin", "random", "first", "last"]


def join(bench: Bench, count: int, policy: str, *features: str, **options: object) -> list[SessionPair]:
    callees = [bench.join(features={"callee": [REROUTE, *features]}) for _ in range(count)]
    for callee in callees:
        callee.register(PROCEDURE, invoke=policy, **options)
    return callees


@pytest.fixture
def caller(bench: Bench) -> SessionPair:
    return bench.join(features={"caller": [PROGRESSIVE_INVOCATIONS, PASSTHRU]})


def tried(callees: list[SessionPair], *, until: int) -> list[int]:
    """Let callees decline the call until so many were asked; return their positions in order."""
    order: list[int] = []
    while len(order) < until:
        asked = [(n, heard) for n, callee in enumerate(callees) for heard in callee.hears()]
        ((position, message),) = asked
        assert isinstance(message, Invocation)
        order.append(position)
        if len(order) < until:
            callees[position].session.receive(unavailable(message.request))
    return order


def test_single_has_nobody_else(bench: Bench, caller: SessionPair) -> None:
    (callee,) = join(bench, 1, "single")
    caller.says(call(7, PROCEDURE))
    assert callee.says(unavailable(1)) == [invocation(1, 1)]
    assert caller.hears() == [NOBODY]


@pytest.mark.parametrize(
    ("policy", "order"), [("roundrobin", [0, 1, 2]), ("first", [0, 1, 2]), ("last", [2, 1, 0])]
)
def test_the_next_one_is_asked_by_the_policy(
    bench: Bench, caller: SessionPair, policy: str, order: list[int]
) -> None:
    callees = join(bench, 3, policy)
    caller.says(call(7, PROCEDURE, text("kept")))
    assert tried(callees, until=3) == order
    assert caller.hears() == []
    callees[order[-1]].says(yield_(1, text("done")))
    assert caller.hears() == [result(7, text("done"))]


def test_round_robin_goes_on_where_the_call_was_taken(bench: Bench, caller: SessionPair) -> None:
    callees = join(bench, 3, "roundrobin")
    caller.says(call(7, PROCEDURE))
    assert tried(callees, until=2) == [0, 1]
    caller.says(call(8, PROCEDURE))
    assert callees[2].hears() == [invocation(1, 1)]


def test_random_asks_each_only_once(bench: Bench, caller: SessionPair) -> None:
    callees = join(bench, 5, "random")
    caller.says(call(7, PROCEDURE))
    assert sorted(tried(callees, until=5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("policy", SHARED)
def test_the_caller_hears_when_all_have_declined(bench: Bench, caller: SessionPair, policy: str) -> None:
    callees = join(bench, 3, policy)
    caller.says(call(7, PROCEDURE))
    last = tried(callees, until=3)[-1]
    assert callees[last].says(unavailable(1)) == []
    assert caller.hears() == [NOBODY]
    assert bench.router.counters.calls_failed == 1
    # Each call begins with everybody again.
    caller.says(call(8, PROCEDURE))
    (again,) = tried(callees, until=1)
    assert again in {"first": {0}, "last": {2}}.get(policy, {0, 1, 2})
    for pair in (*callees, caller):
        pair.session.lost()
    bench.assert_nothing_left()


def test_the_call_arrives_as_it_was_made(bench: Bench, caller: SessionPair) -> None:
    first, second = join(bench, 2, "first", match="prefix")
    caller.says(call(7, PROCEDURE, text(1, 2), disclose_me=True))
    first.says(unavailable(1))
    expected = invocation(
        1,
        1,
        text(1, 2),
        procedure=PROCEDURE,
        caller=caller.id,
        caller_authid=caller.session.principal.authid,
        caller_authrole="anonymous",
    )
    assert first.peer.sent[-1] == expected
    assert second.hears() == [expected]


def test_a_callee_that_did_not_announce_it_is_taken_by_its_word(bench: Bench, caller: SessionPair) -> None:
    plain, other = bench.join(), bench.join(features={"callee": [REROUTE]})
    for callee in (plain, other):
        callee.register(PROCEDURE, invoke="first")
    caller.says(call(7, PROCEDURE))
    plain.says(unavailable(1))
    assert caller.hears() == [call_error(7, "wamp.error.unavailable")]
    assert other.hears() == []


def test_a_callee_that_did_not_announce_it_may_be_the_next_one(bench: Bench, caller: SessionPair) -> None:
    first = bench.join(features={"callee": [REROUTE]})
    second, third = bench.join(), bench.join()
    for callee in (first, second, third):
        callee.register(PROCEDURE, invoke="first")
    caller.says(call(7, PROCEDURE))
    first.says(unavailable(1))
    assert second.hears() == [invocation(1, 1)]
    second.says(unavailable(1))
    assert caller.hears() == [call_error(7, "wamp.error.unavailable")]
    assert third.hears() == []


def test_a_late_answer_of_who_declined_is_dropped(bench: Bench, caller: SessionPair) -> None:
    first, second = join(bench, 2, "first")
    caller.says(call(7, PROCEDURE))
    first.says(unavailable(1))
    assert first.says(yield_(1), unavailable(1)) == []
    assert caller.hears() == []
    second.says(yield_(1))
    assert caller.hears() == [result(7)]


def test_who_comes_later_can_be_asked_too(bench: Bench, caller: SessionPair) -> None:
    (first,) = join(bench, 1, "first")
    caller.says(call(7, PROCEDURE))
    (second,) = join(bench, 1, "first")
    first.says(unavailable(1))
    assert second.hears() == [invocation(1, 1)]


@pytest.mark.parametrize("policy", SHARED)
def test_who_has_left_is_not_asked(bench: Bench, caller: SessionPair, policy: str) -> None:
    first, second = join(bench, 2, policy)
    caller.says(call(7, PROCEDURE))
    asked, other = (first, second) if first.peer.sent[-1] == invocation(1, 1) else (second, first)
    other.session.lost()
    asked.says(unavailable(1))
    assert caller.hears() == [NOBODY]


@pytest.mark.parametrize("policy", SHARED)
def test_who_has_unregistered_may_still_pass_the_call_on(
    bench: Bench, caller: SessionPair, policy: str
) -> None:
    first, second = join(bench, 2, policy)
    caller.says(call(7, PROCEDURE))
    asked, other = (first, second) if first.peer.sent[-1] == invocation(1, 1) else (second, first)
    registration = next(iter(bench.realm.dealer.procedures.registrations.values()))
    bench.realm.dealer.procedures.revoke(registration, asked.session, None)
    other.hears()
    asked.says(unavailable(1))
    assert other.hears() == [invocation(1, 1)]


def test_canceling_reaches_whoever_has_the_call(bench: Bench, caller: SessionPair) -> None:
    first, second = join(bench, 2, "first", CANCELING)
    caller.says(call(7, PROCEDURE))
    first.says(unavailable(1))
    caller.says(cancel(7))
    assert first.hears() == []
    assert second.hears() == [invocation(1, 1), interrupt(1, "killnowait", "wamp.error.canceled")]


def test_callees_that_cannot_take_it_are_passed_over(bench: Bench, caller: SessionPair) -> None:
    """Without progressive invocations, without payload passthru: as good as not available."""
    streams = (PROGRESSIVE_INVOCATIONS, CANCELING)
    (first,) = join(bench, 1, "first", *streams)
    (second,) = join(bench, 1, "first")
    (third,) = join(bench, 1, "first", *streams)
    caller.says(call(7, PROCEDURE, progress=True))
    first.says(unavailable(1))
    assert second.hears() == []
    assert third.hears() == [invocation(1, 1, progress=True)]
    third.says(unavailable(1))
    assert caller.hears() == [NOBODY]


def test_callees_that_cannot_be_given_the_payload_are_passed_over(bench: Bench) -> None:
    caller, callees = bench.join(serializer("json")), []
    for name in ("json", "msgpack", "json"):
        callee = bench.join(serializer(name), features={"callee": [REROUTE]})
        callee.register(PROCEDURE, invoke="first")
        callees.append(callee)
    payload = EncodedPayload(serializer("json"), b"[1e999]", b"")
    caller.says(call(7, PROCEDURE, payload))
    callees[0].says(unavailable(1))
    assert callees[1].hears() == []
    (message,) = callees[2].hears()
    assert isinstance(message, Invocation)
    # The one passed over has lost no id by it.
    caller.says(call(8, PROCEDURE))
    callees[0].says(unavailable(2))
    assert callees[1].hears() == [invocation(1, 1)]


class TestWithLimits:
    """Callees that are busy are not the same as callees that have declined."""

    @pytest.mark.parametrize(
        ("policy", "order"), [("roundrobin", [1, 0]), ("first", [0, 1]), ("last", [1, 0])]
    )
    def test_a_call_nobody_else_is_free_for_is_refused(
        self, bench: Bench, caller: SessionPair, policy: str, order: list[int]
    ) -> None:
        callees = join(bench, 2, policy, concurrency=1)
        declining, busy = (callees[position] for position in order)
        caller.says(call(1, PROCEDURE))
        if declining.hears():
            # The stand-by gets something to do only when the one before it declines.
            declining.says(unavailable(1))
        assert busy.hears() == [invocation(1, 1)]
        caller.says(call(7, PROCEDURE))
        (asked,) = declining.hears()
        assert isinstance(asked, Invocation)
        declining.says(unavailable(asked.request))
        assert caller.hears() == [
            call_error(
                7,
                "crossbar.error.max_concurrency_reached",
                f"all callees of {PROCEDURE!r} work as much as they may",
            )
        ]

    def test_a_call_nobody_else_is_free_for_waits(self) -> None:
        bench = Bench(store=StoreOptions(call_queue=[CallQueueOptions(uri=PROCEDURE)]))
        caller = bench.join()
        first, second = join(bench, 2, "roundrobin", concurrency=1)
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE))
        assert first.says(unavailable(1)) == [invocation(1, 1)]
        # The first is free, but has declined it; a call that came later need not wait for the second.
        caller.says(call(3, PROCEDURE))
        assert first.hears() == [invocation(2, 1)]
        assert caller.hears() == []
        assert second.says(yield_(1)) == [invocation(1, 1), invocation(2, 1)]
        assert caller.hears() == [result(2)]
        second.says(yield_(2))
        first.says(yield_(2))
        assert caller.hears() == [result(1), result(3)]

    def test_a_waiting_call_ends_when_only_those_are_left_that_declined_it(self) -> None:
        bench = Bench(store=StoreOptions(call_queue=[CallQueueOptions(uri=PROCEDURE)]))
        caller = bench.join()
        first, second = join(bench, 2, "roundrobin", concurrency=1)
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE))
        first.says(unavailable(1))
        second.session.lost()
        assert sorted(errors(caller.hears())) == [
            (1, "wamp.error.no_available_callee"),
            (2, "wamp.error.canceled"),
        ]
        for pair in (first, caller):
            pair.session.lost()
        bench.assert_nothing_left()
