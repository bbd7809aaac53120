"""A transport inside TLS that tells all that waits for its receiver."""

import asyncio
from typing import Any


class TlsTransport(asyncio.Transport):
    """An encrypted transport.

    By itself it tells what waits to be encrypted, and nothing of what waits encrypted for the socket: a receiver that
    reads nothing would be allowed twice its limit.

    Args:
        encrypted: the event loop's own transport.
        plain: the one below it.
    """

    __slots__ = ("_encrypted", "_plain")

    def __init__(self, encrypted: asyncio.Transport, plain: asyncio.Transport) -> None:
        self._encrypted = encrypted
        self._plain = plain

    def get_write_buffer_size(self) -> int:
        """Return bytes that wait on both sides of the encryption."""
        return self._encrypted.get_write_buffer_size() + self._plain.get_write_buffer_size()

    # All else is the event loop's.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._encrypted.write(data)

    def close(self) -> None:
        self._encrypted.close()

    def abort(self) -> None:
        self._encrypted.abort()

    def is_closing(self) -> bool:
        return self._encrypted.is_closing()

    def can_write_eof(self) -> bool:
        return self._encrypted.can_write_eof()

    def write_eof(self) -> None:
        self._encrypted.write_eof()

    def pause_reading(self) -> None:
        self._encrypted.pause_reading()

    def resume_reading(self) -> None:
        self._encrypted.resume_reading()

    def is_reading(self) -> bool:
        return self._encrypted.is_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._encrypted.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._encrypted.get_protocol()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        # TLS asks the one below whether there is room; at 0 it would itself say that there is none when it is empty.
        self._plain.set_write_buffer_limits(high, low)
        self._encrypted.set_write_buffer_limits(max(high, 1) if high is not None else None, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._encrypted.get_extra_info(name, default)
