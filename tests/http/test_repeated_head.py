"""A head that is known by its bytes: whatever comes behind it, answers are those of the parser, to the byte."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph import node as nodes
from heliograph.auth.principal import Principal
from heliograph.config import check
from heliograph.http.port import HttpPort
from heliograph.http.protocol import HEADS_TRIED, GuardedHttpProtocol
from heliograph.http.repeated_head import HEAD_BYTES, repeated_head
from heliograph.routing.session import Session
from heliograph.transports.turn import WORK_BUDGET
from heliograph.transports.websocket_format import WebSocketFormat
from heliograph.wamp.messages import Message, Subscribe, SubscribeOptions
from heliograph.wire.serializers import serializer
from tests.support.nodes import node_config, web_transport

TOPIC = "com.example.t"
BODY = b'{"topic":"com.example.t","args":[%d]}'
HEAD = b"POST /notify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %b\r\n\r\n"
LIMIT_BYTES = 65_536

SETTLED_TURNS = 40
"""Far more turns of the loop than the applications of all requests of one test take."""


class Wire(asyncio.Transport):
    """A client's end that takes what is written, unless it is told not to."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 8080), "peername": ("127.0.0.1", 50_000)})
        self.protocol: GuardedHttpProtocol
        self.written = b""
        self.writes = 0
        self.is_paused = False
        self.is_lost = False
        self._is_closing = False

    def write(self, data: Any) -> None:
        self.written += data
        self.writes += 1

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self._lost)

    abort = close

    def _lost(self) -> None:
        self.is_lost = True
        self.protocol.connection_lost(None)

    @property
    def answers(self) -> bytes:
        return re.sub(rb"date: [^\r]*", b"date: D", self.written)


class Listener:
    """A subscriber that keeps what it is sent."""

    wire_format = WebSocketFormat(serializer("json"))

    def __init__(self) -> None:
        self.outbox: list[bytes] = []
        self.frames: list[bytes] = []

    def send(self, message: Message) -> None:
        """Take SUBSCRIBED; events come through the outbox."""

    def flush(self) -> int:
        self.frames += self.outbox
        self.outbox.clear()
        return 1

    def close(self) -> None: ...
    def left(self) -> None: ...
    def hold(self) -> None: ...
    def release(self) -> None: ...

    @property
    def has_room(self) -> bool:
        return True

    def when_room(self, callback: Callable[[], None]) -> None:
        callback()


class Router:
    """A node that listens nowhere, whose ids count up; its connections are made by hand."""

    def __init__(self, **options: Any) -> None:
        self.ids = itertools.count(1)
        checked = check(node_config(web_transport(**options)), node_directory=Path("/nonexistent"))
        assert checked.options is not None, checked.problems
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nodes, "_random_ids", lambda: self.ids.__next__)
            self.node = nodes.Node(checked.options, node_directory=Path("/nonexistent"))
        self.node._started_at = 0
        (self.http,) = [part for part in self.node._ports[0].others if isinstance(part, HttpPort)]
        self.listener = Listener()
        router = self.node._routers[0][1]
        session, realm = Session(router, self.listener), router.realm("realm1")
        principal = Principal(authid="x", authrole="anonymous", authmethod="anonymous", authprovider="static")
        session.attach(realm, principal, realm.role("anonymous"))
        session.receive(Subscribe(1, SubscribeOptions(), TOPIC))

    def connection(self, *, knows_heads: bool = True) -> Wire:
        wire = Wire()
        wire.protocol = self.http.http(head_due_s=None)
        if not knows_heads:
            wire.protocol._heads_to_try = 0
        wire.protocol.connection_made(wire)
        return wire

    async def settle(self) -> None:
        """Let everything end that waits for nothing but the turns of the loop."""
        left = SETTLED_TURNS
        while left:
            await asyncio.sleep(0)
            left = SETTLED_TURNS if self.node._turn._is_end_scheduled else left - 1

    @property
    def counted(self) -> list[tuple[str, object, float]]:
        return [(metric.name, metric.labels, metric.value) for metric in self.node.metrics()]

    async def end(self) -> None:
        await self.http.drain(1)
        await asyncio.sleep(0)


class NotAsked:
    """A parser that must not be needed."""

    def feed_data(self, data: bytes) -> None:
        raise AssertionError(f"the parser was given {data!r}")


