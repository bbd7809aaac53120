"""`publisher`: one POST becomes one event, or many."""

import asyncio
from collections.abc import Sequence

import msgspec

from heliograph.auth.bearer import BearerToken
from heliograph.http.bridge import BridgeCounters, BridgePath
from heliograph.http.lane import Work
from heliograph.http.many import Item, ManyPublications, ManyReader, Publication
from heliograph.http.options import PublisherOptions
from heliograph.routing.router import Router
from heliograph.transports.hosts import KnownHosts
from heliograph.transports.inprocess import InProcessSession
from heliograph.transports.turn import Turn

_WHITE_SPACE = b" \t\r\n"


class Publishing:
    """Publishes what a body says.

    Args:
        session: on whose behalf.
        events_limit: events a body may hold.
        turn: the current turn of the event loop.
        counters: where bodies of many events are counted.
    """

    def __init__(
        self, session: InProcessSession, *, events_limit: int, turn: Turn, counters: BridgeCounters
    ) -> None:
        self._publish = session.publish
        self._decode = msgspec.json.Decoder(Publication).decode
        self._many = ManyReader(events_limit)
        self._turn = turn
        self._counters = counters

    def json(self, body: bytes) -> bytes | Work:
        """Publish an event and return `{"id": <publication>}`, or the events of an array and return a list of those."""
        if not body.startswith(b"{") and body.lstrip(_WHITE_SPACE).startswith(b"["):
            return self._publish_many(self._many.array(body))
        said = self._decode(body)
        publication = self._publish(said.topic, said.payload(), said.options)
        if isinstance(publication, int):
            return b'{"id":%d}' % publication
        return Undecided(publication)

    def lines(self, body: bytes) -> Work:
        """Publish one event a line and return a list of `{"id": <publication>}`."""
        return self._publish_many(self._many.lines(body))

    def publish(self, publication: Publication) -> int | asyncio.Future[int]:
        """Publish one event; return its id or, where a decision has to be waited for, its future."""
        return self._publish(publication.topic, publication.payload(), publication.options)

    def _publish_many(self, items: Sequence[Item]) -> Work:
        self._counters.batches += 1
        return ManyPublications(items, self.publish, self._turn, self._counters)


class Undecided:
    """A publication whose permission has to be waited for.

    Args:
        publication: its id, when it is published.
    """

    def __init__(self, publication: asyncio.Future[int]) -> None:
        self._publication = publication

    def step(self) -> bytes | asyncio.Future[int]:
        """Return `{"id": <publication>}`, or what to wait for."""
        return b'{"id":%d}' % self._publication.result() if self._publication.done() else self._publication

    def abandon(self) -> None:
        """Wait no longer; what is allowed later is published all the same, and nobody hears of its id."""
        self._publication.cancel()


def publisher_path(
    options: PublisherOptions, router: Router, turn: Turn, hosts: KnownHosts, token: BearerToken | None
) -> BridgePath:
    """Return the service of a `publisher` path; raises `RequestError` for an unknown realm or role."""
    session = InProcessSession(router, realm=options.realm, role=options.role)
    limits, counters = options.options, BridgeCounters()
    publishing = Publishing(session, events_limit=limits.events_limit, turn=turn, counters=counters)
    media_types = {"application/json": publishing.json, "application/x-ndjson": publishing.lines}
    return BridgePath(media_types, limits, counters, hosts, token)
