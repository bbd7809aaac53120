"""The bridge's own lane: requests in any company on one connection, in pieces, in turns, and given up."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heliograph.http.lane import UNITS_A_REQUEST
from heliograph.http.protocol import GuardedHttpProtocol
from heliograph.transports.turn import Turn
from tests.support.nodes import USUAL_PATHS, RunningNode, node_config, running_node, web_transport
from tests.support.websocket import (
    Connection,
    WampClient,
    http_request,
    joined,
    post_json,
    request,
    upgrade_request,
)

TOPIC, PROCEDURE = "com.example.t", "com.example.p"
METRICS = http_request("GET", "/metrics")


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    async with running_node() as running:
        yield running


@pytest.fixture
async def subscriber(node: RunningNode) -> AsyncIterator[WampClient]:
    async with joined(node.address) as client:
        await client.ask(32, 1, {}, TOPIC)
        yield client


def post(*args: Any, target: str = "/notify", **headers: str) -> bytes:
    return http_request("POST", target, json.dumps({"topic": TOPIC, "args": args}).encode(), headers)


def protocol_of(node: RunningNode) -> GuardedHttpProtocol:
    """Return the router's end of the only HTTP connection."""
    (protocol,) = node.http.state.connections
    assert isinstance(protocol, GuardedHttpProtocol)
    return protocol


def let_turns_do(units: int, node: RunningNode) -> Turn:
    the_turn = node.node._turn
    the_turn.work_budget = the_turn._work_left = units
    return the_turn


async def heard(subscriber: WampClient, count: int) -> list[Any]:
    return [(await subscriber.receive())[4][0] for _ in range(count)]


