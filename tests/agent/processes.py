"""An agent as a process of its own, whose log a test can wait for."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AMPLE_S = 20.0


class AgentProcess:
    """A running `python -m heliograph.agent`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.log: list[str] = []

    async def until_logged(self, text: str) -> str:
        """Return the next line of the log that has *text*."""
        stream = self.process.stderr
        assert stream is not None
        try:
            async with asyncio.timeout(AMPLE_S):
                while line := (await stream.readline()).decode():
                    self.log.append(line)
                    if text in line:
                        return line
        except TimeoutError:
            raise AssertionError(f"not logged in {AMPLE_S} s: {text!r}; but: {''.join(self.log)}") from None
        raise AssertionError(f"the agent ended without logging {text!r}; but: {''.join(self.log)}")

    async def ended(self) -> int:
        """Return the exit code, once there is one."""
        async with asyncio.timeout(AMPLE_S):
            return await self.process.wait()


@asynccontextmanager
async def agent_process(*arguments: str) -> AsyncIterator[AgentProcess]:
    """Run an agent with *arguments*; it is killed at the end if it still runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "heliograph.agent", *arguments),
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        yield AgentProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
        # Reads what is left of the pipe, so that its transport closes.
        await process.communicate()
