"""Listening ports: each made of a transport's options and the protocols that are spoken on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from heliograph.http.exchange import AsgiApplication
from heliograph.http.lane import LaneService
from heliograph.http.paths import Paths
from heliograph.http.port import HttpPort
from heliograph.http.websocket_page import WebSocketPage
from heliograph.processes.descriptors import Descriptors
from heliograph.routing.router import Router
from heliograph.transports.connection_limit import REFUSED_OVER_HTTP, ConnectionLimit
from heliograph.transports.connection_service import ConnectionService
from heliograph.transports.counters import TransportCounters
from heliograph.transports.http_options import HttpGuardOptions
from heliograph.transports.http_trust import trust_of
from heliograph.transports.listener import ListenFailed, addresses, listen
from heliograph.transports.options import (
    RawSocketServiceOptions,
    RawSocketTransportOptions,
    TcpEndpoint,
    TlsOptions,
    UniversalTransportOptions,
    WebSocketServiceOptions,
    WebSocketTransportOptions,
    WebTransportOptions,
)
from heliograph.transports.rawsocket_service import RawSocketService
from heliograph.transports.tls import HTTP_ALPN, ServerTls, TlsUnusable
from heliograph.transports.tls_handshake import TlsService
from heliograph.transports.turn import Turn
from heliograph.transports.universal import UniversalService
from heliograph.transports.websocket_service import WebSocketService
from heliograph.wire.rawsocket import HandshakeError, handshake_error

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - shown, not listened on

ListeningOptions = (
    WebTransportOptions[Any]
    | WebSocketTransportOptions
    | RawSocketTransportOptions
    | UniversalTransportOptions[Any]
)


class Draining(Protocol):
    """Something with connections that have to end before the node does."""

    async def drain(self, timeout_s: float) -> None:
        """End all connections, within `timeout_s` seconds."""


class PathServices:
    """What answers at the paths of a port, by kind; keys are paths, those of WebSockets without slashes."""

    def __init__(self) -> None:
        self.applications: dict[str, AsgiApplication] = {}
        self.lane: dict[str, LaneService] = {}
        self.websockets: dict[str, WebSocketService] = {}
        self.longpolls: list[ConnectionService] = []


class Shared:
    """What everything on one port has in common.

    Args:
        router: where sessions join.
        turn: the current turn of the loop.
        counters: of the port.
        loop: the event loop.
        descriptors: tell when connections have used all but a reserve; None for a port that may use that.
        guard: limits of its HTTP requests, and what is believed of them.
    """

    def __init__(
        self,
        *,
        router: Router,
        turn: Turn,
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
        descriptors: Descriptors | None = None,
        guard: HttpGuardOptions | None = None,
    ) -> None:
        self.router = router
        self.turn = turn
        self.counters = counters
        self.loop = loop
        self.descriptors = descriptors
        self.guard = guard or HttpGuardOptions()
        self.trust = trust_of(self.guard)

    def websocket(self, options: WebSocketServiceOptions) -> WebSocketService:
        """Return a WebSocket endpoint on this port."""
        return WebSocketService(
            options,
            router=self.router,
            turn=self.turn,
            counters=self.counters,
            loop=self.loop,
            trust=self.trust,
        )

    def rawsocket(self, options: RawSocketServiceOptions) -> RawSocketService:
        """Return a RawSocket endpoint on this port."""
        return RawSocketService(
            options, router=self.router, turn=self.turn, counters=self.counters, loop=self.loop
        )

    def http(self, paths: Paths, websocket_at: Callable[[str], WebSocketService | None]) -> HttpPort:
        """Return the HTTP side of this port."""
        return HttpPort(
            paths,
            websocket_at,
            turn=self.turn,
            options=self.guard,
            counters=self.counters,
            loop=self.loop,
            trust=self.trust,
        )


def guard_of(options: ListeningOptions) -> HttpGuardOptions | None:
    """Return what a transport's options say about its HTTP requests, None where they say nothing."""
    if isinstance(options, WebTransportOptions):
        return options.options
    if isinstance(options, WebSocketTransportOptions):
        return options.http
    if isinstance(options, UniversalTransportOptions) and options.web is not None:
        return options.web.options
    return None


