"""Deadlines that are all equally far away: one timer for any number of connections.

A timer of the event loop costs 2 µs to start and to cancel, and nearly all are cancelled; a connection that only came
and went had three.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Generic, TypeVar

WhoT = TypeVar("WhoT")


class Deadlines(Generic[WhoT]):
    """Gives everybody the same time for something.

    Args:
        timeout_s: how long that is, in seconds.
        missed: called with whoever has let it pass.
        loop: the event loop.
    """

    __slots__ = ("_due_s", "_loop", "_missed", "_timeout_s", "_timer")

    def __init__(
        self, timeout_s: float, missed: Callable[[WhoT], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._timeout_s = timeout_s
        self._missed = missed
        self._loop = loop
        # By the loop's clock. Everybody comes in behind those before, so they stand in the order they are due.
        self._due_s: dict[WhoT, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __iter__(self) -> Iterator[WhoT]:
        return iter(self._due_s)

    def due_s(self, who: WhoT) -> float | None:
        """Return when `who` has to be ready, by the loop's clock; None for somebody who has no deadline."""
        return self._due_s.get(who)

    def begin(self, who: WhoT) -> None:
        """Give `who` the whole time from now on."""
        due_s = self._due_s
        due_s.pop(who, None)
        due_s[who] = self._loop.time() + self._timeout_s
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_s, self._look)

    def end(self, who: WhoT) -> None:
        """Take note that `who` is ready, or need not be any more."""
        self._due_s.pop(who, None)

    def stop(self) -> None:
        """Forget everybody."""
        self._due_s.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        try:
            # What one of them causes may be the end of another, so all are looked up again.
            for who, due_s in list(takewhile(lambda item: item[1] <= now_s, self._due_s.items())):
                if self._due_s.get(who) == due_s:
                    del self._due_s[who]
                    self._missed(who)
        finally:
            if self._due_s and self._timer is None:
                first_s = next(iter(self._due_s.values()))
                self._timer = self._loop.call_later(max(first_s - now_s, 0), self._look)
