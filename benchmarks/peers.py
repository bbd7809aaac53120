"""The servers that are measured: each is started, asked where it listens, and stopped."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benchmarks.building import CROSSBAR, CROSSBAR_VERSION, program

START_TIMEOUT_S = 60.0

_HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
)


class Server(NamedTuple):
    """A server that runs.

    Attributes:
        port: on 127.0.0.1; WAMP is at /ws, the bridge at /notify.
        pid: of its first process.
    """

    port: int
    pid: int

    def cpu_s(self) -> float:
        """Return the CPU seconds its process and all descendants have used."""
        return sum(_cpu_s(pid) for pid in _family(self.pid))

    def rss_mib(self) -> float:
        """Return the resident memory of all its processes."""
        return sum(_rss_mib(pid) for pid in _family(self.pid))


class Peer(NamedTuple):
    """A kind of server.

    Attributes:
        title: with its version.
        absent: why it cannot be measured here, or None.
        run: a context manager that runs it.
        has_bridge: whether it takes POSTs.
    """

    title: str
    absent: Callable[[], str | None]
    run: Callable[[], contextlib.AbstractContextManager[Server]]
    has_bridge: bool


def _configuration(port: int) -> dict[str, object]:
    """Return the same configuration for Heliograph and Crossbar.io."""
    everything = {"publish": True, "subscribe": True, "call": True, "register": True}
    role = {"name": "anonymous", "permissions": [{"uri": "", "match": "prefix", "allow": everything}]}
    transport = {
        "type": "web",
        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": port},
        "paths": {
            "/": {"type": "static", "directory": "."},
            "ws": {"type": "websocket", "serializers": ["json"]},
            "notify": {"type": "publisher", "realm": "realm1", "role": "anonymous"},
        },
    }
    worker = {
        "type": "router",
        "realms": [{"name": "realm1", "roles": [role]}],
        "transports": [transport],
    }
    return {"version": 2, "workers": [worker]}


@contextlib.contextmanager
def _process(command: list[str], cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _line(process: subprocess.Popen[str], pattern: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(pattern, line):
            return found[1]
    raise RuntimeError(f"{process.args} ended before it was ready")


@contextlib.contextmanager
def _heliograph() -> Iterator[Server]:
    configuration = _configuration(0)
    paths = configuration["workers"][0]["transports"][0]["paths"]  # type: ignore[index]  # our own dict
    del paths["/"]
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "config.json").write_text(json.dumps(configuration))
        command = [sys.executable, "-m", "heliograph", "start", "--cbdir", directory, "--loglevel", "error"]
        with _process(command) as process:
            port = int(_line(process, r"ready: http://127\.0\.0\.1:(\d+)/"))
            yield Server(port, process.pid)


@contextlib.contextmanager
def _crossbar() -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "config.json").write_text(json.dumps(_configuration(port)))
        command = [str(CROSSBAR), "start", "--cbdir", directory, "--loglevel", "error"]
        with _process(command) as process:
            _wait_for_websocket(port)
            yield Server(port, process.pid)


@contextlib.contextmanager
def _floor() -> Iterator[Server]:
    with _process([str(program("floor")), "0"]) as process:
        yield Server(int(_line(process, r"(\d+)")), process.pid)


def _wait_for_websocket(port: int) -> None:
    """Return when /ws takes WebSockets: Crossbar.io listens before its paths are there."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _upgrades(port):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no WebSocket endpoint at port {port} after {START_TIMEOUT_S:g} s")
        time.sleep(0.1)


def _upgrades(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(_HANDSHAKE)
            return connection.recv(64).startswith(b"HTTP/1.1 101")
    except OSError:
        return False


def _family(pid: int) -> list[int]:
    """Return `pid` and its descendants that are alive."""
    family = [pid]
    for member in family:
        with contextlib.suppress(FileNotFoundError):
            for task in Path(f"/proc/{member}/task").iterdir():
                family += [int(child) for child in (task / "children").read_text().split()]
    return family


def _cpu_s(pid: int) -> float:
    with contextlib.suppress(FileNotFoundError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _rss_mib(pid: int) -> float:
    with contextlib.suppress(FileNotFoundError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0


def _crossbar_absent() -> str | None:
    return None if CROSSBAR.exists() else "not installed: python -m benchmarks setup"


PEERS = {
    "heliograph": Peer(f"Heliograph {version('heliograph')}", lambda: None, _heliograph, has_bridge=True),
    "crossbar": Peer(f"Crossbar.io {CROSSBAR_VERSION}", _crossbar_absent, _crossbar, has_bridge=True),
    "floor": Peer("C, one send() a delivery", lambda: None, _floor, has_bridge=False),
}
