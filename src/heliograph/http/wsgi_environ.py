"""From an ASGI request to a WSGI environment: what an application may believe about its client."""

from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

SERVER_SOFTWARE = "heliograph"

# RFC 9110 section 7.6.1: for the connection, not for the application.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Anybody may send these. `proxy` would become HTTP_PROXY, which many HTTP clients obey.
_FORGEABLE = frozenset({b"forwarded", b"proxy", b"x-real-ip"})
_FORGEABLE_PREFIXES = (b"x-forwarded-", b"x-heliograph-")
# Never dropped for a client's `Connection` header naming them.
_END_TO_END = frozenset({b"host", b"cookie", b"authorization", b"content-type", b"content-length"})

_DEFAULT_PORTS = {"https": "443", "http": "80"}


def wsgi_environ(scope: Scope, body_bytes: int | None) -> dict[str, Any]:
    """Return the WSGI environment of a request, as far as it can be written as JSON.

    Text is as PEP 3333 wants it: each character stands for one byte.

    Args:
        scope: an ASGI `http` scope; `root_path` is the application's mount point.
        body_bytes: length of the request body, None when the request has none.
    """
    raw_path = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
    query = scope.get("query_string", b"").decode("latin-1")
    script = scope.get("root_path", "").encode("utf-8", "surrogateescape")
    target = raw_path.decode("latin-1") + ("?" + query if query else "")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": script.decode("latin-1"),
        "PATH_INFO": unquote_to_bytes(raw_path).removeprefix(script).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": target,
        "REQUEST_URI": target,
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_SOFTWARE": SERVER_SOFTWARE,
        "GATEWAY_INTERFACE": "CGI/1.1",
        "wsgi.url_scheme": scope["scheme"],
    }
    if scope["scheme"] == "https":
        environ["HTTPS"] = "on"
    environ |= _addresses(scope)
    environ |= _headers(scope["headers"])
    environ.pop("CONTENT_LENGTH", None)
    if body_bytes is not None:
        environ["CONTENT_LENGTH"] = str(body_bytes)
    return environ


def _addresses(scope: Scope) -> dict[str, str]:
    host, port = scope.get("client") or ("", None)
    # On a socket for both families an IPv4 client has an IPv6 address around its own.
    if host.startswith("::ffff:") and "." in host:
        host = host.removeprefix("::ffff:")
    addresses = {"REMOTE_ADDR": host}
    # Of a client that came by a proxy it is 0: unknown.
    if port:
        addresses["REMOTE_PORT"] = str(port)
    server_host, server_port = scope.get("server") or ("localhost", None)
    if server_port is None:
        # A Unix socket: its path is no name a URL could have.
        server_host, server_port = "localhost", _DEFAULT_PORTS.get(scope["scheme"], "80")
    return addresses | {"SERVER_NAME": server_host, "SERVER_PORT": str(server_port)}


def _headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    named = {
        option.strip().lower()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
    }
    dropped = HOP_BY_HOP | _FORGEABLE | (named - _END_TO_END)
    environ: dict[str, str] = {}
    for name, value in headers:
        # `X_Name` and `X-Name` are one key to WSGI, so the former could pass for the latter.
        if name in dropped or b"_" in name or name.startswith(_FORGEABLE_PREFIXES):
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        if key in environ:
            separator = "; " if key == "HTTP_COOKIE" else ","
            text = f"{environ[key]}{separator}{text}"
        environ[key] = text
    return environ
