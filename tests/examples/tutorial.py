"""Where the tutorial is, and a reader's way of starting its programs."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "examples" / "django-tutorial"


def environment(**variables: str) -> dict[str, str]:
    """The environment a reader has after activating the virtual environment, and some variables more."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, **variables}


@contextmanager
def running(
    command: str, directory: Path, *, ready: str, timeout_s: float = 30, **variables: str
) -> Iterator[str]:
    """Start a command, wait for a line with `ready` in it, stop it again by its process id.

    Yields that line. Raises AssertionError when no such line comes in time. What it said is printed at the
    end, so a failing test shows it.
    """
    process = subprocess.Popen(
        command.split(),
        cwd=directory,
        env=environment(PYTHONUNBUFFERED="1", **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said: list[str] = []
    decided = threading.Event()

    def read_on() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if ready in line:
                decided.set()
        decided.set()  # it has ended

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        decided.wait(timeout_s)
        line = next((line for line in said if ready in line), None)
        assert line is not None, f"`{command}` said no {ready!r} within {timeout_s} s"
        yield line.rstrip()
    finally:
        _stop(process)
        reader.join()
        assert process.stdout is not None
        process.stdout.close()
        print(f"--- `{command}` said:\n{''.join(said)}---")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
