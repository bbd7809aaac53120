"""Events of a topic, recorded for synchronous tests."""

import asyncio
import queue
import threading
from types import TracebackType
from typing import Self

from heliograph.client import ConnectionLost, Event, connect
from heliograph.wamp.uris import Match

START_TIMEOUT_S = 15.0


class Recording:
    """The events of a topic from the beginning of a block to its end; made by `RunningRouter.record`.

    A thread of its own receives them, so the test may block.

    Args:
        url: of the router.
        realm: which to join.
        topic: a topic, or a pattern when `match` is not `exact`.
        match: `exact`, `prefix` or `wildcard`.
    """

    def __init__(self, url: str, realm: str, topic: str, match: Match = "exact") -> None:
        self._url = url
        self._realm = realm
        self._topic = topic
        self._match: Match = match
        # At its end perhaps the loss of the connection.
        self._events: queue.SimpleQueue[Event | Exception] = queue.SimpleQueue()
        self._subscribed: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="heliograph-recording", daemon=True)

    def __enter__(self) -> Self:
        """Begin to record; whatever is published from now on is in it.

        Raises:
            HeliographError: the router does not let it in, or refuses the subscription.
        """
        self._thread.start()
        failure = self._subscribed.get(timeout=START_TIMEOUT_S)
        if failure is not None:
            self._thread.join(START_TIMEOUT_S)
            raise failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the recording; what came so far can still be taken."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(START_TIMEOUT_S)

    def next(self, timeout_s: float = 5.0) -> Event:
        """Take the next event.

        Args:
            timeout_s: seconds to wait for it.

        Raises:
            TimeoutError: none came.
            ConnectionLost: the router has ended the session, so none can come.
        """
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError(f"no event of {self._topic!r} within {timeout_s:g} s") from None
        if isinstance(event, Exception):
            self._events.put(event)  # for whoever asks again
            raise event
        return event

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._record())

    async def _record(self) -> None:
        try:
            async with connect(self._url, realm=self._realm, reconnect=False) as session:
                session.on_leave(self._on_leave)
                await session.subscribe(self._events.put, self._topic, self._match)
                self._subscribed.put(None)
                await self._over.wait()
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits for it
            self._subscribed.put(error)

    def _on_leave(self, _error: Exception | None) -> None:
        if not self._over.is_set():
            self._events.put(ConnectionLost("the session of the recording has ended"))
