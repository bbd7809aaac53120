"""A real HTTP server in front of one ASGI application, and a client that sends exactly what it is told."""

import asyncio
import contextlib
import http.client
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
import uvicorn

DEADLINE_S = 20.0
"""No step of a test waits longer than this."""


class _Server(uvicorn.Server):
    """A server that leaves the process's signals alone and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.leave = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.leave.wait()


@dataclass
class Reply:
    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Site:
    """A served application: where it listens, and how to send it a request."""

    host: str
    port: int

    async def request(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one request, its target byte for byte, on a connection of its own."""
        return await asyncio.to_thread(self._request, method, target, body, dict(headers or {}))

    async def get(self, target: str, **headers: str) -> Reply:
        return await self.request("GET", target, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def _request(self, method: str, target: str, body: Any, headers: dict[str, str]) -> Reply:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            return Reply(response.status, response.reason, response.headers, response.read())
        finally:
            connection.close()


class Serve(Protocol):
    def __call__(self, app: Any, *, mount: str = "", host: str = "127.0.0.1") -> Awaitable[Site]: ...


def mounted(app: Any, mount: str) -> Any:
    """Return an application that serves `app` below `mount`, as the node's dispatcher does."""

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if path != mount and not path.startswith(mount + "/"):
            raise AssertionError(f"the test asked for {path}, which is not below {mount}")
        await app({**scope, "root_path": mount}, receive, send)

    return dispatch


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve ASGI applications with uvicorn and httptools on free ports until the test ends."""
    running: list[tuple[_Server, asyncio.Task[None]]] = []

    async def start(app: Any, *, mount: str = "", host: str = "127.0.0.1") -> Site:
        config = uvicorn.Config(
            mounted(app, mount),
            host=host,
            port=0,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve())
        running.append((server, task))
        await asyncio.wait_for(server.listening.wait(), DEADLINE_S)
        address = server.servers[0].sockets[0].getsockname()
        return Site(address[0], address[1])

    yield start
    for server, _ in running:
        server.leave.set()
    for _, task in running:
        await asyncio.wait_for(task, DEADLINE_S)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait until a condition that nothing announces holds, such as another process's end."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 (another process sets no event of ours)
                await asyncio.sleep(0.01)

    return wait
