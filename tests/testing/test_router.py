"""The router for tests, without pytest's help."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import heliograph.testing
from heliograph.client import ApplicationError, ConnectionLost, JoinRefused
from heliograph.config import ConfigError
from heliograph.testing import RouterFailed, RunningRouter, open_configuration


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_it_runs_for_the_length_of_the_block() -> None:
    with heliograph.testing.router() as router:
        assert router.url.startswith("ws://127.0.0.1:")
        assert router.addresses == [f"{router.http_url}/"]
        assert is_alive(router.pid)
        with urllib.request.urlopen(f"{router.http_url}/metrics", timeout=10) as answer:
            assert b"heliograph_start_time_seconds" in answer.read()

    assert not is_alive(router.pid)
    assert "stopping: saying goodbye to sessions" in router.log


async def test_it_runs_in_coroutines_as_well() -> None:
    async with heliograph.testing.router(realm="shop") as router:
        async with router.join() as one, router.join(serializers=["msgpack"]) as other:
            await one.register(lambda number: number + 1, "com.example.next")
            assert await other.call("com.example.next", 1) == 2
        with pytest.raises(JoinRefused):
            async with router.join(realm="realm1"):
                pass

    assert not is_alive(router.pid)


def test_what_is_published_is_recorded_in_order() -> None:
    with heliograph.testing.router() as router, router.record("com.example.", "prefix") as recording:
        publications = [router.publish(f"com.example.{number}", number, is_last=False) for number in range(3)]
        recorded = [recording.next() for _ in range(3)]
        with pytest.raises(TimeoutError, match=r"no event of 'com\.example\.' within 0\.05 s"):
            recording.next(timeout_s=0.05)

    assert [event.publication for event in recorded] == publications
    assert [(event.topic, event.args) for event in recorded] == [
        (f"com.example.{number}", [number]) for number in range(3)
    ]


def test_a_recording_whose_router_is_gone_says_so() -> None:
    router = heliograph.testing.router()
    router.start()
    with router.record("com.example.news") as recording:
        os.kill(router.pid, signal.SIGKILL)
        with pytest.raises(ConnectionLost):
            recording.next()
        with pytest.raises(ConnectionLost):
            recording.next()
    with pytest.raises(RouterFailed, match="exit code -9"):
        router.stop()


def test_a_recording_that_is_refused_raises_what_was_answered() -> None:
    configuration = open_configuration()
    role = configuration["workers"][0]["realms"][0]["roles"][0]
    role["permissions"][0]["allow"]["subscribe"] = False
    with heliograph.testing.router(configuration) as router, pytest.raises(ApplicationError):  # noqa: SIM117
        with router.record("com.example.news"):
            pytest.fail("it was let in")


def test_an_exception_in_the_block_gets_the_log_as_a_note() -> None:
    with pytest.raises(ZeroDivisionError) as failure, heliograph.testing.router() as router:
        raise ZeroDivisionError

    assert not is_alive(router.pid)
    (note,) = failure.value.__notes__
    assert note.startswith("the router's log:\n")
    assert "\nHeliograph ready: " in note


def test_a_configuration_file_keeps_its_directory_and_gets_a_free_port(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "hello.txt").write_text("hello")
    configuration: dict[str, Any] = open_configuration(realm="from-file")
    transport = configuration["workers"][0]["transports"][0]
    transport["endpoint"]["port"] = 1  # nobody can listen there
    transport["paths"] = {
        "files": {"type": "static", "directory": "static"},
        "socket": {"type": "websocket"},
    }
    file = tmp_path / "node.json"
    file.write_text(json.dumps(configuration))

    with heliograph.testing.router(file) as router:
        assert router.realm == "from-file"
        assert router.url == f"{router.http_url.replace('http', 'ws')}/socket"
        with urllib.request.urlopen(f"{router.http_url}/files/hello.txt", timeout=10) as answer:
            assert answer.read() == b"hello"
        with pytest.raises(LookupError, match="no publisher path for the realm 'from-file'"):
            router.publish("com.example.news")


@pytest.mark.parametrize(
    "transport",
    [
        {"type": "websocket"},
        {"type": "universal", "websocket": {"socket": {}}, "rawsocket": {}},
    ],
    ids=lambda transport: transport["type"],
)
async def test_other_transports_are_found_too(transport: dict[str, Any]) -> None:
    configuration = open_configuration()
    endpoint = {"type": "tcp", "interface": "127.0.0.1", "port": 0}
    configuration["workers"][0]["transports"] = [{**transport, "endpoint": endpoint}]

    async with heliograph.testing.router(configuration) as router, router.join() as session:
        assert session.is_joined
        with pytest.raises(LookupError, match="no publisher path"):
            router.publish("com.example.news")


def test_a_publisher_path_that_asks_for_a_token_gets_it() -> None:
    configuration = open_configuration()
    paths = configuration["workers"][0]["transports"][0]["paths"]
    paths["notify"]["options"] = {"token": "correct-horse-battery"}
    with heliograph.testing.router(configuration) as running:
        assert running.publish("com.example.news") > 0


def test_a_wrong_configuration_starts_nothing() -> None:
    with pytest.raises(ConfigError, match="workers"):
        heliograph.testing.router({"version": 2}).start()


def test_a_router_that_cannot_start_says_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configuration = open_configuration()
        endpoint = {"type": "tcp", "interface": "127.0.0.1", "port": port}
        second = {"type": "web", "endpoint": endpoint, "paths": {"ws": {"type": "websocket"}}}
        configuration["workers"][0]["transports"].append(second)

        with pytest.raises(RouterFailed) as failure:
            heliograph.testing.router(configuration).start()

    assert str(failure.value).startswith("the router ended while it started. Its log:\n")
    assert f"cannot listen on 127.0.0.1:{port}" in str(failure.value)


def test_before_its_start_it_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="use it in a `with` block"):
        _ = heliograph.testing.router().pid


def test_it_ends_when_the_tests_are_killed(tmp_path: Path) -> None:
    program = (
        "import heliograph.testing, signal\n"
        "with heliograph.testing.router() as router:\n"
        "    print(router.pid, flush=True)\n"
        "    signal.pause()\n"
    )
    tests = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert tests.stdout is not None
        pid = int(tests.stdout.readline())
    finally:
        tests.kill()
        tests.wait()
        tests.stdout.close()  # type: ignore[union-attr]  # it is a pipe
    deadline = time.monotonic() + 15
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)  # nobody tells us of a process that is not our child
    assert not is_alive(pid)


async def test_starting_does_not_hold_up_the_loop() -> None:
    router: RunningRouter = heliograph.testing.router()
    entering = asyncio.ensure_future(router.__aenter__())
    turns = 0
    while not entering.done():
        await asyncio.sleep(0.001)
        turns += 1
    try:
        await entering
        assert turns > 10
    finally:
        await router.__aexit__(None, None, None)
