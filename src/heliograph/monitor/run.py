"""`heliograph monitor run`: router, site and agent as children of one small process that keeps them running."""

import asyncio
import contextlib
import fcntl
import ipaddress
import json
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from heliograph.logs.setup import set_up_logging
from heliograph.logs.writer import say
from heliograph.processes.child import ChildProcess
from heliograph.processes.options import ChildOptions
from heliograph.processes.python import python_command
from heliograph.processes.supervisor import Supervisor

STARTUP_TIMEOUT_S = 60.0
"""Seconds the page may take to answer for the first time."""

_POLL_S = 0.05
_TOKEN_BYTES = 32


class MonitorError(Exception):
    """The monitor cannot run; the text says why and what to do."""


def run_monitor(data: Path, *, host: str, port: int, with_agent: bool) -> int:
    """Run the monitor until SIGINT or SIGTERM and return the exit code.

    Args:
        data: directory for everything that is kept; made when it is not there.
        host: a loopback address, or `localhost`.
        port: 0 takes a free one.
        with_agent: also monitor this machine.

    Raises:
        MonitorError: the monitor cannot run like this.
    """
    host = _loopback(host)
    set_up_logging("info", has_head=False)
    with _locked(data):
        port = _free_port(host, port)
        site = _Site(data, host, port)
        made = _prepare(site.environment)
        site.write_token()
        site.write_configuration()
        return asyncio.run(_run(site, made, with_agent=with_agent))


def reset_password(data: Path) -> int:
    """Give the admin user a new password, print it, and return the exit code."""
    if not data.is_dir():
        raise MonitorError(f"there is no monitor in {data}; --data names the directory of one")
    made = _prepare(_Site(data, "127.0.0.1", 0).environment, "--new-password")
    if made is None:
        raise MonitorError("no password was made")
    print(f"user {made['username']}, password {made['password']}")  # noqa: T201 - what the user asked for
    return 0


class _Site:
    """Where one monitor is: its data directory and its address."""

    def __init__(self, data: Path, host: str, port: int) -> None:
        self.data = data.absolute()
        self.node_directory = self.data / "node"
        self._token_file = self.node_directory / "notify_token"
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.url = f"http://{self.address}/"
        self._host = host
        self._port = port
        self.environment = {
            **os.environ,
            # Whoever starts this may work on a Django project of their own.
            "DJANGO_SETTINGS_MODULE": "heliograph.monitor.settings",
            "HELIOGRAPH_DATA": str(self.data),
            "HELIOGRAPH_NOTIFY_URL": f"{self.url}notify",
            "HELIOGRAPH_NOTIFY_TOKEN_FILE": str(self._token_file),
        }

    def write_token(self) -> None:
        """Write what the site proves to the router that it is the site; made anew at each start.

        The file replaces one that may be there, whatever its mode: nobody has read the new token.
        """
        self.node_directory.mkdir(exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(
            dir=self.node_directory, prefix=".notify_token-"
        )  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(_TOKEN_BYTES))
            Path(temporary).replace(self._token_file)
        except BaseException:
            Path(temporary).unlink()
            raise

    def write_configuration(self) -> None:
        """Write the router's configuration; it is made anew at each start and not for editing."""
        text = json.dumps(
            _configuration(self._host, self._port, self.data / "static", self._token_file), indent=2
        )
        (self.node_directory / "config.json").write_text(text + "\n", encoding="utf-8")


def _configuration(host: str, port: int, static: Path, token_file: Path) -> dict[str, Any]:
    """Return the router's configuration.

    Machines and pages do not authenticate yet, so it is for this machine alone: any program on it may watch and
    publish samples. Only the site publishes configurations: it alone has the token.
    """
    listens_to = [
        {"uri": "clientstats", "allow": {"publish": True, "subscribe": True}},
        {"uri": "clientconfig.", "match": "prefix", "allow": {"subscribe": True}},
    ]
    tells = [{"uri": "clientconfig.", "match": "prefix", "allow": {"publish": True}}]
    paths = {
        "/": {"type": "wsgi", "module": "heliograph.monitor.wsgi", "object": "application"},
        "ws": {"type": "websocket", "options": {"allowed_origins": ["self"]}},
        "notify": {
            "type": "publisher",
            "realm": "realm1",
            "role": "site",
            "options": {"token": {"file": str(token_file)}},
        },
        "static": {"type": "static", "directory": str(static), "options": {"cache_timeout": 0}},
        "metrics": {"type": "metrics"},
    }
    endpoint = {"type": "tcp", "interface": host, "port": port, "version": 6 if ":" in host else 4}
    realm = {
        "name": "realm1",
        "roles": [{"name": "anonymous", "permissions": listens_to}, {"name": "site", "permissions": tells}],
    }
    transport = {"type": "web", "endpoint": endpoint, "paths": paths}
    return {"version": 2, "workers": [{"type": "router", "realms": [realm], "transports": [transport]}]}


