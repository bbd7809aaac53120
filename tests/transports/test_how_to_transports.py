"""The how-to of transports does what it says: its configurations, its commands, its certificates."""

import os
import re
import shutil
import signal
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from heliograph.config import check
from tests.support.nodes import OPEN_REALM, router_process, running_node
from tests.support.rawsocket import joined_rawsocket, open_rawsocket
from tests.support.websocket import Tls, joined, post_json, request

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "transports.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def blocks(language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(PAGE.read_text()) if kind == language]


def configuration(number: int) -> dict[str, Any]:
    """Return a node with the transports of one block, on free ports."""
    transports = yaml.safe_load(blocks("yaml")[number])["transports"]
    for transport in transports:
        if transport["endpoint"]["type"] == "tcp":
            transport["endpoint"]["port"] = 0
    return {"version": 2, "workers": [{"type": "router", "realms": [OPEN_REALM], "transports": transports}]}


def commands() -> list[str]:
    return [
        line.removeprefix("$ ")
        for text in blocks("console")
        for line in text.splitlines()
        if line.startswith("$ ")
    ]


def run(command: str, directory: Path, **environment: str) -> str:
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=directory,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node directory with the certificates that the page makes."""
    made = tmp_path_factory.mktemp("how-to")
    for command in commands():
        if command.startswith(("openssl", "printf")):
            run(command, made)
    return made


@pytest.mark.parametrize("number", range(5))
def test_each_configuration_is_right(number: int, directory: Path) -> None:
    assert check(configuration(number), node_directory=directory).problems == ()


async def test_rawsocket_is_served_by_tcp_and_by_a_unix_socket(directory: Path) -> None:
    async with (
        running_node(configuration(0), directory=directory) as node,
        joined_rawsocket(node.addresses[0], "cbor") as by_tcp,
        joined_rawsocket(str(directory / "router.sock"), "json") as by_unix,
    ):
        assert (await by_unix.ask(32, 1, {}, "com.example.t"))[0] == 33
        await by_tcp.tell([16, 1, {}, "com.example.t", ["hello"]])
        assert (await by_unix.receive())[4] == ["hello"]


async def test_one_port_serves_everything(directory: Path) -> None:
    async with (
        running_node(configuration(1), directory=directory) as node,
        joined_rawsocket(node.address) as raw,
        joined(node.address, "cbor"),
    ):
        assert (await raw.ask(32, 1, {}, "com.example.t"))[0] == 33
        await post_json(node.address, "/notify", {"topic": "com.example.t", "args": ["hello"]})
        assert (await raw.receive())[4] == ["hello"]
        assert (await request(node.address, "GET", "/metrics")).status == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_reach_a_router_that_takes_a_renewed_certificate(
    directory: Path, tmp_path: Path
) -> None:
    node_directory = tmp_path / "node"
    shutil.copytree(directory, node_directory, ignore=shutil.ignore_patterns("*.sock"))
    config = configuration(2)
    config["workers"][0]["transports"][0]["endpoint"]["tls"]["reload_interval_s"] = None
    (curl,) = [command for command in commands() if command.startswith("curl")]
    (hang_up,) = [command for command in commands() if command.startswith("kill")]
    with router_process(node_directory, config) as router:
        assert router.ready_line.split()[2].startswith("https://127.0.0.1:")
        curl = curl.replace("curl ", "curl --silent --show-error --fail --retry 5 --retry-delay 1 ")
        curl = curl.replace("8443", str(router.address[1]))
        assert "certificates_reloaded_total" in run(curl, node_directory)
        for command in commands()[1:4]:
            run(command, node_directory)
        run(hang_up, node_directory, ROUTER_PID=str(router.process.pid))
        # It is answered behind the signal: the loop has seen both by then, or sees them in this order.
        reloaded = [line for line in run(curl, node_directory).splitlines() if "reloaded_total{" in line]
        assert reloaded[0].endswith(" 1"), reloaded


async def test_clients_need_a_certificate_where_the_page_says_so(directory: Path) -> None:
    context = ssl.create_default_context(cafile=str(directory / "ca.crt"))
    async with running_node(configuration(3), directory=directory) as node:
        stranger = Tls(node.address, context)
        try:
            client = await open_rawsocket(stranger)
            await client.shake_hands()
        except (OSError, EOFError):
            pass
        else:
            pytest.fail("a client without a certificate was served")
        context.load_cert_chain(directory / "agent-7.crt", directory / "agent-7.key")
        async with joined_rawsocket(Tls(node.address, context)):
            (connection,) = node.connections
            certificate = connection._session.facts.certificate
            assert certificate is not None
            assert certificate.subject == "CN=agent-7"


def test_the_terminals_end_still_ends_a_router_without_tls(tmp_path: Path) -> None:
    with router_process(tmp_path) as router:
        router.process.send_signal(signal.SIGHUP)
        assert router.process.wait(20) == -signal.SIGHUP
