"""Requests to an application's socket whose other end does as the test wants."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.http.proxy import ApplicationSocket, ResponseCutError, response_headers
from heliograph.http.refusal import RequestRefusedError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Script = Callable[[int, int], bytes | None]


class Server:
    """A Unix socket that answers each request as a script says.

    The script is given the number of the connection and that of the request on it, and returns the answer's
    bytes; None closes the connection without an answer.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.methods: list[str] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, self.connections = self.connections, self.connections + 1
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for number in range(100):
                head = await reader.readuntil(b"\r\n\r\n")
                self.methods.append(head.split()[0].decode())
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length:
                    await reader.readexactly(int(length[0].split(b":")[1]))
                answer = self.script(connection, number)
                if answer is None:
                    break
                writer.write(answer.removesuffix(b"ok") if self.methods[-1] == "HEAD" else answer)
                await writer.drain()
        writer.close()


@pytest.fixture
async def socket_to(tmp_path: Path) -> AsyncIterator[Callable[[Script], Any]]:
    servers: list[asyncio.AbstractServer] = []
    sockets: list[ApplicationSocket] = []

    async def start(script: Script) -> tuple[ApplicationSocket, Server]:
        server = Server(script)
        path = tmp_path / "s"
        servers.append(await asyncio.start_unix_server(server.serve, str(path)))
        sockets.append(ApplicationSocket(path, "token", timeout_s=5, client_timeout_s=5))
        return sockets[-1], server

    yield start
    for socket in sockets:
        await socket.close()
    for each in servers:
        each.close()
        await each.wait_closed()


async def forward(socket: ApplicationSocket, method: str = "GET", body: bytes | None = None) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await socket.forward({"REQUEST_METHOD": method, "RAW_URI": "/x?secret=1"}, body, send)
    return sent


def closes_the_first_connection_at_its_second_request(connection: int, number: int) -> bytes | None:
    return None if (connection, number) == (0, 1) else OK


async def test_connections_are_kept(socket_to: Any) -> None:
    socket, server = await socket_to(lambda *_: OK)
    for method in ("GET", "POST", "GET"):
        await forward(socket, method, b"body" if method == "POST" else None)
    assert (server.connections, server.methods) == (1, ["GET", "POST", "GET"])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_safe_request_on_a_connection_that_had_gone_stale_is_repeated(
    socket_to: Any, method: str
) -> None:
    socket, server = await socket_to(closes_the_first_connection_at_its_second_request)
    await forward(socket)
    assert (await forward(socket, method))[0]["status"] == 200
    assert server.methods == ["GET", method, method]


@pytest.mark.parametrize(
    ("method", "body"),
    [("POST", b"x"), ("POST", None), ("PUT", b"x"), ("DELETE", None), ("PATCH", b"x"), ("GET", b"x")],
)
async def test_a_request_that_may_have_been_carried_out_is_never_repeated(
    socket_to: Any, method: str, body: bytes | None
) -> None:
    socket, server = await socket_to(closes_the_first_connection_at_its_second_request)
    await forward(socket)
    with pytest.raises(RequestRefusedError) as refused:
        await forward(socket, method, body)
    assert refused.value.status == 502
    assert len(server.methods) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Odd\r\n\r\n",
    ],
)
async def test_an_answer_that_is_no_response_is_a_bad_one(socket_to: Any, answer: bytes) -> None:
    socket, _ = await socket_to(lambda *_: answer)
    with pytest.raises(RequestRefusedError) as refused:
        await forward(socket, "POST")
    assert refused.value.status == 502


async def test_a_response_cut_short_is_reported_after_what_came(socket_to: Any) -> None:
    half = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    socket, server = await socket_to(lambda *_: half)
    sent: list[Any] = []
    came = asyncio.Event()

    async def send(message: Any) -> None:
        sent.append(message)
        if message.get("body"):
            came.set()

    task = asyncio.create_task(socket.forward({"REQUEST_METHOD": "GET", "RAW_URI": "/"}, None, send))
    await asyncio.wait_for(came.wait(), 5)
    server.writers[0].close()
    with pytest.raises(ResponseCutError, match="the application broke it off"):
        await asyncio.wait_for(task, 5)
    assert sent[-1] == {"type": "http.response.body", "body": b"half", "more_body": True}


async def test_a_server_that_is_not_there_is_one_that_is_not_running(tmp_path: Path) -> None:
    socket = ApplicationSocket(tmp_path / "none", "token", timeout_s=5, client_timeout_s=5)
    with pytest.raises(RequestRefusedError) as refused:
        await forward(socket)
    assert refused.value.status == 503
    assert await socket.answers({"REQUEST_METHOD": "GET", "RAW_URI": "/"}) is False
    await socket.close()


async def test_interim_responses_are_not_the_response(socket_to: Any) -> None:
    socket, _ = await socket_to(lambda *_: b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
    assert (await forward(socket))[0]["status"] == 200


async def test_a_description_that_is_too_long_is_refused(socket_to: Any) -> None:
    socket, server = await socket_to(lambda *_: OK)
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": "/", "HTTP_X": "x" * 2_000_000}
    with pytest.raises(RequestRefusedError) as refused:
        await socket.forward(environ, None, None)
    assert refused.value.status == 431
    assert server.methods == []


def test_headers_for_the_connection_and_the_servers_own_are_dropped() -> None:
    headers = (
        (b"Server", b"gunicorn"),
        (b"Date", b"now"),
        (b"Connection", b"keep-alive, X-Hop"),
        (b"Transfer-Encoding", b"chunked"),
        (b"X-Hop", b"1"),
        (b"Set-Cookie", b"a"),
        (b"Content-Length", b"3"),
        (b"Set-Cookie", b"b"),
    )
    kept = [(b"set-cookie", b"a"), (b"content-length", b"3"), (b"set-cookie", b"b")]
    assert response_headers(headers, 200) == kept
    assert response_headers(headers, 304) == [kept[0], kept[2]]
