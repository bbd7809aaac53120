"""The way to one router: publisher, circuit breaker, counts, and one log line a change of state."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from heliograph.client.errors import HeliographError, PublicationRefused, PublishError
from heliograph.django.breaker import CircuitBreaker
from heliograph.django.events import Event

logger = logging.getLogger("heliograph.django")

_FIRST_SERVER_ERROR = 500


class Publishes(Protocol):
    """What is needed of `heliograph.Publisher`."""

    def publish_event(
        self, topic: str, args: list[object], kwargs: dict[str, object], *, options: dict[str, object] | None
    ) -> int:
        """Send one event; return its publication id."""

    def publish_many(self, events: Iterable[Mapping[str, Any]]) -> list[int | PublishError]:
        """Send events; return for each its publication id or what went wrong."""

    def close(self) -> None:
        """Close the connections."""


class RouterUnavailable(PublishError):  # noqa: N818 - says what is the matter
    """The router failed a moment ago, so the event was dropped without an attempt."""


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the events of one process.

    Args:
        delivered: taken by the router.
        refused: the router answered, and refused them.
        failed: an attempt was made and failed, or had no answer in time.
        dropped: given up without an attempt: the router had just failed, or too many were waiting.
        pending: waiting or in delivery.
    """

    delivered: int
    refused: int
    failed: int
    dropped: int
    pending: int = 0


def is_refusal(error: PublishError) -> bool:
    """Return whether the router answered, and finds fault with the request: no reason to think it is down."""
    has_status = error.status is not None and error.status < _FIRST_SERVER_ERROR
    return isinstance(error, PublicationRefused) or has_status


class RouterLink:
    """Sends events to one router, at most one attempt each; thread-safe.

    Args:
        location: URL of the publisher service, for log lines.
        open_publisher: makes the publisher, at the first event.
        breaker: decides whether an attempt makes sense.
    """

    def __init__(
        self, location: str, open_publisher: Callable[[], Publishes], breaker: CircuitBreaker
    ) -> None:
        self._location = location
        self._open_publisher = open_publisher
        self._breaker = breaker
        self._lock = threading.Lock()
        self._publisher: Publishes | None = None
        self._counts = dict.fromkeys(("delivered", "refused", "failed", "dropped"), 0)
        self._dropped_before_opening = 0

    def statistics(self, *, pending: int = 0) -> Statistics:
        """Return what became of the events so far."""
        with self._lock:
            return Statistics(**self._counts, pending=pending)

    def count_dropped(self, number: int = 1) -> None:
        """Note that events were given up without an attempt."""
        self._count("dropped", number)

    def send(self, event: Event) -> None:
        """Send one event.

        Raises:
            RouterUnavailable: the router failed less than a cool-down ago; nothing was tried.
            PublicationRefused: the router refused this event.
            PublishError: the router could not be reached, or did not answer in time.
            HeliographError: this event cannot be sent.
        """
        if not self._breaker.allows():
            self._count("dropped")
            raise RouterUnavailable(
                f"the router at {self._location} failed a moment ago; the event was dropped"
            )
        try:
            self._open().publish_event(event.topic, event.args, event.kwargs, options=event.options or None)
        except PublishError as error:
            self._note(error)
            raise
        except HeliographError:  # the event's own fault
            self._count("failed")
            raise
        self._note(None)

    def send_many(self, events: Sequence[Event]) -> list[HeliographError | None]:
        """Send events in their order; return for each None, or what `send` would have raised."""
        if len(events) == 1:
            try:
                self.send(events[0])
            except HeliographError as error:
                return [error]
            return [None]
        if not self._breaker.allows():
            self._count("dropped", len(events))
            dropped = RouterUnavailable(
                f"the router at {self._location} failed a moment ago; the event was dropped"
            )
            return [dropped] * len(events)
        outcomes = self._open().publish_many(
            {"topic": event.topic, "args": event.args, "kwargs": event.kwargs, "options": event.options}
            for event in events
        )
        errors = [outcome if isinstance(outcome, PublishError) else None for outcome in outcomes]
        for outcome in errors:
            self._note(outcome)
        return list(errors)

    def _note(self, error: PublishError | None) -> None:
        """Count what became of an event that was tried."""
        if error is None:
            self._count("delivered")
        elif is_refusal(error):
            self._count("refused")
        else:
            self._count("failed")
            self._did_not_answer(error)
            return
        self._answered()

    def close(self) -> None:
        """Close the connections; the next event opens them again."""
        with self._lock:
            publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()

    def _open(self) -> Publishes:
        with self._lock:
            if self._publisher is None:
                self._publisher = self._open_publisher()
            return self._publisher

    def _count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self._counts[what] += number

    def _answered(self) -> None:
        if self._breaker.succeeded():
            lost = self._lost() - self._dropped_before_opening
            logger.warning("the router at %s answers again; %d events were lost", self._location, lost)

    def _did_not_answer(self, error: PublishError) -> None:
        if self._breaker.failed():
            # Whatever was dropped before belongs to an earlier failure; this event is the first lost in this one.
            self._dropped_before_opening = self._lost() - 1
            logger.warning(
                "publishing to %s failed: %s; events are dropped until it answers", self._location, error
            )

    def _lost(self) -> int:
        with self._lock:
            return self._counts["failed"] + self._counts["dropped"]
