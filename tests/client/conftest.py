"""What the client's tests share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import uvloop

from heliograph.client.protocol import ClientProtocol
from tests.client.recorder import WELCOME, Recorder
from tests.client.scripted_router import ScriptedRouter


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], Any]]:
    """Everything works on Python's own loop, which is all the base package has, and on uvloop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def router() -> AsyncIterator[ScriptedRouter]:
    scripted = ScriptedRouter()
    await scripted.start()
    try:
        yield scripted
    finally:
        await scripted.stop()


@pytest.fixture
def wire() -> Recorder:
    return Recorder()


@pytest.fixture
def protocol(wire: Recorder) -> ClientProtocol:
    return ClientProtocol(realm="realm1", agent="test", observer=wire)


@pytest.fixture
def joined(protocol: ClientProtocol, wire: Recorder) -> ClientProtocol:
    protocol.connected(wire)
    protocol.receive(WELCOME)
    wire.taken()
    return protocol
