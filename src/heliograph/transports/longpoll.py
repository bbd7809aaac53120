"""WAMP over HTTP long-poll: sessions whose messages are posted and fetched; the HTTP around it is another room's."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, takewhile

from msgspec import Struct

from heliograph.auth.facts import ConnectionFacts
from heliograph.routing.router import Router
from heliograph.routing.session import State
from heliograph.transports.connection import CONNECTION_SLOTS, Connection, Parcel
from heliograph.transports.connection_service import ConnectionLimits, ConnectionService
from heliograph.transports.cookies import cookie_tracking
from heliograph.transports.counters import TransportCounters
from heliograph.transports.deliverer import WireFormat
from heliograph.transports.no_socket import NoSocket
from heliograph.transports.options import LongPollPathOptions
from heliograph.transports.sending import MANY_MESSAGES, End
from heliograph.transports.turn import Turn
from heliograph.transports.websocket_format import BATCH_BYTES, MessageFormat
from heliograph.transports.websocket_negotiation import subprotocols_of
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wire.batched import BatchError, Batching, batching
from heliograph.wire.serializers import serializer
from heliograph.wire.serializers.serializer import Serializer

_ID_BYTES = 32
"""Whoever knows a session's id speaks for it."""


class PollRefused(Exception):  # noqa: N818 - says what happened, not that something is broken
    """A request of a client that is not served.

    Args:
        status: of the HTTP answer.
        text: what the client should do.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


class Form(Struct, frozen=True, eq=False):
    """How messages look under one subprotocol.

    Attributes:
        serializer: of each.
        batching: how several stand in one body; None when each body is one.
        wire_format: of what waits to be fetched.
    """

    serializer: Serializer
    batching: Batching | None
    wire_format: WireFormat

    @property
    def content_type(self) -> str:
        """The media type of a body."""
        if self.serializer.is_binary:
            return "application/octet-stream"
        return "application/json; charset=utf-8" if self.batching is None else "text/plain; charset=utf-8"


class LongPollService(ConnectionService):
    """The long-poll sessions of one path.

    Args:
        options: formats, checks and limits.
        router: where sessions join.
        turn: the current turn of the loop.
        counters: where messages are counted.
        loop: the event loop.
    """

    def __init__(
        self,
        options: LongPollPathOptions,
        *,
        router: Router,
        turn: Turn,
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        limits = ConnectionLimits(
            outbox_bytes=options.options.queue_limit_bytes,
            outbox_policy="disconnect",
            hello_timeout_s=options.hello.hello_timeout_s,
            # What was said last waits as long to be fetched as anything else.
            close_timeout_s=options.options.session_timeout_s,
            ping_interval_s=None,
            ping_timeout_s=options.options.session_timeout_s,
            ping_bytes=0,
            client_timeout_s=options.options.session_timeout_s,
        )
        super().__init__(limits, options, router=router, turn=turn, counters=counters, loop=loop)
        self.options = options
        self._forms = {name: _form(*parts) for name, parts in subprotocols_of(options.serializers).items()}
        self._sessions: dict[str, LongPollConnection] = {}
        self.cookies = cookie_tracking(options.cookie, self.authenticators)
        """By which browsers are known again, if they are."""

    def open(self, protocols: Sequence[str], facts: ConnectionFacts) -> tuple[str, str]:
        """Begin a session and return its subprotocol and its id.

        Args:
            protocols: what the client speaks, in its order of preference.
            facts: what its request tells of it.

        Raises:
            PollRefused: there is no such subprotocol, or there are too many sessions.
        """
        chosen = next((name for name in protocols if name in self._forms), None)
        if chosen is None:
            raise PollRefused(400, f"`protocols` must name one of {', '.join(self._forms)}")
        if len(self._sessions) >= self.options.options.max_sessions and not self._make_room():
            self.counters.polling_sessions_refused += 1
            raise PollRefused(503, "there are as many sessions as there may be: try again later")
        connection = LongPollConnection(self, secrets.token_urlsafe(_ID_BYTES), self._forms[chosen], facts)
        self._sessions[connection.id] = connection
        self.remember(connection)
        return chosen, connection.id

    def _make_room(self) -> bool:
        """Drop the oldest session that has not joined; return whether there was one.

        To open sessions costs nothing: whoever does it without end must not keep those out who join.
        """
        for connection in self._sessions.values():
            if not connection.has_joined:
                self.counters.polling_sessions_refused += 1
                connection.drop()
                return True
        return False

    def session(self, session_id: str) -> LongPollConnection:
        """Return the session with this id; raises `PollRefused` when there is none."""
        connection = self._sessions.get(session_id)
        if connection is None:
            raise PollRefused(404, "there is no such session (any more): open one")
        return connection

    def remember(self, connection: Connection) -> None:
        """Take note of a new session; the HTTP connections it uses are counted as such."""
        self._connections.add(connection)
        self.counters.polling_sessions += 1

    def forget(self, connection: Connection) -> None:
        """Take note that a session is over."""
        if connection in self._connections and isinstance(connection, LongPollConnection):
            self._connections.remove(connection)
            del self._sessions[connection.id]
            self.counters.polling_sessions -= 1
            if not self._connections:
                self._gone.set()


class LongPollConnection(Connection):
    """One long-poll session's end at the router.

    Args:
        service: the path it came in on.
        session_id: by which its requests name it.
        form: what was agreed on.
        facts: what the request that opened it tells.
    """

    __slots__ = (
        *CONNECTION_SLOTS, "_arrived", "_callbacks", "_idle_timer", "_is_gone", "_is_parting", "_is_receiving",
        "_queue", "_queued_bytes", "_sending", "_why", "form", "id", "may_read",
    )  # fmt: skip

    _service: LongPollService

    def __init__(self, service: LongPollService, session_id: str, form: Form, facts: ConnectionFacts) -> None:
        self.id = session_id
        self.form = form
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        # Called once there is room.
        self._callbacks: list[Callable[[], None]] = []
        self._arrived = asyncio.Event()
        self._sending = asyncio.Lock()
        self._is_receiving = False
        self._is_gone = False
        self._is_parting = False
        self._why = End.DONE
        self._idle_timer: asyncio.TimerHandle | None = None
        super().__init__(service, NoSocket(self), form.serializer.decode, form.wire_format, facts)
        self._await_client()

    # What the client's requests do.

    async def take(self, body: bytes) -> None:
        """Take what the client sends, behind what it sent before.

        Raises:
            PollRefused: the session is over.
        """
        # Whoever sends faster than it is handled waits for its answer.
        async with self._sending:
            await self.may_read.wait()
            if self._closing:
                raise self._over()
            if self.form.batching is None:
                self._on_message(body)
            else:
                self._on_parcel(Parcel(self._unwrapped(self.form.batching, body), len(body)))

    async def fetch(self, timeout_s: float) -> bytes | None:
        """Return the next message, or batch, once there is one; None when there is none in time.

        Args:
            timeout_s: seconds to wait.

        Raises:
            PollRefused: another request waits already, or the session is over.
        """
        if self._is_receiving:
            raise PollRefused(409, "another request of this session waits for messages already")
        self._is_receiving = True
        self._stop_idle_timer()
        try:
            await self._something(timeout_s)
            if self._queue:
                return self._next()
            if self._closing:
                # It has been told: nothing of it is needed any more.
                self.abort()
                raise self._over()
            return None
        finally:
            self._is_receiving = False
            if self._is_parting:
                self.abort()
            if not self._is_gone:
                self._await_client()

    def put_back(self, data: bytes) -> None:
        """Keep what could not be handed over because the client went away."""
        if not self._is_gone:
            self._queue.appendleft(data)
            self._queued_bytes += len(data)

    def leave(self) -> None:
        """Take note that the client closes, once what it sent before has had its turn."""
        self._on_close_in_order(0)

    async def _something(self, timeout_s: float) -> None:
        if self._queue or self._closing:
            return
        self._arrived.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            # That is told by what is not there.
            return

    def _next(self) -> bytes:
        """Return one message or, where there are batches, as many as one holds."""
        count = self._batch_length(self._queue)
        parts = [self._queue.popleft() for _ in range(count)]
        self._queued_bytes -= sum(map(len, parts))
        if self.has_room:
            self._tell_room()
        return b"".join(parts)

    def _batch_length(self, messages: Iterable[bytes]) -> int:
        """Return how many of `messages` are fetched at once."""
        if self.form.batching is None:
            return 1
        sizes = accumulate(map(len, messages))
        return max(1, sum(1 for _ in takewhile(lambda size: size <= BATCH_BYTES, sizes)))

    def _over(self) -> PollRefused:
        return PollRefused(410, f"the session is over: {self._why.value or 'it was closed'}")

    def _unwrapped(self, batch: Batching, body: bytes) -> Iterator[bytes]:
        try:
            yield from batch.unwrap(body)
        except BatchError as error:
            self._service.counters.violations += 1
            self._session.violate(ProtocolViolation(str(error)))

    # What the core asks of a transport.

    def flush(self) -> int:
        """Let what was sent in this turn wait to be fetched, unless it is too much."""
        outbox = self.outbox
        if not outbox:
            return 0
        if self._closing:
            outbox.clear()
            return 0
        counters = self._service.counters
        size = sum(map(len, outbox))
        if self._is_too_much(size):
            self._drop_what_waits()
            return 0
        counters.frames_sent += len(outbox)
        counters.bytes_sent += size
        self._queue.extend(outbox)
        self._queued_bytes += size
        outbox.clear()
        self._arrived.set()
        # It is written when it is fetched.
        return 0

    def _is_too_much(self, size: int) -> bool:
        """Return whether the outbox, of `size` bytes, is more than may wait beside what waits already."""
        outbox = self.outbox
        limits = self._service.options.options
        waiting, waiting_bytes = len(self._queue) + len(outbox), self._queued_bytes + size
        if waiting <= limits.queue_limit_messages and waiting_bytes <= limits.queue_limit_bytes:
            return False
        if not self._queue and self._is_receiving:
            # The request that is there takes some of it at once.
            count = self._batch_length(outbox)
            waiting -= count
            waiting_bytes -= sum(map(len, outbox[:count]))
        if waiting == 1 and not self._queue:
            # One message may be longer than the limit, or it could never be sent.
            return False
        return waiting > limits.queue_limit_messages or waiting_bytes > limits.queue_limit_bytes

    @property
    def has_room(self) -> bool:
        """Whether little waits to be fetched, or the session is over."""
        if self._closing:
            return True
        outbox, limits = self.outbox, self._service.options.options
        waiting = len(self._queue) + len(outbox)
        if len(outbox) >= MANY_MESSAGES or waiting > limits.queue_limit_messages // 4:
            return False
        return self._queued_bytes + sum(map(len, outbox)) < self._low_water_bytes

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when there is room, or the session is over."""
        if self.has_room:
            self._service.loop.call_soon(callback)
        else:
            self._callbacks.append(callback)

    def _tell_room(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            self._service.loop.call_soon(callback)

    def _drop_what_waits(self) -> None:
        counters = self._service.counters
        counters.slow_receivers += 1
        counters.frames_dropped += len(self._queue) + len(self.outbox)
        self.outbox.clear()
        self._queue.clear()
        self._queued_bytes = 0
        self.end(End.TOO_SLOW)

    def end(self, why: End) -> None:
        """End the session; what waits can still be fetched, for a while."""
        if not self._closing:
            self._why = why
        self._end(b"")
        self._tell_room()
        self.may_read.set()
        self._arrived.set()

    def shut_down(self) -> None:
        """End the session because the router stops; whoever waits for something is told, nobody can come later."""
        super().shut_down()
        self.flush()
        if self._is_receiving:
            self._is_parting = True
        else:
            self.abort()

    def ping(self) -> None:
        """Nothing to do: a client that does not fetch is noticed by that."""

    def _on_close(self, code: int) -> None:
        self.end(End.DONE)
        self.abort()

    def drop(self) -> None:
        """Forget the session."""
        if self._is_gone:
            return
        self._is_gone = True
        self._stop_idle_timer()
        self._queue.clear()
        self._queued_bytes = 0
        self._gone()
        self._tell_room()
        self.may_read.set()
        self._arrived.set()

    @property
    def has_joined(self) -> bool:
        """Whether its client is in a realm."""
        return self._session.state is State.ESTABLISHED

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of it."""
        return self._is_gone

    def _await_client(self) -> None:
        self._idle_timer = self._service.loop.call_later(
            self._service.options.options.session_timeout_s, self._on_client_silent
        )

    def _stop_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _on_client_silent(self) -> None:
        if not self._closing:
            self._service.counters.polling_sessions_timed_out += 1
        self.abort()


def _form(serializer_name: str, is_batched: bool) -> Form:  # noqa: FBT001 - half of a pair
    codec = serializer(serializer_name)
    batch = batching(is_binary=codec.is_binary) if is_batched else None
    return Form(codec, batch, MessageFormat(codec, batch, 1))
