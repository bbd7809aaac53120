"""Subscriptions that call a handler."""

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from heliograph.client.errors import BadPayload
from heliograph.client.event import Event, Gap, event_of
from heliograph.client.feed import Feed
from heliograph.wamp import messages
from heliograph.wamp.uris import Match

logger = logging.getLogger("heliograph.client")

Handler = Callable[[Event], Awaitable[object] | object]
"""Takes an event; may be a coroutine function."""

GapHandler = Callable[[Gap], Awaitable[object] | object]
"""Takes a gap, between the events it stands between; may be a coroutine function."""


class Subscription(Feed):
    """A handler's subscription. The handler gets its events one after the other, in the order they were published.

    Events wait in a queue of `max_queued_events`; when it is full the oldest are dropped and counted, for a slow
    handler must hold up neither the other subscriptions nor the memory.
    """

    def __init__(
        self,
        handler: Handler,
        topic: str,
        match: Match,
        on_gap: GapHandler | None = None,
        **feed: Any,
    ) -> None:
        super().__init__(topic, match, **feed)
        self._handler = handler
        self._on_gap = on_gap

    async def run(self) -> None:
        """Hand events to the handler until the subscription ends."""
        while self._is_active or self._queue:
            while self._queue:
                await self._handle(self._queue.popleft())
            self._is_behind = False
            self._arrived.clear()
            if self._is_active:
                await self._arrived.wait()

    async def _handle(self, item: tuple[messages.Event, str] | Gap) -> None:
        if isinstance(item, Gap):
            if self._on_gap is not None:
                await self._call(self._on_gap, item)
            return
        message, topic = item
        try:
            event = event_of(message, topic)
        except BadPayload as error:
            self.failed += 1
            logger.warning("an event on %s is left out: %s", topic, error)
            return
        await self._call(self._handler, event)

    async def _call(self, handler: Callable[[Any], Any], item: Event | Gap) -> None:
        try:
            result = handler(item)
            if inspect.isawaitable(result):
                await result
        except Exception:
            self.failed += 1
            logger.exception("the handler of %s failed at %r", self.topic, _shown(item))


def _shown(item: Event | Gap) -> str:
    # Not the payload: it may be anything, and secret.
    return f"publication {item.publication}" if isinstance(item, Event) else "a gap"
