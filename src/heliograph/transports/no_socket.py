"""What stands where other connections have their socket: a long-poll session has none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliograph.transports.longpoll import LongPollConnection


class NoSocket(asyncio.Transport):
    """Stands where other connections have their socket.

    Args:
        connection: it belongs to.
    """

    def __init__(self, connection: LongPollConnection) -> None:
        super().__init__()
        self._connection = connection

    def is_closing(self) -> bool:
        return self._connection.is_gone

    def pause_reading(self) -> None:
        self._connection.may_read.clear()

    def resume_reading(self) -> None:
        self._connection.may_read.set()

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nothing is said at the end but what waits."""

    def close(self) -> None:
        self._connection.drop()

    def abort(self) -> None:
        self._connection.drop()
