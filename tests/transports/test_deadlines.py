"""Deadlines that share one timer of the event loop."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from heliograph.transports.deadlines import Deadlines


class Handle:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """The clock of an event loop, put forward by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.timers: list[tuple[float, Callable[[], None], Handle]] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Handle:
        assert delay_s >= 0
        handle = Handle()
        self.timers.append((self.now_s + delay_s, callback, handle))
        return handle

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and call what was to be called in it, each at its time."""
        until_s = self.now_s + seconds
        while True:
            self.timers = [timer for timer in self.timers if not timer[2].is_cancelled]
            due = [timer for timer in self.timers if timer[0] <= until_s]
            if not due:
                break
            timer = min(due, key=lambda each: each[0])
            self.timers.remove(timer)
            self.now_s = max(self.now_s, timer[0])
            timer[1]()
        self.now_s = until_s


@pytest.fixture
def loop() -> Loop:
    return Loop()


def deadlines(loop: Any, missed: Callable[[Any], None], timeout_s: float = 10) -> Deadlines[Any]:
    return Deadlines(timeout_s, missed, loop)


def test_who_is_late_is_told_and_forgotten(loop: Loop) -> None:
    late: list[str] = []
    some = deadlines(loop, late.append)
    some.begin("a")
    loop.pass_time(9.9)
    assert late == []
    assert some.due_s("a") == 110
    loop.pass_time(0.1)
    assert late == ["a"]
    assert some.due_s("a") is None
    loop.pass_time(100)
    assert late == ["a"]


def test_who_begins_again_has_the_whole_time_again(loop: Loop) -> None:
    late: list[str] = []
    some = deadlines(loop, late.append)
    some.begin("a")
    loop.pass_time(6)
    some.begin("b")
    loop.pass_time(2)
    some.begin("a")
    loop.pass_time(8)
    assert late == ["b"]
    loop.pass_time(2)
    assert late == ["b", "a"]


def test_one_timer_is_enough_and_none_where_nobody_waits(loop: Loop) -> None:
    some = deadlines(loop, lambda _who: None)
    for number in range(100):
        some.begin(number)
        some.end(number)
    assert len(loop.timers) == 1
    loop.pass_time(10)
    assert loop.timers == []


def test_who_is_ended_or_begins_anew_because_of_another_is_not_late(loop: Loop) -> None:
    late: list[str] = []

    def missed(who: str) -> None:
        late.append(who)
        some.end("b")
        some.begin("c")

    some = deadlines(loop, missed)
    for who in "abc":
        some.begin(who)
    loop.pass_time(10)
    assert late == ["a"]
    assert list(some) == ["c"]
    assert some.due_s("c") == 120


def test_a_failure_costs_the_others_nothing(loop: Loop) -> None:
    late: list[str] = []

    def missed(who: str) -> None:
        if who == "bad":
            raise RuntimeError(who)
        late.append(who)

    some = deadlines(loop, missed)
    for who in ("bad", "good"):
        some.begin(who)
    with pytest.raises(RuntimeError, match="bad"):
        loop.pass_time(10)
    loop.pass_time(0)
    assert late == ["good"]


def test_nobody_is_late_once_it_is_stopped(loop: Loop) -> None:
    late: list[str] = []
    some = deadlines(loop, late.append)
    some.begin("a")
    some.stop()
    loop.pass_time(100)
    assert late == []
    assert list(some) == []
    some.begin("b")
    loop.pass_time(10)
    assert late == ["b"]


class Clocks(RuleBasedStateMachine):
    """The same as a timer for everybody."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.late: list[tuple[float, int]] = []
        self.expected: list[tuple[float, int]] = []
        self.due: dict[int, float] = {}
        self.some = deadlines(self.loop, lambda who: self.late.append((self.loop.now_s, who)))

    @rule(who=st.integers(0, 5))
    def begin(self, who: int) -> None:
        self.some.begin(who)
        self.due[who] = self.loop.now_s + 10

    @rule(who=st.integers(0, 5))
    def end(self, who: int) -> None:
        self.some.end(who)
        self.due.pop(who, None)

    @rule(seconds=st.integers(0, 25))
    def pass_time(self, seconds: int) -> None:
        self.loop.pass_time(seconds)
        late = sorted((due, who) for who, due in self.due.items() if due <= self.loop.now_s)
        self.expected += late
        for _, who in late:
            del self.due[who]

    @invariant()
    def are_those_of_single_timers(self) -> None:
        assert sorted(self.late) == sorted(self.expected)
        assert {who: self.some.due_s(who) for who in self.some} == self.due


TestClocks = Clocks.TestCase
TestClocks.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
