"""The system allows fewer descriptors than the configuration allows connections."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import RouterProcess, node_config, rawsocket_transport, router_process, web_transport
from tests.support.websocket import Address, Connection, abort_all_connections, http_request, request

CLIENTS = 120
LIMIT = 64
RESERVE = 16
TIMEOUT_S = 20.0
TOO_MANY = bytes.fromhex("7f400000")
PATHS = {"metrics": {"type": "metrics"}, "static": {"type": "static", "directory": "static"}}
PAGE = "still served"


@contextlib.contextmanager
def limited_router(
    directory: Path, *transports: dict[str, Any], soft: int, hard: int
) -> Iterator[RouterProcess]:
    """A router that was started with these limits."""
    (directory / "static").mkdir()
    (directory / "static" / "page.txt").write_text(PAGE)
    python = directory / "limited-python"
    python.write_text(f'#!/bin/sh\nulimit -Sn {soft}\nulimit -Hn {hard}\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o700)
    with router_process(directory, node_config(*transports), python=str(python)) as router:
        yield router


@pytest.fixture(autouse=True)
async def _no_connection_outlives_its_test() -> AsyncIterator[None]:
    yield
    await abort_all_connections()


async def get(client: Connection, path: str) -> str:
    await client.send(http_request("GET", path))
    response = await client.response()
    assert response.status == 200
    return response.body.decode()


async def said_to(client: Connection, request_: bytes) -> bytes:
    """Return the start of what a client hears; nothing when it is closed."""
    try:
        await client.send(request_)
        async with asyncio.timeout(TIMEOUT_S):
            return await client.reader.read(12)
    except ConnectionError:
        return b""


def counter(metrics: str, name: str) -> int:
    lines = [line for line in metrics.splitlines() if line.startswith(f"heliograph_{name}{{")]
    return sum(int(line.rpartition(" ")[2]) for line in lines)


async def until_let_in(address: Address) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            with contextlib.suppress(OSError, EOFError):
                if (await request(address, "GET", "/metrics")).status == 200:
                    return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("at_once", [False, True])
async def test_http_connections_that_do_not_fit_hear_503_and_are_counted(
    at_once: bool, tmp_path: Path
) -> None:
    with limited_router(tmp_path, web_transport(PATHS), soft=LIMIT, hard=LIMIT) as router:
        first = await Connection.open(router.address)
        assert await get(first, "/static/page.txt") == PAGE
        opening = [Connection.open(router.address) for _ in range(CLIENTS)]
        clients = await asyncio.gather(*opening) if at_once else [await one for one in opening]
        heard = [await said_to(client, http_request("GET", "/static/page.txt")) for client in clients]

        let_in, refused = heard.count(b"HTTP/1.1 200"), heard.count(b"HTTP/1.1 503")
        assert let_in >= LIMIT - RESERVE - 24, "what the router itself has open"
        assert refused > 0
        assert let_in + refused + heard.count(b"") == CLIENTS
        metrics = await get(first, "/metrics")
        assert f"heliograph_descriptors_limit {LIMIT}\n" in metrics
        assert counter(metrics, "transport_connections_refused_total") == CLIENTS - let_in
        assert await get(first, "/static/page.txt") == PAGE
        log = router.errors.read_text()
        assert f"max_connections allows 50000: the system gives this process {LIMIT} descriptors" in log
        assert f"connection refused: all but {RESERVE} of {LIMIT} descriptors are in use" in log

        for client in clients:
            client.abort()
        await until_let_in(router.address)
        assert router.terminate() == 0


async def test_rawsocket_connections_that_do_not_fit_hear_error_4_and_are_counted(tmp_path: Path) -> None:
    with limited_router(
        tmp_path, web_transport(PATHS), rawsocket_transport(), soft=LIMIT, hard=LIMIT
    ) as router:
        first = await Connection.open(router.address)
        assert await get(first, "/static/page.txt") == PAGE
        clients = [await Connection.open(router.addresses[1]) for _ in range(CLIENTS)]
        heard = [await said_to(client, b"\x7f\xf1\0\0") for client in clients]

        let_in = heard.count(b"\x7f\xb1\0\0")
        assert heard.count(TOO_MANY) > 0
        assert let_in + heard.count(TOO_MANY) + heard.count(b"") == CLIENTS
        metrics = await get(first, "/metrics")
        assert counter(metrics, "transport_connections_refused_total") == CLIENTS - let_in


async def test_a_soft_limit_is_raised_to_what_the_ports_need(tmp_path: Path) -> None:
    transport = {**web_transport(PATHS), "max_connections": 100}
    with limited_router(tmp_path, transport, soft=LIMIT, hard=2000) as router:
        first = await Connection.open(router.address)
        clients = [await Connection.open(router.address) for _ in range(CLIENTS)]
        heard = [await said_to(client, http_request("GET", "/static/page.txt")) for client in clients]
        assert (heard.count(b"HTTP/1.1 200"), heard.count(b"HTTP/1.1 503")) == (99, CLIENTS - 99)
        assert "heliograph_descriptors_limit 420\n" in await get(first, "/metrics")
        assert "descriptors" not in router.errors.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sets another process's limits")
async def test_an_application_gets_the_limit_that_the_router_was_started_with(tmp_path: Path) -> None:
    (tmp_path / "limits.py").write_text(
        "import resource\n"
        "def application(environ, start_response):\n"
        "    said = str(resource.getrlimit(resource.RLIMIT_NOFILE)).encode()\n"
        "    start_response('200 OK', [('Content-Length', str(len(said)))])\n"
        "    return [said]\n"
    )
    site = {"type": "wsgi", "module": "limits", "object": "application"}
    transport = {**web_transport({"/": site}), "max_connections": 500}
    config = node_config(transport)
    config["workers"][0]["options"] = {"pythonpath": ["."]}
    python = tmp_path / "limited-python"
    python.write_text(f'#!/bin/sh\nulimit -Sn 256\nulimit -Hn 2000\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o700)
    with router_process(tmp_path, config, python=str(python)) as router:
        response = await request(router.address, "GET", "/")
        assert response.body.decode() == "(256, 2000)"
