"""What a connection is sent: collected until the turn ends, written as far as its socket takes it, and bounded."""

from __future__ import annotations

import asyncio
import enum
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from heliograph.routing.work import READ_BYTES_A_UNIT
from heliograph.transports.overload import Conflation, without_newest
from heliograph.transports.send_queue import SendQueue
from heliograph.transports.turn import BYTES_A_UNIT

if TYPE_CHECKING:
    from heliograph.routing.options import OutboxPolicy
    from heliograph.routing.session import Session
    from heliograph.transports.connection_service import ConnectionService
    from heliograph.transports.deliverer import Framer

LOW_WATER_BYTES = 256 * 1024
"""Below a quarter of its limit and this, a receiver has room for more of what is sent as it takes it."""

MANY_MESSAGES = 64
"""Messages that may be sent in one turn to a receiver that is sent more as it takes them."""


WRITTEN_AT_ONCE_BYTES = 64 * 1024
"""What is written to a receiver as soon as it is flushed; what is more is written in rotation with others."""

MOST_JOINED = 128
"""Frames, none of them large, that are joined before it is known how long they are together."""

MOST_FRAMED = 16
"""Messages, none of them large, of which a connection's own frames are made at once."""


class End(enum.Enum):
    """Why the router ends a connection; the value is for the peer's developer."""

    DONE = ""
    GOING_AWAY = "the router is shutting down"
    TOO_SLOW = "more waits for this connection than it may hold: read faster"
    DEFECT = "the router failed; its log says where"
    LIMIT_TOO_SMALL = "a message this session needs is longer than the limit announced in the handshake"


_NO_SLOTS: tuple[str, ...] = ()


