"""A WSGI application in its own process, over real connections through a real HTTP server."""

import asyncio
import contextlib
import glob
import hashlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from heliograph.http import ServiceError
from heliograph.http.options import WsgiOptions
from heliograph.http.wsgi import WsgiService
from heliograph.processes.child import ChildNotReadyError, ChildState

DEADLINE_S = 20.0
APPLICATIONS = Path(__file__).parent / "wsgi_applications"

Host = Callable[..., Awaitable[Any]]


class Hosted:
    """A served WSGI application."""

    def __init__(self, service: WsgiService, site: Any) -> None:
        self.service = service
        self.site = site
        self.get = site.get
        self.request = site.request

    @property
    def pid(self) -> int:
        pid = self.service.snapshot().child.pid
        assert pid is not None
        return pid

    async def show(self, target: str = "/", **headers: str) -> dict[str, Any]:
        reply = await self.get(target, **headers)
        assert reply.status == 200
        shown: dict[str, Any] = json.loads(reply.body)
        return shown


@pytest.fixture
async def host(serve: Any, tmp_path: Path) -> AsyncIterator[Host]:
    """Run and serve WSGI applications until the test ends."""
    services: list[WsgiService] = []

    async def start(
        *,
        mount: str = "",
        host: str = "127.0.0.1",
        ready: bool = True,
        pythonpath: Any = (APPLICATIONS,),
        **options: Any,
    ) -> Hosted:
        described = WsgiOptions(**{"module": "sample", "object": "application", **options})
        service = WsgiService(described, node_directory=tmp_path, pythonpath=pythonpath, name="wsgi-test")
        services.append(service)
        await service.start()
        if ready:
            await asyncio.wait_for(service.wait_ready(), DEADLINE_S)
        return Hosted(service, await serve(service, mount=mount, host=host))

    yield start
    await asyncio.gather(*(service.stop() for service in services))


