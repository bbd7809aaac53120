"""A thread with an event loop in it, and how other threads have it do something."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any, TypeVar

from heliograph.client.errors import ConnectionLost

T = TypeVar("T")

_INTERRUPTIBLE_S = 0.5
"""On Windows a thread that waits without an end does not hear Ctrl-C."""


class Portal:
    """Runs coroutines in a thread of its own until it is closed; any thread may use it, but none of its own loop.

    Args:
        handler_threads: threads in which handlers and procedures run.
    """

    def __init__(self, handler_threads: int) -> None:
        self._process = os.getpid()
        self._executor = ThreadPoolExecutor(handler_threads, thread_name_prefix="heliograph-handler")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ended: Future[None] = Future()
        self._thread: threading.Thread | None = None

    def start(self, main: Callable[[Callable[[], Awaitable[Any]]], Coroutine[Any, Any, None]]) -> None:
        """Start the thread.

        Args:
            main: is run in it, and given what it shall await until it is to end.
        """
        has_begun: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(main, has_begun), name="heliograph-client", daemon=True
        )
        self._thread.start()
        has_begun.result()

    def _run(self, main: Callable[..., Coroutine[Any, Any, None]], has_begun: "Future[None]") -> None:
        async def work() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            has_begun.set_result(None)
            await main(self._stop.wait)

        try:
            with asyncio.Runner() as runner:
                runner.run(work())
        except BaseException as error:  # noqa: BLE001 - raised where the session is closed
            self._ended.set_exception(error)
            if not has_begun.done():
                has_begun.set_exception(error)
        else:
            self._ended.set_result(None)

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run what `work` makes in the thread and return its result; whoever is interrupted meanwhile cancels it.

        Raises:
            ConnectionLost: the session is closed.
            RuntimeError: this is the thread of the loop, or another process than the one that has connected.
        """
        loop = self._usable_loop()
        coroutine = work()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:  # the loop has been closed meanwhile
            coroutine.close()
            raise ConnectionLost("the session is closed") from None
        try:
            self._wait(future)
            return future.result(timeout=0)
        except CancelledError:
            raise ConnectionLost("the session was closed") from None
        except TimeoutError:
            if future.done():
                raise  # that of the work itself
            coroutine.close()
            raise ConnectionLost("the session was closed") from None
        except BaseException:
            future.cancel()
            raise

    def _wait(self, future: "Future[Any]") -> None:
        """Wait until the future is done or the thread has ended."""
        while not wait((future, self._ended), timeout=_INTERRUPTIBLE_S, return_when=FIRST_COMPLETED).done:
            continue

    def _usable_loop(self) -> asyncio.AbstractEventLoop:
        if os.getpid() != self._process:
            # Only the forking thread lives on in a child: nobody there runs the loop.
            raise RuntimeError(f"this session belongs to process {self._process}: connect in this one, too")
        if threading.current_thread() is self._thread:
            raise RuntimeError("this would wait for itself: a blocking session is not for its own event loop")
        if self._loop is None or self._ended.done():
            raise ConnectionLost("the session is closed")
        return self._loop

    def wait_for(self, future: "Future[T]") -> T:
        """Wait for a future that the thread resolves, or raise what has ended the thread."""
        self._wait(future)
        if not future.done():
            self._ended.result(timeout=0)
            raise ConnectionLost("the session was closed")
        return future.result()

    def in_thread(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        """Return what awaits `function(*args)`, run in a thread for handlers."""
        return asyncio.get_running_loop().run_in_executor(self._executor, function, *args)

    def close(self) -> None:
        """Let `main` end and wait for it; raises what it raised. In a forked child it does nothing."""
        if os.getpid() != self._process:
            return
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not self._ended.done():
            with suppress(RuntimeError):  # it is ending by itself
                loop.call_soon_threadsafe(stop.set)
        try:
            self._wait(self._ended)
            self._ended.result(timeout=0)
        finally:
            self._executor.shutdown(wait=False, cancel_futures=True)
