"""Writing past uvloop's queue: at once, in order, and nothing lost."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from heliograph.transports.direct_write import descriptor_of, direct_write

uvloop = pytest.importorskip("uvloop")

TIMEOUT_S = 20


class Ends(asyncio.Protocol):
    """Tells when the connection is gone."""

    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


async def connected() -> tuple[asyncio.Transport, Ends, socket.socket]:
    """Return a transport with its protocol, and the other end of its socket."""
    ours, other = socket.socketpair()
    ours.setblocking(False)
    other.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(Ends, sock=ours)
    return transport, protocol, other


def on_uvloop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(test(), TIMEOUT_S))

    run.__name__ = test.__name__
    return run


async def read_exactly(other: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size:
        piece = await loop.sock_recv(other, 65536)
        assert piece, f"the connection ended after {len(data)} of {size} bytes"
        data += piece
    return data


@on_uvloop
async def test_what_is_written_is_there_before_the_turn_ends() -> None:
    transport, _, other = await connected()
    direct_write(transport, descriptor_of(transport), b"now")
    assert other.recv(10) == b"now"
    transport.close()
    other.close()


@on_uvloop
async def test_it_comes_behind_what_the_transport_still_holds() -> None:
    transport, _, other = await connected()
    transport.write(b"first ")
    direct_write(transport, descriptor_of(transport), b"second")
    assert await read_exactly(other, 12) == b"first second"
    transport.close()
    other.close()


@on_uvloop
async def test_what_the_kernel_does_not_take_follows_in_order() -> None:
    transport, _, other = await connected()
    descriptor = descriptor_of(transport)
    pieces = [bytes([number]) * 100_000 for number in range(50)]
    for piece in pieces:
        direct_write(transport, descriptor, piece)
    assert transport.get_write_buffer_size() > 0, "the kernel has taken 5 MB: make the test larger"
    assert await read_exactly(other, 5_000_000) == b"".join(pieces)
    transport.close()
    other.close()


@on_uvloop
async def test_a_broken_connection_ends_as_with_any_write() -> None:
    transport, protocol, other = await connected()
    descriptor = descriptor_of(transport)
    other.close()
    direct_write(transport, descriptor, b"nobody reads this")
    await protocol.lost
    assert transport.is_closing()


@on_uvloop
async def test_nothing_is_written_to_a_descriptor_that_may_be_somebody_elses() -> None:
    transport, protocol, other = await connected()
    descriptor = descriptor_of(transport)
    assert descriptor is not None
    reader, somebody_else = socket.socketpair()
    transport.abort()
    await protocol.lost
    # Whoever connects next is given the number.
    os.dup2(somebody_else.fileno(), descriptor)
    with pytest.raises(RuntimeError, match="closed"):
        direct_write(transport, descriptor, b"not for you")
    reader.setblocking(False)
    with pytest.raises(BlockingIOError):
        reader.recv(100)
    os.close(descriptor)
    for end in (other, reader, somebody_else):
        end.close()


async def _descriptor_by_asyncio() -> int | None:
    transport, _, other = await connected()
    try:
        return descriptor_of(transport)
    finally:
        transport.close()
        other.close()


def test_asyncio_writes_at_once_by_itself() -> None:
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(_descriptor_by_asyncio()) is None
