"""Writing to a socket at once, past the event loop's queue.

uvloop keeps what is written until the end of its turn and calls the kernel then. A connection collects what it has to
say by itself and writes once a turn, so the queue brings it nothing and takes a sixth of a delivery's CPU.
"""

import asyncio
import os

try:
    from uvloop.loop import TCPTransport, UnixTransport  # type: ignore[attr-defined]  # not in its stub
except ImportError:  # pragma: no cover - not where the tests run
    # asyncio's own loop writes at once by itself.
    _QUEUEING: tuple[type, ...] = ()
else:
    _QUEUEING = (TCPTransport, UnixTransport)


def descriptor_of(transport: asyncio.BaseTransport) -> int | None:
    """Return the file descriptor that `direct_write` can use, None where only the transport can write, as for TLS."""
    if not isinstance(transport, _QUEUEING):
        return None
    descriptor: int = transport.get_extra_info("socket").fileno()
    return descriptor


def direct_write(transport: asyncio.WriteTransport, descriptor: int | None, data: bytes) -> None:
    """Write `data` behind all that was written before: at once as much as the kernel takes, the rest by the transport.

    Nothing is copied, unless by the transport.

    Args:
        transport: whose connection it is.
        descriptor: of the transport, by `descriptor_of`.
        data: what is written.
    """
    # Of a transport that is closing, the descriptor may be somebody else's by now.
    if descriptor is None or transport.get_write_buffer_size() or transport.is_closing():
        transport.write(data)
        return
    try:
        written = os.write(descriptor, data)
    except OSError:
        # The kernel takes nothing now, or the connection is broken: the transport waits, or finds the same and ends.
        written = 0
    if written < len(data):
        transport.write(memoryview(data)[written:])
