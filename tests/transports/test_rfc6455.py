"""RFC 6455 as a table: what a client sends, and what it is answered by an echo on the router's WebSocket layer.

The sections of the RFC are named at each group. Autobahn|Testsuite asks more (`tests/conformance`) where Python 2.7 is;
this table needs nothing.
"""

import asyncio
import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.nodes import echo_process
from tests.support.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Address,
    Frame,
    abort_all_connections,
    frame,
    masked_frame,
    open_websocket,
)

PROTOCOL_ERROR, INVALID_TEXT = 1002, 1007


@dataclass(frozen=True)
class Case:
    """What is sent, the frames that answer it, and the code of the CLOSE that must follow.

    Without a code the connection must go on to work: it echoes one more message and closes when asked to.
    """

    name: str
    sent: bytes
    answers: list[Frame] = field(default_factory=list)
    close_code: int | None = None


def text(payload: bytes | str) -> Frame:
    return Frame(TEXT, payload.encode() if isinstance(payload, str) else payload)


def close(code: int | None, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def parts(opcode: int, *payloads: bytes) -> list[bytes]:
    """Return the frames of a fragmented message."""
    last = len(payloads) - 1
    return [
        frame(opcode if number == 0 else CONTINUATION, payload, fin=number == last)
        for number, payload in enumerate(payloads)
    ]


HELLO = frame(TEXT, b"hello")
ECHO = text("hello")

FRAMING = [
    *(
        Case(f"text-of-{size}", frame(TEXT, b"a" * size), [text(b"a" * size)])
        for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 70000)
    ),
    *(
        Case(f"binary-of-{size}", frame(BINARY, b"\xfe" * size), [Frame(BINARY, b"\xfe" * size)])
        for size in (0, 125, 126, 65535, 65536)
    ),
    Case(
        "masked", masked_frame(TEXT, b"hello") + masked_frame(BINARY, b"\0\1"), [ECHO, Frame(BINARY, b"\0\1")]
    ),
    Case("one-after-the-other", HELLO + frame(BINARY, b"\0") + HELLO, [ECHO, Frame(BINARY, b"\0"), ECHO]),
    # "The server MUST close the connection upon receiving a frame that is not masked" (5.1)
    Case("not-masked", frame(TEXT, b"hello", masked=False), [], PROTOCOL_ERROR),
    Case("not-masked-after-a-message", HELLO + frame(TEXT, b"no", masked=False), [ECHO], PROTOCOL_ERROR),
    # "the minimal number of bytes MUST be used to encode the length" (5.2)
    Case("length-in-more-than-needed", b"\x81\xfe\x00\x05" + bytes(4) + b"hello", [], PROTOCOL_ERROR),
    Case("length-with-top-bit", b"\x82\xff\x80" + bytes(7) + bytes(4), [], PROTOCOL_ERROR),
]

RESERVED_BITS = [
    Case(f"reserved-{bits}-{name}", HELLO + frame(opcode, payload, reserved=bits), [ECHO], PROTOCOL_ERROR)
    for bits in range(1, 8)
    for name, opcode, payload in (("text", TEXT, b"no"), ("ping", PING, b""), ("close", CLOSE, b"\x03\xe8"))
]

RESERVED_OPCODES = [
    *(
        Case(f"opcode-{opcode}", frame(opcode, payload), [], PROTOCOL_ERROR)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
        for payload in (b"",)
    ),
    *(
        Case(
            f"opcode-{opcode}-between-messages", HELLO + frame(opcode, b"no") + HELLO, [ECHO], PROTOCOL_ERROR
        )
        for opcode in (3, 7, 11, 15)
    ),
]

