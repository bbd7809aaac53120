"""A connection on which nothing has come yet, and how it is handed on."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.doors import Door


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door(asyncio.get_running_loop())
    yield door
    await door.port.drain(0)


async def test_has_the_time_for_a_head_from_its_beginning_on(door: Door) -> None:
    wire = door.connect()
    due_s = door.port.silent.due_s(wire.protocol)
    assert due_s is not None
    wire.protocol.data_received(b"GET / HT")
    assert list(door.port.silent) == []
    timer = wire.protocol._head_timer
    wire.protocol.data_received(b"TP/1.1\r\nHost: localhost\r\n")
    assert wire.protocol._head_timer is timer
    assert timer.when() == pytest.approx(due_s)
    wire.protocol.data_received(b"\r\n")
    assert timer.cancelled()
    # A further one has all of it, from its first byte on.
    await asyncio.wait(door.port.state.tasks)
    wire.protocol.data_received(b"GET")
    assert wire.protocol._head_timer.when() > due_s
    wire.protocol.connection_lost(None)


async def test_that_says_nothing_is_closed_without_a_word(door: Door) -> None:
    wire = door.connect()
    door.port.silent._missed(wire.protocol)
    assert wire.is_closed
    assert wire.written == b""
    wire.protocol.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert wire.written == b""
    wire.protocol.connection_lost(None)
    assert door.counters.connections == 0
    assert door.counters.requests_refused == 0


async def test_that_is_silent_when_the_port_ends_is_closed(door: Door) -> None:
    wire = door.connect()
    assert door.counters.connections == 1
    await door.port.drain(0)
    assert wire.is_closed
    assert list(door.port.silent) == []


async def test_that_leaves_without_a_word_is_forgotten(door: Door) -> None:
    wire = door.connect()
    wire.protocol.connection_lost(None)
    assert list(door.port.silent) == []
    assert (door.counters.connections, door.counters.connections_opened) == (0, 1)