class Connection:
    """A connection on which the test writes and reads bytes itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), DEADLINE_S)

    async def until(self, end: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(end), DEADLINE_S)

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), DEADLINE_S)


@contextlib.asynccontextmanager
async def connected(hosted: Hosted) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(hosted.site.host, hosted.site.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


# What the application is told


async def test_the_application_sees_path_query_and_client_as_they_are(host: Host) -> None:
    app = await host()
    seen = await app.show("/caf%C3%A9/a%20b?x=%C3%BC&y=1")
    assert seen["SCRIPT_NAME"] == ""
    assert seen["PATH_INFO"] == "/caf\xc3\xa9/a b"
    assert seen["QUERY_STRING"] == "x=%C3%BC&y=1"
    assert seen["REQUEST_URI"] == "/caf%C3%A9/a%20b?x=%C3%BC&y=1"
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert int(seen["REMOTE_PORT"]) > 0
    assert seen["SERVER_PORT"] == str(app.site.port)
    assert seen["HTTP_HOST"] == f"127.0.0.1:{app.site.port}"
    assert seen["wsgi.url_scheme"] == "http"
    assert seen["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert seen["SERVER_SOFTWARE"] == "heliograph"
    assert (seen["wsgi.multithread"], seen["wsgi.multiprocess"]) == (True, False)
    assert "CONTENT_LENGTH" not in seen


async def test_below_a_mount_point_the_path_is_split(host: Host) -> None:
    app = await host(mount="/app")
    seen = await app.show("/app/x")
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/app", "/x")
    seen = await app.show("/app")
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/app", "")


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
async def test_an_ipv6_client_has_its_address(host: Host) -> None:
    app = await host(host="::1")
    assert (await app.show())["REMOTE_ADDR"] == "::1"


async def test_nothing_a_client_sends_is_believed_about_itself(host: Host) -> None:
    app = await host()
    forged = {
        "SCRIPT_NAME": "/forged",
        "Script-Name": "/forged",
        "PATH_INFO": "/forged",
        "REMOTE_ADDR": "203.0.113.66",
        "X-Forwarded-For": "203.0.113.66",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Ssl": "on",
        "X-Forwarded-Host": "forged.example",
        "Forwarded": "for=203.0.113.66;proto=https",
        "X-Real-IP": "203.0.113.66",
        "X-Heliograph-Token": "guess",
        "X-Heliograph-Environ": '{"REMOTE_ADDR":"203.0.113.66"}',
        "X_Heliograph_Environ": '{"REMOTE_ADDR":"203.0.113.66"}',
        "Proxy": "http://203.0.113.66/",
    }
    reply = await app.request("GET", "/", headers=forged)
    seen = json.loads(reply.body)
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("", "/")
    assert seen["wsgi.url_scheme"] == "http"
    assert [key for key in seen if key.startswith(("HTTP_X_", "HTTP_FORWARDED", "HTTP_PROXY", "HTTPS"))] == []
    assert seen["HTTP_SCRIPT_NAME"] == "/forged"


async def test_the_applications_socket_is_private_and_answers_nobody_without_the_token(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    app = await host()
    (path,) = glob.glob(f"{tmp_path}/heliograph-*/wsgi.sock")
    directory = os.path.dirname(path)
    assert os.stat(directory).st_mode & 0o777 == 0o700
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET / HTTP/1.0\r\nX-Heliograph-Token: guess\r\nX-Heliograph-Environ: {}\r\n\r\n")
    reply = await asyncio.wait_for(reader.read(), DEADLINE_S)
    writer.close()
    assert b"403 Forbidden" in reply
    await app.service.stop()
    assert glob.glob(directory) == []


async def test_the_process_runs_where_the_node_is_niced_with_the_paths_it_needs(
    host: Host, tmp_path: Path
) -> None:
    app = await host(pythonpath=(APPLICATIONS, Path("..")))
    process = (await app.show())["process"]
    assert process["cwd"] == str(tmp_path)
    assert process["path"][:2] == [str(APPLICATIONS), str(tmp_path.parent)]
    assert process["path"][-1] == os.getcwd()
    assert process["niceness"] == os.nice(0) + 5
    assert process["stdin"] == ""
    assert len(process["argv"]) == 1
    assert "HELIOGRAPH_PARENT_FD" not in process["environment"]


async def test_several_processes_share_the_work(host: Host) -> None:
    app = await host(processes=2, maxthreads=4)
    seen = await app.show()
    assert seen["wsgi.multiprocess"] is True
    assert seen["process"]["pid"] != app.pid


async def test_a_head_of_64_kib_reaches_the_application(host: Host) -> None:
    app = await host()
    seen = await app.show("/?q=" + "x" * 30_000, X_Wide="é" * 8_000, X_Long="z" * 20_000)
    assert len(seen["QUERY_STRING"]) == 30_002
    assert seen["HTTP_X_WIDE"] == "\xe9" * 8_000


# Bodies


@pytest.mark.parametrize("size", [0, 1, 70_000, 5_000_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_upload_arrives_whole(host: Host, size: int, chunked: bool) -> None:
    app = await host()
    content = bytes(n % 253 for n in range(1009)) * (size // 1009 + 1)
    content = content[:size]
    blocks = (content[n : n + 10_000] for n in range(0, size, 10_000))
    reply = await app.request("POST", "/upload", body=blocks if chunked else content)
    assert json.loads(reply.body) == {"size": size, "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_reaches_the_application(host: Host, method: str) -> None:
    app = await host()
    reply = await app.request(method, "/", body=b"x")
    assert json.loads(reply.body)["REQUEST_METHOD"] == method


async def test_a_body_over_the_limit_is_refused_before_and_while_it_arrives(host: Host) -> None:
    app = await host(body_limit_bytes=1000)
    announced = await app.request("POST", "/upload", body=b"x" * 1001)
    chunked = await app.request("POST", "/upload", body=iter([b"x" * 600, b"x" * 600]))
    assert [announced.status, chunked.status] == [413, 413]
    assert announced.text == "The request body is longer than 1000 bytes\n"
    assert app.service.snapshot().refused == {"body too long": 2}
    assert (await app.request("POST", "/upload", body=b"x" * 1000)).status == 200


async def test_bodies_on_disk_are_bounded_together_and_their_space_comes_back(host: Host) -> None:
    app = await host(spool_limit_bytes=1_000_000)
    too_much = await app.request("POST", "/upload", body=b"x" * 1_500_000)
    assert too_much.status == 503
    assert too_much.headers["Retry-After"]
    for _ in range(3):
        assert (await app.request("POST", "/upload", body=b"x" * 900_000)).status == 200


async def test_a_client_that_stops_sending_is_told_and_holds_no_thread(host: Host) -> None:
    app = await host(client_timeout_s=0.2, maxthreads=1)
    async with connected(app) as connection:
        await connection.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        assert (await app.get("/")).status == 200
        assert b"408 Request Timeout" in await connection.until(b"\r\n\r\n")


async def test_a_client_that_goes_away_while_sending_leaves_nothing_behind(
    host: Host, eventually: Any
) -> None:
    app = await host()
    async with connected(app) as connection:
        await connection.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
    await eventually(lambda: app.service.snapshot().disconnected == 1)


async def test_a_client_that_asks_for_leave_is_given_it(host: Host) -> None:
    app = await host()
    async with connected(app) as connection:
        head = b"POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n"
        await connection.send(head + b"Connection: close\r\n\r\n")
        assert await connection.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await connection.send(b"body")
        assert b'"size": 4' in await connection.rest()


async def test_a_client_refused_leave_finds_the_connection_closed(host: Host) -> None:
    app = await host(body_limit_bytes=3)
    async with connected(app) as connection:
        await connection.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
        assert (await connection.rest()).startswith(b"HTTP/1.1 413 ")


async def test_an_application_that_does_not_look_at_a_large_body_answers_all_the_same(host: Host) -> None:
    app = await host()
    for _ in range(3):
        reply = await app.request("POST", "/ignore", body=b"x" * 4_000_000)
        assert (reply.status, reply.text) == (200, "did not look")


# Responses


async def test_a_streamed_response_arrives_piece_by_piece(host: Host, tmp_path: Path) -> None:
    app = await host()
    gate = tmp_path / "gate"
    async with connected(app) as connection:
        await connection.send(
            f"GET /stream?gate={gate} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        assert b"text/event-stream" in await connection.until(b"\r\n\r\n")
        assert b"data: first" in await connection.until(b"\n\n")
        gate.touch()
        assert b"data: second" in await connection.rest()


async def test_a_client_that_goes_away_ends_the_applications_response(
    host: Host, tmp_path: Path, eventually: Any
) -> None:
    app = await host(maxthreads=1)
    closed = tmp_path / "closed"
    async with connected(app) as connection:
        await connection.send(f"GET /endless?closed={closed} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await connection.until(b"x" * 1000)
    await eventually(closed.exists)
    assert app.service.snapshot().disconnected == 1
    assert (await app.get("/")).status == 200


async def test_a_client_that_reads_nothing_is_given_up(host: Host, tmp_path: Path, eventually: Any) -> None:
    app = await host(maxthreads=1, client_timeout_s=0.3)
    closed = tmp_path / "closed"
    async with connected(app) as connection:
        await connection.send(f"GET /endless?closed={closed} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await eventually(closed.exists)
        assert app.service.snapshot().cut == 1
        assert (await app.get("/")).status == 200
        connection.writer.transport.abort()


async def test_large_and_chunked_responses_and_files_arrive_whole(host: Host) -> None:
    app = await host()
    large = await app.get("/large")
    assert large.body == b"".join(bytes([n % 251]) * 65536 for n in range(128))
    assert large.headers["Content-Length"] == str(8 << 20)
    chunked = await app.get("/chunked")
    assert chunked.text == "".join(f"{n}," for n in range(1000))
    assert (await app.get("/file")).body == (APPLICATIONS / "sample.py").read_bytes()


async def test_response_headers_are_the_applications(host: Host) -> None:
    app = await host()
    reply = await app.get("/headers")
    assert reply.headers.get_all("Set-Cookie") == ["a=1; Path=/", "b=2"]
    assert reply.headers["X-Custom-Header"] == "kept; as=it-is"
    assert reply.headers["Cache-Control"] == "private"
    assert len(reply.headers["X-Long"]) == 20_000
    assert "Server" not in reply.headers
    assert reply.headers.get_all("Connection") is None
    assert len(reply.headers.get_all("Date")) == 1


async def test_an_encoded_response_is_not_decoded_on_the_way(host: Host) -> None:
    app = await host()
    reply = await app.get("/gzipped", Accept_Encoding="gzip")
    assert (reply.body, reply.headers["Content-Encoding"]) == (b"not really gzip", "gzip")


@pytest.mark.parametrize(
    "line", ["204 No Content", "304 Not Modified", "205 Reset Content", "418 I'm a teapot"]
)
async def test_a_response_without_a_body_leaves_the_connection_usable(host: Host, line: str) -> None:
    app = await host()
    async with connected(app) as connection:
        for _ in range(2):
            target = f"/status?line={line}".replace(" ", "+").encode()
            await connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await connection.until(b"\r\n\r\n")
            assert head.startswith(f"HTTP/1.1 {line.split()[0]} ".encode())
            assert b'etag: "x"' in head
            if b"chunked" in head:
                await connection.until(b"0\r\n\r\n")
        await connection.send(b"GET /ignore HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await connection.rest()).endswith(b"did not look")


async def test_head_is_answered_without_a_body(host: Host) -> None:
    app = await host()
    for _ in range(2):
        reply = await app.request("HEAD", "/large")
        assert (reply.status, reply.body, reply.headers["Content-Length"]) == (200, b"", str(8 << 20))


async def test_a_status_that_is_none_is_a_bad_answer(host: Host) -> None:
    app = await host()
    assert (await app.get("/status?line=999+Odd")).status == 502


async def test_requests_use_few_connections_to_the_application(host: Host) -> None:
    app = await host()
    for _ in range(5):
        await app.get("/")
        await app.request("POST", "/upload", body=b"x" * 100_000)
        await app.request("HEAD", "/")
    # The probe's connection and no other: each request found the one before it finished.
    assert app.service.snapshot().active == 0
    sockets = await asyncio.to_thread(Path("/proc/net/unix").read_text)
    (directory,) = [part for part in sockets.split() if part.endswith("/wsgi.sock")][:1]
    assert sum(line.endswith(directory) for line in sockets.splitlines()) <= 3


# What goes wrong


async def test_an_error_in_the_application_is_its_own_500(host: Host) -> None:
    app = await host()
    reply = await app.get("/error")
    assert reply.status == 500
    assert b"a mistake" not in reply.body
    assert (await app.get("/")).status == 200


async def test_a_response_that_breaks_off_is_seen_to_be_incomplete(host: Host) -> None:
    app = await host()
    async with connected(app) as connection:
        await connection.send(b"GET /half HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = await connection.rest()
    assert reply.endswith(b"half")
    assert b"content-length: 100" in reply.lower()
    assert app.service.snapshot().cut == 1


@pytest.mark.parametrize(("method", "attempts"), [("POST", 1), ("PUT", 1), ("DELETE", 1), ("PATCH", 1)])
async def test_a_request_that_kills_its_process_is_not_repeated(
    host: Host, tmp_path: Path, method: str, attempts: int
) -> None:
    app = await host()
    seen = tmp_path / "seen"
    reply = await app.request(method, f"/crash?seen={seen}")
    assert reply.status == 502
    assert seen.read_text().split() == [method] * attempts
    assert (await app.get("/")).status == 200


async def test_a_killed_application_is_started_again_and_requests_wait_for_it(
    host: Host, eventually: Any
) -> None:
    app = await host()
    first = app.pid
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: app.service.snapshot().child.pid not in (None, first))
    reply = await app.get("/")
    assert reply.status == 200
    assert app.service.snapshot().child.restarts == 1
    assert app.service.snapshot().child.last_exit == "was killed by SIGKILL"


async def test_requests_wait_while_the_application_starts(host: Host) -> None:
    app = await host(ready=False)
    assert app.service.snapshot().child.state is ChildState.STARTING
    assert (await app.get("/")).status == 200


async def test_a_start_that_takes_too_long_is_answered_with_a_time_to_come_back(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("heliograph.http.wsgi.START_WAIT_S", 0.05)
    (tmp_path / "slow.py").write_text("import threading; threading.Event().wait()")
    app = await host(ready=False, module="slow", pythonpath=[tmp_path])
    reply = await app.get("/")
    assert (reply.status, reply.text) == (503, "The application is starting, try again\n")
    assert reply.headers["Retry-After"] == "2"


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        ("no_such.wsgi", None, "ModuleNotFoundError: No module named 'no_such'"),
        ("broken", "import does_not_exist", "ModuleNotFoundError: No module named 'does_not_exist'"),
        ("empty", "", "AttributeError: module 'empty' has no attribute 'application'"),
        ("wrong", "application = 3", "cannot call the WSGI application wrong:application"),
        ("leaves", "raise SystemExit('enough')", "SystemExit: enough"),
    ],
)
async def test_an_application_that_cannot_be_imported_says_why_in_the_log_and_not_on_the_page(
    host: Host,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    module: str,
    source: str | None,
    problem: str,
) -> None:
    caplog.set_level(logging.INFO)
    if source is not None:
        (tmp_path / f"{module}.py").write_text(source)
    app = await host(ready=False, module=module, pythonpath=[Path("..") / tmp_path.name])
    with pytest.raises(ChildNotReadyError):
        await asyncio.wait_for(app.service.wait_ready(), DEADLINE_S)
    reply = await app.get("/")
    assert (reply.status, reply.text) == (503, "The application failed to start, see the log\n")
    assert problem in caplog.text
    (error,) = [
        record.getMessage() for record in caplog.records if "before it was ready" in record.getMessage()
    ]
    assert f"WSGI application {module}:application, pythonpath {tmp_path}, {os.getcwd()}" in error
    assert "exited with code 4" in error
    # Only what the application's author wrote or called is in the traceback.
    assert "gunicorn/" not in caplog.text
    assert "wsgi_worker.py" not in caplog.text
    assert ('broken.py", line 1, in <module>' in caplog.text) is (module == "broken")


async def test_workers_that_only_die_are_left_to_the_supervisors_back_off(
    host: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "dies.py").write_text("import os; os._exit(1)")
    app = await host(ready=False, module="dies", pythonpath=[tmp_path])
    with pytest.raises(ChildNotReadyError):
        await asyncio.wait_for(app.service.wait_ready(), DEADLINE_S)
    assert "workers die as soon as they are started" in caplog.text


async def test_an_application_that_takes_too_long_is_answered_for(host: Host, tmp_path: Path) -> None:
    app = await host(timeout_s=0.3)
    gate, seen = tmp_path / "gate", tmp_path / "seen"
    reply = await app.get(f"/gate?gate={gate}&seen={seen}")
    assert (reply.status, reply.text) == (504, "The application did not answer within 0.3 s\n")
    gate.touch()
    assert (await app.get("/")).status == 200


async def test_more_requests_than_threads_and_queue_are_told_to_come_back(
    host: Host, tmp_path: Path, eventually: Any
) -> None:
    app = await host(maxthreads=2, queue_limit=1)
    gate, seen = tmp_path / "gate", tmp_path / "seen"
    held = [asyncio.create_task(app.get(f"/gate?gate={gate}&seen={seen}")) for _ in range(3)]
    await eventually(lambda: (app.service.snapshot().active, app.service.snapshot().waiting) == (2, 1))
    reply = await app.get("/")
    assert (reply.status, reply.text) == (503, "The application is busy, try again\n")
    assert reply.headers["Retry-After"] == "2"
    gate.touch()
    assert [(await each).status for each in held] == [200, 200, 200]
    assert app.service.snapshot().refused == {"busy": 1}


async def test_a_request_waits_for_a_thread_no_longer_than_the_time_limit(
    host: Host, tmp_path: Path, eventually: Any
) -> None:
    app = await host(maxthreads=1, timeout_s=1)
    gate, seen = tmp_path / "gate", tmp_path / "seen"
    first = asyncio.create_task(app.get(f"/gate?gate={gate}&seen={seen}"))
    await eventually(lambda: app.service.snapshot().active == 1)
    second = asyncio.create_task(app.get(f"/gate?gate={gate}&seen={seen}"))
    assert (await first).status == 504
    assert (await second).status in (503, 504)
    gate.touch()


async def test_stopping_lets_a_request_finish(host: Host, tmp_path: Path, eventually: Any) -> None:
    app = await host()
    gate, seen = tmp_path / "gate", tmp_path / "seen"
    request = asyncio.create_task(app.get(f"/gate?gate={gate}&seen={seen}"))
    await eventually(seen.exists)
    stopping = asyncio.create_task(app.service.stop())
    await asyncio.sleep(0)
    gate.touch()
    assert (await request).text == "passed"
    await stopping
    assert (await app.get("/")).status == 503


async def test_what_the_application_prints_is_logged_under_its_name(
    host: Host, caplog: pytest.LogCaptureFixture, eventually: Any
) -> None:
    caplog.set_level(logging.INFO)
    app = await host()
    await app.get("/stderr")
    await eventually(lambda: "wsgi-test: printed by the application" in caplog.text)
    await eventually(lambda: "wsgi-test: written to wsgi.errors" in caplog.text)


async def test_a_view_that_burns_the_cpu_in_four_threads_leaves_the_loop_free(host: Host) -> None:
    app = await host()
    loop = asyncio.get_running_loop()
    burning = asyncio.create_task(app.get("/burn?seconds=1"))
    late: list[float] = []
    while not burning.done():
        before = loop.time()
        await asyncio.sleep(0.005)
        late.append(loop.time() - before - 0.005)
    assert (await burning).text == "burnt"
    # In the router's own process four busy threads delay it by more than 30 ms at the median.
    assert sorted(late)[len(late) // 2] < 0.015


async def test_a_socket_path_that_is_too_long_is_an_error_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    options = WsgiOptions(module="sample", object="application")
    service = WsgiService(options, node_directory=tmp_path, pythonpath=(), name="wsgi-test")
    with pytest.raises(ServiceError, match="set TMPDIR to a shorter one"):
        await service.start()
    assert list(deep.iterdir()) == []


ROUTER = """
import asyncio, sys
from pathlib import Path
from heliograph.http.options import WsgiOptions
from heliograph.http.wsgi import WsgiService

