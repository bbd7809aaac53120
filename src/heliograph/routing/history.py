"""Event history: what was published to a topic or pattern, kept for who asks later.

Specification, "Event History". One entry a publication, however many received it; publications addressed to sessions
by id are not kept, for ids mean nothing later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, NamedTuple

import msgspec

from heliograph.routing.receivers import ReceiverFilter
from heliograph.wamp.errors import INVALID_ARGUMENT, RequestError
from heliograph.wamp.ids import Id
from heliograph.wamp.payload import Payload


class HistoryEntry(NamedTuple):
    """One publication.

    Attributes:
        time: when it was published, to the millisecond: readers are told no more, and ask with what they were told.
        publication: its id.
        topic: where it was published.
        details: of the event, without what differs between subscriptions.
        payload: its arguments.
        receivers: who may receive it, None for everybody.
    """

    time: datetime
    publication: int
    topic: str
    details: dict[str, Any]
    payload: Payload
    receivers: ReceiverFilter | None


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `wamp.subscription.get_events` may be asked for; all conditions hold together."""

    reverse: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
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

    def events(self, query: HistoryQuery, may_read: Callable[[HistoryEntry], bool]) -> list[HistoryEntry]:
        """Return what `query` asks for and the reader may read, in the order it asks for."""
        asked_for = self._between_publications(query)
        if query.reverse:
            asked_for.reverse()
        chosen = (entry for entry in asked_for if _is_within(entry, query) and may_read(entry))
        return list(islice(chosen, min(query.limit or len(asked_for), len(asked_for))))

    def _between_publications(self, query: HistoryQuery) -> list[HistoryEntry]:
        """Return the entries between the publications named; ids have no order, so positions count.

        A publication that is not kept counts as older than all that are: most likely it made room. So whoever pages
        forward goes on with the oldest entry there is, and whoever pages backward is at the end.
        """
        entries = list(self._entries)
        position = {entry.publication: index for index, entry in enumerate(entries)}
        first, end = 0, len(entries)
        for publication, offset in ((query.from_publication, 0), (query.after_publication, 1)):
            if publication is not None:
                first = max(first, position.get(publication, -offset) + offset)
        for publication, offset in ((query.before_publication, 0), (query.until_publication, 1)):
            if publication is not None:
                end = min(end, position.get(publication, -offset) + offset)
        return entries[first:end]


def moment(time_s: float) -> datetime:
    """Return `time_s`, seconds since 1970, to the millisecond."""
    exact = datetime.fromtimestamp(time_s, UTC)
    return exact.replace(microsecond=exact.microsecond // 1000 * 1000)


def rfc3339(time: datetime) -> str:
    """Return `time`, which is in UTC, as RFC 3339 writes it, with milliseconds."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def timestamp(time_s: float) -> str:
    """Return `time_s`, seconds since 1970, as RFC 3339 writes it, in UTC with milliseconds."""
    return rfc3339(moment(time_s))


def _is_within(entry: HistoryEntry, query: HistoryQuery) -> bool:
    return (
        (query.topic is None or entry.topic == query.topic)
        and (query.from_time is None or entry.time >= query.from_time)
        and (query.after_time is None or entry.time > query.after_time)
        and (query.before_time is None or entry.time < query.before_time)
        and (query.until_time is None or entry.time <= query.until_time)
    )
