"""The bytes in front of a publication's body."""

from urllib.parse import quote

from heliograph import __version__
from heliograph.auth.bearer import BearerToken

_URL_CHARACTERS = "/%:@!$&'()*+,;=~-._"


class SecretBytes(bytes):
    """Bytes with a token in them: a traceback with variables does not show them."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


def request_head(netloc: str, path: str, query: str, media_type: str, token: BearerToken | None) -> bytes:
    """Return everything of a request that stands before the value of Content-Length."""
    target = quote(path or "/", safe=_URL_CHARACTERS)
    if query:
        target += "?" + quote(query, safe=_URL_CHARACTERS + "?")
    lines = [
        f"POST {target} HTTP/1.1",
        f"Host: {netloc.encode('idna').decode() if not netloc.isascii() else netloc}",
        f"User-Agent: heliograph/{__version__}",
        "Accept: application/json",
        f"Content-Type: {media_type}",
        "",
    ]
    head = "\r\n".join(lines).encode("ascii")
    if token is not None:
        head = SecretBytes(b"%bAuthorization: %b\r\n" % (head, token.credentials))
    return type(head)(head + b"Content-Length: ")


def request(head: bytes, body: bytes) -> bytes:
    """Return a whole request; it is as secret as its head."""
    return type(head)(b"%b%d\r\n\r\n%b" % (head, len(body), body))