class Sender(ABC):
    """The way out of one connection.

    It has no slots of its own, as `Connection` has none.
    """

    __slots__ = _NO_SLOTS

    _service: ConnectionService
    _session: Session
    _transport: asyncio.Transport
    # Of the socket, where it may be written to directly.
    _descriptor: int | None
    # Makes what is written of what has waited; None where frames wait.
    _framer: Framer | None
    _pongs: list[bytes]
    # What the socket has not taken; None where it has taken all, as nearly always.
    _send_queue: SendQueue | None
    _closing: bool
    outbox: list[bytes]

    @abstractmethod
    def end(self, why: End) -> None:
        """Say goodbye in the transport's own words, after all that was sent before; see `Connection._end`."""

    @abstractmethod
    def abort(self) -> None:
        """Drop the connection without another word."""

    @property
    def has_room(self) -> bool:
        """Whether little waits to be taken by the receiver, or it is gone."""
        if self._closing:
            return True
        outbox, queue = self.outbox, self._send_queue
        # Not counted where there are many, because it is asked for each message of many.
        if len(outbox) >= MANY_MESSAGES or (queue is not None and queue.behind is not None):
            return False
        # Without a queue the transport holds nothing, or next to nothing.
        waiting = sum(map(len, outbox)) + (queue.waiting_bytes if queue is not None else 0)
        return waiting < self._low_water_bytes

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when there is room, or the connection ends."""
        if self.has_room or self._transport.is_closing():
            self._service.loop.call_soon(callback)
        else:
            (self._send_queue or self._begin_queue()).callbacks.append(callback)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were flushed and wait for the receiver, those in the transport included."""
        if self._send_queue is not None:
            return self._send_queue.waiting_bytes
        return self._transport.get_write_buffer_size()

    @property
    def _low_water_bytes(self) -> int:
        return min(self._service.limits.outbox_bytes // 4, LOW_WATER_BYTES)

    # Writing.

    def _enqueue(self, frame: bytes) -> None:
        if self._closing:
            return
        if not self.outbox:
            self._service.turn.flush_at_end(self)
        self.outbox.append(frame)
        if len(frame) >= BYTES_A_UNIT:
            turn = self._service.turn
            turn.has_large_frames = True
            # One small request may be answered with much: retained events, history.
            turn.spend(len(frame) // READ_BYTES_A_UNIT)

    def flush(self) -> int:
        """Write what waits, as one piece where it is small; return what that cost, in bytes."""
        outbox = self.outbox
        if not outbox:
            if self._send_queue is not None:
                self.queue_moved(self._send_queue)
            return 0
        transport = self._transport
        if (
            self._send_queue is not None
            or self._pongs
            or transport.get_write_buffer_size()
            or self._closing
            or transport.is_closing()
        ):
            return self._flush_with_care()
        framer = self._framer
        if framer is None and len(outbox) == 1:
            data = outbox[0]
        elif self._service.turn.has_large_frames or len(outbox) > (
            MOST_JOINED if framer is None else MOST_FRAMED
        ):
            return self._flush_with_care()
        else:
            data = b"".join(outbox) if framer is None else framer.finish(outbox)
        size = len(data)
        if framer is None and size > WRITTEN_AT_ONCE_BYTES:
            return self._flush_with_care()
        descriptor = self._descriptor
        if descriptor is None:
            transport.write(data)
        else:
            try:
                written = os.write(descriptor, data)
            except OSError:
                # The kernel takes nothing now, or the connection is broken: the transport finds the same.
                written = 0
            if written < size:
                self._keep_rest(data, written)
                return size
        counters = self._service.counters
        counters.frames_sent += len(outbox)
        counters.bytes_sent += size
        outbox.clear()
        return size if framer is None else size * framer.units

    def _begin_queue(self) -> SendQueue:
        queue = self._send_queue = SendQueue(
            self, self._service, self._transport, self._descriptor, self._framer
        )
        return queue

    def _keep_rest(self, data: bytes, written: int) -> None:
        """Let the socket take later what it has not taken of `data`, which is made of the outbox."""
        outbox = self.outbox
        queue = self._begin_queue()
        if self._framer is None:
            # Not `data`: the frames are those of all receivers.
            queue.begin(outbox, written)
        else:
            self._service.counters.frames_sent += len(outbox)
            queue.begin_piece(data, written)
        outbox.clear()
        queue.write(1)
        self.queue_moved(queue)

    def _flush_with_care(self) -> int:
        """Write what may be written of the outbox, where that is much, or something waits, or nothing may follow."""
        outbox = self.outbox
        if self._pongs:
            # A ping between the parts of a message is answered before the message is.
            self._write_pongs()
        if self._closing or self._transport.is_closing():
            # Nothing may follow the end.
            outbox.clear()
            return 0
        queue = self._send_queue or self._begin_queue()
        if queue.behind is not None:
            frames = outbox.copy()
            outbox.clear()
            self._keep(queue.behind, frames)
            return 0
        fresh, size = len(outbox), sum(map(len, outbox))
        waiting, limit = queue.waiting_bytes, self._service.limits.outbox_bytes
        queue.add(outbox, size)
        outbox.clear()
        over = queue.bytes_over(limit)
        cost = 0
        if over > 0 and (waiting or fresh > 1):
            # The socket may have room for that.
            cost = queue.write(over)
            if queue.bytes_over(limit) > 0:
                self._over_limit(queue, fresh)
        elif not waiting and size <= WRITTEN_AT_ONCE_BYTES:
            cost = queue.write(size)
        queue.join_rotation()
        self.queue_moved(queue)
        return cost

    def queue_moved(self, queue: SendQueue) -> None:
        """Go on with what waits for room: `queue` may have some, or be empty."""
        if queue is not self._send_queue:
            return
        if queue.behind is not None:
            self._catch_up(queue, queue.behind)
        if queue.is_empty:
            self._send_queue = None
            if queue.at_end is not None:
                queue.at_end()
        if queue.callbacks and (queue.is_empty or self.has_room):
            self._call_back(queue)

    def _call_back(self, queue: SendQueue) -> None:
        callbacks, queue.callbacks = queue.callbacks, []
        for callback in callbacks:
            self._service.loop.call_soon(callback)

    def _write_control(self, frame: bytes) -> None:
        """Write pings or pongs: they answer the transport, not the session, and overtake what was not begun."""
        if self._send_queue is not None:
            self._send_queue.add_urgent(frame)
        else:
            self._transport.write(frame)

    def pause_writing(self) -> None:
        """Hand the transport nothing more for now."""
        if self._send_queue is not None:
            self._send_queue.pause()

    def resume_writing(self) -> None:
        """Go on: the transport has written what it was given."""
        if self._send_queue is not None:
            self._send_queue.resume()

    # Receivers that are behind: more waits for them than their limit.

    @property
    def _policy(self) -> OutboxPolicy:
        return self._session.outbox_policy or self._service.limits.outbox_policy

    def _over_limit(self, queue: SendQueue, fresh: int) -> None:
        """Do what the policy says with the last `fresh` messages that wait."""
        if self._policy == "disconnect":
            self._too_slow()
            return
        limits, key_of = self._service.limits, self._service.turn.key_of
        unsent = queue.take_back(fresh)
        room = -queue.bytes_over(limits.outbox_bytes)
        if self._policy == "conflate":
            queue.behind = Conflation(limits.outbox_bytes)
            self._keep(queue.behind, unsent)
            return
        fitting = without_newest(unsent, key_of, room=room, answers_room=limits.outbox_bytes)
        if fitting.are_answers_too_many:
            queue.add(unsent, sum(map(len, unsent)))
            self._too_slow()
            return
        self._service.counters.events_dropped_newest += fitting.dropped
        queue.add(fitting.frames, sum(map(len, fitting.frames)))

    def _too_slow(self) -> None:
        """Drop what waits, and disconnect."""
        counters = self._service.counters
        counters.slow_receivers += 1
        counters.frames_dropped += len(self.outbox)
        self.outbox.clear()
        if self._send_queue is not None:
            counters.frames_dropped += self._send_queue.drop()
        self.end(End.TOO_SLOW)

    def stalled(self) -> None:
        """Drop a receiver that has taken nothing of what waits for a long time."""
        if not self._closing:
            self._too_slow()
            self.abort()

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
            self._write_control(b"".join(pongs))
            self._drop_if_pongs_are_too_much()

    def _drop_if_pongs_are_too_much(self) -> None:
        """Disconnect a peer that sends pings and does not read; one whose events are dropped may be at its limit."""
        factor = 1 if self._policy == "disconnect" else 2
        if self.waiting_bytes > factor * self._service.limits.outbox_bytes:
            self._too_slow()

    def _keep(self, behind: Conflation, frames: list[bytes]) -> None:
        """Let `frames` wait, the newest event of each topic."""
        kept, replaced, dropped = len(behind), behind.replaced, behind.dropped
        has_room = behind.add(frames, self._service.turn.key_of)
        kept, replaced, dropped = len(behind) - kept, behind.replaced - replaced, behind.dropped - dropped
        counters = self._service.counters
        counters.events_conflated += replaced
        counters.events_conflation_dropped += dropped
        if not has_room:
            counters.frames_dropped += len(frames) - kept - replaced - dropped
            self._too_slow()

    def _catch_up(self, queue: SendQueue, behind: Conflation) -> None:
        """Let some of what waits follow for a receiver that was behind, as far as it has read on."""
        # Not what is in the transport: below TLS it moves on without telling.
        waiting = queue.own_bytes
        if queue.is_paused or waiting >= self._low_water_bytes:
            return
        # What is in the queue cannot be replaced any more.
        frames = behind.take(self._service.limits.outbox_bytes // 2 - waiting)
        queue.add(frames, sum(map(len, frames)))
        if not behind:
            queue.behind = None
        queue.join_rotation()

    def _at_end(self, action: Callable[[], None]) -> None:
        """Call `action`, which ends the connection, when all is written."""
        if self._send_queue is not None and not self._transport.is_closing():
            self._send_queue.at_end = action
        else:
            action()

    def _stays_open_to_write(self) -> bool:
        """Return whether the transport stays open when the peer has closed its side: something waits to be written."""
        queue = self._send_queue
        if queue is None or self._transport.is_closing():
            return False
        if not self._transport.can_write_eof():
            # TLS has no half of a connection: the loop's own ends it now.
            queue.close()
            return False
        queue.at_end = self._transport.close
        return True
