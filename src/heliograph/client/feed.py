"""What both kinds of subscription have in common: a bounded queue of events, in order, over every reconnection."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from heliograph.client.errors import ApplicationError, HeliographError
from heliograph.client.event import Gap, Missed
from heliograph.wamp import messages
from heliograph.wamp.uris import Match

logger = logging.getLogger("heliograph.client")

KNOWN_TOPICS_LIMIT = 1000
"""Topics of a pattern of which the last publication is known, so that it is not told again as a retained event."""

FIRST_AFTER_GAP = 64
"""Publications after a gap that are known, so that the end of the gap is found in the router's history."""


class Feed:
    """A subscription's queue. When it is full the oldest events are dropped and counted.

    Attributes:
        topic: what was subscribed to.
        match: how it is compared.
        wants_retained: whether retained events were asked for.
        dropped: how many events were dropped because the application was too slow.
        failed: how many events could not be read or made the handler raise.
        last_publication: id of the last publication that came, `None` before the first.
        last_gap: the last time in which the router did not hold the subscription, `None` when there was none.
    """

    def __init__(
        self,
        topic: str,
        match: Match,
        *,
        wants_retained: bool,
        max_queued: int,
        monotonic: Callable[[], float],
        withdraw: Callable[[Any], Awaitable[None]],
        fetch: Callable[["Feed"], Awaitable[Missed]],
    ) -> None:
        self.topic = topic
        self.match: Match = match
        self.wants_retained = wants_retained
        self.dropped = 0
        self.failed = 0
        self.last_publication: int | None = None
        self.last_gap: Gap | None = None
        self.first_after_gap: list[int] = []
        self._max_queued = max_queued
        self._monotonic = monotonic
        self._withdraw = withdraw
        self._fetch = fetch
        self._queue: deque[tuple[messages.Event, str] | Gap] = deque()
        self._is_active = True
        self._is_behind = False
        self._arrived = asyncio.Event()
        self._away_since: float | None = None
        self._known: dict[str, int] = {}

    @property
    def is_active(self) -> bool:
        """Whether it has not been unsubscribed, by this session or the router."""
        return self._is_active

    async def unsubscribe(self) -> None:
        """End the subscription; events that still wait are dropped. Does nothing the second time.

        Raises:
            RequestTimeout: the router did not confirm in time; no event comes any more all the same.
        """
        if self._is_active:
            self.stop()
            await self._withdraw(self)

    async def missed(self) -> Missed:
        """Fetch what was published in the last gap from the router's history (`wamp.subscription.get_events`).

        What has come since the gap is not among it. The topic needs a history in the router's configuration.

        Raises:
            ApplicationError: this session may not call the procedure, or the router has none.
            ConnectionLost: there is no session, or it ended before the answer came.
        """
        return await self._fetch(self)

    def stop(self) -> None:
        """Take no more events and forget those that wait."""
        self._is_active = False
        self._queue.clear()
        self._arrived.set()

    # What the protocol calls

    def put(self, message: messages.Event, topic: str) -> None:
        """Queue an event."""
        if not self._is_active:
            return
        publication = message.publication
        if self.wants_retained and self._knows(message, topic):
            return
        self.last_publication = publication
        if self.last_gap is not None and len(self.first_after_gap) < FIRST_AFTER_GAP:
            self.first_after_gap.append(publication)
        if len(self._queue) >= self._max_queued:
            self._drop_oldest()
        self._queue.append((message, topic))
        self._arrived.set()

    def lost(self) -> None:
        """Take note that the connection is gone."""
        if self._away_since is None:
            self._away_since = self._monotonic()

    def held(self) -> None:
        """Take note that the router holds the subscription; after a loss, a gap stands between the events."""
        if self._away_since is None or not self._is_active:
            return
        away_s = self._monotonic() - self._away_since
        self._away_since = None
        self.last_gap = Gap(self.topic, self.match, away_s, self.last_publication)
        self.first_after_gap = []
        self._queue.append(self.last_gap)
        self._arrived.set()

    def revoked(self, error: ApplicationError) -> None:
        """End, because the router has taken the subscription away."""
        logger.warning("a subscription has ended: %s", error)
        self._is_active = False
        self._arrived.set()

    def not_restored(self, error: ApplicationError) -> None:
        """Go on waiting: the next connection is asked again."""

    def closed(self, error: HeliographError | None) -> None:
        """End, because the session has ended for good; `error` tells why where that was not asked for."""
        self._is_active = False
        self._arrived.set()

    def _knows(self, message: messages.Event, topic: str) -> bool:
        """Return whether a retained event is the last one that came of its topic; remember what comes."""
        name = message.details.topic or topic
        if message.details.retained and self._known.get(name) == message.publication:
            return True
        self._known[name] = message.publication
        if len(self._known) > KNOWN_TOPICS_LIMIT:
            del self._known[next(iter(self._known))]
        return False

    def _drop_oldest(self) -> None:
        if not isinstance(self._queue.popleft(), Gap):
            self.dropped += 1
        if not self._is_behind:
            self._is_behind = True
            logger.warning("the reader of %s is too slow: the oldest events are dropped", self.topic)
