"""The how-tos of WebSocket and long-poll do what they say."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from heliograph.config import check
from tests.support.nodes import RouterProcess, node_config, router_process, running_node, web_transport
from tests.support.websocket import Connection, joined, upgrade_request

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall((HOW_TO / page).read_text()) if kind == language]


def configurations(page: str) -> list[dict[str, Any]]:
    return [node_config(web_transport(yaml.safe_load(text)["paths"])) for text in blocks(page, "yaml")]


@pytest.mark.parametrize("page", ["websocket.md", "long-poll.md"])
def test_each_configuration_is_right(page: str, tmp_path: Path) -> None:
    shown = configurations(page)
    assert shown
    for configuration in shown:
        assert check(configuration, node_directory=tmp_path).problems == ()


async def test_a_websocket_is_opened_as_the_page_says() -> None:
    first, contexts = configurations("websocket.md")
    offer = "permessage-deflate; client_max_window_bits"
    headers = {"Sec-WebSocket-Extensions": offer, "Origin": "https://www.example.org"}
    async with running_node(first) as node:
        plain = await Connection.open(node.address)
        await plain.send(upgrade_request(subprotocols="wamp.2.json.batched", headers=headers))
        response = await plain.response()
        assert response.status == 101
        assert response.headers["sec-websocket-protocol"] == "wamp.2.json.batched"
        assert response.headers["set-cookie"].startswith("visitor=")
        assert "server_no_context_takeover" in response.headers["sec-websocket-extensions"]
    async with running_node(contexts) as node:
        plain = await Connection.open(node.address)
        await plain.send(upgrade_request(headers={"Sec-WebSocket-Extensions": offer}))
        extensions = (await plain.response()).headers["sec-websocket-extensions"]
        assert extensions == "permessage-deflate; server_max_window_bits=11; client_max_window_bits=11"


def curl(command: str, router: RouterProcess, session_id: str) -> tuple[str, str]:
    """Run a command as it is shown, at this router's port; return the status and the body."""
    host, port = router.address
    command = command.replace("127.0.0.1:8080", f"{host}:{port}").replace("$ID", session_id)
    command = command.replace(
        "curl ", "curl --silent --show-error --max-time 20 --write-out '\n%{http_code}' ", 1
    )
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return status, body


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_session_is_held_by_hand_as_the_page_says(tmp_path: Path) -> None:
    commands = [
        line.removeprefix("$ ") for text in blocks("long-poll.md", "console") for line in text.splitlines()
    ]
    opening, *others = commands
    (configuration,) = configurations("long-poll.md")
    with router_process(tmp_path, configuration) as router:
        status, body = curl(opening, router, "")
        assert status == "200"
        opened = json.loads(body)
        assert opened["protocol"] == "wamp.2.json"
        answers = [curl(command, router, opened["transport"]) for command in others]
        assert [status for status, _ in answers] == ["204", "200", "204"]
        assert json.loads(answers[1][1])[0] == 2
        assert curl(others[1], router, opened["transport"])[0] == "404"


async def test_the_paths_beside_it_serve_websockets() -> None:
    (configuration,) = configurations("long-poll.md")
    async with running_node(configuration) as node, joined(node.address) as client:
        assert (await client.ask(32, 1, {}, "com.example.t"))[0] == 33