async def main():
    options = WsgiOptions(module="sample", object="application")
    service = WsgiService(options, node_directory=Path(sys.argv[1]), pythonpath=[Path(sys.argv[2])], name="x")
    await service.start()
    await service.wait_ready()
    assert not any(name.split(".")[0] in ("gunicorn", "django") for name in sys.modules)
    print(service.snapshot().child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_application_ends_when_the_router_is_killed(tmp_path: Path, eventually: Any) -> None:
    router = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ROUTER,
        str(tmp_path),
        str(APPLICATIONS),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert router.stdout is not None
    group = int(await asyncio.wait_for(router.stdout.readline(), DEADLINE_S))
    os.killpg(group, 0)
    router.kill()
    await router.communicate()

    def group_has_ended() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    await eventually(group_has_ended)
    assert glob.glob(f"{tmp_path}/heliograph-*") == []


def test_the_same_holds_on_uvloop(tmp_path: Path) -> None:
    async def scenario() -> list[dict[str, Any]]:
        options = WsgiOptions(module="sample", object="application")
        service = WsgiService(options, node_directory=tmp_path, pythonpath=[APPLICATIONS], name="wsgi-test")
        sent: list[dict[str, Any]] = []
        closed = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await closed.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/ignore",
            "raw_path": b"/ignore",
            "root_path": "",
            "query_string": b"",
            "headers": [],
            "client": ("192.0.2.7", 5000),
            "server": ("198.51.100.1", 8080),
        }
        await service.start()
        try:
            await asyncio.wait_for(service(scope, receive, send), DEADLINE_S)
        finally:
            await asyncio.wait_for(service.stop(), DEADLINE_S)
        return sent

    sent = uvloop.run(scenario())
    assert sent[0]["status"] == 200
    assert b"".join(message.get("body", b"") for message in sent[1:]) == b"did not look"


