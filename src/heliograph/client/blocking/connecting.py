"""`connect`: from a URL to a session that blocks."""

from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Any

from heliograph.client import connecting
from heliograph.client import session as asynchronous
from heliograph.client.blocking.portal import Portal
from heliograph.client.blocking.session import Session

HANDLER_THREADS = 8


@wraps(connecting.connect, assigned=(), updated=())
def connect(
    url: str, *, handler_threads: int = HANDLER_THREADS, **options: Any
) -> AbstractContextManager[Session]:
    """Return the context of a blocking session that joins a realm and joins again whenever the connection is lost.

        with connect("ws://127.0.0.1:8080/ws", realm="realm1") as session:
            ...

    The connection lives in a thread of its own, so it answers pings and takes events while the program does something
    else. Any thread may use the session, but no forked process.

    Args:
        url: as `heliograph.client.connect` takes it.
        handler_threads: threads in which handlers and registered functions run.
        options: everything else that `heliograph.client.connect` takes: `realm`, `authentication`, `serializers`,
            `tls`, `headers`, `reconnect`, `retry_first`, `options`.

    Raises:
        what `heliograph.client.connect` raises.
    """
    if handler_threads < 1:
        raise ValueError(f"handler_threads must be above 0, not {handler_threads}")
    return _session(connecting.connect(url, **options), handler_threads)


@contextmanager
def _session(context: Any, handler_threads: int) -> Iterator[Session]:
    portal = Portal(handler_threads)
    joined: Future[asynchronous.Session] = Future()

    async def main(until_stopped: Callable[[], Awaitable[Any]]) -> None:
        try:
            async with context as session:
                joined.set_result(session)
                await until_stopped()
        except BaseException as error:
            if joined.done():
                raise
            joined.set_exception(error)

    portal.start(main)
    try:
        session = portal.wait_for(joined)
    except BaseException:
        portal.close()
        raise
    try:
        yield Session(session, portal)
    except BaseException as error:
        _close_after(portal, error)
        raise
    portal.close()


def _close_after(portal: Portal, error: BaseException) -> None:
    """Close without hiding `error`, which ends the block."""
    try:
        portal.close()
    except Exception as late:  # noqa: BLE001 - told with the error that came first
        error.add_note(f"closing the session failed, too: {late!r}")
