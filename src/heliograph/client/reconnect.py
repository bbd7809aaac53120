"""When to try again: full-jitter exponential back-off, and the clock it waits by."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Protocol

from heliograph.client.options import ClientOptions

Random = Callable[[], float]
"""Returns a uniformly random number from 0 to 1."""

system_random: Random = random.SystemRandom().random


class Clock(Protocol):
    """Time, injected so that tests need not wait."""

    def monotonic(self) -> float:
        """Return seconds since some moment."""

    async def sleep(self, delay_s: float) -> None:
        """Wait `delay_s` seconds."""


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        """Wait `delay_s` seconds."""
        await asyncio.sleep(delay_s)


class Backoff:
    """Pauses between attempts: uniformly random below a bound that doubles ("full jitter").

    The jitter spreads clients that lost the same router at the same moment.

    Args:
        initial_s: the first bound, in seconds.
        max_s: the largest bound, in seconds.
        random: source of randomness.
    """

    def __init__(self, initial_s: float, max_s: float, random: Random) -> None:
        self._initial_s = initial_s
        self._max_s = max_s
        self._random = random
        self._bound_s = initial_s

    def next(self) -> float:
        """Return the seconds to wait before the next attempt."""
        pause_s = self._random() * self._bound_s
        self._bound_s = min(self._bound_s * 2, self._max_s)
        return pause_s

    def reset(self) -> None:
        """Begin with the first bound again."""
        self._bound_s = self._initial_s


def backoff_of(options: ClientOptions, random: Random) -> Backoff:
    """Return the back-off that `options` describe."""
    return Backoff(min(options.backoff_initial_s, options.backoff_max_s), options.backoff_max_s, random)
