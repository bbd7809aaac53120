"""Heliograph itself, with the interpreter that runs the benchmarks."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.peer import (
    Peer,
    Server,
    Wants,
    await_port,
    await_websocket,
    free_port,
    nothing_to_set_up,
    running,
    scratch,
)
from benchmarks.peers.wamp import configuration


@contextlib.contextmanager
def _run(wants: Wants) -> Iterator[Server]:
    port = free_port()
    document = configuration(port, wants)
    # One session makes the whole crowd of subscriptions that are measured beside; others have no limit.
    document["workers"][0]["realms"][0]["options"] = {"subscriptions_limit": 1_000_000}
    if not wants.site:
        del document["workers"][0]["transports"][0]["paths"]["/"]
    if wants.policy is not None:
        document["workers"][0]["transports"][0]["paths"]["ws"]["outbox"] = {"policy": wants.policy}
    with scratch() as directory:
        (directory / "config.json").write_text(json.dumps(document))
        command = [
            sys.executable,
            "-m",
            "heliograph",
            "start",
            "--cbdir",
            str(directory),
            "--loglevel",
            "error",
        ]
        started = time.monotonic()
        with running(command) as pid:
            if wants.tls:
                ready_s = await_port(pid, port, started)
            else:
                ready_s = await_websocket(pid, port, "/ws", "wamp.2.json", started)
            yield Server(port, (pid,), ready_s, post_path="/notify", tls=wants.tls)


PEER = Peer(
    title=lambda: f"Heliograph {version('heliograph')}",
    absent=lambda: None,
    set_up=nothing_to_set_up,
    run=_run,
    answers=frozenset(
        {
            "fanout", "formats", "patterns", "post", "latency", "rpc", "connect", "memory", "startup", "publish-api",
            "busy-site", "slow-reader", "growth", "hostile",
        }
    ),
    packages=lambda: (Path(sys.executable), ("heliograph[router]",)),
)  # fmt: skip
