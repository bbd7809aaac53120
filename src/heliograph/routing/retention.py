"""Retained events: the last one of a topic that its publisher asked to keep (specification, "Event Retention")."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from heliograph.routing.receivers import ReceiverFilter
from heliograph.wamp.payload import Payload

if TYPE_CHECKING:
    from heliograph.routing.session import Session

MAX_RETAINED_TOPICS = 10_000
"""Topics with a retained event; the one that was renewed longest ago makes room."""

MAX_RETAINED_BYTES = 64 * 1024 * 1024
"""Bytes they may take together, with all that is kept of them; topics make room in the same order."""

MAX_RESTRICTED_EVENTS = 16
"""Events a topic keeps that not everybody may receive."""

EVENT_BYTES = 1024
"""About what an event that is kept takes beside its payload, details and lists: objects and places in tables."""


class RetainedEvent(Struct, eq=False):
    """An event that is kept.

    Attributes:
        publication: its id.
        details: of the event, without what differs between subscriptions.
        payload: its arguments.
        receivers: who may receive it, None for everybody.
        excluded: id of the session whose own event it is and that must not receive it, None when it may.
        number: the how manieth retained event of the realm it is.
        size_bytes: about how many bytes it takes in memory.
    """

    publication: int
    details: dict[str, Any]
    payload: Payload
    receivers: ReceiverFilter | None
    excluded: int | None
    number: int = 0
    size_bytes: int = 0

    def __post_init__(self) -> None:
        self.size_bytes = kept_bytes(self.details, self.payload, self.receivers)

    def is_for(self, session: Session) -> bool:
        """Return whether `session` would have received it."""
        return session.id != self.excluded and (self.receivers is None or self.receivers.admits(session))


class Retention:
    """The retained events of one realm, bounded."""

    def __init__(self) -> None:
        self._topics: OrderedDict[str, list[RetainedEvent]] = OrderedDict()
        self.size_bytes = 0
        """About how many bytes all of it takes."""
        self.last_number = 0
        """Of the newest event that was ever kept."""

    def keep(self, topic: str, event: RetainedEvent) -> None:
        """Keep `event` as the newest of its topic; one for everybody replaces all before it."""
        event.number = self.last_number = self.last_number + 1
        before = self._topics.get(topic, [])
        kept = [event] if event.receivers is None else [*_beside_restricted(before), event]
        self.size_bytes += _bytes(kept) - _bytes(before)
        self._topics[topic] = kept
        self._topics.move_to_end(topic)
        while len(self._topics) > MAX_RETAINED_TOPICS or (
            self.size_bytes > MAX_RETAINED_BYTES and len(self._topics) > 1
        ):
            _, forgotten = self._topics.popitem(last=False)
            self.size_bytes -= _bytes(forgotten)

    def newest(self, topic: str, session: Session) -> RetainedEvent | None:
        """Return the newest event of `topic` that `session` would have received."""
        return next((event for event in reversed(self._topics.get(topic, ())) if event.is_for(session)), None)

    def topics_newest_first(self) -> Iterator[str]:
        """Return the topics that have retained events now, the one renewed last first."""
        # A copy: whoever goes through them may take several turns.
        return reversed(list(self._topics))


def kept_bytes(details: Mapping[str, Any], payload: Payload, receivers: ReceiverFilter | None) -> int:
    """Return about how many bytes an event takes in memory that is kept with all that belongs to it."""
    texts = sum(sys.getsizeof(value) for value in details.values() if isinstance(value, str))
    lists = 0 if receivers is None else receivers.size_bytes
    return EVENT_BYTES + texts + payload.size_bytes + lists


def _beside_restricted(kept: list[RetainedEvent]) -> list[RetainedEvent]:
    """Return what stays when another event comes that not everybody may receive."""
    # The first may be for everybody; it outlives those that are not.
    unrestricted = [event for event in kept[:1] if event.receivers is None]
    restricted = kept[len(unrestricted) :]
    return [*unrestricted, *restricted[1 - MAX_RESTRICTED_EVENTS :]]


def _bytes(events: list[RetainedEvent]) -> int:
    return sum(event.size_bytes for event in events)
