"""The programs of the page that compares the client with Autobahn's do what it says, all of them."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from heliograph.client import ApplicationError, connect
from tests.client.scripted_router import TIMEOUT_S, eventually
from tests.support.nodes import RouterProcess, router_process
from tools.compare_clients import PAGE, TASKS, lines, measure, programs

SUBSCRIBE, PROGRESS, SERVICE = programs()
NAMES = ("heliograph", "autobahn")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    with router_process(tmp_path_factory.mktemp("router")) as running:
        yield running


def url_of(router: RouterProcess) -> str:
    return f"ws://127.0.0.1:{router.address[1]}/ws"


class Program:
    """A program under way, and what it has printed."""

    def __init__(self, source: str, router: RouterProcess) -> None:
        text = source.replace("127.0.0.1:8080", f"127.0.0.1:{router.address[1]}")
        self.process = subprocess.Popen(
            [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.errors = ""
        self._reading = threading.Thread(target=self._read_errors)
        self._reading.start()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read()

    async def line(self) -> str:
        """Wait for a line that is not Autobahn's own log."""
        assert self.process.stdout is not None
        while True:
            line = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), TIMEOUT_S)
            assert line, self.errors
            if not _is_log(line):
                return line.rstrip()

    async def rest(self) -> list[str]:
        """Wait until the program ends by itself; returns what it has printed since."""
        assert self.process.stdout is not None
        text = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.read), TIMEOUT_S)
        await asyncio.to_thread(self.process.wait, TIMEOUT_S)
        assert self.process.returncode == 0, self.errors
        return [line for line in text.splitlines() if not _is_log(line)]

    def end(self) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT_S)
        self._reading.join(TIMEOUT_S)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def _is_log(line: str) -> bool:
    return line[:2] == "20" and line[4:5] == "-"


@contextmanager
def running(source: str, router: RouterProcess) -> Iterator[Program]:
    program = Program(source, router)
    try:
        yield program
    finally:
        program.end()


async def until(happens: Callable[[], Any]) -> Any:
    """Ask the router until it says yes; nothing announces that a program has subscribed or registered."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                if (answer := await happens()) is not None:
                    return answer
            except ApplicationError as error:
                if error.uri != "wamp.error.no_such_procedure":
                    raise
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("source", SUBSCRIBE, ids=NAMES)
async def test_events_are_printed_until_somebody_says_bye(real: RouterProcess, source: str) -> None:
    with running(source, real) as program:
        async with connect(url_of(real)) as session:
            await until(lambda: session.call("wamp.subscription.lookup", "com.example.news"))
            await session.publish("com.example.news", "hello", 5)
            await session.publish("com.example.news", "bye")
            assert await program.rest() == ["hello 5", "bye"]
            # The subscription is given back, with the session at the latest.
            assert await session.call("wamp.subscription.lookup", "com.example.news") is None


@pytest.mark.parametrize("source", PROGRESS, ids=NAMES)
async def test_a_call_is_cancelled_after_its_third_result(real: RouterProcess, source: str) -> None:
    stopped = asyncio.Event()

    async def count() -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
                await asyncio.sleep(0.001)
        finally:
            stopped.set()

    async with connect(url_of(real)) as session:
        await session.register(count, "com.example.count")
        with running(source, real) as program:
            assert await program.rest() == ["0", "1", "2"]
        await eventually(stopped.wait())


@pytest.mark.parametrize("source", SERVICE, ids=NAMES)
async def test_a_service_is_there_again_after_the_router_has_died(tmp_path: Path, source: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with router_process(tmp_path, port=port) as first:
        program = Program(source, first)
        try:
            assert await program.line() == "ready"
            async with connect(url_of(first), reconnect=False) as session:
                assert await session.call("com.example.lamp.get") == 5
                await session.call("com.example.lamp.set", 7)
                first.process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(first.process.wait)
            with router_process(tmp_path, port=port) as second:
                assert await program.line() == "ready"
                async with connect(url_of(second)) as session:
                    assert await session.call("com.example.lamp.get") == 7
                    await session.publish_event("com.example.lamp.switched_off", acknowledge=True)
                    await until(lambda: _is_off(session))
        finally:
            program.end()


async def _is_off(session: Any) -> bool | None:
    return True if await session.call("com.example.lamp.get") == 0 else None


def test_the_page_quotes_its_figures_and_the_lines_are_right() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for task, (ours, theirs) in zip(TASKS, programs(), strict=True):
        assert f"| {task}: lines | {lines(ours)} | {lines(theirs)} |" in text


def test_imports_are_measured() -> None:
    seconds, mib = measure("import json")
    assert 0 < seconds < 5
    assert 3 < mib < 100
