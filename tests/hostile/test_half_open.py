"""Ten thousand connections that stop half-way, over every transport at once, while others are served as before."""

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.credentials import TICKET_USER, auth_config
from tests.support.links import linked_router
from tests.support.nodes import ALLOW_ALL, RouterProcess
from tests.support.websocket import TEXT, Tls, abort_all_connections, encode, frame, upgrade_request

WANTED = 10_000
SPARE_FILES = 500
"""Descriptors that the tests and the router need for themselves."""

MOST_ROUND_TRIP_S = 2.0
"""The longest a bystander may wait for one answer, on a machine that is busy with other things too."""

MOST_KIB_EACH = 24
PATIENT = {"hello": {"hello_timeout_s": 600}}
PATHS: dict[str, Any] = {
    "ws": {"type": "websocket", **PATIENT},
    "proven": {"type": "websocket", "auth": auth_config("anonymous"), **PATIENT},
    "metrics": {"type": "metrics"},
}
HALF_A_HEAD = b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgr"
CHALLENGED = frame(
    TEXT,
    encode(
        "json", [1, "realm1", {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": TICKET_USER}]
    ),
)
HALVES: list[tuple[str, str, bytes]] = [
    ("ws", "ws", b""),
    ("ws", "ws", HALF_A_HEAD),
    ("ws", "ws", upgrade_request("/ws")),
    ("ws", "ws", upgrade_request("/ws") + frame(TEXT, b"[1", announced=1000)),
    ("ws", "proven", upgrade_request("/proven") + CHALLENGED),
    ("rawsocket", "ws", b"\x7f\xf1\0"),
    ("rawsocket", "ws", b"\x7f\xf1\0\0"),
    ("rawsocket", "ws", b"\x7f\xf1\0\0\0\0\x10\0[1"),
    ("universal_rawsocket", "ws", b""),
    ("wss", "ws", b""),
    ("wss", "ws", b"\x16\x03\x01\x02\0\x01"),
]
"""Transport, path, and what is sent before silence."""


@pytest.fixture(scope="module")
def connections() -> Iterator[int]:
    """How many connections this machine allows, at most `WANTED`; the limits are inherited by the router."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED + SPARE_FILES if hard == resource.RLIM_INFINITY else min(WANTED + SPARE_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    yield max(soft, most) - SPARE_FILES if max(soft, most) < WANTED + SPARE_FILES else WANTED
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory, connections: int) -> Iterator[RouterProcess]:
    realm = {
        "name": "realm1",
        "roles": [{"name": "anonymous", "permissions": [{"uri": "", "match": "prefix", "allow": ALLOW_ALL}]}],
    }
    directory = tmp_path_factory.mktemp("router")
    with linked_router(directory, PATHS, realm=realm, handshake_timeout_s=600) as running:
        yield running


@pytest.fixture(autouse=True)
async def connections_end() -> AsyncIterator[None]:
    yield
    await abort_all_connections()


def flood(router: RouterProcess, count: int, clients: list[socket.socket]) -> None:
    """Open connections, a kind after the other."""
    for number in range(count):
        transport, path, sent = HALVES[number % len(HALVES)]
        door, _ = router.doors.where(transport, path)
        address = door.door if isinstance(door, Tls) else door
        client = socket.create_connection(address, timeout=30)
        clients.append(client)
        if sent:
            client.sendall(sent)


class Bystander:
    """Asks and is answered, again and again, over one transport."""

    def __init__(self, router: RouterProcess, transport: str) -> None:
        self._router = router
        self._transport = transport
        self.round_trips = 0
        self.longest_s = 0.0

    async def run(self, until: asyncio.Event) -> None:
        client = await self._router.doors.connect(self._transport, "json", "ws")
        await client.join()
        while not until.is_set():
            started = time.perf_counter()
            answer = await client.ask(16, 1, {"acknowledge": True}, "com.example.t", [self.round_trips])
            assert answer[0] == 17
            self.longest_s = max(self.longest_s, time.perf_counter() - started)
            self.round_trips += 1
        await client.leave()


async def test_ten_thousand_half_open_connections_keep_nobody_from_being_served(
    router: RouterProcess, connections: int
) -> None:
    if connections < WANTED:
        print(f"this machine allows {connections} connections, not {WANTED}")
    before_bytes = router.resident_bytes
    over = asyncio.Event()
    bystanders = [
        Bystander(router, transport) for transport in ("ws", "wss", "unix", "universal_ws", "longpoll")
    ]
    running = [asyncio.create_task(bystander.run(over)) for bystander in bystanders]
    clients: list[socket.socket] = []
    try:
        await asyncio.to_thread(flood, router, connections, clients)
        # Newcomers are let in while all of them are open.
        newcomer = await router.doors.connect("rawsocket", "cbor", "ws")
        await newcomer.join()
        async with asyncio.timeout(60):
            while (await router.metrics())["transport_connections"] < connections:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # the router tells when it is asked
        grown_kib = (router.resident_bytes - before_bytes) / 1024 / connections
        over.set()
        await asyncio.gather(*running)
    finally:
        over.set()
        for client in clients:
            client.close()
        for task in running:
            task.cancel()
    longest = max(bystander.longest_s for bystander in bystanders)
    print(
        f"{connections} half-open: {grown_kib:.1f} KiB each, the longest round trip {longest * 1000:.0f} ms"
    )
    assert all(bystander.round_trips > 20 for bystander in bystanders)
    assert longest < MOST_ROUND_TRIP_S
    assert grown_kib < MOST_KIB_EACH
    async with asyncio.timeout(60):
        while (await router.metrics())["transport_connections"] > 10:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    assert (await router.metrics())["transport_defects_total"] == 0
