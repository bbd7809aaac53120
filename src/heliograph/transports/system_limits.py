"""What the system allows, beside what the configuration states."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from heliograph.processes.descriptors import RESERVE, descriptor_limit, raise_descriptor_limit, reserve_of
from heliograph.transports.connection_limit import POLITELY_REFUSED
from heliograph.transports.options import TcpEndpoint, UnixEndpoint

_SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


class Listening(Protocol):
    """Options of a transport."""

    @property
    def endpoint(self) -> TcpEndpoint | UnixEndpoint: ...

    @property
    def max_connections(self) -> int: ...


def make_room(transports: Sequence[Listening]) -> list[str]:
    """Give this process as many descriptors as its ports need; return what stays below the configuration, as text."""
    connections = sum(transport.max_connections for transport in transports)
    raise_descriptor_limit(connections + len(transports) * POLITELY_REFUSED + RESERVE)
    shortages = []
    limit = descriptor_limit()
    if limit is not None and limit < connections + RESERVE:
        shortages.append(
            f"room for about {limit - reserve_of(limit)} connections, where max_connections allows {connections}: the "
            f"system gives this process {limit} descriptors. Further connections are refused and counted. For more, "
            "raise the limit (ulimit -n, LimitNOFILE of systemd); if these are enough, say so in max_connections"
        )
    backlog = max((transport.endpoint.backlog for transport in transports), default=0)
    held = _somaxconn()
    if held is not None and held < backlog:
        shortages.append(
            f"backlog is {backlog}, but the system holds {held} connections until they are accepted "
            "(sysctl net.core.somaxconn)"
        )
    return shortages


def _somaxconn() -> int | None:
    try:
        return int(_SOMAXCONN.read_text())
    except (OSError, ValueError):
        return None  # not Linux, or hidden
