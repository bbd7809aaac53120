"""What Crossbar.io spells otherwise, and what it knows and this router does not do.

The shape of the configuration is in the option structs; here is only what they leave out, so that a file from
Crossbar.io is answered by name instead of with "unknown key".
"""

from collections.abc import Mapping
from typing import cast

from msgspec import Struct

from heliograph.auth.options import AuthOptions, CryptosignOptions, FunctionOptions
from heliograph.config.options import ControllerOptions, NodeOptions, RouterWorker, RouterWorkerOptions
from heliograph.config.problems import Severity
from heliograph.http.options import BridgeLimits, StaticFileOptions
from heliograph.routing.options import (
    CallQueueOptions,
    EventHistoryOptions,
    PermissionRule,
    RealmBehaviour,
    RealmOptions,
    StoreOptions,
)
from heliograph.transports.http_options import HttpGuardOptions
from heliograph.transports.options import (
    MIB,
    DeflateOptions,
    LongPollOptions,
    LongPollPathOptions,
    MemoryCookieStore,
    RawSocketOptions,
    RawSocketServiceOptions,
    TcpEndpoint,
    UniversalTransportOptions,
    WebServiceOptions,
    WebSocketOptions,
    WebSocketPathOptions,
    WebSocketServiceOptions,
    WebTransportOptions,
)


class Renamed(Struct, frozen=True):
    """A key whose value has another unit here, or for which "off" is not unlimited here.

    Attributes:
        field: the struct's field
        in_milliseconds: the value is in milliseconds, the field in seconds
        off: what 0 and null, which mean "no limit" to Crossbar.io, become
        said: the warning given when they do; None when it means the same here
    """

    field: str
    in_milliseconds: bool = False
    off: float | None = None
    said: str | None = None


class Accepted(Struct, frozen=True):
    """A key that is right to have and asks for nothing.

    Attributes:
        why: completes "accepted: …"
    """

    why: str


class Ignored(Struct, frozen=True):
    """A key without effect here: a warning, unless its value asks for what happens anyway.

    Attributes:
        why: completes "ignored: …"
        harmless: values that need no warning
    """

    why: str
    harmless: tuple[object, ...] = ()


class NotYet(Struct, frozen=True):
    """A key that is known and not supported yet.

    Attributes:
        consequence: what would be different, or what to do until then
        severity: an error where behaviour or security would change, otherwise a warning
        harmless: values that ask for what happens anyway
    """

    consequence: str
    severity: Severity = "warning"
    harmless: tuple[object, ...] = ()


class Never(Struct, frozen=True):
    """A key that is known and will not be supported.

    Attributes:
        what: what it is about
        severity: as of `NotYet`
    """

    what: str
    severity: Severity = "error"


ForeignKey = Renamed | Accepted | Ignored | NotYet | Never
ForeignType = NotYet | Never

_DEBUG = Ignored("an old form without effect; leave it out (`heliograph start --loglevel debug` logs more)")
_SIGNATURE = NotYet(
    "anybody who reaches the port could send requests; options.token asks for a token instead",
    severity="error",
)
_ADDRESSES = NotYet("requests from any address would be taken", severity="error")
_CHECKED_ANYWAY = "the check is always made"
_PING = "a ping is sent after silence only"

_WEBSOCKET_KEYS: Mapping[str, ForeignKey] = {
    "max_message_size": Renamed(
        "max_message_bytes", off=64 * MIB, said="0 is read as the largest limit, 64 MiB"
    ),
    "auto_ping_interval": Renamed("ping_interval_s", in_milliseconds=True),
    "auto_ping_timeout": Renamed(
        "ping_timeout_s", in_milliseconds=True, off=86400.0, said="0 is read as one day"
    ),
    "close_handshake_timeout": Renamed(
        "close_timeout_s", in_milliseconds=True, off=86400.0, said="0 is read as one day"
    ),
    "open_handshake_timeout": Ignored("the transport's options.header_timeout_s bounds the handshake"),
    "max_frame_size": Renamed("max_frame_bytes"),
    "auto_fragment_size": Renamed("fragment_bytes"),
    "auto_ping_restart_on_any_traffic": Ignored(_PING, harmless=(True,)),
    "validate_utf8": Ignored(_CHECKED_ANYWAY, harmless=(True,)),
    "require_masked_client_frames": Ignored(_CHECKED_ANYWAY, harmless=(True,)),
    "mask_server_frames": Ignored("RFC 6455 forbids it", harmless=(False,)),
    "apply_mask": Ignored("RFC 6455 demands it", harmless=(True,)),
    "enable_hybi10": Ignored("only RFC 6455 is spoken"),
    "enable_rfc6455": Ignored("only RFC 6455 is spoken", harmless=(True,)),
    "fail_by_drop": Ignored("the closing handshake is always tried first", harmless=(False,)),
    "echo_close_codereason": Ignored("close codes follow RFC 6455", harmless=(False,)),
    "tcp_nodelay": Ignored("it is always on", harmless=(True,)),
    "show_server_version": Ignored("the version is not shown", harmless=(False,)),
    "enable_flash_policy": Never("Flash", severity="warning"),
    "flash_policy": Never("Flash", severity="warning"),
}

