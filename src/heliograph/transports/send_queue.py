"""What a connection has to say and its socket has not taken yet.

It exists only while something waits. What waits are the very frames that all receivers of an event share, and how far
each receiver has got: nothing of a message's size is copied for a receiver. It is written in pieces, in turns of the
event loop and in rotation with others, so a crowd that is sent much keeps nobody else waiting.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliograph.transports.connection_service import ConnectionService
    from heliograph.transports.deliverer import Framer
    from heliograph.transports.overload import Conflation
    from heliograph.transports.sending import Sender

JOINED_BYTES = 16 * 1024
"""Frames are joined to pieces of at most so much, which are a receiver's own; a longer frame stays as it is."""

HANDED_BYTES = 16 * 1024
"""What is handed to the transport at a time when the socket is full, and encrypted at a time."""

IN_TRANSPORT_BYTES = 64 * 1024
"""What the transport may hold before nothing more is handed to it, whether or not it has asked for that."""

STEP_BYTES = 64 * 1024
"""What one receiver is written at most before it is another's turn."""


class Framed(bytes):
    """A frame that stands among messages which are still to be framed."""

    __slots__ = ()


class Farewell(Framed):
    """A frame that is none of the session's."""

    __slots__ = ()


class SendQueue:
    """The frames, or messages still to be framed, of one connection; see the module.

    Args:
        owner: told when something has left.
        service: counts, and gives it its share of the loop's time.
        transport: its socket.
        descriptor: of the socket, where it may be written to directly.
        framer: makes frames of what waits; None where frames wait.

    Attributes:
        is_paused: whether the socket takes nothing more for now.
        behind: what waits for a receiver whose events are conflated, behind all that is here.
        callbacks: called once there is room.
        at_end: called when all is written.
    """

    __slots__ = (
        "_descriptor",
        "_entries",
        "_entries_bytes",
        "_framer",
        "_is_closed",
        "_is_in_rotation",
        "_offset",
        "_owner",
        "_piece",
        "_pieces",
        "_service",
        "_transport",
        "_urgent",
        "at_end",
        "behind",
        "callbacks",
        "is_paused",
    )  # fmt: skip

    def __init__(
        self,
        owner: Sender,
        service: ConnectionService,
        transport: asyncio.Transport,
        descriptor: int | None,
        framer: Framer | None,
    ) -> None:
        self._owner = owner
        self._service = service
        self._transport = transport
        self._descriptor = descriptor
        self._framer = framer
        self._entries: deque[bytes] = deque()
        self._entries_bytes = 0
        # What is being written, and how much of it is; what follows it before the next entry is begun.
        self._piece = b""
        self._offset = 0
        self._pieces: Iterator[bytes] | None = None
        # Pings and pongs, which come before whatever was not begun.
        self._urgent = b""
        self._is_in_rotation = False
        self._is_closed = False
        self.is_paused = False
        self.behind: Conflation | None = None
        self.callbacks: list[Callable[[], None]] = []
        self.at_end: Callable[[], None] | None = None
        # From now on the transport tells when it has written all it was given.
        transport.set_write_buffer_limits(0)
        if descriptor is not None and transport.get_write_buffer_size():
            self.pause()

    @property
    def own_bytes(self) -> int:
        """Bytes that wait here."""
        return self._entries_bytes + len(self._urgent) + len(self._piece) - self._offset

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait here and in the transport."""
        return self.own_bytes + self._transport.get_write_buffer_size()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits here, nor in the transport as far as that tells."""
        return not (self.has_more or self.is_paused or self.behind is not None)

    @property
    def has_more(self) -> bool:
        """Whether something waits here."""
        return bool(self._piece or self._entries or self._pieces is not None or self._urgent)

    def bytes_over(self, limit: int) -> int:
        """Return how many more bytes wait than `limit`.

        A message being written that is longer than that is not counted: it could never be sent otherwise.
        """
        over = self.waiting_bytes - limit
        return over if len(self._piece) <= limit else over - len(self._piece) + self._offset

    def add(self, entries: Iterable[bytes], size: int) -> None:
        """Let `entries` wait behind all others; `size` is that of all of them."""
        self._entries.extend(entries)
        self._entries_bytes += size

    def add_last(self, farewell: bytes) -> None:
        """Let a frame that is none of the session's wait behind all others."""
        self.add((Farewell(farewell),), len(farewell))
        self.join_rotation()

    def add_urgent(self, frames: bytes) -> None:
        """Let pings or pongs wait behind what is being written."""
        self._urgent += frames
        self.join_rotation()

    def begin(self, frames: Iterable[bytes], written: int) -> None:
        """Let `frames` wait, of which `written` bytes are written already."""
        entries, counters = self._entries, self._service.counters
        entries.extend(frames)
        counters.bytes_sent += written
        while written and written >= len(entries[0]):
            written -= len(entries.popleft())
            counters.frames_sent += 1
        if written:
            self._piece, self._offset = entries.popleft(), written
            counters.frames_sent += 1
            counters.bytes_sent += len(self._piece) - written
        self._entries_bytes = sum(map(len, entries))

    def begin_piece(self, piece: bytes, written: int) -> None:
        """Let `piece` wait, of which `written` bytes are written already, and whose messages are counted as sent."""
        self._piece, self._offset = piece, written
        self._service.counters.bytes_sent += len(piece)

    def take_back(self, count: int) -> list[bytes]:
        """Return the last entries, `count` of them or as many as there are, which do not wait here any more."""
        entries = self._entries
        taken = [entries.pop() for _ in range(min(count, len(entries)))]
        self._entries_bytes -= sum(map(len, taken))
        taken.reverse()
        return taken

    def drop(self) -> int:
        """Forget all that was not begun, and return how many messages that was."""
        dropped = sum(not isinstance(entry, Farewell) for entry in self._entries)
        self._entries.clear()
        self._entries_bytes = 0
        if self.behind is not None:
            dropped += len(self.behind)
            self.behind = None
        # Between the frames of a message CLOSE may stand.
        self._pieces = None
        return dropped

    def close(self) -> None:
        """Forget everything: the connection is gone."""
        self.drop()
        self._is_closed = True
        self._piece, self._offset, self._urgent = b"", 0, b""
        self._service.stalled.end(self._owner)

    # Writing.

    def pause(self) -> None:
        """Hand the transport nothing more; the receiver has a while to take something."""
        self.is_paused = True
        self._service.stalled.begin(self._owner)

    def resume(self) -> None:
        """Go on: the transport has written what it was given."""
        self.is_paused = False
        self._service.stalled.end(self._owner)
        self.join_rotation()

    def join_rotation(self) -> None:
        """Be written in turns to come."""
        if not (self._is_in_rotation or self.is_paused or self._is_closed):
            self._is_in_rotation = True
            self._service.turn.write_later(self)

    def flush(self) -> int:
        """Write one receiver's share; return what it cost, in bytes."""
        self._is_in_rotation = False
        if self._is_closed or self._transport.is_closing():
            return 0
        cost = self.write(STEP_BYTES)
        self._owner.queue_moved(self)
        return cost

    def write(self, least: int) -> int:
        """Write at least `least` bytes unless the socket takes less; return what it cost, in bytes."""
        written = made = 0
        while written < least and not self.is_paused and not self._transport.is_closing():
            if not self._piece:
                cost = self._make_piece()
                if cost is None:
                    break
                made += cost
            before = self._offset
            takes_more = self._write_piece(least)
            written += self._offset - before
            if self._offset == len(self._piece):
                self._piece, self._offset = b"", 0
            if not takes_more:
                return made + written
        if self.has_more:
            self.join_rotation()
        return made + written

    def _write_piece(self, most: int) -> bool:
        """Write of the piece; return whether the transport may be handed more."""
        piece, offset, transport = self._piece, self._offset, self._transport
        share: bytes | memoryview
        if self._descriptor is not None and not transport.get_write_buffer_size():
            whole = not offset and len(piece) <= most
            share = piece if whole else memoryview(piece)[offset : offset + most]
            try:
                written = os.write(self._descriptor, share)
            except OSError:
                # The kernel takes nothing now, or the connection is broken: the transport finds the same.
                written = 0
            self._offset = offset = offset + written
            if written == len(share):
                return True
        # What is handed over brings us back when there is room in the socket again.
        share = memoryview(piece)[offset : offset + HANDED_BYTES]
        self._offset += len(share)
        transport.write(share)
        return transport.get_write_buffer_size() < IN_TRANSPORT_BYTES

    def _make_piece(self) -> int | None:
        """Begin what comes next; return what it cost to make beside writing it, in bytes, or None: nothing waits."""
        framer = self._framer
        if self._urgent:
            self._piece, self._urgent = self._urgent, b""
            return 0
        if self._pieces is None and self._entries:
            taken = self._take_next()
            size = sum(map(len, taken))
            self._entries_bytes -= size
            self._service.counters.frames_sent += sum(not isinstance(entry, Farewell) for entry in taken)
            if framer is None or isinstance(taken[0], Framed):
                return self._begin_piece(taken[0] if len(taken) == 1 else b"".join(taken), 0)
            if size <= JOINED_BYTES:
                return self._begin_piece(framer.finish(taken), framer.units * size)
            self._pieces = framer.pieces(taken[0])
        if self._pieces is not None and framer is not None:
            piece = next(self._pieces, None)
            if piece is not None:
                return self._begin_piece(piece, framer.units * len(piece))
            self._pieces = None
            return self._make_piece()
        return None

    def _begin_piece(self, piece: bytes, cost: int) -> int:
        self._piece = piece
        self._service.counters.bytes_sent += len(piece)
        return cost

    def _take_next(self) -> list[bytes]:
        """Take the next entry and, while it is small, those behind it."""
        entries = self._entries
        taken = [entries.popleft()]
        size = len(taken[0])
        while entries and size + len(entries[0]) <= JOINED_BYTES:
            if self._framer is not None and isinstance(taken[-1], Framed) is not isinstance(
                entries[0], Framed
            ):
                # What is framed already is no part of a batch.
                break
            size += len(entries[0])
            taken.append(entries.popleft())
        return taken
