"""Nobody reads what a program writes: it works all the same, and ends when it is told to."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.client import connect
from tests.support.nodes import node_config, router_process, web_transport
from tests.support.pipes import full_pipe, open_pipe
from tests.support.programs import environment
from tests.support.websocket import request

WSGI_APPLICATIONS = Path(__file__).parents[1] / "http" / "wsgi_applications"
DEADLINE_S = 30.0
END_WITHIN_S = 10.0


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_router_serves_and_stops(stream: str, tmp_path: Path) -> None:
    address = "127.0.0.1", _free_port()
    with _program_with_full(stream, tmp_path, "start", "--listen", f"127.0.0.1:{address[1]}") as process:
        await _listening(address, process)
        assert (await request(address, "GET", "/")).status == 200
        _ends_on_sigterm(process, 0)


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
async def test_a_router_started_without_standard_streams_serves_its_application(
    closed: str, tmp_path: Path
) -> None:
    """The number of a closed stream would be given to a socket, or to a pipe of the child, which has its own there."""
    port = _free_port()
    path = {"type": "wsgi", "module": "sample", "object": "application"}
    transport = {
        **web_transport({"/": path}),
        "endpoint": {"type": "tcp", "port": port, "interface": "127.0.0.1"},
    }
    config = node_config(transport)
    config["workers"][0]["options"] = {"pythonpath": [str(WSGI_APPLICATIONS)]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    process = _started_by_a_shell(f"start {closed}", tmp_path)
    try:
        await _listening(("127.0.0.1", port), process)
        assert (await request(("127.0.0.1", port), "GET", "/")).status == 200
        _ends_on_sigterm(process, 0)
    finally:
        _kill(process)


def test_a_command_without_standard_error_ends_with_its_own_code(tmp_path: Path) -> None:
    process = _started_by_a_shell("call --url nonsense com.example.p 2>&-", tmp_path)
    assert process.wait(DEADLINE_S) == 2


def test_an_agent_stops(tmp_path: Path) -> None:
    url = f"ws://127.0.0.1:{_free_port()}/ws"
    with _program_with_full("stderr", tmp_path, "agent", "--url", url, "--loglevel", "debug") as process:
        # It has logged when it tries to connect: nothing but time tells from outside that it did.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        _ends_on_sigterm(process, 0)


async def test_a_monitor_serves_its_page_and_stops(tmp_path: Path) -> None:
    address = "127.0.0.1", _free_port()
    arguments = ("monitor", "run", "--port", str(address[1]), "--data", str(tmp_path / "data"))
    with _program_with_full("stderr", tmp_path, *arguments) as process:
        await _listening(address, process)
        assert (await request(address, "GET", "/")).status == 200
        _ends_on_sigterm(process, 0)


async def test_a_subscriber_that_nobody_reads_keeps_its_session_and_prints_everything_in_the_end(
    tmp_path: Path,
) -> None:
    """It answers pings meanwhile, or the router would drop it."""
    pings = {"ping_interval_s": 1, "ping_timeout_s": 1}
    path = {"type": "websocket", "options": pings}
    config = node_config(web_transport({"ws": path, "metrics": {"type": "metrics"}}))
    events = 300
    with router_process(tmp_path, config) as router, open_pipe() as pipe:
        url = "ws://{}:{}/ws".format(*router.address)
        command = [sys.executable, "-m", "heliograph", "subscribe", "com.example.t", "--url", url]
        process = await asyncio.create_subprocess_exec(*command, "--count", str(events), stdout=pipe.writing)
        try:
            subscribed = asyncio.Event()
            async with connect(url) as session:
                await session.subscribe(lambda event: subscribed.set(), "wamp.subscription.on_subscribe")
                await asyncio.wait_for(subscribed.wait(), DEADLINE_S)
                for number in range(events - 1):
                    await session.publish("com.example.t", number, "x" * 1000, acknowledge=True)
                # Twice as long as who does not answer a ping is kept: only time tells.
                await asyncio.sleep(4)
                await session.publish("com.example.t", events - 1, acknowledge=True)
                assert (await router.metrics())["transport_ping_timeouts_total"] == 0
            printed = await asyncio.to_thread(pipe.drained, f'"args":[{events - 1}]'.encode())
            assert printed.count(b"\n") >= events - 1
            assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@contextlib.contextmanager
def _program_with_full(stream: str, directory: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    subprocess.run(
        [sys.executable, "-m", "heliograph", "init"], cwd=directory, check=True, capture_output=True
    )
    with full_pipe() as pipe:
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: pipe.writing}
        process = subprocess.Popen(
            [sys.executable, "-m", "heliograph", *arguments],
            cwd=directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            **streams,
        )
        try:
            yield process
        finally:
            _kill(process)


def _started_by_a_shell(words: str, directory: Path) -> "subprocess.Popen[bytes]":
    command = ["/bin/sh", "-c", f'exec "$0" -m heliograph {words}', sys.executable]
    return subprocess.Popen(command, cwd=directory, env=environment())


def _ends_on_sigterm(process: "subprocess.Popen[bytes]", code: int) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(END_WITHIN_S) == code


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_S)


async def _listening(address: tuple[str, int], process: "subprocess.Popen[bytes]") -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            assert process.poll() is None, "it has ended"
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(*address)
                writer.close()
                return
            await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