class Port:
    """One listening transport and what it serves.

    Args:
        name: in metrics.
        options: of the transport.
        connection: makes the protocol of a new connection.
        refusal: what is said to a connection that is one too many.
        scheme: of the URL that leads here, if it is not encrypted.
        alpn: protocols that are spoken inside TLS, for clients that ask.
        services: the WAMP endpoints on this port.
        others: what else has connections to end.
        shared: what the port's parts have in common.
    """

    def __init__(
        self,
        name: str,
        options: ListeningOptions,
        connection: Callable[[], asyncio.Protocol],
        *,
        refusal: bytes,
        scheme: str,
        alpn: Sequence[str] = (),
        services: Sequence[ConnectionService],
        others: Sequence[Draining] = (),
        shared: Shared,
    ) -> None:
        self.name = name
        self.services = services
        self.others = list(others)
        self.counters = shared.counters
        self.tls: ServerTls | None = None
        endpoint = options.endpoint
        self._endpoint = endpoint
        self._tls_options = endpoint.tls if isinstance(endpoint, TcpEndpoint) else None
        self._most = options.max_connections
        self._connection = connection
        self._refusal = refusal
        self._scheme = scheme if self._tls_options is None else f"{scheme}s"
        self._alpn = alpn
        self._shared = shared
        self._server: asyncio.Server | None = None

    async def listen(self, node_directory: Path) -> None:
        """Accept connections from now on.

        Args:
            node_directory: what a Unix socket's path and the files of TLS are relative to.

        Raises:
            ListenFailed: the endpoint is taken, or cannot be had.
        """
        connection, refusal = self._connection, self._refusal
        if self._tls_options is not None:
            connection = self._encrypted(connection, self._tls_options, node_directory)
            # Before the handshake there are no words the client would understand.
            refusal = b""
        limited = ConnectionLimit(
            connection,
            most=self._most,
            refusal=refusal,
            counters=self.counters,
            loop=self._shared.loop,
            descriptors=self._shared.descriptors,
        )
        self._server = await listen(self._endpoint, limited, node_directory=node_directory)

    def _encrypted(
        self, connection: Callable[[], asyncio.Protocol], options: TlsOptions, directory: Path
    ) -> Callable[[], asyncio.Protocol]:
        counters, loop = self.counters, self._shared.loop
        try:
            self.tls = ServerTls(options, directory, alpn=self._alpn, counters=counters, loop=loop)
        except TlsUnusable as failure:
            raise ListenFailed(f"cannot listen on {self.name}: {failure}") from failure
        service = TlsService(connection, self.tls, counters=counters, loop=loop)
        self.others.append(service)
        return service.connection

    @property
    def addresses(self) -> list[str]:
        """Where it listens: `host:port` or a path."""
        return [] if self._server is None else addresses(self._server)

    @property
    def urls(self) -> list[str]:
        """What a person or a client can open; a wildcard address is shown as loopback."""
        return [shown_url(self._scheme, address) for address in self.addresses]

    def close(self) -> None:
        """Accept no further connections."""
        if self._server is not None:
            self._server.close()

    async def drain(self, timeout_s: float) -> None:
        """End all connections, within `timeout_s` seconds."""
        await asyncio.gather(*(part.drain(timeout_s) for part in (*self.others, *self.services)))


def web_port(
    name: str,
    options: WebTransportOptions[Any],
    shared: Shared,
    paths: PathServices,
) -> Port:
    """Return a port for HTTP and WebSocket side by side.

    Args:
        name: in metrics.
        options: of the transport.
        shared: what the port's parts have in common.
        paths: what answers at its paths.
    """
    http = shared.http(Paths(paths.applications, paths.lane), paths.websockets.get)
    return Port(
        name,
        options,
        http.connection,
        refusal=REFUSED_OVER_HTTP,
        scheme="http",
        alpn=HTTP_ALPN,
        services=[*paths.websockets.values(), *paths.longpolls],
        others=[http],
        shared=shared,
    )


def websocket_port(name: str, options: WebSocketTransportOptions, shared: Shared) -> Port:
    """Return a port for WebSocket alone, whatever path a URL names."""
    service = shared.websocket(options)
    http = shared.http(Paths({"/": websocket_page(service)}), lambda _path: service)
    return Port(
        name,
        options,
        http.connection,
        refusal=REFUSED_OVER_HTTP,
        scheme="ws",
        alpn=HTTP_ALPN,
        services=[service],
        others=[http],
        shared=shared,
    )


def rawsocket_port(name: str, options: RawSocketTransportOptions, shared: Shared) -> Port:
    """Return a port for RawSocket alone."""
    service = shared.rawsocket(options)
    refusal = handshake_error(HandshakeError.TOO_MANY_CONNECTIONS)
    return Port(
        name,
        options,
        service.connection,
        refusal=refusal,
        scheme="rs",
        services=[service],
        shared=shared,
    )


def universal_port(
    name: str,
    options: UniversalTransportOptions[Any],
    shared: Shared,
    paths: PathServices,
) -> Port:
    """Return a port for RawSocket, WebSocket and HTTP, told apart by the first octet; arguments as of `web_port`."""
    rawsocket = shared.rawsocket(options.rawsocket) if options.rawsocket is not None else None
    by_component = {path.strip("/"): shared.websocket(item) for path, item in options.websocket.items()}

    def websocket_at(path: str) -> WebSocketService | None:
        # `web` knows whole paths, `websocket` the first component of any.
        return paths.websockets.get(path) or by_component.get(path.partition("/")[0])

    pages: dict[str, AsgiApplication] = {
        path: websocket_page(by_component[path.strip("/")]) for path in options.websocket
    }
    answers = {**pages, **paths.applications}
    http = shared.http(Paths(answers, paths.lane), websocket_at)
    universal = UniversalService(
        rawsocket=rawsocket.connection if rawsocket is not None else None,
        http=http.connection,
        first_octet_timeout_s=shared.guard.header_timeout_s,
        counters=shared.counters,
        loop=shared.loop,
    )
    wamp: list[ConnectionService] = [*paths.websockets.values(), *paths.longpolls, *by_component.values()]
    if rawsocket is not None:
        wamp.append(rawsocket)
    return Port(
        name,
        options,
        universal.connection,
        # Before the first octet nobody knows what could be said.
        refusal=b"",
        alpn=HTTP_ALPN,
        scheme="http" if options.web is not None else "ws" if by_component else "rs",
        services=wamp,
        others=[universal, http],
        shared=shared,
    )


def websocket_page(service: WebSocketService) -> WebSocketPage:
    """Return what answers a plain request where `service` takes WebSockets."""
    return WebSocketPage(service.subprotocols, is_shown=service.options.options.enable_webstatus)


def shown_url(scheme: str, address: str) -> str:
    """Return a URL that can be opened for `address`, which may be a wildcard."""
    if address.startswith("/"):
        return f"unix:{address}"
    host, _, port = address.rpartition(":")
    return f"{scheme}://{_WILDCARDS.get(host, host)}:{port}/"
