"""A byte fuzzer for each transport, before and after HELLO, against a real router that must not care."""

import asyncio
import contextlib
import json
import random
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache
from typing import Any

import pytest

from tests.fuzz.mutations import garbage, mutated
from tests.support.links import Client, linked_router
from tests.support.nodes import USUAL_PATHS, RouterProcess
from tests.support.rawsocket import SERIALIZERS, rawsocket_frame
from tests.support.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    HELLO_ROLES,
    PING,
    TEXT,
    Connection,
    Door,
    Tls,
    abort_all_connections,
    encode,
    frame,
    http_request,
    upgrade_request,
)

MIB = 1024 * 1024
MOST_GROWTH_BYTES = 128 * MIB
"""What the router may have grown by in one test: buffers of sixteen connections at a time, many of them with TLS and
compression, and what the allocator keeps of them."""

MOST_FURTHER_GROWTH_BYTES = 24 * MIB
"""What it may grow by once it has served thousands."""

SIDE_BY_SIDE = 16
INPUTS, LONG_INPUTS = 60, 5_000
PATHS: dict[str, Any] = {
    **USUAL_PATHS,
    "ws": {
        "type": "websocket",
        # No pings: the bystanders read nothing while the others are at work.
        "options": {"close_timeout_s": 0.5, "ping_interval_s": None, "compression": {"deflate": {}}},
        "hello": {"hello_timeout_s": 2},
        "goodbye_timeout_s": 0.5,
    },
}
HELLO = [1, "realm1", {"roles": HELLO_ROLES}]
REQUESTS = [
    [32, 1, {"match": "prefix"}, "com.fuzz"],
    [16, 2, {"acknowledge": True}, "com.fuzz.t", [1, "two", None, {"a": [b"b".hex()]}], {"k": 0.5}],
    [64, 3, {"invoke": "roundrobin"}, "com.fuzz.p"],
    [48, 4, {"receive_progress": True, "timeout": 50}, "com.fuzz.p", ["x" * 100]],
    [70, 1, {}, ["y"]],
    [49, 4, {"mode": "kill"}],
    [34, 5, 1],
    [6, {}, "wamp.close.normal"],
]
HOSTILE = [
    [16, 2, {"acknowledge": True}, "com.fuzz.t", [{1: 1}]],
    [16, 2, {"x_y": {2**60: {b"binary": 1}}}, "com.fuzz.t"],
    [1, "realm1", {"roles": HELLO_ROLES, "authextra": {"a": [{-1: None}] * 3}}],
    [48, 4, {}, "wamp.session.get", [10**5000]],
    [16, 2, {"retain": True}, "com.fuzz.t", [10**5000]],
    [16, 2, {"acknowledge": True, "eligible": list(range(1, 5000))}, "com.fuzz.t"],
    [16, 2, {"acknowledge": True}, "com.fuzz.t", [[[]] * 70_000]],
    [32, 1, {"match": "wildcard"}, "." * 500],
    [48, 4, {"ppt_scheme": "x" * 10_000}, "com.fuzz.p"],
]
"""What a format may say and WAMP may not, or not so much of it."""


@lru_cache
def hostile(serializer: str) -> list[list[Any]]:
    """Return those of them that the format can say at all."""
    said = []
    for message in HOSTILE:
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            encode(serializer, message)
            said.append(message)
    assert len(said) > 3
    return said


Source = random.Random
Stream = Callable[[Source, str], tuple[bytes, bytes]]
"""Makes what is sent first, which is right, and what follows, of which a mutation is sent."""


def _websocket_frames(serializer: str, messages: list[Any]) -> bytes:
    kind = TEXT if serializer == "json" else BINARY
    frames = [frame(kind, encode(serializer, message)) for message in messages]
    half = encode(serializer, [32, 9, {}, "com.fuzz.halves"])
    parts = frame(kind, half[:5], fin=False) + frame(PING, b"?") + frame(CONTINUATION, half[5:])
    return b"".join([*frames, parts, frame(CLOSE, b"\x03\xe8")])


def websocket_before_hello(source: Source, serializer: str) -> tuple[bytes, bytes]:
    return _upgrade(source, serializer), _websocket_frames(serializer, [HELLO, *REQUESTS])


def websocket_after_hello(source: Source, serializer: str) -> tuple[bytes, bytes]:
    kind = TEXT if serializer == "json" else BINARY
    hello = frame(kind, encode(serializer, HELLO))
    return _upgrade(source, serializer) + hello, _websocket_frames(serializer, _requests(source, serializer))


