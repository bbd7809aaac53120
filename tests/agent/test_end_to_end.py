"""A real agent, a real router, real figures: started, configured, its router killed and started again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from heliograph.client import Event, connect
from tests.agent.clients_server import ClientsServer
from tests.agent.processes import AMPLE_S, agent_process, router_process

AT_ONCE_S = 5.0
"""Generous, but the next sample on schedule would come an hour later."""


async def next_sample(
    samples: asyncio.Queue[dict[str, Any]],
    wanted: Callable[[dict[str, Any]], bool],
    *,
    within_s: float = AMPLE_S,
) -> dict[str, Any]:
    """Return the next sample that is *wanted*; fails with the ones that came instead."""
    others = []
    try:
        async with asyncio.timeout(within_s):
            while not wanted(sample := await samples.get()):
                others.append(sample)
    except TimeoutError:
        raise AssertionError(f"no such sample within {within_s} s, but {others}") from None
    return sample


async def test_samples_come_obey_configurations_at_once_and_survive_the_routers_death(
    tmp_path: Path, server: ClientsServer
) -> None:
    server.answer = lambda handler: handler.reply(200, {"client": "web-1", "frequency": 3600})
    samples: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def keep(event: Event) -> None:
        samples.put_nowait(event.args[0])

    async with router_process(tmp_path) as (router, port):
        url = f"ws://127.0.0.1:{port}/ws"
        arguments = ("--url", url, "--client", "web-1", "--clients-url", server.url)
        async with connect(url) as page:
            await page.subscribe(keep, "clientstats")
            async with agent_process(*arguments) as agent:
                first = await next_sample(samples, lambda sample: sample["interval_s"] == 3600)
                assert first["client"] == "web-1"
                assert first["ip"] == "127.0.0.1"
                assert first["memory_total_bytes"] == psutil.virtual_memory().total
                assert len(first["cpu_percents"]) == psutil.cpu_count()
                assert server.requests == [("/clients/", {"client": ["web-1"], "ip": ["127.0.0.1"]})]

                await page.publish("clientconfig.web-1", {"frequency": 1, "show_memory": False})
                second = await next_sample(
                    samples, lambda sample: sample["interval_s"] == 1, within_s=AT_ONCE_S
                )
                assert second["interval_s"] == 1
                assert second["sequence"] == first["sequence"] + 1
                assert "memory_total_bytes" not in second
                await next_sample(samples, lambda sample: sample["sequence"] == second["sequence"] + 1)

                server.answer = lambda handler: handler.reply(200, {"client": "web-1", "frequency": 2})
                await router.kill()
                while not samples.empty():
                    samples.get_nowait()
                async with router_process(tmp_path, port=port):
                    again = await next_sample(samples, lambda sample: sample["interval_s"] == 2)
                    assert again["sequence"] > second["sequence"] + 1
                    await page.publish("clientconfig.web-1", {"frequency": 3})
                    await next_sample(samples, lambda sample: sample["interval_s"] == 3)

                    resident_bytes = psutil.Process(agent.process.pid).memory_info().rss
                    assert resident_bytes < 45 * 2**20
                    agent.process.send_signal(signal.SIGTERM)
                    assert await agent.ended() == 0


async def test_a_realm_that_does_not_exist_ends_the_agent_with_one_line(tmp_path: Path) -> None:
    async with router_process(tmp_path) as (_, port):
        url = f"ws://127.0.0.1:{port}/ws"
        async with agent_process("--url", url, "--client", "web-1", "--realm", "realm2") as agent:
            told = await agent.until_logged("heliograph agent:")
            assert "wamp.error.no_such_realm" in told
            assert await agent.ended() == 1
            assert not any("Traceback" in line for line in agent.log)
