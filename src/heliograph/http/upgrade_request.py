"""A WebSocket's handshake that came whole, as the first bytes of a connection.

The parser of all requests reads it, but nothing is made that only a connection of HTTP needs: that would take 60 µs.
"""

from collections.abc import Mapping

import httptools
from msgspec import Struct

from heliograph.http.head import Head, HeaderLines, HeadRefused, judged_head

_MARK = b"pgrade:"
_MARKED_WITHIN = 4096

HEADER_PUNCTUATION_BYTES = len(b": \r\n")


class _Request:
    """What the parser tells of a request.

    Attributes:
        target: of the request.
        headers: of the request.
    """

    __slots__ = ("_is_in_head", "_requests", "headers", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: HeaderLines = []
        self._is_in_head = True
        self._requests = 0

    def on_message_begin(self) -> None:
        """Count the requests."""
        self._requests += 1

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is none."""
        if self._is_in_head:
            self.headers.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        """Note that what comes now is the body, and trailers."""
        self._is_in_head = False

    def is_single(self, limit_bytes: int) -> bool:
        """Return whether this was one request, whose target and headers have no more than `limit_bytes`."""
        size = len(self.target) + sum(
            len(name) + len(value) + HEADER_PUNCTUATION_BYTES for name, value in self.headers
        )
        return self._requests == 1 and size <= limit_bytes


class UpgradeRequest(Struct):
    """A handshake that came whole.

    Attributes:
        head: of the request.
        head_bytes: of what was read, up to the end of the request.
    """

    head: Head
    head_bytes: int


def read_upgrade(data: bytes, *, limit_bytes: int) -> UpgradeRequest | None:
    """Return the handshake that a connection's first bytes are; None for anything else, or anything unusual.

    Args:
        data: the bytes; more may come behind the request.
        limit_bytes: the most that target and headers may have.
    """
    if data.find(_MARK, 0, _MARKED_WITHIN) < 0:
        return None
    request = _Request()
    parser = httptools.HttpRequestParser(request)
    # As uvicorn's protocol does, so that both read the same.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade as upgrade:
        head_bytes = upgrade.args[0]
    except httptools.HttpParserError:
        return None
    else:
        return None
    version = parser.get_http_version()
    if version != "1.1" or not request.target.startswith(b"/") or not request.is_single(limit_bytes):
        return None
    try:
        head = judged_head(parser.get_method(), version, request.target, request.headers, scheme="http")
    except HeadRefused:
        return None
    return UpgradeRequest(head, head_bytes)


def upgrades_to_websocket(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether a request asks for WebSocket; other upgrades, such as h2c, are left alone.

    Args:
        fields: the headers by name.
    """
    # "A sender of Upgrade MUST also send an "Upgrade" connection option in the Connection header field" (RFC 9110,
    # section 7.8). Both are lists.
    return _names(fields, b"upgrade", b"websocket") and _names(fields, b"connection", b"upgrade")


def _names(fields: Mapping[bytes, bytes], field: bytes, wanted: bytes) -> bool:
    value = fields.get(field, b"").lower()
    return value == wanted or wanted in [item.strip() for item in value.split(b",")]
