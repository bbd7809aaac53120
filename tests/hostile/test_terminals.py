"""What a peer says cannot steer the terminal of who reads it, nor pass for a line of ours."""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heliograph.client import Event, connect
from heliograph.wamp import codes
from heliograph.wamp.errors import NO_SUCH_REALM
from heliograph.wamp.messages import Call, Error, Hello, Message, Subscribe
from heliograph.wamp.payload import PlainPayload
from tests.client.scripted_router import Peer, ScriptedRouter, obedient, refusing
from tests.support.programs import environment

HOSTILE = "\x1b]0;owned\a\x9b2J\x7f\u202e\u200b\U000e0041\n2026-01-01 INFO root: forged"
TIMEOUT_S = 30.0


@pytest.fixture
async def router() -> AsyncIterator[ScriptedRouter]:
    made = ScriptedRouter()
    await made.start()
    yield made
    await made.stop()


def _failing_calls(peer: Peer, message: Message) -> None:
    if isinstance(message, Call):
        payload = PlainPayload([HOSTILE], {HOSTILE: HOSTILE})
        peer.send(Error(codes.CALL, message.request, {}, f"com.example.{HOSTILE[:3]}", payload))
    else:
        obedient(peer, message)


def _eventful(peer: Peer, message: Message) -> None:
    obedient(peer, message)
    if isinstance(message, Subscribe):
        peer.send(peer.router.event(message.topic, HOSTILE, **{HOSTILE: 1}))


async def _said(*arguments: str, directory: Path) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "heliograph", *arguments),
        cwd=directory,
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out.decode(), err.decode()


def _holds_no_poison(text: str) -> None:
    assert [line for line in text.split("\n") if not line.isprintable()] == []
    assert not [line for line in text.split("\n") if line.startswith("2026-01-01")], text


@pytest.mark.parametrize("command", ["call", "subscribe", "publish", "agent"])
async def test_a_routers_refusal(command: str, router: ScriptedRouter, tmp_path: Path) -> None:
    router.script = refusing(NO_SUCH_REALM, HOSTILE)
    words = {"call": ["com.example.p"], "subscribe": ["com.example.t"], "publish": ["com.example.t"]}

    out, err = await _said(command, *words.get(command, []), "--url", router.url, directory=tmp_path)

    assert out == ""
    assert "\\x1b]0;owned" in err
    _holds_no_poison(err)


async def test_an_error_of_a_procedure(router: ScriptedRouter, tmp_path: Path) -> None:
    router.script = _failing_calls

    _, err = await _said("call", "com.example.p", "--url", router.url, directory=tmp_path)

    assert "owned" in err
    _holds_no_poison(err)


async def test_a_result_is_json_that_means_the_same(router: ScriptedRouter, tmp_path: Path) -> None:
    out, _ = await _said(
        "call", "com.example.p", json.dumps(HOSTILE), "--url", router.url, directory=tmp_path
    )

    assert json.loads(out) == HOSTILE
    _holds_no_poison(out)


async def test_an_event_is_json_that_means_the_same(router: ScriptedRouter, tmp_path: Path) -> None:
    router.script = _eventful

    out, _ = await _said(
        *("subscribe", "com.example.t", "--count", "1", "--url", router.url), directory=tmp_path
    )

    event = json.loads(out)
    assert (event["args"], event["kwargs"]) == ([HOSTILE], {HOSTILE: 1})
    _holds_no_poison(out)


async def test_what_the_client_logs_in_somebody_elses_program(
    router: ScriptedRouter, caplog: pytest.LogCaptureFixture
) -> None:
    """The first attempt is refused for a while, which a client that waits for its router logs."""

    def script(peer: Peer, message: Message) -> None:
        is_first = isinstance(message, Hello) and len(peer.router.peers) == 1
        (refusing("wamp.close.system_shutdown", HOSTILE) if is_first else obedient)(peer, message)

    router.script = script
    caplog.set_level(logging.DEBUG, "heliograph.client")
    async with connect(router.url, retry_first=True):
        pass

    assert "owned" in caplog.text
    assert all(
        record.getMessage().isprintable() for record in caplog.records if record.name == "heliograph.client"
    )


async def test_what_a_handler_raises_in_somebody_elses_program(
    router: ScriptedRouter, caplog: pytest.LogCaptureFixture
) -> None:
    """What a handler cannot use is often quoted by what it raises, and logged with a traceback."""
    failed = asyncio.Event()

    def fail(event: Event) -> None:
        failed.set()
        raise ValueError(event.args[0])

    router.script = _eventful
    async with connect(router.url) as session:
        await session.subscribe(fail, "com.example.topic")
        await asyncio.wait_for(failed.wait(), TIMEOUT_S)

    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)
    shown = logging.Formatter().format(record)
    assert "owned" in shown
    _holds_no_poison(shown)


async def test_what_a_configuration_says(tmp_path: Path) -> None:
    config = {"version": 2, "workers": [{"type": HOSTILE, HOSTILE: HOSTILE}], HOSTILE: []}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for command in ("check", "start"):
        out, err = await _said(command, "--cbdir", str(tmp_path), directory=tmp_path)

        assert "owned" in out + err
        _holds_no_poison(out)
        _holds_no_poison(err)
