"""A WebSocket's handshake that came whole, as the first bytes of a connection.

The parser of all requests reads it, but nothing is made that only a connection of HTTP needs: that would take 60 µs.
"""

from collections.abc import Sequence

import httptools

_MARK = b"pgrade:"
_MARKED_WITHIN = 4096

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values."""

HEADER_PUNCTUATION_BYTES = len(b": \r\n")


class UpgradeRequest:
    """A request that asks for another protocol, as the parser tells of it.

    Attributes:
        method: of the request.
        target: of the request.
        headers: of the request.
        head_bytes: of what was read, up to the end of the request.
    """

    __slots__ = ("_requests", "head_bytes", "headers", "method", "target")

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.head_bytes = 0
        self._requests = 0

    def on_message_begin(self) -> None:
        """Count the requests."""
        self._requests += 1

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers.append((name.lower(), value))

    def is_single(self, limit_bytes: int) -> bool:
        """Return whether this was one request, whose target and headers have no more than `limit_bytes`."""
        size = len(self.target) + sum(
            len(name) + len(value) + HEADER_PUNCTUATION_BYTES for name, value in self.headers
        )
        return self._requests == 1 and size <= limit_bytes


def read_upgrade(data: bytes, *, limit_bytes: int) -> UpgradeRequest | None:
    """Return the handshake that a connection's first bytes are; None for anything else, or anything unusual.

    Args:
        data: the bytes; more may come behind the request.
        limit_bytes: the most that target and headers may have.
    """
    if data.find(_MARK, 0, _MARKED_WITHIN) < 0:
        return None
    request = UpgradeRequest()
    parser = httptools.HttpRequestParser(request)
    # As uvicorn's protocol does, so that both read the same.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade as upgrade:
        request.head_bytes = upgrade.args[0]
    except httptools.HttpParserError:
        return None
    else:
        return None
    request.method = parser.get_method().decode("ascii")
    is_usual = parser.get_http_version() == "1.1" and request.is_single(limit_bytes)
    return request if is_usual else None


def upgrade_asked(headers: Headers) -> bytes | None:
    """Return what `Upgrade` asks for, in lower case; None where `Connection` does not name it (RFC 9110, 7.8)."""
    connection: list[bytes] = []
    upgrade = None
    for name, value in headers:
        if name == b"connection":
            connection = [option.lower().strip() for option in value.split(b",")]
        elif name == b"upgrade":
            upgrade = value.lower()
    return upgrade if b"upgrade" in connection else None
