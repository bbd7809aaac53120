"""What a configuration says about listening, connections and their limits.

Field names carry their units; where Crossbar.io has a key of the same unit, the configuration file uses its
spelling (given in brackets below).
"""

from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct, field

from heliograph.routing.options import ItemId, OutboxPolicy, SessionOptions
from heliograph.transports.http_options import HttpGuardOptions
from heliograph.transports.origins import DEFAULT_ORIGINS, AllowedOrigins

# The HTTP path services stand on this room, so it cannot name them: the configuration fills this in.
PathServiceT = TypeVar("PathServiceT")

PathKey = Annotated[
    str,
    Meta(pattern=r"^([A-Za-z0-9_-]+|/)\Z", description="/ or one part of a path: letters, digits, _ and -"),
]
Serializer = Literal["json", "msgpack", "cbor", "json.batched", "msgpack.batched", "cbor.batched"]
USUAL_SERIALIZERS: tuple[Serializer, ...] = ("cbor", "msgpack", "json", "cbor.batched", "msgpack.batched")

WindowBits = Annotated[int, Meta(ge=9, le=15)]
PlainSerializer = Literal["json", "msgpack", "cbor"]
FileName = Annotated[str, Meta(min_length=1)]
MaxConnections = Annotated[int, Meta(ge=1, le=10_000_000)]

KIB = 1024
MIB = 1024 * KIB


class TlsOptions(Struct, frozen=True, kw_only=True):
    """TLS 1.2 or 1.3 on a port. Changed files are read again while connections stay open; so they are at SIGHUP.

    Attributes:
        key: file with the private key, in PEM and without a passphrase
        certificate: file with the certificate, in PEM; those that lead to its authority may stand behind it
        chain_certificates: files with the certificates between it and its authority, in this order
        ca_certificates: files with the authorities whose clients' certificates are taken; clients are asked for one
            when there are any
        client_certificates: whether a client must show a certificate of these authorities, or may
        dhparam: file with Diffie-Hellman parameters, for clients of TLS 1.2 without elliptic curves
        ciphers: OpenSSL's list of ciphers for TLS 1.2; those of TLS 1.3 are all sound
        handshake_timeout_s: seconds a client may take to shake hands; then it is dropped
        shutdown_timeout_s: seconds a client may take to say that it has seen the end; then it is dropped
        reload_interval_s: seconds between two looks whether the files have changed; null looks at SIGHUP only
    """

    key: FileName
    certificate: FileName
    chain_certificates: tuple[FileName, ...] = ()
    ca_certificates: tuple[FileName, ...] = ()
    client_certificates: Literal["required", "optional"] = "required"
    dhparam: FileName | None = None
    ciphers: Annotated[str, Meta(min_length=1)] | None = None
    handshake_timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0
    shutdown_timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 2.0
    reload_interval_s: Annotated[float, Meta(ge=0.1, le=86400)] | None = 10.0