async def _run(site: _Site, made: Mapping[str, str] | None, *, with_agent: bool) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    servers, agents = Supervisor(), Supervisor()
    try:
        servers.start(_child("router", site, "start", "--cbdir", str(site.node_directory), niceness=0))
        ready = asyncio.create_task(_page_answers(site.url))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait((ready, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            ready.result()
            if with_agent:
                url = f"ws://{site.address}/ws"
                agents.start(_child("agent", site, "agent", "--url", url, niceness=5))
            _tell(site, made)
            await stopped
        ready.cancel()
    finally:
        # The agent first: it says goodbye to a router that is still there.
        await agents.stop()
        await servers.stop()
    return 0


def _child(name: str, site: _Site, *arguments: str, niceness: int) -> ChildProcess:
    return ChildProcess(
        ChildOptions(
            name=name,
            argv=python_command("heliograph.processes.module_runner", "heliograph", *arguments),
            # Its own, where nobody else can put a module: applications may have theirs where they are started.
            cwd=site.node_directory,
            environment=site.environment,
            description=f"heliograph {arguments[0]}",
            niceness=niceness,
        )
    )


async def _page_answers(url: str) -> None:
    """Return when the page answers; raises `MonitorError` when it does not in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + STARTUP_TIMEOUT_S
    while not await loop.run_in_executor(None, _answers, url):
        if loop.time() > deadline:
            raise MonitorError(
                f"{url} does not answer after {STARTUP_TIMEOUT_S:g} s; the lines above say why"
            )
        await asyncio.sleep(_POLL_S)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=STARTUP_TIMEOUT_S) as response:  # noqa: S310 - our own http URL
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _tell(site: _Site, made: Mapping[str, str] | None) -> None:
    admin = (
        f"user {made['username']}, password {made['password']}  (shown this once)"
        if made is not None
        else "password lost? heliograph monitor reset-password"
    )
    lines = (
        "",
        f"  Heliograph monitor   {site.url}",
        f"  Admin                {site.url}admin/   {admin}",
        f"  Add a machine        heliograph agent --url ws://{site.address}/ws",
        f"  Data                 {site.data}",
        "  Ctrl-C stops everything",
        "",
    )
    say(*lines)


def _loopback(host: str) -> str:
    """Return `host` as an address; raises `MonitorError` unless it is one of this machine alone."""
    if host == "localhost":
        return "127.0.0.1"
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return host
    raise MonitorError(
        f"refusing to listen on {host!r}: machines and browsers cannot authenticate yet, so whoever reaches the port"
        " could read and send everything. Use --host 127.0.0.1 (an SSH tunnel brings it to other machines)"
    )


def _free_port(host: str, port: int) -> int:
    """Return `port`, or a free one for 0; raises `MonitorError` when it is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise MonitorError(
                f"cannot listen on {host}:{port}: {error.strerror}; --port chooses another"
            ) from error
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Hold the data directory for this process; raises `MonitorError` when another one does, or it cannot be made."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data / "lock").open("w", encoding="ascii")
    except OSError as error:
        raise MonitorError(f"{data} cannot be the data directory: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MonitorError(
                f"a monitor already runs with {data}; --data names another directory"
            ) from None
        yield


def _prepare(environment: Mapping[str, str], *arguments: str) -> dict[str, str] | None:
    """Bring the data directory up to date and return the password that was made, if one was."""
    command = python_command("heliograph.monitor.prepare", *arguments)
    # The interpreter that runs us, with arguments of our own.
    finished = subprocess.run(command, env=dict(environment), stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if finished.returncode != 0:
        raise MonitorError("the data directory could not be brought up to date; the lines above say why")
    made: dict[str, str] | None = json.loads(finished.stdout.splitlines()[-1])
    return made
