"""Minutes of steady load with clients that come and go: every event arrives, and memory stays where it was.

HELIOGRAPH_SOAK_S sets the duration in seconds (300 by default).
"""

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from heliograph.client import Event, Session, connect
from heliograph.config.starter import write_starter
from tests.support.programs import router

DURATION_S = float(os.environ.get("HELIOGRAPH_SOAK_S", "300"))
SUBSCRIBERS = 50
EVENTS_PER_S = 100
LARGEST_GROWTH_BYTES = 16 * 2**20
PAYLOAD = "x" * 300
END = "end"


@pytest.mark.soak
async def test_under_steady_load_every_event_arrives_and_memory_does_not_grow(tmp_path: Path) -> None:
    write_starter(tmp_path / ".heliograph", "config.yaml")
    with router(tmp_path) as (address, program):
        url = address.replace("http://", "ws://") + "/ws"
        process = psutil.Process(program.pid)
        joined = asyncio.Barrier(SUBSCRIBERS + 1)
        async with asyncio.TaskGroup() as group:
            counts = [group.create_task(_count(url, joined)) for _ in range(SUBSCRIBERS)]
            await joined.wait()

            sent = await _publish(
                url, min(30.0, DURATION_S / 4)
            )  # warm up: buffers and caches reach their size
            before_bytes = process.memory_info().rss
            sent += await _publish(url, DURATION_S)
            growth_bytes = process.memory_info().rss - before_bytes
            async with connect(url, realm="realm1") as session:
                await session.publish_event("clientstats", [END], acknowledge=True)

    assert [count.result() for count in counts] == [sent] * SUBSCRIBERS
    assert growth_bytes < LARGEST_GROWTH_BYTES, f"{growth_bytes / 2**20:.1f} MiB more after {sent} events"


async def _count(url: str, joined: asyncio.Barrier) -> int:
    """Subscribe, and count the events until the one that says it is the last."""
    count = 0
    ended = asyncio.Event()

    def receive(event: Event) -> None:
        nonlocal count
        if event.args[0] == END:
            ended.set()
        else:
            count += 1

    async with connect(url, realm="realm1") as session:
        await session.subscribe(receive, "clientstats")
        await joined.wait()
        await asyncio.wait_for(ended.wait(), DURATION_S * 2 + 60)
    return count


async def _publish(url: str, duration_s: float) -> int:
    """Publish at a steady rate, each second over a new connection; returns how many."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + duration_s
    sent = 0
    while loop.time() < end_s:
        async with connect(url, realm="realm1") as session:
            sent += await _publish_for_a_second(session)
    return sent


async def _publish_for_a_second(session: Session) -> int:
    for _ in range(EVENTS_PER_S - 1):
        await session.publish("clientstats", PAYLOAD)
        await asyncio.sleep(1 / EVENTS_PER_S)
    await session.publish_event(
        "clientstats", [PAYLOAD], acknowledge=True
    )  # after it, all have been accepted
    return EVENTS_PER_S
