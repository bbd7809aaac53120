"""The session that applications hold, over a real WebSocket."""

import asyncio
import gc
import logging
import socket
from typing import Any

import pytest

from heliograph.client import (
    ApplicationError,
    BadPayload,
    ClientOptions,
    ConnectFailed,
    ConnectionLost,
    Event,
    JoinRefused,
    RequestTimeout,
    Result,
    Session,
    connect,
)
from heliograph.wamp import messages as m
from heliograph.wamp.payload import PlainPayload
from tests.client.scripted_router import TIMEOUT_S, Peer, ScriptedRouter, eventually, obedient, refusing


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


HAS_IPV6 = _has_ipv6()


def silent_about(*kinds: type[m.Message]) -> Any:
    """A router that never answers messages of `kinds`."""

    def script(peer: Peer, message: m.Message) -> None:
        if not isinstance(message, kinds):
            obedient(peer, message)

    return script


def refusing_requests(uri: str, *args: Any) -> Any:
    """A router that answers every request but HELLO and GOODBYE with an error."""

    def script(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Hello | m.Goodbye):
            obedient(peer, message)
        else:
            code = m.code_of(type(message))
            peer.send(m.Error(code, message.request, {}, uri, PlainPayload(args)))  # type: ignore[attr-defined]  # a request

    return script


