"""The events of a topic as an asynchronous iterator."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from heliograph.client.errors import ApplicationError, BadPayload, HeliographError, RequestTimeout
from heliograph.client.event import Event, Gap, event_of
from heliograph.client.feed import Feed, logger
from heliograph.wamp.uris import Match

Item = TypeVar("Item", bound=Event | Gap, covariant=True)


class Events(Feed, Generic[Item]):
    """The events of a topic, in the order they were published, over every reconnection; made by `session.events`.

        async for event in session.events("com.example.news"):
            ...

    It subscribes when the loop begins and unsubscribes when it is left; `async with session.events(…) as events:`
    does so at once and at the end of the block. The loop ends when the session is closed. Events wait in a bounded
    queue; when it is full the oldest are dropped and counted in `dropped`.
    """

    def __init__(
        self,
        topic: str,
        match: Match,
        *,
        with_gaps: bool,
        begin: Callable[["Events[Any]"], Awaitable[None]],
        **feed: Any,
    ) -> None:
        super().__init__(topic, match, **feed)
        self._with_gaps = with_gaps
        self._begin = begin
        self._was_entered = False
        self._error: HeliographError | None = None

    async def __aenter__(self) -> Self:
        if self._was_entered:
            raise RuntimeError("this subscription was made before; ask session.events() for another")
        self._was_entered = True
        await self._begin(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        try:
            await self._withdraw(self)
        except RequestTimeout as late:
            logger.warning("%s", late)  # no event comes any more all the same

    async def __aiter__(self) -> AsyncGenerator[Item, None]:
        if self._was_entered:
            while (item := await self.next()) is not None:
                yield item
            return
        async with self:
            while (item := await self.next()) is not None:
                yield item

    async def next(self) -> Item | None:
        """Wait for the next event and return it, or `None` when the subscription has ended.

        Raises:
            ApplicationError: the router has taken the subscription away, or refuses it after joining again.
            ConnectionLost: the connection is gone, and the session does not reconnect.
        """
        while True:
            while not self._queue:
                self._is_behind = False
                if not self._is_active:
                    if self._error is not None:
                        raise self._error
                    return None
                self._arrived.clear()
                await self._arrived.wait()
            item = self._queue.popleft()
            if isinstance(item, Gap):
                if self._with_gaps:
                    return cast(Item, item)
                continue
            message, topic = item
            try:
                return cast(Item, event_of(message, topic))
            except BadPayload as error:
                self.failed += 1
                logger.warning("an event on %s is left out: %s", topic, error)

    # What the protocol calls

    def revoked(self, error: ApplicationError) -> None:
        """End with `error`, after the events that have come."""
        self._error = error
        super().revoked(error)

    def not_restored(self, error: ApplicationError) -> None:
        """End with `error`: who reads would wait for ever."""
        self._error = error
        super().closed(error)

    def closed(self, error: HeliographError | None) -> None:
        """End with `error`, if there is one, after the events that have come."""
        self._error = error
        super().closed(error)
