"""What the how-to of authentication shows is done here in its order: its commands, its router, its clients."""

import asyncio
import copy
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from heliograph.client import JoinRefused, Ticket, connect
from heliograph.wamp import errors
from tests.support.certificates import Identity
from tests.support.nodes import RouterProcess, router_process
from tests.support.websocket import (
    HELLO_ROLES,
    Connection,
    WampClient,
    WebSocket,
    open_websocket,
    upgrade_request,
)

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = (ROOT / "docs" / "how-to" / "authentication.md").read_text()
PACKAGES = ROOT / "tests" / "interop" / "node_modules"
PASSWORD = "correct horse battery staple"


def blocks(language: str, text: str = HOW_TO) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(name: str) -> str:
    return HOW_TO.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def shown_auth(name: str) -> Any:
    """The `auth` block that a section shows."""
    parts = [yaml.safe_load(block) for block in blocks("yaml", section(name))]
    return next(part["auth"] for part in parts if "auth" in part)


WHOLE: Any = yaml.safe_load(blocks("yaml")[0])
COMMANDS = [shlex.split(line[2:]) for line in "".join(blocks("console")).splitlines()]
WHO = {"ticket": "joe", "wampcra": "mary", "scram": "anna", "cryptosign": "machine7"}
DYNAMIC = "dynamic: a procedure decides"
FUNCTION = "function: Python decides"
TICKET_OF_TODAY = "a ticket of today"


