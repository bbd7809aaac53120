"""A node from its ready line to its exit code."""

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heliograph import node as node_module
from heliograph.ports import shown_url
from heliograph.transports.listener import ListenFailed
from tests.support.nodes import (
    OPEN_REALM,
    USUAL_PATHS,
    node_config,
    router_process,
    running_node,
    web_transport,
)
from tests.support.websocket import (
    CLOSE,
    Connection,
    abort_all_connections,
    connect_wamp,
    http_request,
    joined,
    open_websocket,
    post_json,
    request,
)

GOODBYE = [6, {"message": "the router is shutting down"}, "wamp.close.system_shutdown"]
IDLE_BYTES = 60 * 1024 * 1024
"""What the design allows a router that does nothing."""


@pytest.fixture
def short_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "DRAIN_TIMEOUT_S", 0.1)


class TestProcess:
    async def test_says_where_it_listens_serves_and_stays_small(self, tmp_path: Path) -> None:
        transports = [web_transport(), web_transport({"ws": {"type": "websocket"}})]
        with router_process(tmp_path, node_config(*transports)) as router:
            assert len(router.addresses) == 2
            assert (await request(router.address, "GET", "/metrics")).status == 200
            # Both transports lead to one realm.
            async with joined(router.addresses[1]) as client:
                await client.ask(32, 1, {}, "com.example.t")
                await post_json(router.address, "/notify", {"topic": "com.example.t", "args": [1]})
                assert (await client.receive())[4] == [1]
            assert router.resident_bytes < IDLE_BYTES
            await abort_all_connections()

    @pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
    async def test_says_goodbye_and_exits_with_0(self, tmp_path: Path, stop: signal.Signals) -> None:
        with router_process(tmp_path) as router:
            async with joined(router.address) as client, joined(router.address, "cbor") as other:
                before_hello = await open_websocket(router.address)
                idle = await Connection.open(router.address)
                router.process.send_signal(stop)
                for session in (client, other):
                    assert await session.receive() == GOODBYE
                    await session.send([6, {}, "wamp.close.goodbye_and_out"])
                    assert (await session.socket.closed()).close_code == 1000
                assert (await before_hello.closed()).close_code == 1001
                assert await idle.ends() == b""
            await abort_all_connections()
            assert await asyncio.to_thread(router.process.wait, 10) == 0

    def test_that_cannot_listen_says_why_and_exits_with_1(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            (tmp_path / "config.yaml").write_text(
                "version: 2\n"
                "workers:\n"
                "- type: router\n"
                "  realms: [{name: realm1, roles: [{name: anonymous}]}]\n"
                "  transports:\n"
                "  - type: web\n"
                f"    endpoint: {{type: tcp, port: {port}, interface: 127.0.0.1}}\n"
                "    paths: {ws: {type: websocket}}\n"
            )
            finished = subprocess.run(
                [sys.executable, "-m", "heliograph", "start", "--cbdir", str(tmp_path)],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        assert finished.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in finished.stderr
        assert "Traceback" not in finished.stderr
        assert finished.stdout == ""


class TestStop:
    @pytest.mark.usefixtures("short_drain")
    async def test_does_not_wait_for_those_who_answer_nothing(self) -> None:
        async with running_node() as node, joined(node.address) as deaf:
            stopping = asyncio.create_task(node.node.stop())
            assert await deaf.receive() == GOODBYE
            await asyncio.wait_for(stopping, 5)
            assert await deaf.socket.ends() == b""

    async def test_ends_events_before_goodbye(self) -> None:
        async with running_node() as node, joined(node.address) as client:
            await client.ask(32, 1, {}, "com.example.t")
            await client.send(*([16, n, {"exclude_me": False}, "com.example.t", [n]] for n in range(1, 51)))
            assert (await client.receive())[4] == [1]
            stopping = asyncio.create_task(node.node.stop())
            heard = [(await client.receive())[0] for _ in range(50)]
            assert heard == [36] * 49 + [6]
            await client.send([6, {}, "wamp.close.goodbye_and_out"])
            assert (await client.socket.read_frame()).opcode == CLOSE
            await client.socket.send_frame(CLOSE, b"\x03\xe8")
            await asyncio.wait_for(stopping, 5)

    async def test_answers_requests_that_wait_for_a_callee(self) -> None:
        async with running_node() as node, joined(node.address) as callee:
            await callee.ask(64, 1, {}, "com.example.p")
            calling = asyncio.create_task(post_json(node.address, "/call", {"procedure": "com.example.p"}))
            assert (await callee.receive())[0] == 68
            stopping = asyncio.create_task(node.node.stop())
            assert await callee.receive() == GOODBYE
            response = await calling
            assert (response.status, response.json["error"]) == (200, "wamp.error.canceled")
            assert response.headers["connection"] == "close"
            callee.socket.abort()
            await asyncio.wait_for(stopping, 5)

    @pytest.mark.usefixtures("short_drain")
    async def test_drops_a_request_that_takes_too_long(self) -> None:
        async with running_node() as node:
            connection = await Connection.open(node.address)
            await connection.send(http_request("POST", "/notify", headers={"Content-Length": "100"}))
            connections = node.http.state.connections
            await node.until(lambda: any(each.cycle is not None for each in connections))
            await asyncio.wait_for(node.node.stop(), 5)
            assert await connection.ends() == b""

    async def test_listens_no_more(self) -> None:
        async with running_node() as node:
            address = node.address
        with pytest.raises(ConnectionRefusedError):
            await Connection.open(address)

    async def test_takes_no_new_session_meanwhile(self) -> None:
        async with running_node() as node, joined(node.address) as client:
            late = await connect_wamp(node.address)
            stopping = asyncio.create_task(node.node.stop())
            assert await client.receive() == GOODBYE
            await late.send([1, "realm1", {"roles": {"caller": {}}}])
            assert (await late.socket.closed()).close_code == 1001
            await client.send([6, {}, "wamp.close.goodbye_and_out"])
            await client.socket.closed()
            await asyncio.wait_for(stopping, 5)


class TestStart:
    async def test_that_fails_leaves_nothing_listening(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = probe.getsockname()[1]
            probe.close()
            first, second = web_transport(), web_transport()
            first["endpoint"]["port"] = free
            second["endpoint"]["port"] = taken.getsockname()[1]
            with pytest.raises(ListenFailed, match="Address already in use"):
                async with running_node(node_config(first, second)):
                    pass
        with pytest.raises(ConnectionRefusedError):
            await Connection.open(("127.0.0.1", free))

    async def test_on_a_unix_socket_serves_there(self, tmp_path: Path) -> None:
        transport = web_transport()
        transport["endpoint"] = {"type": "unix", "path": "node.sock"}
        async with running_node(node_config(transport), directory=tmp_path) as node:
            assert node.names == [str(tmp_path / "node.sock")]
            reader, writer = await asyncio.open_unix_connection(node.names[0])
            connection = Connection(reader, writer)
            await connection.send(http_request("POST", "/notify", b'{"topic":"com.example.t"}'))
            assert (await connection.response()).status == 200

    async def test_of_two_workers_keeps_their_realms_apart(self) -> None:
        config = node_config()
        config["workers"].append(node_config()["workers"][0])
        async with running_node(config) as node, joined(node.addresses[0]) as client:
            await client.ask(32, 1, {}, "com.example.t")
            for address in reversed(node.addresses):
                await post_json(address, "/notify", {"topic": "com.example.t", "args": [address[1]]})
            assert (await client.receive())[4] == [node.addresses[0][1]]

    async def test_offers_only_the_serializers_it_is_told_to(self) -> None:
        paths: dict[str, Any] = {**USUAL_PATHS, "ws": {"type": "websocket", "serializers": ["json"]}}
        async with running_node(node_config(web_transport(paths), realm=OPEN_REALM)) as node:
            socket_ = await open_websocket(node.address, subprotocols="wamp.2.cbor, wamp.2.json")
            socket_.abort()


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080/"),
        ("[::]:8080", "http://[::1]:8080/"),
        ("[fe80::1]:80", "http://[fe80::1]:80/"),
        ("/run/heliograph.sock", "unix:/run/heliograph.sock"),
    ],
)
def test_the_ready_line_tells_a_url_that_can_be_opened(address: str, url: str) -> None:
    assert shown_url("http", address) == url
