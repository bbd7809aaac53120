"""The client over RawSocket, by TCP and by a Unix socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from heliograph.client import (
    BadPayload,
    ClientOptions,
    ConnectFailed,
    ConnectionLost,
    HeliographError,
    Session,
    connect,
)
from heliograph.wamp import messages as m
from heliograph.wire.rawsocket import MESSAGE, PING, HandshakeError, frame, handshake, handshake_error
from tests.client.scripted_rawsocket import RawPeer, ScriptedRawRouter
from tests.client.scripted_router import eventually, obedient

AT_ONCE: dict[str, Any] = {"random": lambda: 0.0}

HAS_UNIX = hasattr(socket, "AF_UNIX")


@pytest.fixture(
    params=["tcp", pytest.param("unix", marks=pytest.mark.skipif(not HAS_UNIX, reason="no Unix sockets"))]
)
async def router(request: pytest.FixtureRequest) -> AsyncIterator[ScriptedRawRouter]:
    scripted = ScriptedRawRouter(is_unix=request.param == "unix")
    await scripted.start()
    try:
        yield scripted
    finally:
        await scripted.stop()


def peer_of(router: ScriptedRawRouter) -> RawPeer:
    peer: Any = router.peer
    assert isinstance(peer, RawPeer)
    return peer


# Conversations


@pytest.mark.parametrize("name", ["json", "msgpack", "cbor"])
async def test_everything_works_in_each_serializer(router: ScriptedRawRouter, name: str) -> None:
    async with connect(router.url, serializers=(name,)) as session:
        async with session.events("a.topic") as events:
            router.peer.send(router.event("a.topic", "ä", b"\x00\xff", key=[1, None]))
            event = await eventually(events.next())
            assert (event.args, event.kwargs) == (["ä", b"\x00\xff"], {"key": [1, None]})
        assert await session.publish_event("a.topic", [1], acknowledge=True) == 4711
        assert await session.call("a.procedure", {"deep": [1.5]}) == {"deep": [1.5]}
        await (await session.register(print, "a.procedure")).unregister()
    peer = peer_of(router)
    assert peer.handshake == handshake(name, 2**24)
    assert peer.names()[-1] == "Goodbye"
    await eventually(peer.is_closed.wait())


async def test_the_next_serializer_is_tried_where_the_router_does_not_speak_the_first(
    router: ScriptedRawRouter,
) -> None:
    def answer(octets: bytes) -> bytes:
        if octets[1] & 15 == 2:
            return handshake_error(HandshakeError.SERIALIZER_UNSUPPORTED)
        return handshake("json", 2**20)

    router.answer = answer
    async with connect(router.url, serializers=("msgpack", "json")) as session:
        assert await session.call("a.b", 1) == 1
    assert len(router.peers) == 2


async def test_a_connection_that_is_lost_is_joined_again(router: ScriptedRawRouter) -> None:
    back = asyncio.Event()
    async with connect(router.url, **AT_ONCE) as session, session.events("a.b") as events:
        session.on_rejoin(lambda _: back.set())
        router.peer.drop()
        await eventually(back.wait())
        router.peer.send(router.event("a.b", 1))
        assert (await eventually(events.next())).args == [1]


async def test_a_slow_router_holds_up_the_publisher(router: ScriptedRawRouter) -> None:
    options = ClientOptions(write_high_water_bytes=1000, close_timeout_s=0.1)
    async with connect(router.url, options=options) as session:
        peer = peer_of(router)
        assert peer.transport is not None
        peer.transport.pause_reading()

        async def flood() -> None:
            while True:
                await session.publish("a.b", "x" * 100_000)

        task = asyncio.create_task(flood())
        link: Any = session._connection._link
        async with asyncio.timeout(10):
            while link.is_writable:  # noqa: ASYNC110 - nothing announces that the kernel's buffers are full
                await asyncio.sleep(0.001)
        for _ in range(100):
            await asyncio.sleep(0)
        assert link._transport.get_write_buffer_size() < 300_000
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# Limits


async def test_a_message_above_the_routers_limit_is_refused_and_the_session_goes_on(
    router: ScriptedRawRouter,
) -> None:
    router.limit_bytes = 4000  # announced as 2048
    large = "x" * 3000
    async with connect(router.url) as session:
        with pytest.raises(BadPayload, match="takes 2048"):
            await session.publish("a.b", large)
        with pytest.raises(BadPayload, match="takes 2048"):
            await session.call("a.b", large)
        await session.register(lambda: large, "a.b")
        router.peer.send(m.Invocation(1, router.id_of("a.b"), m.InvocationDetails()))
        await router.until(lambda: "Error" in router.peer.names())
        assert await session.call("a.b", 1) == 1


async def test_a_router_that_does_not_even_take_a_hello_is_not_joined(router: ScriptedRawRouter) -> None:
    router.limit_bytes = 512
    with pytest.raises(ConnectFailed, match="HELLO"):
        async with connect(router.url, retry_first=True):
            pass


async def test_the_limit_of_this_side_is_announced(router: ScriptedRawRouter) -> None:
    async with connect(router.url, options=ClientOptions(max_message_bytes=5000)) as session:
        assert peer_of(router).handshake[1] >> 4 == 3  # 2 ** (9 + 3) is the largest that is not above
        assert await session.call("a.b", "x" * 4000) == "x" * 4000


# Pings


async def test_a_ping_of_the_router_is_answered(router: ScriptedRawRouter) -> None:
    async with connect(router.url) as session:
        peer_of(router).send_frame(PING, b"payload")
        await router.until(lambda: peer_of(router).pongs)
        assert peer_of(router).pongs == [b"payload"]
        assert await session.call("a.b", 1) == 1


async def test_a_router_that_vanishes_is_noticed_by_its_missing_pong(router: ScriptedRawRouter) -> None:
    router.answers_ping = False
    left: asyncio.Queue[HeliographError] = asyncio.Queue()
    options = ClientOptions(ping_interval_s=0.05, ping_timeout_s=0.05)
    async with connect(router.url, reconnect=False, options=options) as session:
        session.on_leave(left.put_nowait)
        assert "has not answered a ping within 0.05 s" in str(await eventually(left.get()))
    assert peer_of(router).pings == 1


async def test_a_router_that_answers_is_pinged_on(router: ScriptedRawRouter) -> None:
    options = ClientOptions(ping_interval_s=0.02, ping_timeout_s=0.02)
    async with connect(router.url, options=options) as session:
        await router.until(lambda: peer_of(router).pings >= 3)
        assert session.joins == 1


# Handshakes that fail


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (handshake_error(HandshakeError.SERIALIZER_UNSUPPORTED), "speaks none of the serializers"),
        (handshake_error(HandshakeError.LENGTH_UNACCEPTABLE), "length"),
        (handshake_error(HandshakeError.RESERVED_BITS_USED), "another form"),
        (handshake_error(HandshakeError.TOO_MANY_CONNECTIONS), "as many connections"),
        (b"\x7f\xf0\x00\x00", "no name: 15"),
        (handshake("msgpack", 2**20), "does not speak WAMP over RawSocket"),
        (b"\x7f\x01\x00\x01", "does not speak WAMP over RawSocket"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "does not speak WAMP over RawSocket: it answers like HTTP: is it ws:",
        ),
    ],
)
async def test_a_handshake_that_fails_says_why(
    router: ScriptedRawRouter, answer: bytes, complaint: str
) -> None:
    router.answer = lambda _: answer
    with pytest.raises(ConnectFailed, match=complaint) as caught:
        async with connect(router.url):
            pass
    assert caught.value.is_temporary == ("as many" in complaint)
    await eventually(peer_of(router).is_closed.wait())


async def test_a_router_that_never_answers_is_given_up_in_time(router: ScriptedRawRouter) -> None:
    router.answer = lambda _: b"\x7f"
    with pytest.raises(ConnectFailed, match=r"did not answer within 0\.05 s"):
        async with connect(router.url, options=ClientOptions(open_timeout_s=0.05)):
            pass
    await eventually(peer_of(router).is_closed.wait())


async def test_a_router_that_closes_at_once_is_no_router(router: ScriptedRawRouter) -> None:
    def answer(_: bytes) -> bytes:
        peer = peer_of(router)
        assert peer.transport is not None
        peer.transport.close()
        return b""

    router.answer = answer
    with pytest.raises(ConnectFailed, match="connection was closed"):
        async with connect(router.url):
            pass


async def test_nobody_listens(router: ScriptedRawRouter) -> None:
    await router.stop()
    with pytest.raises(ConnectFailed, match="nobody listens"):
        async with connect(router.url):
            pass


async def test_rawsocket_has_no_headers(router: ScriptedRawRouter) -> None:
    with pytest.raises(ConnectFailed, match="headers"):
        async with connect(router.url, headers={"X-A": "b"}):
            pass


# Routers that break the protocol

HOSTILITIES: dict[str, Callable[[RawPeer], None]] = {
    "a reserved type": lambda peer: peer.write(b"\x03\x00\x00\x00"),
    "a reserved bit": lambda peer: peer.write(b"\x10\x00\x00\x02[]"),
    "a frame said to be longer than announced": lambda peer: peer.write(b"\x00\x00\xff\xff"),
    "garbage": lambda peer: peer.send_frame(MESSAGE, b"{nonsense"),
    "an empty message": lambda peer: peer.send_frame(MESSAGE, b""),
    "a second welcome": lambda peer: peer.send(m.Welcome(1, m.WelcomeDetails())),
    "an answer to nothing": lambda peer: peer.send(m.Published(99, 1)),
    "progress of nothing": lambda peer: peer.send(m.Result(99, m.ResultDetails(progress=True))),
}


@pytest.mark.parametrize("hostility", HOSTILITIES)
async def test_a_hostile_router_is_told_and_joined_again(router: ScriptedRawRouter, hostility: str) -> None:
    left: asyncio.Queue[HeliographError] = asyncio.Queue()
    back = asyncio.Event()
    async with connect(router.url, options=ClientOptions(max_message_bytes=4096), **AT_ONCE) as session:
        session.on_leave(left.put_nowait)
        session.on_join(back.set)
        hostile = peer_of(router)
        HOSTILITIES[hostility](hostile)
        assert isinstance(await eventually(left.get()), ConnectionLost)
        await eventually(back.wait())
        await eventually(hostile.is_closed.wait())
        assert await session.call("a.b", 1) == 1
    assert hostile.names()[-1] == "Abort"


async def test_a_ping_whose_pong_the_router_would_not_take_is_a_violation(router: ScriptedRawRouter) -> None:
    router.limit_bytes = 2048
    left: asyncio.Queue[HeliographError] = asyncio.Queue()
    async with connect(router.url, reconnect=False) as session:
        session.on_leave(left.put_nowait)
        peer_of(router).send_frame(PING, b"x" * 2049)
        assert "PING" in str(await eventually(left.get()))


async def test_a_router_that_speaks_first_is_none(router: ScriptedRawRouter) -> None:
    router.answer = lambda octets: handshake("json", 2**20) + frame(MESSAGE, b"[2,1,{}]")
    with pytest.raises((ConnectFailed, ConnectionLost)):
        async with connect(router.url):
            pass


async def test_a_router_that_does_not_close_is_cut_off(router: ScriptedRawRouter) -> None:
    router.answers_close = False
    async with connect(router.url, options=ClientOptions(close_timeout_s=0.05)) as session:
        assert await session.call("a.b", 1) == 1
    router.peer.drop()  # it would not notice for itself


async def test_a_defect_in_receiving_is_not_swallowed(router: ScriptedRawRouter) -> None:
    async def block() -> None:
        async with connect(router.url) as session:
            defective(session)
            router.peer.send(router.event("a.b"))
            await asyncio.Event().wait()

    def defective(session: Session) -> None:
        def receive(_: Any) -> None:
            raise LookupError("a defect of ours")

        session._protocol.receive = receive  # type: ignore[method-assign]  # a defect, for once on purpose

    with pytest.raises(BaseExceptionGroup) as caught:
        await eventually(block())
    assert caught.group_contains(LookupError, match="a defect of ours")


async def test_a_system_without_unix_sockets_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as windows:
        windows.delattr(socket, "AF_UNIX", raising=False)
        with pytest.raises(ConnectFailed, match="no Unix sockets") as caught:
            async with connect("unix:/run/router.sock"):
                pass
    assert not caught.value.is_temporary


def quiet(peer: Any, message: m.Message) -> None:
    """A router that never says goodbye."""
    if not isinstance(message, m.Goodbye):
        obedient(peer, message)


async def test_a_router_that_never_says_goodbye_does_not_hold_the_session(router: ScriptedRawRouter) -> None:
    router.script = quiet
    async with connect(router.url, options=ClientOptions(close_timeout_s=0.05)) as session:
        assert await session.call("a.b", 1) == 1
    await eventually(peer_of(router).is_closed.wait())
