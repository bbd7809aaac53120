"""One connection, whatever its transport: its session, what waits on the way in and out, and how it ends.

A transport adds how messages are cut out of the byte stream and what is said at the end.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from heliograph.auth.facts import ConnectionFacts
from heliograph.routing.peer import GONE
from heliograph.routing.session import Session, State
from heliograph.transports.direct_write import descriptor_of, direct_write, write_at_once
from heliograph.transports.overload import RETRY_S, Conflation, without_newest
from heliograph.transports.turn import BYTES_A_UNIT
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Message

if TYPE_CHECKING:
    from heliograph.routing.options import OutboxPolicy
    from heliograph.transports.connection_service import ConnectionService
    from heliograph.transports.deliverer import Framer, WireFormat

_LOG = logging.getLogger(__name__)

HELD_BYTES = 64 * 1024
"""Bytes of messages that are read behind one that waits for a decision; then reading pauses. Until then the end of the
connection is noticed, and pongs are heard, however long the decision takes."""


LOW_WATER_BYTES = 256 * 1024
"""Below a quarter of its limit and this, a receiver has room for more of what is sent as it takes it."""

MANY_MESSAGES = 64
"""Messages that may be sent in one turn to a receiver that is sent more as it takes them."""


class End(enum.Enum):
    """Why the router ends a connection; the value is for the peer's developer."""

    DONE = ""
    GOING_AWAY = "the router is shutting down"
    TOO_SLOW = "more waits for this connection than it may hold: read faster"
    DEFECT = "the router failed; its log says where"
    LIMIT_TOO_SMALL = "a message this session needs is longer than the limit announced in the handshake"


class Parcel:
    """Something that holds any number of messages, each of which is unpacked when it is its turn, and not before.

    Args:
        messages: the messages; it raises nothing.
        size: bytes that are held until then.
    """

    __slots__ = ("messages", "size")

    def __init__(self, messages: Iterator[bytes], size: int) -> None:
        self.messages = messages
        self.size = size


CONNECTION_SLOTS = (
    "_awaits_hello",
    "_backlog",
    "_backlog_bytes",
    "_behind",
    "_closing",
    "_decode",
    "_descriptor",
    "_framer",
    "_is_held",
    "_is_in_rotation",
    "_is_paused",
    "_pongs",
    "_service",
    "_session",
    "_transport",
    "heard",
    "outbox",
    "wire_format",
)
"""What a class of connections has to have among its `__slots__`."""

_NO_SLOTS: tuple[str, ...] = ()


