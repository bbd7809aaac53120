"""An echo server on the router's own WebSocket layer, for fuzzers: `python -m heliograph.testing.echo [--port N]`.

What comes passes the router's HTTP guard, handshake checks, frame parser, message reader, backlog and outbox; where the
router has a session, this has an echo. A message is sent back as the kind it came, text or binary.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from heliograph.auth.facts import ConnectionFacts
from heliograph.http.exchange import AsgiApplication
from heliograph.http.paths import Paths, websocket_only
from heliograph.http.protocol import HttpPort
from heliograph.routing.router import Router
from heliograph.testing.configuration import LOOPBACK
from heliograph.transports.clock import LoopClock
from heliograph.transports.counters import TransportCounters
from heliograph.transports.deliverer import OutboxDeliverer
from heliograph.transports.facts import connection_facts
from heliograph.transports.listener import ListenFailed, addresses, listen
from heliograph.transports.options import (
    HttpGuardOptions,
    OutboxOptions,
    TcpEndpoint,
    WebSocketOptions,
    WebSocketPathOptions,
)
from heliograph.transports.turn import BYTES_A_UNIT, Turn
from heliograph.transports.websocket import WebSocketConnection, WebSocketFormat
from heliograph.transports.websocket_service import Handshake, WebSocketService
from heliograph.wire.serializers import serializer
from heliograph.wire.websocket import BINARY, CONTINUATION, TEXT, MessageReader, accept_key, server_frame

MIB = 1024 * 1024
MAX_MESSAGE_BYTES = 32 * MIB
"""Fuzzers send up to 16 MiB."""

OUTBOX_BYTES = 64 * MIB
CLOSE_TIMEOUT_S = 2.0
DRAIN_TIMEOUT_S = 1.0


class EitherReader:
    """Puts messages of both kinds together: a text reader and a binary reader, each message by one of them.

    Args:
        max_message_bytes: the largest message taken.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self._readers = {kind: MessageReader(kind, max_message_bytes) for kind in (TEXT, BINARY)}
        self._kind = TEXT
        self._is_within_message = False

    def read(self, opcode: int, payload: bytes, *, fin: bool, **bits: Any) -> bytes | None:
        """Take one data frame and return the message it completes, if it does, behind a byte that tells its kind.

        Raises:
            WebSocketViolation: the frame may not stand here.
        """
        if opcode != CONTINUATION and not self._is_within_message:
            self._kind = opcode
        message = self._readers[self._kind].read(opcode, payload, fin=fin, **bits)
        self._is_within_message = not fin
        return None if message is None else bytes((self._kind,)) + message


class EchoConnection(WebSocketConnection):
    """A WebSocket connection that sends back what it gets."""

    __slots__ = ()

    _reader: EitherReader  # type: ignore[assignment]  # it reads as a MessageReader does

    def __init__(
        self,
        service: WebSocketService,
        transport: asyncio.Transport,
        facts: ConnectionFacts,
    ) -> None:
        json = serializer("json")
        super().__init__(service, transport, json, WebSocketFormat(json), facts)
        self._reader = EitherReader(MAX_MESSAGE_BYTES)

    def _await_hello(self) -> None:
        """Nobody says HELLO here."""

    def _handle(self, data: bytes) -> None:
        self._service.turn.spend(1 + len(data) // BYTES_A_UNIT)
        self._enqueue(server_frame(data[0], data[1:]))


class EchoService(WebSocketService):
    """A WebSocket endpoint that asks for no subprotocol."""

    def accept(self, handshake: Handshake, transport: asyncio.Transport, early: bytes) -> None:
        """Answer `handshake` and echo from now on; raises `HandshakeRefused`."""
        self._check(handshake, transport)
        key = handshake.headers["sec-websocket-key"].encode()
        transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_key(key)
        )
        connection = EchoConnection(self, transport, connection_facts(transport))
        self.remember(connection)
        connection.start(early)


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
    services: dict[str, AsgiApplication] = {"/": websocket_only}
    http = HttpPort(
        Paths(services),
        {"": service},
        turn=service.turn,
        options=HttpGuardOptions(),
        counters=service.counters,
        loop=loop,
    )
    endpoint = TcpEndpoint(port=port, interface=LOOPBACK)
    server = await listen(endpoint, http.connection, node_directory=Path())
    (address,) = addresses(server)
    print(f"Heliograph echo ready: ws://{address}/", flush=True)  # noqa: T201 - what a fuzzer is told
    await stopping.wait()
    server.close()
    await asyncio.gather(http.drain(DRAIN_TIMEOUT_S), service.drain(DRAIN_TIMEOUT_S))


def _service(loop: asyncio.AbstractEventLoop) -> EchoService:
    turn = Turn(loop)
    options = WebSocketPathOptions(
        options=WebSocketOptions(
            max_message_bytes=MAX_MESSAGE_BYTES, ping_interval_s=None, close_timeout_s=CLOSE_TIMEOUT_S
        ),
        outbox=OutboxOptions(limit_bytes=OUTBOX_BYTES),
    )
    # A connection belongs to a router; this one has no realms and hears nothing.
    router = Router(
        [], deliverer=OutboxDeliverer(turn), random_id=lambda: 1, clock=LoopClock(loop), agent="echo"
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
        print(failure, file=sys.stderr)  # noqa: T201 - the command line's answer
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
