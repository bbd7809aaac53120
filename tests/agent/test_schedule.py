from __future__ import annotations

import pytest

from heliograph.agent.schedule import SHORTEST_GAP_S, Schedule


def test_the_first_sample_is_due_at_once() -> None:
    assert Schedule(7.0).due_s == 7.0


@pytest.mark.parametrize(
    ("sampled_at_s", "next_due_s"),
    [
        (0.0, 5.0),
        (0.3, 5.0),
        (4.9, 5.0),
        (5.0, 10.0),  # sampling took as long as the interval: that slot is over
        (12.0, 15.0),
        (3601.0, 3605.0),  # a suspend
    ],
)
def test_the_next_sample_is_due_on_the_grid_past_the_slots_that_are_over(
    sampled_at_s: float, next_due_s: float
) -> None:
    schedule = Schedule(0.0)
    schedule.sampled(sampled_at_s, 5)
    assert schedule.due_s == next_due_s


def test_a_timer_that_fires_a_little_early_makes_no_second_sample_of_the_same_slot() -> None:
    schedule = Schedule(10.0)
    schedule.sampled(9.999, 1)
    assert schedule.due_s == 11.0


def test_a_change_makes_a_sample_due_now_and_restarts_the_grid() -> None:
    schedule = Schedule(0.0)
    schedule.sampled(0.0, 60)
    schedule.hasten(12.5)
    assert schedule.due_s == 12.5
    schedule.sampled(12.5, 60)
    assert schedule.due_s == 72.5


def test_a_change_right_after_a_sample_waits_for_the_shortest_gap() -> None:
    schedule = Schedule(0.0)
    schedule.sampled(0.0, 60)
    schedule.hasten(0.01)
    assert schedule.due_s == SHORTEST_GAP_S
