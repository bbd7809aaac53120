"""Real routers for tests: in this process, or as `heliograph start` runs them."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from heliograph.config import check
from heliograph.http.port import HttpPort
from heliograph.node import Node
from heliograph.transports.websocket import WebSocketConnection
from tests.support.websocket import DEADLINE_S, Address, abort_all_connections, request

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0

ALLOW_ALL = {"call": True, "register": True, "publish": True, "subscribe": True}
OPEN_REALM = {
    "name": "realm1",
    "roles": [{"name": "anonymous", "permissions": [{"uri": "", "match": "prefix", "allow": ALLOW_ALL}]}],
}
USUAL_PATHS: dict[str, Any] = {
    "ws": {"type": "websocket"},
    "notify": {"type": "publisher", "realm": "realm1", "role": "anonymous"},
    "call": {"type": "caller", "realm": "realm1", "role": "anonymous"},
    "metrics": {"type": "metrics"},
}


def web_transport(paths: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Return a transport on a free port of loopback."""
    return {
        "type": "web",
        "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
        "paths": paths or USUAL_PATHS,
        "options": options,
    }


def rawsocket_transport(**more: Any) -> dict[str, Any]:
    """Return a transport on a free port of loopback."""
    endpoint = {"type": "tcp", "port": 0, "interface": "127.0.0.1"}
    return {"type": "rawsocket", "endpoint": endpoint, **more}


def node_config(*transports: dict[str, Any], realm: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a configuration with one router."""
    worker = {
        "type": "router",
        "realms": [realm or OPEN_REALM],
        "transports": list(transports) or [web_transport()],
    }
    return {"version": 2, "workers": [worker]}


class RunningNode:
    """A node in this process."""

    def __init__(self, node: Node, addresses: list[str]) -> None:
        self.node = node
        self.names = addresses
        self.addresses: list[Address] = [
            (host, int(port)) for host, _, port in (name.rpartition(":") for name in addresses) if host
        ]

    @property
    def address(self) -> Address:
        return self.addresses[0]

    @property
    def router(self) -> Any:
        return self.node._routers[0][1]

    @property
    def connections(self) -> "list[WebSocketConnection]":
        """The router's end of all WebSockets."""
        return [
            connection
            for port in self.node._ports
            for service in port.services
            for connection in service._connections
        ]

    @property
    def http(self) -> HttpPort:
        """The HTTP side of the first port."""
        (http,) = [part for part in self.node._ports[0].others if isinstance(part, HttpPort)]
        return http

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until something is true that nothing announces."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - the router sets no events for tests
                await asyncio.sleep(0.001)

    def counter(self, name: str) -> int:
        """Return a transport's or the router's counter, added up over all of its transports."""
        values = [metric.value for metric in self.node.metrics() if metric.name == name]
        assert values, f"no metric {name}"
        return int(sum(values))


@contextlib.asynccontextmanager
async def running_node(
    config: dict[str, Any] | None = None, *, directory: Path = Path("/nonexistent")
) -> AsyncIterator[RunningNode]:
    """A node in this process until the block ends."""
    checked = check(config or node_config(), node_directory=directory)
    assert checked.options is not None, checked.problems
    node = Node(checked.options, node_directory=directory)
    addresses = await node.start()
    try:
        yield RunningNode(node, addresses)
    finally:
        await abort_all_connections()
        await asyncio.wait_for(node.stop(), STOP_TIMEOUT_S)
        # The loop tells transports of their end in its next turn.
        await asyncio.sleep(0)
        await asyncio.sleep(0)


class RouterProcess:
    """A router as people run it."""

    def __init__(self, process: "subprocess.Popen[str]", errors: Path, ready_line: str) -> None:
        self.process = process
        self.errors = errors
        self.ready_line = ready_line
        self.addresses: list[Address] = []
        """Of its TCP ports, in the configuration's order."""
        self.doors: Any = None
        """Set by `links.linked_router`."""
        for url in ready_line.split()[2:]:
            if url.startswith("unix:"):
                continue
            host, _, port = url.partition("://")[2].rstrip("/").rpartition(":")
            if port.isdecimal():  # else it is a Unix socket
                self.addresses.append((host, int(port)))

    @property
    def address(self) -> Address:
        return self.addresses[0]

    @property
    def resident_bytes(self) -> int:
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * 4096

    async def metrics(self) -> dict[str, float]:
        """Return the metrics by name, those of several transports added up."""
        response = await request(self.address, "GET", "/metrics")
        assert response.status == 200, response
        values: dict[str, float] = {}
        for line in response.body.decode().splitlines():
            if not line.startswith("#"):
                name, _, value = line.partition(" ")
                name = name.partition("{")[0].removeprefix("heliograph_")
                values[name] = values.get(name, 0) + float(value.rpartition(" ")[2])
        return values

    def terminate(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)


@contextlib.contextmanager
def router_process(
    directory: Path,
    config: dict[str, Any] | None = None,
    *,
    port: int = 0,
    loglevel: str = "info",
    python: str = sys.executable,
) -> Iterator[RouterProcess]:
    """A router in a process of its own; it must have ended well and complained about nothing."""
    (directory / "config.json").write_text(json.dumps(config or node_config()))
    errors = directory / "stderr.txt"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [
                *(python, "-m", "heliograph", "start"),
                *("--cbdir", str(directory), "--listen", f"127.0.0.1:{port}", "--loglevel", loglevel),
            ],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        ready_line = process.stdout.readline()
        watchdog.cancel()
        assert ready_line.startswith("Heliograph ready: "), errors.read_text()
        router = RouterProcess(process, errors, ready_line)
        yield router
        if process.poll() is None:
            assert router.terminate() == 0, errors.read_text()
        assert "Traceback" not in errors.read_text(), errors.read_text()
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def echo_process(directory: Path) -> Iterator[Address]:
    """The echo server for fuzzers; yields where it listens. It must have ended well and complained about nothing."""
    errors = directory / "echo-stderr.txt"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "heliograph.testing.echo"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        ready_line = process.stdout.readline()
        watchdog.cancel()
        assert ready_line.startswith("Heliograph echo ready: ws://"), errors.read_text()
        host, _, port = ready_line.rstrip("/\n").rpartition("/")[2].rpartition(":")
        yield host, int(port)
        process.terminate()
        assert process.wait(STOP_TIMEOUT_S) == 0, errors.read_text()
        assert errors.read_text() == ""
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
