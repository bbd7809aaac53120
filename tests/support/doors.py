"""A port for HTTP and WebSocket without a socket, and what is said to a connection of it."""

import asyncio
import re
from typing import Any

from heliograph.http.first_request import FirstRequest
from heliograph.http.paths import Paths
from heliograph.http.port import HttpPort
from heliograph.routing.router import Router
from heliograph.transports.clock import LoopClock
from heliograph.transports.counters import TransportCounters
from heliograph.transports.deliverer import OutboxDeliverer
from heliograph.transports.options import (
    CompressionOptions,
    DeflateOptions,
    HttpGuardOptions,
    WebSocketOptions,
    WebSocketPathOptions,
)
from heliograph.transports.turn import Turn
from heliograph.transports.websocket_service import WebSocketService

MAX_HEADER_BYTES = 2048


class Wire(asyncio.Transport):
    """A transport that notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False
        self.protocol: Any = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        addresses = {"peername": ("192.0.2.7", 4711), "sockname": ("192.0.2.1", 8080)}
        return addresses.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self.protocol
        return protocol

    def write(self, data: Any) -> None:
        assert not self.is_closed, "nothing follows the end"
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class LeavesAllToHttp(FirstRequest):
    """A connection whose handshake the protocol of HTTP reads, as it does where it is not the first request."""

    def _is_upgraded(self, _data: bytes) -> bool:
        return False


class Door:
    """A port without a socket."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.leaves_all_to_http = False
        turn = Turn(loop)
        self.counters = TransportCounters()
        router = Router(
            [],
            deliverer=OutboxDeliverer(turn),
            random_id=lambda: 1,
            clock=LoopClock(loop),
            work=turn,
            agent="test",
        )
        compression = CompressionOptions(deflate=DeflateOptions())

        def service(**more: Any) -> WebSocketService:
            options = WebSocketPathOptions(options=WebSocketOptions(compression=compression, **more))
            return WebSocketService(options, router=router, turn=turn, counters=self.counters, loop=loop)

        self.services = {
            "ws": service(allowed_origins=["*"]),
            "pages": service(allowed_origins=["https://example.com"]),
        }
        self.port = HttpPort(
            Paths({}),
            self.services.get,
            turn=turn,
            options=HttpGuardOptions(max_header_bytes=MAX_HEADER_BYTES),
            counters=self.counters,
            loop=loop,
        )

    def connect(self) -> Wire:
        """Return a new connection."""
        wire = Wire()
        protocol: Any = LeavesAllToHttp(self.port) if self.leaves_all_to_http else self.port.connection()
        wire.set_protocol(protocol)
        protocol.connection_made(wire)
        return wire

    async def answer(self, *pieces: bytes) -> tuple[bytes, bool, bool]:
        """Return what is said to a new connection, whether it is closed, and whether it is a WebSocket."""
        wire = self.connect()
        for piece in pieces:
            current = wire.protocol
            if wire.is_closed:
                break
            if isinstance(current, asyncio.BufferedProtocol):
                room = current.get_buffer(-1)
                room[: len(piece)] = piece
                current.buffer_updated(len(piece))
            else:
                current.data_received(piece)
        if self.port.state.tasks:
            await asyncio.wait(self.port.state.tasks)
        # Pongs go out at the end of the turn.
        await asyncio.sleep(0)
        is_websocket = isinstance(wire.protocol, asyncio.BufferedProtocol)
        wire.is_closed, was_closed = True, wire.is_closed
        wire.protocol.connection_lost(None)
        return re.sub(rb"date: [^\r]*", b"date:", wire.written), was_closed, is_websocket

    @property
    def known(self) -> int:
        """How many handshakes are known."""
        return len(self.port.known_handshakes._openings)

    def forget(self) -> None:
        self.port.known_handshakes._openings.clear()