# Django


async def test_django_runs_below_a_mount_point(host: Host) -> None:
    app = await host(mount="/site", module="django_site")
    about = json.loads((await app.get("/site/about/caf%C3%A9/?x=%C3%BC")).body)
    assert about == {
        "name": "café",
        "path": "/site/about/café/",
        "here": "/site/about/caf%C3%A9/",
        "url": f"http://127.0.0.1:{app.site.port}/site/about/caf%C3%A9/?x=%C3%BC",
        "remote": "127.0.0.1",
        "secure": False,
        "get": {"x": "ü"},
    }
    assert (await app.get("/site/about/x")).headers["Location"] == "/site/about/x/"


@pytest.mark.parametrize("chunked", [False, True])
async def test_django_reads_uploads_with_and_without_a_length(host: Host, chunked: bool) -> None:
    app = await host(module="django_site")
    content = os.urandom(3_000_000)
    form = (
        b'--limit\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        + content
        + b"\r\n--limit--\r\n"
    )
    blocks = (form[n : n + 50_000] for n in range(0, len(form), 50_000))
    headers = {"Content-Type": "multipart/form-data; boundary=limit"}
    reply = await app.request("POST", "/upload/", body=blocks if chunked else form, headers=headers)
    assert json.loads(reply.body) == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    reply = await app.request("POST", "/body/", body=iter([b"in ", b"chunks"]) if chunked else b"in chunks")
    assert reply.body == b"in chunks"


async def test_django_streams(host: Host) -> None:
    app = await host(module="django_site")
    assert (await app.get("/stream/")).text == "line 0\nline 1\nline 2\n"
