"""How often one place in the code may log: what a client provokes at will must not fill a disk."""

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

MOST_ALIKE = 20
"""Records of one place in the code that are logged in a period."""

PERIOD_S = 10.0

_Place = tuple[str, str, int, str]


class Suppressed(NamedTuple):
    """What of one place was not logged in a period.

    Attributes:
        logger: its name.
        message: the last one's, without its arguments.
        records: how many.
    """

    logger: str
    message: str
    records: int


class FloodLimit:
    """Lets a bounded number of records of one place, and one kind of exception, through in a period.

    Records at DEBUG are not limited, nor those that have the attribute `has_own_limit`: their place counts by itself.

    Args:
        monotonic: the clock.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # Reentrant: a finalizer may log while a record is being judged.
        self._lock = threading.RLock()
        # There are as many places as the code has, and the table begins anew with each period.
        self._seen: dict[_Place, int] = {}
        self._last: dict[_Place, str] = {}
        self._ends_at = 0.0
        self._over: list[Suppressed] = []

    def lets_through(self, record: logging.LogRecord) -> bool:
        """Tell whether `record` is to be logged; count it when it is not."""
        if record.levelno <= logging.DEBUG or getattr(record, "has_own_limit", False):
            return True
        with self._lock:
            return self._counts(record)

    def take_suppressed(self, *, now: bool = False) -> list[Suppressed]:
        """Return what periods that are over have suppressed, each once; with `now`, the current one too."""
        with self._lock:
            self._begin_anew(now=now)
            over, self._over = self._over, []
        return over

    @property
    def has_suppressed(self) -> bool:
        """Whether there is, or will be, something to be told."""
        return bool(self._last or self._over)

    def _counts(self, record: logging.LogRecord) -> bool:
        self._begin_anew()
        kind = record.exc_info[0] if record.exc_info else None
        place = (record.name, record.pathname, record.lineno, "" if kind is None else kind.__qualname__)
        seen = self._seen[place] = self._seen.get(place, 0) + 1
        if seen <= MOST_ALIKE:
            return True
        self._last[place] = (
            str(record.msg)[:200] if isinstance(record.msg, str) else type(record.msg).__name__
        )
        return False

    def _begin_anew(self, *, now: bool = False) -> None:
        time_s = self._monotonic()
        if time_s < self._ends_at and not now:
            return
        self._ends_at = time_s + PERIOD_S
        seen, self._seen = self._seen, {}
        last, self._last = self._last, {}
        self._over += [
            Suppressed(place[0], message, seen[place] - MOST_ALIKE) for place, message in last.items()
        ]
