"""Django Channels with channels-redis, under uvicorn, beside a Redis of its own."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.building import environment, install_environment, is_installed
from benchmarks.peers.debian import absence, install, program_path
from benchmarks.peers.peer import (
    Peer,
    Server,
    Wants,
    await_port,
    await_websocket,
    free_port,
    running,
    scratch,
)

VERSION = "4.3.2"
REQUIREMENTS = (f"channels=={VERSION}", "channels-redis==4.3.0", "uvicorn[standard]==0.54.0", "Django~=5.2")
APPLICATIONS = Path(__file__).parent / "applications"


@contextlib.contextmanager
def redis() -> Iterator[tuple[int, int]]:
    """Run Redis without persistence; yields its process id and port."""
    port = free_port()
    with scratch() as directory:
        command = [
            program_path("redis-server") or "redis-server", "--port", str(port), "--bind", "127.0.0.1",
            "--save", "", "--appendonly", "no", "--dir", str(directory),
        ]  # fmt: skip
        started = time.monotonic()
        with running(command) as pid:
            await_port(pid, port, started)
            yield pid, port


@contextlib.contextmanager
def _run(_wants: Wants) -> Iterator[Server]:
    port = free_port()
    command = [
        str(environment("channels")), "-m", "uvicorn", "channels_application:application", "--host", "127.0.0.1",
        "--port", str(port), "--log-level", "critical", "--ws-ping-timeout", "600",
    ]  # fmt: skip
    started = time.monotonic()
    with (
        redis() as (redis_pid, redis_port),
        running(command, cwd=APPLICATIONS, env={"REDIS_PORT": str(redis_port)}) as pid,
    ):
        ready_s = await_websocket(pid, port, "/ws", "", started)
        yield Server(port, (pid, redis_pid), ready_s, dialect="text", publish_path="/publish")


def redis_port_of(server: Server) -> int:
    """Return the port of the Redis behind a server of ours, which a publisher needs."""
    arguments = Path(f"/proc/{server.pids[0]}/environ").read_bytes().split(b"\0")
    return next(int(entry.partition(b"=")[2]) for entry in arguments if entry.startswith(b"REDIS_PORT="))


def _absent() -> str | None:
    if not is_installed("channels", *REQUIREMENTS):
        return "not installed: python -m benchmarks setup"
    return absence("redis-server", "redis-server")


def _set_up() -> None:
    install_environment("channels", *REQUIREMENTS)
    if absence("redis-server", "redis-server"):
        install("redis-server")


PEER = Peer(
    title=lambda: f"Django Channels {VERSION} with Redis",
    absent=_absent,
    set_up=_set_up,
    run=_run,
    answers=frozenset({"fanout", "connect", "memory", "startup", "publish-api"}),
    packages=lambda: (environment("channels"), REQUIREMENTS),
)
