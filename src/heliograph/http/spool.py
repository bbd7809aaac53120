"""A request body, received whole before anybody works on it: short ones in memory, others on disk.

A client that sends slowly then holds a file, not one of the application's threads.
"""

import asyncio
import tempfile
from typing import IO

from starlette.types import Receive

from heliograph.http.refusal import RequestRefusedError

MEMORY_BYTES = 256 * 1024
"""Bytes of a body kept in memory."""


class ClientDisconnectedError(Exception):
    """The client went away before it had sent its body."""


class SpoolBudget:
    """Disk space shared by the bodies of one service.

    Args:
        limit_bytes: bytes on disk at any one time.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._free_bytes = limit_bytes

    def take(self, size: int) -> bool:
        """Take `size` bytes; False when there is not so much left."""
        if size > self._free_bytes:
            return False
        self._free_bytes -= size
        return True

    def give_back(self, size: int) -> None:
        """Give `size` bytes back."""
        self._free_bytes += size


class BodySpool:
    """Holds one request body.

    Args:
        budget: disk space it may take from.
        limit_bytes: longest body.

    Attributes:
        size: bytes received so far.
    """

    def __init__(self, budget: SpoolBudget, limit_bytes: int) -> None:
        self.size = 0
        self._budget = budget
        self._limit_bytes = limit_bytes
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._on_disk = 0

    async def receive(self, receive: Receive, idle_timeout_s: float) -> None:
        """Receive the whole body.

        Args:
            receive: the request's ASGI `receive`.
            idle_timeout_s: seconds the client may send nothing.

        Raises:
            RequestRefusedError: the body is too long or too slow, or there is no room for it.
            ClientDisconnectedError: the client went away.
        """
        more = True
        while more:
            try:
                async with asyncio.timeout(idle_timeout_s):
                    message = await receive()
            except TimeoutError as error:
                text = f"The request body stopped arriving for {idle_timeout_s:g} s"
                raise RequestRefusedError(408, "body too slow", text) from error
            if message["type"] == "http.disconnect":
                raise ClientDisconnectedError
            await self._append(message.get("body", b""))
            more = message.get("more_body", False)
        if self._file is not None and self._memory:
            await self._flush()

    def content(self) -> bytes | IO[bytes]:
        """Return the body: bytes, or a file at its beginning."""
        if self._file is None:
            return bytes(self._memory)
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Give disk space back."""
        if self._file is not None:
            self._file.close()
        self._budget.give_back(self._on_disk)
        self._on_disk = 0

    async def _append(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._limit_bytes:
            raise body_too_long(self._limit_bytes)
        self._memory += chunk
        if len(self._memory) > MEMORY_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        """Move what is in memory to disk, in a thread, since a disk may take its time."""
        block = bytes(self._memory)
        if not self._budget.take(len(block)):
            raise _no_room()
        self._on_disk += len(block)
        self._memory.clear()
        try:
            self._file = await asyncio.to_thread(_write, self._file, block)
        except OSError as error:
            raise _no_room() from error


def body_too_long(limit_bytes: int) -> RequestRefusedError:
    """Return the refusal of a body longer than `limit_bytes`."""
    return RequestRefusedError(413, "body too long", f"The request body is longer than {limit_bytes} bytes")


def _no_room() -> RequestRefusedError:
    text = "There is no room for the request body now, try again later"
    return RequestRefusedError(503, "no disk space", text, retry_after_s=5)


def _write(file: IO[bytes] | None, block: bytes) -> IO[bytes]:
    if file is None:
        file = tempfile.TemporaryFile(prefix="heliograph-body-", buffering=0)  # noqa: SIM115 (closed by the spool)
    view = memoryview(block)
    while view:
        view = view[file.write(view) :]
    return file
