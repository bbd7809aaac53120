"""A WebSocket client that sends exactly what it is told, right or wrong, and a WAMP client upon it.

It shares no code with the router: frames are built here, messages by json, msgpack and cbor2.
"""

import asyncio
import base64
import contextlib
import json
import os
import ssl
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cbor2
import msgpack

DEADLINE_S = 15.0
"""No step of a test waits longer than this."""

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

HELLO_ROLES: Mapping[str, Any] = {"publisher": {}, "subscriber": {}, "caller": {}, "callee": {}}

ABLE_ROLES: Mapping[str, Any] = {
    role: {
        "features": dict.fromkeys(
            (
                "call_canceling",
                "call_timeout",
                "call_reroute",
                "payload_passthru_mode",
                "progressive_call_results",
                "progressive_call_invocations",
                "registration_revocation",
                "subscription_revocation",
            ),
            True,
        )
    }
    for role in HELLO_ROLES
}
"""Roles of a client that can do everything the router makes a difference by."""

Address = tuple[str, int]


@dataclass(frozen=True)
class Tls:
    """A door behind TLS; the certificate must be that of `localhost`."""

    door: "Address | str"
    context: ssl.SSLContext


Door = Address | str | Tls
"""Where a test connects to: host and port, the path of a Unix socket, or either of them in TLS."""


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes
    fin: bool = True
    reserved: int = 0

    @property
    def close_code(self) -> int:
        return int.from_bytes(self.payload[:2], "big") if self.payload else 1005

    @property
    def close_reason(self) -> str:
        return self.payload[2:].decode()


@dataclass(frozen=True)
class Response:
    """The head of an HTTP response, and its body when there is a length."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    masked: bool = True,
    announced: int | None = None,
) -> bytes:
    """Return a client's frame; `announced` claims another length than the payload has."""
    length = len(payload) if announced is None else announced
    mask_bit = 0x80 if masked else 0
    if length < 126:
        head = struct.pack("!BB", fin << 7 | reserved << 4 | opcode, mask_bit | length)
    elif length < 65536:
        head = struct.pack("!BBH", fin << 7 | reserved << 4 | opcode, mask_bit | 126, length)
    else:
        head = struct.pack("!BBQ", fin << 7 | reserved << 4 | opcode, mask_bit | 127, length)
    # A mask of zeros is a mask: the payload stays legible in a failing test.
    return head + (bytes(4) if masked else b"") + payload


def masked_frame(opcode: int, payload: bytes) -> bytes:
    """Return a frame with a mask that does something."""
    mask = os.urandom(4)
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return frame(opcode, payload)[: -len(payload) - 4] + mask + body


