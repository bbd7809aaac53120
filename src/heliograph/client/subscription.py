"""Events and the subscriptions they come by."""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from heliograph.client.errors import BadPayload
from heliograph.client.payload import read_payload
from heliograph.wamp import messages
from heliograph.wamp.uris import Match

logger = logging.getLogger("heliograph.client")


class Event:
    """One event.

    Attributes:
        topic: the topic it was published to; with a pattern, not the pattern.
        publication: the publication's id.
        args: positional payload.
        kwargs: keyword payload.
    """

    __slots__ = ("args", "kwargs", "publication", "topic")

    def __init__(self, topic: str, publication: int, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.topic = topic
        self.publication = publication
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        return f"Event({self.topic!r}, {self.publication}, args={self.args!r}, kwargs={self.kwargs!r})"


Handler = Callable[[Event], Awaitable[object] | object]
"""Takes an event; may be a coroutine function."""


class Subscription:
    """A handler's subscription. The handler gets its events one after the other, in the order they were published.

    A handler that is slower than its events holds nobody up: `max_queued` of them wait, then the oldest are dropped.

    Attributes:
        topic: the topic or pattern.
        match: how it is compared.
        dropped: how many events were dropped because the handler was too slow.
        failed: how many events could not be read or made the handler raise.
    """

    def __init__(
        self,
        handler: Handler,
        topic: str,
        match: Match,
        *,
        max_queued: int,
        withdraw: Callable[["Subscription"], Awaitable[None]],
    ) -> None:
        self.topic = topic
        self.match: Match = match
        self.dropped = 0
        self.failed = 0
        self._handler = handler
        self._max_queued = max_queued
        self._withdraw = withdraw
        self._queue: deque[tuple[messages.Event, str]] = deque()
        self._is_active = True
        self._is_behind = False
        self._arrived = asyncio.Event()

    @property
    def is_active(self) -> bool:
        """Whether it has not been unsubscribed."""
        return self._is_active

    async def unsubscribe(self) -> None:
        """End the subscription; events that still wait are not handled. Does nothing the second time.

        Raises:
            RequestTimeout: the router did not confirm in time; the handler is not called any more all the same.
        """
        if self._is_active:
            self.stop()
            await self._withdraw(self)

    def stop(self) -> None:
        """Let the handler finish the event it is at and no other."""
        self._is_active = False
        self._queue.clear()
        self._arrived.set()

    def put(self, message: messages.Event, topic: str) -> None:
        """Queue an event for the handler."""
        if not self._is_active:
            return
        if len(self._queue) >= self._max_queued:
            self._queue.popleft()
            self.dropped += 1
            if not self._is_behind:
                self._is_behind = True
                logger.warning("the handler of %s is too slow: the oldest events are dropped", self.topic)
        self._queue.append((message, topic))
        self._arrived.set()

    async def run(self) -> None:
        """Hand events to the handler until the subscription ends."""
        while self._is_active:
            while self._queue:
                await self._handle(*self._queue.popleft())
            self._is_behind = False
            self._arrived.clear()
            if self._is_active:
                await self._arrived.wait()

    async def _handle(self, message: messages.Event, topic: str) -> None:
        try:
            args, kwargs = read_payload(message.payload)
        except BadPayload as error:
            self.failed += 1
            logger.warning("an event on %s is left out: %s", topic, error)
            return
        event = Event(message.details.topic or topic, message.publication, args, kwargs)
        try:
            result = self._handler(event)
            if inspect.isawaitable(result):
                await result
        except Exception:
            self.failed += 1
            logger.exception("the handler of %s failed at publication %d", self.topic, event.publication)