PINGS = [
    *(
        Case(f"ping-of-{len(payload)}", frame(PING, payload), [Frame(PONG, payload)])
        for payload in (b"", b"are you there", b"\x00\xff\xfe", b"p" * 125)
    ),
    Case("ping-of-126", frame(PING, b"p" * 126), [], PROTOCOL_ERROR),
    Case("ping-in-two-frames", frame(PING, b"p", fin=False), [], PROTOCOL_ERROR),
    # "A Pong frame MAY be sent unsolicited. [...] A response to an unsolicited Pong frame is not expected" (5.5.3)
    Case("pongs-nobody-asked-for", frame(PONG) + frame(PONG, b"hi") + frame(PING, b"1"), [Frame(PONG, b"1")]),
    Case(
        "ten-pings", b"".join(frame(PING, b"%d" % number) for number in range(10)),
        [Frame(PONG, b"%d" % number) for number in range(10)],
    ),
]  # fmt: skip

FRAGMENTATION = [
    Case("two-parts", b"".join(parts(TEXT, b"hel", b"lo")), [ECHO]),
    Case("empty-parts", b"".join(parts(TEXT, b"", b"", b"hello", b"")), [ECHO]),
    Case("only-empty-parts", b"".join(parts(BINARY, b"", b"", b"")), [Frame(BINARY, b"")]),
    Case("many-parts", b"".join(parts(BINARY, *[b"x"] * 300)), [Frame(BINARY, b"x" * 300)]),
    # "Control frames MAY be injected in the middle of a fragmented message" (5.4)
    Case(
        "ping-between-parts", frame(PING, b"!").join(parts(TEXT, b"hel", b"lo")), [Frame(PONG, b"!"), ECHO],
    ),
    Case("nothing-to-continue", frame(CONTINUATION, b"hello"), [], PROTOCOL_ERROR),
    Case("nothing-to-continue-yet", frame(CONTINUATION, b"hello", fin=False), [], PROTOCOL_ERROR),
    Case("nothing-to-continue-any-more", HELLO + frame(CONTINUATION, b"!"), [ECHO], PROTOCOL_ERROR),
    Case("message-within-a-message", frame(TEXT, b"hel", fin=False) + HELLO, [], PROTOCOL_ERROR),
    Case(
        "other-kind-within-a-message", frame(TEXT, b"hel", fin=False) + frame(BINARY, b"lo"), [], PROTOCOL_ERROR
    ),
    Case("close-between-parts", frame(TEXT, b"hel", fin=False) + close(1000), [], 1000),
]  # fmt: skip

VALID_TEXT = {
    "two-octets": "ß",
    "three-octets": "€",
    "four-octets": "😀",
    "mixed": "Hello-µ@ßöäüàá-UTF-8!!",
    "nul": "\0",
    "last-of-one-octet": "\x7f",
    "first-and-last-of-two": "\x80߿",
    "first-and-last-of-three": "\u0800\uffff",
    "around-the-surrogates": "\ud7ff\ue000",
    "first-and-last-of-four": "\U00010000\U0010ffff",
    "non-characters": "\ufffe\U0001ffff",
}
INVALID = {
    "lone-continuation": b"\x80",
    "lone-start": b"\xc3",
    "start-without-enough": b"\xe2\x82",
    "start-then-ascii": b"\xc3a",
    "overlong-slash": b"\xc0\xaf",
    "overlong-of-three": b"\xe0\x80\xaf",
    "overlong-of-four": b"\xf0\x80\x80\xaf",
    "surrogate": b"\xed\xa0\x80",
    "pair-of-surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "above-the-last": b"\xf4\x90\x80\x80",
    "five-octets": b"\xf8\x88\x80\x80\x80",
    "fe-and-ff": b"\xfe\xff",
    "behind-good-text": b"good \xff bad",
}
UTF_8 = [
    *(Case(f"text-{name}", frame(TEXT, value.encode()), [text(value)]) for name, value in VALID_TEXT.items()),
    *(
        Case(
            f"text-{name}-an-octet-a-part",
            b"".join(parts(TEXT, *[bytes([octet]) for octet in value.encode()])),
            [text(value)],
        )
        for name, value in VALID_TEXT.items()
    ),
    # "an endpoint [that] finds that the byte stream is not, in fact, a valid UTF-8 stream [...] MUST _Fail the
    # WebSocket Connection_" (8.1)
    *(
        Case(f"text-{name}", HELLO + frame(TEXT, value), [ECHO], INVALID_TEXT)
        for name, value in INVALID.items()
    ),
    *(
        Case(f"text-{name}-in-parts", b"".join(parts(TEXT, value[:1], value[1:])), [], INVALID_TEXT)
        for name, value in INVALID.items()
    ),
    *(
        Case(f"binary-{name}", frame(BINARY, value), [Frame(BINARY, value)])
        for name, value in INVALID.items()
    ),
]

