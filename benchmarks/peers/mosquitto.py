"""Mosquitto: MQTT over WebSocket, QoS 0."""

import contextlib
import time
from collections.abc import Iterator

from benchmarks.peers.debian import absence, install, program_path, version_of
from benchmarks.peers.peer import Peer, Server, Wants, await_websocket, free_port, running, scratch

# Mosquitto 2.0.11 gives up when WebSocket is all it listens for, so there is plain MQTT as well; without socket_domain
# it would listen for WebSocket on every interface.
CONFIGURATION = """
listener {plain_port} 127.0.0.1
listener {port} 127.0.0.1
socket_domain ipv4
protocol websockets
allow_anonymous true
persistence false
log_type none
set_tcp_nodelay true
"""


@contextlib.contextmanager
def _run(_wants: Wants) -> Iterator[Server]:
    port = free_port()
    with scratch() as directory:
        path = directory / "mosquitto.conf"
        path.write_text(CONFIGURATION.format(port=port, plain_port=free_port()))
        started = time.monotonic()
        with running([program_path("mosquitto") or "mosquitto", "-c", str(path)]) as pid:
            ready_s = await_websocket(pid, port, "/mqtt", "mqtt", started)
            yield Server(port, (pid,), ready_s, dialect="mqtt", path="/mqtt", publish_path="/mqtt")


PEER = Peer(
    title=lambda: f"Mosquitto {version_of('mosquitto')}",
    absent=lambda: absence("mosquitto", "mosquitto"),
    set_up=lambda: install("mosquitto"),
    run=_run,
    answers=frozenset({"fanout", "connect", "memory", "startup"}),
)
