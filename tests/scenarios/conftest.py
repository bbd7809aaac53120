"""One router process for a module, and the ways to be linked to it."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest
import uvloop

from tests.support.links import SERIALIZERS, TRANSPORTS, Link, linked_router
from tests.support.nodes import RouterProcess
from tests.support.websocket import abort_all_connections

Ends = tuple[tuple[str, str], ...]


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
    with linked_router(tmp_path_factory.mktemp("router")) as running:
        yield running


PLAIN: list[Ends] = [((transport, serializer),) for transport in TRANSPORTS for serializer in SERIALIZERS]
"""All clients of a test over one transport, in one format."""

CROSSED: list[Ends] = [
    (("ws", first), ("ws", second)) for first in SERIALIZERS for second in SERIALIZERS if first != second
]
MIXED: list[Ends] = [
    (("ws", "json"), ("rawsocket", "cbor")),
    (("longpoll", "json"), ("ws", "msgpack")),
    (("unix", "msgpack"), ("wss", "json"), ("universal_rawsocket", "cbor")),
]
"""Clients that meet from different transports and formats."""

USUAL: list[Ends] = [
    (("ws", "json"),),
    (("ws", "msgpack"),),
    (("ws", "cbor"),),
    (("wss", "msgpack"),),
    (("rawsocket", "json"),),
    (("unix", "cbor"),),
    (("universal_rawsocket", "msgpack"),),
    (("universal_ws", "json"),),
    (("longpoll", "json"),),
    *MIXED,
]
"""Each transport and each format, at least once."""

WHOLE_PRODUCT = {"test_conversations"}
"""Modules that run over every link in `make test`; the others run over the usual ones, and the rest in `make soak`."""


def _name(ends: Ends) -> str:
    return "×".join(f"{transport}-{serializer}" for transport, serializer in ends)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test that asks for a link all of them."""
    if "link" not in metafunc.fixturenames:
        return
    without = {transport for mark in metafunc.definition.iter_markers("not_over") for transport in mark.args}
    is_whole = metafunc.module.__name__.rpartition(".")[2] in WHOLE_PRODUCT
    links = [
        pytest.param(ends, id=_name(ends), marks=[] if is_whole or ends in USUAL else [pytest.mark.soak])
        for ends in [*PLAIN, *CROSSED, *MIXED]
        if not without & {transport for transport, _ in ends}
    ]
    metafunc.parametrize("link", links, indirect=True)


@pytest.fixture
async def link(request: pytest.FixtureRequest, router: RouterProcess) -> AsyncIterator[Link]:
    made = Link(router, request.param)
    yield made
    await made.break_off_all()
