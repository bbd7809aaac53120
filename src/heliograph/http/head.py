"""What the parser leaves to its user: whether a request's head makes sense as a whole, when each line is well formed.

Every way in asks here before anything is done: a connection's parser, and a handshake that is a connection's first
bytes. What is known again by its bytes was judged here when it came first.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from msgspec import Struct

HeaderLines = list[tuple[bytes, bytes]]
"""Names in lower case, and values without white space at their ends."""

# A name as DNS and hosts files have them, an IPv4 address, or an IPv6 address in brackets; perhaps a port. RFC 3986 has
# room for more, which names no host that could be asked.
_HOST = rb"(?:[A-Za-z0-9_~-]+(?:\.[A-Za-z0-9_~-]+)*\.?|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{0,5}))?"
_HIGHEST_PORT = 65_535
_host = re.compile(_HOST).fullmatch
_absolute = re.compile(rb"(https?)://([^/?]*)(.*)", re.IGNORECASE | re.DOTALL).fullmatch

_SINGULAR = (
    b"authorization",
    b"content-length",
    b"content-type",
    b"host",
    b"origin",
    b"sec-websocket-key",
    b"sec-websocket-version",
)
"""Fields with one value, by which it is decided who asks for what."""


class HeadRefused(Exception):  # noqa: N818 - says what happened, not that something is broken
    """A request that is answered with an error, and with which its connection ends.

    Args:
        status: of the answer.
        text: what was wrong.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


class Head(Struct, gc=False):
    """A request's head that was found to make sense.

    Attributes:
        method: in capitals.
        target: path and query, or `*`.
        headers: as they came, but for a `Host` that the target overrules.
        fields: the headers by name; one that came several times is joined by commas.
    """

    method: bytes
    target: bytes
    headers: HeaderLines
    fields: dict[bytes, bytes]

    @property
    def has_content(self) -> bool:
        """Whether a body follows."""
        fields = self.fields
        return b"transfer-encoding" in fields or fields.get(b"content-length", b"0").strip(b"0") != b""


def judged_head(method: bytes, version: str, target: bytes, headers: HeaderLines, *, scheme: str) -> Head:
    """Return a request's head as what it means.

    Args:
        method: of the request, in capitals.
        version: of HTTP, such as `1.1`.
        target: of the request, as it came.
        headers: of the request.
        scheme: `https` where the connection is encrypted, else `http`.

    Raises:
        HeadRefused: it means nothing, or not the same to everybody.
    """
    fields = dict(headers)
    if len(fields) != len(headers):
        fields = _joined(headers)
    if version != "1.1":
        _judge_other_version(version, fields)
    host = fields.get(b"host")
    # "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host
    # header field and to any request message that contains more than one Host header field line or a Host header field
    # with an invalid field value." (RFC 9112, section 3.2)
    if host is None:
        if version == "1.1":
            raise HeadRefused(400, "a request of HTTP/1.1 names its host in one line Host")
    elif not _is_host(host):
        raise HeadRefused(400, "Host must be a name or an address, and perhaps a port")
    if b"transfer-encoding" in fields:
        _judge_codings(fields[b"transfer-encoding"].lower())
    if target.startswith(b"/") and method != b"CONNECT":
        if b"#" in target:
            raise _has_fragment()
        return Head(method, target, headers, fields)
    return _with_other_target(method, target, headers, fields, scheme)


@lru_cache(maxsize=256)
def _is_host(host: bytes) -> bool:
    found = _host(host)
    if found is None:
        return False
    ipv6, port = found.groups()
    if port and int(port) > _HIGHEST_PORT:
        return False
    try:
        return ipv6 is None or ipaddress.IPv6Address(ipv6.decode("ascii")) is not None
    except ValueError:
        return False


