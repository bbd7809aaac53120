"""All connections of one endpoint, whatever its transport: limits, pings after silence, goodbye to everybody."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import socket
from typing import TYPE_CHECKING

from msgspec import Struct

from heliograph.routing.authenticators.assembly import authenticators_of
from heliograph.routing.options import OutboxPolicy, SessionOptions
from heliograph.routing.router import Router
from heliograph.transports.counters import TransportCounters
from heliograph.transports.deadlines import Deadlines
from heliograph.transports.turn import Turn

if TYPE_CHECKING:
    from heliograph.transports.connection import Connection
    from heliograph.transports.sending import Sender

SEND_BUFFER_BYTES = 256 * 1024
"""What the kernel may hold for a receiver beside its outbox; left to itself, loopback takes 3.8 MiB."""

_PING_SECRET_BYTES = 16


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """What bounds a connection of any transport.

    Attributes:
        outbox_bytes: what may wait for a slow receiver
        outbox_policy: what happens above that, unless the session's role says otherwise
        hello_timeout_s: seconds until a session is established
        close_timeout_s: seconds a peer may take to close once the router has said goodbye
        ping_interval_s: seconds of silence before a ping; None sends none
        ping_timeout_s: seconds its answer may take
        ping_bytes: bytes a ping bears, which its answer must repeat
        client_timeout_s: seconds a receiver may take nothing of what waits for it
    """

    outbox_bytes: int
    outbox_policy: OutboxPolicy
    hello_timeout_s: float
    close_timeout_s: float
    ping_interval_s: float | None
    ping_timeout_s: float
    ping_bytes: int
    client_timeout_s: float


class ConnectionService:
    """The connections of one endpoint.

    Args:
        limits: of each connection.
        session_options: of each session.
        router: where sessions join.
        turn: the current turn of the loop.
        counters: where connections and messages are counted.
        loop: the event loop.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        session_options: SessionOptions,
        *,
        router: Router,
        turn: Turn,
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.limits = limits
        self.session_options = session_options
        self.router = router
        self.authenticators = authenticators_of(session_options, router)
        self.turn = turn
        self.counters = counters
        self.loop = loop
        if limits.outbox_policy != "disconnect" or router.drops_events:
            turn.keeps_keys = True
        self.joining: Deadlines[Connection] = Deadlines(limits.hello_timeout_s, _hello_missed, loop)
        """Connections that must establish a session in time."""
        self.closing: Deadlines[Connection] = Deadlines(limits.close_timeout_s, _abort, loop)
        """Connections whose peers must close in time."""
        self.stalled: Deadlines[Sender] = Deadlines(limits.client_timeout_s, _stalled, loop)
        """Connections whose peers must take something of what waits for them in time."""
        self._connections: set[Connection] = set()
        self._silent: set[Connection] = set()
        # What the pings of one round bear is made of it.
        self._ping_secret = b""
        self._gone = asyncio.Event()
        self._pinging: asyncio.TimerHandle | None = None

    def remember(self, connection: Connection) -> None:
        """Take note of a new connection."""
        self._connections.add(connection)
        self.counters.connections += 1
        self._ping_regularly()

    def forget(self, connection: Connection) -> None:
        """Take note that a connection is gone."""
        if connection in self._connections:
            self._connections.remove(connection)
            self._silent.discard(connection)
            self.counters.connections -= 1
            if not self._connections:
                self._gone.set()

    async def drain(self, timeout_s: float) -> None:
        """Say goodbye to everybody and wait until they are gone, at most `timeout_s` seconds; then drop the rest."""
        self._gone.clear()
        for connection in list(self._connections):
            connection.shut_down()
        try:
            async with asyncio.timeout(timeout_s):
                if self._connections:
                    await self._gone.wait()
        except TimeoutError:
            # Whoever did not answer GOODBYE in time is dropped below, with nothing left to tell it.
            pass
        for connection in list(self._connections):
            connection.abort()
        self.joining.stop()
        self.closing.stop()
        self.stalled.stop()
        if self._pinging is not None:
            self._pinging.cancel()

    def ping_payload(self, connection: Connection) -> bytes:
        """Return what the ping of this round to `connection` bears; nobody can guess it, and no other's is the same."""
        said = self._ping_secret + id(connection).to_bytes(8, "big")
        return hashlib.shake_128(said).digest(self.limits.ping_bytes)

    def hear_pong(self, connection: Connection, payload: bytes) -> None:
        """Take a pong as a sign of life if it answers a ping; one that nobody asked for proves no reading."""
        if connection in self._silent and payload == self.ping_payload(connection):
            connection.heard = True

    def _ping_regularly(self) -> None:
        interval = self.limits.ping_interval_s
        if interval is not None and self._pinging is None:
            self._pinging = self.loop.call_later(interval, self._ping_the_silent)

    def _ping_the_silent(self) -> None:
        """Ping who has been silent for an interval; a little later drop who still is."""
        self._pinging = None
        self._silent = set()
        self._ping_secret = secrets.token_bytes(_PING_SECRET_BYTES)
        for connection in self._connections:
            if connection.heard:
                connection.heard = False
            else:
                self._silent.add(connection)
                connection.ping()
        if self._silent:
            self._pinging = self.loop.call_later(self.limits.ping_timeout_s, self._drop_the_silent)
        elif self._connections:
            self._ping_regularly()

    def _drop_the_silent(self) -> None:
        self._pinging = None
        for connection in list(self._silent):
            if not connection.heard:
                self.counters.ping_timeouts += 1
                connection.abort()
        self._silent = set()
        if self._connections:
            self._ping_regularly()


def _hello_missed(connection: Connection) -> None:
    connection.hello_missed()


def _abort(connection: Connection) -> None:
    connection.abort()


def _stalled(connection: Sender) -> None:
    connection.stalled()


def bound_send_buffer(transport: asyncio.Transport) -> None:
    """Bound what the kernel holds for the receiver behind `transport`."""
    connection = transport.get_extra_info("socket")
    if connection is None:
        return
    # uvloop's own would make a `socket.socket` for it, which takes twice as long.
    borrowed = socket.SocketType(socket.AF_INET, socket.SOCK_STREAM, 0, connection.fileno())
    try:
        borrowed.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    finally:
        borrowed.detach()


def keep_alive(transport: asyncio.Transport) -> None:
    """Let the kernel find out within about a minute when the machine behind `transport` is gone."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family == getattr(socket, "AF_UNIX", None):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system lets each connection choose; then its own times count.
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
