"""nexus, a WAMP router in Go: measured where NEXUSD names its binary."""

import contextlib
import functools
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers.peer import (
    Peer,
    Server,
    Wants,
    await_websocket,
    free_port,
    nothing_to_set_up,
    running,
    scratch,
)

CORES = 2
"""As many as it makes use of beside the load generator; everybody else has one."""

# Where fewer messages may wait for a client, those of other clients make it lose some.
OUTBOX_MESSAGES = 1024


@contextlib.contextmanager
def _run(_wants: Wants) -> Iterator[Server]:
    port = free_port()
    document = {
        "websocket": {"address": f"127.0.0.1:{port}", "out_queue_size": OUTBOX_MESSAGES},
        "router": {"realms": [{"uri": "realm1", "anonymous_auth": True, "allow_disclose": True}]},
    }
    with scratch() as directory:
        path = directory / "nexus.json"
        path.write_text(json.dumps(document))
        started = time.monotonic()
        with running([os.environ["NEXUSD"], "-c", str(path)], env={"GOMAXPROCS": str(CORES)}) as pid:
            ready_s = await_websocket(pid, port, "/ws", "wamp.2.json", started)
            yield Server(port, (pid,), ready_s, cores=CORES)


@functools.cache
def _title() -> str:
    binary = os.environ.get("NEXUSD")
    if binary is None or not Path(binary).is_file():
        return "nexus"
    told = subprocess.run([binary, "-version"], capture_output=True, text=True, check=False).stdout
    version = told.removeprefix("version").strip().removeprefix("v") or "of unknown version"
    return f"nexus {version} on {CORES} cores"


def _absent() -> str | None:
    binary = os.environ.get("NEXUSD")
    if binary is None:
        return "not measured: NEXUSD=/path/to/nexusd names its binary"
    return None if Path(binary).is_file() else f"NEXUSD names no file: {binary}"


PEER = Peer(
    title=_title,
    absent=_absent,
    set_up=nothing_to_set_up,
    run=_run,
    answers=frozenset({"fanout", "patterns", "rpc", "connect", "memory", "startup"}),
)
