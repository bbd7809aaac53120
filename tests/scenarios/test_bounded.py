"""Memory stays bounded, and others stay served, whatever one client does."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator

import pytest

from tests.support.nodes import RouterProcess
from tests.support.websocket import (
    CONTINUATION,
    PING,
    TEXT,
    Connection,
    WampClient,
    encode,
    frame,
    http_request,
    joined,
    open_websocket,
)

KIB, MIB = 1024, 1024 * 1024
TOPIC = "com.example.t"


@pytest.fixture
async def settled(router: RouterProcess) -> AsyncIterator[int]:
    """The router's resident bytes once it has served somebody; afterwards it is served as before."""
    async with joined(router.address) as client:
        await client.ask(16, 1, {"acknowledge": True}, TOPIC, ["x" * 900 * KIB])
    yield router.resident_bytes
    async with joined(router.address) as client:
        assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
        await client.leave()


async def test_a_subscriber_that_never_reads_costs_a_bound_and_nobody_else_anything(
    router: RouterProcess, settled: int
) -> None:
    before = await router.metrics()
    text, most = "x" * 32 * KIB, 0
    async with (
        joined(router.address) as publisher,
        joined(router.address) as never_reads,
        joined(router.address) as healthy,
    ):
        for subscriber in (never_reads, healthy):
            await subscriber.ask(32, 1, {}, TOPIC)
        never_reads.socket.reader._transport.pause_reading()  # type: ignore[attr-defined]
        for first in range(0, 1600, 32):
            numbers = range(first, first + 32)
            await publisher.send(*([16, 1, {}, TOPIC, [number, text]] for number in numbers))
            assert [(await healthy.receive())[4][0] for _ in numbers] == list(numbers)
            most = max(most, router.resident_bytes)
    after = await router.metrics()
    assert after["transport_slow_receivers_total"] == before["transport_slow_receivers_total"] + 1
    assert after["transport_frames_dropped_total"] > before["transport_frames_dropped_total"]
    # 50 MiB went through; the slow one may hold 4 MiB of outbox.
    assert most - settled < 16 * MIB


async def test_a_ping_flood_by_a_reader_that_never_reads_costs_a_bound(
    router: RouterProcess, settled: int
) -> None:
    before = await router.metrics()
    socket = await open_websocket(router.address)
    socket.reader._transport.pause_reading()  # type: ignore[attr-defined]
    pings = frame(PING, b"x" * 125) * 8000
    with contextlib.suppress(ConnectionError):
        for _ in range(40):
            await socket.send(pings)
    after = await router.metrics()
    assert after["transport_slow_receivers_total"] == before["transport_slow_receivers_total"] + 1
    assert router.resident_bytes - settled < 16 * MIB


async def test_idle_connections_that_once_sent_a_large_message_hold_nothing_of_it(
    router: RouterProcess, settled: int
) -> None:
    large = frame(TEXT, encode("json", [16, 1, {"acknowledge": True}, TOPIC, ["x" * 1000 * KIB]]))
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(joined(router.address)) for _ in range(20)]
        for client in clients:
            await client.socket.send(large)
            assert (await client.receive())[0] == 17
        # Without the fresh parser: 20 buffers of 2 MiB.
        assert router.resident_bytes - settled < 12 * MIB
        for client in clients:
            assert (await client.ask(32, 1, {}, TOPIC))[0] == 33


async def test_an_idle_session_costs_little(router: RouterProcess, settled: int) -> None:
    count = 400
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count):
            client = await stack.enter_async_context(joined(router.address))
            assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
        assert (router.resident_bytes - settled) / count < 16 * KIB


async def test_a_message_that_is_announced_and_never_sent_costs_nothing(
    router: RouterProcess, settled: int
) -> None:
    sockets = [await open_websocket(router.address) for _ in range(50)]
    for socket in sockets:
        await socket.send(frame(TEXT, b"[16", announced=MIB))
    await router.metrics()
    assert router.resident_bytes - settled < 4 * MIB


async def test_endless_empty_fragments_cost_nothing(router: RouterProcess, settled: int) -> None:
    socket = await open_websocket(router.address)
    await socket.send(frame(TEXT, b"", fin=False))
    for _ in range(40):
        await socket.send(frame(CONTINUATION, b"", fin=False) * 10_000)
    await socket.send_frame(PING, b"still there")
    assert (await socket.read_frame()).payload == b"still there"
    assert router.resident_bytes - settled < 4 * MIB


async def test_a_flood_of_unacknowledged_publications_to_nobody_costs_nothing(
    router: RouterProcess, settled: int
) -> None:
    async with joined(router.address) as publisher, joined(router.address) as bystander:
        message = frame(TEXT, encode("json", [16, 1, {}, TOPIC, ["x" * 200]]))
        flooding = asyncio.create_task(publisher.socket.send(message * 100_000))
        answered = 0
        while not flooding.done():
            assert (await bystander.ask(16, 1, {"acknowledge": True}, "com.example.other"))[0] == 17
            answered += 1
        await flooding
        assert (await publisher.ask(16, 1, {"acknowledge": True}, TOPIC))[0] == 17
        assert answered > 1
    assert router.resident_bytes - settled < 8 * MIB


async def test_calls_that_are_never_answered_are_bounded(router: RouterProcess, settled: int) -> None:
    async with joined(router.address) as client:
        await client.ask(64, 1, {}, "com.example.never")
        calls = [[48, n, {}, "com.example.never"] for n in range(2, 20_000)]
        sending = asyncio.create_task(client.send(*calls))
        refused = await _first_error(client)
        assert refused[:3] == [8, 48, 16_386]
        assert refused[4] == "heliograph.error.too_many_calls"
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert router.resident_bytes - settled < 24 * MIB


async def _first_error(client: WampClient) -> list[object]:
    while (message := await client.receive())[0] == 68:
        pass
    return message


async def test_connections_that_come_and_go_leave_nothing(router: RouterProcess, settled: int) -> None:
    for number in range(400):
        async with joined(router.address) as client:
            await client.send([32, 1, {}, f"com.example.t{number}"], [64, 2, {}, f"com.example.p{number}"])
            await client.receive()
            await client.receive()
            if number % 2:
                await client.socket.send_frame(0x8, struct.pack("!H", 1000))
    async with asyncio.timeout(10):
        while (metrics := await router.metrics())["transport_connections"] > 1:
            pass
    assert metrics["sessions"] == 0
    assert router.resident_bytes - settled < 6 * MIB


async def test_a_client_that_asks_much_and_reads_nothing_is_made_to_wait(
    router: RouterProcess, settled: int
) -> None:
    connection = await Connection.open(router.address)
    connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
    requests = http_request("GET", "/metrics") * 8

    async def ask() -> None:
        for _ in range(20_000):
            await connection.send(requests)

    asking = asyncio.create_task(ask())
    async with joined(router.address) as client:
        for _ in range(200):
            assert (await client.ask(16, 1, {"acknowledge": True}, TOPIC))[0] == 17
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert router.resident_bytes - settled < 8 * MIB
