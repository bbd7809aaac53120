"""A WSGI application behind the router, in a supervised process of its own."""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import msgspec
from starlette.types import Receive, Scope, Send

from heliograph.http import ServiceError
from heliograph.http.options import WsgiOptions
from heliograph.http.proxy import ApplicationSocket, ResponseCutError
from heliograph.http.refusal import RequestRefusedError
from heliograph.http.spool import BodySpool, ClientDisconnectedError, SpoolBudget, body_too_long
from heliograph.http.wsgi_environ import wsgi_environ
from heliograph.processes.child import ChildNotReadyError, ChildProcess, ChildSnapshot, ChildState
from heliograph.processes.options import ChildOptions
from heliograph.processes.python import module_directories, python_command

logger = logging.getLogger("heliograph.http.wsgi")

START_WAIT_S = 10.0
"""Seconds a request waits for an application that is starting."""

SERVER_KEEPALIVE_S = 30
"""Seconds the application's server keeps an idle connection; longer than this side does."""

PROBE_INTERVAL_S = 0.05
"""Seconds between attempts to reach an application that is starting."""

GRACE_S = 10.0
"""Seconds the application has to finish its requests when it is stopped."""

MAX_SOCKET_PATH_BYTES = 100
"""Longest path of a Unix socket, a little below what the systems take."""

_PROBE = {"REQUEST_METHOD": "GET", "RAW_URI": "/", "heliograph.probe": True}
_LENGTH_UNKNOWN = -1


class WsgiSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a WSGI service at one moment.

    Attributes:
        child: its process.
        requests: requests received since the start.
        active: requests the application works on.
        waiting: requests that wait for a free thread.
        refused: requests the router answered with an error, by reason.
        disconnected: requests whose client went away before its response was complete.
        cut: responses that began and could not be completed.
    """

    child: ChildSnapshot
    requests: int
    active: int
    waiting: int
    refused: dict[str, int]
    disconnected: int
    cut: int


class WsgiService:
    """ASGI application that passes requests on to a WSGI application in a process of its own.

    Args:
        options: the path's options.
        node_directory: directory the application runs in, and that `pythonpath` is relative to.
        pythonpath: directories put before those that Python searches; the current one is searched last.
        name: what the service is called in logs and metrics.
    """

    def __init__(
        self, options: WsgiOptions, *, node_directory: Path, pythonpath: Sequence[Path], name: str
    ) -> None:
        self._options = options
        self._node_directory = node_directory
        self._paths = module_directories(pythonpath, node_directory)
        self._name = name
        self._slots = asyncio.Semaphore(options.maxthreads * options.processes)
        self._budget = SpoolBudget(options.spool_limit_bytes)
        self._directory: Path | None = None
        self._socket: ApplicationSocket | None = None
        self._child: ChildProcess | None = None
        self._requests = self._active = self._waiting = self._disconnected = self._cut = 0
        self._refused: Counter[str] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self) -> None:
        """Start the application's process and return; requests wait until it is ready.

        Raises:
            ServiceError: there is no place for its socket.
            RuntimeError: it is already started.
        """
        if self._child is not None:
            raise RuntimeError(f"{self._name} is already started")
        self._directory = await asyncio.to_thread(_private_directory)
        path = self._directory / "wsgi.sock"
        token = secrets.token_hex(32)
        self._socket = ApplicationSocket(
            path, token, timeout_s=self._options.timeout_s, client_timeout_s=self._options.client_timeout_s
        )
        self._child = ChildProcess(
            self._child_options(path, token),
            ready=partial(_until_it_answers, self._socket),
            prepare=lambda: path.unlink(missing_ok=True),
        )
        self._child.start()

    async def wait_ready(self) -> None:
        """Wait until the application answers.

        Raises:
            ChildNotReadyError: it failed to start; the message has its last lines of output.
        """
        await self._running_child().wait_ready()

    async def stop(self) -> None:
        """Refuse new requests, let those in work finish within the grace period, end the process.

        Safe to call twice.
        """
        child, self._child = self._child, None
        socket, self._socket = self._socket, None
        directory, self._directory = self._directory, None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await self._idle.wait()
        # Before its server is told, which otherwise waits for requests on the connections kept open.
        if socket is not None:
            await socket.close()
        if child is not None:
            await child.stop()
        if directory is not None:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    def snapshot(self) -> WsgiSnapshot:
        """Return what is known of the service now; it must be started."""
        return WsgiSnapshot(
            child=self._running_child().snapshot(),
            requests=self._requests,
            active=self._active,
            waiting=self._waiting,
            refused=dict(self._refused),
            disconnected=self._disconnected,
            cut=self._cut,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; a WebSocket is refused."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        self._requests += 1
        try:
            await self._pass_on(scope, receive, send)
        except RequestRefusedError as refusal:
            self._refused[refusal.reason] += 1
            if refusal.status in (502, 504):
                self._log(scope, str(refusal))
            # A client that waits for leave to send its body may send it or not: the next request could be either.
            waits_for_leave = any(name == b"expect" for name, _ in scope["headers"])
            await refusal.response(close=waits_for_leave)(scope, receive, send)
        except ResponseCutError as error:
            # Without its end the server closes the connection, and the client sees that something is missing.
            self._cut += 1
            self._log(scope, f"the response was cut: {error}")
        except ClientDisconnectedError:
            self._disconnected += 1

    def _log(self, scope: Scope, text: str) -> None:
        logger.warning("%s: %s %.200r: %s", self._name, scope["method"], scope["path"], text)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = _announced_length(scope)
        if announced is not None and announced > self._options.body_limit_bytes:
            raise body_too_long(self._options.body_limit_bytes)
        spool = BodySpool(self._budget, self._options.body_limit_bytes)
        try:
            if announced:
                await spool.receive(receive, self._options.client_timeout_s)
            environ = wsgi_environ(scope, None if announced is None else spool.size)
            body = spool.content() if spool.size else None
            await _unless_disconnected(receive, self._exchange(environ, body, send))
        finally:
            spool.close()

    async def _exchange(self, environ: dict[str, Any], body: bytes | IO[bytes] | None, send: Send) -> None:
        async with self._slot():
            socket = await self._ready_socket()
            await socket.forward(environ, body, send)

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Hold one of the application's threads, after waiting for it within bounds."""
        busy = RequestRefusedError(503, "busy", "The application is busy, try again", retry_after_s=2)
        if self._slots.locked() and self._waiting >= self._options.queue_limit:
            raise busy
        self._waiting += 1
        try:
            async with asyncio.timeout(self._options.timeout_s):
                await self._slots.acquire()
        except TimeoutError as error:
            raise busy from error
        finally:
            self._waiting -= 1
        self._active += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._active -= 1
            if self._active == 0:
                self._idle.set()
            self._slots.release()

    async def _ready_socket(self) -> ApplicationSocket:
        if self._child is None or self._socket is None:
            raise RequestRefusedError(503, "not running", "The application is not running", retry_after_s=2)
        socket = self._socket
        if self._child.state is ChildState.READY:
            return socket
        try:
            async with asyncio.timeout(START_WAIT_S):
                await self._child.wait_ready()
        except TimeoutError as error:
            text = "The application is starting, try again"
            raise RequestRefusedError(503, "starting", text, retry_after_s=2) from error
        except ChildNotReadyError as error:
            text = "The application failed to start, see the log"
            raise RequestRefusedError(503, "failed to start", text, retry_after_s=5) from error
        return socket

    def _running_child(self) -> ChildProcess:
        if self._child is None:
            raise RuntimeError(f"{self._name} is not started")
        return self._child

    def _child_options(self, path: Path, token: str) -> ChildOptions:
        options = self._options
        settings = {
            "socket": str(path),
            "token": token,
            "module": options.module,
            "object": options.object,
            "paths": self._paths,
            "threads": options.maxthreads,
            "processes": options.processes,
            "keepalive_s": SERVER_KEEPALIVE_S,
            "graceful_timeout_s": int(GRACE_S) - 2,
        }
        return ChildOptions(
            name=self._name,
            argv=python_command("heliograph.processes.wsgi_worker"),
            cwd=self._node_directory,
            environment={"PYTHONUNBUFFERED": "1", **os.environ},
            stdin=json.dumps(settings).encode(),
            description=f"WSGI application {options.module}:{options.object}, pythonpath {', '.join(self._paths)}",
            grace_s=GRACE_S,
        )


