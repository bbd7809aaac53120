"""What a client does with a router that breaks the protocol below WAMP, or tries to make it big."""

import asyncio
from collections.abc import Callable

import pytest
from picows import WSMsgType

from heliograph.client import ClientOptions, HeliographError, connect
from heliograph.wamp import messages as m
from tests.client.scripted_router import Peer, ScriptedRouter, eventually

LIMIT = 10_000


def endless_fragments(peer: Peer) -> None:
    peer.send_bytes(b"[36", fin=False)
    for _ in range(LIMIT // 100 + 1):
        peer.send_bytes(b" " * 100, kind=WSMsgType.CONTINUATION, fin=False)


def reserved_bit(peer: Peer) -> None:
    assert peer.transport is not None
    peer.transport.send(WSMsgType.TEXT, b"[36]", rsv1=True)


def raw(data: bytes) -> Callable[[Peer], None]:
    def send(peer: Peer) -> None:
        assert peer.transport is not None
        peer.transport.underlying_transport.write(data)

    return send


HOSTILITIES: dict[str, tuple[Callable[[Peer], None], int, bool]] = {
    # what it does, the code of our CLOSE, whether an ABORT tells it
    "garbage": (lambda peer: peer.send_bytes(b"{nonsense"), 1002, True),
    "an empty message": (lambda peer: peer.send_bytes(b""), 1002, True),
    "an unknown code": (lambda peer: peer.send_bytes(b"[999]"), 1002, True),
    "a message too short": (lambda peer: peer.send_bytes(b"[36,1]"), 1002, True),
    "an id of zero": (lambda peer: peer.send_bytes(b"[33,0,0]"), 1002, True),
    "deep nesting": (lambda peer: peer.send_bytes(b"[36,1,1,{}," + b"[" * 5000), 1002, True),
    "a second welcome": (lambda peer: peer.send(m.Welcome(1, m.WelcomeDetails())), 1002, True),
    "bad UTF-8": (lambda peer: peer.send_bytes(b'[36,1,1,{},["\xff"]]'), 1007, False),
    "a binary message": (lambda peer: peer.send_bytes(b"[36]", kind=WSMsgType.BINARY), 1003, False),
    "a continuation of nothing": (
        lambda peer: peer.send_bytes(b"x", kind=WSMsgType.CONTINUATION),
        1002,
        False,
    ),
    "a reserved bit": (reserved_bit, 1002, False),
    "a message too large": (lambda peer: peer.send_bytes(b"[" + b" " * LIMIT), 1009, False),
    "endless fragments": (endless_fragments, 1009, False),
    "a masked frame": (raw(b"\x81\x82abcd[]"), 1002, False),
    "a frame said to be huge": (raw(b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), 1009, False),
    "a reserved opcode": (raw(b"\x83\x00"), 1002, False),
}


@pytest.mark.parametrize("hostility", HOSTILITIES)
async def test_a_hostile_router_is_left_with_the_right_code_and_joined_again(
    router: ScriptedRouter, hostility: str
) -> None:
    attack, code, is_aborted = HOSTILITIES[hostility]
    left: asyncio.Queue[HeliographError] = asyncio.Queue()
    rejoined = asyncio.Event()
    options = ClientOptions(max_message_bytes=LIMIT)
    async with connect(router.url, options=options, random=lambda: 0.0) as session:
        session.on_leave(left.put_nowait)
        session.on_join(rejoined.set)
        hostile = router.peer
        attack(hostile)
        await eventually(left.get())
        await eventually(rejoined.wait())
        await eventually(hostile.is_closed.wait())
        assert await session.call("a.b", "well") == "well"
        assert left.empty()
    assert hostile.close_code == code
    assert ("Abort" in hostile.names()) == is_aborted


async def test_a_router_that_does_not_close_is_cut_off(router: ScriptedRouter) -> None:
    router.answers_close = False
    rejoined = asyncio.Event()
    options = ClientOptions(close_timeout_s=0.05)
    async with connect(router.url, options=options, random=lambda: 0.0) as session:
        session.on_join(rejoined.set)
        hostile = router.peer
        hostile.send_bytes(b"{nonsense")
        await eventually(rejoined.wait())
        assert hostile.close_code == 1002
        assert hostile.is_closed.is_set()


async def test_a_fragmented_message_is_put_together(router: ScriptedRouter) -> None:
    heard: asyncio.Queue[object] = asyncio.Queue()
    async with connect(router.url) as session:
        await session.subscribe(heard.put_nowait, "a.b")
        whole = router.peer.serializer.encode(router.event("a.b", "ä" * 10))
        router.peer.send_bytes(whole[:20], fin=False)
        router.peer.send_bytes(b"", kind=WSMsgType.CONTINUATION, fin=False)
        router.peer.send_bytes(whole[20:41], kind=WSMsgType.CONTINUATION, fin=False)
        router.peer.send_bytes(whole[41:], kind=WSMsgType.CONTINUATION)
        event = await eventually(heard.get())
    assert event.args == ["ä" * 10]


async def test_a_message_up_to_the_limit_is_taken(router: ScriptedRouter) -> None:
    async with connect(router.url, options=ClientOptions(max_message_bytes=LIMIT)) as session:
        value = "x" * (LIMIT - 100)
        assert await session.call("a.b", value) == value


async def test_a_connection_that_ends_in_the_middle_of_a_message_is_joined_again(
    router: ScriptedRouter,
) -> None:
    rejoined = asyncio.Event()
    async with connect(router.url, random=lambda: 0.0) as session:
        session.on_join(rejoined.set)
        raw(b"\x81\x7e\x01\x00[36,")(router.peer)
        router.peer.drop()
        await eventually(rejoined.wait())
        assert await session.call("a.b", 1) == 1


async def test_a_close_code_of_the_applications_own_is_told(router: ScriptedRouter) -> None:
    left: asyncio.Queue[HeliographError] = asyncio.Queue()
    async with connect(router.url, reconnect=False) as session:
        session.on_leave(left.put_nowait)
        raw(b"\x88\x05\x10\x68bye")(router.peer)
        assert "4200 bye" in str(await eventually(left.get()))


async def test_a_flood_of_foreign_events_is_counted_and_nothing_else(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        for number in range(1, 1001):
            router.peer.send(m.Event(999, number, m.EventDetails()))
        await session.call("a.b")
        assert session.foreign_events == 1000
