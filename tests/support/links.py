"""How the clients of a scenario are linked to the router: transports and formats, and routers with a door for each."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from tests.support.certificates import Identity, client_context
from tests.support.longpoll import LongPollClient
from tests.support.nodes import USUAL_PATHS, RouterProcess, node_config, router_process, web_transport
from tests.support.rawsocket import RawSocket, open_rawsocket
from tests.support.websocket import HELLO_ROLES, Door, Tls, connect_wamp

SERIALIZERS = ("json", "msgpack", "cbor")
TRANSPORTS = ("ws", "wss", "rawsocket", "unix", "universal_rawsocket", "universal_ws", "longpoll")

# What is left of a WebSocket path's options where another transport offers the same sessions.
_OF_WEBSOCKET_ALONE = {"type", "options", "outbox", "serializers"}


class Client(Protocol):
    """A WAMP client that speaks in lists, whatever links it to the router.

    Attributes:
        serializer: the format it speaks.
        session_id: of its session, once it has joined.
    """

    serializer: str
    session_id: int

    async def send(self, *messages: Any) -> None:
        """Send all messages, in one write where the transport can."""

    async def receive(self) -> list[Any]:
        """Return the next message."""

    async def ask(self, *message: Any) -> list[Any]:
        """Send one message and return the next that comes."""

    async def join(self, realm: str = "realm1", *, roles: Mapping[str, Any] = HELLO_ROLES) -> None:
        """Say HELLO; WELCOME must come."""

    async def leave(self) -> None:
        """Say GOODBYE, hear it, and end the connection."""

    async def aborted(self) -> tuple[str, str]:
        """Read ABORT and the end; return ABORT's reason and message."""

    async def closed(self) -> None:
        """See the router end the connection."""

    async def break_off(self) -> None:
        """End the connection without a word, as a crash does."""

    async def finish(self) -> None:
        """Say in the transport's own words that nothing more comes; what was said counts."""

    async def finished(self) -> None:
        """See the router end the connection after `finish`."""


class _Asking:
    """What clients of all transports do alike."""

    session_id = 0

    async def ask(self: Any, *message: Any) -> list[Any]:
        await self.send(message)
        answer: list[Any] = await self.receive()
        return answer

    async def join(self: Any, realm: str = "realm1", *, roles: Mapping[str, Any] = HELLO_ROLES) -> None:
        welcome = await self.ask(1, realm, {"roles": roles})
        assert welcome[0] == 2, welcome
        self.session_id = welcome[1]

    async def leave(self: Any) -> None:
        assert await self.ask(6, {}, "wamp.close.normal") == [6, {}, "wamp.close.goodbye_and_out"]
        await self.finish()
        await self.finished()

    async def aborted(self: Any) -> tuple[str, str]:
        abort = await self.receive()
        assert abort[0] == 3, abort
        await self.closed()
        return abort[2], abort[1].get("message", "")


class RawSocketClient(_Asking):
    """A client over RawSocket."""

    def __init__(self, socket: RawSocket) -> None:
        self._socket = socket
        self.serializer = socket.serializer

    @classmethod
    async def connect(cls, door: Door, serializer: str) -> "RawSocketClient":
        socket = await open_rawsocket(door)
        await socket.shake_hands(serializer)
        return cls(socket)

    async def send(self, *messages: Any) -> None:
        await self._socket.tell(*messages)

    async def receive(self) -> list[Any]:
        return await self._socket.receive()

    async def closed(self) -> None:
        assert await self._socket.ends() == b""

    async def break_off(self) -> None:
        self._socket.abort()

    async def finish(self) -> None:
        self._socket.writer.write_eof()

    finished = closed


class LongPollLink(_Asking):
    """A client over HTTP long-poll."""

    def __init__(self, client: LongPollClient) -> None:
        self._client = client
        self.serializer = client.serializer
        self.base = client.base

    async def send(self, *messages: Any) -> None:
        await self._client.send(*messages)

    async def receive(self) -> list[Any]:
        message: list[Any] = await self._client.receive()
        return message

    async def closed(self) -> None:
        await self._client.over()

    async def break_off(self) -> None:
        # Connections come and go; that somebody does not come back is noticed at `session_timeout` only.
        response = await self._client.post("close")
        assert response.status in (204, 404, 410), response  # it may be over already
        self._client.drop()

    async def finish(self) -> None:
        response = await self._client.post("close")
        assert response.status == 204, response

    async def finished(self) -> None:
        response = await self._client.post("receive")
        assert response.status == 404, response


