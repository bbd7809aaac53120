"""The agent as a process: signals, what it imports, what it weighs."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.agent.processes import AMPLE_S, agent_process

NEVER_IMPORTED = (
    *("uvloop", "click", "cbor2", "urllib3", "requests", "django", "yaml", "uvicorn", "starlette", "aiohttp"),
    *("httptools", "urllib.request", "multiprocessing", "concurrent.futures.process", "sqlite3", "xml", "unittest"),
    *(f"heliograph.{room}" for room in ("routing", "transports", "http", "config", "node", "processes", "django")),
    *("heliograph.cluster", "heliograph.monitor", "heliograph.testing", "heliograph.cli"),
)  # fmt: skip


@pytest.fixture
def url_of_nobody() -> Iterator[str]:
    """A port that is taken but not listened on: every connection is refused."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{unused.getsockname()[1]}/ws"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send these signals to another process")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_though_no_router_is_there(
    url_of_nobody: str, number: signal.Signals
) -> None:
    async with agent_process("--url", url_of_nobody, "--client", "web-1") as agent:
        await agent.until_logged("agent web-1 connects to")
        agent.process.send_signal(number)
        await agent.until_logged(f"{number.name}: stopping")
        assert await agent.ended() == 0
        assert not any("Traceback" in line for line in agent.log)


async def test_a_wrong_option_is_told_in_one_line_after_the_usage() -> None:
    async with agent_process("--url", "ws://127.0.0.1:1/ws", "--client", "Web 1") as agent:
        told = await agent.until_logged("error:")
        assert "argument --client: 'Web 1' is no client name" in told
        assert await agent.ended() == 2


async def test_a_realm_that_cannot_be_one_ends_it_with_one_line(url_of_nobody: str) -> None:
    async with agent_process("--url", url_of_nobody, "--client", "web-1", "--realm", "no realm") as agent:
        assert "heliograph agent: realm: " in await agent.until_logged("heliograph agent:")
        assert await agent.ended() == 1
        assert len(agent.log) == 1


def test_it_imports_neither_router_nor_web_framework_nor_heavy_parts_of_the_standard_library() -> None:
    script = "import sys, heliograph.agent.__main__, heliograph.agent.service; print(*sys.modules)"
    listed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=AMPLE_S, check=True
    )
    imported = listed.stdout.split()
    assert "psutil" in imported
    heavy = [
        name
        for name in imported
        if any(name == each or name.startswith(f"{each}.") for each in NEVER_IMPORTED)
    ]
    assert heavy == []


def test_its_options_are_shown_without_psutil_being_imported() -> None:
    script = "import sys, heliograph.agent.cli; print(*sys.modules)"
    listed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=AMPLE_S, check=True
    )
    assert {"psutil", "asyncio", "picows"}.isdisjoint(listed.stdout.split())


async def test_it_stays_small(url_of_nobody: str) -> None:
    """The goal is 30 MiB; this generous bound catches a heavy import, not a kilobyte."""
    async with agent_process("--url", url_of_nobody, "--client", "web-1") as agent:
        await agent.until_logged("agent web-1 connects to")
        resident_bytes = psutil.Process(agent.process.pid).memory_info().rss
    assert resident_bytes < 45 * 2**20