def post(number: int, *, length: bytes | None = None, head: bytes = HEAD) -> bytes:
    body = BODY % number
    return head % (length or b"%d" % len(body)) + body


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    router = Router()
    yield router
    await router.end()


class TestKnown:
    async def test_a_head_needs_no_parser_from_its_second_request_on(self, router: Router) -> None:
        wire = router.connection()
        wire.protocol.data_received(post(1))
        wire.protocol.parser = NotAsked()
        for number in (2, 34_567):
            wire.protocol.data_received(post(number))
        await router.settle()
        assert wire.answers.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert [frame.rpartition(b",")[2] for frame in router.listener.frames] == [
            b"[1]]",
            b"[2]]",
            b"[34567]]",
        ]

    async def test_requests_of_one_segment_are_answered_in_one_write(self, router: Router) -> None:
        wire = router.connection()
        wire.protocol.data_received(post(1))
        wire.protocol.parser = NotAsked()
        wire.protocol.data_received(post(2) * 10)
        assert (wire.writes, wire.answers.count(b"HTTP/1.1 200 OK\r\n")) == (2, 11)

    async def test_it_is_known_behind_others_and_with_any_body(self, router: Router) -> None:
        wire = router.connection()
        wire.protocol.data_received(b"GET /notify HTTP/1.1\r\nHost: a\r\n\r\n")
        wire.protocol.data_received(post(1))
        wire.protocol.parser = NotAsked()
        for body, status in ((b"", 400), (b"[]", 200), (b"\xff", 400), (BODY % 1, 200)):
            wire.written = b""
            wire.protocol.data_received(HEAD % b"%d" % len(body) + body)
            await router.settle()
            assert wire.written.startswith(b"HTTP/1.1 %d " % status), body

    async def test_it_is_that_of_the_first_request_of_a_segment(self, router: Router) -> None:
        wire = router.connection()
        call = b'{"procedure":"com.example.none"}'
        to_call = HEAD.replace(b"/notify", b"/call") % b"%d" % len(call) + call
        wire.protocol.data_received(HEAD.replace(b"/notify", b"/call") % b"1" + b"{" + post(1))
        wire.protocol.data_received(to_call)
        await router.settle()
        assert wire.written.endswith(
            b"wamp.error.no_such_procedure" + wire.written.rpartition(b"procedure")[2]
        )

    async def test_nothing_else_of_a_segment_is_kept(self, router: Router) -> None:
        wire = router.connection()
        for segment in (post(1), post(2) + b"POST", post(3)[4:] + b"\r\n"):
            wire.protocol.data_received(segment)
            assert wire.protocol._fresh is None

    async def test_an_empty_line_between_requests_is_the_parsers(self, router: Router) -> None:
        wire = router.connection()
        for _ in range(3):
            wire.protocol.data_received(post(1))
            wire.protocol.data_received(b"\r\n")
            assert wire.protocol._unparsed_bytes == 2
        assert wire.answers.count(b"HTTP/1.1 200 OK\r\n") == 3

    async def test_a_long_body_costs_more_of_a_turn(self, router: Router) -> None:
        def cost() -> int:
            before = router.node._turn._work_left
            wire.protocol.data_received(HEAD % b"%d" % len(body) + body)
            return before - router.node._turn._work_left

        wire = router.connection()
        body = BODY.replace(b"%d", b'"%b"' % (b"a" * 9000))
        parsed = cost()
        wire.protocol.parser = NotAsked()
        assert cost() == parsed > 3

    async def test_nothing_is_served_on_a_connection_that_ends(self, router: Router) -> None:
        wire = router.connection()
        wire.protocol.data_received(post(1))
        wire.close()
        wire.protocol.data_received(post(2))
        await router.settle()
        assert len(router.listener.frames) == 1

    async def test_a_client_that_sends_ever_new_heads_is_not_believed_to_repeat_one(
        self, router: Router
    ) -> None:
        wire = router.connection()
        for number in range(HEADS_TRIED + 1):
            wire.protocol.data_received(post(1, head=HEAD.replace(b"Host: a", b"Host: a%d" % number)))
        assert wire.protocol._repeated is not None
        assert b"Host: a%d\r\n" % (HEADS_TRIED - 1) in wire.protocol._repeated.before


