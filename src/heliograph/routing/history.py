"""Event history: what was published to a topic or pattern, kept for who asks later.

Specification, "Event History". One entry a publication, however many received it; publications addressed to sessions
by id are not kept, for ids mean nothing later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec

from heliograph.routing.receivers import ReceiverFilter
from heliograph.routing.work import LOOKED_AT_A_UNIT, Steps, Work
from heliograph.wamp.errors import INVALID_ARGUMENT, RequestError, shortened
from heliograph.wamp.ids import Id
from heliograph.wamp.payload import Payload

ENTRIES_A_STEP = 512
"""Entries that are looked at in one step."""

UNITS_AN_ENTRY = 2
"""Units of work that it takes to tell whether an entry is asked for, and may be read."""


class HistoryEntry(NamedTuple):
    """One publication.

    Attributes:
        time: when it was published, to the millisecond: readers are told no more, and ask with what they were told.
        publication: its id.
        topic: where it was published.
        details: of the event, without what differs between subscriptions.
        payload: its arguments.
        receivers: who may receive it, None for everybody.
        size_bytes: about how many bytes it takes in memory.
    """

    time: datetime
    publication: int
    topic: str
    details: dict[str, Any]
    payload: Payload
    receivers: ReceiverFilter | None
    size_bytes: int


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
        raise RequestError(INVALID_ARGUMENT, shortened(f"get_events: {error}")) from error
    times = (query.from_time, query.after_time, query.before_time, query.until_time)
    if any(time is not None and time.tzinfo is None for time in times):
        raise RequestError(INVALID_ARGUMENT, "get_events: times need a time zone, as RFC 3339 asks")
    return query


class History:
    """The newest events of one subscription.

    Args:
        limit: how many are kept.
        limit_bytes: how many bytes they may take together; the newest is kept however large it is.
    """

    __slots__ = ("_entries", "_limit", "_limit_bytes", "size_bytes")

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._entries: deque[HistoryEntry] = deque()
        self._limit = limit
        self._limit_bytes = limit_bytes
        self.size_bytes = 0

    def add(self, entry: HistoryEntry) -> None:
        """Keep `entry`; the oldest make room."""
        entries = self._entries
        entries.append(entry)
        self.size_bytes += entry.size_bytes
        while len(entries) > self._limit or (self.size_bytes > self._limit_bytes and len(entries) > 1):
            self.size_bytes -= entries.popleft().size_bytes

    def events(
        self, query: HistoryQuery, may_read: Callable[[HistoryEntry], bool], work: Work
    ) -> Steps[list[HistoryEntry]]:
        """Return what `query` asks for and the reader may read, in the order it asks for, when all was looked at."""
        # A copy: it may take several turns.
        entries = list(self._entries)
        first, end = yield from _between_publications(entries, query, work)
        positions: Iterable[int] = range(first, end)
        if query.reverse:
            positions = reversed(range(first, end))
        limit = query.limit or len(entries)
        found: list[HistoryEntry] = []
        for count, position in enumerate(positions, 1):
            entry = entries[position]
            if _is_within(entry, query) and may_read(entry):
                found.append(entry)
                if len(found) >= limit:
                    break
            if not count % ENTRIES_A_STEP:
                work.spend(UNITS_AN_ENTRY * ENTRIES_A_STEP)
                yield None
        return found


def _between_publications(
    entries: Sequence[HistoryEntry], query: HistoryQuery, work: Work
) -> Steps[tuple[int, int]]:
    """Return where the entries between the publications named begin and end; ids have no order, so positions count.

    A publication that is not kept counts as older than all that are: most likely it made room. So whoever pages
    forward goes on with the oldest entry there is, and whoever pages backward is at the end.
    """
    named = {
        query.from_publication,
        query.after_publication,
        query.before_publication,
        query.until_publication,
    }
    position: dict[int, int] = {}
    if named != {None}:
        for index, entry in enumerate(entries):
            if entry.publication in named:
                position[entry.publication] = index
            if not (index + 1) % ENTRIES_A_STEP:
                work.spend(ENTRIES_A_STEP // LOOKED_AT_A_UNIT)
                yield None
    first, end = 0, len(entries)
    for publication, offset in ((query.from_publication, 0), (query.after_publication, 1)):
        if publication is not None:
            first = max(first, position.get(publication, -offset) + offset)
    for publication, offset in ((query.before_publication, 0), (query.until_publication, 1)):
        if publication is not None:
            end = min(end, position.get(publication, -offset) + offset)
    return first, end


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
