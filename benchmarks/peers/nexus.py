"""nexus, a WAMP router in Go: measured where NEXUSD names its binary."""

import contextlib
import json
import os
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


@contextlib.contextmanager
def _run(_wants: Wants) -> Iterator[Server]:
    port = free_port()
    realm = {"uri": "realm1", "anonymousauth": True, "strict_uri": False, "allow_disclose": True}
    document = {"websocket": {"address": f"127.0.0.1:{port}"}, "router": {"realms": [realm], "debug": False}}
    with scratch() as directory:
        path = directory / "nexus.json"
        path.write_text(json.dumps(document))
        started = time.monotonic()
        with running([os.environ["NEXUSD"], "-c", str(path)]) as pid:
            ready_s = await_websocket(pid, port, "/ws", "wamp.2.json", started)
            yield Server(port, (pid,), ready_s)


def _absent() -> str | None:
    binary = os.environ.get("NEXUSD")
    if binary is None:
        return "not measured: NEXUSD=/path/to/nexusd names its binary"
    return None if Path(binary).is_file() else f"NEXUSD names no file: {binary}"


PEER = Peer(
    title=lambda: "nexus",
    absent=_absent,
    set_up=nothing_to_set_up,
    run=_run,
    answers=frozenset({"fanout", "patterns", "rpc", "connect", "memory", "startup"}),
)
