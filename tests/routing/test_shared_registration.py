"""Several callees of one procedure (specification, "Shared Registration")."""

from collections import Counter
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.wamp.messages import Error, Invocation, Invoke, Registered, Unregister, Unregistered
from tests.support.calling import PROCEDURE, refusal, result, yield_
from tests.support.recording import Bench, SessionPair, call, register

POLICIES: tuple[Invoke, ...] = get_args(Invoke)
SHARED = [policy for policy in POLICIES if policy != "single"]


def join(bench: Bench, count: int, policy: str) -> list[SessionPair]:
    callees = [bench.join() for _ in range(count)]
    ids = {callee.register(PROCEDURE, invoke=policy) for callee in callees}
    assert len(ids) == 1, "all callees of a procedure share one registration"
    return callees


def asked(caller: SessionPair, callees: list[SessionPair], calls: int) -> list[int]:
    """Make so many calls, all answered at once; return the position of the callee of each."""
    order = []
    for request in range(1, calls + 1):
        assert caller.says(call(request, PROCEDURE)) == []
        heard = {position: callee.hears() for position, callee in enumerate(callees)}
        ((position, invocation),) = (
            (position, message)
            for position, messages in heard.items()
            for message in messages
            if isinstance(message, Invocation)
        )
        order.append(position)
        assert callees[position].says(yield_(invocation.request)) == []
        assert caller.hears() == [result(request)]
    return order


def leave(callee: SessionPair, how: str) -> None:
    if how == "crash":
        callee.session.lost()
    else:
        assert callee.says(Unregister(9, 1)) == [Unregistered(9)]


@pytest.mark.parametrize("first", POLICIES)
@pytest.mark.parametrize("second", POLICIES)
def test_only_the_same_policy_joins_and_never_single(bench: Bench, first: str, second: str) -> None:
    pair = bench.join()
    pair.register(PROCEDURE, invoke=first)
    answer = bench.join().says(register(5, PROCEDURE, invoke=second))
    if first == second != "single":
        assert answer == [Registered(5, 1)]
    else:
        assert answer == [
            refusal(
                64,
                5,
                "wamp.error.procedure_already_exists",
                f"{PROCEDURE!r} (exact) is registered already with invoke: {first!r}",
            )
        ]


@pytest.mark.parametrize("policy", POLICIES)
def test_no_session_registers_twice(bench: Bench, policy: str) -> None:
    pair = bench.join()
    pair.register(PROCEDURE, invoke=policy)
    (answer,) = pair.says(register(5, PROCEDURE, invoke=policy))
    assert isinstance(answer, Error)
    assert answer.error == "wamp.error.procedure_already_exists"


def test_a_refused_newcomer_changes_nothing(bench: Bench) -> None:
    callees, caller = join(bench, 2, "roundrobin"), bench.join()
    newcomer = bench.join()
    newcomer.says(register(1, PROCEDURE, invoke="random"))
    assert asked(caller, [*callees, newcomer], 4) == [0, 1, 0, 1]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_policy_is_free_again_when_the_last_callee_has_gone(bench: Bench, policy: str) -> None:
    callee = bench.join()
    callee.register(PROCEDURE, invoke="first")
    callee.session.lost()
    assert bench.join().register(PROCEDURE, invoke=policy) == 2


def test_round_robin_goes_round_in_the_order_of_registration(bench: Bench) -> None:
    assert asked(bench.join(), join(bench, 3, "roundrobin"), 7) == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(("policy", "expected"), [("first", 0), ("last", 2)])
def test_stand_bys_are_not_asked_while_the_one_before_them_is_there(
    bench: Bench, policy: str, expected: int
) -> None:
    assert asked(bench.join(), join(bench, 3, policy), 3) == [expected] * 3


@pytest.mark.parametrize(("policy", "order"), [("first", [0, 1, 2]), ("last", [2, 1, 0])])
@pytest.mark.parametrize("how", ["crash", "unregister"])
def test_stand_bys_take_over_in_their_order(bench: Bench, policy: str, order: list[int], how: str) -> None:
    callees, caller = join(bench, 3, policy), bench.join()
    for position in order:
        assert asked(caller, callees, 2) == [position] * 2
        leave(callees[position], how)


def test_the_last_one_is_the_newest(bench: Bench) -> None:
    callees, caller = join(bench, 2, "last"), bench.join()
    assert asked(caller, callees, 1) == [1]
    callees += join(bench, 1, "last")
    assert asked(caller, callees, 1) == [2]


def test_random_asks_everybody_about_as_often(bench: Bench) -> None:
    # With 4 callees and 800 calls, a count outside 120..280 has a probability below 1e-10.
    counts = Counter(asked(bench.join(), join(bench, 4, "random"), 800))
    assert sorted(counts) == [0, 1, 2, 3]
    assert all(120 < count < 280 for count in counts.values()), counts


@pytest.mark.parametrize("policy", SHARED)
@pytest.mark.parametrize("how", ["crash", "unregister"])
@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("calls", range(6))
def test_the_removal_of_any_callee_at_any_time_skips_nobody(
    bench: Bench, policy: str, how: str, position: int, calls: int
) -> None:
    callees, caller = join(bench, 4, policy), bench.join()
    before = asked(caller, callees, calls)
    leave(callees[position], how)
    left = [n for n in range(4) if n != position]
    after = asked(caller, callees, 6)
    if policy == "roundrobin":
        # Whose turn it was comes first, and everybody twice in six calls.
        due = (before[-1] + 1) % 4 if before else 0
        if due == position:
            due = (due + 1) % 4
        start = left.index(due)
        assert after == (left[start:] + left[:start]) * 2
    elif policy == "random":
        assert set(after) <= set(left)
    else:
        assert set(after) == {left[0] if policy == "first" else left[-1]}


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_round_robin_is_fair_whoever_comes_and_goes(data: st.DataObject) -> None:
    """Between two changes of the callees, no callee is asked twice before all others were asked once."""
    bench = Bench()
    caller, here = bench.join(), join(bench, 1, "roundrobin")
    for _ in range(data.draw(st.integers(1, 8))):
        if len(here) > 1 and data.draw(st.booleans()):
            here.pop(data.draw(st.integers(0, len(here) - 1))).session.lost()
        elif data.draw(st.booleans()):
            here += join(bench, 1, "roundrobin")
        order = asked(caller, here, data.draw(st.integers(0, 6)))
        assert all(
            len(set(order[start : start + len(here)])) == min(len(here), len(order) - start)
            for start in range(len(order))
        ), order


def test_callees_of_one_procedure_are_found_without_looking_at_all_of_them(bench: Bench) -> None:
    class Counting(list[object]):
        looked_at = 0

        def __getitem__(self, key: object) -> object:  # type: ignore[override]  # positions only
            Counting.looked_at += 1
            return super().__getitem__(key)  # type: ignore[index]  # as above

        def __iter__(self) -> object:  # type: ignore[override]  # counts
            for item in super().__iter__():
                Counting.looked_at += 1
                yield item

    join(bench, 200, "roundrobin")
    (registration,) = bench.realm.dealer.procedures.registrations.values()
    registration.callees = Counting(registration.callees)
    for _ in range(10):
        registration.pick()
    assert Counting.looked_at == 10
