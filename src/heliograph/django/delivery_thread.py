"""A bounded queue of events and the one thread that delivers them, in the order in which they came."""

import collections
import logging
import threading
from collections.abc import Callable

from heliograph.django.events import Event

logger = logging.getLogger("heliograph.django")


class DeliveryThread:
    """Takes events from any thread without waiting, and delivers them one after another in a thread of its own.

    The thread starts with the first event and belongs to one process: call `forget_after_fork()` in a child.

    Args:
        deliver: called in the thread for each event.
        finish: called in the thread when it ends.
        max_events: how many events may wait.
        max_bytes: how many bytes of payload may wait.
    """

    def __init__(
        self,
        deliver: Callable[[Event], None],
        finish: Callable[[], None],
        *,
        max_events: int,
        max_bytes: int,
    ) -> None:
        self._deliver = deliver
        self._finish = finish
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._start_empty()

    def _start_empty(self) -> None:
        self._changed = threading.Condition()
        self._pending: collections.deque[Event] = collections.deque()
        self._pending_bytes = 0
        self._unfinished = 0  # pending, plus the one in delivery
        self._thread: threading.Thread | None = None
        self._stopping = False

    @property
    def unfinished(self) -> int:
        """How many events are waiting or in delivery."""
        return self._unfinished

    def put(self, event: Event) -> str | None:
        """Queue the event; return None, or the reason why it was not taken."""
        with self._changed:
            if self._stopping:
                return "the backend was closed"
            if len(self._pending) >= self._max_events or (
                self._pending and self._pending_bytes + event.size_bytes > self._max_bytes
            ):
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
                changed.wait_for(lambda: self._pending or self._stopping)
                if not self._pending:
                    break
                event = self._pending.popleft()
                self._pending_bytes -= event.size_bytes
            try:
                self._deliver(event)
            except Exception:
                logger.exception("delivering an event to %r failed unexpectedly", event.topic)
            finally:
                with changed:
                    self._unfinished -= 1
                    changed.notify_all()
        self._finish()
