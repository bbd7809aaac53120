"""Handshakes that are told by their bytes are answered as the parser and the service would have answered them."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from heliograph.http import first_request
from heliograph.http.known_handshakes import KNOWN_HANDSHAKES, LONGEST_KNOWN_BYTES
from heliograph.http.upgrade_request import read_upgrade
from heliograph.wire.websocket import PING, accept_key
from tests.support.doors import MAX_HEADER_BYTES, Door
from tests.support.websocket import masked_frame

KEY = base64.b64encode(bytes(range(16)))
OTHER_KEY = base64.b64encode(bytes(range(1, 17)))
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door(asyncio.get_running_loop())
    yield door
    await door.port.drain(0)


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("it can be done without")


async def test_the_first_of_a_kind_makes_no_connection_of_http(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.leaves_all_to_http = True
    expected = await door.answer(HANDSHAKE % KEY)
    assert door.known == 0
    door.leaves_all_to_http = False
    monkeypatch.setattr(door.port, "http", never)
    assert await door.answer(HANDSHAKE % KEY) == expected
    assert expected[2]
    assert door.known == 1


async def test_behind_another_request_is_left_to_http(door: Door) -> None:
    behind = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + HANDSHAKE % KEY
    assert read_upgrade(behind, limit_bytes=MAX_HEADER_BYTES) is None
    written, _, is_websocket = await door.answer(behind)
    assert not is_websocket
    assert b"nothing is served at /" in written
    assert door.counters.requests_refused == 1


async def test_the_second_of_a_kind_is_not_parsed(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    ping = masked_frame(PING, b"are you there")
    first = await door.answer(HANDSHAKE % KEY)
    monkeypatch.setattr(first_request, "read_upgrade", never)
    assert first[2]
    assert await door.answer(HANDSHAKE % KEY) == first
    written, _, is_websocket = await door.answer(HANDSHAKE % OTHER_KEY + ping)
    assert is_websocket
    assert written.startswith(first[0].replace(accept_key(KEY), accept_key(OTHER_KEY)))
    assert written.endswith(b"are you there")
    assert door.counters.connections == 0
    assert door.counters.connections_opened == 3


@pytest.mark.parametrize(
    "handshake",
    [
        HANDSHAKE.replace(b"\r\nHost", b"\r\nOrigin: https://example.com\r\nHost"),
        HANDSHAKE.replace(b"\r\nHost", b"\r\nCookie: a=b\r\nHost"),
        HANDSHAKE.replace(b"\r\nHost", b"\r\nAuthorization: Basic YTpi\r\nHost"),
        HANDSHAKE.replace(b"\r\nHost", b"\r\nX: " + LONGEST_KNOWN_BYTES * b"x" + b"\r\nHost"),
        HANDSHAKE.replace(b"Sec-WebSocket-Key", b"sec-websocket-key"),
        b"\r\n\r\n" + HANDSHAKE,
    ],
    ids=["origin", "cookie", "authorization", "long", "spelling", "blank lines"],
)
async def test_is_not_remembered(door: Door, handshake: bytes) -> None:
    for _ in range(2):
        written, _, is_websocket = await door.answer(handshake.replace(b"%b", KEY))
        assert is_websocket
        assert accept_key(KEY) in written
    assert door.known == 0


@pytest.mark.parametrize(
    "key", [b"", KEY[:-1], KEY + b"A", KEY[:-2] + b"AA", b"?" + KEY[1:], KEY + b", " + KEY]
)
async def test_with_a_bad_key_is_refused_though_it_is_known(door: Door, key: bytes) -> None:
    assert (await door.answer(HANDSHAKE % KEY))[2]
    written, is_closed, is_websocket = await door.answer(HANDSHAKE % key)
    assert written.startswith(b"HTTP/1.1 400 ")
    assert is_closed
    assert not is_websocket
    assert door.counters.upgrades_refused == 1


async def test_that_is_not_whole_is_waited_for_though_it_is_known(door: Door) -> None:
    whole = HANDSHAKE % KEY
    first = await door.answer(whole)
    for cut in range(1, len(whole)):
        assert await door.answer(whole[:cut], whole[cut:]) == first


async def test_is_found_where_it_differs_in_nothing_but_the_place_of_the_key(door: Door) -> None:
    behind = HANDSHAKE.replace(b"\r\nSec-WebSocket-Key: %b", b"")[:-2] + b"Sec-WebSocket-Key: %b\r\n\r\n"
    for handshake in (HANDSHAKE, behind, HANDSHAKE, behind):
        assert (await door.answer(handshake % KEY))[2]
    assert door.known == 2


async def test_are_a_bounded_number(door: Door) -> None:
    for number in range(3 * KNOWN_HANDSHAKES):
        handshake = HANDSHAKE.replace(b"localhost", b"host-%d" % number)
        assert (await door.answer(handshake % KEY))[2]
        assert door.known <= KNOWN_HANDSHAKES


REQUEST_LINES = st.sampled_from(
    [b"GET /ws HTTP/1.1"] * 20
    + [
        b"GET /ws?a=b HTTP/1.1", b"GET /pages HTTP/1.1", b"GET /nothing HTTP/1.1", b"POST /ws HTTP/1.1",
        b"GET /ws HTTP/1.0", b"GET  /ws HTTP/1.1", b"GET http://localhost/ws HTTP/1.1", b"\r\nGET /ws HTTP/1.1",
    ]
)  # fmt: skip
FURTHER = st.sampled_from(
    [
        b"Origin: https://example.com", b"Origin: https://example.org", b"Origin: null", b"Cookie: a=b",
        b"User-Agent: agent/1", b"Content-Length: 0", b"Content-Length: 4", b"Transfer-Encoding: chunked",
        b"X-Fold: a\r\n b", b"X-Bare: a\nb: c", b"X-Bare: a\rb", b"X : a", b"X\x00: a", b"no colon",
        b"Sec-WebSocket-Key: " + KEY, b"sec-websocket-key: " + KEY, b"X-Sec-WebSocket-Key: " + KEY,
        b"Sec-WebSocket-Version: 12", b"Sec-WebSocket-Protocol: wamp.2.cbor", b"Host: another",
        b"Sec-WebSocket-Extensions: permessage-deflate", b"Sec-WebSocket-Extensions: ;", b"Upgrade: h2c",
        b"Connection: close", b"Expect: 100-continue", b"Transfer-Encoding: gzip",
        b"X-Forwarded-For: 192.0.2.9", b"X: " + 1100 * b"x",
    ]
)  # fmt: skip
USUAL = [
    (b"Host", b"localhost"),
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", b"KEY"),
    (b"Sec-WebSocket-Protocol", b"wamp.2.json"),
]
KEYS = st.one_of(
    st.binary(min_size=16, max_size=16).map(base64.b64encode),
    st.sampled_from(
        [
            b"",
            KEY[:-1],
            KEY + b" ",
            b" " + KEY,
            KEY + b"A",
            KEY[:21] + b"B==",
            KEY + b"," + KEY,
            b"\x80" + KEY,
        ]
    ),
)
BEHIND = st.sampled_from(
    [b"", b"", masked_frame(PING, b"!"), b"\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"1234"]
)


@st.composite
def handshakes(draw: st.DrawFn) -> bytes:
    """Return a handshake with KEY in place of its key; most are good."""
    headers = draw(st.permutations(USUAL))
    lines = [draw(REQUEST_LINES)]
    respell = draw(st.sampled_from([bytes, bytes, bytes, bytes.lower, bytes.upper]))
    lines += [respell(name) + b": " + value for name, value in headers]
    for further in draw(st.one_of(st.just([]), st.lists(FURTHER, max_size=2))):
        lines.insert(draw(st.integers(1, len(lines))), further)
    end = draw(st.sampled_from([b"\r\n"] * 12 + [b"\n"]))
    return end.join(lines) + 2 * end


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_are_answered_as_by_a_connection_of_http(
    data: st.DataObject, loop: asyncio.AbstractEventLoop
) -> None:
    async def compare() -> None:
        knowing, reading, plain = (Door(asyncio.get_running_loop()) for _ in range(3))
        plain.leaves_all_to_http = True
        kinds = data.draw(st.lists(handshakes(), min_size=1, max_size=2))
        for _ in range(data.draw(st.integers(2, 6))):
            sent = data.draw(st.sampled_from(kinds)).replace(b"KEY", data.draw(KEYS)) + data.draw(BEHIND)
            cut = data.draw(st.one_of(st.just(len(sent)), st.just(len(sent)), st.integers(1, len(sent))))
            pieces = [piece for piece in (sent[:cut], sent[cut:]) if piece]
            event(f"known: {knowing.port.known_handshakes.find(sent) is not None}")
            reading.forget()
            event(f"read: {read_upgrade(sent, limit_bytes=MAX_HEADER_BYTES) is not None}")
            expected = await plain.answer(*pieces)
            assert await knowing.answer(*pieces) == await reading.answer(*pieces) == expected
            assert knowing.counters == reading.counters == plain.counters
        assert plain.known == 0
        await asyncio.gather(*(door.port.drain(0) for door in (knowing, reading, plain)))

    loop.run_until_complete(compare())
