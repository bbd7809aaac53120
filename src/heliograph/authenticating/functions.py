"""The router's side: starts the processes, and asks them over a Unix socket that nobody else can open.

They are callees of a router of their own, with one realm that no client reaches. Each proves who it is with a ticket
that is drawn when the node starts, and handed to it on its standard input.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from heliograph.auth.options import (
    AuthOptions,
    DynamicOptions,
    FunctionOptions,
    TicketOptions,
    TicketPrincipal,
)
from heliograph.ports import Port, Shared, rawsocket_port
from heliograph.processes.child import ChildProcess, ChildSnapshot
from heliograph.processes.options import ChildOptions
from heliograph.processes.python import module_directories, python_command
from heliograph.routing.options import AllowedActions, PermissionRule, RealmOptions, RoleOptions
from heliograph.routing.router import Router
from heliograph.routing.router_caller import RouterCaller
from heliograph.transports.clock import LoopClock
from heliograph.transports.counters import TransportCounters
from heliograph.transports.deliverer import OutboxDeliverer
from heliograph.transports.options import RawSocketTransportOptions, UnixEndpoint
from heliograph.transports.turn import Turn
from heliograph.wamp.ids import RandomId

REALM = "authenticators"
ROLE = "authenticator"

READY_INTERVAL_S = 0.05
DRAIN_TIMEOUT_S = 1.0


class _Function(msgspec.Struct):
    """One function: how it is asked, and the ticket of its process."""

    options: FunctionOptions
    procedure: str
    ticket: str


class AuthenticatorFunctions:
    """The functions of one router.

    Args:
        node_directory: directory they run in.
        pythonpath: directories, relative to that, in which their modules are looked for first; the current directory
            is searched last.
        name: what their processes are called in logs and metrics, with a number behind it.
        turn: the current turn of the loop.
        random_id: makes ids.
        agent: how the router calls itself.
    """

    def __init__(
        self,
        *,
        node_directory: Path,
        pythonpath: Sequence[str],
        name: str,
        turn: Turn,
        random_id: RandomId,
        agent: str,
    ) -> None:
        self._node_directory = node_directory
        self._paths = module_directories(pythonpath, node_directory)
        self._name = name
        self._turn = turn
        self._random_id = random_id
        self._agent = agent
        self._router: Router | None = None
        self._functions: dict[bytes, _Function] = {}
        self._children: list[ChildProcess] = []
        self._port: Port | None = None
        self._directory: Path | None = None

    def ask(self, options: FunctionOptions) -> tuple[DynamicOptions, RouterCaller]:
        """Return how to ask a function, whose process comes with `start`; the same one for the same options."""
        key = msgspec.json.encode(options)
        function = self._functions.get(key)
        if function is None:
            number = sum(known.options.create == options.create for known in self._functions.values())
            procedure = f"function.{options.create}" + (f".{number + 1}" if number else "")
            function = self._functions[key] = _Function(options, procedure, secrets.token_urlsafe(32))
        dynamic = DynamicOptions(
            authenticator=function.procedure, default_role=options.default_role, timeout_s=options.timeout_s
        )
        return dynamic, self._own_router().caller(REALM)

    async def start(self) -> None:
        """Start the processes and return; clients are refused until they are ready."""
        if not self._functions:
            return
        self._directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="heliograph-"))
        self._port = self._make_port(self._directory / "authenticators.sock")
        await self._port.listen(self._directory)
        for number, function in enumerate(self._functions.values(), 1):
            child = self._child(function, f"{self._name}{number:03}")
            self._children.append(child)
            child.start()

    async def stop(self) -> None:
        """End the processes. Safe to call twice."""
        children, self._children = self._children, []
        await asyncio.gather(*(child.stop() for child in children))
        port, self._port = self._port, None
        if port is not None:
            port.close()
            await port.drain(DRAIN_TIMEOUT_S)
        directory, self._directory = self._directory, None
        if directory is not None:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def wait_ready(self) -> None:
        """Wait until all can be asked; raises `ChildNotReadyError` when one failed to start."""
        await asyncio.gather(*(child.wait_ready() for child in self._children))

    def snapshots(self) -> list[ChildSnapshot]:
        """Return what is known of each process now."""
        return [child.snapshot() for child in self._children]

    def _own_router(self) -> Router:
        if self._router is None:
            rule = PermissionRule(uri="function.", match="prefix", allow=AllowedActions(register=True))
            realm = RealmOptions(name=REALM, roles=[RoleOptions(name=ROLE, permissions=[rule])])
            self._router = Router(
                [realm],
                deliverer=OutboxDeliverer(self._turn),
                random_id=self._random_id,
                clock=LoopClock(asyncio.get_running_loop()),
                work=self._turn,
                agent=self._agent,
            )
        return self._router

    def _make_port(self, socket: Path) -> Port:
        principals = {
            function.procedure: TicketPrincipal(ticket=function.ticket, role=ROLE, realm=REALM)
            for function in self._functions.values()
        }
        options = RawSocketTransportOptions(
            endpoint=UnixEndpoint(path=str(socket)),
            auth=AuthOptions(ticket=TicketOptions(principals=principals)),
        )
        shared = Shared(
            router=self._own_router(),
            turn=self._turn,
            counters=TransportCounters(),
            loop=asyncio.get_running_loop(),
        )
        return rawsocket_port("authenticators", options, shared)

    def _child(self, function: _Function, name: str) -> ChildProcess:
        settings = {
            "socket": str(self._directory and self._directory / "authenticators.sock"),
            "realm": REALM,
            "procedure": function.procedure,
            "ticket": function.ticket,
            "create": function.options.create,
            "config": function.options.config,
            "paths": self._paths,
        }
        options = ChildOptions(
            name=name,
            argv=python_command("heliograph.authenticating.worker"),
            cwd=self._node_directory,
            stdin=json.dumps(settings).encode(),
            description=f"authenticator {function.options.create}",
        )
        return ChildProcess(options, ready=lambda: self._until_registered(function.procedure))

    async def _until_registered(self, procedure: str) -> None:
        caller = self._own_router().caller(REALM)
        while not caller.is_registered(procedure):  # noqa: ASYNC110 - routing knows no events
            await asyncio.sleep(READY_INTERVAL_S)
