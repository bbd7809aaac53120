"""What the README and the quick start show is run here as it stands there, but for the port."""

import asyncio
import re
import shlex
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from heliograph.client import connect
from tests.support.programs import environment, router

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
QUICK_START = ROOT / "docs" / "quick-start.md"
TIMEOUT_S = 20


def _blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)


def _command(document: Path, start: str) -> list[str]:
    lines = "".join(_blocks(document, "console")).splitlines()
    (command,) = [line[2:] for line in lines if line.startswith(f"$ {start}")]
    return shlex.split(command)


def _program(document: Path, holding: str) -> list[str]:
    (block,) = [block for block in _blocks(document, "python") if holding in block]
    return ["python", "-c", block]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A router as the quick start makes it: init, check, start; its port."""
    directory = tmp_path_factory.mktemp("node")
    for start in ("heliograph init", "heliograph check"):
        command = _command(QUICK_START, start)
        done = subprocess.run(
            command, cwd=directory, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert _command(QUICK_START, "heliograph start") == ["heliograph", "start"]
    with router(directory) as (address, _):
        yield int(address.rpartition(":")[2])


@pytest.fixture
async def received(port: int) -> AsyncIterator[asyncio.Queue[object]]:
    """The first argument of each event on the topic of the examples."""
    queue: asyncio.Queue[object] = asyncio.Queue()
    async with connect(f"ws://127.0.0.1:{port}/ws", realm="realm1") as session:
        await session.subscribe(lambda event: queue.put_nowait(event.args[0]), "news")
        yield queue


async def _start(command: list[str], port: int) -> asyncio.subprocess.Process:
    words = [word.replace("127.0.0.1:8080", f"127.0.0.1:{port}") for word in command]
    if words[0] == "heliograph":
        words += ["--url", f"ws://127.0.0.1:{port}/ws"]
    return await asyncio.create_subprocess_exec(
        *words,
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(_command(README, "curl"), id="README: curl"),
        pytest.param(_program(README, "Publisher("), id="README: Publisher"),
        pytest.param(_command(QUICK_START, "curl"), id="quick start: curl"),
        pytest.param(_command(QUICK_START, "heliograph publish"), id="quick start: heliograph publish"),
        pytest.param(_program(QUICK_START, "Publisher("), id="quick start: Publisher"),
    ],
)
async def test_each_shown_way_to_send_reaches_a_subscriber(
    command: list[str], port: int, received: asyncio.Queue[object]
) -> None:
    sender = await _start(command, port)
    said, _ = await asyncio.wait_for(sender.communicate(), TIMEOUT_S)
    assert sender.returncode == 0, said.decode()

    assert await asyncio.wait_for(received.get(), TIMEOUT_S) == "hello"


@pytest.mark.parametrize(
    ("command", "topic"),
    [
        pytest.param(_command(QUICK_START, "heliograph subscribe"), "clientstats", id="heliograph subscribe"),
        pytest.param(_program(QUICK_START, "session.subscribe"), "news", id="the program in asyncio"),
    ],
)
async def test_each_shown_way_to_receive_prints_what_is_sent(
    command: list[str], topic: str, port: int
) -> None:
    receiver = await _start(command, port)
    assert receiver.stdout is not None
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            connect(f"ws://127.0.0.1:{port}/ws", realm="realm1") as session,
        ):
            # Nobody says when the receiver has subscribed, so it is told until it answers.
            answer = asyncio.create_task(_line_with(receiver.stdout, "flash"))
            while not answer.done():
                await session.publish(topic, "flash")
                await asyncio.wait([answer], timeout=0.05)
        assert "flash" in answer.result()
    finally:
        if receiver.returncode is None:
            receiver.terminate()
        await receiver.communicate()


async def _line_with(output: asyncio.StreamReader, text: str) -> str:
    said = ""
    async for line in output:
        said += line.decode()
        if text in said:
            return said
    raise AssertionError(f"it ended without {text!r}, and said:\n{said}")
