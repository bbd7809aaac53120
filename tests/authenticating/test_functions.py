"""Functions that decide: asked in their own process, started again when they die, and nobody else waits for them."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop

from heliograph.authenticating.functions import AuthenticatorFunctions
from heliograph.authenticating.worker import load_function
from heliograph.client import connect
from heliograph.client.authentication import Credentials, Ticket, WampCra
from heliograph.client.errors import ApplicationError, JoinRefused
from tests.support.nodes import OPEN_REALM, RunningNode, node_config, running_node, web_transport

MODULE = """
import os
import time


def create(config, controller):
    def decide(realm, authid, details):
        if authid == "slow":
            time.sleep(30)
        if authid == "crash":
            os._exit(3)
        if authid == "raise":
            raise KeyError(authid)
        if authid != config["authid"]:
            return None
        if details["authmethod"] == "ticket" and details["ticket"] != config["secret"]:
            return None
        answer = {"role": "anonymous", "extra": {"pid": os.getpid(), "realm": realm}}
        return answer | ({"secret": config["secret"]} if details["authmethod"] == "wampcra" else {})

    return decide


def create_coroutine(config, controller):
    async def decide(realm, authid, details):
        return "anonymous"

    return decide


def create_nothing(config, controller):
    return None


def create_error(config, controller):
    raise ValueError("no config")


async def create_late(config, controller):
    return None
"""
CONFIG = {"authid": "joe", "secret": "s3cret-of-joe"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], Any]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "deciding.py").write_text(MODULE)
    return tmp_path


def config_with(create: str = "deciding.create", **options: Any) -> dict[str, Any]:
    function = {"type": "function", "create": create, "config": CONFIG, **options}
    paths = {
        "ws": {"type": "websocket", "auth": {"ticket": function, "wampcra": function}},
        "open": {"type": "websocket"},
    }
    config = node_config(web_transport(paths), realm=OPEN_REALM)
    config["workers"][0]["options"] = {"pythonpath": ["."]}
    return config


def functions_of(node: RunningNode) -> AuthenticatorFunctions:
    (functions,) = node.node._functions
    return functions


def url(node: RunningNode, path: str = "ws") -> str:
    host, port = node.address
    return f"ws://{host}:{port}/{path}"


async def join(node: RunningNode, credentials: Credentials) -> dict[str, Any]:
    async with connect(url(node), authentication=credentials, reconnect=False) as session:
        return dict(session._welcomed.authextra or {})


async def refusal(node: RunningNode, credentials: Credentials) -> str:
    with pytest.raises(JoinRefused) as refused:
        await join(node, credentials)
    assert "s3cret" not in str(refused.value)
    return refused.value.uri


@pytest.mark.parametrize("method", [Ticket, WampCra])
async def test_a_function_lets_in_whom_it_knows(directory: Path, method: Any) -> None:
    async with running_node(config_with(), directory=directory) as node:
        await asyncio.wait_for(functions_of(node).wait_ready(), 30)
        extra = await join(node, method("joe", "s3cret-of-joe"))
        assert extra["realm"] == "realm1"
        assert extra["pid"] != os.getpid()
        assert await refusal(node, method("joe", "wrong")) == "wamp.error.authentication_denied"
        assert await refusal(node, method("nobody", "s3cret-of-joe")) == "wamp.error.authentication_denied"
        assert await refusal(node, method("raise", "s3cret-of-joe")) == "wamp.error.authentication_denied"
        assert len(functions_of(node).snapshots()) == 1, "one process for the same function"
        assert "authenticators" not in node.router.realms


async def test_a_coroutine_function_may_decide(directory: Path) -> None:
    async with running_node(config_with("deciding.create_coroutine"), directory=directory) as node:
        await asyncio.wait_for(functions_of(node).wait_ready(), 30)
        assert await join(node, Ticket("joe", "x")) == {}


async def test_one_that_is_slow_refuses_and_others_are_served(directory: Path) -> None:
    async with running_node(config_with(timeout_s=0.5), directory=directory) as node:
        await asyncio.wait_for(functions_of(node).wait_ready(), 30)
        slow = asyncio.create_task(refusal(node, Ticket("slow", "x")))
        async with connect(url(node, "open"), reconnect=False):
            assert not slow.done()
        await join(node, Ticket("joe", "s3cret-of-joe"))
        assert await slow == "wamp.error.authentication_failed"
        assert node.counter("authenticators_failed_total") == 1


async def test_one_that_crashes_refuses_and_is_started_again(directory: Path) -> None:
    async with running_node(config_with(), directory=directory) as node:
        functions = functions_of(node)
        await asyncio.wait_for(functions.wait_ready(), 30)
        first = (await join(node, Ticket("joe", "s3cret-of-joe")))["pid"]
        assert await refusal(node, Ticket("crash", "x")) == "wamp.error.authentication_failed"
        await node.until(lambda: functions.snapshots()[0].state != "ready")
        assert await refusal(node, Ticket("joe", "s3cret-of-joe")) == "wamp.error.authentication_failed"
        await asyncio.wait_for(functions.wait_ready(), 30)
        second = (await join(node, Ticket("joe", "s3cret-of-joe")))["pid"]
        assert second != first
        assert node.counter("authenticator_restarts_total") == 1


async def test_the_process_ends_with_the_node(directory: Path) -> None:
    async with running_node(config_with(), directory=directory) as node:
        await asyncio.wait_for(functions_of(node).wait_ready(), 30)
        pid = functions_of(node).snapshots()[0].pid
        assert pid is not None
        os.kill(pid, 0)
        private = functions_of(node)._directory
        assert private is not None
        assert private.stat().st_mode & 0o777 == 0o700
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    assert not private.exists()


@pytest.mark.parametrize("create", ["deciding.missing", "no_such_module.create", "deciding.create_error"])
async def test_one_that_cannot_be_loaded_keeps_nobody_else_out(
    create: str, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_node(config_with(create), directory=directory) as node:
        functions = functions_of(node)
        await node.until(lambda: functions.snapshots()[0].last_exit is not None)
        assert await refusal(node, Ticket("joe", "s3cret-of-joe")) == "wamp.error.authentication_failed"
        async with connect(url(node, "open"), reconnect=False):
            pass
    assert create in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("create", "says"),
    [
        ("deciding.create_nothing", "returned something of type NoneType"),
        ("deciding.create_late", "must be a plain function"),
        ("deciding.nobody", "cannot load the authenticator"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_what_is_no_factory_is_told(
    create: str, says: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [str(directory)])
    with pytest.raises(RuntimeError, match=says):
        load_function(create, CONFIG, [str(directory)])


async def test_nothing_means_denied(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(directory)])
    answer = load_function("deciding.create", CONFIG, [str(directory)])
    with pytest.raises(ApplicationError):
        await answer("realm1", "nobody", {"authmethod": "ticket"})
