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
from picows import WSListener
from picows.picows import WSAutoPingStrategy, WSProtocol

from heliograph.transports import websocket
from heliograph.transports.websocket import _PARSER_LOG, _UPGRADE, READ_BYTES, _new_parser, _Parser
from tests.support.websocket import BINARY, CLOSE, PING, TEXT, frame

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


class Connection(WSListener):  # type: ignore[misc]
    """Stands in for ours, and writes down what the parser does with it."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes, bool, bool, bool]] = []
        self.bad: list[tuple[int, str]] = []
        self.ends = 0
        self.stays_open = False
        self.disconnects = 0

    def on_ws_frame(self, _parser: Any, received: Any) -> None:
        self.frames.append(
            (
                received.msg_type.value,
                received.get_payload_as_bytes(),
                bool(received.fin),
                bool(received.rsv1 or received.rsv2 or received.rsv3),
                bool(received.last_in_buffer and not received.tail_size),
            )
        )

    def on_bad_frame(self, code: int, reason: str) -> None:
        self.bad.append((code, reason))

    def on_end_of_input(self) -> bool:
        self.ends += 1
        return self.stays_open

    def on_ws_disconnected(self, _parser: Any) -> None:
        self.disconnects += 1


class Transport:
    """Must not be written to by the parser."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.aborts = 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborts += 1


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
async def parser(connection: Connection, transport: Transport) -> Any:
    return _new_parser(connection, transport, 1024, websocket.READ_BUFFER_BYTES)  # type: ignore[arg-type]


def feed(parser: Any, data: bytes) -> None:
    """Feed as a transport does: into the buffer the parser offers."""
    while data:
        buffer = parser.get_buffer(65536)
        length = min(len(buffer), len(data))
        buffer[:length] = data[:length]
        parser.buffer_updated(length)
        data = data[length:]


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


async def test_the_handshake_is_swallowed_and_the_connection_is_its_listener(
    parser: Any, connection: Connection, transport: Transport
) -> None:
    assert transport.written == []
    assert parser.listener is connection
    assert connection.frames == []
    assert connection.bad == []
    assert _UPGRADE.endswith(b"\r\n\r\n")


async def test_frames_are_delivered_unmasked_in_order_with_their_bits(
    parser: Any, connection: Connection
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
        (TEXT, b"one", False, False, False),
        (PING, b"two", True, False, False),
        (0, b"three", True, True, False),
        (BINARY, b"x" * 300, True, False, False),
        (CLOSE, b"\x0b\xb8bye", True, False, True),
    ]


async def test_the_last_frame_is_told_from_one_with_something_behind_it(
    parser: Any, connection: Connection
) -> None:
    feed(parser, frame(TEXT, b"one") + frame(TEXT, b"two")[:4])
    feed(parser, frame(TEXT, b"two")[4:])
    assert [received[4] for received in connection.frames] == [False, True]


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
    ],
)
async def test_its_own_close_goes_to_the_connection_not_to_the_socket(
    parser: Any, connection: Connection, transport: Transport, data: bytes, code: int
) -> None:
    feed(parser, data)
    assert [bad[0] for bad in connection.bad] == [code]
    assert connection.bad[0][1]
    assert transport.written == []


async def test_it_closes_nothing_by_itself_after_an_error(parser: Any, transport: Transport) -> None:
    feed(parser, frame(0x3, b"x"))
    # picows disconnects 10 ms after an error, through the transport it was given.
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.03, done.set_result, None)
    await done
    assert (transport.written, transport.aborts) == ([], 0)


async def test_it_never_offers_more_than_the_bound_and_stops_growing(
    parser: Any, connection: Connection
) -> None:
    offered = 0
    one = frame(TEXT, b"x" * 300)
    flood = one * (2 * 1024 * 1024 // len(one))
    while flood:
        buffer = parser.get_buffer(65536)
        offered = max(offered, len(buffer))
        length = min(len(buffer), len(flood))
        buffer[:length] = flood[:length]
        parser.buffer_updated(length)
        flood = flood[length:]
    assert offered == READ_BYTES
    # What lies beyond the bound shows how large the buffer has become.
    assert len(WSProtocol.get_buffer(parser, -1)) <= 2 * READ_BYTES


@pytest.mark.parametrize("stays_open", [False, True])
async def test_the_end_of_input_is_told_and_the_connection_says_whether_the_transport_closes(
    parser: Any, connection: Connection, *, stays_open: bool
) -> None:
    connection.stays_open = stays_open
    assert parser.eof_received() is stays_open
    assert connection.ends == 1


async def test_the_end_of_the_connection_is_told_once(parser: Any, connection: Connection) -> None:
    parser.connection_lost(None)
    assert connection.disconnects == 1


async def test_what_a_listener_raises_is_logged(
    parser: Any, connection: Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(connection, "on_ws_frame", fail)
    feed(parser, frame(TEXT, b"x"))
    assert "ZeroDivisionError" in caplog.text
    assert [bad[0] for bad in connection.bad] == [1011]


def test_no_logger_is_made_for_each_connection() -> None:
    # picows makes a child of whatever is a logger.
    assert not isinstance(_PARSER_LOG, logging.Logger)
    assert _PARSER_LOG.isEnabledFor(logging.CRITICAL) is False


def test_the_event_loop_takes_it_for_a_buffered_protocol() -> None:
    assert issubclass(_Parser, asyncio.BufferedProtocol)
    assert hasattr(_Parser, "get_buffer")
    assert not issubclass(_Parser, asyncio.Protocol)
