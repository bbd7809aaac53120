"""Messages over a RawSocket."""

import asyncio
import logging
import ssl
from collections.abc import Mapping, Sequence
from typing import cast

from heliograph.client.address import Address
from heliograph.client.errors import BadPayload, ConnectFailed
from heliograph.client.link import Receiver
from heliograph.client.options import ClientOptions
from heliograph.client.sockets import connected_socket, explained
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Message
from heliograph.wire.rawsocket import (
    HANDSHAKE_BYTES,
    LARGEST_MESSAGE_BYTES,
    MAGIC,
    MESSAGE,
    PING,
    PONG,
    SERIALIZER_IDS,
    FrameReader,
    HandshakeError,
    RawSocketViolation,
    announced_limit,
    frame,
    handshake,
    limit_exponent,
)
from heliograph.wire.serializers.serializer import Serializer

logger = logging.getLogger("heliograph.client")

_SERIALIZER_BITS = 0x0F

_REFUSALS = {
    HandshakeError.SERIALIZER_UNSUPPORTED: "speaks none of the serializers that were offered",
    HandshakeError.LENGTH_UNACCEPTABLE: "does not accept this length of messages",
    HandshakeError.RESERVED_BITS_USED: "knows another form of the handshake",
    HandshakeError.TOO_MANY_CONNECTIONS: "has as many connections as it may have",
}


class RawSocketLink(asyncio.Protocol):
    """One RawSocket to a router, sending and receiving WAMP messages.

    Args:
        serializer: the serializer that is asked for.
        receiver: who takes the messages.
        options: limits and timeouts.
    """

    def __init__(self, serializer: Serializer, receiver: Receiver, options: ClientOptions) -> None:
        self.serializer = serializer
        self.opened: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._receiver = receiver
        self._options = options
        self._loop = asyncio.get_running_loop()
        exponent = limit_exponent(options.max_message_bytes)
        self._hello = handshake(serializer.name, options.max_message_bytes)
        self._reader = FrameReader(announced_limit(exponent))
        self._limit_bytes = LARGEST_MESSAGE_BYTES
        self._transport: asyncio.Transport | None = None
        self._begin = bytearray()
        self._is_closing = False
        self._why = ""
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()
        self._defect: Exception | None = None
        self._was_heard = False
        self._ping_timer: asyncio.TimerHandle | None = None
        self._abort_timer: asyncio.TimerHandle | None = None

    # What the protocol and the session do with it

    def send(self, message: Message) -> None:
        """Send `message`.

        Raises:
            PayloadError: it cannot be expressed.
            BadPayload: the router does not take so much.
        """
        if self._transport is None or self._is_closing:
            return
        data = self.serializer.encode(message)
        if len(data) > self._limit_bytes:
            raise BadPayload(
                f"a message of {len(data)} bytes is too long: the router takes {self._limit_bytes}"
            )
        self._transport.write(frame(MESSAGE, data))

    async def writable(self) -> None:
        """Wait until what is unsent is below the high-water mark, or the connection is gone."""
        await self._writable.wait()

    @property
    def is_writable(self) -> bool:
        """Whether what is unsent is below the high-water mark."""
        return self._writable.is_set()

    def close(self) -> None:
        """Send what waits, then close; cut the connection when the other side does not finish in time."""
        transport = self._transport
        if self._is_closing or transport is None:
            return
        self._is_closing = True
        if transport.can_write_eof():
            # Its other half is left for the router to close: closing it with events unread would make the kernel reset
            # the connection, and the router might never read our last messages.
            transport.write_eof()
        else:
            transport.close()
        self._abort_timer = self._loop.call_later(self._options.close_timeout_s, self.abort)

    def abort(self) -> None:
        """Cut the connection at once; what is unsent is lost."""
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone; raises what a defect in receiving raised, if anything."""
        await self._closed.wait()
        if self._defect is not None:
            raise self._defect

    # The handshake

    def agreed(self, limit_bytes: int) -> None:
        """Take note of the router's limit: messages may go now."""
        self._limit_bytes = limit_bytes
        self._ping_timer = self._loop.call_later(self._options.ping_interval_s, self._ping)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a serializer."""
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=self._options.write_high_water_bytes)
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        """Take the next piece of the stream."""
        self._was_heard = True
        if not self.opened.done():
            self._begin += data
            if len(self._begin) < HANDSHAKE_BYTES:
                return
            data = bytes(self._begin[HANDSHAKE_BYTES:])
            self.opened.set_result(bytes(self._begin[:HANDSHAKE_BYTES]))
            if data:
                # "the peer MUST NOT send anything before" HELLO: a router has nothing to say yet.
                self._end(ProtocolViolation("the router speaks before it was spoken to"))
            return
        try:
            self._read(data)
        except Exception as defect:  # noqa: BLE001 - raised by `wait_closed`
            self._defect = defect
            self.abort()

    def _read(self, data: bytes) -> None:
        try:
            for kind, payload in self._reader.read(data):
                if self._is_closing:
                    return
                if kind == MESSAGE:
                    self._receiver.receive(self.serializer.decode(payload))
                elif kind == PING:
                    self._answer_ping(payload)
        except RawSocketViolation as violation:
            self._end(ProtocolViolation(str(violation)))
        except ProtocolViolation as violation:
            self._end(violation)

    def _answer_ping(self, payload: bytes) -> None:
        if len(payload) > self._limit_bytes:
            raise RawSocketViolation("a PING is longer than the PONG may be")
        if self._transport is not None:
            self._transport.write(frame(PONG, payload))

    def _end(self, violation: ProtocolViolation) -> None:
        self._receiver.violated(violation)
        self.close()

    def pause_writing(self) -> None:
        """The transport holds more than the high-water mark."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The transport has room again."""
        self._writable.set()

    def eof_received(self) -> bool:
        """The router has closed its side; asyncio closes ours."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody that the connection is gone."""
        for timer in (self._ping_timer, self._abort_timer):
            if timer is not None:
                timer.cancel()
        self._is_closing = True
        self._writable.set()
        self._closed.set()
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionResetError("the connection was closed"))
            return
        if not self._why:
            self._why = "the router closed the connection" if exc is None else f"the connection broke: {exc}"
        self._receiver.lost(self._why)

    # Pings

    def _ping(self) -> None:
        """Ask for a sign of life where there was none since the last time."""
        options = self._options
        if self._was_heard:
            self._was_heard = False
            self._ping_timer = self._loop.call_later(options.ping_interval_s, self._ping)
        elif self._transport is not None:
            self._transport.write(frame(PING, b""))
            self._ping_timer = self._loop.call_later(options.ping_timeout_s, self._check_pong)

    def _check_pong(self) -> None:
        if self._was_heard:
            self._ping()
            return
        self._why = f"the router has not answered a ping within {self._options.ping_timeout_s:g} s"
        self.abort()


