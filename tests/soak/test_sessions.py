"""A million joins and leaves, with subscriptions and calls, end at the memory they started from.

HELIOGRAPH_SOAK_JOINS sets how many (1,000,000 by default; over sockets it is a hundredth).
"""

import asyncio
import gc
import os
import sys
from pathlib import Path

import psutil
import pytest

from tests.soak.sessions import Turnstile
from tests.support.nodes import RouterProcess, router_process
from tests.support.websocket import abort_all_connections, connect_wamp

JOINS = int(os.environ.get("HELIOGRAPH_SOAK_JOINS", "1000000"))
WARM_UP = 20_000
"""Joins after which every cache of the router, all of them bounded, has been full."""


def _soak(joins: int, *, warm_up: int, names: int) -> tuple[int, int]:
    """Let sessions come and go; return by how many blocks and bytes the memory has grown since the warm-up."""
    process = psutil.Process()
    turnstile = Turnstile(names=names)
    turnstile.turn(warm_up)
    gc.collect()
    blocks, resident_bytes = sys.getallocatedblocks(), process.memory_info().rss
    turnstile.turn(joins)
    turnstile.assert_only_those_who_stay_are_left()
    gc.collect()
    return sys.getallocatedblocks() - blocks, process.memory_info().rss - resident_bytes


def test_sessions_that_come_and_go_leave_no_memory() -> None:
    # As many names as fit every cache, so that none is emptied on the way.
    blocks, _ = _soak(600, warm_up=600, names=100)
    # One session's own would be some hundred blocks.
    assert blocks < 300, f"{blocks} blocks more after 600 sessions"


@pytest.mark.soak
def test_a_million_sessions_leave_no_memory() -> None:
    blocks, resident_bytes = _soak(JOINS, warm_up=WARM_UP, names=100)
    print(f"{JOINS} sessions: {blocks:+} blocks, {resident_bytes / 2**20:+.2f} MiB")
    assert blocks < 300, f"{blocks} blocks more after {JOINS} sessions"
    assert resident_bytes < 4 * 2**20, f"{resident_bytes / 2**20:.1f} MiB more after {JOINS} sessions"


@pytest.mark.soak
def test_a_million_names_fill_no_memory() -> None:
    """Each session has names of its own: what is remembered of them is bounded."""
    _, resident_bytes = _soak(JOINS, warm_up=WARM_UP, names=10**9)
    print(f"{JOINS} sessions with names of their own: {resident_bytes / 2**20:+.2f} MiB")
    assert resident_bytes < 16 * 2**20, f"{resident_bytes / 2**20:.1f} MiB more after {JOINS} sessions"


async def _come_and_go(router: RouterProcess, joins: int) -> None:
    stays = await connect_wamp(router.address)
    await stays.join()
    await stays.ask(64, 1, {}, "com.stays")
    for number in range(joins):
        client = await connect_wamp(router.address, ("json", "msgpack", "cbor")[number % 3])
        await client.join()
        await client.ask(32, 1, {"match": "prefix"}, f"com.t{number % 50}")
        await client.ask(64, 2, {"invoke": "roundrobin"}, "com.p")
        await client.ask(16, 3, {"acknowledge": True, "retain": True}, f"com.t{number % 50}", ["x" * 100])
        await client.send([48, 4, {}, "com.stays"])
        invocation = await stays.receive()
        if number % 2:
            await stays.send([70, invocation[1], {}])
            assert (await client.receive())[0] == 50
            await client.leave()
        else:
            client.socket.abort()
            await stays.send([70, invocation[1], {}])
    stays.socket.abort()
    async with asyncio.timeout(10):
        while (await router.metrics())["sessions"]:
            pass
    await abort_all_connections()


async def _soak_sockets(directory: Path, joins: int) -> int:
    with router_process(directory) as router:
        await _come_and_go(router, 300)
        resident_bytes = router.resident_bytes
        await _come_and_go(router, joins)
        return router.resident_bytes - resident_bytes


async def test_clients_that_come_and_go_leave_no_memory(tmp_path: Path) -> None:
    grown_bytes = await _soak_sockets(tmp_path, 200)
    assert grown_bytes < 2 * 2**20, f"{grown_bytes / 2**20:.1f} MiB more after 200 clients"


@pytest.mark.soak
async def test_many_clients_that_come_and_go_leave_no_memory(tmp_path: Path) -> None:
    grown_bytes = await _soak_sockets(tmp_path, JOINS // 100)
    print(f"{JOINS // 100} clients: {grown_bytes / 2**20:+.2f} MiB")
    assert grown_bytes < 4 * 2**20, f"{grown_bytes / 2**20:.1f} MiB more after {JOINS // 100} clients"
