"""A bounded queue of events and the one thread that delivers them, in the order in which they came."""

import collections
import logging
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from heliograph.client.bodies import MOST_BYTES, MOST_EVENTS

logger = logging.getLogger("heliograph.client")


class Sized(Protocol):
    """An event that waits."""

    @property
    def size_bytes(self) -> int:
        """How much it counts for."""


Event = TypeVar("Event", bound=Sized)


class DeliveryThread(Generic[Event]):
    """Takes events from any thread without waiting, and delivers them in a thread of its own.

    What came while one delivery was under way is delivered together in the next. The thread starts with the first
    event and belongs to one process: call `forget_after_fork()` in a child.

    Args:
        deliver: called in the thread with the events that wait, one or more.
        finish: called in the thread when it is stopped.
        max_events: how many events may wait.
        max_bytes: how many bytes of them may wait.
        idle_s: after how many seconds without an event the thread ends, to be started again by the next; None means
            never.
    """

    def __init__(
        self,
        deliver: Callable[[list[Event]], None],
        finish: Callable[[], None],
        *,
        max_events: int,
        max_bytes: int,
        idle_s: float | None = None,
    ) -> None:
        self._deliver = deliver
        self._finish = finish
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._idle_s = idle_s
        self._start_empty()

    def _start_empty(self) -> None:
        self._changed = threading.Condition()
        self._pending: collections.deque[Event] = collections.deque()
        self._pending_bytes = 0
        self._unfinished = 0  # pending, plus those in delivery
        self._thread: threading.Thread | None = None
        self._stopping = False

    @property
    def unfinished(self) -> int:
        """How many events are waiting or in delivery."""
        return self._unfinished

    def put(self, event: Event, *, room_timeout_s: float = 0.0) -> str | None:
        """Queue the event; return None, or the reason why it was not taken.

        Args:
            event: to be delivered.
            room_timeout_s: seconds to wait for room where there is none.
        """
        with self._changed:
            if not self._stopping and not self._has_room(event) and room_timeout_s:
                self._changed.wait_for(
                    lambda: self._stopping or self._has_room(event), timeout=room_timeout_s
                )
            if self._stopping:
                return "this publisher is closed"
            if not self._has_room(event):
                return "too many events are waiting"
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="heliograph-delivery", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads, or the interpreter is ending
                    return str(error)
                self._thread = thread
            self._pending.append(event)
            self._pending_bytes += event.size_bytes
            self._unfinished += 1
            self._changed.notify_all()
            return None

    def _has_room(self, event: Event) -> bool:
        if not self._pending:
            return True
        return (
            len(self._pending) < self._max_events
            and self._pending_bytes + event.size_bytes <= self._max_bytes
        )

    def flush(self, timeout_s: float) -> int:
        """Wait until every event is delivered or given up; return how many are left after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._unfinished, timeout=timeout_s)
            return self._unfinished

    def stop(self, timeout_s: float) -> int:
        """Flush, then end the thread; return how many events still waited and are dropped."""
        in_time = self.flush(timeout_s) == 0
        with self._changed:
            dropped = len(self._pending)
            self._stopping = True
            self._unfinished -= dropped
            self._pending.clear()
            self._pending_bytes = 0
            thread = self._thread
            self._changed.notify_all()
        if thread is None:
            self._finish()
        elif in_time:
            thread.join()
        return dropped

    def forget_after_fork(self) -> None:
        """In a forked child: the thread and the events in the queue are the parent's."""
        self._start_empty()

    def _run(self) -> None:
        changed = self._changed
        while True:
            with changed:
                came = changed.wait_for(lambda: self._pending or self._stopping, timeout=self._idle_s)
                if not came:
                    self._thread = None
                    return
                if not self._pending:
                    break
                events = self._batch()
                # Who waits for room has it now.
                changed.notify_all()
            try:
                self._deliver(events)
            except Exception:
                logger.exception("delivering %d events failed unexpectedly", len(events))
            finally:
                with changed:
                    self._unfinished -= len(events)
                    changed.notify_all()
        self._finish()

    def _batch(self) -> list[Event]:
        """Take as many events as are delivered at once."""
        pending = self._pending
        events = [pending.popleft()]
        size_bytes = events[0].size_bytes
        while pending and len(events) < MOST_EVENTS:
            size_bytes += pending[0].size_bytes
            if size_bytes > MOST_BYTES:
                break
            events.append(pending.popleft())
        self._pending_bytes -= sum(event.size_bytes for event in events)
        return events
