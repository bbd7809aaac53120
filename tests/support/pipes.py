"""Pipes that nobody reads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Pipe:
    """A pipe's two ends, as descriptors."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def fill(self) -> None:
        """Write until not one byte more fits; the next writer waits."""
        os.set_blocking(self.writing, False)
        for size in (65536, 1):
            with suppress(BlockingIOError):
                while True:
                    os.write(self.writing, b"\0" * size)
        os.set_blocking(self.writing, True)

    def drained(self, until: bytes) -> bytes:
        """Read until `until` has come, and return everything; the test's own deadline is what ends it otherwise."""
        read = b""
        while until not in read:
            part = os.read(self.reading, 65536)
            assert part, read[-500:]
            read += part
        return read


@contextmanager
def full_pipe() -> Iterator[Pipe]:
    """A pipe into which nothing more fits."""
    with open_pipe() as pipe:
        pipe.fill()
        yield pipe


@contextmanager
def open_pipe() -> Iterator[Pipe]:
    """A pipe, closed at the end."""
    pipe = Pipe()
    try:
        yield pipe
    finally:
        os.close(pipe.reading)
        os.close(pipe.writing)
