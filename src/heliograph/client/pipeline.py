"""Publications that nobody waits for one by one: queued, sent in bodies of many, and accounted for at the flush."""

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import NamedTuple

from heliograph.client.delivery_thread import DeliveryThread
from heliograph.client.errors import PublishError

logger = logging.getLogger("heliograph.client")

IDLE_S = 5.0
"""Seconds without an event after which the thread ends."""

OnError = Callable[[str, PublishError], None]
"""Called with the topic of an event that was not published, and why."""

Post = Callable[[Sequence[bytes]], "Sequence[int | PublishError]"]
"""Sends events, and returns for each its publication's id or what went wrong."""


class PipelineOptions(NamedTuple):
    """How a pipeline behaves.

    Attributes:
        max_events: events that may wait.
        max_bytes: bytes of them that may wait.
        room_timeout_s: seconds a call waits for room.
        flush_timeout_s: seconds the end of the process waits for what is queued.
        on_error: told of each event that was not published; without it `flush` raises.
    """

    max_events: int
    max_bytes: int
    room_timeout_s: float
    flush_timeout_s: float
    on_error: OnError | None


class QueuedEvent(NamedTuple):
    """An event that waits: its topic, and the whole of it as JSON."""

    topic: str
    body: bytes

    @property
    def size_bytes(self) -> int:
        """The length of its JSON and of the line feed behind it."""
        return len(self.body) + 1


class Pipeline:
    """Queues events for a thread that sends them; safe in any thread, and in processes forked from this one.

    Args:
        url: for texts.
        post: sends events.
        options: bounds, and who hears of failures.
    """

    def __init__(self, url: str, post: Post, options: PipelineOptions) -> None:
        self._url = url
        self._post = post
        self.options = options
        self._start_empty()
        _pipelines.add(self)

    def _start_empty(self) -> None:
        self._thread: DeliveryThread[QueuedEvent] = DeliveryThread(
            self._deliver,
            _nothing,
            max_events=self.options.max_events,
            max_bytes=self.options.max_bytes,
            idle_s=IDLE_S,
        )
        self._lock = threading.Lock()
        self._failed = 0
        self._first_failure: PublishError | None = None

    def put(self, event: QueuedEvent) -> None:
        """Queue an event; waits for room when there is none.

        Raises:
            PublishError: there was none in time, and the event is not queued.
        """
        reason = self._thread.put(event, room_timeout_s=self.options.room_timeout_s)
        if reason is not None:
            raise PublishError(f"an event to {self._url} was not queued: {reason}")

    def flush(self, timeout_s: float) -> int:
        """Wait until all that is queued is acknowledged or given up; return how many are not after `timeout_s`.

        Raises:
            PublishError: events failed since the last flush, and no `on_error` was told.
        """
        left = self._thread.flush(timeout_s)
        failed, failure = self._take_failures()
        if failure is not None:
            text = f"{failed} events to {self._url} were not published; the first: {failure}"
            raise PublishError(
                text, may_have_arrived=failure.may_have_arrived, status=failure.status
            ) from failure
        return left

    def stop(self, timeout_s: float) -> int:
        """Flush, then take nothing any more; returns and raises what `flush` does."""
        left = self._thread.stop(timeout_s)
        self.flush(0.0)
        return left

    def flush_at_exit(self) -> None:
        """Give what is queued a bounded time to leave, and log what does not."""
        try:
            left = self.flush(self.options.flush_timeout_s)
        except PublishError as error:
            logger.error("%s", error)
            left = self._thread.unfinished
        if left:
            logger.error("%d events to %s were not delivered at exit", left, self._url)

    def forget_after_fork(self) -> None:
        """In a forked child: queue, thread and locks are the parent's."""
        self._start_empty()

    def _take_failures(self) -> tuple[int, PublishError | None]:
        with self._lock:
            failed, self._failed = self._failed, 0
            failure, self._first_failure = self._first_failure, None
        return failed, failure

    def _deliver(self, events: list[QueuedEvent]) -> None:
        try:
            outcomes = self._post([event.body for event in events])
        except Exception as error:
            logger.exception("sending %d events to %s failed unexpectedly", len(events), self._url)
            outcomes = [PublishError(f"sending failed unexpectedly: {error!r}", may_have_arrived=True)] * len(
                events
            )
        for event, outcome in zip(events, outcomes, strict=True):
            if isinstance(outcome, PublishError):
                self._report(event, outcome)

    def _report(self, event: QueuedEvent, failure: PublishError) -> None:
        on_error = self.options.on_error
        if on_error is None:
            with self._lock:
                self._failed += 1
                self._first_failure = self._first_failure or failure
            return
        try:
            on_error(event.topic, failure)
        except Exception:
            logger.exception("on_error failed for an event to %r", event.topic)


_creation = threading.Lock()


def creating_pipeline() -> threading.Lock:
    """Return what is held by a thread that makes a pipeline, so that there is one of each."""
    return _creation


_pipelines: "weakref.WeakSet[Pipeline]" = weakref.WeakSet()


def _nothing() -> None:
    """The publisher closes its connections itself."""


@atexit.register
def _flush_at_exit() -> None:
    for pipeline in list(_pipelines):
        pipeline.flush_at_exit()


def _forget_after_fork() -> None:
    global _creation
    _creation = threading.Lock()
    for pipeline in list(_pipelines):
        pipeline.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
