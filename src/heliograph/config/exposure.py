"""Doors that stand open: roles that anybody on the network gets without authentication."""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from heliograph.config.problems import Path, Problem, quote, render, warning
from heliograph.http.options import CallerOptions, PublisherOptions
from heliograph.routing.options import RealmOptions, RoleOptions, SessionOptions
from heliograph.transports.options import (
    RawSocketTransportOptions,
    TcpEndpoint,
    UniversalTransportOptions,
    WebSocketTransportOptions,
    WebTransportOptions,
)

Transport = (
    WebTransportOptions[Any]
    | WebSocketTransportOptions
    | RawSocketTransportOptions
    | UniversalTransportOptions[Any]
)
TRANSPORTS = (
    WebTransportOptions,
    WebSocketTransportOptions,
    RawSocketTransportOptions,
    UniversalTransportOptions,
)

BridgeOptions = PublisherOptions | CallerOptions

ACTIONS = ("call", "register", "publish", "subscribe")


class _Door(NamedTuple):
    """A path of a transport off loopback that lets anybody act."""

    path: Path
    address: str
    realm: str | None  # None: any realm of the worker
    role: str
    actions: tuple[str, ...]


def find_open_roles(found: Sequence[tuple[Path, Struct]]) -> Iterator[Problem]:
    """Warn, loudly, of each role that is open to anybody who reaches a port off loopback.

    Arguments:
        found: the structs that could be read, with their paths
    """
    doors = [door for path, struct in found for door in _doors(path, struct)]
    realms = [(path, struct) for path, struct in found if isinstance(struct, RealmOptions)]
    for realm_path, realm in realms:
        for index, role in enumerate(realm.roles):
            leading = [
                door
                for door in doors
                if door.path[:2] == realm_path[:2]
                and door.role == role.name
                and door.realm in {None, realm.name}
            ]
            allowed = [
                action
                for action in ACTIONS
                if _allows(role, action) and any(action in door.actions for door in leading)
            ]
            if allowed:
                yield _open_role((*realm_path, "roles", index), allowed, leading)


def _open_role(path: Path, allowed: list[str], doors: list[_Door]) -> Problem:
    by_address: dict[str, list[str]] = {}
    for door in doors:
        by_address.setdefault(door.address, []).append(render(door.path))
    ways = " or ".join(f"{_listed(paths)} on {address}" for address, paths in by_address.items())
    return warning(
        path,
        f"OPEN TO ANYBODY: whoever reaches {ways} may {_listed(allowed)} without authentication; "
        "listen on 127.0.0.1 (endpoint.interface, or --listen 127.0.0.1:PORT), keep the port behind a firewall, give "
        "publisher and caller paths an options.token, or narrow the permissions",
        loud=True,
    )


def find_unproved_roles(found: Sequence[tuple[Path, Struct]]) -> Iterator[Problem]:
    """Warn of each path on loopback that gives any program of this machine a role it would not get otherwise.

    Arguments:
        found: the structs that could be read, with their paths
    """
    open_roles = {
        (path[:2], struct.open_role) for path, struct in found if isinstance(struct, SessionOptions)
    }
    roles = {
        (path[:2], realm.name, role.name): role
        for path, realm in found
        if isinstance(realm, RealmOptions)
        for role in realm.roles
    }
    for path, transport in found:
        if not isinstance(transport, TRANSPORTS) or not _is_on_loopback(transport):
            continue
        for inner, service in services_of(path, transport):
            if not isinstance(service, BridgeOptions) or service.options.token is not None:
                continue
            action = _action(service)
            role = roles.get((path[:2], service.realm, service.role))
            if role is not None and _allows(role, action) and (path[:2], role.name) not in open_roles:
                yield warning(
                    inner,
                    f"any program and user of this machine may {action} as {quote(role.name)}, a role that no session "
                    "gets without authentication: give the path an options.token, so that a request has to prove "
                    "whose it is",
                )


def _doors(path: Path, transport: Struct) -> Iterator[_Door]:
    if not isinstance(transport, TRANSPORTS) or not isinstance(transport.endpoint, TcpEndpoint):
        return
    if _is_on_loopback(transport):
        return
    address = f"port {transport.endpoint.port} of {transport.endpoint.interface or 'every interface'}"
    for inner, service in services_of(path, transport):
        if isinstance(service, SessionOptions):
            if service.open_role is not None:
                yield _Door(inner, address, None, service.open_role, ACTIONS)
        elif isinstance(service, BridgeOptions) and service.options.token is None:
            yield _Door(inner, address, service.realm, service.role, (_action(service),))


def _action(service: BridgeOptions) -> str:
    return "publish" if isinstance(service, PublisherOptions) else "call"


def services_of(path: Path, transport: Transport) -> Iterator[tuple[Path, object]]:
    """Return all that a transport serves, with where it stands in the file."""
    if isinstance(transport, WebTransportOptions):
        for name, service in transport.paths.items():
            yield (*path, "paths", name), service
    elif isinstance(transport, UniversalTransportOptions):
        if transport.rawsocket is not None:
            yield (*path, "rawsocket"), transport.rawsocket
        for name, websocket in transport.websocket.items():
            yield (*path, "websocket", name), websocket
        if transport.web is not None:
            for name, service in transport.web.paths.items():
                yield (*path, "web", "paths", name), service
    else:
        yield path, transport


def _is_on_loopback(transport: Transport) -> bool:
    endpoint = transport.endpoint
    return isinstance(endpoint, TcpEndpoint) and is_loopback(endpoint.interface)


def is_loopback(interface: str) -> bool:
    """Whether only this machine reaches an interface; a name other than `localhost` counts as reachable."""
    try:
        return ipaddress.ip_address(interface).is_loopback
    except ValueError:
        return interface.lower() == "localhost"


def _allows(role: RoleOptions, action: str) -> bool:
    if role.authorizer is not None:
        # It is asked instead of the rules.
        return False
    return role.allow_by_default or any(getattr(rule.allow, action) for rule in role.permissions)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
