"""Listening sockets."""

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from heliograph.transports.options import TcpEndpoint, UnixEndpoint


class ListenFailed(Exception):  # noqa: N818 - says what happened
    """An endpoint cannot be listened on; the text says which and why."""


async def listen(
    endpoint: TcpEndpoint | UnixEndpoint,
    connection: Callable[[], asyncio.BaseProtocol],
    *,
    node_directory: Path,
) -> asyncio.Server:
    """Return a server that accepts connections at `endpoint`.

    Args:
        endpoint: where.
        connection: makes the protocol of a new connection.
        node_directory: what a Unix socket's path is relative to.

    Raises:
        ListenFailed: the endpoint is taken, or cannot be had.
    """
    loop = asyncio.get_running_loop()
    try:
        if isinstance(endpoint, UnixEndpoint):
            path = (node_directory / endpoint.path).absolute()
            _make_way(path)
            return await loop.create_unix_server(connection, str(path), backlog=endpoint.backlog)
        return await loop.create_server(
            connection,
            sock=_tcp_socket(endpoint),
            backlog=endpoint.backlog,
        )
    except OSError as error:
        text = f"cannot listen on {_name(endpoint)}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            text += "; stop what listens there, or choose another endpoint"
        raise ListenFailed(text) from error


def addresses(server: asyncio.Server) -> list[str]:
    """Return where `server` listens, `host:port` or a path, with wildcards shown as they are."""
    names = []
    for listening in server.sockets:
        name = listening.getsockname()
        if isinstance(name, str):
            names.append(name)
        else:
            host = f"[{name[0]}]" if ":" in name[0] else name[0]
            names.append(f"{host}:{name[1]}")
    return names


def _tcp_socket(endpoint: TcpEndpoint) -> socket.socket:
    family = socket.AF_INET6 if endpoint.version == 6 else socket.AF_INET
    infos = socket.getaddrinfo(
        endpoint.interface or None, endpoint.port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if endpoint.shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(infos[0][4])
    except OSError:
        listening.close()
        raise
    return listening


def _make_way(path: Path) -> None:
    """Remove the socket a crashed process left behind; raises `OSError` when something else is there.

    The event loop would remove any socket, also one that another process listens on.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "a file that is no socket is in the way")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(0)
            answer = probe.connect_ex(str(path))
        if answer != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        path.unlink()


def _name(endpoint: TcpEndpoint | UnixEndpoint) -> str:
    if isinstance(endpoint, UnixEndpoint):
        return endpoint.path
    return f"{endpoint.interface or '*'}:{endpoint.port}"
