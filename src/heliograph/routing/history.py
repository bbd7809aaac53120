"""Event history: what was published to a topic or pattern, kept for who asks later.

Specification, "Event History". One entry a publication, however many received it; publications addressed to sessions
by id are not kept, for ids mean nothing later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from heliograph.routing.receivers import ReceiverFilter
from heliograph.wamp.errors import INVALID_ARGUMENT, RequestError
from heliograph.wamp.ids import Id
from heliograph.wamp.payload import Payload

if TYPE_CHECKING:
    from heliograph.routing.session import Session


class HistoryEntry(NamedTuple):
    """One publication.

    Attributes:
        time_s: when it was published, seconds since 1970.
        publication: its id.
        topic: where it was published.
        details: of the event, without what differs between subscriptions.
        payload: its arguments.
        receivers: who may receive it, None for everybody.
    """

    time_s: float
    publication: int
    topic: str
    details: dict[str, Any]
    payload: Payload
    receivers: ReceiverFilter | None


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What `wamp.subscription.get_events` may be asked for; all conditions hold together."""

    reverse: bool = False
    limit: int | None = None
    from_time: datetime | None = None
    after_time: datetime | None = None
    before_time: datetime | None = None
    until_time: datetime | None = None
    topic: str | None = None
    from_publication: Id | None = None
    after_publication: Id | None = None
    before_publication: Id | None = None
    until_publication: Id | None = None


def history_query(arguments: Mapping[str, Any]) -> HistoryQuery:
    """Return the query that keyword arguments ask for; raises `RequestError` for one that makes no sense."""
    try:
        query = msgspec.convert(dict(arguments), HistoryQuery)
    except msgspec.ValidationError as error:
        raise RequestError(INVALID_ARGUMENT, f"get_events: {error}") from error
    times = (query.from_time, query.after_time, query.before_time, query.until_time)
    if any(time is not None and time.tzinfo is None for time in times):
        raise RequestError(INVALID_ARGUMENT, "get_events: times need a time zone, as RFC 3339 asks")
    if query.limit is not None and query.limit < 1:
        raise RequestError(INVALID_ARGUMENT, "get_events: limit must be a positive number")
    return query


class History:
    """The newest events of one subscription.

    Args:
        limit: how many are kept.
    """

    __slots__ = ("_entries",)

    def __init__(self, limit: int) -> None:
        self._entries: deque[HistoryEntry] = deque(maxlen=limit)

    def add(self, entry: HistoryEntry) -> None:
        """Keep `entry`; the oldest makes room."""
        self._entries.append(entry)

    def events(self, query: HistoryQuery, reader: Session) -> list[HistoryEntry]:
        """Return what `query` asks for and `reader` may receive, in the order it asks for."""
        chosen = [
            entry
            for entry in self._between_publications(query)
            if _is_within(entry, query) and (entry.receivers is None or entry.receivers.admits(reader))
        ]
        if query.reverse:
            chosen.reverse()
        return chosen[: query.limit]

    def _between_publications(self, query: HistoryQuery) -> Iterator[HistoryEntry]:
        """Return the entries between the publications named; ids have no order, so positions count."""
        entries = list(self._entries)
        position = {entry.publication: index for index, entry in enumerate(entries)}
        first, end = 0, len(entries)
        for publication, offset in ((query.from_publication, 0), (query.after_publication, 1)):
            if publication is not None:
                # One that is not kept (any more) was before all that is.
                first = max(first, position.get(publication, -offset) + offset)
        for publication, offset in ((query.before_publication, 0), (query.until_publication, 1)):
            if publication is not None:
                end = min(end, position.get(publication, -offset) + offset)
        return iter(entries[first:end])


def timestamp(time_s: float) -> str:
    """Return `time_s` as RFC 3339 writes it, in UTC with milliseconds."""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_within(entry: HistoryEntry, query: HistoryQuery) -> bool:
    time = entry.time_s
    return (
        (query.topic is None or entry.topic == query.topic)
        and (query.from_time is None or time >= query.from_time.timestamp())
        and (query.after_time is None or time > query.after_time.timestamp())
        and (query.before_time is None or time < query.before_time.timestamp())
        and (query.until_time is None or time <= query.until_time.timestamp())
    )