class TcpEndpoint(Struct, frozen=True, kw_only=True, tag_field="type", tag="tcp"):
    """Listen on a TCP port.

    Attributes:
        port: the port, or `"$NAME"` for that of an environment variable; 0 takes a free one, which the ready line
            tells
        interface: the address to listen on; empty means every interface
        version: the IP version, 4 or 6
        backlog: connections the kernel holds until they are accepted
        shared: let other processes listen on the same port (SO_REUSEPORT)
        tls: encrypts what is spoken on this port; null speaks in the clear
    """

    port: Annotated[int, Meta(ge=0, le=65535)]
    interface: str = ""
    version: Literal[4, 6] = 4
    backlog: Annotated[int, Meta(ge=1, le=65535)] = 1024
    shared: bool = False
    tls: TlsOptions | None = None


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
        policy: what happens above the limit. `disconnect` drops what waits and closes the connection; `drop-newest`
            drops the events that do not fit; `conflate` keeps the latest event of each topic until the receiver has
            caught up. With both, as many bytes again may wait of answers and of what is kept; answers are never
            dropped: where they alone are too many, the connection is closed
        client_timeout_s: seconds a receiver may take nothing of what waits for it, whatever it sends meanwhile; then it
            is dropped
    """

    limit_bytes: Annotated[int, Meta(ge=64 * KIB, le=1024 * MIB)] = 4 * MIB
    policy: OutboxPolicy = "disconnect"
    client_timeout_s: Annotated[float, Meta(ge=1, le=86400)] = 60.0


class HelloLimits(Struct, frozen=True, kw_only=True):
    """What a connection may do before it has joined a realm.

    Attributes:
        hello_timeout_s: seconds from the opened socket to the HELLO that joins a realm
    """

    hello_timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0


class DeflateOptions(Struct, frozen=True, kw_only=True):
    """permessage-deflate, for clients that offer it.

    Without context takeover each message is compressed by itself: an event once for all its receivers, and nothing is
    kept for a connection. With it, messages become smaller, each is compressed for each receiver, and each connection
    keeps a compressor: 2^(`max_window_bits` + 2) + 2^(`memory_level` + 9) bytes.

    Attributes:
        no_context_takeover: compress each message by itself; a client may ask for it where it is off
        max_window_bits: window of the router's compressors, as a power of two
        request_no_context_takeover: have clients compress each message by itself; where it is off, a connection keeps
            up to 40 KiB to decompress with
        request_max_window_bits: window of the compressors of clients that let themselves be told; null tells none
        memory_level: how much memory a compressor has to find repetitions with
        least_compressed_bytes: smaller messages are sent as they are
    """

    no_context_takeover: bool = True
    max_window_bits: WindowBits = 15
    request_no_context_takeover: bool = True
    request_max_window_bits: WindowBits | None = None
    memory_level: Annotated[int, Meta(ge=1, le=9)] = 8
    least_compressed_bytes: Annotated[int, Meta(ge=0, le=MIB)] = 256


class CompressionOptions(Struct, frozen=True, kw_only=True):
    """How messages may be compressed.

    Attributes:
        deflate: permessage-deflate (RFC 7692); null compresses nothing
    """

    deflate: DeflateOptions | None = None


class MemoryCookieStore(Struct, frozen=True, kw_only=True, tag_field="type", tag="memory"):
    """Remember whom cookies stand for until the router stops."""


class FileCookieStore(Struct, frozen=True, kw_only=True, tag_field="type", tag="file"):
    """Remember whom cookies stand for in a file, which holds no cookie that could be used.

    Attributes:
        filename: the file, relative to the node directory; of one transport only
        purge_on_startup: whether to begin anew when the router starts
    """

    filename: Annotated[str, Meta(min_length=1)]
    purge_on_startup: bool = False


class CookieOptions(Struct, frozen=True, kw_only=True):
    """A cookie by which a browser is known again on its next connection.

    Attributes:
        name: of the cookie
        length: characters of its random value
        max_age_s: seconds the browser keeps it after it was set [`max_age`]
        secure: whether it is sent over TLS only; null says so where it is set over TLS
        http_strict: whether pages' scripts cannot read it (`HttpOnly`)
        same_site: which pages' connections bear it: of the same site only (`Strict`, `Lax`), or of any (`None`,
            which browsers take with `secure` only)
        store: where it is remembered whom a cookie stands for, for `auth.cookie`
    """

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]+\Z")] = "cbtid"
    length: Annotated[int, Meta(ge=16, le=64)] = 24
    max_age_s: Annotated[int, Meta(ge=1, le=10 * 365 * 86400)] = field(name="max_age", default=7 * 86400)
    secure: bool | None = None
    http_strict: bool = True
    same_site: Literal["Strict", "Lax", "None"] = "Lax"
    store: MemoryCookieStore | FileCookieStore = MemoryCookieStore()

    def __post_init__(self) -> None:
        if self.same_site == "None" and not self.secure:
            raise ValueError('browsers drop a cookie with `same_site` "None" unless `secure` is true')


class WebSocketOptions(Struct, frozen=True, kw_only=True):
    """Checks and limits of WebSocket connections.

    Attributes:
        allowed_origins: origins whose pages may connect, `*` inside one is a wildcard; `self` means pages
            from this very host and port. Clients that send no `Origin`, so all but browsers, may always
        allow_null_origin: let `*` cover pages with the origin `null` (files, sandboxed frames) as well
        external_port: the port pages know this server by, where a proxy makes it differ from that in `Host`; `self`
            compares with it
        max_message_bytes: bytes of the largest message accepted, after reassembly and decompression
            [`max_message_size`]
        max_frame_bytes: bytes of the largest frame accepted; null bounds frames by the message alone
            [`max_frame_size`]
        fragment_bytes: messages larger than this are sent in several frames; null sends one each
            [`auto_fragment_size`]
        compression: how messages may be compressed
        require_websocket_subprotocol: whether clients must name a subprotocol; if not, one that names none speaks
            `wamp.2.json`
        enable_webstatus: answer a browser that opens the URL with a page that says what is here
        ping_interval_s: seconds of silence after which a ping is sent; null sends none
        ping_bytes: bytes a ping bears, which cannot be guessed; only a pong that repeats them counts [`auto_ping_size`]
        ping_timeout_s: seconds a pong may take before the connection is dropped
        close_timeout_s: seconds a peer may take to finish the closing handshake; then it is dropped
    """

    allowed_origins: AllowedOrigins = DEFAULT_ORIGINS
    allow_null_origin: bool = True
    external_port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    max_message_bytes: Annotated[int, Meta(ge=KIB, le=64 * MIB)] = field(name="max_message_size", default=MIB)
    max_frame_bytes: Annotated[int, Meta(ge=125, le=64 * MIB)] | None = field(
        name="max_frame_size", default=None
    )
    fragment_bytes: Annotated[int, Meta(ge=125, le=64 * MIB)] | None = field(
        name="auto_fragment_size", default=None
    )
    compression: CompressionOptions | None = None
    require_websocket_subprotocol: bool = True
    enable_webstatus: bool = True
    ping_interval_s: Annotated[float, Meta(ge=1, le=86400)] | None = 30.0
    ping_bytes: Annotated[int, Meta(ge=4, le=125)] = field(name="auto_ping_size", default=8)
    ping_timeout_s: Annotated[float, Meta(ge=1, le=86400)] = 10.0
    close_timeout_s: Annotated[float, Meta(ge=0.1, le=86400)] = 2.0


class WebSocketServiceOptions(SessionOptions, frozen=True, kw_only=True):
    """WAMP over WebSocket.

    Attributes:
        id: a name for logs
        serializers: the formats offered, each once; those with `.batched` carry several messages in one. The order in
            which the client names them wins. `json.batched` must be named: Autobahn for Python offers it and ends
            messages with another byte than the specification's
        cookie: by which a browser is known again; null sets none
        options: checks and limits of the connections
        outbox: what may wait for a slow receiver
        hello: limits before a session has joined
    """

    id: ItemId | None = None
    serializers: Annotated[tuple[Serializer, ...], Meta(min_length=1)] = USUAL_SERIALIZERS
    cookie: CookieOptions | None = None
    options: WebSocketOptions = WebSocketOptions()
    outbox: OutboxOptions = OutboxOptions()
    hello: HelloLimits = HelloLimits()


class WebSocketPathOptions(
    WebSocketServiceOptions, frozen=True, kw_only=True, tag_field="type", tag="websocket"
):
    """WAMP over WebSocket, at one path of a port."""


class RawSocketOptions(Struct, frozen=True, kw_only=True):
    """Limits of RawSocket connections.

    Attributes:
        max_message_bytes: bytes of the largest message accepted; RawSocket can announce powers of two from 512 to
            16 MiB, so that this is rounded down to one [`max_message_size`]
        ping_interval_s: seconds of silence after which a ping is sent; null sends none, for a widespread client
            (Autobahn on Twisted) takes a ping for a message and hangs. TCP's own keep-alive finds dead peers
        ping_timeout_s: seconds a pong may take before the connection is dropped
        close_timeout_s: seconds a peer may take to close its side; then it is dropped
    """

    max_message_bytes: Annotated[int, Meta(ge=512, le=16 * MIB)] = field(name="max_message_size", default=MIB)
    ping_interval_s: Annotated[float, Meta(ge=1, le=86400)] | None = None
    ping_timeout_s: Annotated[float, Meta(ge=1, le=86400)] = 10.0
    close_timeout_s: Annotated[float, Meta(ge=0.1, le=86400)] = 2.0


class RawSocketServiceOptions(SessionOptions, frozen=True, kw_only=True):
    """WAMP over RawSocket.

    Attributes:
        serializers: the formats taken, each once; the client chooses
        options: limits of the connections
        outbox: what may wait for a slow receiver
        hello: limits before a session has joined; the time counts for the handshake, and again from there to HELLO
    """

    serializers: Annotated[tuple[PlainSerializer, ...], Meta(min_length=1)] = ("cbor", "msgpack", "json")
    options: RawSocketOptions = RawSocketOptions()
    outbox: OutboxOptions = OutboxOptions()
    hello: HelloLimits = HelloLimits()


class LongPollOptions(Struct, frozen=True, kw_only=True):
    """Checks and limits of long-poll sessions.

    Attributes:
        allowed_origins: origins whose pages may use it, `*` inside one is a wildcard; `self` means pages from this
            very host and port. Clients that send no `Origin`, so all but browsers, may always
        request_timeout_s: seconds a request for messages waits until there is one [`request_timeout`]
        session_timeout_s: seconds between two requests for messages after which a session is over
            [`session_timeout`]
        queue_limit_bytes: bytes of messages that may wait for a client to come for them; a session for which more
            would wait is ended
        queue_limit_messages: likewise, how many
        max_message_bytes: bytes of the largest request body [`max_message_size`]
        max_sessions: sessions that may be open at any one time. A further one takes the place of the oldest that has
            not joined; where all have, it is answered with 503
    """

    allowed_origins: AllowedOrigins = DEFAULT_ORIGINS
    request_timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = field(name="request_timeout", default=10.0)
    session_timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = field(name="session_timeout", default=30.0)
    queue_limit_bytes: Annotated[int, Meta(ge=KIB, le=64 * MIB)] = MIB
    queue_limit_messages: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    max_message_bytes: Annotated[int, Meta(ge=KIB, le=64 * MIB)] = field(name="max_message_size", default=MIB)
    max_sessions: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000


class LongPollPathOptions(SessionOptions, frozen=True, kw_only=True, tag_field="type", tag="longpoll"):
    """WAMP over HTTP long-poll, for clients that cannot open a WebSocket.

    Attributes:
        id: a name for logs
        serializers: the formats offered, each once; those with `.batched` carry several messages in one. The order in
            which the client names them wins. `json.batched` must be named: Autobahn for Python offers it and ends
            messages with another byte than the specification's
        cookie: by which a browser is known again; null sets none
        options: checks and limits of the sessions
        hello: limits before a session has joined
    """

    id: ItemId | None = None
    serializers: Annotated[tuple[Serializer, ...], Meta(min_length=1)] = USUAL_SERIALIZERS
    cookie: CookieOptions | None = None
    options: LongPollOptions = LongPollOptions()
    hello: HelloLimits = HelloLimits()


class WebServiceOptions(Struct, Generic[PathServiceT], frozen=True, kw_only=True):
    """HTTP path services and WebSocket side by side.

    Attributes:
        paths: first part of the URL's path to the service that answers there; `/` answers what no other does
        options: limits of every request on this port
    """

    paths: dict[PathKey, PathServiceT]
    options: HttpGuardOptions = HttpGuardOptions()


class WebTransportOptions(
    WebServiceOptions[PathServiceT],
    Generic[PathServiceT],
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="web",
):
    """One port for everything: HTTP path services and WebSocket side by side.

    Attributes:
        id: a name for logs
        endpoint: where to listen
        max_connections: connections open at once; a further one is answered 503 and closed
    """

    id: ItemId | None = None
    endpoint: TcpEndpoint | UnixEndpoint
    max_connections: MaxConnections = 50_000


class WebSocketTransportOptions(
    WebSocketServiceOptions, frozen=True, kw_only=True, tag_field="type", tag="websocket"
):
    """A port for WAMP over WebSocket alone, whatever path its URL names.

    Attributes:
        endpoint: where to listen
        max_connections: connections open at once; a further one is answered 503 and closed
        http: limits of the opening request
    """

    endpoint: TcpEndpoint | UnixEndpoint
    max_connections: MaxConnections = 50_000
    http: HttpGuardOptions = HttpGuardOptions()


class RawSocketTransportOptions(
    RawSocketServiceOptions, frozen=True, kw_only=True, tag_field="type", tag="rawsocket"
):
    """A port for WAMP over RawSocket alone.

    Attributes:
        id: a name for logs
        endpoint: where to listen
        max_connections: connections open at once; a further one is answered with error 4 and closed
    """

    id: ItemId | None = None
    endpoint: TcpEndpoint | UnixEndpoint
    max_connections: MaxConnections = 50_000


class UniversalTransportOptions(
    Struct, Generic[PathServiceT], frozen=True, kw_only=True, tag_field="type", tag="universal"
):
    """One port for RawSocket, WebSocket and HTTP, told apart by the first octet.

    Attributes:
        id: a name for logs
        endpoint: where to listen
        max_connections: connections open at once; further ones are closed
        rawsocket: WAMP over RawSocket; without it, RawSocket is refused
        websocket: first part of the URL's path to the WAMP over WebSocket served there
        web: HTTP path services; without it, requests that open no WebSocket are answered with an error
    """

    id: ItemId | None = None
    endpoint: TcpEndpoint | UnixEndpoint
    max_connections: MaxConnections = 50_000
    rawsocket: RawSocketServiceOptions | None = None
    websocket: dict[PathKey, WebSocketServiceOptions] = {}
    web: WebServiceOptions[PathServiceT] | None = None
