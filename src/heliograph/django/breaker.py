"""A circuit breaker: after a failure nothing is tried for a while, then one attempt decides."""

import threading
import time
from collections.abc import Callable


class CircuitBreaker:
    """Says whether an attempt makes sense; thread-safe.

    Args:
        cool_down_s: how long nothing is tried after a failure, in seconds.
        clock: monotonic time in seconds.
    """

    def __init__(self, cool_down_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._cool_down_s = cool_down_s
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = True
        self._next_attempt_s = 0.0

    def allows(self) -> bool:
        """Return whether to try now; while open, one caller a cool-down is told yes."""
        with self._lock:
            if self._closed:
                return True
            now_s = self._clock()
            if now_s < self._next_attempt_s:
                return False
            # The others wait for the outcome of this attempt, or for another cool-down if it never comes.
            self._next_attempt_s = now_s + self._cool_down_s
            return True

    def succeeded(self) -> bool:
        """Close; return whether it was open."""
        with self._lock:
            was_open, self._closed = not self._closed, True
            return was_open

    def failed(self) -> bool:
        """Open for one cool-down from now; return whether it was closed."""
        with self._lock:
            was_closed, self._closed = self._closed, False
            self._next_attempt_s = self._clock() + self._cool_down_s
            return was_closed