async def open_rawsocket(
    address: Address,
    *,
    serializers: Sequence[Serializer],
    receiver: Receiver,
    options: ClientOptions,
    ssl_context: ssl.SSLContext | None,
    headers: Mapping[str, str],
) -> RawSocketLink:
    """Open a RawSocket that speaks the first of `serializers` that the router takes.

    Raises:
        ConnectFailed: it did not open; the text says what to check.
    """
    if headers:
        raise ConnectFailed("RawSocket has no headers", is_temporary=False)
    link: RawSocketLink | None = None
    refusal: int | None = None
    try:
        async with asyncio.timeout(options.open_timeout_s):
            for serializer in serializers:
                link = RawSocketLink(serializer, receiver, options)
                await _open(link, address, options, ssl_context)
                answer = await link.opened
                refusal = _refusal(answer)
                if refusal is None:
                    link.agreed(_limit(answer, link.serializer, address))
                    return link
                await _cut(link)
                if refusal != HandshakeError.SERIALIZER_UNSUPPORTED:
                    break
    except OSError as error:
        if link is not None:
            link.abort()
        raise explained(error, address, options.open_timeout_s) from error
    except BaseException:
        if link is not None:
            link.abort()
        raise
    raise _refused(address, refusal)


async def _open(
    link: RawSocketLink, address: Address, options: ClientOptions, ssl_context: ssl.SSLContext | None
) -> None:
    connected = await connected_socket(address, options.open_timeout_s)
    loop = asyncio.get_running_loop()
    try:
        if address.socket_path is not None:
            await loop.create_unix_connection(lambda: link, sock=connected)
        elif address.is_tls:
            context = ssl_context or ssl.create_default_context()
            await loop.create_connection(
                lambda: link, sock=connected, ssl=context, server_hostname=address.host
            )
        else:
            await loop.create_connection(lambda: link, sock=connected)
    except BaseException:
        connected.close()
        raise


async def _cut(link: RawSocketLink) -> None:
    link.abort()
    await link.wait_closed()


def _refusal(answer: bytes) -> int | None:
    """Return the error octet of the router's answer, or None when it agrees."""
    if answer[0] == MAGIC and answer[1] & _SERIALIZER_BITS == 0:
        return answer[1] >> 4
    return None


def _limit(answer: bytes, asked: Serializer, address: Address) -> int:
    """Return the router's limit; raises `ConnectFailed` when its answer is none."""
    magic, choices, third, fourth = answer
    if magic != MAGIC or third or fourth or choices & _SERIALIZER_BITS != SERIALIZER_IDS[asked.name]:
        said = "like HTTP: is it ws:// there?" if answer == b"HTTP" else answer.hex(" ")
        text = f"{address.shown} does not speak WAMP over RawSocket: it answers {said}"
        raise ConnectFailed(text, is_temporary=False)
    return announced_limit(choices >> 4)


def _refused(address: Address, error: int | None) -> ConnectFailed:
    known: dict[int | None, str] = {int(each): text for each, text in _REFUSALS.items()}
    text = known.get(error, f"refuses for a reason that has no name: {error}")
    is_temporary = error == HandshakeError.TOO_MANY_CONNECTIONS
    return ConnectFailed(f"{address.shown} {text}", is_temporary=is_temporary)
