"""By which names a server is known, so that a page whose own name was made to lead here (DNS rebinding) is told apart.

Such a page's requests look to its browser like requests to its own server, so it may read the answers, and no `Origin`
comes with a GET. What it cannot choose is `Host`, which is its own name.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence

from heliograph.transports.wildcards import compiled


class KnownHosts:
    """Decides whether a request was meant for this server.

    Known without being named are those of loopback, the machine's own name, and any IP address, for no name leads there
    that somebody else could change. On a connection that came in on loopback an address must be one of loopback, too.

    Args:
        allowed: further names, without ports, with `*` as wildcard inside.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._patterns: list[re.Pattern[str]] = [compiled(name.lower()) for name in allowed]
        self._own = socket.gethostname().lower()
        self.are_named = bool(allowed)
        """Whether the configuration names any."""

    def knows(self, host: str, *, is_loopback: bool) -> bool:
        """Return whether `host` is a name of this server.

        Args:
            host: the header `Host`; without one, which no browser sends, it may be anybody's.
            is_loopback: whether the connection came in on a loopback address.
        """
        name = name_of(host)
        if not name or name == self._own or any(pattern.match(name) for pattern in self._patterns):
            return True
        if name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not is_loopback


def name_of(host: str) -> str:
    """Return the name or address in `Host`, in lower case, without its port and brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    # An IPv6 address without brackets has no port.
    return host if host.count(":") > 1 else host.partition(":")[0]
