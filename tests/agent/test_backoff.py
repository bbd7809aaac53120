from __future__ import annotations

from heliograph.agent.backoff import Backoff


def test_delays_double_up_to_the_limit_and_start_again_after_a_reset() -> None:
    backoff = Backoff(min_s=1.0, max_s=5.0, draw=lambda _shortest, longest: longest)
    assert [backoff.next_s() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next_s() == 1.0


def test_each_delay_is_drawn_from_the_upper_half_so_that_a_fleet_spreads_out() -> None:
    drawn: list[tuple[float, float]] = []

    def draw(shortest_s: float, longest_s: float) -> float:
        drawn.append((shortest_s, longest_s))
        return shortest_s

    backoff = Backoff(min_s=1.0, max_s=60.0, draw=draw)
    assert [backoff.next_s() for _ in range(3)] == [0.5, 1.0, 2.0]
    assert drawn == [(0.5, 1.0), (1.0, 2.0), (2.0, 4.0)]


def test_two_agents_do_not_wait_equally_long() -> None:
    delays = {Backoff(min_s=1.0, max_s=60.0).next_s() for _ in range(20)}
    assert len(delays) > 1
    assert all(0.5 <= delay_s <= 1.0 for delay_s in delays)
