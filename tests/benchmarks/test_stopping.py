"""Whoever stops the benchmarks finds nothing of them left."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition that nothing announces holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def command_lines(mark: str) -> list[str]:
    """Return the command lines of the processes whose environment holds `mark`; those that have ended have none."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (directory / "environ").read_bytes():
                found.append((directory / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked for in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_server_and_the_load(number: signal.Signals, code: int, tmp_path: Path) -> None:
    mark = f"BENCHMARKS_MARK={uuid.uuid4()}"
    name, _, value = mark.partition("=")
    asked = ["fanout", "--peers", "heliograph", "--seconds", "600", "--results", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *asked],
        cwd=ROOT,
        env={**os.environ, name: value},
        stderr=subprocess.DEVNULL,
    ) as benchmarks:
        try:
            eventually(lambda: any("/load fanout" in line for line in command_lines(mark)))
            assert any("heliograph start" in line for line in command_lines(mark))
            benchmarks.send_signal(number)
            assert benchmarks.wait(DEADLINE_S) == code
        finally:
            benchmarks.kill()
    eventually(lambda: not command_lines(mark))
    assert list(tmp_path.iterdir()) == []
