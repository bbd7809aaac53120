"""The log's way out: it never makes the program wait, and is bounded in lines, length and memory."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TextIO

from heliograph.logs.flood import MOST_ALIKE, PERIOD_S, FloodLimit
from heliograph.logs.tracebacks import traceback_text
from heliograph.logs.visible import shortened, visible
from heliograph.logs.writer import LineWriter

WAITING_LIMIT_BYTES = 1024 * 1024
"""Bytes of log that wait for who reads it."""

FLUSH_TIMEOUT_S = 1.0
"""Seconds the end of the process waits for what is still to be written."""


class LogCounters:
    """What was not logged by this process.

    Attributes:
        dropped: records for which there was no room, because nobody reads the log.
        unwritten: records that could not be written. Counted by the writing thread alone.
        suppressed: records beyond the limit of one place in the code.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self.unwritten = 0
        self.suppressed = 0


COUNTERS = LogCounters()
"""Of this process, as logging itself is."""


def message_of(record: logging.LogRecord) -> str:
    """Return a record's text, whatever its arguments are."""
    try:
        return record.getMessage()
    except Exception as failure:  # noqa: BLE001 - a value that has no text; what is logged is worth more than why
        return f"{record.msg!r:.200} (its arguments cannot be shown: {type(failure).__name__})"


class LineFormatter(logging.Formatter):
    """`2026-11-23T08:28:00.123+00:00 INFO heliograph.node: …`: a line a record, and behind it its traceback, indented.

    Args:
        has_head: whether time, level and logger stand before the message.
    """

    def __init__(self, *, has_head: bool = True) -> None:
        super().__init__()
        self._has_head = has_head

    def format(self, record: logging.LogRecord) -> str:
        """Return `record` as visible, bounded text, whatever its arguments are."""
        lines = [visible(shortened(message_of(record)))]
        if self._has_head:
            time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
            lines[0] = f"{time} {record.levelname} {visible(record.name)}: {lines[0]}"
        if record.exc_info and record.exc_info[0] is not None:
            lines.append(traceback_text(*record.exc_info))
        return "\n".join(lines)


class BoundedHandler(logging.Handler):
    """Hands records to a thread that writes them to a stream.

    The standard library's `QueueListener` would wait at the end for who reads the log, and so would `logging.shutdown`
    for the lock of a `StreamHandler`; `logging.handlers` costs the agent 0.6 MiB besides.

    Args:
        stream: where to write.
        formatter: makes text of a record, in the thread that logs: its arguments may change afterwards. Tracebacks
            are few, because of the flood limit.
        counters: count what is not logged.
    """

    def __init__(
        self, stream: TextIO, formatter: logging.Formatter, counters: LogCounters = COUNTERS
    ) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._counters = counters
        self._flood = FloodLimit()
        self._told = counters.dropped + counters.unwritten
        self._unwritten_before = counters.unwritten
        self._writer = LineWriter(stream, limit_bytes=WAITING_LIMIT_BYTES, notes=self._notes)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record, or count it."""
        is_reported = self._flood.has_suppressed
        if not self._flood.lets_through(record):
            self._counters.suppressed += 1
            if not is_reported:
                self._writer.wake()
        elif not self._is_taken(record):
            self._counters.dropped += 1

    def _is_taken(self, record: logging.LogRecord) -> bool:
        try:
            return self._writer.put(self.format(record))
        except Exception:  # noqa: BLE001 - too deep a stack, no memory: who logs is not to blame, and goes on
            return False

    def flush(self) -> None:
        """Wait until everything is written, at most `FLUSH_TIMEOUT_S` seconds."""
        self._writer.flush(FLUSH_TIMEOUT_S)

    def close(self) -> None:
        """Take no more records."""
        self._writer.close()
        super().close()

    def _notes(self, is_end: bool) -> str | None:  # noqa: FBT001 - as LineWriter calls it
        self._counters.unwritten = self._unwritten_before + self._writer.unwritten
        lines = [*self._dropped_line(), *self._suppressed_lines(is_end=is_end)]
        if lines:
            return "\n".join(lines)
        return "" if self._flood.has_suppressed else None

    def _dropped_line(self) -> Iterator[str]:
        dropped = self._counters.dropped + self._counters.unwritten
        if dropped > self._told:
            yield self._line(f"{dropped - self._told} log records dropped: the log was not read fast enough")
            self._told = dropped

    def _suppressed_lines(self, *, is_end: bool) -> Iterator[str]:
        for logger, message, records in self._flood.take_suppressed(now=is_end):
            yield self._line(
                f"{records} more records like {message!r} of {logger} left out, "
                f"beyond {MOST_ALIKE} in {PERIOD_S:g} s"
            )

    def _line(self, text: str) -> str:
        return self.format(logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None))