UNKNOWN = {
    "another version": HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "the last request": HEAD.replace(b"Host: a", b"Host: a\r\nConnection: close"),
    "an upgrade": HEAD.replace(b"Host: a", b"Host: a\r\nConnection: upgrade\r\nUpgrade: h2c"),
    "an answer before the body": HEAD.replace(b"Host: a", b"Host: a\r\nExpect: 100-continue"),
    "a long head": HEAD.replace(b"Host: a", b"Host: " + b"a" * HEAD_BYTES),
    "a number that cannot be cut out": HEAD.replace(b"%b\r\n", b"%b \r\n"),
    "an empty line before": b"\r\n" + HEAD,
    "a refusal": HEAD.replace(b"json", b"xml"),
    "another service": HEAD.replace(b"/notify", b"/metrics"),
}


class TestNotKnown:
    @pytest.mark.parametrize("head", UNKNOWN.values(), ids=UNKNOWN)
    async def test_is_a_head_that_does_not_stand_for_itself(self, router: Router, head: bytes) -> None:
        wire = router.connection()
        wire.protocol.data_received(post(1, head=head))
        await router.settle()
        assert wire.written
        assert wire.protocol._repeated is None

    async def test_is_a_chunked_body(self, router: Router) -> None:
        wire = router.connection()
        head = b"POST /notify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        wire.protocol.data_received(head + b"25\r\n" + BODY % 10 + b"\r\n0\r\n\r\n")
        assert b"200 OK" in wire.written
        assert wire.protocol._repeated is None

    async def test_is_a_head_that_longer_digits_would_make_too_large(self) -> None:
        router = Router(max_header_bytes=1024)
        padding = b"a" * (1024 - len(HEAD) - 3)
        wire = router.connection()
        wire.protocol.data_received(post(1, head=HEAD.replace(b"Host: a", b"Host: " + padding)))
        assert wire.written.startswith(b"HTTP/1.1 200 ")
        assert wire.protocol._repeated is None
        await router.end()

    async def test_is_a_head_with_two_lengths_though_the_parser_took_it(self, router: Router) -> None:
        wire = router.connection()
        wire.protocol.data_received(post(1))
        request = wire.protocol.cycle
        head = HEAD.replace(b"Host: a", b"Content-Length: 36") % b"36"
        request.head.headers = [
            (b"content-length", b"36"),
            (b"content-type", b"x"),
            (b"content-length", b"36"),
        ]
        assert repeated_head(head, request, most_bytes=HEAD_BYTES) is None


# All that may stand where the length does, and heads that are nearly the known one.
ODD_LENGTHS = [
    *(
        b"",
        b"0",
        b"5",
        b"037",
        b"0000037",
        b"00000037",
        b"+37",
        b" 37",
        b"37 ",
        b"37, 37",
        b"-1",
        b"37\r\nX: 1",
    ),
    *(b"37\r\nX-Other: 12345678901234567890", b"0x25", b"3_7", b"1e1", b"65537", b"9999999"),
    *(b"99999999999999999999", b"37\r\nContent-Length: 37", b"37\r\nTransfer-Encoding: chunked"),
    *(b"37\r\nConnection: close", b"37\r\nExpect: 100-continue", b"37\n", b"\xb2"),
]
LENGTHS = st.sampled_from([None] * 4 + ODD_LENGTHS)
HEADS = st.sampled_from(
    [
        *(HEAD, HEAD, b"\r\n" + HEAD),
        HEAD.replace(b"Content-Length: ", b"content-length:"),
        HEAD.replace(b"Host: a", b"Host: a\r\nX-Content-Length: 3\r\nOrigin: http://a"),
        HEAD.replace(b"Host: a", b"Host: a\r\nOrigin: http://elsewhere.example"),
        HEAD.replace(b"json", b"x-ndjson"),
        *(HEAD.replace(b"POST", method) for method in (b"PUT", b"OPTIONS", b"HEAD")),
        *(HEAD.replace(b"/notify", target) for target in (b"/notify/?a=b", b"/call", b"/metrics")),
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HEAD.replace(b"Host: a", b"Host: a\r\nConnection: upgrade\r\nUpgrade: websocket"),
        *(HEAD.replace(b"Host: a\r\n", host) for host in (b"", b"Host: a b\r\n", b"Host: a\r\nHost: a\r\n")),
        HEAD.replace(b" /notify", b" http://a/notify").replace(b"Host: a", b"Host: b\r\nOrigin: http://a"),
    ]
)
BODIES = st.sampled_from(
    [
        *(BODY % 1, BODY % 123_456, BODY.replace(b"%d", b'"\\r\\n"'), BODY % 1 + b"\r\n"),
        *(
            b"",
            b"{",
            b"\xff",
            b"[]",
            b'[{"topic":"com.example.t"}]',
            b'{"topic":""}',
            b" " * LIMIT_BYTES + b"{",
        ),
        *(post(7), post(7, length=b"5")),
    ]
)
USUAL = st.one_of(
    st.integers(0, 10_000).map(post),
    st.builds(lambda body: HEAD % b"%d" % len(body) + body, BODIES),
)
OTHERS = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST ",
        HEAD % b"3",
    ]
)


