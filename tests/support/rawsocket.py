"""A RawSocket client made of octets, independent of the code under test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from tests.support.websocket import DEADLINE_S, HELLO_ROLES, Connection, Door, decode, encode

MESSAGE, PING, PONG = 0, 1, 2
SERIALIZERS = {"json": 1, "msgpack": 2, "cbor": 3}
LARGEST = 15


def rawsocket_frame(payload: bytes, kind: int = MESSAGE, *, length: int | None = None) -> bytes:
    """Return a frame; `length` is what its head says, also where that is wrong."""
    return bytes([kind]) + (len(payload) if length is None else length).to_bytes(3, "big") + payload


class RawSocket(Connection):
    """A RawSocket, whose handshake is up to the test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.serializer = "json"
        self.session_id = 0
        self.answer = b""

    async def octets(self, count: int) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.readexactly(count)

    async def shake_hands(self, serializer: str = "json", exponent: int = LARGEST) -> None:
        """Ask for a serializer, announce 2^(9+exponent) octets, and keep the answer."""
        self.serializer = serializer
        await self.send(bytes([0x7F, exponent << 4 | SERIALIZERS[serializer], 0, 0]))
        self.answer = await self.octets(4)
        assert self.answer[0] == 0x7F, self.answer
        assert self.answer[1] & 0x0F == SERIALIZERS[serializer], self.answer

    async def read_frame(self) -> tuple[int, bytes]:
        """Return kind and payload; raises `EOFError` when the connection ended between two frames."""
        try:
            head = await self.octets(4)
        except asyncio.IncompleteReadError as error:
            raise EOFError(f"the router closed the connection behind {error.partial!r}") from error
        length = int.from_bytes(head[1:], "big") or (2**24 if head[0] & 8 else 0)
        return head[0] & 7, await self.octets(length)

    def framed(self, *messages: Sequence[Any]) -> bytes:
        return b"".join(rawsocket_frame(encode(self.serializer, list(message))) for message in messages)

    async def tell(self, *messages: Sequence[Any]) -> None:
        """Send messages, all in one write."""
        await self.send(self.framed(*messages))

    async def receive(self) -> list[Any]:
        """Return the next message."""
        kind, payload = await self.read_frame()
        assert kind == MESSAGE, (kind, payload)
        message = decode(self.serializer, payload)
        assert isinstance(message, list)
        return message

    async def ask(self, *message: Any) -> list[Any]:
        """Send one message and return the next that comes."""
        await self.tell(message)
        return await self.receive()

    async def join(self, realm: str = "realm1") -> None:
        welcome = await self.ask(1, realm, {"roles": HELLO_ROLES})
        assert welcome[0] == 2, welcome
        self.session_id = welcome[1]

    async def aborted(self) -> tuple[str, str]:
        """Read ABORT and the end; return ABORT's reason and message."""
        abort = await self.receive()
        assert abort[0] == 3, abort
        assert await self.ends() == b"", "nothing may follow ABORT"
        return abort[2], abort[1].get("message", "")


async def open_rawsocket(door: Door) -> RawSocket:
    """Return a connection before its handshake."""
    plain = await Connection.open(door)
    return RawSocket(plain.reader, plain.writer)


@contextlib.asynccontextmanager
async def joined_rawsocket(
    door: Door, serializer: str = "json", exponent: int = LARGEST
) -> AsyncIterator[RawSocket]:
    """A client in realm1 until the block ends."""
    client = await open_rawsocket(door)
    try:
        await client.shake_hands(serializer, exponent)
        await client.join()
        yield client
    finally:
        client.abort()
