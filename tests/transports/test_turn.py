"""The turn: one flush each, a budget of work, and the rest in rotation. A fake loop counts turns instead of time."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from heliograph.transports import turn as turn_module
from heliograph.transports.turn import Turn


class FakeLoop:
    """Runs what was called soon, one turn at a time."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], object]] = []

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.soon.append(callback)

    def run_turn(self) -> None:
        callbacks, self.soon = self.soon, []
        for callback in callbacks:
            callback()

    def run(self) -> int:
        """Run until nothing is left and return how many turns it took."""
        turns = 0
        while self.soon:
            self.run_turn()
            turns += 1
        return turns


class Outbox:
    def __init__(self, flushed: list[str], name: str) -> None:
        self._flushed = flushed
        self.name = name

    def flush(self) -> int:
        self._flushed.append(self.name)
        return 1


class Reader:
    """Messages that wait; handling one costs its `cost`."""

    def __init__(self, turn: Turn, handled: list[str], name: str, messages: int, cost: int) -> None:
        self._turn = turn
        self._handled = handled
        self.name = name
        self.cost = cost
        self.waiting = deque(range(messages))

    def handle_next(self) -> bool:
        self._handled.append(f"{self.name}{self.waiting.popleft()}")
        self._turn.spend(self.cost)
        return bool(self.waiting)


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def turn(loop: FakeLoop) -> Turn:
    return Turn(loop)  # type: ignore[arg-type]


def test_everybody_is_flushed_once_at_the_end_of_the_turn(turn: Turn, loop: FakeLoop) -> None:
    flushed: list[str] = []
    for name in "ab":
        turn.flush_at_end(Outbox(flushed, name))
    turn.spend(5)
    assert flushed == []
    assert loop.run() == 1
    assert flushed == ["a", "b"]


def test_what_a_flush_causes_is_flushed_in_the_next_turn(turn: Turn, loop: FakeLoop) -> None:
    flushed: list[str] = []

    class Echo:
        def flush(self) -> int:
            turn.flush_at_end(Outbox(flushed, "echo"))
            return 1

    turn.flush_at_end(Echo())
    loop.run_turn()
    assert flushed == []
    loop.run_turn()
    assert flushed == ["echo"]


def test_one_outbox_that_cannot_be_flushed_keeps_nobody_else_waiting(
    turn: Turn, loop: FakeLoop, caplog: pytest.LogCaptureFixture
) -> None:
    flushed: list[str] = []

    class Broken:
        def flush(self) -> int:
            raise ZeroDivisionError

    turn.flush_at_end(Broken())
    turn.flush_at_end(Outbox(flushed, "behind"))
    with caplog.at_level(logging.ERROR):
        loop.run()
    assert flushed == ["behind"]
    assert "an outbox could not be flushed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


class Long:
    """Somebody who is written much, in shares that cost `cost` each."""

    def __init__(self, turn: Turn, flushed: list[str], name: str, shares: int, cost: int) -> None:
        self._turn = turn
        self._flushed = flushed
        self.name = name
        self.shares = shares
        self.cost = cost

    def flush(self) -> int:
        self._flushed.append(self.name)
        self.shares -= 1
        if self.shares:
            self._turn.write_later(self)
        return self.cost


def test_who_is_written_much_is_written_in_rotation_within_the_budget(turn: Turn, loop: FakeLoop) -> None:
    flushed: list[str] = []
    share = turn_module.WRITE_BUDGET // 4
    for name in "ab":
        turn.write_later(Long(turn, flushed, name, 6, share))
    loop.run_turn()
    assert flushed == ["a", "b", "a", "b"]
    assert loop.run() <= 3
    assert flushed == ["a", "b"] * 6


