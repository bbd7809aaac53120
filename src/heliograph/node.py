"""A router node: made of its options, run until a signal, then drained."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph import __version__
from heliograph.auth.bearer import read_token
from heliograph.auth.errors import LibraryMissing
from heliograph.auth.secret_files import SecretUnreadable
from heliograph.authenticating.functions import AuthenticatorFunctions
from heliograph.config.options import NodeOptions, PathService, RouterWorker, Transport
from heliograph.http import ServiceError
from heliograph.http.exchange import AsgiApplication
from heliograph.http.metrics import Metric, MetricsPath
from heliograph.http.node_metrics import (
    authenticator_metrics,
    bridge_metrics,
    log_metrics,
    router_metrics,
    transport_metrics,
    wsgi_metrics,
)
from heliograph.http.options import (
    CallerOptions,
    MetricsOptions,
    PublisherOptions,
    StaticOptions,
    WsgiOptions,
)
from heliograph.logs.handler import COUNTERS
from heliograph.logs.writer import say
from heliograph.ports import (
    PathServices,
    Port,
    Shared,
    guard_of,
    rawsocket_port,
    universal_port,
    web_port,
    websocket_page,
    websocket_port,
)
from heliograph.processes.descriptors import Descriptors
from heliograph.routing.router import Router
from heliograph.transports.admission import Admission
from heliograph.transports.clock import LoopClock
from heliograph.transports.cookie_file import CookieFileUnusable
from heliograph.transports.counters import TransportCounters
from heliograph.transports.deliverer import OutboxDeliverer
from heliograph.transports.listener import ListenFailed
from heliograph.transports.options import (
    LongPollPathOptions,
    RawSocketTransportOptions,
    UniversalTransportOptions,
    WebSocketPathOptions,
    WebSocketTransportOptions,
)
from heliograph.transports.system_limits import make_room
from heliograph.transports.turn import Turn
from heliograph.wamp.errors import RequestError
from heliograph.wamp.ids import MAX_ID, RandomId

if TYPE_CHECKING:
    from heliograph.http.bridge import BridgePath
    from heliograph.http.wsgi import WsgiService

_LOG = logging.getLogger(__name__)

DRAIN_TIMEOUT_S = 5.0
"""Seconds sessions and requests get to end when the node stops."""

START_FAILURES = (
    ListenFailed,
    ServiceError,
    RequestError,
    LibraryMissing,
    SecretUnreadable,
    CookieFileUnusable,
)
"""What keeps a node from starting; the text says what to do."""

AGENT = f"Heliograph-{__version__}"


class Node:
    """Everything one configuration describes, in one process.

    Args:
        options: the checked configuration.
        node_directory: what paths in it are relative to.
    """

    def __init__(self, options: NodeOptions, *, node_directory: Path) -> None:
        self._directory = node_directory
        self._loop = asyncio.get_running_loop()
        self._turn = Turn(self._loop)
        self._started_at = time.time()
        self._descriptors = Descriptors()
        self._routers: list[tuple[str, Router]] = []
        self._ports: list[Port] = []
        self._bridges: list[tuple[str, BridgePath]] = []
        self._wsgi: list[WsgiService] = []
        self._admissions: list[Admission] = []
        self._functions: list[AuthenticatorFunctions] = []
        for number, worker in enumerate(options.workers, 1):
            self._add_router(worker, worker.id or f"worker{number:03}")

    async def start(self) -> list[str]:
        """Listen, start application processes, and return the addresses listened on.

        Raises:
            ListenFailed: an endpoint cannot be had; nothing is left running.
        """
        try:
            for functions in self._functions:
                await functions.start()
            for port in self._ports:
                await port.listen(self._directory)
            for service in self._wsgi:
                await service.start()
        except BaseException:
            await self.stop()
            raise
        return [address for port in self._ports for address in port.addresses]

    @property
    def urls(self) -> list[str]:
        """Where the node can be reached, as a person or a client would write it."""
        return [url for port in self._ports for url in port.urls]

    @property
    def uses_tls(self) -> bool:
        """Whether any port is encrypted."""
        return any(port.tls is not None for port in self._ports)

    def reload_certificates(self) -> None:
        """Read the files of TLS again, for connections to come."""
        for port in self._ports:
            if port.tls is not None:
                port.tls.reload()

    async def stop(self) -> None:
        """Stop listening, let sessions and requests end, stop application processes."""
        for port in self._ports:
            port.close()
        await asyncio.gather(*(port.drain(DRAIN_TIMEOUT_S) for port in self._ports))
        await asyncio.gather(*(service.stop() for service in self._wsgi))
        await asyncio.gather(
            *(admission.stop() for admission in self._admissions),
            *(functions.stop() for functions in self._functions),
        )

    def metrics(self) -> Iterator[Metric]:
        """Return all counters, those of one name after each other."""
        yield Metric("start_time_seconds", "When the node started, seconds since 1970.", self._started_at)
        if self._descriptors.limit is not None:
            text = "Descriptors that the system lets the router have open, connections among them."
            yield Metric("descriptors_limit", text, self._descriptors.limit)
        yield from log_metrics(COUNTERS)
        yield from router_metrics(self._routers)
        yield from transport_metrics([(port.name, port.counters) for port in self._ports])
        yield from bridge_metrics([(name, path.counters) for name, path in self._bridges])
        yield from wsgi_metrics([service.snapshot() for service in self._wsgi])
        yield from authenticator_metrics(
            [snapshot for functions in self._functions for snapshot in functions.snapshots()]
        )

    def _add_router(self, worker: RouterWorker, name: str) -> None:
        clock = LoopClock(self._loop)
        random_id = _random_ids()
        functions = AuthenticatorFunctions(
            node_directory=self._directory,
            pythonpath=worker.options.pythonpath,
            name=f"{name}.authenticator",
            turn=self._turn,
            random_id=random_id,
            agent=AGENT,
        )
        self._functions.append(functions)
        admission = Admission(self._directory, clock, ask_function=functions.ask)
        self._admissions.append(admission)
        router = Router(
            worker.realms,
            deliverer=OutboxDeliverer(self._turn),
            random_id=random_id,
            clock=clock,
            work=self._turn,
            agent=AGENT,
            report=_LOG.warning,
            outside=admission.outside(),
        )
        self._routers.append((name, router))
        for number, transport in enumerate(worker.transports, 1):
            port_name = f"{name}.{transport.id or f'transport{number:03}'}"
            self._ports.append(self._port(transport, router, worker, port_name))

    def _port(self, transport: Transport, router: Router, worker: RouterWorker, name: str) -> Port:
        counters = TransportCounters()
        shared = Shared(
            router=router,
            turn=self._turn,
            counters=counters,
            loop=self._loop,
            guard=guard_of(transport),
            descriptors=self._descriptors,
        )
        if isinstance(transport, RawSocketTransportOptions):
            return rawsocket_port(name, transport, shared)
        if isinstance(transport, WebSocketTransportOptions):
            return websocket_port(name, transport, shared)
        if isinstance(transport, UniversalTransportOptions):
            web = transport.web
            paths = self._path_services(web.paths if web is not None else {}, shared, worker, name)
            return universal_port(name, transport, shared, paths)
        return web_port(name, transport, shared, self._path_services(transport.paths, shared, worker, name))

    def _path_services(
        self, paths: Mapping[str, PathService], shared: Shared, worker: RouterWorker, name: str
    ) -> PathServices:
        by_kind = PathServices()
        for path, options in paths.items():
            if isinstance(options, WebSocketPathOptions):
                websocket = by_kind.websockets[path.strip("/")] = shared.websocket(options)
                by_kind.applications[path] = websocket_page(websocket)
            elif isinstance(options, LongPollPathOptions):
                _add_longpoll(by_kind, path, options, shared)
            elif isinstance(options, PublisherOptions | CallerOptions):
                by_kind.lane[path] = self._bridge_path(options, shared, f"{name}.{path}")
            else:
                by_kind.applications[path] = self._service(options, worker, shared, f"{name}.{path}")
        return by_kind

    def _bridge_path(
        self, options: PublisherOptions | CallerOptions, shared: Shared, name: str
    ) -> BridgePath:
        secret = options.options.token
        token = None if secret is None else read_token(secret, self._directory)
        # Each kind is imported when a configuration has it: the router's memory is part of what it promises.
        if isinstance(options, PublisherOptions):
            from heliograph.http.publisher import publisher_path

            path = publisher_path(options, shared.router, self._turn, shared.trust.hosts, token)
        else:
            from heliograph.http.caller import caller_path

            path = caller_path(options, shared.router, shared.trust.hosts, token)
        self._bridges.append((name, path))
        return path

    def _service(
        self,
        options: WsgiOptions | StaticOptions | MetricsOptions,
        worker: RouterWorker,
        shared: Shared,
        name: str,
    ) -> AsgiApplication:
        # As above, imported when it is there.
        if isinstance(options, WsgiOptions):
            from heliograph.http.wsgi import WsgiService

            pythonpath = [self._directory / entry for entry in worker.options.pythonpath]
            wsgi = WsgiService(options, node_directory=self._directory, pythonpath=pythonpath, name=name)
            self._wsgi.append(wsgi)
            return wsgi
        if isinstance(options, StaticOptions):
            from heliograph.http.static import StaticService

            return StaticService(options, self._directory)
        return MetricsPath(self.metrics, shared.trust.hosts)


def _add_longpoll(services: PathServices, path: str, options: LongPollPathOptions, shared: Shared) -> None:
    from heliograph.http.longpoll import LongPollPath
    from heliograph.transports.longpoll import LongPollService

    service = LongPollService(
        options, router=shared.router, turn=shared.turn, counters=shared.counters, loop=shared.loop
    )
    services.longpolls.append(service)
    services.applications[path] = LongPollPath(service, shared.trust)


def run(options: NodeOptions, *, node_directory: Path) -> int:
    """Run a node until SIGTERM or SIGINT and return the exit code.

    Args:
        options: the checked configuration.
        node_directory: what paths in it are relative to.
    """
    transports = [transport for worker in options.workers for transport in worker.transports]
    for shortage in make_room(transports):
        _LOG.warning("%s", shortage)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(options, node_directory))
    except START_FAILURES as failure:
        _LOG.error("%s", failure)
        return 1
    return 0


async def _serve(options: NodeOptions, node_directory: Path) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopping.set)
    node = Node(options, node_directory=node_directory)
    await node.start()
    if node.uses_tls:
        # Without TLS the signal means what it always does: the terminal is gone.
        loop.add_signal_handler(signal.SIGHUP, node.reload_certificates)
    say(f"Heliograph ready: {' '.join(node.urls)}")
    await stopping.wait()
    _LOG.info("stopping: saying goodbye to sessions")
    await node.stop()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _random_ids() -> RandomId:
    # Ids are public and guard nothing; a seeded Mersenne twister draws them five times faster than `secrets`.
    draw = random.SystemRandom().getrandbits(256)
    generator = random.Random(draw)  # noqa: S311
    draw_bits, bits = generator.getrandbits, MAX_ID.bit_length() - 1
    return lambda: draw_bits(bits) + 1
