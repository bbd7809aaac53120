"""An echo server on the router's own WebSocket layer, for fuzzers: `python -m heliograph.testing.echo [--port N]`.

What comes passes the router's HTTP guard, handshake checks, frame parser, message reader, backlog and outbox; where the
router has a session, this has an echo. A message is sent back as the kind it came, text or binary.
"""

import argparse
import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import uvloop

from heliograph.auth.facts import ConnectionFacts
from heliograph.http.exchange import AsgiApplication
from heliograph.http.paths import Paths
from heliograph.http.port import HttpPort
from heliograph.http.websocket_page import WebSocketPage
from heliograph.logs.printing import print_error
from heliograph.logs.writer import say
from heliograph.routing.router import Router
from heliograph.testing.configuration import LOOPBACK
from heliograph.transports.clock import LoopClock
from heliograph.transports.counters import TransportCounters
from heliograph.transports.deliverer import OutboxDeliverer
from heliograph.transports.http_options import HttpGuardOptions
from heliograph.transports.listener import ListenFailed, addresses, listen
from heliograph.transports.options import (
    CompressionOptions,
    DeflateOptions,
    OutboxOptions,
    TcpEndpoint,
    WebSocketOptions,
    WebSocketPathOptions,
)
from heliograph.transports.turn import BYTES_A_UNIT, Turn
from heliograph.transports.websocket import WebSocketConnection
from heliograph.transports.websocket_negotiation import Agreement
from heliograph.transports.websocket_service import WebSocketService
from heliograph.wire.permessage_deflate import DeflateAgreement, Deflater, deflate_alone
from heliograph.wire.websocket import BINARY, CONTINUATION, TEXT, MessageReader, server_frame

MIB = 1024 * 1024
MAX_MESSAGE_BYTES = 32 * MIB
"""Fuzzers send up to 16 MiB."""

OUTBOX_BYTES = 64 * MIB
MEMORY_LEVEL = 8
CLOSE_TIMEOUT_S = 2.0
DRAIN_TIMEOUT_S = 1.0


class EitherReader(MessageReader):
    """Puts messages of both kinds together: a text reader and a binary reader, each message by one of them.

    Args:
        max_message_bytes: the largest message taken.
        may_be_compressed: whether permessage-deflate was negotiated.
    """

    __slots__ = ("_is_between", "_of_kind", "_reading")

    def __init__(self, max_message_bytes: int, *, may_be_compressed: bool) -> None:
        super().__init__(TEXT, max_message_bytes, may_be_compressed=may_be_compressed)
        self._of_kind = {
            kind: MessageReader(kind, max_message_bytes, may_be_compressed=may_be_compressed)
            for kind in (TEXT, BINARY)
        }
        self._reading = TEXT
        self._is_between = True

    @property
    def is_within_message(self) -> bool:
        """Whether a message has begun and more of its fragments are to come."""
        return not self._is_between

    def read(
        self, opcode: int, payload: bytes, *, fin: bool, reserved: bool, rsv1: bool = False
    ) -> bytes | None:
        """Take one data frame and return the message it completes, if it does, behind a byte that tells its kind.

        Raises:
            WebSocketViolation: the frame may not stand here.
        """
        if opcode != CONTINUATION and self._is_between:
            self._reading = opcode
        reader = self._of_kind[self._reading]
        message = reader.read(opcode, payload, fin=fin, reserved=reserved, rsv1=rsv1)
        self.is_compressed = reader.is_compressed
        self._is_between = fin
        return None if message is None else bytes((self._reading,)) + message


