"""A router that runs for the length of a block."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from heliograph.client import Publisher, connect
from heliograph.testing.configuration import LOOPBACK, Doors, Place, configuration_file, find_doors
from heliograph.testing.process import RouterFailed, RouterProcess
from heliograph.testing.recording import Recording

if TYPE_CHECKING:
    from types import TracebackType

    from heliograph.client import Session
    from heliograph.wamp.uris import Match

START_TIMEOUT_S = 30.0
NOTE_LINES = 50
"""Lines of log that a failing block's exception gets as a note."""

Configuration = Mapping[str, Any] | str | Path | None


def router(
    configuration: Configuration = None,
    *,
    node_directory: str | Path | None = None,
    realm: str = "realm1",
    start_timeout_s: float = START_TIMEOUT_S,
) -> RunningRouter:
    """Run a real router, in a process of its own, for the length of a `with` or `async with` block.

    Args:
        configuration: a node's configuration as a dictionary, or the path of its file. The first `web`
            transport listens on a free port of loopback, whatever the configuration says; others listen where it
            says, and on a free port where that is 0. Without one everybody may do everything (`open_configuration`).
        node_directory: what relative paths in the configuration start from; by default the file's directory, and
            an empty one for a dictionary.
        realm: the name of the realm when there is no configuration.
        start_timeout_s: seconds it may take to become ready.

    Returns:
        what to use as a context manager. Entering raises `ConfigError` when the configuration is wrong and
        `RouterFailed` when the router does not become ready; leaving raises `RouterFailed` when it had ended by itself
        or does not end well. An exception that leaves the block gets the end of the router's log as a note.
    """
    return RunningRouter(
        configuration, node_directory=node_directory, realm=realm, start_timeout_s=start_timeout_s
    )


class RunningRouter:
    """A router for tests; made by `router`, which says what the arguments are."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        node_directory: str | Path | None,
        realm: str,
        start_timeout_s: float,
    ) -> None:
        self._configuration = configuration
        self._given_directory = node_directory
        self._default_realm = realm
        self._start_timeout_s = start_timeout_s
        self._cleanup = ExitStack()
        self._process: RouterProcess | None = None
        self._doors = Doors(None, None, None, None, None, can_be_moved=False)
        self._publisher: Publisher | None = None
        self.addresses: list[str] = []
        """Where it listens, as URLs, one for each transport."""

    # What a test asks for.

    @property
    def url(self) -> str:
        """Where WAMP clients connect, such as `ws://127.0.0.1:40123/ws`."""
        address = self._url_of(self._doors.websocket, "websocket path")
        return f"ws{address.removeprefix('http')}" if address.startswith("http") else address

    @property
    def http_url(self) -> str:
        """Where HTTP is spoken, such as `http://127.0.0.1:40123`; paths are appended."""
        if self._doors.web is None:
            raise LookupError("the configuration has no transport that speaks HTTP")
        return self.addresses[self._doors.web].rstrip("/")

    @property
    def realm(self) -> str:
        """The first realm of the configuration."""
        if self._doors.realm is None:
            raise LookupError("the configuration has no realm")
        return self._doors.realm

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._running.pid

    @property
    def log(self) -> str:
        """What it has logged, the newest 5,000 lines; also after its end."""
        return self._running.log

    def publish(self, topic: str, /, *args: Any, **kwargs: Any) -> int:
        """Publish an event over the HTTP bridge, from synchronous code; everything after `topic` is payload.

        Returns:
            the publication's id.

        Raises:
            LookupError: the configuration has no `publisher` path for the realm.
            PublishError: the router refused it or did not answer.
        """
        if self._publisher is None:
            url = self._url_of(self._doors.publisher, f"publisher path for the realm {self._doors.realm!r}")
            self._publisher = self._cleanup.enter_context(Publisher(url, token=self._doors.token))
        return self._publisher.publish(topic, *args, **kwargs)

    def join(self, **options: Any) -> AbstractAsyncContextManager[Session]:
        """Return a session in the realm: `async with router.join() as session`.

        Args:
            options: those of `heliograph.client.connect`.
        """
        return connect(self.url, **{"realm": self.realm, **options})

    def record(self, topic: str, match: Match = "exact") -> Recording:
        """Return a recording of a topic's events for synchronous tests: `with router.record(topic) as news`.

        Args:
            topic: a topic, or a pattern when `match` is not `exact`.
            match: `exact`, `prefix` or `wildcard`.
        """
        return Recording(self.url, self.realm, topic, match)

    # Its life.

    def start(self) -> None:
        """Start it and wait until it is ready; a block does this by itself.

        Raises:
            ConfigError: the configuration is wrong.
            RouterFailed: it did not become ready.
        """
        with ExitStack() as cleanup:
            own = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-")))
            file = configuration_file(self._configuration, own, realm=self._default_realm)
            directory = Path(self._given_directory).absolute() if self._given_directory else file.parent
            self._doors = find_doors(file, node_directory=directory)
            listen = ["--listen", f"{LOOPBACK}:0"] if self._doors.can_be_moved else []
            self._process = RouterProcess(["--cbdir", str(directory), "--config", str(file), *listen])
            self.addresses = self._process.wait_ready(self._start_timeout_s)
            self._cleanup = cleanup.pop_all()

    def stop(self) -> None:
        """Stop it; a block does this by itself.

        Raises:
            RouterFailed: it had ended by itself, or did not end well.
        """
        with self._cleanup:
            self._publisher = None
            self._running.stop()

    def __enter__(self) -> Self:
        """Start the router."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the router, and tell a failing block what it has logged."""
        if error is None:
            self.stop()
            return
        try:
            self.stop()
        except RouterFailed as failure:
            error.add_note(str(failure))
        else:
            error.add_note(
                "".join(["the router's log:\n", *self.log.splitlines(keepends=True)[-NOTE_LINES:]])
            )

    async def __aenter__(self) -> Self:
        """Start the router without holding up the event loop."""
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the router without holding up the event loop."""
        await asyncio.to_thread(self.__exit__, kind, error, traceback)

    @property
    def _running(self) -> RouterProcess:
        if self._process is None:
            raise RuntimeError("the router has not been started: use it in a `with` block")
        return self._process

    def _url_of(self, place: Place | None, what: str) -> str:
        if place is None:
            raise LookupError(f"the configuration has no {what}")
        return f"{self.addresses[place.transport].rstrip('/')}/{place.path}"