CLOSING = [
    Case("close-without-code", close(None), [], 1005),
    *(
        Case(f"close-{code}", HELLO + close(code), [ECHO], code)
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    ),
    *(
        Case(f"close-{code}", HELLO + close(code), [ECHO], PROTOCOL_ERROR)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ),
    Case("close-of-one-octet", frame(CLOSE, b"\x03"), [], PROTOCOL_ERROR),
    Case("close-with-reason", close(1000, "ende: ß".encode()), [], 1000),
    Case("close-with-longest-reason", close(1000, b"r" * 123), [], 1000),
    Case("close-with-too-long-reason", close(1000, b"r" * 124), [], PROTOCOL_ERROR),
    Case("close-with-bad-reason", close(1000, b"\xff"), [], INVALID_TEXT),
    Case("close-in-two-frames", frame(CLOSE, b"\x03\xe8", fin=False), [], PROTOCOL_ERROR),
]

# "The application MUST NOT send any more data frames after sending a Close frame" (5.5.1): what comes is ignored.
BEHIND_CLOSE = [
    Case("message-behind-close", close(1000) + HELLO, [], 1000),
    Case("ping-behind-close", close(1000) + frame(PING), [], 1000),
    Case("second-close", close(1000) + close(1001), [], 1000),
]

CASES = [
    *FRAMING, *RESERVED_BITS, *RESERVED_OPCODES, *PINGS, *FRAGMENTATION, *UTF_8, *CLOSING, *BEHIND_CLOSE,
]  # fmt: skip
# Octet by octet, what stands behind a CLOSE meets a closed connection.
SMALL = [case for case in CASES if len(case.sent) < 200 and case not in BEHIND_CLOSE]


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    with echo_process(tmp_path_factory.mktemp("echo")) as address:
        yield address


@pytest.fixture(autouse=True)
async def connections_end() -> Iterator[None]:
    yield
    await abort_all_connections()


async def run(echo: Address, case: Case, segments: list[bytes]) -> None:
    socket = await open_websocket(echo, "/", subprotocols=None)
    for segment in segments:
        await socket.send(segment)
    answers = [await socket.read_frame() for _ in case.answers]
    assert answers == case.answers
    if case.close_code is None:
        await socket.send_frame(TEXT, b"still here")
        assert await socket.read_frame() == text("still here")
        await socket.send_frame(CLOSE, struct.pack("!H", 1000))
    last = await socket.read_frame()
    assert (last.opcode, last.close_code) == (CLOSE, case.close_code or 1000)
    assert last.fin
    last.close_reason.encode()  # it is text
    if case not in [*CLOSING, *BEHIND_CLOSE]:
        with contextlib.suppress(ConnectionError):  # behind a bad frame nobody reads any more
            await socket.send_frame(CLOSE, last.payload[:2])
    # Whoever has said CLOSE waits for the server, which waits for nothing.
    async with asyncio.timeout(1.5):
        assert await socket.ends() == b""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_at_once(echo: Address, case: Case) -> None:
    await run(echo, case, [case.sent])


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
async def test_octet_by_octet(echo: Address, case: Case) -> None:
    await run(echo, case, [bytes([octet]) for octet in case.sent])


@pytest.mark.parametrize("pieces", [1, 2, 3, 997, 4096])
async def test_a_large_message_in_pieces(echo: Address, pieces: int) -> None:
    payload = bytes(range(256)) * 1024
    data = masked_frame(BINARY, payload)
    size = -(-len(data) // pieces)

    await run(
        echo,
        Case("large", data, [Frame(BINARY, payload)]),
        [data[start : start + size] for start in range(0, len(data), size)],
    )


def test_no_name_stands_twice() -> None:
    names = [case.name for case in CASES]

    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
