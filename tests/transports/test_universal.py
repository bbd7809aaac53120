"""RawSocket, WebSocket and HTTP on one port, told apart by the first octet."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.nodes import USUAL_PATHS, RunningNode, node_config, running_node
from tests.support.rawsocket import joined_rawsocket, open_rawsocket
from tests.support.websocket import (
    Connection,
    connect_wamp,
    http_request,
    joined,
    post_json,
    request,
    upgrade_request,
)

TOPIC = "com.example.t"


def universal(**parts: Any) -> dict[str, Any]:
    endpoint = {"type": "tcp", "port": 0, "interface": "127.0.0.1"}
    return node_config({"type": "universal", "endpoint": endpoint, **parts})


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    config = universal(
        rawsocket={"serializers": ["cbor", "json"]},
        websocket={"socket": {"type": "websocket", "serializers": ["msgpack"]}},
        web={"paths": USUAL_PATHS, "options": {"header_timeout_s": 0.2}},
    )
    async with running_node(config) as running:
        yield running


async def test_all_of_them_meet_in_one_router(node: RunningNode) -> None:
    async with (
        joined_rawsocket(node.address, "cbor") as raw,
        joined(node.address, "msgpack", "/socket") as web,
        joined(node.address, "json", "/ws") as other,
    ):
        for subscriber in (raw, web, other):
            assert (await subscriber.ask(32, 1, {}, TOPIC))[0] == 33
        response = await post_json(node.address, "/notify", {"topic": TOPIC, "args": ["hello"]})
        assert response.status == 200, response
        for subscriber in (raw, web, other):
            assert (await subscriber.receive())[4] == ["hello"]
        assert (await request(node.address, "GET", "/metrics")).status == 200
    await node.until(lambda: node.counter("transport_connections") == 0)


async def test_the_ready_line_shows_how_to_get_there(node: RunningNode) -> None:
    host, port = node.address
    assert node.node.urls == [f"http://{host}:{port}/"]


async def test_what_came_with_the_first_octet_is_not_lost(node: RunningNode) -> None:
    raw = await open_rawsocket(node.address)
    await raw.send(b"\x7f")
    await asyncio.sleep(0)
    await raw.send(b"\xf1\0\0" + raw.framed([1, "realm1", {"roles": {"caller": {}}}]))
    await raw.octets(4)
    assert (await raw.receive())[0] == 2
    http = await Connection.open(node.address)
    for octet in http_request("GET", "/metrics"):
        await http.send(bytes([octet]))
    assert (await http.response()).status == 200


async def test_a_websocket_is_found_by_the_first_part_of_its_path(node: RunningNode) -> None:
    client = await connect_wamp(node.address, "msgpack", "/socket/whatever?query=1")
    await client.join()
    plain = await Connection.open(node.address)
    await plain.send(upgrade_request("/nowhere", subprotocols="wamp.2.msgpack"))
    assert (await plain.response()).status == 404
    assert (await request(node.address, "GET", "/socket")).status == 426


async def test_who_says_nothing_is_dropped(node: RunningNode) -> None:
    silent = await Connection.open(node.address)
    await node.until(lambda: node.counter("transport_connections") == 1)
    assert await silent.ends() == b""
    assert node.counter("transport_connections") == 0


async def test_who_leaves_before_saying_anything_is_forgotten(node: RunningNode) -> None:
    silent = await Connection.open(node.address)
    await node.until(lambda: node.counter("transport_connections") == 1)
    silent.abort()
    await node.until(lambda: node.counter("transport_connections") == 0)


async def test_a_part_that_is_left_out_is_refused() -> None:
    async with running_node(universal(websocket={"ws": {}})) as node:
        raw = await Connection.open(node.address)
        await raw.send(b"\x7f\xf1\0\0")
        assert await raw.ends() == b""
        assert node.counter("transport_handshakes_refused_total") == 1
        async with joined(node.address):
            assert (await request(node.address, "GET", "/")).status == 404
        host, port = node.address
        assert node.node.urls == [f"ws://{host}:{port}/"]
    async with running_node(universal(rawsocket={})) as node, joined_rawsocket(node.address):
        assert (await request(node.address, "GET", "/")).status == 404


async def test_a_node_that_stops_drops_who_has_said_nothing() -> None:
    async with running_node(universal(rawsocket={}, websocket={"ws": {}})) as node:
        silent = await Connection.open(node.address)
        await node.until(lambda: node.counter("transport_connections") == 1)
        await asyncio.wait_for(node.node.stop(), 5)
        assert await silent.ends() == b""


class TestWebSocketTransport:
    @pytest.fixture
    async def bare(self) -> AsyncIterator[RunningNode]:
        endpoint = {"type": "tcp", "port": 0, "interface": "127.0.0.1"}
        config = node_config({"type": "websocket", "endpoint": endpoint, "url": "ws://localhost:8080/ws"})
        async with running_node(config) as running:
            yield running

    @pytest.mark.parametrize("path", ["/", "/ws", "/any/path/at?all"])
    async def test_takes_any_path(self, bare: RunningNode, path: str) -> None:
        async with joined(bare.address, "cbor", path) as client:
            assert (await client.ask(32, 1, {}, TOPIC))[0] == 33

    async def test_answers_nothing_else(self, bare: RunningNode) -> None:
        response = await request(bare.address, "GET", "/ws")
        assert response.status == 426
        host, port = bare.address
        assert bare.node.urls == [f"ws://{host}:{port}/"]
