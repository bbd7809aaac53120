"""How the clients of a scenario are linked to the router."""

from collections.abc import Mapping
from typing import Any

from tests.support.websocket import HELLO_ROLES, Address, WampClient, connect_wamp


class Link:
    """How the clients of a scenario reach the router: further transports join by another parameter.

    Args:
        address: of the router.
        serializers: what the clients of one test speak, in turn.
    """

    def __init__(self, address: Address, serializers: tuple[str, ...]) -> None:
        self._address = address
        self._serializers = serializers
        self._connected: list[WampClient] = []

    async def connect(self, path: str = "/ws") -> WampClient:
        """Return a client before HELLO."""
        serializer = self._serializers[len(self._connected) % len(self._serializers)]
        client = await connect_wamp(self._address, serializer, path)
        self._connected.append(client)
        return client

    async def join(self, path: str = "/ws", *, roles: Mapping[str, Any] = HELLO_ROLES) -> WampClient:
        """Return a client that has joined."""
        client = await self.connect(path)
        await client.join(roles=roles)
        return client

    def drop_all(self) -> None:
        for client in self._connected:
            client.socket.abort()
