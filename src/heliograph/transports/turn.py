"""One turn of the event loop: what was written in it goes out at its end, what is too much waits for the next.

Every connection collects frames in its outbox; at the end of the turn each is flushed once. A turn has a budget of
work: a publisher that floods would otherwise keep everybody else from being served (2,000 publications for 500
subscribers in one turn held a bystander up for 119 ms). It has one for writing as well: one event of 1 MB for 2,000
subscribers held a bystander up for 3.4 s. Who is sent much is written in pieces, in rotation.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from heliograph.routing.work import Steps
from heliograph.transports.overload import EventKey

_LOG = logging.getLogger(__name__)

WORK_BUDGET = 32_768
"""Units of work a turn: one is about a microsecond, as an event for one receiver takes."""

BYTES_A_UNIT = 4096

WRITE_BUDGET = 4 * 1024 * 1024
"""Bytes written a turn to those who are flushed, and as many again to those who wait for that: 2 to 10 ms."""

FLUSHED_A_TURN = 2048
"""Receivers flushed a turn, however little each is sent: to write to one takes 6 µs."""


class Flushable(Protocol):
    """Somebody with an outbox."""

    def flush(self) -> int:
        """Write what waits, or a share of it; return what that cost: 1 for each byte."""


class Waiting(Protocol):
    """Somebody with messages that were read but not handled."""

    def handle_next(self) -> bool:
        """Handle one message; return whether more wait."""


class _Job:
    """Something that is done in steps.

    Args:
        turn: whose turns it takes.
        steps: of it.
    """

    __slots__ = ("_steps", "_turn")

    def __init__(self, turn: Turn, steps: Steps[None]) -> None:
        self._turn = turn
        self._steps = steps

    def handle_next(self) -> bool:
        """Do one step; return whether the next one can be done as soon as a turn has room for it."""
        try:
            waits_for = next(self._steps)
        except StopIteration:
            return False
        except Exception:  # noqa: BLE001 - logged
            # A defect of ours; what else waits for its turn must still have it.
            _LOG.exception("what was done in steps failed")
            return False
        if waits_for is None:
            return True
        waits_for.when_room(self._go_on)
        return False

    def _go_on(self) -> None:
        self._turn.wait(self)


class Turn:
    """The current turn of one event loop.

    Args:
        loop: the loop whose turns these are.
        work_budget: units of work a turn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, work_budget: int = WORK_BUDGET) -> None:
        self._loop = loop
        self.work_budget = work_budget
        self.dirty: list[Flushable] = []
        """Whom to flush at the end of this turn; who is put here must spend something, or there is no end."""
        self.has_large_frames = False
        """Whether a frame of `BYTES_A_UNIT` or more may be among those in outboxes."""
        # Those whom a turn's end did not come to, and those who are written much, piece by piece.
        self._late: deque[Flushable] = deque()
        self._writing: deque[Flushable] = deque()
        self._waiting: deque[Waiting] = deque()
        self._is_end_scheduled = False
        self._work_left = work_budget
        self.most_spent = 0
        """Units of work of the turn that has done most: the last thing it did may have been more than was left."""
        self.keeps_keys = False
        """Whether events are told from answers: only where some receiver's are dropped."""
        # The frames of events by their identity, for as long as they are in outboxes: those that are being flushed, as
        # long as any of these is late, and those that come meanwhile.
        self._late_with_keys = 0
        self._keys: dict[int, tuple[bytes, EventKey]] = {}
        self._flushed_keys: dict[int, tuple[bytes, EventKey]] = {}

    @property
    def is_exhausted(self) -> bool:
        """Whether this turn has done as much as it may."""
        return self._work_left <= 0

    def has_room_behind(self, units: int) -> bool:
        """Return whether this turn may do more when `units` of work are done."""
        return self._work_left > units

    def spend(self, units: int) -> None:
        """Take note of work done in this turn."""
        self._work_left -= units
        if not self._is_end_scheduled:
            self._schedule_end()

    def flush_at_end(self, outbox_owner: Flushable) -> None:
        """Flush `outbox_owner` at the end of this turn; call it when its outbox stops being empty."""
        self.dirty.append(outbox_owner)
        if not self._is_end_scheduled:
            self._schedule_end()

    def write_later(self, writer: Flushable) -> None:
        """Flush `writer` in a turn to come, in rotation with others that are written much."""
        self._writing.append(writer)
        if not self._is_end_scheduled:
            self._schedule_end()

    def wait(self, reader: Waiting) -> None:
        """Let `reader` handle its messages in turns to come, one at a time in rotation with others."""
        self._waiting.append(reader)
        if not self._is_end_scheduled:
            self._schedule_end()

    def go_on(self, steps: Steps[None]) -> None:
        """Do the first of `steps` at once, as many as this turn has room for, and the others in turns to come."""
        job = _Job(self, steps)
        while job.handle_next():
            if self._work_left <= 0:
                self.wait(job)
                return

    def note_event(self, frames: Iterable[bytes], key: EventKey) -> None:
        """Take note that `frames`, one for each format, are those of an event."""
        for frame in frames:
            self._keys[id(frame)] = (frame, key)

    def key_of(self, frame: bytes) -> EventKey | None:
        """Return the key of an event that was put into outboxes in this turn, None for an answer."""
        noted = self._flushed_keys.get(id(frame)) or self._keys.get(id(frame))
        return noted[1] if noted is not None else None

    def _schedule_end(self) -> None:
        self._is_end_scheduled = True
        self._loop.call_soon(self._end)

    def _end(self) -> None:
        self._is_end_scheduled = False
        self.most_spent = max(self.most_spent, self.work_budget - self._work_left)
        self._flush()
        self._work_left = self.work_budget
        waiting = self._waiting
        try:
            while waiting and self._work_left > 0:
                reader = waiting.popleft()
                if reader.handle_next():
                    waiting.append(reader)
        finally:
            if (waiting or self._late or self._writing) and not self._is_end_scheduled:
                self._schedule_end()

    def _flush(self) -> None:
        dirty, self.dirty = self.dirty, []
        if self.keeps_keys and self._late_with_keys <= 0:
            self._flushed_keys, self._keys = self._keys, {}
        # Those of this turn come first: who is late is one of very many.
        self._late.extend(dirty[FLUSHED_A_TURN:])
        del dirty[FLUSHED_A_TURN:]
        unflushed = iter(dirty)
        left = WRITE_BUDGET
        for owner in unflushed:
            try:
                left -= owner.flush()
            except Exception:  # noqa: BLE001 - logged
                _log_defect()
            if left <= 0:
                self._late.extend(unflushed)
        if self.keeps_keys and self._late_with_keys <= 0:
            self._late_with_keys = len(self._late)
        self._late_with_keys -= _flush_some(self._late)
        _flush_some(self._writing)
        if not (self._late or self.dirty):
            self.has_large_frames = False


def _flush_some(owners: deque[Flushable]) -> int:
    """Flush the first of `owners` as far as a turn may; return how many that were."""
    left = WRITE_BUDGET
    flushed = 0
    while owners and left > 0 and flushed < FLUSHED_A_TURN:
        flushed += 1
        try:
            left -= owners.popleft().flush()
        except Exception:  # noqa: BLE001 - logged
            _log_defect()
    return flushed


def _log_defect() -> None:
    # A defect of ours; whoever stands behind this one must still get what is theirs.
    _LOG.exception("an outbox could not be flushed")
