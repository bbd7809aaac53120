"""Enrolment against a real HTTP server on a free port, one that refuses, babbles, drips or is not there at all."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from heliograph.agent.enrolment import HttpEnrolment, parse_answer
from heliograph.agent.errors import EnrolmentError
from heliograph.agent.off_loop import OffLoop
from heliograph.agent.options import AgentOptions
from tests.agent.clients_server import CONFIGURATION, ClientsHandler, ClientsServer

AMPLE_S = 10.0


@pytest.fixture
def calls() -> Iterator[OffLoop]:
    off_loop = OffLoop(thread_name="test-enrolment", max_running=2)
    yield off_loop
    off_loop.close()


def enrolment(calls: OffLoop, clients_url: str, **options: Any) -> HttpEnrolment:
    settings = {"url": "ws://127.0.0.1:8080/ws", "client": "web-1", "fetch_timeout_s": AMPLE_S, **options}
    return HttpEnrolment(AgentOptions(clients_url=clients_url, **settings), calls)


async def test_the_machine_is_named_and_its_configuration_comes_back(
    server: ClientsServer, calls: OffLoop
) -> None:
    assert await enrolment(calls, server.url).fetch("2001:db8::7") == CONFIGURATION
    assert server.requests == [("/clients/", {"client": ["web-1"], "ip": ["2001:db8::7"]})]


async def test_path_and_query_of_the_url_are_kept(server: ClientsServer, calls: OffLoop) -> None:
    await enrolment(calls, server.url.replace("/clients/", "/fleet/clients/?site=a%20b")).fetch("192.0.2.7")
    assert server.requests[0][0] == "/fleet/clients/?site=a%20b"


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (
            400,
            {"error": "ip is no address,\nsend ip=192.0.2.7"},
            "answered 400: ip is no address, send ip=192.0.2.7",
        ),
        (400, {"error": "x" * 10_000}, "answered 400: " + "x" * 300),
        (404, b"<html>not here</html>", "answered 404; is --clients-url right?"),
        (301, b"", "answered 301; is --clients-url right?"),
        (500, b"\xff\xfe", "answered 500; is --clients-url right?"),
        (204, b"", "answered 204"),
        (200, b"<html>a login page</html>", "is no JSON object"),
        (200, b"", "is no JSON object"),
        (200, [CONFIGURATION], "is no JSON object"),
        (200, b'{"frequency": 1', "is no JSON object"),
        (200, b'{"client": "\xff"}', "--clients-url"),
        (200, b"[" * 60_000, "--clients-url"),
    ],
)
async def test_a_refusal_or_garbage_is_told_in_one_line(
    server: ClientsServer, calls: OffLoop, status: int, body: object, told: str
) -> None:
    server.answer = lambda handler: handler.reply(status, body)
    with pytest.raises(EnrolmentError) as caught:
        await enrolment(calls, server.url).fetch("192.0.2.7")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


async def test_a_redirect_is_not_followed(server: ClientsServer, calls: OffLoop) -> None:
    server.answer = lambda handler: handler.reply(307, b"", ("Location", server.url))
    with pytest.raises(EnrolmentError, match="answered 307"):
        await enrolment(calls, server.url).fetch("192.0.2.7")
    assert len(server.requests) == 1


async def test_an_answer_that_is_cut_off_is_no_configuration(server: ClientsServer, calls: OffLoop) -> None:
    server.answer = lambda handler: handler.reply(200, b'{"frequency"', ("Content-Length", "100"))
    with pytest.raises(EnrolmentError):
        await enrolment(calls, server.url).fetch("192.0.2.7")


async def test_a_huge_answer_is_given_up_at_the_limit(server: ClientsServer, calls: OffLoop) -> None:
    server.answer = lambda handler: handler.reply(200, {"x": "y" * 70_000})
    with pytest.raises(EnrolmentError, match="longer than 65536 bytes"):
        await enrolment(calls, server.url).fetch("192.0.2.7")


async def test_an_answer_of_just_the_limit_is_taken(server: ClientsServer, calls: OffLoop) -> None:
    server.answer = lambda handler: handler.reply(200, CONFIGURATION)
    size = len(msgspec.json.encode(CONFIGURATION))
    assert (
        await enrolment(calls, server.url, max_configuration_bytes=size).fetch("192.0.2.7") == CONFIGURATION
    )
    with pytest.raises(EnrolmentError, match=f"longer than {size - 1} bytes"):
        await enrolment(calls, server.url, max_configuration_bytes=size - 1).fetch("192.0.2.7")


@pytest.mark.parametrize(
    "answer",
    [ClientsHandler.drip, lambda handler: handler.server.stopping.wait(AMPLE_S)],
    ids=["a byte now and then", "nothing at all"],
)
async def test_a_slow_server_is_given_up_in_time_and_the_next_try_is_not_in_its_way(
    server: ClientsServer, calls: OffLoop, answer: Callable[[ClientsHandler], None]
) -> None:
    server.answer = answer
    with pytest.raises(EnrolmentError, match=r"no whole answer within 0\.1 s"):
        await enrolment(calls, server.url, fetch_timeout_s=0.1).fetch("192.0.2.7")
    async with asyncio.timeout(AMPLE_S):
        while calls.running:  # noqa: ASYNC110 - a thread returns; there is no event to wait for
            await asyncio.sleep(0.001)
    server.answer = lambda handler: handler.reply(200, CONFIGURATION)
    assert await enrolment(calls, server.url).fetch("192.0.2.7") == CONFIGURATION


async def test_a_server_that_is_not_there_is_told(calls: OffLoop) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/clients/"
        with pytest.raises(EnrolmentError, match="ConnectionRefusedError"):
            await enrolment(calls, url).fetch("192.0.2.7")


async def test_plain_http_where_https_is_expected_is_told(server: ClientsServer, calls: OffLoop) -> None:
    with pytest.raises(EnrolmentError, match="SSL"):
        await enrolment(calls, server.url.replace("http:", "https:")).fetch("192.0.2.7")


async def test_a_host_name_that_cannot_be_one_is_told(calls: OffLoop) -> None:
    with pytest.raises(EnrolmentError, match="Unicode"):
        await enrolment(calls, f"http://{'a' * 70}.example/clients/").fetch("192.0.2.7")


async def test_the_address_is_the_one_towards_the_router(calls: OffLoop) -> None:
    assert await enrolment(calls, "http://192.0.2.1/clients/").address() == "127.0.0.1"
    assert (
        await enrolment(calls, "http://192.0.2.1/clients/", url="wss://127.0.0.1/ws").address() == "127.0.0.1"
    )


def test_the_servers_words_are_told_only_when_they_are_text() -> None:
    with pytest.raises(EnrolmentError, match=r"answered 400; is --clients-url right\?"):
        parse_answer(400, b'{"error": ["no"]}')
