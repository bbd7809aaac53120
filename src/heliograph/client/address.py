"""Where a router is: what the URLs of `connect` mean."""

from urllib.parse import urlsplit

from msgspec import Struct

FORMS = "ws://host:port/path, wss://host:port/path, rs://host:port, rss://host:port or unix:/path/of/socket"

_WEBSOCKET_SCHEMES = ("ws", "wss")
_RAWSOCKET_SCHEMES = ("rs", "rss")
_UNIX_SCHEMES = ("unix", "rs+unix")


class Address(Struct, frozen=True):
    """Where a router is, and what is spoken there.

    Attributes:
        shown: the URL for people: without its query, which may hold a ticket.
        is_websocket: WebSocket is spoken there, else RawSocket.
        is_tls: it is encrypted.
        host: the host, which is also what a certificate is for; empty for a Unix socket.
        port: the port; 0 for a Unix socket.
        socket_path: the Unix socket, or None.
        websocket_url: what the WebSocket handshake asks for; empty for RawSocket.
    """

    shown: str
    is_websocket: bool
    is_tls: bool
    host: str
    port: int
    socket_path: str | None
    websocket_url: str


def read_address(url: str) -> Address:
    """Return what `url` means.

    Raises:
        ValueError: nothing; the text says what a URL looks like.
    """
    shown = url.partition("?")[0]
    scheme = url.partition(":")[0].lower()
    if scheme in _UNIX_SCHEMES:
        return _unix_address(url, shown)
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("a user or password in the URL is not supported")
    if parts.scheme in ("http", "https"):
        raise ValueError(
            f"{shown!r} is for a Publisher, which needs no session; a session's URL is one of {FORMS}"
        )
    if parts.scheme not in _WEBSOCKET_SCHEMES + _RAWSOCKET_SCHEMES or not parts.hostname:
        raise ValueError(f"{shown!r} is no URL of a router; one looks like {FORMS}")
    if parts.fragment:
        raise ValueError(f"{shown!r} has a fragment, which a URL of a router must not have")
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{shown!r}: {error}") from None
    is_tls = parts.scheme in ("wss", "rss")
    if parts.scheme in _WEBSOCKET_SCHEMES:
        usual = 443 if is_tls else 80
        return Address(
            shown,
            is_websocket=True,
            is_tls=is_tls,
            host=parts.hostname,
            port=port or usual,
            socket_path=None,
            websocket_url=url,
        )
    if not port:
        raise ValueError(f"{shown!r} names no port; RawSocket has no usual one")
    if parts.path not in ("", "/") or parts.query:
        raise ValueError(f"{shown!r} has a path, which RawSocket has not")
    return Address(
        shown,
        is_websocket=False,
        is_tls=is_tls,
        host=parts.hostname,
        port=port,
        socket_path=None,
        websocket_url="",
    )


def _unix_address(url: str, shown: str) -> Address:
    path = url.partition(":")[2]
    if path.startswith("///"):
        path = path.removeprefix("//")
    if not path.strip("/"):
        raise ValueError(f"{shown!r} names no Unix socket; one looks like unix:/run/router.sock")
    return Address(
        shown, is_websocket=False, is_tls=False, host="", port=0, socket_path=path, websocket_url=""
    )