class TestAnswer:
    async def test_is_this_to_the_byte(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        await connection.send(post(1, Connection="close"))
        raw = re.sub(rb"date: [^\r]*", b"date: D", await connection.ends())
        raw, _, number = raw.rpartition(b'{"id":')
        length = len(b'{"id":' + number)
        assert raw == (
            b"HTTP/1.1 200 OK\r\ndate: D\r\nserver: Heliograph\r\n"
            b"content-type: application/json; charset=utf-8\r\ncontent-length: %d\r\n"
            b"cache-control: no-store\r\nconnection: close\r\n\r\n" % length
        )
        assert number.endswith(b"}")

    async def test_to_http_1_0_ends_the_connection(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        await connection.send(post(1).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert b"\r\nconnection: close\r\n" in await connection.ends()

    async def test_is_found_however_the_target_is_written(self, node: RunningNode) -> None:
        for target in ("/notify", "/notify/", "/notify?x=1", "/%6eotify/x", "http://any.example/notify"):
            assert (await request(node.address, "POST", target, b'{"topic":"com.example.t"}')).status == 200

    async def test_at_the_root_is_found(self) -> None:
        paths = {**USUAL_PATHS, "/": USUAL_PATHS["notify"]}
        async with running_node(node_config(web_transport(paths))) as node:
            for target, status in (("/", 200), ("/else", 200), ("/metrics", 405), ("/ws", 426)):
                response = await request(node.address, "POST", target, b'{"topic":"com.example.t"}')
                assert response.status == status, target

    async def test_of_a_defect_is_500_and_the_log_says_where(
        self, node: RunningNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_body: bytes) -> bytes:
            raise ValueError("of ours")

        monkeypatch.setattr(node.http.paths._lane["notify"], "_begin_json", broken)
        connection = await Connection.open(node.address)
        await connection.send(post(1) + post(2))
        raw = await connection.ends()
        assert raw.startswith(b"HTTP/1.1 500 ")
        assert raw.endswith(b"\r\nconnection: close\r\n\r\nInternal Server Error")
        assert "of ours" in caplog.text


class TestBody:
    async def test_may_come_in_any_pieces(self, node: RunningNode, subscriber: WampClient) -> None:
        connection = await Connection.open(node.address)
        for byte in post("split"):
            connection.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await connection.response()).status == 200
        assert await heard(subscriber, 1) == ["split"]

    async def test_may_come_in_chunks_with_trailers(self, node: RunningNode, subscriber: WampClient) -> None:
        connection = await Connection.open(node.address)
        await connection.send(
            b"POST /notify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'9\r\n{"topic":\r\n25\r\n"com.example.t", "args": ["chunked"]}\r\n0\r\nX-Trailer: 1\r\n\r\n'
        )
        assert (await connection.response()).status == 200
        assert await heard(subscriber, 1) == ["chunked"]

    async def test_in_chunks_has_the_same_limit(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        head = b"POST /notify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        await connection.send(head + chunk + chunk)
        assert (await connection.response()).status == 413
        await connection.send(b"0\r\n\r\n" + post(1))
        assert (await connection.response()).status == 200

    async def test_of_a_request_that_waits_has_the_same_limit(
        self, node: RunningNode, subscriber: WampClient
    ) -> None:
        async with joined(node.address) as callee:
            await callee.ask(64, 1, {}, PROCEDURE)
            connection = await Connection.open(node.address)
            long = http_request("POST", "/notify", b" " * 70_000)
            await connection.send(http_request("POST", "/call", b'{"procedure":"com.example.p"}'))
            invocation = await callee.receive()
            await connection.send(long + post("after"))
            await callee.send([70, invocation[1], {}, ["done"]])
            assert (await connection.response()).json == {"args": ["done"]}
            assert [(await connection.response()).status for _ in range(2)] == [413, 200]
            assert await heard(subscriber, 1) == ["after"]


class TestOrder:
    async def test_of_answers_is_that_of_requests_whoever_answers(
        self, node: RunningNode, subscriber: WampClient
    ) -> None:
        async with joined(node.address) as callee:
            await callee.ask(64, 1, {}, PROCEDURE)
            connection = await Connection.open(node.address)
            call = http_request("POST", "/call", b'{"procedure":"com.example.p"}')
            await connection.send(post(1) + METRICS + post(2) + call + post(3) + METRICS + post(4))
            assert list((await connection.response()).json) == ["id"]
            assert (await connection.response()).body.startswith(b"# HELP")
            assert list((await connection.response()).json) == ["id"]
            invocation = await callee.receive()
            assert await heard(subscriber, 2) == [1, 2]
            await callee.send([70, invocation[1], {}, ["done"]])
            assert (await connection.response()).json == {"args": ["done"]}
            assert list((await connection.response()).json) == ["id"]
            assert (await connection.response()).body.startswith(b"# HELP")
            assert list((await connection.response()).json) == ["id"]
            assert await heard(subscriber, 2) == [3, 4]

    async def test_of_very_many_requests_in_one_go_is_kept(
        self, node: RunningNode, subscriber: WampClient
    ) -> None:
        connection = await Connection.open(node.address)
        await connection.send(b"".join(post(number) for number in range(500)))
        ids = [(await connection.response()).json["id"] for _ in range(500)]
        events = [await subscriber.receive() for _ in range(500)]
        assert [event[4] for event in events] == [[number] for number in range(500)]
        assert [event[2] for event in events] == ids

    async def test_a_refused_request_costs_its_successors_nothing(
        self, node: RunningNode, subscriber: WampClient
    ) -> None:
        connection = await Connection.open(node.address)
        wrong = http_request("POST", "/notify", b"[")
        await connection.send(wrong + post(1) + http_request("GET", "/notify") + post(2))
        assert [(await connection.response()).status for _ in range(4)] == [400, 200, 405, 200]
        assert await heard(subscriber, 2) == [1, 2]

    async def test_nothing_behind_the_last_request_is_read(
        self, node: RunningNode, subscriber: WampClient
    ) -> None:
        connection = await Connection.open(node.address)
        await connection.send(post("last", Connection="close") + post("ignored"))
        assert (await connection.ends()).count(b"HTTP/1.1") == 1
        await post_json(node.address, "/notify", {"topic": TOPIC, "args": ["other"]})
        assert await heard(subscriber, 2) == ["last", "other"]

    async def test_a_websocket_may_come_in_the_same_segment(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        await connection.send(post(1) + upgrade_request())
        assert [(await connection.response()).status for _ in range(2)] == [200, 101]


class TestTurns:
    async def test_requests_wait_when_a_turn_has_done_enough(
        self, node: RunningNode, subscriber: WampClient
    ) -> None:
        the_turn = let_turns_do(0, node)
        many, one = await Connection.open(node.address), await Connection.open(node.address)
        await many.send(b"".join(post(number) for number in range(16)))
        await node.until(lambda: len(the_turn._waiting) == 1)
        await one.send(post("bystander"))
        await node.until(lambda: len(the_turn._waiting) == 2)
        let_turns_do(1, node)
        assert (await one.response()).status == 200
        assert [(await many.response()).status for _ in range(16)] == [200] * 16
        order = await heard(subscriber, 17)
        assert [number for number in order if number != "bystander"] == list(range(16))
        assert order.index("bystander") < 3, "nobody waits until a flood is over"

    async def test_no_turn_does_much_more_than_its_budget(
        self, node: RunningNode, subscriber: WampClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        budget = 4 * UNITS_A_REQUEST
        the_turn = let_turns_do(budget, node)
        spent: list[int] = []
        end = the_turn._end

        def noted() -> None:
            spent.append(the_turn.work_budget - the_turn._work_left)
            end()

        monkeypatch.setattr(the_turn, "_end", noted)
        connections = [await Connection.open(node.address) for _ in range(50)]
        for connection in connections:
            connection.writer.write(post(1))
        assert [(await connection.response()).status for connection in connections] == [200] * 50
        # One unit is for the delivery.
        assert 0 < max(spent) <= budget + UNITS_A_REQUEST + 1
        assert await heard(subscriber, 50) == [1] * 50

    async def test_a_client_that_does_not_read_waits_with_its_next_request(
        self, node: RunningNode, subscriber: WampClient
    ) -> None:
        connection = await Connection.open(node.address)
        await connection.send(post(1))
        await connection.response()
        protocol = protocol_of(node)
        protocol.pause_writing()
        await connection.send(post(2))
        await node.until(lambda: protocol.flow.read_paused)
        assert node.counter("publications_total") == 1
        protocol.resume_writing()
        assert (await connection.response()).status == 200
        assert await heard(subscriber, 2) == [1, 2]

    async def test_a_client_that_does_not_read_waits_for_its_refusals(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        await connection.send(post(1))
        await connection.response()
        protocol = protocol_of(node)
        protocol.pause_writing()
        await connection.send(http_request("GET", "/notify") * 2)
        await node.until(lambda: protocol.flow.read_paused)
        assert protocol.transport.get_write_buffer_size() == 0
        assert len(protocol.pipeline) == 1
        protocol.resume_writing()
        assert [(await connection.response()).status for _ in range(2)] == [405, 405]

    async def test_refusals_wait_when_a_turn_has_done_enough(self, node: RunningNode) -> None:
        the_turn = let_turns_do(0, node)
        connection = await Connection.open(node.address)
        await connection.send(http_request("GET", "/notify") * 3)
        await node.until(lambda: len(the_turn._waiting) == 1)
        let_turns_do(1, node)
        assert [(await connection.response()).status for _ in range(3)] == [405] * 3

    async def test_a_request_held_up_before_its_body_gets_it_later(
        self, node: RunningNode, subscriber: WampClient
    ) -> None:
        connection = await Connection.open(node.address)
        await connection.send(post(1))
        await connection.response()
        protocol = protocol_of(node)
        protocol.pause_writing()
        head, _, body = post("late").partition(b"\r\n\r\n")
        await connection.send(head + b"\r\n\r\n" + body[:5])
        await node.until(lambda: protocol.flow.read_paused)
        protocol.resume_writing()
        await connection.send(body[5:])
        assert (await connection.response()).status == 200
        assert await heard(subscriber, 2) == [1, "late"]

    async def test_a_client_that_goes_meanwhile_is_not_served(
        self, node: RunningNode, subscriber: WampClient
    ) -> None:
        connection = await Connection.open(node.address)
        await connection.send(post(1))
        await connection.response()
        protocol = protocol_of(node)
        protocol.pause_writing()
        await connection.send(post("too late") * 3)
        await node.until(lambda: protocol.flow.read_paused)
        protocol.transport.abort()
        await node.until(lambda: node.counter("transport_connections") == 1)
        await post_json(node.address, "/notify", {"topic": TOPIC, "args": ["next"]})
        assert await heard(subscriber, 2) == [1, "next"]


class TestClocks:
    async def test_close_a_connection_that_is_idle_after_many_requests(self) -> None:
        async with running_node(node_config(web_transport(client_timeout=1))) as node:
            connection = await Connection.open(node.address)
            loop = asyncio.get_running_loop()
            busy_until = loop.time() + 0.5
            while loop.time() < busy_until:
                await connection.send(post(1))
                assert (await connection.response()).status == 200
                answered = loop.time()
            assert await connection.ends() == b""
            assert loop.time() - answered > 0.9, "the clock begins with the last answer"