def run(command: list[str], directory: Path, **more: Any) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PASSWORD": PASSWORD, "NODE_PATH": str(PACKAGES)}
    return subprocess.run(
        command,
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the commands are run and the clients start."""
    return tmp_path_factory.mktemp("home")


def make(home: Path, name: str) -> Any:
    """What the commands of a section print."""
    [line] = "".join(blocks("console", section(name))).splitlines()[:1]
    done = run([sys.executable, "-m", *shlex.split(line[2:])], home, input=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["auth"]


@pytest.fixture(scope="module")
def made(home: Path) -> dict[str, Any]:
    """What the commands print, by method."""
    return {method: make(home, method)[method] for method in WHO}


def config_with(auth: dict[str, Any], **path: Any) -> Any:
    """The configuration that is shown as a whole, with these methods."""
    config = copy.deepcopy(WHOLE)
    [transport] = config["workers"][0]["transports"]
    transport["endpoint"] = {"type": "tcp", "port": 0, "interface": "127.0.0.1"}
    transport["paths"]["ws"].update({"auth": auth, **path})
    return config


@pytest.fixture(scope="module")
def router(made: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """The router of the how-to, with what the commands have printed in place of what is shown."""
    [cookie] = [yaml.safe_load(block)["ws"] for block in blocks("yaml", section("cookie"))]
    auth = {**shown_auth("anonymous"), **made, **cookie["auth"]}
    config = config_with(auth, cookie=cookie["cookie"])
    with router_process(tmp_path_factory.mktemp("router"), config) as running:
        yield running


def at(router: RouterProcess, text: str) -> str:
    return text.replace("127.0.0.1:8080", f"127.0.0.1:{router.address[1]}")


def test_every_method_is_shown_with_what_its_command_prints(made: dict[str, Any]) -> None:
    assert made.keys() == WHO.keys()
    for method, printed in made.items():
        assert _shape(shown_auth(method)[method]) == _shape(printed), method


def _shape(value: Any) -> Any:
    """Keys, and the kinds of what is behind them."""
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    return [_shape(item) for item in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize("method", WHO)
def test_the_client_in_python_gets_in(router: RouterProcess, home: Path, method: str) -> None:
    [program] = blocks("python", section(method))
    done = run([sys.executable, "-c", at(router, program)], home)
    assert (done.stdout, done.stderr) == (f"{WHO[method]} frontend\n", "")


def test_the_client_that_offers_several_gets_in_by_the_first(router: RouterProcess, home: Path) -> None:
    [program] = blocks("python", section("Several at once"))
    done = run([sys.executable, "-c", at(router, program)], home)
    assert (done.stdout, done.stderr) == ("joe frontend\n", "")


@pytest.mark.parametrize("method", ["ticket", "wampcra", "cryptosign"])
def test_the_client_in_javascript_gets_in(router: RouterProcess, home: Path, method: str) -> None:
    node = shutil.which("node")
    if node is None or not (PACKAGES / "autobahn").is_dir():
        pytest.skip("needs Node and tests/interop's packages: make install")
    [program] = blocks("js", section(method))
    done = run([node, "-e", at(router, program)], home)
    # It says on standard error what becomes of its connections, good or bad.
    assert (done.returncode, done.stdout) == (0, f"{WHO[method]} frontend\n"), done.stderr


def test_the_command_publishes(router: RouterProcess, home: Path) -> None:
    [words] = [command for command in COMMANDS if command[1] == "publish"]
    done = run([sys.executable, "-m", *words, "--url", at(router, "ws://127.0.0.1:8080/ws")], home)
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_browser_that_comes_back_is_known_by_its_cookie(router: RouterProcess, home: Path) -> None:
    [program] = blocks("js", section("cookie"))
    [methods] = re.findall(r"authmethods: (\[.*\])", program)
    ticket = (home / "joe.ticket").read_text().strip()
    first = await Connection.open(router.address)
    await first.send(upgrade_request())
    answer = await first.response()
    browser = WampClient(WebSocket(first.reader, first.writer), "json")
    hello = [1, "realm1", {"roles": HELLO_ROLES, "authmethods": json.loads(methods), "authid": "joe"}]
    assert await browser.ask(*hello) == [4, "ticket", {}]
    welcome = await browser.ask(5, ticket, {})
    assert (welcome[0], welcome[2]["authmethod"]) == (2, "ticket")
    first.abort()
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    browser = WampClient(await open_websocket(router.address, headers=cookie), "json")
    welcome = await browser.ask(*hello)
    assert (welcome[0], welcome[2]["authmethod"], welcome[2]["authid"]) == (2, "cookie", "joe")
    browser.socket.abort()


async def test_who_is_logged_out_by_the_operator_does_not_come_back_by_a_cookie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [[role]] = [yaml.safe_load(block) for block in blocks("yaml", section("Take a right away"))]
    [program] = blocks("python", section("Take a right away"))
    principals = {
        "joe": {"ticket": TICKET_OF_TODAY, "role": "frontend"},
        "operator": {"ticket": "operators", "role": role["name"]},
    }
    auth = {"cookie": {"type": "static"}, "ticket": {"type": "static", "principals": principals}}
    config = config_with(auth, cookie={})
    config["workers"][0]["realms"][0]["roles"].append(role)
    monkeypatch.setenv("OPERATOR_TICKET", "operators")
    with router_process(tmp_path, config) as router:
        first = await Connection.open(router.address)
        await first.send(upgrade_request())
        cookie = (await first.response()).headers["set-cookie"].partition(";")[0]
        browser = WampClient(WebSocket(first.reader, first.writer), "json")
        hello = [1, "realm1", {"roles": HELLO_ROLES, "authmethods": ["cookie", "ticket"], "authid": "joe"}]
        assert await browser.ask(*hello) == [4, "ticket", {}]
        assert (await browser.ask(5, TICKET_OF_TODAY, {}))[0] == 2

        done = await asyncio.to_thread(run, [sys.executable, "-c", at(router, program)], tmp_path)
        assert (done.stdout, done.stderr) == ("1 sessions ended\n", "")
        assert (await browser.receive())[2] == "wamp.close.killed"
        again = WampClient(await open_websocket(router.address, headers={"Cookie": cookie}), "json")
        assert await again.ask(*hello) == [4, "ticket", {}], "it is asked for its ticket again"
        again.socket.abort()
        first.abort()


def _join_with_ticket(router: RouterProcess, ticket: str) -> Any:
    """Join as joe, and wait for whoever has to be asked."""
    return connect(
        at(router, "ws://127.0.0.1:8080/ws"), authentication=Ticket("joe", ticket), retry_first=True
    )


@contextmanager
def _running(program: str, directory: Path) -> Iterator[None]:
    """A program that runs for ever, until the block ends."""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=directory)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


async def test_a_procedure_decides(tmp_path: Path) -> None:
    door = make(tmp_path, DYNAMIC)
    config = config_with({**shown_auth(DYNAMIC), **door})
    shown = [yaml.safe_load(block) for block in blocks("yaml", section(DYNAMIC))]
    [role] = next(block for block in shown if "auth" not in block)
    config["workers"][0]["realms"][0]["roles"].append(role)
    [program] = blocks("python", section(DYNAMIC))
    with router_process(tmp_path, config) as router, _running(at(router, program), tmp_path):
        await _check_decisions(router)


async def test_a_function_decides(tmp_path: Path) -> None:
    [module] = blocks("python", section(FUNCTION))
    (tmp_path / "doors.py").write_text(module)
    config = config_with(shown_auth(FUNCTION))
    shown = [yaml.safe_load(block) for block in blocks("yaml", section(FUNCTION))]
    config["workers"][0].update(next(block for block in shown if "auth" not in block))
    with router_process(tmp_path, config) as router:
        await _check_decisions(router)


async def _check_decisions(router: RouterProcess) -> None:
    async with asyncio.timeout(30), _join_with_ticket(router, TICKET_OF_TODAY) as session:
        assert (session.authid, session.authrole) == ("joe", "frontend")
    with pytest.raises(JoinRefused, match="authentication_denied"):
        async with asyncio.timeout(30), _join_with_ticket(router, "a ticket of yesterday"):
            pass


def test_a_certificate_is_enough(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("the how-to takes the fingerprint with openssl")
    Identity(tmp_path, "server", Identity(tmp_path, "server-ca", is_authority=True))
    Identity(tmp_path, "machine9", Identity(tmp_path, "clients-ca", is_authority=True))
    [fingerprint_of] = [command for command in COMMANDS if command[0] == "openssl"]
    fingerprint = run(fingerprint_of, tmp_path).stdout.strip().partition("=")[2]
    auth = shown_auth("tls")
    auth["tls"]["principals"]["machine9"]["certificate-sha256"] = fingerprint
    config = config_with(auth)
    shown = [yaml.safe_load(block) for block in blocks("yaml", section("tls"))]
    [endpoint] = [block["endpoint"] for block in shown if "endpoint" in block]
    [transport] = config["workers"][0]["transports"]
    transport["endpoint"] = {**endpoint, "port": 0, "interface": "127.0.0.1"}
    [program] = blocks("python", section("tls"))
    with router_process(tmp_path, config) as router:
        done = run([sys.executable, "-c", program.replace("8443", str(router.address[1]))], tmp_path)
        assert (done.stdout, done.stderr) == ("machine9 frontend\n", ""), done.stderr


def test_a_wrong_secret_is_answered_as_the_table_says(router: RouterProcess, home: Path) -> None:
    (home / "wrong").write_text("guessed\n")
    (home / "wrong").chmod(0o600)
    url = at(router, "ws://127.0.0.1:8080/ws")
    for option in ("--ticket-file", "--secret-file", "--password-file"):
        for authid in ("anna", "joe", "mary", "nobody"):
            words = [
                "heliograph",
                "publish",
                "--url",
                url,
                "--authid",
                authid,
                option,
                "wrong",
                "com.example.news",
            ]
            done = run([sys.executable, "-m", *words], home)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr == f"{errors.AUTHENTICATION_DENIED}: the credentials are not right\n"


def test_the_errors_in_the_table_exist() -> None:
    known = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, str)}
    shown = set(re.findall(r"^\| `([a-z_.]+)` \|", section("When it does not work"), re.MULTILINE))
    assert shown <= known
    assert len(shown) == 5
    assert JoinRefused(errors.AUTHENTICATION_FAILED, (), {}).is_temporary
