"""Retained events: the last one of a topic that its publisher asked to keep (specification, "Event Retention")."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from heliograph.routing.receivers import ReceiverFilter
from heliograph.wamp.payload import Payload

if TYPE_CHECKING:
    from heliograph.routing.session import Session

MAX_RETAINED_TOPICS = 10_000
"""Topics with a retained event; the one that was renewed longest ago makes room."""

MAX_RESTRICTED_EVENTS = 16
"""Events a topic keeps that not everybody may receive."""


class RetainedEvent(NamedTuple):
    """An event that is kept.

    Attributes:
        publication: its id.
        details: of the event, without what differs between subscriptions.
        payload: its arguments.
        receivers: who may receive it, None for everybody.
        excluded: id of the session whose own event it is and that must not hear it, None when it may.
    """

    publication: int
    details: dict[str, Any]
    payload: Payload
    receivers: ReceiverFilter | None
    excluded: int | None

    def is_for(self, session: Session) -> bool:
        """Return whether `session` would have received it."""
        return session.id != self.excluded and (self.receivers is None or self.receivers.admits(session))


class Retention:
    """The retained events of one realm, bounded."""

    def __init__(self) -> None:
        self._topics: OrderedDict[str, list[RetainedEvent]] = OrderedDict()

    def keep(self, topic: str, event: RetainedEvent) -> None:
        """Keep `event` as the newest of its topic; one for everybody replaces all before it."""
        restricted = [] if event.receivers is None else self._topics.get(topic, [])
        # The first of a topic's events may be for everybody; it outlives restricted ones.
        unrestricted = [kept for kept in restricted if kept.receivers is None]
        others = [kept for kept in restricted if kept.receivers is not None]
        self._topics[topic] = [*unrestricted, *others[1 - MAX_RESTRICTED_EVENTS :], event]
        self._topics.move_to_end(topic)
        if len(self._topics) > MAX_RETAINED_TOPICS:
            self._topics.popitem(last=False)

    def newest(self, topic: str, session: Session) -> RetainedEvent | None:
        """Return the newest event of `topic` that `session` would have received."""
        return next((event for event in reversed(self._topics.get(topic, ())) if event.is_for(session)), None)

    def topics(self) -> Iterator[str]:
        """Return the topics that have retained events."""
        return iter(self._topics)
