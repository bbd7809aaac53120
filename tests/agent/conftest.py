from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from tests.agent.clients_server import ClientsServer
from tests.agent.fakes import Machine, until_idle


@pytest.fixture
async def start() -> AsyncIterator[Callable[[Machine], Awaitable[None]]]:
    """Start a machine's agent and let it come to rest; it is stopped, and its end checked, after the test."""
    tasks: list[asyncio.Task[None]] = []

    async def start_machine(machine: Machine) -> None:
        tasks.append(asyncio.create_task(machine.agent.run()))
        await until_idle()

    yield start_machine
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(ended, asyncio.CancelledError), f"the agent ended by itself: {ended!r}"


@pytest.fixture
def server() -> Iterator[ClientsServer]:
    http_server = ClientsServer()
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield http_server
    http_server.stopping.set()
    http_server.shutdown()
    thread.join(timeout=10)
    http_server.server_close()
