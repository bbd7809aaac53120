"""The events of a topic as an iterator that blocks."""

import asyncio
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from heliograph.client import events as asynchronous
from heliograph.client.blocking.portal import Portal
from heliograph.client.errors import ConnectionLost, RequestTimeout
from heliograph.client.event import Event, Gap, Missed

Item = TypeVar("Item", bound=Event | Gap, covariant=True)


class Events(Generic[Item]):
    """The events of a topic, in the order they were published; made by `session.events`.

        for event in session.events("com.example.news", timeout_s=60):
            ...

    It subscribes when the loop begins and unsubscribes when it is left; `with session.events(…) as events:` does so
    at once and at the end of the block. The loop ends when the session is closed, or when no event has come for
    `timeout_s`.
    """

    def __init__(self, events: asynchronous.Events[Item], portal: Portal, timeout_s: float | None) -> None:
        self._events = events
        self._portal = portal
        self._timeout_s = timeout_s
        self._was_entered = False

    @property
    def dropped(self) -> int:
        """How many events were dropped because they were read too slowly."""
        return self._events.dropped

    @property
    def last_gap(self) -> Gap | None:
        """The last time in which the router did not hold the subscription, `None` when there was none."""
        return self._events.last_gap

    def missed(self) -> Missed:
        """Fetch what was published in the last gap from the router's history; see the asynchronous `missed`."""
        return self._portal.run(self._events.missed)

    def __enter__(self) -> Self:
        self._was_entered = True
        self._portal.run(self._events.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._portal.run(lambda: self._events.__aexit__(None, None, None))
        except ConnectionLost:
            return  # and the subscription with it

    def __iter__(self) -> Iterator[Item]:
        if self._was_entered:
            yield from self._read()
            return
        with self:
            yield from self._read()

    def _read(self) -> Iterator[Item]:
        while True:
            try:
                item = self.next(self._timeout_s)
            except RequestTimeout:
                return
            if item is None:
                return
            yield item

    def next(self, timeout_s: float | None = None) -> Item | None:
        """Wait for the next event and return it, or `None` when the subscription has ended.

        Args:
            timeout_s: seconds to wait; `None` waits as long as the session lives.

        Raises:
            RequestTimeout: none has come in time.
            ApplicationError: the router has taken the subscription away, or refuses it after joining again.
            ConnectionLost: the connection is gone, and the session does not reconnect.
        """

        async def wait() -> Item | None:
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._events.next()
            except TimeoutError:
                text = f"no event of {self._events.topic} within {timeout_s:g} s"
                raise RequestTimeout(text) from None

        return self._portal.run(wait)
