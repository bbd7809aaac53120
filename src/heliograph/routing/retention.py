"""Retained events: the last one of a topic that its publisher asked to keep (specification, "Event Retention")."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from heliograph.routing.receivers import ReceiverFilter
from heliograph.wamp.payload import EncodedPayload, Payload

if TYPE_CHECKING:
    from heliograph.routing.session import Session

MAX_RETAINED_TOPICS = 10_000
"""Topics with a retained event; the one that was renewed longest ago makes room."""

MAX_RETAINED_BYTES = 64 * 1024 * 1024
"""Bytes of payload they may have together; topics make room in the same order."""

MAX_RESTRICTED_EVENTS = 16
"""Events a topic keeps that not everybody may receive."""


class RetainedEvent(NamedTuple):
    """An event that is kept.

    Attributes:
        publication: its id.
        details: of the event, without what differs between subscriptions.
        payload: its arguments.
        payload_bytes: how many they take.
        receivers: who may receive it, None for everybody.
        excluded: id of the session whose own event it is and that must not hear it, None when it may.
    """

    publication: int
    details: dict[str, Any]
    payload: Payload
    payload_bytes: int
    receivers: ReceiverFilter | None
    excluded: int | None

    def is_for(self, session: Session) -> bool:
        """Return whether `session` would have received it."""
        return session.id != self.excluded and (self.receivers is None or self.receivers.admits(session))


class Retention:
    """The retained events of one realm, bounded."""

    def __init__(self) -> None:
        self._topics: OrderedDict[str, list[RetainedEvent]] = OrderedDict()
        self._bytes = 0

    def keep(self, topic: str, event: RetainedEvent) -> None:
        """Keep `event` as the newest of its topic; one for everybody replaces all before it."""
        before = self._topics.get(topic, [])
        kept = [event] if event.receivers is None else [*_beside_restricted(before), event]
        self._bytes += _bytes(kept) - _bytes(before)
        self._topics[topic] = kept
        self._topics.move_to_end(topic)
        while len(self._topics) > MAX_RETAINED_TOPICS or (
            self._bytes > MAX_RETAINED_BYTES and len(self._topics) > 1
        ):
            _, forgotten = self._topics.popitem(last=False)
            self._bytes -= _bytes(forgotten)

    def newest(self, topic: str, session: Session) -> RetainedEvent | None:
        """Return the newest event of `topic` that `session` would have received."""
        return next((event for event in reversed(self._topics.get(topic, ())) if event.is_for(session)), None)

    def topics_newest_first(self) -> Iterator[str]:
        """Return the topics that have retained events, the one renewed last first."""
        return reversed(self._topics)


def _beside_restricted(kept: list[RetainedEvent]) -> list[RetainedEvent]:
    """Return what stays when another event comes that not everybody may receive."""
    # The first may be for everybody; it outlives those that are not.
    unrestricted = [event for event in kept[:1] if event.receivers is None]
    restricted = kept[len(unrestricted) :]
    return [*unrestricted, *restricted[1 - MAX_RESTRICTED_EVENTS :]]


def _bytes(events: list[RetainedEvent]) -> int:
    return sum(event.payload_bytes for event in events)


def size_of(payload: Payload) -> int:
    """Return about how many bytes `payload` takes."""
    if isinstance(payload, EncodedPayload):
        return len(payload.args) + len(payload.kwargs)
    return len(repr(payload))