class EchoConnection(WebSocketConnection):
    """A WebSocket connection that sends back what it gets."""

    __slots__ = ("_deflate",)

    def __init__(
        self,
        service: WebSocketService,
        transport: asyncio.Transport,
        agreed: Agreement,
        facts: ConnectionFacts,
    ) -> None:
        super().__init__(service, transport, agreed, facts)
        self._reader = EitherReader(MAX_MESSAGE_BYTES, may_be_compressed=agreed.deflate is not None)
        self._deflate = None if agreed.deflate is None else _compression(agreed.deflate)
        # Frames are made here, of the kind in which each message came.
        self._framer = None
        # No frame goes past the reader, which tells its kind.
        self._plain_type = None

    def _await_hello(self) -> None:
        """Nobody says HELLO here."""

    def _unpacked(self, message: bytes, *, is_compressed: bool) -> Iterator[bytes]:
        self._opcode = message[0]
        for unpacked in super()._unpacked(message[1:], is_compressed=is_compressed):
            yield message[:1] + unpacked

    def _handle(self, data: bytes) -> None:
        self._service.turn.spend(1 + len(data) // BYTES_A_UNIT)
        kind, message = data[0], data[1:]
        if self._deflate is None:
            self._enqueue(server_frame(kind, message))
        else:
            self._enqueue(server_frame(kind, self._deflate(message), is_compressed=True))


def _compression(agreed: DeflateAgreement) -> Callable[[bytes], bytes]:
    if agreed.server_keeps_context:
        return Deflater(window_bits=agreed.server_window_bits, memory_level=MEMORY_LEVEL).deflate
    return partial(deflate_alone, window_bits=agreed.server_window_bits, memory_level=MEMORY_LEVEL)


class EchoService(WebSocketService):
    """A WebSocket endpoint whose connections echo."""

    def _connection(
        self, transport: asyncio.Transport, agreed: Agreement, facts: ConnectionFacts
    ) -> WebSocketConnection:
        return EchoConnection(self, transport, agreed, facts)


async def serve(port: int) -> None:
    """Echo on loopback until SIGTERM or SIGINT.

    Args:
        port: 0 takes a free one.

    Raises:
        ListenFailed: the port cannot be had.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    service = _service(loop)
    services: dict[str, AsgiApplication] = {"/": WebSocketPage(service.subprotocols, is_shown=False)}
    http = HttpPort(
        Paths(services),
        {"": service}.get,
        turn=service.turn,
        options=HttpGuardOptions(),
        counters=service.counters,
        loop=loop,
    )
    endpoint = TcpEndpoint(port=port, interface=LOOPBACK)
    server = await listen(endpoint, http.connection, node_directory=Path())
    (address,) = addresses(server)
    say(f"Heliograph echo ready: ws://{address}/")
    await stopping.wait()
    server.close()
    await asyncio.gather(http.drain(DRAIN_TIMEOUT_S), service.drain(DRAIN_TIMEOUT_S))


def _service(loop: asyncio.AbstractEventLoop) -> EchoService:
    turn = Turn(loop)
    options = WebSocketPathOptions(
        options=WebSocketOptions(
            max_message_bytes=MAX_MESSAGE_BYTES,
            ping_interval_s=None,
            close_timeout_s=CLOSE_TIMEOUT_S,
            require_websocket_subprotocol=False,
            # As the client asks: fuzzers try contexts and windows.
            compression=CompressionOptions(
                deflate=DeflateOptions(no_context_takeover=False, request_no_context_takeover=False)
            ),
        ),
        outbox=OutboxOptions(limit_bytes=OUTBOX_BYTES),
    )
    # A connection belongs to a router; this one has no realms and hears nothing.
    router = Router(
        [],
        deliverer=OutboxDeliverer(turn),
        random_id=lambda: 1,
        clock=LoopClock(loop),
        work=turn,
        agent="echo",
    )
    return EchoService(options, router=router, turn=turn, counters=TransportCounters(), loop=loop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server and return the exit code.

    Args:
        arguments: those of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m heliograph.testing.echo", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="port on loopback; 0, the default, takes a free one"
    )
    parsed = parser.parse_args(arguments)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(parsed.port))
    except ListenFailed as failure:
        print_error(failure)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
