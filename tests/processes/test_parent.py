"""A child ends when its parent has, however that died."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SUPERVISES_ONE = """
import asyncio, sys, logging
from heliograph.processes.child import ChildProcess
from heliograph.processes.options import ChildOptions

logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)

async def main():
    argv = (sys.executable, "-m", "heliograph.processes.module_runner", "forever", "a b")
    ChildProcess(ChildOptions(name="child", argv=argv)).start()
    await asyncio.Event().wait()

asyncio.run(main())
"""

FOREVER = """
import os, signal, subprocess, sys
below = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("pids", os.getpid(), below.pid, sys.argv[1:], __name__, flush=True)
signal.pause()
"""


async def test_a_supervised_module_and_its_children_end_when_the_parent_is_killed(
    tmp_path: Path, is_running: Callable[[int], bool], eventually: Any
) -> None:
    (tmp_path / "forever.py").write_text(FOREVER)
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SUPERVISES_ONE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    try:
        assert parent.stdout is not None
        line = (await asyncio.wait_for(parent.stdout.readline(), 20)).decode()
        words = line.removeprefix("child: pids ").split(maxsplit=2)
        children = [int(words[0]), int(words[1])]
        assert words[2].strip() == "['a b'] __main__"
        assert all(map(is_running, children))
    finally:
        parent.send_signal(signal.SIGKILL)
        await parent.communicate()
    await eventually(lambda: not any(map(is_running, children)))


@pytest.mark.parametrize("module", ["heliograph.processes.module_runner"])
async def test_a_supervised_module_started_by_hand_says_so(module: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, "forever", stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert "cannot be started by hand" in errors.decode()
