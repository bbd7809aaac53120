"""One router process for a module, and the ways to be linked to it."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from tests.support.links import Link
from tests.support.nodes import RouterProcess, node_config, router_process
from tests.support.websocket import abort_all_connections

SERIALIZERS = ("json", "msgpack", "cbor")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], Any]]:
    """The clients run on the loop the router runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
async def connections_end() -> AsyncIterator[None]:
    yield
    await abort_all_connections()


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    with router_process(tmp_path_factory.mktemp("router"), node_config()) as running:
        yield running


LINKS = [(name,) for name in SERIALIZERS] + [
    (first, second) for first in SERIALIZERS for second in SERIALIZERS if first != second
]


@pytest.fixture(params=LINKS, ids="×".join)
async def link(request: pytest.FixtureRequest, router: RouterProcess) -> Any:
    async with AsyncExitStack() as stack:
        made = Link(router.address, request.param)
        stack.callback(made.drop_all)
        yield made
