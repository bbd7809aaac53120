"""When the next sample is due: a fixed grid, hurried by changes, never catching up in a burst."""

from __future__ import annotations

import math

SHORTEST_GAP_S = 0.1
"""Two samples are at least this far apart, however fast configurations arrive; CPU figures over less mean nothing."""


class Schedule:
    """Moments on the monotonic clock, in seconds. Pure: the caller passes `now_s` in."""

    def __init__(self, now_s: float) -> None:
        """The first sample is due at once."""
        self._due_s = now_s
        self._last_s = -math.inf

    @property
    def due_s(self) -> float:
        """When the next sample is due."""
        return self._due_s

    def hasten(self, now_s: float) -> None:
        """Something changed: the next sample is due now, or as soon as the shortest gap allows."""
        self._due_s = max(now_s, self._last_s + SHORTEST_GAP_S)

    def sampled(self, now_s: float, interval_s: float) -> None:
        """A sample was taken: the next one is due on the same grid, past the slots that are already over."""
        passed = max(0, math.floor((now_s - self._due_s) / interval_s))
        self._due_s += (passed + 1) * interval_s
        self._last_s = now_s