def upgrade_request(
    path: str = "/ws",
    *,
    subprotocols: str | None = "wamp.2.json",
    headers: Mapping[str, str | None] | None = None,
    method: str = "GET",
    version: str = "1.1",
) -> bytes:
    """Return a handshake; a header given as None is left out."""
    all_headers: dict[str, str | None] = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Protocol": subprotocols,
    }
    all_headers.update(headers or {})
    lines = [f"{method} {path} HTTP/{version}"]
    lines += [f"{name}: {value}" for name, value in all_headers.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


_OPEN: set[asyncio.StreamWriter] = set()


async def abort_all_connections() -> None:
    """Drop what a test, perhaps a failing one, has left open."""
    for writer in list(_OPEN):
        writer.transport.abort()
    _OPEN.clear()
    # The loop tells transports of their end in its next turn.
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class Connection:
    """A TCP connection to the router."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        _OPEN.add(writer)

    @classmethod
    async def open(cls, door: Door) -> "Connection":
        options: dict[str, Any] = {"limit": 2**24}
        if isinstance(door, Tls):
            options |= {"ssl": door.context, "server_hostname": "localhost"}
            door = door.door
        async with asyncio.timeout(DEADLINE_S):
            if isinstance(door, str):
                return cls(*await asyncio.open_unix_connection(door, **options))
            return cls(*await asyncio.open_connection(*door, **options))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(DEADLINE_S):
            await self.writer.drain()

    async def response(self) -> Response:
        """Read one HTTP response."""
        async with asyncio.timeout(DEADLINE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head.strip().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
            return Response(int(status_line.split()[1]), headers, body)

    async def ends(self) -> bytes:
        """Read until the router closes the connection; return what came before."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    def abort(self) -> None:
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            await self.writer.wait_closed()


class WebSocket(Connection):
    """A WebSocket past its handshake."""

    async def send_frame(self, opcode: int, payload: bytes = b"", **how: Any) -> None:
        await self.send(frame(opcode, payload, **how))

    async def read_frame(self) -> Frame:
        """Return the next frame; raises `EOFError` when the connection ended between two."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                first, second = await self.reader.readexactly(2)
            except asyncio.IncompleteReadError as error:
                raise EOFError("the router closed the connection") from error
            assert not second & 0x80, "a server's frame must not be masked"
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            payload = await self.reader.readexactly(length)
        return Frame(first & 0x0F, payload, bool(first & 0x80), first >> 4 & 0x7)

    async def closed(self) -> Frame:
        """Read the CLOSE that must come next, answer it, and see the connection end."""
        close = await self.read_frame()
        assert close.opcode == CLOSE, close
        with contextlib.suppress(ConnectionError):
            await self.send_frame(CLOSE, close.payload)
            assert await self.ends() == b"", "nothing may follow CLOSE"
        return close


async def open_websocket(
    door: Door,
    path: str = "/ws",
    *,
    subprotocols: str | None = "wamp.2.json",
    headers: Mapping[str, str | None] | None = None,
    early: bytes = b"",
) -> WebSocket:
    """Connect and shake hands; `early` is sent in the same segment as the request."""
    plain = await Connection.open(door)
    await plain.send(upgrade_request(path, subprotocols=subprotocols, headers=headers) + early)
    response = await plain.response()
    assert response.status == 101, response
    return WebSocket(plain.reader, plain.writer)


def encode(serializer: str, message: Any) -> bytes:
    if serializer == "json":
        return json.dumps(message).encode()
    return msgpack.packb(message) if serializer == "msgpack" else cbor2.dumps(message)


def decode(serializer: str, data: bytes) -> Any:
    if serializer == "json":
        return json.loads(data)
    return msgpack.unpackb(data) if serializer == "msgpack" else cbor2.loads(data)


class WampClient:
    """A WAMP client that speaks in lists."""

    def __init__(self, socket: WebSocket, serializer: str) -> None:
        self.socket = socket
        self.serializer = serializer
        self.opcode = TEXT if serializer == "json" else BINARY
        self.session_id = 0

    async def send(self, *messages: Sequence[Any]) -> None:
        """Send all messages in one write."""
        await self.socket.send(
            b"".join(frame(self.opcode, encode(self.serializer, list(message))) for message in messages)
        )

    async def receive(self) -> list[Any]:
        """Return the next message."""
        received = await self.socket.read_frame()
        assert received.opcode == self.opcode, received
        message = decode(self.serializer, received.payload)
        assert isinstance(message, list)
        return message

    async def ask(self, *message: Any) -> list[Any]:
        """Send one message and return the next that comes."""
        await self.send(message)
        return await self.receive()

    async def join(self, realm: str = "realm1", *, roles: Mapping[str, Any] = HELLO_ROLES) -> None:
        welcome = await self.ask(1, realm, {"roles": roles})
        assert welcome[0] == 2, welcome
        self.session_id = welcome[1]

    async def leave(self) -> None:
        """GOODBYE, CLOSE, end."""
        assert await self.ask(6, {}, "wamp.close.normal") == [6, {}, "wamp.close.goodbye_and_out"]
        await self.socket.send_frame(CLOSE, struct.pack("!H", 1000))
        assert (await self.socket.read_frame()).close_code == 1000
        assert await self.socket.ends() == b""

    async def aborted(self) -> tuple[str, str]:
        """Read ABORT and CLOSE; return ABORT's reason and message."""
        abort = await self.receive()
        assert abort[0] == 3, abort
        close = await self.socket.closed()
        assert close.close_code == 1000, close
        return abort[2], abort[1].get("message", "")

    async def closed(self) -> None:
        """See the router say CLOSE, for no fault of ours, and the connection end."""
        close = await self.socket.closed()
        assert close.close_code == 1000, close

    async def break_off(self) -> None:
        """End the connection without a word, as a crash does."""
        self.socket.abort()

    async def finish(self) -> None:
        """Say CLOSE; nothing more comes."""
        await self.socket.send_frame(CLOSE, struct.pack("!H", 1000))

    async def finished(self) -> None:
        """See the router answer CLOSE, and the connection end."""
        assert (await self.socket.read_frame()).close_code == 1000
        assert await self.socket.ends() == b""


async def connect_wamp(door: Door, serializer: str = "json", path: str = "/ws") -> WampClient:
    """Return a client before HELLO."""
    return WampClient(await open_websocket(door, path, subprotocols=f"wamp.2.{serializer}"), serializer)


@contextlib.asynccontextmanager
async def joined(door: Door, serializer: str = "json", path: str = "/ws") -> AsyncIterator[WampClient]:
    """A client in realm1 until the block ends."""
    client = await connect_wamp(door, serializer, path)
    try:
        await client.join()
        yield client
    finally:
        client.socket.abort()


async def request(
    door: Door,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send one HTTP request on a connection of its own and read the response."""
    connection = await Connection.open(door)
    try:
        await connection.send(http_request(method, target, body, headers))
        return await connection.response()
    finally:
        connection.abort()


def http_request(
    method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    all_headers = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **(headers or {})}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in all_headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


async def post_json(door: Door, target: str, value: Any, **headers: str) -> Response:
    all_headers = {"Content-Type": "application/json"}
    all_headers.update({name.replace("_", "-"): text for name, text in headers.items()})
    return await request(door, "POST", target, json.dumps(value).encode(), all_headers)
