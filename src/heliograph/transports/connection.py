"""One connection, whatever its transport: its session, what waits on the way in and out, and how it ends.

A transport adds how messages are cut out of the byte stream and what is said at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from heliograph.auth.facts import ConnectionFacts
from heliograph.routing.peer import GONE
from heliograph.routing.session import Session, State
from heliograph.routing.work import UNITS_A_MESSAGE
from heliograph.transports.direct_write import descriptor_of, direct_write
from heliograph.transports.sending import End, Sender
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Message

if TYPE_CHECKING:
    from heliograph.transports.connection_service import ConnectionService
    from heliograph.transports.deliverer import WireFormat

_LOG = logging.getLogger(__name__)

HELD_BYTES = 64 * 1024
"""Bytes of messages that are read behind one that waits for a decision; then reading pauses. Until then the end of the
connection is noticed, and pongs are heard, however long the decision takes."""


SMALL_BYTES = 256
"""Messages up to this size cost the same, whatever is in them."""


WAITING_BYTES = 64
"""What a message that waits takes beside its own bytes: the smallest are shorter than that."""


LARGE_BYTES = 64 * 1024
"""Larger messages may be very many objects."""


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Let the garbage collector wait: it would look again and again at the million lists that a MiB may be.

    That took four fifths of the time that it takes to read them.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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
    "_closing",
    "_decode",
    "_descriptor",
    "_framer",
    "_is_held",
    "_is_in_rotation",
    "_is_paused",
    "_pongs",
    "_send_queue",
    "_service",
    "_session",
    "_transport",
    "heard",
    "outbox",
    "wire_format",
)
"""What a class of connections has to have among its `__slots__`."""

_NO_SLOTS: tuple[str, ...] = ()


class Connection(Sender):
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

    _backlog: deque[bytes | Parcel | int] | None
    wire_format: WireFormat
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
        self._send_queue = None
        self._awaits_hello = False
        self.heard = True
        self._await_hello()

    # What a transport adds.

    @abstractmethod
    def ping(self) -> None:
        """Ask whether the peer is there; whatever it sends next is an answer, but for another pong."""

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
        self._backlog_bytes += WAITING_BYTES + len(data)
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
            self._backlog_bytes -= WAITING_BYTES + len(item)
            self._handle(item)
        elif isinstance(item, Parcel):
            self._backlog_bytes -= item.size
        else:
            self._on_close(item)

    def _handle(self, data: bytes) -> None:
        units = UNITS_A_MESSAGE
        if len(data) > SMALL_BYTES:
            units += len(data) // self.wire_format.serializer.read_bytes_a_unit
        self._service.turn.spend(units)
        if len(data) > LARGE_BYTES:
            with no_collection():
                self._receive(data)
        else:
            self._receive(data)

    def _receive(self, data: bytes) -> None:
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

    # The end.

    def _end(self, farewell: bytes) -> None:
        """End the session, flush, write `farewell`, and drop the connection if the peer does not close it in time."""
        self._write_pongs()
        queue = self._send_queue
        if queue is not None and queue.behind is not None:
            # What was said last comes behind it.
            frames = queue.behind.take_all()
            queue.add(frames, sum(map(len, frames)))
            queue.behind = None
        self.flush()
        if self._closing:
            return
        self._closing = True
        self._expect_no_hello()
        self._service.closing.begin(self)
        if farewell and not self._transport.is_closing():
            if self._send_queue is not None:
                self._send_queue.add_last(farewell)
            else:
                direct_write(self._transport, self._descriptor, farewell)
        if self._send_queue is not None:
            self._call_back(self._send_queue)
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
        if self._send_queue is not None:
            self._send_queue.close()
            self._call_back(self._send_queue)
            self._send_queue = None
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
