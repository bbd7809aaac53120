"""Lines written by a thread, so that nobody waits for who reads them."""

import os
import queue
import select
import sys
import threading
from collections.abc import Callable
from typing import TextIO

from heliograph.logs.visible import visible

SAID_LIMIT_BYTES = 64 * 1024

NOTES_INTERVAL_S = 1.0
"""Seconds between two looks at notes that are not due yet."""

Notes = Callable[[bool], str | None]
"""Returns what the writer adds to the lines: "" for nothing yet, None for nothing at all; told if this is the end."""


class LineWriter:
    """Writes lines to a stream's descriptor from a thread of its own.

    The thread holds no lock of Python's streams, so neither a caller nor the end of the process waits for a pipe that
    nobody reads. `put` may be called from a signal handler or a finalizer.

    Args:
        stream: whose descriptor and encoding are used.
        limit_bytes: what may wait; a single line may be longer.
        notes: asked by the thread when no line waits, and every `NOTES_INTERVAL_S` as long as it returns text.

    Attributes:
        on_error: told by the thread, once, when writing failed.
        error: why nothing can be written any more; None while it can.
        unwritten: lines that were taken and could not be written.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        limit_bytes: int,
        notes: Notes | None = None,
    ) -> None:
        self.on_error: Callable[[OSError], None] | None = None
        self.error: OSError | None = None
        self.unwritten = 0
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding
        self._limit_bytes = limit_bytes
        self._notes = notes
        # Reentrant both: a finalizer may write a line while one is being put.
        self._lines: queue.SimpleQueue[bytes | threading.Event | None] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._put_bytes = self._written_bytes = 0
        threading.Thread(target=self._run, name="line-writer", daemon=True).start()

    def put(self, line: str) -> bool:
        """Have a line written; return False when too much waits already."""
        data = f"{line}\n".encode(self._encoding, "backslashreplace")
        with self._lock:
            waiting = self._put_bytes - self._written_bytes
            if waiting and waiting + len(data) > self._limit_bytes:
                return False
            self._put_bytes += len(data)
        self._lines.put(data)
        return True

    def wake(self) -> None:
        """Have the notes asked for."""
        self._lines.put(b"")

    def flush(self, timeout_s: float | None) -> bool:
        """Wait until everything is written; return False when it is not after `timeout_s` seconds (None: for ever)."""
        written = threading.Event()
        self._lines.put(written)
        return written.wait(timeout_s)

    def close(self) -> None:
        """End the thread when everything is written."""
        self._lines.put(None)

    def _run(self) -> None:
        patience: float | None = None
        while True:
            try:
                item = self._lines.get(timeout=patience)
            except queue.Empty:
                item = b""
            if item is None:
                return
            is_end = isinstance(item, threading.Event)
            if isinstance(item, bytes):
                self.unwritten += not self._write(item)
                self._written_bytes += len(item)
            if self._notes is not None and (is_end or self._lines.empty()):
                notes = self._notes(is_end)
                if notes:
                    self._write(f"{notes}\n".encode(self._encoding, "backslashreplace"))
                patience = None if notes is None else NOTES_INTERVAL_S
            if isinstance(item, threading.Event):
                item.set()

    def _write(self, data: bytes) -> bool:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Somebody who shares the pipe has made it non-blocking.
                select.select([], [self._descriptor], [])
            except OSError as error:
                is_first, self.error = self.error is None, error
                if is_first and self.on_error is not None:
                    self.on_error(error)
                return False
        return True


def say(*lines: str) -> None:
    """Print lines to standard output as visible text, and wait for nobody: an event loop may say that it is ready."""
    if sys.__stdout__ is None:  # its descriptor was closed when the process started
        return
    writer = LineWriter(sys.__stdout__, limit_bytes=SAID_LIMIT_BYTES)
    for line in lines:
        writer.put(visible(line))
    writer.close()