def _private_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="heliograph-"))
    if len(os.fsencode(directory / "wsgi.sock")) > MAX_SOCKET_PATH_BYTES:
        directory.rmdir()
        raise ServiceError(
            f"wsgi: {directory.parent} is too long a path for a Unix socket; set TMPDIR to a shorter one"
        )
    return directory


async def _until_it_answers(socket: ApplicationSocket) -> None:
    """Return when the application is imported; its server listens before that, and answers after it."""
    while not await socket.answers(_PROBE):  # noqa: ASYNC110 (the other process sets no event here)
        await asyncio.sleep(PROBE_INTERVAL_S)


def _announced_length(scope: Scope) -> int | None:
    """Return the body's length in bytes, -1 when it is sent in chunks, None when there is none."""
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return _LENGTH_UNKNOWN
    length = headers.get(b"content-length")
    if length is None:
        return None
    if not length.isdigit() or len(length) > 18:
        raise RequestRefusedError(400, "bad length", "The Content-Length is no number of bytes")
    return int(length)


async def _unless_disconnected(receive: Receive, exchange: Coroutine[Any, Any, None]) -> None:
    """Await an exchange, and give it up when the client goes away.

    Raises:
        ClientDisconnectedError: it did.
    """
    exchanging = asyncio.ensure_future(exchange)
    waiting = asyncio.ensure_future(_disconnection(receive))
    try:
        await asyncio.wait((exchanging, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not exchanging.done():
            raise ClientDisconnectedError
        exchanging.result()
    finally:
        exchanging.cancel()
        waiting.cancel()
        await asyncio.wait((exchanging, waiting))


async def _disconnection(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
