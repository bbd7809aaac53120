"""What a request's head may not be, on every way a request comes in: RFC 9110 and 9112, row by row."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.http.head import HeadRefused, judged_head
from tests.support.doors import Door
from tests.support.nodes import USUAL_PATHS, RunningNode, node_config, running_node, web_transport
from tests.support.websocket import Connection

WSGI_APPLICATIONS = Path(__file__).parent / "wsgi_applications"

HOST = b"Host: localhost\r\n"
LINES = HOST + b"X: 1\r\n"
BODY = b'{"topic":"com.example.t"}'
HANDSHAKE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n"
)

# What comes before the request, the request, and what it is answered when nothing is wrong with it.
WAYS: dict[str, tuple[bytes, bytes, int]] = {
    "to an application": (b"", b"GET /metrics HTTP/1.1\r\n" + LINES + b"\r\n", 200),
    "to the bridge": (
        b"",
        b"POST /notify HTTP/1.1\r\n" + LINES + b"Content-Length: 25\r\n\r\n" + BODY,
        200,
    ),
    "to the bridge, by a client that has been there": (
        b"POST /notify HTTP/1.1\r\n" + LINES + b"Content-Length: 25\r\n\r\n" + BODY,
        b"POST /notify HTTP/1.1\r\n" + LINES + b"Content-Length: 25\r\n\r\n" + BODY,
        200,
    ),
    "a handshake": (b"", b"GET /ws HTTP/1.1\r\n" + LINES + HANDSHAKE + b"\r\n", 101),
    "a handshake behind another request": (
        b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /ws HTTP/1.1\r\n" + LINES + HANDSHAKE + b"\r\n",
        101,
    ),
}

BAD_HOSTS = (
    *(b"a b", b"a\tb", b"a/b", b"a@b", b"a,b", b"a?b", b"a#b", b"a\\b", b"a:b", b"a:1:2"),
    *(b"::1", b"[::1", b"a\xe9", b"<a>", b"[::::]", b"[1.2.3.4]", b"[.]", b".", b"a..b", b".a", b"a:65536"),
)
# What is changed in the request, what it becomes, the answer, and what says so.
WRONG: list[tuple[str, bytes, bytes, int, str]] = [
    ("no host", HOST, b"", 400, "9112, 3.2"),
    ("two hosts", HOST, HOST + b"Host: other\r\n", 400, "9112, 3.2"),
    ("the same host twice", HOST, HOST + HOST, 400, "9112, 3.2"),
    ("an empty host", HOST, b"Host:\r\n", 400, "9110, 4.2.1"),
    *(
        (f"the host {host.decode('latin-1')}", HOST, b"Host: " + host + b"\r\n", 400, "9112, 3.2")
        for host in BAD_HOSTS
    ),
    ("folded host", HOST, b"Host:\r\n localhost\r\n", 400, "9112, 5.2"),
    ("a folded line", b"X: 1\r\n", b"X: 1\r\n 2\r\n", 400, "9112, 5.2"),
    ("white space before a colon", b"X: 1", b"X : 1", 400, "9112, 5.1"),
    ("white space before all names", HOST, b" X: 1\r\n" + HOST, 400, "9112, 2.2"),
    ("a line without colon", b"X: 1", b"X 1", 400, "9112, 5"),
    ("no name", b"X: 1", b": 1", 400, "9110, 5.1"),
    ("NUL in a name", b"X: 1", b"X\0: 1", 400, "9110, 5.1"),
    ("NUL in a value", b"X: 1", b"X: 1\0", 400, "9110, 5.5"),
    ("a control character in a value", b"X: 1", b"X: \x1b[2J", 400, "9110, 5.5"),
    ("a bare CR in a value", b"X: 1", b"X: 1\rY: 2", 400, "9112, 2.2"),
    ("a bare LF", b"X: 1\r\n", b"X: 1\n", 400, "9112, 2.2"),
    ("a space in the target", b" HTTP/1.1", b"?a b HTTP/1.1", 400, "9112, 3.2"),
    ("a control character in the target", b" HTTP/1.1", b"?a\x01 HTTP/1.1", 400, "9112, 3.2"),
    ("NUL in the target", b" HTTP/1.1", b"?a\0 HTTP/1.1", 400, "9112, 3.2"),
    ("a target that is not ASCII", b" HTTP/1.1", b"?\xc3\xa9 HTTP/1.1", 400, "9112, 3.2"),
    ("a fragment", b" HTTP/1.1", b"#a HTTP/1.1", 400, "9112, 3.2.1"),
    ("another scheme", b" /", b" ftp://localhost/", 400, "9112, 3.2.2"),
    ("the scheme of an encrypted port", b" /", b" https://localhost/", 421, "9110, 7.4"),
    ("who asks in the target", b" /", b" http://me:secret@localhost/", 400, "9110, 4.2.4"),
    ("a target without host", b" /", b" http:///", 400, "9110, 4.2.1"),
    ("a target with a bad host", b" /", b" http://local,host/", 400, "9112, 3.2"),
    ("a path that does not begin at the root", b" /", b" ", 400, "9112, 3.2.1"),
    ("HTTP/0.9", b"HTTP/1.1", b"HTTP/0.9", 505, "9110, 15.6.6"),
    ("HTTP/2.0", b"HTTP/1.1", b"HTTP/2.0", 505, "9110, 15.6.6"),
    ("HTTP/1.2", b"HTTP/1.1", b"HTTP/1.2", 400, "9112, 2.3"),
    ("HTTP in small letters", b"HTTP/1.1", b"http/1.1", 400, "9112, 2.3"),
    ("two lengths", LINES, LINES + b"Content-Length: 25\r\nContent-Length: 26\r\n", 400, "9112, 6.3"),
    ("a list of lengths", LINES, LINES + b"Content-Length: 25, 25\r\n", 400, "9112, 6.3"),
    ("a length with a sign", LINES, LINES + b"Content-Length: +25\r\n", 400, "9112, 6.3"),
    ("a length and chunks", LINES, LINES + b"Content-Length: 25\r\nTransfer-Encoding: chunked\r\n", 400, "9112, 6.1"),
    ("an unknown coding", LINES, LINES + b"Transfer-Encoding: gzip\r\n", 400, "9112, 6.3"),
    ("chunks within a coding", LINES, LINES + b"Transfer-Encoding: chunked, gzip\r\n", 400, "9112, 6.3"),
    ("chunks in chunks", LINES, LINES + b"Transfer-Encoding: chunked, chunked\r\n", 400, "9112, 6.1"),
    ("chunks in chunks by two lines", LINES, LINES + 2 * b"Transfer-Encoding: chunked\r\n", 400, "9112, 6.1"),
    ("two kinds of content", LINES, LINES + 2 * b"Content-Type: application/json\r\n", 400, "9110, 5.3"),
    ("two origins", LINES, LINES + 2 * b"Origin: http://localhost\r\n", 400, "6454, 7.3"),
    ("two proofs", LINES, LINES + 2 * b"Authorization: Basic YTpi\r\n", 400, "9110, 5.3"),
    ("two keys", LINES, LINES + 2 * b"Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n", 400, "6455, 11.3.1"),
]  # fmt: skip


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    paths = {**USUAL_PATHS, "poll": {"type": "longpoll"}}
    async with running_node(node_config(web_transport(paths))) as running:
        yield running


@pytest.mark.parametrize("way", WAYS)
async def test_a_request_that_is_right_is_served(node: RunningNode, way: str) -> None:
    before, request, status = WAYS[way]
    assert await answered(node, before, request) == status


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("old", "new", "status"), [row[1:4] for row in WRONG], ids=[f"{row[0]} (RFC {row[4]})" for row in WRONG]
)
async def test_a_wrong_head_is_refused_whichever_way_it_comes(
    node: RunningNode, way: str, old: bytes, new: bytes, status: int
) -> None:
    before, request, _ = WAYS[way]
    assert old in request
    assert await answered(node, before, request.replace(old, new, 1)) == status
    assert node.counter("transport_requests_refused_total") == 1


async def answered(node: RunningNode, before: bytes, request: bytes) -> int:
    """Return the status of the answer to `request`, sent when what came before it was answered."""
    connection = await Connection.open(node.address)
    if before:
        await connection.send(before)
        assert (await connection.response()).status == 200
    await connection.send(request)
    status = (await connection.response()).status
    connection.abort()
    return status


CHUNKS = b"19\r\n" + BODY + b"\r\n0\r\n"
CODINGS = [
    (b"chunked", 200),
    (b"CHUNKED", 200),
    (b" chunked ", 200),
    (b"gzip, chunked", 501),
    (b"identity, chunked", 501),
    (b"xchunked", 400),
    (b"chunked;a=b", 400),
    (b'"chunked"', 400),
    (b"chunked,", 400),
    (b"chunked, identity", 400),
    (b"", 400),
]


@pytest.mark.parametrize(("coding", "status"), CODINGS)
async def test_a_body_is_chunked_by_that_word_alone(node: RunningNode, coding: bytes, status: int) -> None:
    head = b"POST /notify HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:" + coding + b"\r\n\r\n"
    assert await answered(node, b"", head + CHUNKS + b"\r\n") == status


async def test_http_1_0_has_no_chunks(node: RunningNode) -> None:
    head = (
        b"POST /notify HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert await answered(node, b"", head + CHUNKS + b"\r\n") == 400


METHODS = [
    (b"get /metrics", 400),
    (b"Get /metrics", 400),
    (b"FOO /metrics", 400),
    (b"G,T /metrics", 400),
    (b"PURGE /metrics", 405),
    (b"CONNECT localhost:80", 501),
    (b"CONNECT /metrics", 501),
    (b"GET *", 400),
    (b"OPTIONS *", 404),
    (b"GET localhost:80", 400),
    (b"GET ?a", 400),
    (b"PRI *", 400),
]


@pytest.mark.parametrize(("line", "status"), METHODS)
async def test_a_method_and_its_target_fit(node: RunningNode, line: bytes, status: int) -> None:
    assert await answered(node, b"", line + b" HTTP/1.1\r\n" + HOST + b"\r\n") == status


PATHS = [
    *("/./metrics", "/x/../metrics", "/metrics/../notify", "/metrics/..", "/metrics/%2E/", "/metrics%00"),
    *("/%2e%2e/metrics", "/x%2f..%2fmetrics", "/notify/../x", "/notify/%2e%2e", "/notify%00"),
    *("/ws/..", "/ws/%2e%2e/ws", "/ws%00"),
]


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_that_proxies_read_otherwise_names_nothing(node: RunningNode, path: str) -> None:
    # A proxy that forbids `/notify` allows `/notify/../x`, for it is `/x`.
    for further in (b"", HANDSHAKE):
        request = b"GET " + path.encode() + b" HTTP/1.1\r\n" + HOST + further + b"\r\n"
        assert await answered(node, b"", request) == 404


@pytest.mark.parametrize(
    "path", ["/%6eotify", "/notify?a=/../b", "/notify/a..b/.c", "/notify/...", "/notify?%00"]
)
async def test_a_path_that_everybody_reads_alike_is_served(node: RunningNode, path: str) -> None:
    request = b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 25\r\n\r\n" + BODY
    assert await answered(node, b"", request) == 200


async def test_a_websockets_path_may_be_escaped_as_any_other(node: RunningNode) -> None:
    _, handshake, _ = WAYS["a handshake"]
    assert await answered(node, b"", handshake.replace(b"/ws", b"/%77s")) == 101


CONNECTIONS = [
    (b"Connection: Upgrade\r\n", 101),
    (b"Connection: keep-alive, Upgrade\r\n", 101),
    (b"Connection: Upgrade\r\nConnection: keep-alive\r\n", 101),
    (b"Connection: keep-alive\r\nConnection: upgrade\r\n", 101),
    (b"Connection: close, upgrade\r\n", 101),
    (b"Connection: close\r\n", 426),
    (b"Connection: xupgrade\r\n", 426),
]


@pytest.mark.parametrize(("lines", "status"), CONNECTIONS)
async def test_options_of_a_connection_are_one_list(node: RunningNode, lines: bytes, status: int) -> None:
    for before in (b"", b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n"):
        _, request, _ = WAYS["a handshake"]
        assert await answered(node, before, request.replace(b"Connection: Upgrade\r\n", lines)) == status


# --- the target's host --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target_host", "host", "status"),
    [("localhost:8080", "evil.example", 200), ("evil.example", "localhost:8080", 403)],
)
async def test_the_targets_host_wins_over_the_field(
    node: RunningNode, target_host: str, host: str, status: int
) -> None:
    lines = f" HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{target_host}\r\n".encode()
    url = b"http://" + target_host.encode()
    post = b"POST " + url + b"/notify" + lines + b"Content-Length: 25\r\n\r\n" + BODY
    handshake = b"GET " + url + b"/ws" + lines + HANDSHAKE + b"\r\n"
    poll = b"POST " + url + b"/poll/open" + lines + b'Content-Length: 29\r\n\r\n{"protocols":["wamp.2.json"]}'
    metrics = b"GET " + url + b"/metrics" + lines + b"\r\n"
    assert await answered(node, b"", post) == status
    assert await answered(node, b"", handshake) == (101 if status == 200 else status)
    assert await answered(node, b"", poll) == status
    assert await answered(node, b"", metrics) == (200 if status == 200 else 421)


def test_a_target_with_a_host_and_nothing_else_is_the_root() -> None:
    for target, expected in ((b"http://a", b"/"), (b"http://a?b", b"/?b"), (b"HTTP://a:80/b?c", b"/b?c")):
        head = judged_head(b"GET", "1.1", target, [(b"x", b"1"), (b"host", b"z")], scheme="http")
        assert head.target == expected
        assert head.fields[b"host"] == target.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
        assert head.headers == [(b"host", head.fields[b"host"]), (b"x", b"1")]


def test_an_encrypted_port_is_asked_by_either_scheme() -> None:
    for target in (b"https://a/", b"http://a/"):
        assert judged_head(b"GET", "1.1", target, [(b"host", b"a")], scheme="https").target == b"/"
    with pytest.raises(HeadRefused) as raised:
        judged_head(b"GET", "1.1", b"https://a/", [(b"host", b"a")], scheme="http")
    assert raised.value.status == 421


async def test_a_refused_handshake_is_not_known_the_next_time() -> None:
    door = Door(asyncio.get_running_loop())
    _, handshake, _ = WAYS["a handshake"]
    for _ in range(2):
        written, is_closed, is_websocket = await door.answer(handshake.replace(HOST, b""))
        assert written.startswith(b"HTTP/1.1 400 ")
        assert (is_closed, is_websocket, door.known) == (True, False, 0)
    await door.port.drain(0)


# --- what comes behind a body -------------------------------------------------------------------------------------


def chunked(target: bytes, body: bytes, trailer: bytes, *, head: bytes = b"") -> bytes:
    lines = b"POST " + target + b" HTTP/1.1\r\n" + HOST + head + b"Transfer-Encoding: chunked\r\n\r\n"
    return lines + b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(body), body, trailer)


async def test_trailers_decide_nothing_about_a_request(node: RunningNode) -> None:
    foreign = b"Origin: http://evil.example"
    # Behind a request that is not answered yet a head is judged when its trailers are there.
    connection = await Connection.open(node.address)
    await connection.send(b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n" + chunked(b"/notify", BODY, foreign))
    assert [(await connection.response()).status for _ in range(2)] == [200, 200]
    await connection.send(chunked(b"/poll/open", b'{"protocols":["wamp.2.json"]}', foreign))
    assert (await connection.response()).status == 200
    connection.abort()


async def test_trailers_let_nobody_in(node: RunningNode) -> None:
    request = chunked(b"/notify", BODY, b"Origin: http://localhost", head=b"Origin: http://evil.example\r\n")
    assert await answered(node, b"", request) == 403


@pytest.mark.parametrize("before", [b"", b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n"])
@pytest.mark.parametrize(
    "body",
    [
        b"Transfer-Encoding: chunked\r\n\r\n0\r\nOrigin: http://localhost\r\n\r\n",
        b"Content-Length: 4\r\n\r\nbody",
        b"Content-Length: 99999999\r\n\r\n",
    ],
)
async def test_a_handshake_with_a_body_is_refused_before_it_comes(
    node: RunningNode, before: bytes, body: bytes
) -> None:
    handshake = b"GET /ws HTTP/1.1\r\n" + HOST + HANDSHAKE + body
    assert await answered(node, before, handshake) == 400


@pytest.mark.parametrize("asked", [b"h2c", b"websocket", b"h2c, websocket", b"x"])
@pytest.mark.parametrize("target", [b"/app", b"/notify", b"/poll/open", b"/ws"])
async def test_a_body_behind_an_upgrade_is_never_lost(node: RunningNode, target: bytes, asked: bytes) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: " + asked + b"\r\nContent-Length: 25\r\n\r\n"
    request = b"POST " + target + b" HTTP/1.1\r\n" + HOST + upgrade + BODY
    assert await answered(node, b"", request) == 400
    assert node.counter("transport_requests_refused_total") == 1


@pytest.mark.parametrize(("target", "status"), [(b"/notify", 200), (b"/poll/open", 400)])
async def test_http_1_0_hears_nothing_before_the_answer(
    node: RunningNode, target: bytes, status: int
) -> None:
    lines = HOST + b"Expect: 100-continue\r\nContent-Length: 25\r\n\r\n"
    assert await answered(node, b"", b"POST " + target + b" HTTP/1.1\r\n" + lines) == 100
    assert await answered(node, b"", b"POST " + target + b" HTTP/1.0\r\n" + lines + BODY) == status


async def test_a_handshake_with_an_empty_body_is_taken(node: RunningNode) -> None:
    _, handshake, _ = WAYS["a handshake"]
    assert await answered(node, b"", handshake.replace(HOST, HOST + b"Content-Length: 0\r\n")) == 101


async def test_chunks_of_little_but_extensions_end_the_connection(node: RunningNode) -> None:
    connection = await Connection.open(node.address)
    await connection.send(b"POST /notify HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"1;" + b"a" * 10_000 + b"\r\n \r\n"
    sending = asyncio.create_task(connection.send(chunk * 1000))
    await connection.ends()
    await asyncio.gather(sending, return_exceptions=True)
    assert node.counter("transport_requests_refused_total") == 1


async def test_chunks_of_one_byte_are_a_body_like_any_other(node: RunningNode) -> None:
    body = BODY.ljust(60_000)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    head = b"POST /notify HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert await answered(node, b"", head + chunks + b"0\r\n\r\n") == 200


async def test_an_application_is_told_what_was_judged_and_nothing_else() -> None:
    paths = {
        "/": {"type": "wsgi", "module": "sample", "object": "application"},
        "metrics": {"type": "metrics"},
    }
    config = node_config(web_transport(paths))
    config["workers"][0]["options"] = {"pythonpath": [str(WSGI_APPLICATIONS)]}
    async with running_node(config, directory=WSGI_APPLICATIONS) as node:
        connection = await Connection.open(node.address)
        await connection.send(
            chunked(
                b"http://other:99/a",
                b"x",
                b"X-Remote-User: admin\r\nHost: evil.example",
                head=b"X_Remote_User: admin\r\nX-Kept: a  \r\nX-Forwarded-For: 192.0.2.7\r\n"
                b"X-Forwarded-Proto: https\r\n",
            )
        )
        seen: dict[str, Any] = (await connection.response()).json
        connection.abort()
    assert not [key for key in seen if "REMOTE_USER" in key or "FORWARDED" in key]
    assert (seen["HTTP_HOST"], seen["PATH_INFO"], seen["HTTP_X_KEPT"]) == ("other:99", "/a", "a")
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("127.0.0.1", "http")
    assert seen["CONTENT_LENGTH"] == "1"