_KEYS: Mapping[type, Mapping[str, ForeignKey]] = {
    NodeOptions: {"$schema": Accepted("editors read it")},
    ControllerOptions: {
        "options": Ignored("a node is one process, which ends on SIGTERM"),
        "manhole": Never("an SSH shell into the process", severity="warning"),
        "connections": Ignored("a node is one process"),
        "keyring": Never("a keyring", severity="warning"),
        "fabric": Never("the uplink to Crossbar.io Fabric", severity="warning"),
        "blockchain": Never("Ethereum", severity="warning"),
        "enable_docker": Never("control of Docker", severity="warning"),
    },
    RouterWorker: {
        "manhole": Never("an SSH shell into the process", severity="warning"),
        "components": NotYet(
            "run them as programs that connect over WebSocket", severity="error", harmless=([],)
        ),
        "connections": NotYet("nothing would connect", severity="error", harmless=({}, [])),
    },
    RouterWorkerOptions: {
        "title": Ignored("a node is one process"),
        "python": NotYet("applications run with the Python of the router"),
        "cpu_affinity": NotYet("set it for the whole node, for example with taskset"),
        "env": NotYet(
            "set the variables for the whole node", severity="error", harmless=({}, {"inherit": True})
        ),
        "expose_controller": Never("access to the controller", severity="warning"),
        "expose_shared": Never("access to objects of the worker", severity="warning"),
        "disabled": NotYet("leave the worker out of the file instead", severity="error", harmless=(False,)),
        "extra": Ignored("nothing reads it"),
    },
    RealmOptions: {
        "rlinks": NotYet("nothing would reach the other node", severity="error", harmless=([],)),
        "stats": NotYet("no wamp.session.on_stats events are published"),
        "inventory": Never("FlatBuffers schemas"),
    },
    RealmBehaviour: {
        "enable_meta_api": Ignored(
            "the meta API is always there; permissions say who may call `wamp.` procedures", harmless=(True,)
        ),
        "bridge_meta_api": NotYet("no meta API of other nodes is carried", harmless=(False,)),
        "event_dispatching_chunk_size": Ignored("the work of one turn is bounded by itself"),
    },
    PermissionRule: {
        "cache": Accepted("static rules are looked up the same way, cached or not"),
        "validate": Never("validation of payloads against FlatBuffers schemas"),
    },
    RawSocketOptions: {
        "max_message_size": Renamed(
            "max_message_bytes", off=16 * MIB, said="0 is read as the largest limit, 16 MiB"
        ),
    },
    RawSocketServiceOptions: {"debug": _DEBUG},
    UniversalTransportOptions: {"mqtt": NotYet("clients can connect over WebSocket", severity="error")},
    WebServiceOptions: {"type": Accepted("what it is stands in its place")},
    TcpEndpoint: {
        "portrange": NotYet("name one `port`", severity="error"),
        "user_timeout": NotYet("pings find dead peers (auto_ping_interval)"),
    },
    HttpGuardOptions: {
        "client_timeout": Renamed("client_timeout_s", off=86400.0, said="null is read as one day"),
        "access_log": NotYet("requests are counted in /metrics, not logged", harmless=(False,)),
        "display_tracebacks": Ignored("tracebacks are never sent to clients", harmless=(False,)),
        "hsts": NotYet("set the header in the proxy that ends TLS", harmless=(False,)),
        "hsts_max_age": NotYet("set the header in the proxy that ends TLS"),
    },
    WebSocketServiceOptions: {
        "type": Accepted("what it is stands in its place"),
        "url": Accepted("connections are taken whatever URL they name"),
        "debug": _DEBUG,
    },
    AuthOptions: {
        "anonymous-proxy": NotYet("clients connect to the router itself", severity="error"),
        "cryptosign-proxy": NotYet("clients connect to the router itself", severity="error"),
    },
    CryptosignOptions: {"trustroots": Never("certificates on a blockchain")},
    FunctionOptions: {
        "expose_controller": Ignored("the function runs in a process of its own", harmless=(False,))
    },
    LongPollPathOptions: {"debug": _DEBUG},
    LongPollOptions: {
        "debug": _DEBUG,
        "debug_transport_id": Never("ids of sessions that are known beforehand", severity="error"),
    },
    DeflateOptions: {
        "request_max_window_bits": Renamed("request_max_window_bits"),
    },
    WebSocketOptions: _WEBSOCKET_KEYS,
    BridgeLimits: {
        "key": _SIGNATURE,
        "secret": _SIGNATURE,
        "timestamp_delta_limit": NotYet("requests are not signed"),
        "require_ip": _ADDRESSES,
        "require_tls": NotYet("requests without TLS would be taken", severity="error", harmless=(False,)),
        "debug": _DEBUG,
    },
    StaticFileOptions: {
        "allow_cross_origin": Ignored("files are served to the pages of this origin", harmless=(False,)),
    },
}

