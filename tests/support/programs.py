"""Starts programs as a reader of the documentation does: by name, with the environment activated."""

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple


class Program(NamedTuple):
    """A program that is running: its process id, and the line that said it is ready."""

    pid: int
    line: str


def environment(**variables: str) -> dict[str, str]:
    """The environment a reader has after activating the virtual environment, and some variables more."""
    ours = ("DJANGO_", "HELIOGRAPH_", "CROSSBAR_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, **variables}


@contextmanager
def running(
    command: str, directory: Path, *, ready: str, variables: Mapping[str, str], timeout_s: float = 30
) -> Iterator[Program]:
    """Start a command, wait for a line with `ready` in it, stop it again by its process id.

    Raises AssertionError when no such line comes in time. What it said is printed at the
    end, so a failing test shows it.
    """
    process = subprocess.Popen(
        shlex.split(command),
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

    reader = threading.Thread(target=read_on, daemon=True)
    reader.start()
    try:
        decided.wait(timeout_s)
        line = next((line for line in said if ready in line), None)
        assert line is not None, f"`{command}` said no {ready!r} within {timeout_s} s"
        yield Program(process.pid, line.rstrip())
    finally:
        _stop(process)
        reader.join(timeout=20)
        assert not reader.is_alive(), f"`{command}` has ended, but left a child that holds its output"
        assert process.stdout is not None
        process.stdout.close()
        print(f"--- `{command}` said:\n{''.join(said)}---")


@contextmanager
def router(
    directory: Path, port: int = 0, *, variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[str, Program]]:
    """`heliograph start` in that directory, by default on a free port; yields its address and the program."""
    command = f"heliograph start --listen 127.0.0.1:{port}"
    with running(command, directory, ready="Heliograph ready: ", variables=variables) as program:
        yield program.line.removeprefix("Heliograph ready: ").rstrip("/"), program


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
