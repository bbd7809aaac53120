"""How the clients of a scenario are linked to the router."""

from tests.support.websocket import Address, WampClient, connect_wamp


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

    async def connect(self) -> WampClient:
        """Return a client before HELLO."""
        serializer = self._serializers[len(self._connected) % len(self._serializers)]
        client = await connect_wamp(self._address, serializer)
        self._connected.append(client)
        return client

    async def join(self) -> WampClient:
        """Return a client that has joined."""
        client = await self.connect()
        await client.join()
        return client

    def drop_all(self) -> None:
        for client in self._connected:
            client.socket.abort()
