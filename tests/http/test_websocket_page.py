"""A plain request at a WebSocket's URL: a page for browsers, a line for programs."""

from collections.abc import AsyncIterator

import pytest

from tests.support.nodes import RunningNode, node_config, running_node, web_transport
from tests.support.websocket import request

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    paths = {
        "ws": {"type": "websocket", "serializers": ["json", "json.batched", "cbor.batched"]},
        "hidden": {"type": "websocket", "options": {"enable_webstatus": False}},
    }
    async with running_node(node_config(web_transport(paths))) as running:
        yield running


async def test_a_browser_is_told_what_is_here(node: RunningNode) -> None:
    response = await request(node.address, "GET", "/ws", headers={"Accept": BROWSER, "Host": "example.org"})
    assert response.status == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page = response.body.decode()
    assert "<code>ws://example.org/ws</code>" in page
    for name in ("wamp.2.json", "wamp.2.json.batched", "wamp.2.cbor.batched"):
        assert f"<code>{name}</code>" in page
    assert "wamp.2.cbor<" not in page


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "text/html;q=0", "text/htmlx"])
async def test_programs_are_told_in_a_line_of_text(node: RunningNode, accept: str) -> None:
    response = await request(node.address, "GET", "/ws", headers={"Accept": accept})
    assert response.status == 426
    assert response.headers["upgrade"] == "websocket"
    assert b"wamp.2.json" in response.body


async def test_the_page_can_be_left_out(node: RunningNode) -> None:
    assert (await request(node.address, "GET", "/hidden", headers={"Accept": BROWSER})).status == 426


async def test_a_post_is_no_visit(node: RunningNode) -> None:
    assert (await request(node.address, "POST", "/ws", headers={"Accept": BROWSER})).status == 426


async def test_what_the_request_says_is_escaped(node: RunningNode) -> None:
    target = "/ws/%3Cscript%3Ealert(1)%3C/script%3E"
    page = (await request(node.address, "GET", target, headers={"Accept": BROWSER})).body.decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
