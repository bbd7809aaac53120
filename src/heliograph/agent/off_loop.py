"""Calls that may block for ever (a dead NFS server, a resolver), made so that nothing else waits for them.

`asyncio.to_thread` does not do: its threads are joined when the process ends, so one dead mount would keep the agent
from stopping; and a thread that hangs is one fewer for everybody else. Here a call that outlives its time simply
keeps its (daemon) thread until it returns, its name is refused meanwhile, and the number of such threads is bounded.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from heliograph.agent.errors import StillRunningError, TooManyRunningError

T = TypeVar("T")


class OffLoop:
    """Blocking calls off the event loop, in as few threads as the ones that hang allow (normally one)."""

    def __init__(self, *, thread_name: str, max_running: int) -> None:
        """*max_running* bounds the calls that run (or hang) at once, and so the threads."""
        self._thread_name = thread_name
        self._max_running = max_running
        self._running: set[str] = set()
        self._idle: list[_Worker] = []
        self._closed = False

    @property
    def running(self) -> frozenset[str]:
        """The names of the calls that have not returned."""
        return frozenset(self._running)

    async def call(self, name: str, function: Callable[[], T], *, timeout_s: float) -> T:
        """Return what *function* returns, or raise what it raises.

        Raises `TimeoutError` when it takes longer than *timeout_s* seconds (it goes on in its thread, and its
        result is dropped), `StillRunningError` while an earlier call called *name* has not returned,
        `TooManyRunningError` when no further thread may be started.
        """
        if name in self._running:
            raise StillRunningError(f"the earlier call still hangs: {name}")
        if len(self._running) >= self._max_running:
            raise TooManyRunningError(f"{self._max_running} calls hang already; not tried: {name}")
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        worker = self._idle.pop() if self._idle else _Worker(self._thread_name)
        self._running.add(name)

        def job() -> None:
            settle = _outcome_of(function, outcome)
            loop.call_soon_threadsafe(self._returned, worker, name, settle)

        worker.submit(job)
        async with asyncio.timeout(timeout_s):
            return await outcome

    def close(self) -> None:
        """Let the idle threads end, and those that hang when their call returns."""
        self._closed = True
        while self._idle:
            self._idle.pop().stop()

    def _returned(self, worker: _Worker, name: str, settle: Callable[[], None]) -> None:
        self._running.discard(name)
        if self._closed or self._idle:
            worker.stop()
        else:
            self._idle.append(worker)
        settle()


class _Worker:
    """One daemon thread, doing one job after another."""

    def __init__(self, thread_name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=thread_name, daemon=True).start()

    def submit(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def stop(self) -> None:
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except RuntimeError:
                # The only thing a job can raise: the loop closed while the call hung, so nobody waits any more.
                return


def _outcome_of(function: Callable[[], T], outcome: asyncio.Future[T]) -> Callable[[], None]:
    """Call *function*; return what settles *outcome* accordingly, to be called in the loop's thread."""
    settle: Callable[[Any], None]
    value: Any
    try:
        value = function()
        settle = outcome.set_result
    except Exception as error:  # noqa: BLE001 - it is raised again where the call is awaited
        value = error
        settle = outcome.set_exception

    def settle_unless_given_up() -> None:
        if not outcome.done():
            settle(value)

    return settle_unless_given_up
