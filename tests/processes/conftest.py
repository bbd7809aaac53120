"""Child processes that are Python one-liners."""

import asyncio
import logging
import os
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from heliograph.processes.child import ChildProcess
from heliograph.processes.options import ChildOptions

DEADLINE_S = 20.0

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def eventually() -> Eventually:
    """Wait until a condition that nothing announces holds, such as another process's end."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 (another process sets no event of ours)
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
async def spawn() -> AsyncIterator[Callable[..., ChildProcess]]:
    """Start a child that runs the given Python code, and stop it at the end."""
    children: list[ChildProcess] = []

    def start(code: str, *, ready: Any = None, prepare: Any = None, **options: Any) -> ChildProcess:
        argv = (sys.executable, "-c", textwrap.dedent(code))
        child = ChildProcess(
            ChildOptions(name="child", argv=options.pop("argv", argv), **options),
            ready=ready,
            prepare=prepare,
        )
        children.append(child)
        child.start()
        return child

    yield start
    await asyncio.gather(*(child.stop() for child in children))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was logged by and about children so far."""
    caplog.set_level(logging.INFO, "heliograph.processes")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "heliograph.processes"]


@pytest.fixture
def is_running() -> Callable[[int], bool]:
    """Tell whether a process exists and is no zombie."""

    def check(pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                return file.read().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    if not os.path.isdir("/proc/self"):
        pytest.skip("needs /proc")
    return check
