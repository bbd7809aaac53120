"""Connections end with their test; tests run on the loop the router runs on."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import uvloop

from tests.support.websocket import abort_all_connections


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], Any]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
async def connections_end() -> AsyncIterator[None]:
    yield
    await abort_all_connections()
