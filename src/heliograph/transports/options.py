"""What a configuration says about listening, WebSocket connections and their limits.

Field names carry their units; where Crossbar.io has a key of the same unit, the configuration file uses its
spelling (given in brackets below).
"""

from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct, field

from heliograph.routing.options import ItemId, SessionOptions

# The HTTP path services stand on this room, so it cannot name them: the configuration fills this in.
PathServiceT = TypeVar("PathServiceT")

PathKey = Annotated[
    str,
    Meta(pattern=r"^([A-Za-z0-9_-]+|/)\Z", description="/ or one part of a path: letters, digits, _ and -"),
]
Serializer = Literal["json", "msgpack", "cbor"]

KIB = 1024
MIB = 1024 * KIB


class TcpEndpoint(Struct, frozen=True, kw_only=True, tag_field="type", tag="tcp"):
    """Listen on a TCP port.

    Attributes:
        port: the port, or `"$NAME"` for that of an environment variable; 0 takes a free one, which the ready line
            tells
        interface: the address to listen on; empty means every interface
        version: the IP version, 4 or 6
        backlog: connections the kernel holds until they are accepted
        shared: let other processes listen on the same port (SO_REUSEPORT)
    """

    port: Annotated[int, Meta(ge=0, le=65535)]
    interface: str = ""
    version: Literal[4, 6] = 4
    backlog: Annotated[int, Meta(ge=1, le=65535)] = 1024
    shared: bool = False


class UnixEndpoint(Struct, frozen=True, kw_only=True, tag_field="type", tag="unix"):
    """Listen on a Unix domain socket.

    Attributes:
        path: the socket's path, relative to the node directory; a stale socket there is removed
        backlog: connections the kernel holds until they are accepted
    """

    path: Annotated[str, Meta(min_length=1)]
    backlog: Annotated[int, Meta(ge=1, le=65535)] = 1024


class OutboxOptions(Struct, frozen=True, kw_only=True):
    """How much may wait for a receiver that reads slower than it is sent to.

    Attributes:
        limit_bytes: bytes that may wait for one connection, the socket's own buffer in user space included
        policy: what happens above the limit: `disconnect` drops what waits and closes the connection
    """

    limit_bytes: Annotated[int, Meta(ge=64 * KIB, le=1024 * MIB)] = 4 * MIB
    policy: Literal["disconnect"] = "disconnect"


class HelloLimits(Struct, frozen=True, kw_only=True):
    """What a connection may do before it has joined a realm.

    Attributes:
        hello_timeout_s: seconds from the opened socket to the HELLO that joins a realm
    """

    hello_timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0


class WebSocketOptions(Struct, frozen=True, kw_only=True):
    """Checks and limits of WebSocket connections.

    Attributes:
        allowed_origins: origins whose pages may connect, `*` inside one is a wildcard; `self` means pages
            from this very host and port. Clients that send no `Origin`, so all but browsers, may always
        allow_null_origin: let `*` cover pages with the origin `null` (files, sandboxed frames) as well
        max_message_bytes: bytes of the largest message accepted, after reassembly [`max_message_size`]
        ping_interval_s: seconds of silence after which a ping is sent; null sends none
        ping_timeout_s: seconds a pong may take before the connection is dropped
        close_timeout_s: seconds a peer may take to finish the closing handshake; then it is dropped
    """

    allowed_origins: tuple[Annotated[str, Meta(min_length=1)], ...] = ("*",)
    allow_null_origin: bool = True
    max_message_bytes: Annotated[int, Meta(ge=KIB, le=64 * MIB)] = field(name="max_message_size", default=MIB)
    ping_interval_s: Annotated[float, Meta(ge=1, le=86400)] | None = 30.0
    ping_timeout_s: Annotated[float, Meta(ge=1, le=86400)] = 10.0
    close_timeout_s: Annotated[float, Meta(ge=0.1, le=86400)] = 2.0


class WebSocketPathOptions(SessionOptions, frozen=True, kw_only=True, tag_field="type", tag="websocket"):
    """WAMP over WebSocket.

    Attributes:
        id: a name for logs
        serializers: the formats offered, each once; the order in which the client names them wins
        options: checks and limits of the connections
        outbox: what may wait for a slow receiver
        hello: limits before a session has joined
    """

    id: ItemId | None = None
    serializers: Annotated[tuple[Serializer, ...], Meta(min_length=1)] = ("cbor", "msgpack", "json")
    options: WebSocketOptions = WebSocketOptions()
    outbox: OutboxOptions = OutboxOptions()
    hello: HelloLimits = HelloLimits()


class HttpGuardOptions(Struct, frozen=True, kw_only=True):
    """Limits of every HTTP request on a port, before a path service sees it.

    Attributes:
        max_header_bytes: bytes of request line and headers; more is answered 431
        header_timeout_s: seconds from the opened connection, or a further request's first byte, to the headers' end
        client_timeout_s: seconds a keep-alive connection may be idle between two requests [`client_timeout`]
    """

    max_header_bytes: Annotated[int, Meta(ge=KIB, le=MIB)] = 64 * KIB
    header_timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0
    client_timeout_s: Annotated[float, Meta(ge=1, le=86400)] = field(name="client_timeout", default=60.0)


class WebTransportOptions(
    Struct, Generic[PathServiceT], frozen=True, kw_only=True, tag_field="type", tag="web"
):
    """One port for everything: HTTP path services and WebSocket side by side.

    Attributes:
        id: a name for logs
        endpoint: where to listen
        paths: first part of the URL's path to the service that answers there; `/` answers what no other does
        options: limits of every request on this port
    """

    id: ItemId | None = None
    endpoint: TcpEndpoint | UnixEndpoint
    paths: dict[PathKey, PathServiceT]
    options: HttpGuardOptions = HttpGuardOptions()
