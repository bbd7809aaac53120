"""A child's output, forwarded to the log line by line within bounds of memory and work."""

import asyncio
import logging
from collections import deque
from typing import cast

from heliograph.logs.visible import visible
from heliograph.processes.options import ChildOptions

logger = logging.getLogger("heliograph.processes")

TAIL_LINES = 20
"""Lines kept to explain why a child failed."""


class OutputForwarder(asyncio.Protocol):
    """Reads a child's output pipe and logs its lines.

    Attributes:
        tail: the last lines.
        dropped_lines: lines not logged because there were too many.
        closed: set when the pipe has ended.
    """

    def __init__(self, options: ChildOptions) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.dropped_lines = 0
        self.closed = asyncio.Event()
        self._name = options.name
        self._max_line_bytes = options.max_line_bytes
        self._max_lines = options.max_lines_per_s
        self._max_bytes = options.max_output_bytes_per_s
        self._partial = bytearray()
        self._skips_to_newline = False
        self._lines = self._bytes = self._dropped = 0
        self._window: asyncio.TimerHandle | None = None
        self._transport: asyncio.ReadTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with the pipe."""
        # A cast, since uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Log the lines that are complete and keep the rest, at most a line's limit."""
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(1.0, self._next_window)
        self._bytes += len(data)
        if self._bytes > self._max_bytes and self._transport is not None:
            self._transport.pause_reading()
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._extend(part)
            self._end_line()
        self._extend(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Log what is left."""
        if self._partial:
            self._end_line()
        if self._window is not None:
            self._window.cancel()
            self._report_dropped()
        self.closed.set()

    def close(self) -> None:
        """Stop reading, whoever still holds the other end."""
        if self._transport is not None:
            self._transport.close()

    def _extend(self, part: bytes) -> None:
        if self._skips_to_newline:
            return
        room = self._max_line_bytes - len(self._partial)
        self._partial += part[:room]
        if len(part) > room:
            self._emit(bytes(self._partial).decode("utf-8", "backslashreplace") + " … (line cut)")
            self._partial.clear()
            self._skips_to_newline = True

    def _end_line(self) -> None:
        if self._skips_to_newline:
            self._skips_to_newline = False
            return
        self._emit(bytes(self._partial).rstrip(b"\r").decode("utf-8", "backslashreplace"))
        self._partial.clear()

    def _emit(self, line: str) -> None:
        line = visible(line)
        self.tail.append(line)
        if self._lines >= self._max_lines:
            self._dropped += 1
            self.dropped_lines += 1
            return
        self._lines += 1
        logger.info("%s: %s", self._name, line, extra={"has_own_limit": True})

    def _next_window(self) -> None:
        self._window = None
        self._report_dropped()
        if self._bytes > self._max_bytes and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        self._lines = self._bytes = 0

    def _report_dropped(self) -> None:
        if self._dropped:
            logger.warning(
                "%s: %d lines of output dropped, more than %d a second",
                self._name,
                self._dropped,
                self._max_lines,
            )
            self._dropped = 0
