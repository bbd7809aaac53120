"""Thousands of connections that say nothing, or nearly nothing, cost a bound and keep nobody from being served."""

import asyncio
import resource
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Identity, client_context
from tests.support.nodes import OPEN_REALM, USUAL_PATHS, RouterProcess, router_process
from tests.support.rawsocket import joined_rawsocket
from tests.support.websocket import Tls, joined

MANY = 5_000
KIB = 1024
ENDPOINT = {"type": "tcp", "port": 0, "interface": "127.0.0.1"}


def config() -> dict[str, Any]:
    tls = {"key": "server.key", "certificate": "server.crt", "handshake_timeout_s": 600}
    patient = {"header_timeout_s": 600}
    transports = [
        {"type": "web", "endpoint": ENDPOINT, "paths": USUAL_PATHS, "options": patient},
        {"type": "rawsocket", "endpoint": ENDPOINT, "hello": {"hello_timeout_s": 600}},
        {"type": "rawsocket", "endpoint": {**ENDPOINT, "tls": tls}},
        {
            "type": "universal",
            "endpoint": ENDPOINT,
            "rawsocket": {},
            "web": {"paths": {}, "options": patient},
        },
    ]
    return {"version": 2, "workers": [{"type": "router", "realms": [OPEN_REALM], "transports": transports}]}


def flood(address: tuple[str, int], sent: bytes, count: int) -> list[socket.socket]:
    clients = []
    for _ in range(count):
        client = socket.create_connection(address, timeout=30)
        if sent:
            client.sendall(sent)
        clients.append(client)
    return clients


async def until_open(router: RouterProcess, count: int) -> None:
    async with asyncio.timeout(60):
        # The page that is asked has a connection of its own.
        while (await router.metrics())["transport_connections"] != count + 1:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("transport", "sent", "most_kib"),
    [(1, b"", 8), (1, b"\x7f\xf1\0", 8), (2, b"", 8), (3, b"", 8)],
    ids=["rawsocket silent", "rawsocket three octets", "tls silent", "universal silent"],
)
async def test_half_open_connections_cost_a_bound(
    tmp_path: Path, transport: int, sent: bytes, most_kib: int
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MANY + 500
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"this process may open {hard} files, {needed} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    authority = Identity(tmp_path, "authority")
    Identity(tmp_path, "server", authority)
    clients: list[socket.socket] = []
    try:
        with router_process(tmp_path, config()) as router:
            before = router.resident_bytes
            clients = await asyncio.to_thread(flood, router.addresses[transport], sent, MANY)
            await until_open(router, MANY)
            assert (router.resident_bytes - before) / MANY <= most_kib * KIB
            # Others are served meanwhile, on this port and beside it.
            door: Any = router.addresses[transport]
            door = Tls(door, client_context(authority)) if transport == 2 else door
            async with joined(router.address) as beside, joined_rawsocket(door) as there:
                assert (await beside.ask(32, 1, {}, "com.example.t"))[0] == 33
                await there.tell([16, 1, {}, "com.example.t", ["served"]])
                assert (await beside.receive())[4] == ["served"]
            for client in clients:
                client.close()
            await until_open(router, 0)
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
