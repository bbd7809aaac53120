"""What every peer has: a way to run it, and processes whose CPU and memory are counted."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


class Wants(NamedTuple):
    """What a question wants of a server beside its port.

    Attributes:
        tls: WebSocket over TLS.
        site: a Django site of its own on the same port.
        policy: what happens to a receiver that is behind, where that can be chosen; None for what comes by itself.
    """

    tls: bool = False
    site: bool = False
    policy: str | None = None


class Server(NamedTuple):
    """A server that runs on 127.0.0.1.

    Attributes:
        port: where it listens.
        pids: its first processes; their descendants count as well.
        ready_s: seconds from its start until it took a WebSocket.
        dialect: the load generator's word for what it speaks.
        path: where subscribers connect; in this and the next two, `{topic}` stands for the topic.
        publish_path: where publishers connect.
        post_path: where events are posted, or None.
        body: the form of a posted event: `wamp` for the bridge's, `plain` for the bare payload.
        tls: whether the port speaks TLS.
        cores: how many it can use for events.
    """

    port: int
    pids: tuple[int, ...]
    ready_s: float
    dialect: str = "wamp-json"
    path: str = "/ws"
    publish_path: str = "/ws"
    post_path: str | None = None
    body: str = "wamp"
    tls: bool = False
    cores: int = 1

    def options(self) -> dict[str, object]:
        """Return what the load generator has to be told of it."""
        return {
            "port": self.port,
            "dialect": self.dialect,
            "path": self.path,
            "publish_path": self.publish_path,
            "post_path": self.post_path or "-",
            "body": self.body,
            "tls": int(self.tls),
        }

    def cpu_s(self) -> float:
        """Return the CPU seconds its processes and all descendants have used."""
        return sum(_cpu_s(pid) for pid in self._family())

    def memory_mib(self) -> float:
        """Return the memory of all its processes; what they share counts once."""
        return sum(_pss_mib(pid) for pid in self._family())

    def _family(self) -> list[int]:
        family = list(self.pids)
        for member in family:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for task in Path(f"/proc/{member}/task").iterdir():
                    family += [int(child) for child in (task / "children").read_text().split()]
        return family


class Peer(NamedTuple):
    """A kind of server.

    Attributes:
        title: returns its name with its version.
        absent: returns why it cannot be measured here, or None.
        set_up: installs it, as far as that is possible.
        run: runs it as wanted.
        answers: the questions it can be asked.
        packages: returns the Python of its own environment and the distributions that bring it, or None.
    """

    title: Callable[[], str]
    absent: Callable[[], str | None]
    set_up: Callable[[], None]
    run: Callable[[Wants], contextlib.AbstractContextManager[Server]]
    answers: frozenset[str]
    packages: Callable[[], tuple[Path, tuple[str, ...]] | None] = lambda: None


def nothing_to_set_up() -> None:
    """Do nothing: the peer is there or is given by hand."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory for a server's files, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="heliograph-benchmarks-") as directory:
        yield Path(directory)


@contextlib.contextmanager
def running(
    command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None
) -> Iterator[int]:
    """Run `command` in a process group of its own and stop that group; yields the process id.

    Its standard error goes to a file that is shown when it does not start.
    """
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
        try:
            yield process.pid
        except NotReady as error:
            log.seek(0)
            raise NotReady(f"{error}; the end of its log: {log.read()[-2000:]}") from error
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class NotReady(Exception):  # noqa: N818 - says what happened
    """A server did not get ready."""


def await_websocket(pid: int, port: int, path: str, subprotocol: str, started: float) -> float:
    """Return how many seconds after `started` the path took a WebSocket: a port may listen before its paths are there.

    Raises:
        NotReady: the process ended, or it took too long.
    """
    handshake = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    )
    offer = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    request = f"{handshake}{offer}\r\n".encode()
    return _await(pid, port, lambda: _upgrades(port, request), started)


def await_port(pid: int, port: int, started: float) -> float:
    """Return how many seconds after `started` the port took a connection."""
    return _await(pid, port, lambda: _connects(port), started)


def _await(pid: int, port: int, is_ready: Callable[[], bool], started: float) -> float:
    while not is_ready():
        elapsed = time.monotonic() - started
        if not Path(f"/proc/{pid}/stat").exists() or _state(pid) == "Z":
            raise NotReady("the server ended before it was ready")
        if elapsed > START_TIMEOUT_S:
            raise NotReady(f"no answer at port {port} after {elapsed:.0f} s")
        time.sleep(0.005)
    return time.monotonic() - started


def _upgrades(port: int, request: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request)
            return connection.recv(64).startswith(b"HTTP/1.1 101")
    except OSError:
        return False


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name, whose first is the state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _state(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return _stat(pid)[0]
    return "Z"


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, with those of children that have ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return sum(int(ticks) for ticks in _stat(pid)[11:15]) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _pss_mib(pid: int) -> float:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
