"""Waiting longer after each failure, and never in step with the other agents."""

from __future__ import annotations

import random
from collections.abc import Callable

# Spreads a fleet out; guards no secret.
_uniform = random.SystemRandom().uniform


class Backoff:
    """Delays that double up to a limit, each drawn from its upper half."""

    def __init__(
        self, *, min_s: float, max_s: float, draw: Callable[[float, float], float] = _uniform
    ) -> None:
        """*min_s* is the first delay, *max_s* the longest; *draw* picks a number between two."""
        self._min_s = min_s
        self._max_s = max_s
        self._draw = draw
        self._next_s = min_s

    def next_s(self) -> float:
        """Return how many seconds to wait now, and wait longer next time."""
        longest_s = self._next_s
        self._next_s = min(self._max_s, longest_s * 2)
        return self._draw(longest_s / 2, longest_s)

    def reset(self) -> None:
        """Start again with the shortest delay."""
        self._next_s = self._min_s
