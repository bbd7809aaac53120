"""Which web pages may talk to this server: the browser tells where a page came from in `Origin` (RFC 6454).

A page from anywhere may open a WebSocket or send a POST to a server on the visitor's own machine. Clients that are
no browsers send no `Origin` and are not concerned.
"""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

ANY_ORIGIN = "*"
"""The pattern that covers every page."""

SAME_ORIGIN = "self"
"""The pattern that stands for pages this server itself has served."""

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class OriginCheck:
    """Decides whether a page's origin is allowed.

    Args:
        allowed: origins with `*` as wildcard inside, or `self`.
        allow_null: whether `*` covers the origin `null` (files, sandboxed frames).
        external_port: the port `self` has for pages, where it is not that in `Host`.
    """

    def __init__(
        self, allowed: Sequence[str], *, allow_null: bool = False, external_port: int | None = None
    ) -> None:
        self._external_port = external_port
        self._same_origin = SAME_ORIGIN in allowed
        patterns = [pattern.lower() for pattern in allowed if pattern != SAME_ORIGIN]
        self._any = ANY_ORIGIN in patterns
        self._patterns = [_compile(pattern) for pattern in patterns]
        self._null = allow_null and self._any

    def allows(self, origin: str | None, *, host: str, is_loopback: bool) -> bool:
        """Return whether a request may be served.

        Args:
            origin: the header `Origin`, None when there is none.
            host: the header `Host`.
            is_loopback: whether the connection came in on a loopback address.
        """
        if origin is None:
            return True
        origin = origin.strip().lower()
        if origin == "null":
            return self._null
        if self._same_origin and self._is_same(origin, host.lower(), is_loopback=is_loopback):
            return True
        return self._any or any(pattern.match(origin) for pattern in self._patterns)

    def _is_same(self, origin: str, host: str, *, is_loopback: bool) -> bool:
        try:
            page = urlsplit(origin)
            asked = urlsplit(f"//{host}")
            page_port = page.port or _DEFAULT_PORTS.get(page.scheme)
            asked_port = self._external_port or asked.port or _DEFAULT_PORTS.get(page.scheme)
        except ValueError:
            return False
        if page.hostname is None or page.hostname != asked.hostname or page_port != asked_port:
            return False
        # A foreign name that was made to resolve to 127.0.0.1 (DNS rebinding) is no page of ours.
        return not is_loopback or _names_loopback(page.hostname)


def _compile(pattern: str) -> re.Pattern[str]:
    first, *others = (re.escape(part) for part in pattern.split("*"))
    if not others:
        return re.compile(rf"{first}\Z")
    *middle, last = others
    # What stands between two wildcards is found where it comes first, once and for all: tried anew for each place of
    # the other, an origin of 60 KB took two wildcards 6 seconds.
    found = "".join(f"(?>[^/]*?{part})" for part in middle)
    return re.compile(rf"{first}{found}[^/]*{last}\Z")


def _names_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_address(address: object) -> bool:
    """Return whether `address`, as a socket names it, is a loopback address; Unix sockets have none."""
    if not isinstance(address, tuple) or not address:
        return False
    return _is_loopback(str(address[0]))


@lru_cache(maxsize=1024)
def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_loopback
