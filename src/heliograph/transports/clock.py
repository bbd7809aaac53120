"""The time, and the event loop's timers, for routing."""

import asyncio
import time
from collections.abc import Callable

from heliograph.routing.peer import Timer


class LoopClock:
    """A clock that wakes routing within one event loop.

    Args:
        loop: whose timers are used.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now_s(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def monotonic_s(self) -> float:
        """Return seconds on the clock of the loop's timers."""
        return self._loop.time()

    def later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` in `delay_s` seconds."""
        return self._loop.call_later(delay_s, callback)
