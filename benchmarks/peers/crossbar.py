"""Crossbar.io, in a virtual environment of its own: its dependencies do not fit into ours."""

import contextlib
import json
import time
from collections.abc import Iterator

from benchmarks.building import environment, install_environment, is_installed
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
from benchmarks.peers.wamp import configuration

VERSION = "26.10.1"
# requests is what people publish with; Django is for the site beside it.
REQUIREMENTS = (f"crossbar=={VERSION}", "requests", "Django~=5.2")


@contextlib.contextmanager
def _run(wants: Wants) -> Iterator[Server]:
    port = free_port()
    with scratch() as directory:
        (directory / "config.json").write_text(json.dumps(configuration(port, wants)))
        program = environment("crossbar").with_name("crossbar")
        command = [str(program), "start", "--cbdir", str(directory), "--loglevel", "error"]
        started = time.monotonic()
        with running(command) as pid:
            if wants.tls:
                ready_s = await_port(pid, port, started)
            else:
                ready_s = await_websocket(pid, port, "/ws", "wamp.2.json", started)
            yield Server(port, (pid,), ready_s, post_path="/notify", tls=wants.tls)


PEER = Peer(
    title=lambda: f"Crossbar.io {VERSION}",
    absent=lambda: None if is_installed("crossbar", *REQUIREMENTS) else "not installed: python -m benchmarks setup",
    set_up=lambda: install_environment("crossbar", *REQUIREMENTS),
    run=_run,
    answers=frozenset(
        {
            "fanout", "patterns", "post", "latency", "rpc", "connect", "memory", "startup", "publish-api",
            "busy-site", "slow-reader", "growth",
        }
    ),
    packages=lambda: (environment("crossbar"), ("crossbar",)),
)  # fmt: skip