@st.composite
def unusual(draw: st.DrawFn) -> bytes:
    body = draw(BODIES)
    length = draw(LENGTHS)
    return draw(HEADS) % (b"%d" % len(body) if length is None else length) + body


@st.composite
def segments(draw: st.DrawFn) -> list[tuple[bytes, bool]]:
    """Return requests, most of which begin alike, cut anywhere; and whether time passes behind each piece."""
    parts = [post(0)]
    for _ in range(2):
        parts += draw(st.lists(USUAL, min_size=2, max_size=6))
        parts.append(draw(st.one_of(unusual(), OTHERS)))
    parts += draw(st.lists(USUAL, min_size=1, max_size=2))
    pieces: list[bytes] = [b""]
    for part in parts:
        cut = draw(
            st.sampled_from([0, 0, 0, len(part), *draw(st.lists(st.integers(0, len(part)), max_size=1))])
        )
        pieces[-1] += part[:cut]
        if cut < len(part):
            pieces.append(part[cut:])
    return [(piece, draw(st.booleans())) for piece in pieces if piece]


async def conversation(
    pieces: list[tuple[bytes, bool]], *, knows_heads: bool, budget: int, stops_reading_at: int | None
) -> list[Any]:
    """Return what can be seen of a connection after each piece."""
    router = Router()
    the_turn = router.node._turn
    the_turn.work_budget = the_turn._work_left = budget
    spent: list[int] = []
    spend = the_turn.spend
    the_turn.spend = lambda units: (spent.append(units), spend(units))  # type: ignore[method-assign,assignment]
    wire = router.connection(knows_heads=knows_heads)
    protocol = wire.protocol
    seen: list[Any] = []
    unread = b""
    for number, (piece, time_passes) in enumerate(pieces):
        if number == stops_reading_at:
            protocol.pause_writing()
        unread += piece
        if not wire.is_paused and not wire.is_lost:
            protocol.data_received(unread)
            unread = b""
        seen.append((wire.answers, wire.is_paused))
        if time_passes:
            await router.settle()
            protocol.resume_writing()
            await router.settle()
        seen.append(
            (
                wire.answers,
                wire.is_paused,
                wire.is_closing(),
                protocol._head_timer is None,
                protocol._idle_since is None,
                protocol.timeout_keep_alive_task is None,
                protocol.server_state.total_requests,
                sum(spent),
                list(router.listener.frames),
                router.counted,
            )
        )
    await router.end()
    return seen


@pytest.mark.parametrize("length", ODD_LENGTHS)
def test_odd_lengths_are_told_from_others_as_the_parser_does(length: bytes) -> None:
    def seen(*, knows_heads: bool) -> list[Any]:
        pieces = [(post(1), True), (post(12, length=length), True), (post(3), True)]
        return asyncio.run(
            conversation(pieces, knows_heads=knows_heads, budget=WORK_BUDGET, stops_reading_at=None)
        )

    assert seen(knows_heads=True) == seen(knows_heads=False)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    pieces=segments(),
    budget=st.sampled_from([WORK_BUDGET, WORK_BUDGET, WORK_BUDGET, 1, 2, 9]),
    stops_reading_at=st.sampled_from([None, None, None, 1, 2, 3]),
)
def test_nobody_can_tell_a_known_head_from_one_that_is_parsed(
    pieces: list[tuple[bytes, bool]], budget: int, stops_reading_at: int | None
) -> None:
    def seen(*, knows_heads: bool) -> list[Any]:
        return asyncio.run(
            conversation(pieces, knows_heads=knows_heads, budget=budget, stops_reading_at=stops_reading_at)
        )

    assert seen(knows_heads=True) == seen(knows_heads=False)
