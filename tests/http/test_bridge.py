"""What publisher and caller do alike: methods, origins, media types, limits."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heliograph.http import exchange
from tests.support.nodes import USUAL_PATHS, RunningNode, node_config, running_node, web_transport
from tests.support.websocket import Connection, http_request, post_json, request

GOOD = {"topic": "com.example.t"}


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    allowing: dict[str, Any] = {"allowed_origins": ["self", "https://*.app.example"], "post_body_limit": 2000}
    notify = {**USUAL_PATHS["notify"], "options": allowing}
    open_to_all = {**USUAL_PATHS["notify"], "options": {"allowed_origins": ["*"], "post_body_limit": 0}}
    paths = {**USUAL_PATHS, "notify": notify, "open": open_to_all}
    async with running_node(node_config(web_transport(paths))) as running:
        yield running


class TestOrigin:
    @pytest.mark.parametrize(
        ("origin", "host"),
        [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://localhost", "localhost"),
            ("https://a.app.example", "127.0.0.1"),
        ],
    )
    async def test_that_may_is_told_so(self, node: RunningNode, origin: str, host: str) -> None:
        response = await post_json(node.address, "/notify", GOOD, Origin=origin, Host=host)
        assert response.status == 200
        assert response.headers["access-control-allow-origin"] == origin
        assert response.headers["vary"] == "Origin"

    @pytest.mark.parametrize(
        ("origin", "host"),
        [
            ("http://evil.example", "127.0.0.1"),
            ("http://evil.example", "evil.example"),
            ("http://127.0.0.1:8081", "127.0.0.1:8080"),
            ("https://app.example", "127.0.0.1"),
            ("null", "127.0.0.1"),
        ],
    )
    async def test_that_may_not_is_refused_and_nothing_is_published(
        self, node: RunningNode, origin: str, host: str
    ) -> None:
        response = await post_json(node.address, "/notify", GOOD, Origin=origin, Host=host)
        assert response.status == 403
        assert response.json == {
            "error": f"pages from {origin} may not send requests here: name it in allowed_origins",
            "args": [],
            "kwargs": {},
        }
        assert "access-control-allow-origin" not in response.headers
        assert node.counter("publications_total") == 0

    async def test_is_not_asked_of_programs(self, node: RunningNode) -> None:
        response = await post_json(node.address, "/notify", GOOD, Host="anything.example")
        assert response.status == 200
        assert "access-control-allow-origin" not in response.headers

    async def test_of_any_page_may_when_a_star_says_so(self, node: RunningNode) -> None:
        response = await post_json(node.address, "/open", GOOD, Origin="http://any.example")
        assert response.headers["access-control-allow-origin"] == "http://any.example"
        # Cookies mean nothing here; a page that sends them gets no answer it may read.
        assert "access-control-allow-credentials" not in response.headers

    async def test_errors_can_be_read_by_the_page_too(self, node: RunningNode) -> None:
        origin = "https://a.app.example"
        response = await post_json(node.address, "/notify", {}, Origin=origin)
        assert response.status == 400
        assert response.headers["access-control-allow-origin"] == origin


class TestPreflight:
    async def test_of_an_allowed_page_tells_what_it_may(self, node: RunningNode) -> None:
        headers = {
            "Origin": "https://a.app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, x-token",
        }
        response = await request(node.address, "OPTIONS", "/notify", headers=headers)
        assert response.status == 204
        assert "content-length" not in response.headers
        assert response.body == b""
        expected = {
            "access-control-allow-origin": "https://a.app.example",
            "access-control-allow-methods": "POST, PUT, OPTIONS",
            "access-control-allow-headers": "content-type, x-token",
            "access-control-max-age": "600",
            "allow": "POST, PUT, OPTIONS",
            "vary": "Origin",
        }
        assert response.headers.items() >= expected.items()

    async def test_of_a_foreign_page_is_refused(self, node: RunningNode) -> None:
        response = await request(
            node.address, "OPTIONS", "/notify", headers={"Origin": "http://evil.example"}
        )
        assert response.status == 403
        assert not any(name.startswith("access-control-") for name in response.headers)


class TestRequest:
    @pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH", "HEAD"])
    async def test_by_another_method_is_told_which_to_use(self, node: RunningNode, method: str) -> None:
        connection = await Connection.open(node.address)
        await connection.send(http_request(method, "/notify"))
        head = await connection.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nallow: POST, PUT, OPTIONS\r\n" in head
        connection.abort()

    @pytest.mark.parametrize(
        ("media_type", "status"),
        [
            (None, 200),
            ("application/json", 200),
            ("Application/JSON;charset=UTF-8", 200),
            ('application/json; charset="utf-8"', 200),
            ("application/json; profile=x; charset=utf8", 200),
            ("application/json;", 200),
            ("application/json; charset=utf-16", 415),
            ("application/vnd.x+json", 415),
            ("text/plain", 415),
            ("application/x-www-form-urlencoded", 415),
        ],
    )
    async def test_says_json_or_nothing(self, node: RunningNode, media_type: str | None, status: int) -> None:
        headers = {} if media_type is None else {"Content-Type": media_type}
        response = await request(node.address, "POST", "/notify", b'{"topic":"com.example.t"}', headers)
        assert response.status == status

    @pytest.mark.parametrize(("length", "status"), [(2000, 200), (2001, 413)])
    async def test_may_be_as_long_as_its_limit(self, node: RunningNode, length: int, status: int) -> None:
        body = b'{"topic":"com.example.t"}'.ljust(length)
        assert (await request(node.address, "POST", "/notify", body)).status == status

    async def test_without_a_limit_has_the_hard_one(self, node: RunningNode) -> None:
        body = b'{"topic":"com.example.t"}'.ljust(1024 * 1024)
        assert (await request(node.address, "POST", "/open", body)).status == 200
        assert (await request(node.address, "POST", "/open", body + b" ")).status == 413

    async def test_that_is_too_long_does_not_cost_the_connection(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        await connection.send(http_request("POST", "/notify", b" " * 500_000))
        assert (await connection.response()).status == 413
        await connection.send(http_request("POST", "/notify", b'{"topic":"com.example.t"}'))
        assert (await connection.response()).status == 200
        connection.abort()

    async def test_whose_body_never_comes_is_told_so(
        self, node: RunningNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exchange, "BODY_TIMEOUT_S", 0.05)
        connection = await Connection.open(node.address)
        await connection.send(
            b'POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"topic":'
        )
        response = await connection.response()
        assert response.status == 408
        assert response.json["error"] == "the body did not arrive in time"
        assert await connection.ends() == b""

    async def test_whose_body_trickles_is_told_so(
        self, node: RunningNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exchange, "BODY_TIMEOUT_S", 0.05)
        connection = await Connection.open(node.address)
        await connection.send(b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")

        async def trickle() -> None:
            while True:
                await connection.send(b" ")
                await asyncio.sleep(0.005)

        trickling = asyncio.create_task(trickle())
        assert (await connection.response()).status == 408
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)
        connection.abort()

    async def test_that_expects_to_be_told_to_go_on_is_told(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        await connection.send(
            b"POST /notify HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 25\r\n\r\n"
        )
        assert (await connection.response()).status == 100
        await connection.send(b'{"topic":"com.example.t"}')
        assert (await connection.response()).status == 200
        connection.abort()

    async def test_that_is_too_long_is_not_told_to_go_on(self, node: RunningNode) -> None:
        connection = await Connection.open(node.address)
        await connection.send(
            b"POST /notify HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9999\r\n\r\n"
        )
        assert (await connection.response()).status == 413
        connection.abort()
