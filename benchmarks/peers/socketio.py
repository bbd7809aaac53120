"""python-socketio under uvicorn."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.building import environment, install_environment, is_installed
from benchmarks.peers.peer import Peer, Server, Wants, await_websocket, free_port, running

VERSION = "5.18.1"
REQUIREMENTS = (f"python-socketio=={VERSION}", "uvicorn[standard]==0.54.0")
PATH = "/socket.io/?EIO=4&transport=websocket"


@contextlib.contextmanager
def _run(_wants: Wants) -> Iterator[Server]:
    port = free_port()
    command = [
        str(environment("socketio")), "-m", "uvicorn", "socketio_application:application", "--host", "127.0.0.1",
        "--port", str(port), "--log-level", "critical",
    ]  # fmt: skip
    started = time.monotonic()
    with running(command, cwd=Path(__file__).parent / "applications") as pid:
        ready_s = await_websocket(pid, port, PATH, "", started)
        yield Server(port, (pid,), ready_s, dialect="socketio", path=PATH, publish_path=PATH)


PEER = Peer(
    title=lambda: f"python-socketio {VERSION}",
    absent=lambda: (
        None if is_installed("socketio", *REQUIREMENTS) else "not installed: python -m benchmarks setup"
    ),
    set_up=lambda: install_environment("socketio", *REQUIREMENTS),
    run=_run,
    answers=frozenset({"fanout", "connect", "memory", "startup"}),
    packages=lambda: (environment("socketio"), REQUIREMENTS),
)
