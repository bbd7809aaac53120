"""The table of bad input: each with the exact answer, and a router that serves the next client as before."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.nodes import RouterProcess
from tests.support.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Connection,
    WampClient,
    connect_wamp,
    encode,
    frame,
    http_request,
    joined,
    open_websocket,
    post_json,
    upgrade_request,
)

KIB, MIB = 1024, 1024 * 1024
HELLO = b'[1,"realm1",{"roles":{"subscriber":{}}}]'
VIOLATION = "wamp.error.protocol_violation"


@pytest.fixture(autouse=True)
async def still_healthy(router: RouterProcess) -> AsyncIterator[None]:
    """After each: the same router serves a healthy client, and holds on to nobody."""
    yield
    async with joined(router.address) as client:
        _, _, subscription = await client.ask(32, 1, {}, "com.example.health")
        response = await post_json(router.address, "/notify", {"topic": "com.example.health", "args": [1]})
        assert response.status == 200
        assert await client.receive() == [36, subscription, response.json["id"], {}, [1]]
        await client.leave()


async def answer_to(router: RouterProcess, data: bytes) -> tuple[int, str]:
    """Send `data` on a new connection; return status and text of the answer."""
    connection = await Connection.open(router.address)
    await connection.send(data)
    response = await connection.response()
    connection.abort()
    is_json = response.headers["content-type"].startswith("application/json")
    return response.status, response.json["error"] if is_json else response.body.decode().strip()


# --- HTTP ---------------------------------------------------------------------------------------------------------

NOT_HTTP = "this is not HTTP/1.1"
TOO_MUCH_HEADER = "headers may have at most 65536 bytes"
JSON_TYPE = {"Content-Type": "application/json"}


def post(body: bytes, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http_request("POST", "/notify", body, JSON_TYPE | named)


HTTP_TABLE: list[tuple[str, bytes, int, str]] = [
    ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n", 400, NOT_HTTP),
    ("RawSocket", b"\x7f\xf1\x00\x00", 400, NOT_HTTP),
    ("an unknown version", b"GET / HTTP/3.0\r\n\r\n", 400, NOT_HTTP),
    ("an impossible target", b"GET http:///\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, NOT_HTTP),
    ("an asterisk", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404, "nothing is served at *"),
    (
        "two lengths",
        b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
        NOT_HTTP,
    ),
    (
        "a length and chunks",
        b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        NOT_HTTP,
    ),
    (
        "a control character in a header",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: x\x01y\r\n\r\n",
        400,
        NOT_HTTP,
    ),
    (
        "one oversized header",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 70 * KIB,
        431,
        TOO_MUCH_HEADER,
    ),
    (
        "many headers at once",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: xxxxxx\r\n" * 7000 + b"\r\n",
        431,
        TOO_MUCH_HEADER,
    ),
    ("an oversized target", b"GET /" + b"x" * 70 * KIB + b" HTTP/1.1\r\n\r\n", 431, TOO_MUCH_HEADER),
    (
        "endless trailers",
        b"POST /notify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        + b"A: xxxxxx\r\n" * 7000,
        431,
        TOO_MUCH_HEADER,
    ),
    (
        "an endless trailer",
        b"POST /notify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: "
        + b"x" * 300 * KIB,
        431,
        TOO_MUCH_HEADER,
    ),
    (
        "an unknown path",
        b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
        404,
        "nothing is served at /nothing",
    ),
    (
        "plain HTTP for a WebSocket",
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n",
        426,
        "this is a WAMP endpoint: connect with a WebSocket and a subprotocol such as wamp.2.cbor",
    ),
    (
        "another upgrade",
        b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        404,
        "nothing is served at /nothing",
    ),
    ("the wrong method", http_request("GET", "/notify"), 405, "send POST or PUT, not GET"),
    ("no JSON", post(b"topic=com.example.t"), 400, "the body is not JSON: "),
    ("broken JSON", post(b'{"topic": "com.example.t", "args": [1,}'), 400, "the body is not JSON: "),
    ("an empty body", post(b""), 400, "the body is not JSON: "),
    (
        "deep nesting",
        post(b'{"topic":"a","args":' + b"[" * 30000 + b"]" * 30000 + b"}"),
        400,
        "the body is not JSON: ",
    ),
    ("no UTF-8", post(b'{"topic": "com.example.t", "args": ["\xff"]}'), 400, "the body must be UTF-8: "),
    ("a number", post(b"1"), 400, "the body is not as it should be: Expected `object`, got `int`"),
    ("no topic", post(b"{}"), 400, "the body is not as it should be: Object missing required field `topic`"),
    (
        "a topic that is no text",
        post(b'{"topic": 1}'),
        400,
        "the body is not as it should be: Expected `str`, got `int` - at `$.topic`",
    ),
    (
        "args that are no list",
        post(b'{"topic": "com.example.t", "args": "abc"}'),
        400,
        "the body is not as it should be: `args` must be a list",
    ),
    (
        "kwargs that are no object",
        post(b'{"topic": "com.example.t", "kwargs": [1]}'),
        400,
        "the body is not as it should be: `kwargs` must be an object",
    ),
    (
        "options that are no object",
        post(b'{"topic": "com.example.t", "options": [1]}'),
        400,
        "the body is not as it should be: Expected `object | null`, got `array` - at `$.options`",
    ),
    (
        "an option of the wrong type",
        post(b'{"topic": "com.example.t", "options": {"exclude_me": 1}}'),
        400,
        "the body is not as it should be: Expected `bool`, got `int` - at `$.exclude_me`",
    ),
    ("unknown topic characters", post(b'{"topic": "two words"}'), 400, "wamp.error.invalid_uri"),
    (
        "another media type",
        post(b"{}", Content_Type="text/plain"),
        415,
        "the body must be application/json or application/x-ndjson, not text/plain",
    ),
    (
        "another charset",
        post(b"{}", Content_Type="application/json; charset=latin-1"),
        415,
        "the body must be UTF-8, not latin-1",
    ),
    ("an oversized body", post(b" " * 70 * KIB), 413, "the body may have at most 65536 bytes"),
    (
        "an oversized body announced",
        b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
        413,
        "the body may have at most 65536 bytes",
    ),
    (
        "an oversized body in chunks",
        b"POST /notify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"400\r\n" + b" " * KIB + b"\r\n") * 70,
        413,
        "the body may have at most 65536 bytes",
    ),
    (
        "a foreign page",
        post(b"{}", Origin="http://evil.example"),
        403,
        "pages from http://evil.example may not send requests here: name it in allowed_origins",
    ),
    (
        "a foreign page whose name leads here",
        b"POST /notify HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nContent-Length: 2\r\n\r\n{}",
        403,
        "pages from http://evil.example may not send requests here: name it in allowed_origins",
    ),
]


@pytest.mark.parametrize(
    ("data", "status", "text"), [row[1:] for row in HTTP_TABLE], ids=[row[0] for row in HTTP_TABLE]
)
async def test_a_wrong_request_is_told_what_is_wrong(
    router: RouterProcess, data: bytes, status: int, text: str
) -> None:
    answered_status, answered_text = await answer_to(router, data)
    assert (answered_status, answered_text[: len(text)]) == (status, text)
    assert answered_text == text or text.endswith(" ")


async def test_an_oversized_body_that_is_sent_whole_still_hears_the_answer(router: RouterProcess) -> None:
    connection = await Connection.open(router.address)
    sending = asyncio.create_task(connection.send(post(b" " * 8 * MIB)))
    response = await connection.response()
    assert response.status == 413
    await sending
    connection.abort()


async def test_requests_in_one_segment_are_answered_in_order(router: RouterProcess) -> None:
    connection = await Connection.open(router.address)
    await connection.send(
        post(b'{"topic": "com.example.t"}')
        + http_request("GET", "/nothing")
        + http_request("GET", "/metrics")
    )
    assert [(await connection.response()).status for _ in range(3)] == [200, 404, 200]
    connection.abort()


async def test_garbage_behind_a_good_request_does_not_cost_it_its_answer(router: RouterProcess) -> None:
    connection = await Connection.open(router.address)
    await connection.send(post(b'{"topic": "com.example.t"}') + b"\x00garbage\r\n\r\n")
    assert (await connection.response()).status == 200
    refused = await connection.response()
    assert (refused.status, refused.body.decode().strip()) == (400, NOT_HTTP)
    assert await connection.ends() == b""


async def test_a_request_behind_another_upgrade_is_not_answered_twice(router: RouterProcess) -> None:
    connection = await Connection.open(router.address)
    await connection.send(
        b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    )
    await connection.send(b"garbage")
    assert (await connection.response()).status == 404
    assert await connection.ends() == b""


async def test_a_flood_of_requests_in_one_segment_is_cut_off(router: RouterProcess) -> None:
    connection = await Connection.open(router.address)
    await connection.send(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5000)
    answered = (await connection.ends()).count(b"HTTP/1.1 404")
    assert 0 < answered < 5000


async def test_http_1_0_is_answered_and_closed(router: RouterProcess) -> None:
    connection = await Connection.open(router.address)
    await connection.send(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert (await connection.response()).status == 200
    assert await connection.ends() == b""


# --- the WebSocket handshake --------------------------------------------------------------------------------------

OFFER = (
    "Sec-WebSocket-Protocol must offer one of wamp.2.cbor, wamp.2.msgpack, wamp.2.json, "
    "wamp.2.cbor.batched, wamp.2.msgpack.batched"
)
BAD_KEY = "Sec-WebSocket-Key must be the base64 of 16 bytes"
HANDSHAKE_TABLE: list[tuple[str, bytes, int, str]] = [
    ("a wrong subprotocol", upgrade_request(subprotocols="wamp.2.ubjson, mqtt"), 400, OFFER),
    ("no subprotocol", upgrade_request(subprotocols=None), 400, OFFER),
    ("no key", upgrade_request(headers={"Sec-WebSocket-Key": None}), 400, BAD_KEY),
    ("a short key", upgrade_request(headers={"Sec-WebSocket-Key": "AAAA"}), 400, BAD_KEY),
    ("a key that is no base64", upgrade_request(headers={"Sec-WebSocket-Key": "!" * 24}), 400, BAD_KEY),
    (
        "an old version",
        upgrade_request(headers={"Sec-WebSocket-Version": "8"}),
        426,
        "only WebSocket version 13 is spoken",
    ),
    (
        "no version",
        upgrade_request(headers={"Sec-WebSocket-Version": None}),
        426,
        "only WebSocket version 13 is spoken",
    ),
    (
        "POST",
        upgrade_request(method="POST", headers={"Content-Length": "0"}),
        405,
        "a WebSocket is opened with GET",
    ),
    (
        "HTTP/1.0",
        upgrade_request(version="1.0"),
        426,
        "this is a WAMP endpoint: connect with a WebSocket and a subprotocol such as wamp.2.cbor",
    ),
]


@pytest.mark.parametrize(
    ("data", "status", "text"), [row[1:] for row in HANDSHAKE_TABLE], ids=[row[0] for row in HANDSHAKE_TABLE]
)
async def test_a_wrong_handshake_is_told_what_is_wrong(
    router: RouterProcess, data: bytes, status: int, text: str
) -> None:
    assert await answer_to(router, data) == (status, text)


async def test_the_first_offered_subprotocol_that_is_spoken_is_taken(router: RouterProcess) -> None:
    connection = await Connection.open(router.address)
    await connection.send(upgrade_request(subprotocols="x, wamp.2.msgpack ,wamp.2.json"))
    response = await connection.response()
    assert (response.status, response.headers["sec-websocket-protocol"]) == (101, "wamp.2.msgpack")
    connection.abort()


async def test_an_upgrade_behind_an_unanswered_request_is_refused(router: RouterProcess) -> None:
    connection = await Connection.open(router.address)
    await connection.send(http_request("GET", "/metrics") + upgrade_request())
    assert (await connection.response()).status == 200
    assert b"101 Switching" not in await connection.ends()


@pytest.mark.parametrize("size", [0, 100, 40 * KIB, 200 * KIB])
async def test_messages_right_behind_the_handshake_are_heard(router: RouterProcess, size: int) -> None:
    early = frame(TEXT, HELLO)
    early += frame(TEXT, encode("json", [16, 1, {"acknowledge": True}, "com.example.t", ["x" * size]]))
    early += frame(TEXT, encode("json", [32, 2, {}, "com.example.t"]))
    client = WampClient(await open_websocket(router.address, early=early), "json")
    assert [(await client.receive())[0] for _ in range(3)] == [2, 17, 33]
    client.socket.abort()


async def test_an_early_frame_that_is_wrong_is_answered_behind_the_handshake(router: RouterProcess) -> None:
    socket = await open_websocket(router.address, early=frame(TEXT, HELLO, masked=False))
    assert (await socket.closed()).close_code == 1002


# --- WebSocket frames ---------------------------------------------------------------------------------------------

BIG = b"x" * (MIB + 1)
FRAME_TABLE: list[tuple[str, str, bytes, int, str]] = [
    (
        "a binary frame on a JSON session",
        "json",
        frame(BINARY, b"x"),
        1003,
        "the negotiated serializer travels in text messages",
    ),
    (
        "a text frame on a MessagePack session",
        "msgpack",
        frame(TEXT, b"x"),
        1003,
        "the negotiated serializer travels in binary messages",
    ),
    (
        "a text frame on a CBOR session",
        "cbor",
        frame(TEXT, b"x"),
        1003,
        "the negotiated serializer travels in binary messages",
    ),
    ("invalid UTF-8", "json", frame(TEXT, b'["\xc3\x28"]'), 1007, "a text message must be UTF-8"),
    (
        "invalid UTF-8 in fragments",
        "json",
        frame(TEXT, b'["\xc3', fin=False) + frame(CONTINUATION, b'\x28"]'),
        1007,
        "a text message must be UTF-8",
    ),
    (
        "an unmasked frame",
        "json",
        frame(TEXT, b"[]", masked=False),
        1002,
        "Received un-masked frame from client",
    ),
    (
        "a reserved bit",
        "json",
        frame(TEXT, b"[]", reserved=4),
        1002,
        "a reserved bit is set that no extension defines",
    ),
    (
        "a reserved bit in a ping",
        "json",
        frame(PING, b"", reserved=1),
        1002,
        "a reserved bit is set that no extension defines",
    ),
    ("a reserved opcode", "json", frame(0x3, b""), 1002, "Received frame with invalid opcode"),
    ("a reserved control opcode", "json", frame(0xB, b""), 1002, "Received frame with invalid opcode"),
    (
        "an orphan continuation",
        "json",
        frame(CONTINUATION, b"[]"),
        1002,
        "a continuation without a message to continue",
    ),
    (
        "a message inside a fragmented one",
        "json",
        frame(TEXT, b"[", fin=False) + frame(TEXT, b"[]"),
        1002,
        "a new message inside a fragmented one",
    ),
    ("a fragmented ping", "json", frame(PING, b"", fin=False), 1002, "Received fragmented control frame"),
    (
        "an oversized ping",
        "json",
        frame(PING, b"x" * 126),
        1002,
        "Received control frame with payload size > 125",
    ),
    (
        "an oversized message",
        "json",
        frame(TEXT, BIG),
        1009,
        "Received frame with payload size exceeding max",
    ),
    (
        "an oversized frame announced",
        "json",
        frame(TEXT, announced=2**40),
        1009,
        "Received frame with payload size exceeding max",
    ),
    (
        "an impossible length",
        "json",
        frame(TEXT, announced=2**63),
        1002,
        "Received frame with invalid 64-bit",
    ),
    (
        "an oversized message in fragments",
        "json",
        frame(TEXT, BIG[: MIB // 2], fin=False)
        + frame(CONTINUATION, BIG[: MIB // 2], fin=False)
        + frame(CONTINUATION, b"xx"),
        1009,
        "a message may have at most 1048576 bytes",
    ),
    ("a close code that may not be sent", "json", frame(CLOSE, struct.pack("!H", 1006)), 1002, ""),
    ("a close code that is none", "json", frame(CLOSE, struct.pack("!H", 999)), 1002, ""),
    ("a close frame of one byte", "json", frame(CLOSE, b"\x03"), 1002, ""),
    ("a close reason that is no UTF-8", "json", frame(CLOSE, b"\x03\xe8\xff"), 1007, ""),
]


@pytest.mark.parametrize("state", ["before HELLO", "in a session"])
@pytest.mark.parametrize(
    ("serializer", "data", "code", "reason"),
    [row[1:] for row in FRAME_TABLE],
    ids=[row[0] for row in FRAME_TABLE],
)
async def test_a_wrong_frame_closes_with_its_code(
    router: RouterProcess, state: str, serializer: str, data: bytes, code: int, reason: str
) -> None:
    before = await router.metrics()
    client = await connect_wamp(router.address, serializer)
    if state == "in a session":
        await client.join()
    await client.socket.send(data)
    close = await client.socket.closed()
    assert (close.close_code, close.close_reason[: len(reason)]) == (code, reason)
    after = await router.metrics()
    assert after["transport_violations_total"] == before["transport_violations_total"] + 1
    assert after["sessions"] == 0


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        (b"", b""),
        (struct.pack("!H", 1000), struct.pack("!H", 1000)),
        (struct.pack("!H", 1001) + b"going", struct.pack("!H", 1001)),
        (struct.pack("!H", 3000), struct.pack("!H", 3000)),
        (struct.pack("!H", 4999), struct.pack("!H", 4999)),
    ],
    ids=["no code", "1000", "1001 with a reason", "3000", "4999"],
)
async def test_close_is_answered_with_its_own_code(
    router: RouterProcess, payload: bytes, answer: bytes
) -> None:
    async with joined(router.address) as client:
        await client.socket.send_frame(CLOSE, payload)
        close = await client.socket.read_frame()
        assert (close.opcode, close.payload) == (CLOSE, answer)
        assert await client.socket.ends() == b""


async def test_a_fragmented_message_with_pings_inside_is_one_message(router: RouterProcess) -> None:
    socket = await open_websocket(router.address)
    await socket.send(
        frame(TEXT, HELLO[:5], fin=False)
        + frame(PING, b"one")
        + frame(CONTINUATION, b"", fin=False)
        + frame(PONG, b"unasked")
        + frame(CONTINUATION, HELLO[5:])
    )
    pong = await socket.read_frame()
    assert (pong.opcode, pong.payload) == (PONG, b"one")
    assert (await socket.read_frame()).payload.startswith(b"[2,")
    socket.abort()


async def test_a_message_of_exactly_the_limit_is_taken(router: RouterProcess) -> None:
    async with joined(router.address) as client:
        head = '[16,1,{"acknowledge":true},"com.example.t",["'
        message = (head + "x" * (MIB - len(head) - 3) + '"]]').encode()
        assert len(message) == MIB
        await client.socket.send_frame(TEXT, message)
        assert (await client.receive())[0] == 17


async def test_whoever_floods_after_a_violation_is_not_kept_in_memory(router: RouterProcess) -> None:
    socket = await open_websocket(router.address)
    await socket.send(frame(TEXT, b"[]", masked=False))
    before = router.resident_bytes
    with contextlib.suppress(ConnectionError):
        for _ in range(400):
            await socket.send(bytes(MIB))
    assert router.resident_bytes < before + 16 * MIB
    socket.abort()


# --- WAMP messages ------------------------------------------------------------------------------------------------

NOT_WAMP = {
    "json": "not a WAMP message in JSON: ",
    "msgpack": "not a WAMP message in MessagePack: ",
    "cbor": "",
}


@pytest.mark.parametrize("state", ["before HELLO", "in a session"])
@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"{}", b"[]", b"null", b"[16", b"[[[", b'["16"]', b"[16.5,1]", b"[-1]",
     b"[1180591620717411303424]", b"[" * 100_000, b"[1]" + b"[1]", b'[16,1,{},"t",["\\ud800' + b"]" * 9, b"\x00\x00"],
    ids=lambda data: repr(data[:24]),
)  # fmt: skip
async def test_what_is_no_message_aborts(router: RouterProcess, state: str, data: bytes) -> None:
    client = await connect_wamp(router.address)
    if state == "in a session":
        await client.join()
    await client.socket.send_frame(TEXT, data)
    reason, text = await client.aborted()
    assert reason == VIOLATION
    assert text.startswith("not a WAMP message in JSON: ")


@pytest.mark.parametrize("serializer", ["msgpack", "cbor"])
@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\xff", b"\x80", b"\x00", b"\x90", b"\x93\x10\x01", b"\x91" * 100_000, b"\x81" * 100_000,
     b"\xdd\xff\xff\xff\xff", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", b"\x9f", b"\xc4\xff"],
    ids=lambda data: data[:10].hex() or "nothing",
)  # fmt: skip
async def test_what_is_no_message_in_binary_aborts(
    router: RouterProcess, serializer: str, data: bytes
) -> None:
    client = await connect_wamp(router.address, serializer)
    await client.socket.send_frame(BINARY, data)
    assert (await client.aborted())[0] == VIOLATION


ESTABLISHED_TABLE: list[tuple[str, list[Any]]] = [
    ("a second HELLO", [1, "realm1", {"roles": {"caller": {}}}]),
    ("WELCOME", [2, 1, {}]),
    ("CHALLENGE", [4, "ticket", {}]),
    ("AUTHENTICATE", [5, "secret", {}]),
    ("PUBLISHED", [17, 1, 1]),
    ("EVENT", [36, 1, 1, {}]),
    ("RESULT", [50, 1, {}]),
    ("INVOCATION", [68, 1, 1, {}]),
    ("an unknown code", [7, 1]),
    ("a code of extensions", [300, 1]),
    ("a missing element", [16, 1, {}]),
    ("one element too many", [16, 1, {}, "com.example.t", [], {}, 1]),
    ("args that are no list", [16, 1, {}, "com.example.t", {}]),
    ("kwargs that are no dictionary", [16, 1, {}, "com.example.t", [], []]),
    ("a topic that is no text", [32, 1, {}, 5]),
    ("options that are no dictionary", [32, 1, [], "com.example.t"]),
    ("an option of the wrong type", [16, 1, {"acknowledge": 1}, "com.example.t"]),
    ("exclude_me of the wrong type", [16, 1, {"exclude_me": "no"}, "com.example.t"]),
    ("an unknown match", [32, 1, {"match": "bogus"}, "com.example.t"]),
    ("an unknown invoke", [64, 1, {"invoke": "bogus"}, "com.example.t"]),
    ("the id 0", [32, 0, {}, "com.example.t"]),
    ("a negative id", [32, -1, {}, "com.example.t"]),
    ("the id 2^53 + 1", [32, 2**53 + 1, {}, "com.example.t"]),
    ("an id that is true", [32, True, {}, "com.example.t"]),
    ("an id that is a text", [32, "1", {}, "com.example.t"]),
    ("an answer to nothing", [70, 1, {}]),
    ("an ERROR to no invocation", [8, 48, 1, {}, "com.example.error"]),
]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize(
    "message", [row[1] for row in ESTABLISHED_TABLE], ids=[row[0] for row in ESTABLISHED_TABLE]
)
async def test_a_wrong_message_in_a_session_aborts_it(
    router: RouterProcess, serializer: str, message: list[Any]
) -> None:
    client = await connect_wamp(router.address, serializer)
    await client.join()
    # Whatever follows is not processed.
    await client.send(message, [16, 9, {"acknowledge": True}, "com.example.t"])
    reason, text = await client.aborted()
    assert reason == VIOLATION
    assert text
    assert (await router.metrics())["sessions"] == 0


BEFORE_HELLO: list[tuple[str, list[Any], str, str]] = [
    ("PUBLISH", [16, 1, {}, "com.example.t"], VIOLATION, "PUBLISH is not allowed before HELLO"),
    ("GOODBYE", [6, {}, "wamp.close.normal"], VIOLATION, "GOODBYE is not allowed before HELLO"),
    ("WELCOME", [2, 1, {}], VIOLATION, "WELCOME is not allowed before HELLO"),
    ("an unknown realm", [1, "nowhere", {"roles": {"caller": {}}}], "wamp.error.no_such_realm",
     "this router has no realm 'nowhere'"),
    ("a bad realm", [1, "no where", {"roles": {"caller": {}}}], "wamp.error.invalid_uri",
     "'no where' is not a valid URI of a realm"),
    ("no roles", [1, "realm1", {}], VIOLATION, "HELLO.Details.roles must name at least one role"),
    ("an unusable method", [1, "realm1", {"roles": {"caller": {}}, "authmethods": ["ticket"]}],
     "wamp.error.no_matching_auth_method", "of ticket none is configured here, only anonymous"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "reason", "text"), [row[1:] for row in BEFORE_HELLO], ids=[row[0] for row in BEFORE_HELLO]
)
async def test_a_wrong_beginning_aborts(
    router: RouterProcess, message: list[Any], reason: str, text: str
) -> None:
    client = await connect_wamp(router.address)
    await client.send(message)
    assert await client.aborted() == (reason, text)


async def test_a_payload_that_another_format_cannot_express_is_the_senders_error(
    router: RouterProcess,
) -> None:
    async with joined(router.address) as publisher, joined(router.address, "msgpack") as subscriber:
        await subscriber.ask(32, 1, {}, "com.example.t")
        await publisher.socket.send_frame(TEXT, b'[16,1,{"acknowledge":true},"com.example.t",[1e999]]')
        assert (await publisher.receive())[:5] == [8, 16, 1, {}, "wamp.error.invalid_argument"]
        await publisher.ask(16, 2, {"acknowledge": True}, "com.example.t", ["good"])
        assert (await subscriber.receive())[4] == ["good"]


# --- those who leave early ----------------------------------------------------------------------------------------

EARLY: list[tuple[str, bytes]] = [
    ("at once", b""),
    ("within the request", b"GET /ws HT"),
    ("within the headers", upgrade_request()[:-20]),
    ("after the handshake", upgrade_request()),
    ("within a frame's head", upgrade_request() + frame(TEXT, HELLO)[:3]),
    ("within a frame", upgrade_request() + frame(TEXT, HELLO)[:-5]),
    ("within a fragmented message", upgrade_request() + frame(TEXT, HELLO, fin=False)),
    ("after HELLO", upgrade_request() + frame(TEXT, HELLO)),
    (
        "after an acknowledged PUBLISH",
        upgrade_request() + frame(TEXT, HELLO) + frame(TEXT, b'[16,1,{"acknowledge":true},"com.example.t"]'),
    ),
    ("within a body", b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"),
    ("before a slow answer", http_request("GET", "/metrics")),
]


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("data", [row[1] for row in EARLY], ids=[row[0] for row in EARLY])
async def test_whoever_leaves_early_leaves_nothing_behind(
    router: RouterProcess, data: bytes, how: str
) -> None:
    connection = await Connection.open(router.address)
    await connection.send(data)
    if how == "reset":
        connection.abort()
    else:
        connection.writer.write_eof()
        await connection.ends()
        connection.abort()
    async with asyncio.timeout(10):
        # The connection that asks is one itself.
        while (metrics := await router.metrics())["transport_connections"] > 1:
            pass
    assert metrics["sessions"] == 0
