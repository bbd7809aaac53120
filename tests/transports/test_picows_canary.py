"""What we rely on in picows' semi-private protocol class: a new version that changes it must fail here first."""

import asyncio
import inspect
import logging
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import picows
import pytest
from picows.picows import WSAutoPingStrategy, WSProtocol

from heliograph.transports.frame_parser import (
    _PARSER_LOG,
    _UPGRADE,
    BUFFER_BYTES,
    READ_BYTES,
    SPARE_PARSERS,
    FrameParser,
    FrameParsers,
)
from heliograph.transports.websocket import WebSocketConnection
from tests.support.websocket import BINARY, CLOSE, PING, TEXT, frame

MAX_FRAME_BYTES = 1024

PARAMETERS = [
    "host_port",
    "ws_path",
    "is_client_side",
    "ws_listener_factory",
    "logger",
    "disconnect_on_exception",
    "websocket_handshake_timeout",
    "enable_auto_ping",
    "auto_ping_idle_timeout",
    "auto_ping_reply_timeout",
    "auto_ping_strategy",
    "enable_auto_pong",
    "max_frame_size",
    "extra_headers",
    "read_buffer_init_size",
]


class Connection:
    """Stands in for ours, and writes down what the parser does with it."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes, bool, bool]] = []
        self.bad: list[tuple[int, str]] = []
        self.aborts = 0

    def on_ws_frame(self, _parser: Any, received: Any) -> None:
        self.frames.append(
            (
                received.msg_type.value,
                received.get_payload_as_bytes(),
                bool(received.fin),
                bool(received.rsv1 or received.rsv2 or received.rsv3),
            )
        )

    def on_bad_frame(self, code: int, reason: str) -> None:
        self.bad.append((code, reason))

    def abort(self) -> None:
        self.aborts += 1


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.fixture
async def parsers() -> FrameParsers:
    return FrameParsers(MAX_FRAME_BYTES)


@pytest.fixture
async def parser(parsers: FrameParsers, connection: Connection) -> FrameParser:
    return parsers.lend(connection)


def feed(parser: FrameParser, data: bytes) -> bool:
    """Feed as a connection does: into the room the parser offers."""
    is_idle = parser.is_idle
    while data:
        room = parser.room
        length = min(len(room), len(data))
        room[:length] = data[:length]
        is_idle = parser.read(length)
        data = data[length:]
    return is_idle


def test_the_version_is_one_that_was_looked_at() -> None:
    assert re.match(r"2\.3(\.|$)", version("picows")), "look at its WSProtocol, then let this test know"


def test_the_constructor_has_these_positional_parameters() -> None:
    source = (Path(inspect.getfile(picows)).parent / "picows.pyx").read_text()
    start = source.index("def __init__(self", source.index("cdef class WSProtocol(WSProtocolBase"))
    signature = source[start : source.index("):", start)].partition("self")[2]
    names = [parameter.split()[-1] for parameter in signature.split(",") if parameter.strip()]
    assert names == PARAMETERS


async def test_the_constructor_takes_exactly_fifteen_arguments() -> None:
    arguments: list[Any] = [
        None, None, False, lambda _request: None, _PARSER_LOG, True, None, False, None, None,
        WSAutoPingStrategy.PING_WHEN_IDLE, False, 1024, None, 2048,
    ]  # fmt: skip
    WSProtocol(*arguments)
    for wrong in (arguments[:-1], [*arguments, None]):
        with pytest.raises(TypeError):
            WSProtocol(*wrong)


async def test_the_handshake_is_swallowed(parser: FrameParser, connection: Connection) -> None:
    assert (connection.frames, connection.bad, connection.aborts) == ([], [], 0)
    assert parser.is_idle
    assert _UPGRADE.endswith(b"\r\n\r\n")


async def test_frames_are_delivered_unmasked_in_order_with_their_bits(
    parser: FrameParser, connection: Connection
) -> None:
    feed(
        parser,
        frame(TEXT, b"one", fin=False)
        + frame(PING, b"two")
        + frame(0, b"three", reserved=2)
        + frame(BINARY, b"x" * 300)
        + frame(CLOSE, b"\x0b\xb8bye"),
    )
    assert connection.frames == [
        (TEXT, b"one", False, False),
        (PING, b"two", True, False),
        (0, b"three", True, True),
        (BINARY, b"x" * 300, True, False),
        (CLOSE, b"\x0b\xb8bye", True, False),
    ]


@pytest.mark.parametrize("cut", range(1, 12))
async def test_it_is_idle_only_where_a_frame_ends(
    parser: FrameParser, connection: Connection, cut: int
) -> None:
    two = frame(TEXT, b"twotwo")
    assert len(two) == 12
    assert feed(parser, frame(TEXT, b"one"))
    assert not feed(parser, frame(TEXT, b"one") + two[:cut])
    assert feed(parser, two[cut:])
    assert [received[1] for received in connection.frames] == [b"one", b"one", b"twotwo"]


async def test_an_idle_parser_serves_the_next_connection(
    parsers: FrameParsers, parser: FrameParser, connection: Connection
) -> None:
    feed(parser, frame(TEXT, b"one", fin=False))
    parsers.take_back(parser)
    another = Connection()
    assert parsers.lend(another) is parser
    feed(parser, frame(TEXT, b"two"))
    assert [received[1] for received in connection.frames] == [b"one"]
    assert [received[1] for received in another.frames] == [b"two"]


@pytest.mark.parametrize(
    "data",
    [frame(TEXT, b"one")[:5], frame(CLOSE, b"\x03\xe8"), frame(TEXT, b"x") + frame(CLOSE, b"\x03"), b"\x83"],
    ids=["a part of a frame", "CLOSE", "a bad CLOSE", "a part of a bad frame"],
)
async def test_a_parser_that_knows_of_its_connection_serves_no_other(
    parsers: FrameParsers, parser: FrameParser, data: bytes
) -> None:
    assert not feed(parser, data)
    parsers.take_back(parser)
    assert parsers.lend(Connection()) is not parser


@pytest.mark.parametrize("size", [READ_BYTES, BUFFER_BYTES - 256, BUFFER_BYTES, 1024 * 1024])
async def test_a_parser_that_has_grown_serves_no_other(connection: Connection, size: int) -> None:
    parsers = FrameParsers(2 * 1024 * 1024)
    parser = parsers.lend(connection)
    born_with = parser._size
    one = frame(TEXT, b"x" * size)
    assert not feed(parser, one[:-1])
    assert feed(parser, one[-1:])
    assert feed(parser, frame(TEXT, b"y"))
    assert [len(received[1]) for received in connection.frames] == [size, 1]
    assert parser._size == len(parser._protocol.get_buffer(-1))
    assert parser.is_grown is (parser._size > born_with)
    parsers.take_back(parser)
    assert (parsers.lend(Connection()) is parser) is not parser.is_grown


async def test_only_some_are_kept(parsers: FrameParsers, connection: Connection) -> None:
    lent = [parsers.lend(connection) for _ in range(2 * SPARE_PARSERS)]
    for parser in lent:
        parsers.take_back(parser)
    assert len(parsers._spare) == SPARE_PARSERS


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"x", masked=False), 1002),
        (frame(0x3, b"x"), 1002),
        (frame(PING, b"x", fin=False), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(TEXT, b"x" * 1025), 1009),
        (frame(TEXT, announced=2**62), 1009),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(CLOSE, b"\x03\xe8") + frame(CLOSE, b"\x03\xe8"), 1002),
    ],
)
async def test_its_own_close_goes_to_the_connection(
    parser: FrameParser, connection: Connection, data: bytes, code: int
) -> None:
    feed(parser, data)
    assert [bad[0] for bad in connection.bad] == [code]
    assert connection.bad[0][1]


async def test_it_closes_nothing_by_itself_after_an_error(
    parser: FrameParser, connection: Connection
) -> None:
    feed(parser, frame(0x3, b"x"))
    # picows disconnects 10 ms after an error, through the transport it was given.
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.03, done.set_result, None)
    await done
    assert connection.aborts == 0


async def test_it_never_offers_more_than_the_bound_and_small_frames_make_nothing_grow(
    parser: FrameParser,
) -> None:
    offered = 0
    one = frame(TEXT, b"x" * 300)
    flood = one * (2 * 1024 * 1024 // len(one))
    while flood:
        room = parser.room
        offered = max(offered, len(room))
        length = min(len(room), len(flood))
        room[:length] = flood[:length]
        parser.read(length)
        flood = flood[length:]
    assert offered == READ_BYTES
    assert parser.is_idle
    assert not parser.is_grown


async def test_what_a_listener_raises_is_logged(
    parsers: FrameParsers, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    connection = Connection()
    monkeypatch.setattr(connection, "on_ws_frame", fail)
    feed(parsers.lend(connection), frame(TEXT, b"x"))
    assert "ZeroDivisionError" in caplog.text
    assert [bad[0] for bad in connection.bad] == [1011]


def test_no_logger_is_made_for_each_connection() -> None:
    # picows makes a child of whatever is a logger.
    assert not isinstance(_PARSER_LOG, logging.Logger)
    assert _PARSER_LOG.isEnabledFor(logging.CRITICAL) is False


def test_the_event_loop_takes_a_connection_for_a_buffered_protocol() -> None:
    assert issubclass(WebSocketConnection, asyncio.BufferedProtocol)
    assert not issubclass(WebSocketConnection, asyncio.Protocol)