def _requests(source: Source, serializer: str) -> list[Any]:
    return [*REQUESTS[:-1], source.choice(hostile(serializer)), REQUESTS[-1]]


def _upgrade(source: Source, serializer: str) -> bytes:
    form = source.choice(["", ".batched"]) if serializer != "json" else ""
    headers = {"Sec-WebSocket-Extensions": "permessage-deflate"} if source.random() < 0.5 else None
    return upgrade_request("/ws", subprotocols=f"wamp.2.{serializer}{form}", headers=headers)


def websocket_handshake(source: Source, serializer: str) -> tuple[bytes, bytes]:
    return b"", _upgrade(source, serializer) + _websocket_frames(serializer, [HELLO])


def _rawsocket_frames(serializer: str, messages: list[Any]) -> bytes:
    frames = [rawsocket_frame(encode(serializer, message)) for message in messages]
    return b"".join([*frames, rawsocket_frame(b"ping", 1), rawsocket_frame(b"pong", 2)])


def rawsocket_handshake(_source: Source, serializer: str) -> tuple[bytes, bytes]:
    return b"", _rawsocket_hands(serializer) + _rawsocket_frames(serializer, [HELLO])


def rawsocket_before_hello(_source: Source, serializer: str) -> tuple[bytes, bytes]:
    return _rawsocket_hands(serializer), _rawsocket_frames(serializer, [HELLO, *REQUESTS])


def rawsocket_after_hello(source: Source, serializer: str) -> tuple[bytes, bytes]:
    hello = rawsocket_frame(encode(serializer, HELLO))
    return _rawsocket_hands(serializer) + hello, _rawsocket_frames(serializer, _requests(source, serializer))


def _rawsocket_hands(serializer: str) -> bytes:
    return bytes([0x7F, 0xF0 | SERIALIZERS[serializer], 0, 0])


def http_requests(_source: Source, _serializer: str) -> tuple[bytes, bytes]:
    json_type = {"Content-Type": "application/json"}
    event = json.dumps({"topic": "com.fuzz.t", "args": [1], "options": {"exclude": [1]}}).encode()
    call = json.dumps({"procedure": "com.fuzz.nobody", "kwargs": {"a": 1}}).encode()
    chunked = http_request("POST", "/notify", b"", {**json_type, "Transfer-Encoding": "chunked"})
    chunked = chunked.replace(b"Content-Length: 0\r\n", b"") + b'5\r\n{"top\r\n0\r\nX-User: a\r\n\r\n'
    return b"", b"".join(
        [
            http_request("POST", "/notify", event, json_type),
            http_request("POST", "/call", call, json_type),
            http_request("GET", "/metrics"),
            http_request("GET", "http://localhost/metrics", headers={"X-Forwarded-For": "192.0.2.7, ::1"}),
            http_request("POST", "/poll-ws/open", b'{"protocols": ["wamp.2.json"]}'),
            chunked,
        ]
    )


def tls_hello(_source: Source, _serializer: str) -> tuple[bytes, bytes]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return b"", outgoing.read()


STREAMS: dict[str, tuple[str, Stream]] = {
    "websocket-handshake": ("ws", websocket_handshake),
    "websocket-before-HELLO": ("ws", websocket_before_hello),
    "websocket-after-HELLO": ("ws", websocket_after_hello),
    "rawsocket-handshake": ("rawsocket", rawsocket_handshake),
    "rawsocket-before-HELLO": ("rawsocket", rawsocket_before_hello),
    "rawsocket-after-HELLO": ("unix", rawsocket_after_hello),
    "universal-rawsocket": ("universal_rawsocket", rawsocket_handshake),
    "universal-websocket": ("universal_ws", websocket_after_hello),
    "universal-first-bytes": ("universal_ws", websocket_handshake),
    "http": ("ws", http_requests),
    "tls-handshake": ("tls", tls_hello),
    "tls-websocket-after-HELLO": ("wss", websocket_after_hello),
}


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    with linked_router(tmp_path_factory.mktemp("router"), PATHS) as running:
        yield running


@pytest.fixture(autouse=True)
async def others_are_served(router: RouterProcess) -> AsyncIterator[None]:
    """Whatever the test did: the router has noticed no defect, has not grown, and serves who was there before."""
    publisher: Client = await router.doors.connect("ws", "json", "ws")
    subscriber: Client = await router.doors.connect("rawsocket", "cbor", "ws")
    await publisher.join()
    await subscriber.join()
    assert (await subscriber.ask(32, 1, {}, "com.bystander"))[0] == 33
    before = router.resident_bytes
    yield
    for number in range(3):
        assert (await publisher.ask(16, number + 1, {"acknowledge": True}, "com.bystander", [number]))[
            0
        ] == 17
        assert (await subscriber.receive())[4] == [number]
    await abort_all_connections()
    metrics = await router.metrics()
    assert metrics["transport_defects_total"] == 0
    assert router.resident_bytes - before < MOST_GROWTH_BYTES
    assert router.process.poll() is None
    assert "Traceback" not in router.errors.read_text()