def _joined(headers: HeaderLines) -> dict[bytes, bytes]:
    """Return headers by name, of which some came several times."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        if name not in fields:
            fields[name] = value
        elif name in _SINGULAR:
            # "a sender MUST NOT generate multiple field lines with the same name in a message [..] unless that field's
            # definition allows multiple field line values to be recombined as a comma-separated list" (RFC 9110, 5.3).
            # One reader takes the first, another the last.
            raise HeadRefused(400, f"{name.decode('latin-1')} must not come twice")
        else:
            fields[name] = b"%b,%b" % (fields[name], value)
    return fields


def _judge_other_version(version: str, fields: dict[bytes, bytes]) -> None:
    if version != "1.0":
        # "the server does not support, or refuses to support, the major version of HTTP that was used in the request"
        # (RFC 9110, section 15.6.6)
        raise HeadRefused(505, "HTTP/1.1 and HTTP/1.0 are spoken here")
    if b"transfer-encoding" in fields:
        # "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header field MUST treat
        # the message as if the framing is faulty" (RFC 9112, section 6.1)
        raise HeadRefused(400, "HTTP/1.0 has no Transfer-Encoding")
    # "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore that expectation." (RFC
    # 9110, section 10.1.1)
    fields.pop(b"expect", None)


def _judge_codings(codings: bytes) -> None:
    if codings == b"chunked":
        return
    *others, last = (coding.strip() for coding in codings.split(b","))
    if last == b"chunked" and b"chunked" not in others:
        # "A server that receives a request message with a transfer coding it does not understand SHOULD respond with
        # 501 (Not Implemented)." (RFC 9112, section 6.1)
        raise HeadRefused(501, "no Transfer-Encoding but chunked is understood")
    # "If a Transfer-Encoding header field is present in a request and the chunked transfer coding is not the final
    # encoding, the message body length cannot be determined reliably; the server MUST respond with the 400 (Bad
    # Request) status code and then close the connection." (RFC 9112, section 6.3)
    raise HeadRefused(400, "Transfer-Encoding must be chunked")


def _with_other_target(
    method: bytes, target: bytes, headers: HeaderLines, fields: dict[bytes, bytes], scheme: str
) -> Head:
    """Return the head of a request whose target is no path."""
    if method == b"CONNECT":
        # "most origin servers do not implement CONNECT" (RFC 9110, section 9.3.6)
        raise HeadRefused(501, "this is no proxy: CONNECT is not implemented")
    if target == b"*" and method == b"OPTIONS":
        return Head(method, target, headers, fields)
    absolute = _absolute(target)
    if absolute is None:
        # "Recipients of an invalid request-line SHOULD respond with either a 400 (Bad Request) error or a 301 (Moved
        # Permanently) redirect" (RFC 9112, section 3)
        raise HeadRefused(400, "the target must be a path, or a URL with http or https")
    target_scheme, host, path = absolute.groups()
    if not _is_host(host):
        # "Before making use of an "http" or "https" URI reference received from an untrusted source, a recipient SHOULD
        # parse for userinfo and treat its presence as an error" (RFC 9110, section 4.2.4)
        raise HeadRefused(400, "the target's host must be a name or an address, and perhaps a port")
    if target_scheme.lower() == b"https" and scheme != "https":
        # "a request for an "https" resource MUST be rejected unless it has been received over a connection that has
        # been secured" (RFC 9110, section 7.4)
        raise HeadRefused(421, "https is not spoken on this port")
    if b"#" in path:
        raise _has_fragment()
    # "When an origin server receives a request with an absolute-form of request-target, the origin server MUST ignore
    # the received Host header field (if any) and instead use the host information of the request-target." (RFC 9112,
    # section 3.2.2)
    others = [(name, value) for name, value in headers if name != b"host"]
    origin_form = path if path.startswith(b"/") else b"/" + path
    return Head(method, origin_form, [(b"host", host), *others], fields | {b"host": host})


def _has_fragment() -> HeadRefused:
    # `origin-form = absolute-path [ "?" query ]` (RFC 9112, section 3.2.1): a fragment is the client's own.
    return HeadRefused(400, "a target has no fragment")
