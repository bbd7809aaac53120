"""HTTP on a port: limits in size and time, keep-alive, and what is answered before a service is asked."""

import asyncio
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.support.nodes import USUAL_PATHS, RunningNode, node_config, running_node, web_transport
from tests.support.websocket import Connection, http_request, open_websocket, request, upgrade_request

GET = http_request("GET", "/metrics")


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    transport = web_transport(header_timeout_s=0.1, client_timeout=1, max_header_bytes=2048)
    async with running_node(node_config(transport)) as running:
        yield running


@pytest.fixture
async def patient() -> AsyncIterator[RunningNode]:
    """A node with the default limits."""
    async with running_node() as running:
        yield running


class TestHeaders:
    async def test_that_do_not_end_in_time_are_told_so(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        await connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        response = await connection.response()
        assert response.status == 408
        assert response.body == b"headers must be complete within 0.1 seconds\n"
        assert await connection.ends() == b""
        assert node.counter("transport_requests_refused_total") == 1

    async def test_that_trickle_are_told_so(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        await connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")

        async def trickle() -> None:
            while True:
                await connection.send(b"x")
                await asyncio.sleep(0.01)

        trickling = asyncio.create_task(trickle())
        assert (await connection.response()).status == 408
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)

    async def test_of_a_second_request_that_do_not_end_are_told_so(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        await connection.send(GET)
        assert (await connection.response()).status == 200
        await connection.send(GET[:20])
        assert (await connection.response()).status == 408

    async def test_that_never_begin_end_the_connection_without_a_word(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        assert await connection.ends() == b""
        assert node.counter("transport_requests_refused_total") == 0

    @pytest.mark.parametrize(("size", "status"), [(1800, 200), (2100, 431)])
    @pytest.mark.parametrize("piece", [100_000, 500])
    async def test_have_a_limit_however_they_are_cut(
        self, node: RunningNode, size: int, status: int, piece: int
    ) -> None:
        connection = await Connection.open(node.address)
        data = http_request("GET", "/metrics", headers={"X": "x" * size})
        for start in range(0, len(data), piece):
            connection.writer.write(data[start : start + piece])
            await asyncio.sleep(0)
        assert (await connection.response()).status == status
        connection.abort()

    async def test_of_every_request_count_anew(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        for _ in range(3):
            await connection.send(http_request("GET", "/metrics", headers={"X": "x" * 1500}))
            assert (await connection.response()).status == 200
        await connection.send(http_request("GET", "/metrics", headers={"X": "x" * 1500}) * 3)
        for _ in range(3):
            assert (await connection.response()).status == 200
        connection.abort()

    async def test_do_not_count_the_body_before_them(self, patient: RunningNode) -> None:
        connection = await Connection.open(patient.address)
        post = http_request("POST", "/notify", b'{"topic":"com.example.t"}'.ljust(60_000))
        await connection.send(post + post + GET[:-1])
        assert [(await connection.response()).status for _ in range(2)] == [200, 200]
        await connection.send(GET[-1:])
        assert (await connection.response()).status == 200
        connection.abort()


class TestConnection:
    async def test_is_kept_for_the_next_request(self, patient: RunningNode) -> None:
        connection = await Connection.open(patient.address)
        for _ in range(3):
            await connection.send(GET)
            assert (await connection.response()).status == 200
        assert patient.counter("transport_connections_opened_total") == 1
        connection.abort()

    async def test_that_is_idle_too_long_is_closed(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        await connection.send(GET)
        assert (await connection.response()).status == 200
        assert await connection.ends() == b""

    async def test_that_stands_still_in_a_body_nobody_reads_is_closed(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        await connection.send(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
        assert (await connection.response()).status == 404
        await connection.send(b"x")
        assert await connection.ends() == b""

    async def test_says_when_it_will_not_be_kept(self, patient: RunningNode) -> None:
        response = await request(patient.address, "GET", "/metrics", headers={"Connection": "close"})
        assert response.headers["connection"] == "close"

    async def test_counts_while_it_is_open(self, patient: RunningNode) -> None:
        connection = await Connection.open(patient.address)
        await connection.send(GET)
        await connection.response()
        assert patient.counter("transport_connections") == 1
        connection.abort()
        await patient.until(lambda: patient.counter("transport_connections") == 0)


class TestAnswer:
    @pytest.mark.parametrize("target", ["/metrics", "/nothing", "/notify", "/ws"])
    async def test_tells_date_and_server(self, patient: RunningNode, target: str) -> None:
        response = await request(patient.address, "GET", target)
        assert response.headers["server"] == "Heliograph"
        assert parsedate_to_datetime(response.headers["date"]).tzinfo is not None

    async def test_before_a_service_is_asked_tells_them_too(self, patient: RunningNode) -> None:
        connection = await Connection.open(patient.address)
        await connection.send(b"garbage\r\n\r\n")
        response = await connection.response()
        assert response.status == 400
        assert {"date", "server", "content-length"} <= set(response.headers)
        assert response.headers["connection"] == "close"

    async def test_to_head_has_no_body(self, patient: RunningNode) -> None:
        connection = await Connection.open(patient.address)
        await connection.send(http_request("HEAD", "/metrics", headers={"Connection": "close"}))
        raw = await connection.ends()
        assert raw.startswith(b"HTTP/1.1 200 ")
        assert raw.endswith(b"\r\n\r\n")

    async def test_goes_to_the_peers_of_this_socket_whatever_headers_claim(
        self, patient: RunningNode
    ) -> None:
        # A page whose name was made to lead here cannot pass for local by way of a proxy's headers.
        headers = {
            "Origin": "http://evil.example",
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "https",
            "Forwarded": "host=evil.example",
        }
        assert (await request(patient.address, "POST", "/notify", b"{}", headers)).status == 403


class TestUpgrade:
    async def test_is_found_whatever_surrounds_its_path(self, patient: RunningNode) -> None:
        for path in ("/ws", "/ws/", "/ws?token=1"):
            (await open_websocket(patient.address, path)).abort()

    async def test_at_the_root_is_found(self) -> None:
        paths: dict[str, Any] = {"/": {"type": "websocket"}, "metrics": USUAL_PATHS["metrics"]}
        async with running_node(node_config(web_transport(paths))) as node:
            (await open_websocket(node.address, "/")).abort()
            assert (await request(node.address, "GET", "/metrics")).status == 200

    async def test_at_another_path_is_answered_as_plain_http(self, patient: RunningNode) -> None:
        connection = await Connection.open(patient.address)
        await connection.send(upgrade_request("/metrics"))
        assert (await connection.response()).status == 200

    async def test_after_a_request_on_the_same_connection_works(self, patient: RunningNode) -> None:
        connection = await Connection.open(patient.address)
        await connection.send(GET)
        assert (await connection.response()).status == 200
        await connection.send(upgrade_request())
        assert (await connection.response()).status == 101
        connection.abort()

    async def test_outlives_the_clocks_of_http(self, node: RunningNode) -> None:
        socket = await open_websocket(node.address)
        # The idle HTTP connection beside it is closed by those clocks.
        connection = await Connection.open(node.address)
        await connection.send(GET)
        await connection.response()
        assert await connection.ends() == b""
        await socket.send_frame(0x9, b"still there")
        assert (await socket.read_frame()).payload == b"still there"
        socket.abort()


class TestSlow:
    """Clocks of `node` run for a second."""

    async def test_client_that_takes_nothing_of_its_answer_is_dropped(self, node: RunningNode) -> None:
        self.serve(node, chunks=200)
        connection = await Connection.open(node.address)
        connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await connection.send(http_request("GET", "/test"))
        await node.until(lambda: node.counter("transport_connections") == 1)
        await node.until(lambda: node.counter("transport_connections") == 0)

    async def test_client_that_took_its_answer_late_keeps_its_websocket(self, node: RunningNode) -> None:
        done = self.serve(node, chunks=1, chunk_bytes=16 * 1024 * 1024)
        connection = await Connection.open(node.address)
        connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await connection.send(http_request("GET", "/test"))
        await done.wait()
        await connection.send(upgrade_request())
        await node.until(lambda: len(node.connections) == 1)
        connection.reader._transport.resume_reading()  # type: ignore[attr-defined]
        assert (await connection.response()).status == 200
        assert (await connection.response()).status == 101
        await self.a_second_passes(node)
        assert len(node.connections) == 1

    async def test_answer_is_waited_for_on_a_connection_that_had_been_idle(self, node: RunningNode) -> None:
        waiting = asyncio.Event()
        self.serve(node, chunks=1, until=waiting)
        connection = await Connection.open(node.address)
        await connection.send(GET)
        assert (await connection.response()).status == 200
        await connection.send(http_request("GET", "/test"))
        await self.a_second_passes(node)
        waiting.set()
        assert (await connection.response()).status == 200

    @staticmethod
    def serve(
        node: RunningNode, *, chunks: int, chunk_bytes: int = 100_000, until: asyncio.Event | None = None
    ) -> asyncio.Event:
        """Answer at /test; return what is set when all is handed over."""
        done = asyncio.Event()

        async def application(_scope: Any, _receive: Any, send: Any) -> None:
            if until is not None:
                await until.wait()
            length = str(chunks * chunk_bytes).encode()
            headers = [(b"content-length", length)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for left in reversed(range(chunks)):
                body = b"x" * chunk_bytes
                await send({"type": "http.response.body", "body": body, "more_body": left > 0})
            done.set()

        node.http._config.loaded_app._services["test"] = application
        return done

    @staticmethod
    async def a_second_passes(node: RunningNode) -> None:
        """Wait until the clock of a connection that is idle from now on has run out."""
        idle = await Connection.open(node.address)
        await idle.send(GET)
        await idle.response()
        assert await idle.ends() == b""
