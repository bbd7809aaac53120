"""The two clocks of the agent, behind a seam that tests turn by hand."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the loop needs to know of time. Moments are seconds on the monotonic clock."""

    def monotonic_s(self) -> float:
        """Now, on a clock that never jumps."""
        ...

    def time_s(self) -> float:
        """Now, in seconds since 1970, UTC."""
        ...

    async def wait(self, event: asyncio.Event, until_s: float | None) -> bool:
        """Wait for *event* (→ `True`) or for the moment *until_s* (→ `False`); `None` waits for the event alone."""
        ...


class SystemClock:
    """The operating system's clocks."""

    def monotonic_s(self) -> float:
        """Now, on a clock that never jumps."""
        return time.monotonic()

    def time_s(self) -> float:
        """Now, in seconds since 1970, UTC."""
        return time.time()

    async def wait(self, event: asyncio.Event, until_s: float | None) -> bool:
        """Wait for *event* (→ `True`) or for the moment *until_s* (→ `False`); `None` waits for the event alone."""
        delay_s = None if until_s is None else max(0.0, until_s - self.monotonic_s())
        try:
            async with asyncio.timeout(delay_s):
                await event.wait()
        except TimeoutError:
            return False
        return True