@pytest.mark.parametrize("name", STREAMS)
async def test_nothing_it_is_sent_harms_the_router(router: RouterProcess, name: str) -> None:
    await fuzz(router, name, INPUTS)


@pytest.mark.soak
@pytest.mark.parametrize("name", STREAMS)
async def test_nothing_it_is_sent_for_long_harms_the_router(router: RouterProcess, name: str) -> None:
    await fuzz(router, name, LONG_INPUTS // 2)
    half_way = router.resident_bytes
    await fuzz(router, name, LONG_INPUTS, first=LONG_INPUTS // 2)
    assert router.resident_bytes - half_way < MOST_FURTHER_GROWTH_BYTES


async def fuzz(router: RouterProcess, name: str, inputs: int, *, first: int = 0) -> None:
    transport, stream = STREAMS[name]
    door = _door(router, transport)
    for start in range(first, inputs, SIDE_BY_SIDE):
        await asyncio.gather(
            *(_send_one(door, stream, f"{name} {number}") for number in range(start, start + SIDE_BY_SIDE))
        )


def _door(router: RouterProcess, transport: str) -> Door:
    door, _ = router.doors.where("wss" if transport == "tls" else transport, "ws")
    return door.door if transport == "tls" else door


async def _send_one(door: Door, stream: Stream, seed: str) -> None:
    """Send one input; the name of a failing test and the number in its output tell the seed."""
    source = random.Random(seed)
    right, follows = stream(source, source.choice(["json", "msgpack", "cbor"]))
    wrong = garbage(source) if source.random() < 0.1 else mutated(source, follows)
    connection = await Connection.open(door)
    with contextlib.suppress(OSError):  # the router may end it at any time
        if right:
            await connection.send(right)
        for piece in _pieces(source, wrong):
            await connection.send(piece)
        if source.random() < 0.7 and stream is not tls_hello and not isinstance(door, Tls):
            # To the end: what is answered is read, and somebody closes. (Half a TLS handshake has a time limit.)
            connection.writer.write_eof()
            await connection.ends()
    connection.abort()


def _pieces(source: Source, data: bytes) -> list[bytes]:
    """Return `data` as it is, or in a few pieces."""
    cuts = sorted(source.randint(0, len(data)) for _ in range(source.choice([0, 0, 1, 3])))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if end > start]


@pytest.mark.parametrize("kind", range(3, 8))
@pytest.mark.parametrize("transport", ["rawsocket", "unix", "universal_rawsocket"])
async def test_one_frame_of_a_reserved_type_before_hello_ends_its_connection_only(
    router: RouterProcess, transport: str, kind: int
) -> None:
    connection = await Connection.open(_door(router, transport))
    await connection.send(_rawsocket_hands("json") + rawsocket_frame(b"", kind))

    answer = await connection.ends()

    assert answer[:4] == bytes.fromhex("7fb10000")
    abort = json.loads(answer[8:])
    assert (abort[0], abort[2]) == (3, "wamp.error.protocol_violation")


@pytest.mark.parametrize("is_long", [False, pytest.param(True, marks=pytest.mark.soak)])
async def test_bodies_posted_to_a_poll_harm_nobody(router: RouterProcess, is_long: bool) -> None:
    door, path = router.doors.where("longpoll", "ws")
    for number in range(LONG_INPUTS // 10 if is_long else INPUTS // 2):
        source = random.Random(f"longpoll {number}")
        serializer = source.choice(["json", "msgpack", "cbor"])
        client = await router.doors.connect("longpoll", serializer, "ws")
        if source.random() < 0.7:
            await client.join()
        connection = await Connection.open(door)
        body = mutated(
            source, b"".join(encode(serializer, message) for message in source.sample(REQUESTS, 2))
        )
        action = source.choice(["send", "send", "receive", "close", "open", "x"])
        target = f"{client.base if source.random() < 0.9 else path}/{action}"
        await connection.send(http_request("POST", target, body[:2000]))
        if action != "receive":
            assert (await connection.response()).status in (200, 202, 204, 400, 404, 405, 410, 413, 415)
        connection.abort()
        await client.break_off()
