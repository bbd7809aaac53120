"""A long-poll client that sends exactly what it is told, by plain HTTP requests."""

import asyncio
import contextlib
import json
import struct
from collections.abc import Mapping
from typing import Any

from tests.support.websocket import (
    DEADLINE_S,
    HELLO_ROLES,
    Connection,
    Door,
    Response,
    decode,
    encode,
    http_request,
)


class LongPollClient:
    """One session; each kind of request has an HTTP connection of its own, which stays open.

    Args:
        door: where the router is.
        path: of the service.
        opened: the answer to `open`.
    """

    def __init__(self, door: Door, path: str, opened: Mapping[str, str]) -> None:
        self._door = door
        self.base = f"{path}/{opened['transport']}"
        self.protocol = opened["protocol"]
        name = self.protocol.removeprefix("wamp.2.")
        self.serializer = name.removesuffix(".batched")
        self.is_batched = name != self.serializer
        self.session_id = 0
        self.batches: list[int] = []
        self._read: list[Any] = []
        self._connections: dict[str, Connection] = {}

    @classmethod
    async def open(cls, door: Door, serializer: str = "json", path: str = "/lp") -> "LongPollClient":
        """Return a client before HELLO."""
        body = json.dumps({"protocols": [f"wamp.2.{serializer}"]}).encode()
        connection = await Connection.open(door)
        await connection.send(http_request("POST", f"{path}/open", body))
        response = await connection.response()
        assert response.status == 200, response
        client = cls(door, path, response.json)
        client._connections["send"] = connection
        return client

    @classmethod
    async def join(cls, door: Door, serializer: str = "json", path: str = "/lp") -> "LongPollClient":
        client = await cls.open(door, serializer, path)
        welcome = await client.ask(1, "realm1", {"roles": HELLO_ROLES})
        assert welcome[0] == 2, welcome
        client.session_id = welcome[1]
        return client

    async def post(
        self, action: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        """Post to one of the session's URLs and return the answer."""
        connection = self._connections.get(action)
        if connection is None:
            connection = self._connections[action] = await Connection.open(self._door)
        await connection.send(http_request("POST", f"{self.base}/{action}", body, headers))
        return await connection.response()

    async def send(self, *messages: Any) -> None:
        """Post messages: together where they are batched, else one by one."""
        parts = [encode(self.serializer, list(message)) for message in messages]
        bodies = parts
        if self.is_batched and self.serializer == "json":
            bodies = [b"".join(part + b"\x1e" for part in parts)]
        elif self.is_batched:
            bodies = [b"".join(struct.pack("!L", len(part)) + part for part in parts)]
        for body in bodies:
            response = await self.post("send", body)
            assert response.status == 204, response

    async def receive(self) -> Any:
        """Return the next message, asking as often as it takes."""
        async with asyncio.timeout(DEADLINE_S):
            while not self._read:
                response = await self.post("receive")
                assert response.status in (200, 204), response
                if response.status == 200:
                    self._read = self._unpacked(response.body)
                    self.batches.append(len(self._read))
        return self._read.pop(0)

    async def ask(self, *message: Any) -> Any:
        await self.send(message)
        return await self.receive()

    async def over(self) -> str:
        """Ask for messages until the session is over; return what is said about it."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                response = await self.post("receive")
                if response.status not in (200, 204):
                    assert response.status == 410, response
                    return response.body.decode()

    def drop(self) -> None:
        """Drop all connections."""
        for connection in self._connections.values():
            connection.abort()
        self._connections.clear()

    def _unpacked(self, body: bytes) -> list[Any]:
        if not self.is_batched:
            return [decode(self.serializer, body)]
        parts: list[bytes] = []
        if self.serializer == "json":
            assert body.endswith(b"\x1e")
            parts = body[:-1].split(b"\x1e")
        while self.serializer != "json" and body:
            (length,) = struct.unpack("!L", body[:4])
            parts.append(body[4 : 4 + length])
            body = body[4 + length :]
        return [decode(self.serializer, part) for part in parts]


@contextlib.asynccontextmanager
async def polling(door: Door, serializer: str = "json", path: str = "/lp") -> Any:
    """A client in realm1 until the block ends."""
    client = await LongPollClient.join(door, serializer, path)
    try:
        yield client
    finally:
        client.drop()
