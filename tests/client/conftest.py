"""What the client's tests share."""

from collections.abc import AsyncIterator

import pytest

from tests.client.scripted_router import ScriptedRouter


@pytest.fixture
async def router() -> AsyncIterator[ScriptedRouter]:
    scripted = ScriptedRouter()
    await scripted.start()
    try:
        yield scripted
    finally:
        await scripted.stop()