def test_who_is_flushed_comes_before_who_is_written_much(turn: Turn, loop: FakeLoop) -> None:
    flushed: list[str] = []
    for name in "abcdefgh":
        turn.write_later(Long(turn, flushed, name, 100, turn_module.WRITE_BUDGET // 2))
    loop.run_turn()
    flushed.clear()
    turn.flush_at_end(Outbox(flushed, "bystander"))
    loop.run_turn()
    assert flushed == ["bystander", "c", "d"]


@pytest.mark.parametrize(
    ("cost", "a_turn"),
    [(turn_module.WRITE_BUDGET // 10 + 1, 10), (1, turn_module.FLUSHED_A_TURN)],
    ids=["by-bytes", "by-number"],
)
def test_a_turn_flushes_no_more_than_it_may_and_forgets_nobody(
    turn: Turn, loop: FakeLoop, cost: int, a_turn: int
) -> None:
    flushed: list[str] = []
    count = 5 * a_turn
    for number in range(count):
        turn.flush_at_end(Long(turn, flushed, str(number), 1, cost))
    loop.run_turn()
    assert len(flushed) <= 2 * a_turn
    turn.flush_at_end(Outbox(flushed, "bystander"))
    loop.run_turn()
    assert flushed.index("bystander") <= 2 * a_turn, "those who are late do not keep others waiting"
    loop.run()
    assert sorted(flushed) == sorted([*map(str, range(count)), "bystander"])


def test_events_are_told_from_answers_until_the_last_late_receiver_is_flushed(
    turn: Turn, loop: FakeLoop
) -> None:
    turn.keeps_keys = True
    event, later = b"event", b"later"
    known: list[bool] = []

    class Receiver:
        def flush(self) -> int:
            known.append(turn.key_of(event) is not None and turn.key_of(later) is not None)
            return 1

    turn.note_event([event], (1, None))
    for _ in range(turn_module.FLUSHED_A_TURN * 5):
        turn.flush_at_end(Receiver())
    loop.run_turn()
    known.clear()
    turn.note_event([later], (2, None))
    turn.spend(1)
    while loop.soon:
        loop.run_turn()
    assert len(known) >= turn_module.FLUSHED_A_TURN
    assert all(known)
    for _ in range(3):
        turn.spend(1)
        loop.run()
    assert turn.key_of(event) is turn.key_of(later) is None, "nothing is kept for ever"


def test_a_turn_is_exhausted_by_its_budget_and_restored_at_its_end(turn: Turn, loop: FakeLoop) -> None:
    turn.spend(turn_module.WORK_BUDGET - 1)
    assert not turn.is_exhausted
    turn.spend(1)
    assert turn.is_exhausted
    loop.run_turn()
    assert not turn.is_exhausted


def test_readers_that_wait_take_turns_message_by_message(turn: Turn, loop: FakeLoop) -> None:
    handled: list[str] = []
    turn.wait(Reader(turn, handled, "flood", 4, 1))
    turn.wait(Reader(turn, handled, "bystander", 1, 1))
    loop.run()
    assert handled == ["flood0", "bystander0", "flood1", "flood2", "flood3"]


def test_a_bystander_waits_for_one_message_of_a_flood_however_long_the_flood(
    turn: Turn, loop: FakeLoop
) -> None:
    handled: list[str] = []
    turn.wait(Reader(turn, handled, "flood", 2000, 500))
    loop.run_turn()
    handled.clear()

    turn.wait(Reader(turn, handled, "bystander", 1, 1))
    loop.run_turn()
    assert handled.index("bystander0") <= 1


def test_no_turn_does_more_than_its_budget_and_one_message(turn: Turn, loop: FakeLoop) -> None:
    handled: list[str] = []
    cost = 500
    turn.wait(Reader(turn, handled, "flood", 2000, cost))
    most = turn_module.WORK_BUDGET // cost + 1
    while loop.soon:
        before = len(handled)
        loop.run_turn()
        assert len(handled) - before <= most
    assert len(handled) == 2000


def test_what_is_flushed_leaves_before_the_next_messages_are_handled(turn: Turn, loop: FakeLoop) -> None:
    order: list[str] = []
    turn.flush_at_end(Outbox(order, "flush"))
    turn.wait(Reader(turn, order, "message", 1, 1))
    loop.run()
    assert order == ["flush", "message0"]


def test_a_reader_that_fails_does_not_stop_those_behind_it(turn: Turn, loop: FakeLoop) -> None:
    handled: list[str] = []

    class Broken:
        def handle_next(self) -> bool:
            raise ZeroDivisionError

    turn.wait(Broken())
    turn.wait(Reader(turn, handled, "behind", 1, 1))
    with pytest.raises(ZeroDivisionError):
        loop.run_turn()
    loop.run()
    assert handled == ["behind0"]


def test_an_idle_turn_schedules_nothing(turn: Turn, loop: FakeLoop) -> None:
    turn.spend(1)
    loop.run()
    assert loop.soon == []
    _: Any = turn