class Doors:
    """Where each transport of a router from `linked_router` is.

    Args:
        router: the router.
        directory: its node directory.
        paths: its WebSocket paths, in their order.
        authority: who has signed its certificate.
    """

    def __init__(self, router: RouterProcess, directory: Path, paths: list[str], authority: Identity) -> None:
        plain, encrypted, *others = router.addresses
        self._context = client_context(authority)
        self._doors: dict[tuple[str, str], tuple[Door, str]] = {}
        for number, path in enumerate(paths):
            rawsocket, universal = others[2 * number : 2 * number + 2]
            self._doors |= {
                ("ws", path): (plain, f"/{path}"),
                ("wss", path): (Tls(encrypted, self._context), f"/{path}"),
                ("rawsocket", path): (rawsocket, ""),
                ("unix", path): (str(directory / f"{path}.sock"), ""),
                ("universal_rawsocket", path): (universal, ""),
                ("universal_ws", path): (universal, f"/{path}"),
                ("longpoll", path): (plain, f"/poll-{path}"),
            }

    def where(self, transport: str, path: str) -> tuple[Door, str]:
        """Return where the sessions of a path are offered over a transport, and the path of its URL there."""
        return self._doors[transport, path]

    async def connect(self, transport: str, serializer: str, path: str) -> Client:
        """Return a client before HELLO."""
        door, where = self.where(transport, path)
        if transport.endswith("ws") or transport == "wss":
            return await connect_wamp(door, serializer, where)
        if transport == "longpoll":
            return LongPollLink(await LongPollClient.open(door, serializer, where))
        return await RawSocketClient.connect(door, serializer)


@contextlib.contextmanager
def linked_router(
    directory: Path,
    paths: Mapping[str, Any] = USUAL_PATHS,
    *,
    realm: dict[str, Any] | None = None,
    handshake_timeout_s: float = 10.0,
) -> Iterator[RouterProcess]:
    """A router process that offers the sessions of each WebSocket path over every transport.

    Args:
        directory: the node directory.
        paths: path services; those that are no WebSockets are served over plain HTTP alone.
        realm: the realm's configuration.
        handshake_timeout_s: seconds that TLS handshakes and the heads of requests may take.
    """
    authority = Identity(directory, "authority", is_authority=True)
    server = Identity(directory, "server", authority)
    sessions = {
        path: {key: value for key, value in service.items() if key not in _OF_WEBSOCKET_ALONE}
        for path, service in paths.items()
        if service["type"] == "websocket"
    }
    websockets = {path: paths[path] for path in sessions}
    polls = {f"poll-{path}": {"type": "longpoll", **options} for path, options in sessions.items()}
    patience = {"header_timeout_s": handshake_timeout_s}
    encrypted = web_transport(websockets, **patience)
    encrypted["endpoint"]["tls"] = {
        "key": server.key_file.name,
        "certificate": server.certificate_file.name,
        "handshake_timeout_s": handshake_timeout_s,
    }
    transports = [web_transport({**paths, **polls}, **patience), encrypted]
    for path, options in sessions.items():
        loopback = {"type": "tcp", "port": 0, "interface": "127.0.0.1"}
        web = {"paths": {}, "options": patience}
        universal = {"rawsocket": options, "websocket": {path: options}, "web": web}
        transports += [
            {"type": "rawsocket", "endpoint": loopback, **options},
            {"type": "rawsocket", "endpoint": {"type": "unix", "path": f"{path}.sock"}, **options},
            {"type": "universal", "endpoint": loopback, **universal},
        ]
    with router_process(directory, node_config(*transports, realm=realm)) as router:
        router.doors = Doors(router, directory, list(sessions), authority)
        yield router


class Link:
    """How the clients of one test reach the router.

    Args:
        router: from `linked_router`.
        ends: transport and serializer of the first, second… client, taken in turn.
    """

    def __init__(self, router: RouterProcess, ends: tuple[tuple[str, str], ...]) -> None:
        self._router = router
        self._ends = ends
        self._clients: list[Client] = []

    @property
    def transports(self) -> set[str]:
        """The transports that are used."""
        return {transport for transport, _ in self._ends}

    async def connect(self, path: str = "/ws") -> Client:
        """Return a client before HELLO."""
        transport, serializer = self._ends[len(self._clients) % len(self._ends)]
        client: Client = await self._router.doors.connect(transport, serializer, path.strip("/"))
        self._clients.append(client)
        return client

    async def break_off_all(self) -> None:
        """End all connections, and the sessions of those that poll."""
        for client in self._clients:
            await client.break_off()

    async def join(self, path: str = "/ws", *, roles: Mapping[str, Any] = HELLO_ROLES) -> Client:
        """Return a client that has joined."""
        client = await self.connect(path)
        await client.join(roles=roles)
        return client
