"""A router over RawSocket that does what a test tells it."""

import asyncio
import os
import tempfile
from typing import Any

from heliograph.wamp.messages import Message
from heliograph.wire.rawsocket import MESSAGE, PING, PONG, FrameReader, frame, handshake
from heliograph.wire.serializers import serializer
from heliograph.wire.serializers.serializer import Serializer
from tests.client.scripted_router import ScriptedRouter

LARGEST = 2**24
NAMES = {1: "json", 2: "msgpack", 3: "cbor"}


class RawPeer(asyncio.Protocol):
    """One client, as the scripted router sees it."""

    def __init__(self, router: "ScriptedRawRouter") -> None:
        self.router = router
        self.serializer: Serializer = serializer("json")
        self.transport: asyncio.Transport | None = None
        self.received: list[Message] = []
        self.pings = 0
        self.pongs: list[bytes] = []
        self.handshake = b""
        self.is_closed = asyncio.Event()
        self._reader = FrameReader(LARGEST)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.router.add(self)  # type: ignore[arg-type]  # it has what a Peer has

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        if len(self.handshake) < 4:
            self.handshake += data[:4]
            data = data[4:]
            if self.router.answer is not None:
                self.transport.write(self.router.answer(self.handshake))
            else:
                self.serializer = serializer(NAMES[self.handshake[1] & 15])
                self.transport.write(handshake(self.serializer.name, self.router.limit_bytes))
        for kind, payload in self._reader.read(data):
            self._take(kind, payload)
            self.router.note()

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == MESSAGE:
            message = self.serializer.decode(payload)
            self.received.append(message)
            self.router.script(self, message)  # type: ignore[arg-type]  # it has what a Peer has
        elif kind == PING:
            self.pings += 1
            if self.router.answers_ping:
                self.send_frame(PONG, payload)
        else:
            self.pongs.append(payload)

    def eof_received(self) -> bool:
        return not self.router.answers_close

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed.set()
        self.router.note()

    def send(self, *answers: Message) -> None:
        for answer in answers:
            self.send_frame(MESSAGE, self.serializer.encode(answer))

    def send_frame(self, kind: int, payload: bytes) -> None:
        self.write(frame(kind, payload))

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def drop(self) -> None:
        assert self.transport is not None
        self.transport.abort()

    def names(self) -> list[str]:
        return [type(message).__name__ for message in self.received]


class ScriptedRawRouter(ScriptedRouter):
    """Answers each message by `script`, over TCP, TLS or a Unix socket."""

    def __init__(self, *, is_unix: bool = False) -> None:
        super().__init__()
        self.answer: Any = None
        self.answers_ping = True
        self.limit_bytes = LARGEST
        self.is_unix = is_unix
        self.path = ""

    @property
    def url(self) -> str:
        if self.is_unix:
            return f"unix:{self.path}"
        return f"{'rs' if self.tls is None else 'rss'}://{self.host}:{self.port}"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        if self.is_unix:
            self.path = os.path.join(tempfile.mkdtemp(), "router.sock")
            self._server = await loop.create_unix_server(lambda: RawPeer(self), self.path)
            return
        self._server = await loop.create_server(lambda: RawPeer(self), self.host, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
