"""An agent and a router as processes of their own, whose output a test can wait for."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

AMPLE_S = 20.0


class OwnProcess:
    """A child process that tells what it does, line by line."""

    def __init__(self, process: asyncio.subprocess.Process, stream: asyncio.StreamReader) -> None:
        self.process = process
        self.log: list[str] = []
        self._stream = stream

    async def until_logged(self, text: str) -> str:
        """Return the next line that has *text*."""
        try:
            async with asyncio.timeout(AMPLE_S):
                while line := (await self._stream.readline()).decode():
                    self.log.append(line)
                    if text in line:
                        return line
        except TimeoutError:
            raise AssertionError(f"not logged in {AMPLE_S} s: {text!r}; but: {''.join(self.log)}") from None
        raise AssertionError(f"it ended without logging {text!r}; but: {''.join(self.log)}")

    async def ended(self) -> int:
        """Return the exit code, once there is one."""
        async with asyncio.timeout(AMPLE_S):
            return await self.process.wait()

    async def kill(self) -> None:
        """End it at once, if it still runs, and read what is left of its pipe, so that its transport closes."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()


@asynccontextmanager
async def agent_process(*arguments: str) -> AsyncIterator[OwnProcess]:
    """Run an agent with *arguments*; it is killed at the end if it still runs."""
    agent = await _start("-m", "heliograph.agent", *arguments)
    try:
        yield agent
    finally:
        await agent.kill()


@asynccontextmanager
async def router_process(directory: Path, *, port: int = 0) -> AsyncIterator[tuple[OwnProcess, int]]:
    """Run a router with realm `realm1` open to all on `/ws`; yields it and its port once it listens."""
    (directory / "config.json").write_text(json.dumps(_ROUTER_CONFIGURATION))
    listen = f"127.0.0.1:{port}"
    router = await _start("-m", "heliograph", "start", "--cbdir", str(directory), "--listen", listen)
    try:
        ready = await router.until_logged("Heliograph ready:")
        yield router, int(ready.rstrip().rstrip("/").rpartition(":")[2])
    finally:
        await router.kill()


async def _start(*arguments: str) -> OwnProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    assert process.stdout is not None
    return OwnProcess(process, process.stdout)


_ALLOW_ALL = {"publish": True, "subscribe": True, "call": True, "register": True}
_ROUTER_CONFIGURATION = {
    "version": 2,
    "workers": [
        {
            "type": "router",
            "realms": [
                {
                    "name": "realm1",
                    "roles": [
                        {
                            "name": "anonymous",
                            "permissions": [{"uri": "", "match": "prefix", "allow": _ALLOW_ALL}],
                        }
                    ],
                }
            ],
            "transports": [
                {
                    "type": "web",
                    "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 8080},
                    "paths": {"ws": {"type": "websocket"}},
                }
            ],
        }
    ],
}
