"""Which web pages may talk to this server: the browser tells where a page came from in `Origin` (RFC 6454).

A page from anywhere may open a WebSocket or send a POST to a server on the visitor's own machine. Clients that are
no browsers send no `Origin` and are not concerned.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from heliograph.transports.hosts import KnownHosts
from heliograph.transports.wildcards import ANYTHING, compiled

ANY_ORIGIN = ANYTHING
"""The pattern that covers every page."""

SAME_ORIGIN = "self"
"""The pattern that stands for pages this server itself has served."""

AllowedOrigins = tuple[Annotated[str, Meta(min_length=1)], ...]

DEFAULT_ORIGINS: AllowedOrigins = (SAME_ORIGIN,)
"""What every path that a page can reach allows, unless its options say otherwise."""

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class OriginCheck:
    """Decides whether a page's origin is allowed.

    Args:
        allowed: origins with `*` as wildcard inside, or `self`.
        allow_null: whether `*` covers the origin `null` (files, sandboxed frames).
        external_port: the port `self` has for pages, where it is not that in `Host`.
        hosts: by which this server is known.
    """

    def __init__(
        self,
        allowed: Sequence[str],
        *,
        allow_null: bool = False,
        external_port: int | None = None,
        hosts: KnownHosts | None = None,
    ) -> None:
        self._hosts = hosts or KnownHosts()
        self._external_port = external_port
        self._same_origin = SAME_ORIGIN in allowed
        patterns = [pattern.lower() for pattern in allowed if pattern != SAME_ORIGIN]
        self._any = ANY_ORIGIN in patterns
        self._patterns = [compiled(pattern) for pattern in patterns]
        self._null = allow_null and self._any

    def allows(self, origin: str | None, *, host: str, is_loopback: bool, is_encrypted: bool = False) -> bool:
        """Return whether a request may be served.

        Args:
            origin: the header `Origin`, None when there is none.
            host: the header `Host`.
            is_loopback: whether the connection came in on a loopback address.
            is_encrypted: whether the browser speaks TLS.
        """
        if origin is None:
            return True
        origin = origin.strip().lower()
        if origin == "null":
            return self._null
        # A page that came without TLS may be anybody's who is on the way.
        is_as_safe = not is_encrypted or origin.startswith("https:")
        if self._same_origin and is_as_safe and self._is_same(origin, host.lower(), is_loopback=is_loopback):
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
        # A foreign name that was made to resolve to 127.0.0.1 (DNS rebinding) is no page of ours. Elsewhere a site need
        # not say its name again, unless it names its hosts.
        if not is_loopback and not self._hosts.are_named:
            return True
        return self._hosts.knows(page.hostname, is_loopback=is_loopback)


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