class Heard:
    """A handler that remembers its events and can be waited for."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._arrived = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._arrived.set()

    async def at_least(self, count: int) -> list[Event]:
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.events) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.events


# Joining and leaving


@pytest.mark.parametrize("name", ["json", "msgpack", "cbor"])
async def test_everything_works_in_each_serializer(router: ScriptedRouter, name: str) -> None:
    heard = Heard()
    async with connect(router.url, realm="com.example", serializers=(name,)) as session:
        assert session.is_joined
        assert session.session_id == 1
        await session.subscribe(heard, "a.topic")
        router.peer.send(router.event("a.topic", "ä", b"\x00\xff", publication=9, key=[1, None]))
        [event] = await heard.at_least(1)
        await session.publish("a.topic", 1, b"\x01", key="value")
        assert await session.publish_event("a.topic", [1], acknowledge=True) == 4711
        assert await session.call("a.procedure", {"deep": [1.5]}) == {"deep": [1.5]}
        registration = await session.register(lambda *_, **__: None, "a.procedure")
        await registration.unregister()
    assert (event.topic, event.publication, event.args, event.kwargs) == (
        "a.topic",
        9,
        ["ä", b"\x00\xff"],
        {"key": [1, None]},
    )
    assert router.peer.names() == [
        "Hello", "Subscribe", "Publish", "Publish", "Call", "Register", "Unregister", "Goodbye",
    ]  # fmt: skip
    published = router.peer.received[2]
    assert isinstance(published, m.Publish)
    assert published.payload == PlainPayload([1, b"\x01"], {"key": "value"})
    hello = router.peer.received[0]
    assert isinstance(hello, m.Hello)
    assert hello.realm == "com.example"


async def test_the_router_chooses_among_the_serializers_that_are_offered(router: ScriptedRouter) -> None:
    router.subprotocol = "wamp.2.msgpack"
    async with connect(router.url, serializers=("json", "msgpack")) as session:
        assert await session.call("a.b", 1) == 1
    assert router.upgrades[0].headers["sec-websocket-protocol"] == "wamp.2.json, wamp.2.msgpack"
    assert router.peer.serializer.name == "msgpack"


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
async def test_a_router_may_have_an_ipv6_address(router: ScriptedRouter) -> None:
    await router.stop()
    router.host, router.port = "::1", 0
    await router.start()
    async with connect(router.url) as session:
        assert await session.call("a.b", 1) == 1
    assert router.upgrades[0].headers["host"] == f"[::1]:{router.port}"


async def test_the_next_address_of_a_host_is_tried(router: ScriptedRouter) -> None:
    """`localhost` is ::1 first where there is IPv6, and the router listens on 127.0.0.1."""
    async with connect(router.url.replace("127.0.0.1", "localhost")) as session:
        assert await session.call("a.b", 1) == 1


async def test_more_headers_go_with_the_handshake(router: ScriptedRouter) -> None:
    async with connect(router.url, headers={"Cookie": "sid=1", "Origin": "http://example.org"}):
        pass
    headers = router.upgrades[0].headers
    assert (headers["cookie"], headers["origin"]) == ("sid=1", "http://example.org")


async def test_leaving_says_goodbye_and_closes(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        pass
    await eventually(router.peer.is_closed.wait())
    assert router.peer.names() == ["Hello", "Goodbye"]
    assert router.peer.close_code == 1000
    assert not session.is_joined
    assert session.session_id is None
    with pytest.raises(ConnectionLost):
        await session.publish("a.b")


async def test_an_exception_of_the_block_passes_unchanged_after_a_goodbye(router: ScriptedRouter) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with connect(router.url):
            raise LookupError("mine")
    assert router.peer.names() == ["Hello", "Goodbye"]


async def test_cancelling_the_block_says_goodbye(router: ScriptedRouter) -> None:
    joined = asyncio.Event()

    async def block() -> None:
        async with connect(router.url):
            joined.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await eventually(joined.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await eventually(task)
    assert task.cancelled()
    assert router.peer.names() == ["Hello", "Goodbye"]


async def test_an_exception_keeps_its_kind_when_the_connection_is_gone_meanwhile(
    router: ScriptedRouter,
) -> None:
    left = asyncio.Event()

    async def block() -> None:
        async with connect(router.url, reconnect=False) as session:
            session.on_leave(lambda _: left.set())
            router.peer.drop()
            await eventually(left.wait())
            raise LookupError

    with pytest.raises(LookupError):
        await block()


async def test_a_router_that_never_says_goodbye_holds_nobody_up(router: ScriptedRouter) -> None:
    router.script = silent_about(m.Goodbye)
    router.answers_close = False
    async with asyncio.timeout(TIMEOUT_S):
        async with connect(router.url, options=ClientOptions(close_timeout_s=0.05)):
            pass
    await eventually(router.peer.is_closed.wait())


@pytest.mark.parametrize("moment", ["upgrade", "welcome"])
async def test_cancelling_while_it_connects_leaves_no_socket_behind(moment: str) -> None:
    """A server that accepts and then says nothing, or nothing after the upgrade."""
    ended = asyncio.Event()
    reached = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reached.set()
        await reader.read()
        ended.set()
        writer.close()

    scripted = ScriptedRouter()
    scripted.script = lambda peer, message: reached.set()
    await scripted.start()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1] if moment == "upgrade" else scripted.port

    async def block() -> None:
        async with connect(f"ws://127.0.0.1:{port}/ws"):
            raise AssertionError("it cannot join")

    task = asyncio.create_task(block())
    await eventually(reached.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await eventually(task)
    await eventually(ended.wait() if moment == "upgrade" else scripted.peer.is_closed.wait())
    server.close()
    await scripted.stop()


# Refusals


async def test_a_realm_that_does_not_exist_is_raised_at_once(router: ScriptedRouter) -> None:
    router.script = refusing("wamp.error.no_such_realm", "no realm 'nowhere'")
    with pytest.raises(JoinRefused) as caught:
        async with connect(router.url, realm="nowhere", retry_first=True):
            pass
    assert caught.value.uri == "wamp.error.no_such_realm"
    assert str(caught.value) == "wamp.error.no_such_realm: no realm 'nowhere'"
    assert len(router.peers) == 1
    assert router.peer.names() == ["Hello"]


async def test_a_challenge_is_a_refusal_that_says_why(router: ScriptedRouter) -> None:
    router.script = lambda peer, message: (
        peer.send(m.Challenge("ticket", {})) if isinstance(message, m.Hello) else None
    )
    with pytest.raises(JoinRefused, match="ticket"):
        async with connect(router.url):
            pass


async def test_nobody_listening_is_raised_with_what_to_check(router: ScriptedRouter) -> None:
    await router.stop()
    with pytest.raises(
        ConnectFailed, match=r"nobody listens at ws://127\.0\.0\.1:\d+/ws: is the router running"
    ):
        async with connect(router.url):
            pass


async def test_a_router_that_does_not_answer_hello_is_given_up(router: ScriptedRouter) -> None:
    router.script = lambda peer, message: None
    with pytest.raises(ConnectionLost, match=r"did not answer HELLO within 0\.05 s"):
        async with connect(router.url, options=ClientOptions(join_timeout_s=0.05)):
            pass


async def test_a_server_that_does_not_answer_the_handshake_is_given_up() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectFailed, match=r"did not answer within 0\.05 s"):
        async with connect(f"ws://127.0.0.1:{port}/", options=ClientOptions(open_timeout_s=0.05)):
            pass
    await eventually(ended.wait())
    server.close()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP 404.*path"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "HTTP 403.*origin.*no"),
        (b"HTTP/1.1 301 Moved\r\nLocation: ws://elsewhere/\r\n\r\n", "HTTP 301"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200.*path"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak WAMP over WebSocket"),
        (b"\xff\xfe\r\n\r\n", "does not speak WAMP over WebSocket"),
        (b"", "closed the connection during the WebSocket handshake .is it wss://"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n", "closed the connection"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "does not speak",
        ),
        (b"X" * 100_000, "does not speak"),
    ],
    ids=["404", "403", "301", "503", "200", "ssh", "garbage", "nothing", "half", "no key", "endless header"],
)
async def test_what_is_no_router_is_told_by_its_answer(answer: bytes, says: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectFailed, match=says):
        async with connect(f"ws://127.0.0.1:{port}/ws"):
            pass
    server.close()


async def test_a_subprotocol_that_was_not_offered_is_refused(router: ScriptedRouter) -> None:
    router.subprotocol = "wamp.2.ubjson"
    with pytest.raises(ConnectFailed, match=r"chose the subprotocol 'wamp\.2\.ubjson'"):
        async with connect(router.url):
            pass


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1/ws", "is for a Publisher"),
        ("127.0.0.1:8080", "no URL of a router"),
        ("ws:///ws", "no URL of a router"),
        ("ws://joe:secret@127.0.0.1/ws", "not supported"),
        ("ws://127.0.0.1/ws#part", "fragment"),
        ("ws://127.0.0.1:99999/ws", "[Pp]ort"),
    ],
)
def test_a_wrong_url_is_refused_before_anything_is_tried_and_no_secret_is_shown(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        connect(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("serializers", [(), "json", ("ubjson",)])
def test_wrong_serializers_are_refused(serializers: Any) -> None:
    with pytest.raises(ValueError, match="serializer"):
        connect("ws://127.0.0.1/ws", serializers=serializers)


def test_a_realm_that_is_no_uri_is_refused() -> None:
    with pytest.raises(ValueError, match="realm"):
        connect("ws://127.0.0.1/ws", realm="my realm")


@pytest.mark.parametrize("wrong", [{"open_timeout_s": 0}, {"max_queued_events": -1}, {"ping_timeout_s": 11}])
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ClientOptions(**wrong)


# Publishing and calling


async def test_a_refused_acknowledged_publication_raises_the_routers_error(router: ScriptedRouter) -> None:
    router.script = refusing_requests("wamp.error.not_authorized", "not you")
    async with connect(router.url) as session:
        with pytest.raises(ApplicationError, match="not_authorized: not you"):
            await session.publish_event("a.b", acknowledge=True)


async def test_an_acknowledgement_that_does_not_come_is_a_timeout(router: ScriptedRouter) -> None:
    router.script = silent_about(m.Publish)
    async with connect(router.url, options=ClientOptions(request_timeout_s=0.05)) as session:
        with pytest.raises(RequestTimeout, match=r"publishing to a\.b"):
            await session.publish_event("a.b", acknowledge=True)
        assert isinstance(RequestTimeout(), TimeoutError)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "type"),
        (float("nan"), "nan"),
        ("\ud800", "surrogates"),
        ({(1, 2): 3}, "key"),
    ],
    ids=["object", "nan", "half a surrogate pair", "tuple as key"],
)
async def test_arguments_that_cannot_be_sent_are_refused_and_the_session_goes_on(
    router: ScriptedRouter, value: Any, says: str
) -> None:
    async with connect(router.url) as session:
        with pytest.raises(BadPayload, match=says):
            await session.publish("a.b", value)
        with pytest.raises(BadPayload, match=says):
            await session.call("a.b", key=value)
        assert await session.call("a.b", "still here") == "still here"
    call = router.peer.received[1]
    assert isinstance(call, m.Call)
    assert call.request == 1  # no number was wasted


@pytest.mark.parametrize("uri", ["", "a..b", "with space", "a.\ud800", "x" * 2000, "a#b"])
async def test_what_is_no_uri_is_refused_before_it_is_sent(router: ScriptedRouter, uri: str) -> None:
    async with connect(router.url) as session:
        for request in (
            session.publish(uri),
            session.call(uri),
            session.subscribe(print, uri),
            session.register(print, uri),
        ):
            with pytest.raises(ApplicationError, match="invalid_uri"):
                await request
    assert router.peer.names() == ["Hello", "Goodbye"]


@pytest.mark.parametrize(
    ("args", "kwargs", "value"),
    [
        ([], {}, None),
        ([None], {}, None),
        ([1], {}, 1),
        ([1, 2], {}, Result([1, 2])),
        ([], {"a": 1}, Result([], {"a": 1})),
        ([1], {"a": 1}, Result([1], {"a": 1})),
    ],
)
async def test_a_call_returns_the_value_or_everything_where_there_are_several(
    router: ScriptedRouter, args: list[Any], kwargs: dict[str, Any], value: Any
) -> None:
    async with connect(router.url) as session:
        assert await session.call("a.b", *args, **kwargs) == value
        assert await session.call_procedure("a.b", args, kwargs) == Result(args, kwargs)


async def test_a_failed_call_raises_the_callees_error(router: ScriptedRouter) -> None:
    router.script = refusing_requests("com.example.sold_out", "none left", 3)
    async with connect(router.url) as session:
        with pytest.raises(ApplicationError) as caught:
            await session.call("a.b")
    assert (caught.value.uri, caught.value.args_) == ("com.example.sold_out", ["none left", 3])


async def test_a_call_that_takes_too_long_is_a_timeout_and_its_late_result_is_ignored(
    router: ScriptedRouter,
) -> None:
    router.script = silent_about(m.Call)
    async with connect(router.url) as session:
        with pytest.raises(RequestTimeout, match=r"calling a\.b: no answer within 0\.02 s"):
            await session.call_procedure("a.b", timeout_s=0.02)
        assert len(session._protocol.requests) == 0  # nothing is kept for an answer that may never come
        router.peer.send(m.Result(1, m.ResultDetails()))
        router.script = obedient
        assert await session.call("a.b", 5) == 5


async def test_a_cancelled_call_leaves_the_session_well(router: ScriptedRouter) -> None:
    router.script = silent_about(m.Call)
    async with connect(router.url) as session:
        task = asyncio.create_task(session.call("a.b"))
        await router.until(lambda: "Call" in router.peer.names())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        router.peer.send(m.Result(1, m.ResultDetails()))
        router.script = obedient
        assert await session.call("a.b", 5) == 5


async def test_the_callers_own_timeout_is_not_taken_for_ours(router: ScriptedRouter) -> None:
    router.script = silent_about(m.Call)
    async with connect(router.url) as session:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.02):
                await session.call("a.b")
        assert not isinstance(caught.value, RequestTimeout)


async def test_a_result_that_cannot_be_read_is_an_error_of_the_call(router: ScriptedRouter) -> None:
    def script(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Call):
            peer.send_bytes(b'[50,%d,{},["\\u0000?"]]' % message.request)
        else:
            obedient(peer, message)

    router.script = script
    async with connect(router.url) as session:
        with pytest.raises(BadPayload, match="base64"):
            await session.call("a.b")


def unsent(session: Session) -> int:
    """Return how many bytes wait in this process."""
    link = session._connection._link
    assert link is not None
    assert link._transport is not None
    return link._transport.underlying_transport.get_write_buffer_size()


async def test_publishing_waits_while_too_much_is_unsent(router: ScriptedRouter) -> None:
    """A router that does not read: publishing blocks instead of filling memory, and goes on when it reads."""
    body, high_water = "x" * 100_000, 3_000_000
    async with connect(router.url, options=ClientOptions(write_high_water_bytes=high_water)) as session:
        server_side = router.peer.transport
        assert server_side is not None
        server_side.underlying_transport.pause_reading()
        done = 0

        async def flood() -> None:
            nonlocal done
            while True:
                await session.publish("a.b", body)
                done += 1

        task = asyncio.create_task(flood())
        async with asyncio.timeout(TIMEOUT_S):
            before = -1
            while before != done or done == 0:  # until a while passes without progress
                before = done
                await asyncio.sleep(0.05)
        assert not task.done()
        stuck_at = done
        assert high_water <= unsent(session) <= high_water + 2 * len(body)
        server_side.underlying_transport.resume_reading()
        await router.until(lambda: len(router.peer.received) > stuck_at + 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_publishing_that_waits_fails_when_the_connection_goes(router: ScriptedRouter) -> None:
    options = ClientOptions(write_high_water_bytes=1000)
    async with connect(router.url, reconnect=False, options=options) as session:
        server_side = router.peer.transport
        assert server_side is not None
        server_side.underlying_transport.pause_reading()

        async def flood() -> None:
            while True:
                await session.publish("a.b", "x" * 1_000_000)

        task = asyncio.create_task(flood())
        while not task.done() and session.is_joined:
            await asyncio.sleep(0.05)
            router.peer.drop()
        with pytest.raises(ConnectionLost):
            await eventually(task)


# Events


async def test_handlers_may_be_coroutine_functions_and_get_their_events_in_order(
    router: ScriptedRouter,
) -> None:
    heard = Heard()

    async def handler(event: Event) -> None:
        await asyncio.sleep(0)
        heard(event)

    async with connect(router.url) as session:
        await session.subscribe(handler, "a.b")
        router.peer.send(*(router.event("a.b", publication=number) for number in range(1, 101)))
        events = await heard.at_least(100)
    assert [event.publication for event in events] == list(range(1, 101))


async def test_an_event_of_a_pattern_tells_its_own_topic(router: ScriptedRouter) -> None:
    heard = Heard()
    async with connect(router.url) as session:
        await session.subscribe(heard, "a.", match="prefix")
        details = m.EventDetails(topic="a.precise")
        router.peer.send(m.Event(router.id_of("a."), 1, details))
        [event] = await heard.at_least(1)
    assert event.topic == "a.precise"
    subscribe = router.peer.received[1]
    assert isinstance(subscribe, m.Subscribe)
    assert subscribe.options.match == "prefix"


async def test_a_slow_handler_holds_up_neither_others_nor_calls_and_loses_its_oldest_events(
    router: ScriptedRouter, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()
    slow_saw, fast = Heard(), Heard()

    async def slow(event: Event) -> None:
        slow_saw(event)
        await release.wait()

    options = ClientOptions(max_queued_events=10)
    async with connect(router.url, options=options) as session:
        subscription = await session.subscribe(slow, "a.slow")
        await session.subscribe(fast, "a.fast")
        router.peer.send(router.event("a.slow", publication=1))
        router.peer.send(router.event("a.fast", publication=1))
        await fast.at_least(1)
        router.peer.send(*(router.event("a.slow", publication=number) for number in range(2, 32)))
        assert await session.call("a.b", 1) == 1
        assert subscription.dropped == 20
        release.set()
        events = await slow_saw.at_least(11)
    assert [event.publication for event in events] == [1, *range(22, 32)]
    assert sum("too slow" in record.message for record in caplog.records) == 1  # not once an event


async def test_a_handler_that_raises_is_logged_and_called_again(
    router: ScriptedRouter, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()

    def handler(event: Event) -> None:
        heard(event)
        if event.publication == 1:
            raise LookupError("in the handler")

    async with connect(router.url) as session:
        subscription = await session.subscribe(handler, "a.b")
        router.peer.send(router.event("a.b", publication=1), router.event("a.b", publication=2))
        await heard.at_least(2)
        assert subscription.failed == 1
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "a.b" in record.message


async def test_an_event_that_cannot_be_read_is_left_out_and_counted(router: ScriptedRouter) -> None:
    heard = Heard()
    async with connect(router.url) as session:
        subscription = await session.subscribe(heard, "a.b")
        router.peer.send_bytes(b'[36,%d,1,{},["\\u0000not base64"]]' % router.id_of("a.b"))
        router.peer.send(router.event("a.b", publication=2))
        [event] = await heard.at_least(1)
        assert event.publication == 2
        assert subscription.failed == 1


async def test_unsubscribing_ends_it_even_from_inside_the_handler(router: ScriptedRouter) -> None:
    saw, done = [], asyncio.Event()

    async def handler(event: Event) -> None:
        saw.append(event.publication)
        await subscription.unsubscribe()
        done.set()

    async with connect(router.url) as session:
        subscription = await session.subscribe(handler, "a.b")
        router.peer.send(router.event("a.b", publication=1), router.event("a.b", publication=2))
        await eventually(done.wait())
        await subscription.unsubscribe()  # once more does nothing
        assert not subscription.is_active
        router.peer.send(router.event("a.b", publication=3))
        await session.call("a.b")
    assert saw == [1]
    assert router.peer.names().count("Unsubscribe") == 1


async def test_a_refused_subscription_raises_the_routers_error(router: ScriptedRouter) -> None:
    router.script = refusing_requests("wamp.error.not_authorized")
    async with connect(router.url) as session:
        with pytest.raises(ApplicationError, match="not_authorized"):
            await session.subscribe(print, "a.b")
        with pytest.raises(ApplicationError, match="not_authorized"):
            await session.register(print, "a.b")


async def test_a_subscription_that_is_not_answered_is_a_timeout_and_is_given_back(
    router: ScriptedRouter,
) -> None:
    router.script = silent_about(m.Subscribe)
    async with connect(router.url, options=ClientOptions(request_timeout_s=0.05)) as session:
        with pytest.raises(RequestTimeout, match=r"subscribing to a\.b"):
            await session.subscribe(print, "a.b")
        router.peer.send(m.Subscribed(1, 5))
        await router.until(lambda: "Unsubscribe" in router.peer.names())


# Procedures


async def invoke(router: ScriptedRouter, procedure: str, *args: Any, **kwargs: Any) -> m.Message:
    """Let the router call `procedure` of the client; returns what it answers."""
    before = len(router.peer.received)
    request = router.next_id()
    details = m.InvocationDetails()
    payload = PlainPayload(args, kwargs)
    router.peer.send(m.Invocation(request, router.id_of(procedure), details, payload))
    await router.until(lambda: len(router.peer.received) > before)
    answer = router.peer.received[before]
    assert isinstance(answer, m.Yield | m.Error)
    assert answer.request == request
    return answer


async def test_functions_and_coroutine_functions_answer_calls(router: ScriptedRouter) -> None:
    async def greet(name: str, *, loud: bool) -> str:
        await asyncio.sleep(0)
        return f"hello {name}{'!' if loud else ''}"

    async with connect(router.url) as session:
        await session.register(greet, "a.greet")
        await session.register(lambda *args: sum(args), "a.sum")
        await session.register(lambda: None, "a.nothing")
        await session.register(lambda: Result([1, 2], {"three": 3}), "a.several")
        answers = [
            await invoke(router, "a.greet", "joe", loud=True),
            await invoke(router, "a.sum", 1, 2, 3),
            await invoke(router, "a.nothing"),
            await invoke(router, "a.several"),
        ]
    assert [answer.payload.decoded() for answer in answers if isinstance(answer, m.Yield)] == [
        (["hello joe!"], {}),
        ([6], {}),
        ([None], {}),
        ([1, 2], {"three": 3}),
    ]


async def test_calls_run_side_by_side(router: ScriptedRouter) -> None:
    both = asyncio.Barrier(2)

    async def meet() -> None:
        await both.wait()

    async with connect(router.url) as session:
        await session.register(meet, "a.meet")
        for request in (1, 2):
            router.peer.send(m.Invocation(request, router.id_of("a.meet"), m.InvocationDetails()))
        await router.until(lambda: router.peer.names().count("Yield") == 2)


async def failing_softly() -> None:
    await asyncio.sleep(0)
    raise ApplicationError("com.example.sold_out", "none left", stock=0)


def failing_hard() -> None:
    raise LookupError("where is it?")


def surrogate() -> None:
    raise LookupError("\ud800")


def failing_unsendably() -> None:
    raise ApplicationError("com.example.odd", object())


@pytest.mark.parametrize(
    ("function", "uri", "args", "kwargs", "is_logged"),
    [
        (failing_softly, "com.example.sold_out", ["none left"], {"stock": 0}, False),
        (failing_hard, "wamp.error.runtime_error", ["LookupError: where is it?"], {}, True),
        (surrogate, "wamp.error.runtime_error", ["LookupError: ?"], {}, True),
        (failing_unsendably, "com.example.odd", None, {}, True),
        (lambda: object(), "wamp.error.runtime_error", None, {}, True),
        (lambda missing: missing, "wamp.error.invalid_argument", None, {}, False),
    ],
    ids=[
        "its own error",
        "an exception",
        "unencodable text",
        "unencodable error",
        "unencodable result",
        "wrong arguments",
    ],
)
async def test_what_goes_wrong_in_a_function_becomes_the_callers_error(
    router: ScriptedRouter,
    caplog: pytest.LogCaptureFixture,
    function: Any,
    uri: str,
    args: list[Any] | None,
    kwargs: dict[str, Any],
    is_logged: bool,
) -> None:
    async with connect(router.url) as session:
        await session.register(function, "a.b")
        answer = await invoke(router, "a.b")
        assert await session.call("a.b", 1) == 1  # the session goes on
    assert isinstance(answer, m.Error)
    assert answer.error == uri
    sent_args, sent_kwargs = answer.payload.decoded()
    assert sent_kwargs == kwargs
    if args is not None:
        assert sent_args == args
    assert any(record.levelno == logging.ERROR for record in caplog.records) == is_logged


async def test_arguments_that_cannot_be_read_are_answered(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        await session.register(print, "a.b")
        router.peer.send_bytes(b'[68,1,%d,{},["\\u0000?"]]' % router.id_of("a.b"))
        await router.until(lambda: "Error" in router.peer.names())
    [answer] = [message for message in router.peer.received if isinstance(message, m.Error)]
    assert answer.error == "wamp.error.invalid_argument"


async def test_more_calls_than_may_run_are_refused_at_once(router: ScriptedRouter) -> None:
    release = asyncio.Event()
    async with connect(router.url, options=ClientOptions(max_running_calls=2)) as session:
        await session.register(release.wait, "a.wait")
        for request in (1, 2, 3):
            router.peer.send(m.Invocation(request, router.id_of("a.wait"), m.InvocationDetails()))
        await router.until(lambda: "Error" in router.peer.names())
        release.set()
        await router.until(lambda: router.peer.names().count("Yield") == 2)
    [refused] = [message for message in router.peer.received if isinstance(message, m.Error)]
    assert refused.request == 3
    assert "busy" in refused.payload.decoded()[0][0]


async def test_calls_that_run_when_the_session_ends_are_stopped(router: ScriptedRouter) -> None:
    stopped = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with connect(router.url) as session:
        await session.register(forever, "a.b")
        router.peer.send(m.Invocation(1, router.id_of("a.b"), m.InvocationDetails()))
        await session.call("a.b")
    assert stopped.is_set()


async def test_nothing_is_left_behind(router: ScriptedRouter) -> None:
    before = asyncio.all_tasks()
    async with connect(router.url) as session:
        await session.subscribe(print, "a.b")
        await session.register(print, "a.b")
    await eventually(router.peer.is_closed.wait())
    await router.until(lambda: True)
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    assert {task for task in asyncio.all_tasks() if not task.done()} <= before


async def test_who_publishes_without_a_pause_leaves_others_their_turn(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        others = asyncio.create_task(asyncio.sleep(0))
        for _ in range(1000):
            await session.publish("a.b")
            if others.done():
                break
        assert others.done()
