"""What a port believes of a request: the name it was sent to, and whom a proxy says it is from."""

from msgspec import Struct

from heliograph.transports.forwarded import TrustedProxies
from heliograph.transports.hosts import KnownHosts
from heliograph.transports.http_options import HttpGuardOptions


class HttpTrust(Struct, frozen=True, eq=False):
    """What everything on one port believes of HTTP requests.

    Attributes:
        hosts: by which this server is known.
        proxies: whose word counts about clients.
    """

    hosts: KnownHosts
    proxies: TrustedProxies


def trust_of(options: HttpGuardOptions) -> HttpTrust:
    """Return what a port with these options believes."""
    return HttpTrust(KnownHosts(options.allowed_hosts), TrustedProxies(options.trusted_proxies))


USUAL_TRUST = trust_of(HttpGuardOptions())
"""Of a port whose configuration says nothing about it."""
