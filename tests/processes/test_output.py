"""Bounds of what a child's output can do to its parent."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from heliograph.processes.options import ChildOptions
from heliograph.processes.output import OutputForwarder

Logged = Callable[[], list[str]]


class Pipe(asyncio.ReadTransport):
    """A transport that only remembers whether it is being read."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return False


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    caplog.set_level(logging.INFO, "heliograph.processes")
    return lambda: [record.getMessage() for record in caplog.records]


def forwarder(**limits: int) -> tuple[OutputForwarder, Pipe]:
    made = OutputForwarder(ChildOptions(name="child", argv=("x",), **limits))
    pipe = Pipe()
    made.connection_made(pipe)
    return made, pipe


async def test_lines_are_put_together_from_pieces(logged: Logged) -> None:
    output, _ = forwarder()
    for piece in (b"one\r\ntw", b"o\n\nthr", b"ee"):
        output.data_received(piece)
    output.connection_lost(None)
    assert logged() == [
        "child: one",
        "child: two",
        "child: ",
        "child: three",
    ]
    assert output.closed.is_set()


async def test_output_without_newlines_is_cut_and_takes_no_memory(logged: Logged) -> None:
    output, _ = forwarder(max_line_bytes=100)
    for _ in range(1000):
        output.data_received(b"x" * 65536)
    output.data_received(b"\nnext\n")
    output.connection_lost(None)
    assert logged() == [f"child: {'x' * 100} … (line cut)", "child: next"]
    assert max(map(len, output.tail)) < 200


async def test_a_line_of_exactly_the_limit_is_whole(logged: Logged) -> None:
    output, _ = forwarder(max_line_bytes=4)
    output.data_received(b"1234\n")
    output.connection_lost(None)
    assert logged() == ["child: 1234"]


async def test_too_many_lines_are_dropped_counted_and_reported(logged: Logged) -> None:
    output, _ = forwarder(max_lines_per_s=3)
    output.data_received(b"line\n" * 10)
    output.connection_lost(None)
    assert output.dropped_lines == 7
    assert len(logged()) == 4
    assert logged()[-1] == "child: 7 lines of output dropped, more than 3 a second"


async def test_too_many_bytes_make_the_child_wait_until_the_next_second() -> None:
    output, pipe = forwarder(max_output_bytes_per_s=1000)
    output.data_received(b"x" * 1000)
    assert pipe.reading
    output.data_received(b"x")
    assert not pipe.reading
    resumed = asyncio.Event()
    pipe.resume_reading = resumed.set  # type: ignore[method-assign]  # the test's own transport
    await asyncio.wait_for(resumed.wait(), 5)
    output.connection_lost(None)


async def test_what_a_terminal_would_obey_is_made_visible(logged: Logged) -> None:
    output, _ = forwarder()
    output.data_received(b"\x1b[2Jcleared\x00 \xff \xc3\xa9\ttab\n")
    output.connection_lost(None)
    assert logged()[0] == "child: \\x1b[2Jcleared\\x00 \\xff é\ttab"
