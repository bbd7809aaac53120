"""Who this machine is: its name in the fleet, its host name, its address as the router sees it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from typing import Any

from heliograph.agent.errors import AddressError, IdentityError
from heliograph.agent.text import encodable, error_text

CLIENT_PATTERN = re.compile(r"[a-z0-9_-]{1,64}")
MAX_CLIENT_CHARACTERS = 64
MAX_NAME_CHARACTERS = 255

# One result of `socket.getaddrinfo`: family, type, protocol, canonical name, address.
_AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


def check_client(client: str) -> str:
    """Return *client* when it is a valid client name; raises `IdentityError` otherwise."""
    if CLIENT_PATTERN.fullmatch(client):
        return client
    raise IdentityError(
        f"{client[:80]!r} is no client name: use 1 to {MAX_CLIENT_CHARACTERS} of a-z, 0-9, '_' and '-'"
    )


def client_from_host_name(host_name: str) -> str:
    """Return the client name for a machine called *host_name*; raises `IdentityError` when nothing is left of it."""
    replaced = re.sub(r"[^a-z0-9_-]", "-", host_name.lower())
    client = replaced[:MAX_CLIENT_CHARACTERS].strip("-")
    if not client:
        raise IdentityError(
            f"the host name {host_name[:80]!r} gives no client name: "
            "set one with --client NAME or HELIOGRAPH_CLIENT (a-z, 0-9, '_' and '-')"
        )
    return client


def read_host_name() -> str:
    """Return this machine's host name as the operating system has it, fit for a sample."""
    return encodable(socket.gethostname(), max_characters=MAX_NAME_CHARACTERS)


def read_address_towards(host: str, port: int) -> str:
    """Return the address this machine uses to reach *host*; raises `AddressError` when there is no way.

    Connecting a datagram socket sends nothing: the kernel only looks up the route. May block in the resolver.
    """
    try:
        candidates = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise AddressError(f"cannot resolve {host}: {error_text(error)}") from error
    return _first_local_address(host, candidates)


def _first_local_address(host: str, candidates: Iterable[_AddressInfo]) -> str:
    refusals = []
    for family, kind, protocol, _, address in candidates:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)
                return plain_address(probe.getsockname()[0])
        except OSError as error:
            refusals.append(error_text(error))
    raise AddressError(f"no way towards {host}: {'; '.join(refusals) or 'it has no address'}")


def plain_address(address: str) -> str:
    """Return *address* without the zone that means something on this machine only (`fe80::1%eth0`)."""
    return address.partition("%")[0]
