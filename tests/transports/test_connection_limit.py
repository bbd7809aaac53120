"""As many connections as may be open, and what one more is told."""

from typing import Any

import pytest

from heliograph.transports import connection_limit
from tests.support.nodes import node_config, rawsocket_transport, running_node, web_transport
from tests.support.rawsocket import joined_rawsocket, open_rawsocket
from tests.support.websocket import Connection, http_request, joined

ENDPOINT = {"type": "tcp", "port": 0, "interface": "127.0.0.1"}


async def test_of_http_answers_503() -> None:
    transport = {**web_transport(), "max_connections": 2}
    async with running_node(node_config(transport)) as node, joined(node.address):
        idle = await Connection.open(node.address)
        await node.until(lambda: node.counter("transport_connections") == 2)
        third = await Connection.open(node.address)
        # Its request is never read, and still it reads the answer.
        await third.send(http_request("POST", "/notify", b"x" * 5000))
        response = await third.response()
        assert (response.status, response.headers["connection"]) == (503, "close")
        assert response.body == b"as many connections as may be open\n"
        assert await third.ends() == b""
        assert node.counter("transport_connections_refused_total") == 1
        idle.abort()
        await node.until(lambda: node.counter("transport_connections") == 1)
        async with joined(node.address):
            assert node.counter("transport_connections_refused_total") == 1


async def test_of_rawsocket_answers_error_4() -> None:
    config = node_config(rawsocket_transport(max_connections=1))
    async with running_node(config) as node:
        async with joined_rawsocket(node.address):
            second = await open_rawsocket(node.address)
            await second.send(b"\x7f\xf1\0\0")
            assert await second.ends() == bytes.fromhex("7f400000")
            assert node.counter("transport_connections_refused_total") == 1
        await node.until(lambda: node.counter("transport_connections") == 0)
        async with joined_rawsocket(node.address):
            pass


async def test_counts_handshakes_that_are_not_complete() -> None:
    config = node_config(rawsocket_transport(max_connections=1))
    async with running_node(config) as node:
        await open_rawsocket(node.address)
        await node.until(lambda: node.counter("transport_connections") == 1)
        second = await open_rawsocket(node.address)
        assert await second.ends() == bytes.fromhex("7f400000")


async def test_of_a_universal_port_closes() -> None:
    config = node_config(
        {"type": "universal", "endpoint": ENDPOINT, "rawsocket": {}, "websocket": {"ws": {}}}
        | {"max_connections": 1}
    )
    async with running_node(config) as node, joined(node.address):
        second = await Connection.open(node.address)
        assert await second.ends() == b""
        assert node.counter("transport_connections_refused_total") == 1


@pytest.mark.parametrize("polite", [0, 5])
async def test_holds_when_many_come_at_once(polite: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limit, "POLITELY_REFUSED", polite)
    config = node_config(rawsocket_transport(max_connections=20))
    async with running_node(config) as node:
        clients: list[Any] = [await open_rawsocket(node.address) for _ in range(60)]
        await node.until(lambda: node.counter("transport_connections_refused_total") == 40)
        assert node.counter("transport_connections") == 20
        for client in clients:
            client.abort()
        await node.until(lambda: node.counter("transport_connections") == 0)
        async with joined_rawsocket(node.address):
            pass