# Objects in which Crossbar.io checks no keys: there an unknown one is a warning, so that a file that runs there
# runs here.
UNCHECKED: frozenset[type] = frozenset({RealmOptions, StoreOptions, EventHistoryOptions, CallQueueOptions})

_WORKERS: Mapping[str, ForeignType] = {
    "container": NotYet("run its components as programs that connect over WebSocket", severity="error"),
    "guest": NotYet("start the program with systemd or the like", severity="error"),
    "proxy": NotYet("let clients connect to the router's own transports", severity="error"),
    "websocket-testee": Never("a target for the Autobahn test suite"),
    "hostmonitor": Never("the host monitor (`heliograph agent` measures machines)"),
    "xbrmm": Never("XBR markets"),
}
_TRANSPORTS: Mapping[str, ForeignType] = {
    "mqtt": NotYet("clients can connect over WebSocket", severity="error"),
    "flashpolicy": Never("Flash"),
    "websocket.testee": Never("a target for the Autobahn test suite"),
    "stream.testee": Never("a target for stream tests"),
}
_ENDPOINTS: Mapping[str, ForeignType] = {
    "twisted": Never('Twisted endpoint strings; use "tcp" or "unix"'),
    "onion": Never("Tor; let Tor forward to a tcp endpoint"),
}
_COOKIE_STORES: Mapping[str, ForeignType] = {
    "database": NotYet('use "type": "file"', severity="error"),
}
_ELSEWHERE = "serve it from the application, or from a web server before this port"
_PATHS: Mapping[str, ForeignType] = {
    "archive": NotYet(_ELSEWHERE, severity="error"),
    "cgi": NotYet(_ELSEWHERE, severity="error"),
    "json": NotYet('put the value in a file below a "static" path', severity="error"),
    "nodeinfo": NotYet("leave the path out; `metrics` tells how the node is", severity="error"),
    "path": NotYet("name the paths directly below `paths`", severity="error"),
    "redirect": NotYet(_ELSEWHERE, severity="error"),
    "resource": NotYet(_ELSEWHERE, severity="error"),
    "reverseproxy": NotYet(_ELSEWHERE, severity="error"),
    "upload": NotYet(_ELSEWHERE, severity="error"),
    "wap": NotYet(_ELSEWHERE, severity="error"),
    "webhook": NotYet('let the sender use a "publisher" path', severity="error"),
    "websocket-reverseproxy": NotYet(_ELSEWHERE, severity="error"),
    "catalog": Never("FlatBuffers schemas"),
    "schemadoc": Never("FlatBuffers schemas"),
    "pairme": Never("pairing with Crossbar.io Fabric"),
}
_TYPES: Mapping[type, Mapping[str, ForeignType]] = {
    RouterWorker: _WORKERS,
    WebTransportOptions: _TRANSPORTS,
    TcpEndpoint: _ENDPOINTS,
    WebSocketPathOptions: _PATHS,
    MemoryCookieStore: _COOKIE_STORES,
}


def foreign_keys(struct: type) -> Mapping[str, ForeignKey]:
    """The keys Crossbar.io knows in an object that the struct does not have under that name or unit."""
    known: dict[str, ForeignKey] = {}
    for ancestor in reversed(struct.__mro__):
        known.update(_KEYS.get(ancestor, {}))
    if cast(type[Struct], struct).__struct_config__.tag_field is not None:
        known.pop("type", None)
    return known


def foreign_types(structs: tuple[type, ...]) -> Mapping[str, ForeignType]:
    """The values of `type` Crossbar.io knows beside those of these structs."""
    known: dict[str, ForeignType] = {}
    for struct in structs:
        known.update(_TYPES.get(struct, {}))
    return known