class Connection(ABC):
    """The peer of one session.

    It has no slots of its own, so that a class may also inherit from one that is written in C; see `CONNECTION_SLOTS`.

    Args:
        service: the endpoint it came in on; shared limits, counters and the current turn.
        transport: the socket.
        decode: makes a message of its bytes; raises `ProtocolViolation`.
        wire_format: in which it is sent messages.
        facts: what the transport knows of the other end.
    """

    __slots__ = _NO_SLOTS

    _service: ConnectionService
    _transport: asyncio.Transport
    _backlog: deque[bytes | Parcel | int] | None
    _behind: Conflation | None
    wire_format: WireFormat
    # Makes what is written of what has waited; None where frames wait.
    _framer: Framer | None
    _pongs: list[bytes]
    outbox: list[bytes]
    heard: bool

    def __init__(
        self,
        service: ConnectionService,
        transport: asyncio.Transport,
        decode: Callable[[bytes], Message],
        wire_format: WireFormat,
        facts: ConnectionFacts,
    ) -> None:
        self._service = service
        self._transport = transport
        self._descriptor = descriptor_of(transport)
        self._decode = decode
        self.wire_format = wire_format
        self._framer = None
        self.outbox = []
        self._session = Session(service.router, self, service.session_options, facts, service.authenticators)
        # Messages that were read and not handled, one by one or in parcels, and at the end perhaps the code the peer
        # closes with.
        self._backlog = None
        self._backlog_bytes = 0
        self._is_held = False
        self._is_paused = False
        self._is_in_rotation = False
        self._closing = False
        self._pongs = []
        self._behind = None
        self._awaits_hello = False
        self.heard = True
        self._await_hello()

    # What a transport adds.

    @abstractmethod
    def end(self, why: End) -> None:
        """Say goodbye in the transport's own words, after all that was sent before; see `_end`."""

    @abstractmethod
    def ping(self) -> None:
        """Ask whether the peer is there; whatever it sends next is an answer."""

    @abstractmethod
    def _on_close(self, code: int) -> None:
        """Take note that the peer closes; `code` is the transport's own."""

    # What routing asks of a peer.

    def send(self, message: Message) -> None:
        """Send `message` at the end of this turn."""
        self._enqueue(self.wire_format.frame(message))

    def close(self) -> None:
        """Close after all that was sent before."""
        self.end(End.DONE)

    def left(self) -> None:
        """Expect another HELLO, for a while."""
        self._await_hello()

    def hold(self) -> None:
        """Keep what comes until `release`."""
        self._is_held = True
        if self._backlog is None:
            self._backlog = deque()
        self._pause_or_resume()

    def release(self) -> None:
        """Handle what has come, from the next turn on."""
        self._is_held = False
        self._pause_or_resume()
        self._join_rotation()

    @property
    def has_room(self) -> bool:
        """Whether little waits to be taken by the receiver, or it is gone."""
        if self._closing:
            return True
        outbox = self.outbox
        # Not counted where there are many, because it is asked for each message of many.
        if len(outbox) >= MANY_MESSAGES:
            return False
        low = min(self._service.limits.outbox_bytes // 4, LOW_WATER_BYTES)
        return sum(map(len, outbox)) + self._transport.get_write_buffer_size() < low

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when there is room, or the connection ends."""

        def look() -> None:
            if self.has_room:
                callback()
            else:
                self._service.loop.call_later(RETRY_S, look)

        self._service.loop.call_soon(look)

    # Reading.

    def _on_message(self, data: bytes) -> None:
        """Take one whole message from the transport."""
        counters = self._service.counters
        counters.messages_received += 1
        counters.bytes_received += len(data)
        turn = self._service.turn
        if self._backlog is None and not turn.is_exhausted:
            self._handle(data)
            return
        if self._backlog is None:
            self._backlog = deque()
        self._backlog.append(data)
        self._backlog_bytes += len(data)
        self._pause_or_resume()
        if not self._is_held:
            self._join_rotation()

    def _on_parcel(self, parcel: Parcel) -> None:
        """Take what has come from the transport in one piece and holds any number of messages."""
        self._service.counters.bytes_received += parcel.size
        is_first = self._backlog is None
        if self._backlog is None:
            self._backlog = deque()
        self._backlog.append(parcel)
        self._backlog_bytes += parcel.size
        if is_first:
            turn = self._service.turn
            while not turn.is_exhausted:
                if not self.handle_next():
                    return
        self._pause_or_resume()
        if not self._is_held:
            self._join_rotation()

    def _on_other_frame(self, size: int) -> None:
        """Take note of a frame that completes no message: behind very many of them nothing more is read in this turn.

        uvloop hands on up to 32 pieces before anybody else has a turn: 2 million pings in 8 MiB took 5 seconds.
        """
        turn = self._service.turn
        turn.spend(1)
        if self._is_held:
            self._backlog_bytes += size
            self._pause_or_resume()
        elif self._backlog is None and turn.is_exhausted:
            self._backlog = deque()
            self._pause_or_resume()
            self._join_rotation()

    def _on_close_in_order(self, code: int) -> None:
        """Take note that the peer closes, once what it said before has had its turn."""
        if self._backlog is not None and not self._closing:
            self._backlog.append(code)
        else:
            self._on_close(code)

    def _has_close_waiting(self) -> bool:
        return bool(self._backlog) and isinstance(self._backlog[-1], int)  # type: ignore[index]

    def _pause_or_resume(self) -> None:
        """Read on unless there is a backlog; behind a message that waits for a decision, as long as it is small."""
        is_much = not self._is_held or self._backlog_bytes > HELD_BYTES
        should_pause = self._backlog is not None and is_much
        if should_pause is self._is_paused or self._transport.is_closing():
            return
        self._is_paused = should_pause
        if should_pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _join_rotation(self) -> None:
        if not self._is_in_rotation:
            self._is_in_rotation = True
            self._service.turn.wait(self)

    def handle_next(self) -> bool:
        """Handle the first message of the backlog; return whether more wait."""
        if self._is_held and not self._closing:
            self._is_in_rotation = False
            return False
        backlog = self._backlog
        if backlog and not self._closing:
            self._handle_first(backlog)
        if backlog and not self._closing:
            return True
        self._is_in_rotation = False
        if self._is_held and not self._closing:
            return False
        self._backlog = None
        self._backlog_bytes = 0
        self._pause_or_resume()
        return False

    def _handle_first(self, backlog: deque[bytes | Parcel | int]) -> None:
        item = backlog[0]
        if isinstance(item, Parcel):
            message = next(item.messages, None)
            if message is not None:
                self._service.counters.messages_received += 1
                self._handle(message)
                return
        backlog.popleft()
        if isinstance(item, bytes):
            self._backlog_bytes -= len(item)
            self._handle(item)
        elif isinstance(item, Parcel):
            self._backlog_bytes -= item.size
        else:
            self._on_close(item)

    def _handle(self, data: bytes) -> None:
        self._service.turn.spend(1 + len(data) // BYTES_A_UNIT)
        try:
            self._session.receive(self._decode(data))
        except ProtocolViolation as violation:
            self._session.violate(violation)
        except Exception:  # noqa: BLE001 - logged
            # Neither refusal nor violation: a defect of ours, which must not cost anybody else anything.
            self._service.counters.defects += 1
            _LOG.exception("a session ends because the router failed")
            self.end(End.DEFECT)
        if self._awaits_hello and self._session.state is State.ESTABLISHED:
            self._expect_no_hello()

    # Writing.

    def _enqueue(self, frame: bytes) -> None:
        if self._closing:
            return
        if not self.outbox:
            self._service.turn.flush_at_end(self)
        self.outbox.append(frame)
        if len(frame) >= BYTES_A_UNIT:
            # One small request may be answered with much: retained events, history.
            self._service.turn.spend(len(frame) // BYTES_A_UNIT)

    def flush(self) -> None:
        """Write all that waits as one piece, unless it is too much for this receiver."""
        outbox = self.outbox
        if not outbox:
            return
        transport = self._transport
        if (
            transport.get_write_buffer_size()
            or self._pongs
            or self._closing
            or self._behind is not None
            or transport.is_closing()
        ):
            self._flush_with_care()
            return
        data = self._finished(outbox)
        outbox.clear()
        write_at_once(transport, self._descriptor, data)

    def _flush_with_care(self) -> None:
        """Write what may be written of the outbox, where something else is to be written or nothing any more."""
        outbox = self.outbox
        if self._pongs:
            # A ping between the parts of a message is answered before the message is.
            self._write_pongs()
        if self._closing or self._transport.is_closing():
            # Nothing may follow the end.
            outbox.clear()
            return
        if self._behind is not None:
            self._keep(self._behind)
            return
        waiting = self._transport.get_write_buffer_size()
        room = self._service.limits.outbox_bytes - waiting
        if waiting and sum(map(len, outbox)) > room:
            if self._policy == "disconnect":
                self._too_slow()
            else:
                self._make_room(room)
        if outbox:
            self._transport.write(self._finished(outbox))
            outbox.clear()

    def _finished(self, frames: list[bytes]) -> bytes:
        """Return what is written for `frames`, and count it."""
        if self._framer is not None:
            data = self._framer.finish(frames)
        else:
            data = frames[0] if len(frames) == 1 else b"".join(frames)
        counters = self._service.counters
        counters.frames_sent += len(frames)
        counters.bytes_sent += len(data)
        return data

    # Receivers that are behind: they have not taken earlier turns' bytes and would now hold too many.

    @property
    def _policy(self) -> OutboxPolicy:
        return self._session.outbox_policy or self._service.limits.outbox_policy

    def _too_slow(self) -> None:
        """Drop what waits, and disconnect."""
        counters = self._service.counters
        counters.slow_receivers += 1
        counters.frames_dropped += len(self.outbox)
        self.outbox.clear()
        if self._behind is not None:
            counters.frames_dropped += len(self._behind)
            self._behind = None
        self.end(End.TOO_SLOW)

    def _pong(self, frame: bytes) -> None:
        """Answer a ping, together with all that come in this turn.

        It may overtake what waits: it answers the transport, not the session.
        """
        if not self._pongs:
            self._service.loop.call_soon(self._write_pongs)
        self._pongs.append(frame)

    def _write_pongs(self) -> None:
        pongs, self._pongs = self._pongs, []
        if pongs and not self._closing and not self._transport.is_closing():
            # 64 Ki writes of one turn took uvloop seconds.
            self._transport.write(b"".join(pongs))
            self._drop_if_pongs_are_too_much()

    def _drop_if_pongs_are_too_much(self) -> None:
        """Disconnect a peer that sends pings and does not read; one whose events are dropped may be at its limit."""
        factor = 1 if self._policy == "disconnect" else 2
        if self._transport.get_write_buffer_size() > factor * self._service.limits.outbox_bytes:
            self._too_slow()

    def _make_room(self, room: int) -> None:
        """Take from the outbox what the receiver is not sent, or not yet."""
        if self._policy == "conflate":
            self._behind = Conflation(self._service.limits.outbox_bytes)
            self._look_again()
            self._keep(self._behind)
            return
        fitting = without_newest(
            self.outbox,
            self._service.turn.key_of,
            room=room,
            answers_room=self._service.limits.outbox_bytes,
        )
        if fitting.are_answers_too_many:
            self._too_slow()
            return
        self._service.counters.events_dropped_newest += fitting.dropped
        self.outbox[:] = fitting.frames

    def _keep(self, behind: Conflation) -> None:
        """Let the outbox wait, the newest event of each topic."""
        replaced, dropped = behind.replaced, behind.dropped
        has_room = behind.add(self.outbox, self._service.turn.key_of)
        counters = self._service.counters
        counters.events_conflated += behind.replaced - replaced
        counters.events_conflation_dropped += behind.dropped - dropped
        if has_room:
            self.outbox.clear()
        else:
            self._too_slow()

    def _keep_no_longer(self, behind: Conflation) -> None:
        self._behind = None
        self.outbox[:0] = behind.take_all()
        if self.outbox:
            self._transport.write(self._finished(self.outbox))
            self.outbox.clear()

    def _look_again(self) -> None:
        self._service.loop.call_later(RETRY_S, self._catch_up)

    def _catch_up(self) -> None:
        """Send some of what waits to a receiver that was behind, as far as it has read on."""
        behind = self._behind
        if behind is None or self._closing or self._transport.is_closing():
            return
        # What is written cannot be replaced any more.
        room = self._service.limits.outbox_bytes // 2 - self._transport.get_write_buffer_size()
        frames = behind.take(room)
        if frames:
            self._transport.write(self._finished(frames))
        if behind:
            self._look_again()
        else:
            self._behind = None

    # The end.

    def _end(self, farewell: bytes) -> None:
        """End the session, flush, write `farewell`, and drop the connection if the peer does not close it in time."""
        self._write_pongs()
        if self._behind is not None and not self._closing and not self._transport.is_closing():
            # What was said last comes behind it.
            self._keep_no_longer(self._behind)
        self.flush()
        if self._closing:
            return
        self._closing = True
        self._expect_no_hello()
        self._service.closing.begin(self)
        if farewell and not self._transport.is_closing():
            direct_write(self._transport, self._descriptor, farewell)
        self._session.lost()

    def shut_down(self) -> None:
        """End the session because the router stops; the connection ends with it."""
        if self._session.state is State.ESTABLISHED:
            self._session.shut_down()
        else:
            self.end(End.GOING_AWAY)

    def abort(self) -> None:
        """Drop the connection without another word."""
        self._transport.abort()

    def _gone(self) -> None:
        """Take note that the socket is gone."""
        self._closing = True
        self._expect_no_hello()
        self._service.closing.end(self)
        self.outbox.clear()
        self._behind = None
        self._service.forget(self)
        self._session.lost()
        # They hold each other: in a crowd that comes and goes the garbage collector would have to find them all.
        self._session.peer = GONE

    def _await_hello(self) -> None:
        # It may be awaited still: by a session that somebody else let in, and whose client said nothing before GOODBYE.
        self._awaits_hello = True
        self._service.joining.begin(self)

    def _expect_no_hello(self) -> None:
        if self._awaits_hello:
            self._awaits_hello = False
            self._service.joining.end(self)

    def hello_missed(self) -> None:
        """Abort because no session was established in time."""
        self._awaits_hello = False
        state = self._session.state
        if state is State.ESTABLISHED:
            # It joined while nothing came in: somebody else had to decide about it.
            return
        self._service.counters.hello_timeouts += 1
        missing = "AUTHENTICATE" if state is State.CHALLENGING else "HELLO"
        self._session.violate(
            ProtocolViolation(f"no {missing} within {self._service.limits.hello_timeout_s:g} seconds")
        )


def close_this_side(transport: asyncio.Transport) -> None:
    """Send the end behind all that waits, and leave it to the peer to close the connection.

    Were it closed here, bytes of the peer that nobody reads would make the kernel throw away what the peer has not
    fetched yet. TLS has no half of a connection.
    """
    if transport.is_closing():
        return
    if transport.can_write_eof():
        transport.write_eof()
    else:
        transport.close()
