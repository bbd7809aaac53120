"""Who a client is that came by a proxy: the proxy says it in `X-Forwarded-For` and `X-Forwarded-Proto`.

Anybody may send these headers, so they count only from addresses the configuration names. `Forwarded` (RFC 7239) never
counts: a proxy that sets one of the two forms passes the other on as the client wrote it.
"""

import ipaddress
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from heliograph.auth.facts import ConnectionFacts
from heliograph.transports.facts import SocketFacts, connection_facts, ip_address_of, is_unix

UNIX = "unix"
"""The entry that stands for whoever connects by a Unix socket."""

_FOR = "x-forwarded-for"
_PROTO = "x-forwarded-proto"

FORWARDING_HEADERS = (_FOR, _PROTO)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Forwarded(Struct, frozen=True):
    """What a trusted proxy says of a client.

    Attributes:
        address: of the client; None if it does not say.
        is_encrypted: whether the client speaks TLS to the proxy; None if it does not say.
    """

    address: str | None
    is_encrypted: bool | None


class TrustedProxies:
    """The proxies of one port.

    Args:
        entries: IP addresses, networks, or `unix`; each valid.
    """

    def __init__(self, entries: Sequence[str] = ()) -> None:
        self._networks = [network_of(entry) for entry in entries if entry != UNIX]
        self._trusts_unix = UNIX in entries
        self.is_any = bool(entries)
        """Whether there is one."""

    def forwarded(self, transport: SocketFacts, headers: Mapping[str, str]) -> Forwarded | None:
        """Return what is said of the client; None if who says it is no trusted proxy.

        Args:
            transport: the connection.
            headers: names in lower case; those that came twice are joined by commas.
        """
        if not self.is_any or not self._is_proxy(transport):
            return None
        # The nearest proxy has written the last one, or has passed on what the one before it wrote.
        proto = headers.get(_PROTO, "").rpartition(",")[2].strip().lower()
        return Forwarded(self._client(headers.get(_FOR, "")), {"https": True, "http": False}.get(proto))

    def facts(self, transport: SocketFacts, headers: Mapping[str, str]) -> ConnectionFacts:
        """Return what is known of the client; arguments as of `forwarded`."""
        forwarded = self.forwarded(transport, headers)
        facts = connection_facts(transport)
        if forwarded is None:
            return facts
        is_encrypted = facts.is_encrypted if forwarded.is_encrypted is None else forwarded.is_encrypted
        if forwarded.address is None:
            # `unknown`, or whatever the client wrote: it is not local for that, or its guesses were not counted.
            is_local = facts.is_local and not headers.get(_FOR)
            return replace(facts, is_encrypted=is_encrypted, is_local=is_local)
        # Certificate and place are the proxy's, not the client's; and nobody becomes local by what a header says.
        return ConnectionFacts(address=forwarded.address, is_encrypted=is_encrypted)

    def _is_proxy(self, transport: SocketFacts) -> bool:
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple) and peer:
            address = ip_address_of(str(peer[0]))
            return address is not None and self._trusts(address)
        return self._trusts_unix and is_unix(transport)

    def _trusts(self, address: str) -> bool:
        ip = ipaddress.ip_address(address)
        return any(ip in network for network in self._networks)

    def _client(self, chain: str) -> str | None:
        """Return the last address of a chain that is no proxy's; each proxy appends whom it was asked by."""
        nearest = None
        while chain:
            chain, _, entry = chain.rpartition(",")
            address = _address_in(entry.strip())
            if address is None:
                # What stands before it was not written by anybody known.
                break
            nearest = address
            if not self._trusts(address):
                break
        return nearest


def network_of(entry: str) -> Network:
    """Return an address or a network as a network; raises `ValueError` for anything else."""
    return ipaddress.ip_network(entry)


def _address_in(entry: str) -> str | None:
    """Return the address in an entry, which some proxies write with a port."""
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    return ip_address_of(entry)
