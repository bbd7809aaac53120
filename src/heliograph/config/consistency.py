"""What the types cannot say: names that must exist, rules that hide others, doors that stand open."""

import ipaddress
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path as FilePath

from msgspec import Struct

from heliograph.config.authentication import (
    find_authentication_problems,
    find_authenticators,
    find_exposed_tickets,
    find_shared_cookie_files,
    roles_of,
)
from heliograph.config.exposure import find_open_roles, find_unproved_roles
from heliograph.config.options import RouterWorker
from heliograph.config.problems import Path, Problem, error, inside, quote, quote_file, render, warning
from heliograph.config.realms import find_realm_inconsistencies
from heliograph.config.secret_values import find_token_problems
from heliograph.config.wsgi_module import find_module
from heliograph.http.options import CallerOptions, PublisherOptions, StaticOptions, WsgiOptions
from heliograph.routing.options import PermissionRule, RealmOptions, RoleOptions, SessionOptions
from heliograph.transports.options import (
    LongPollPathOptions,
    RawSocketServiceOptions,
    TcpEndpoint,
    UniversalTransportOptions,
    UnixEndpoint,
    WebSocketServiceOptions,
)
from heliograph.transports.tls import TlsUnusable, server_context

Found = Sequence[tuple[Path, Struct]]
WampService = WebSocketServiceOptions | RawSocketServiceOptions | LongPollPathOptions

# Room for the path in a Unix socket's address on Linux (sockaddr_un), less the final NUL; macOS has 103.
MAX_SOCKET_PATH_BYTES = 103


def find_inconsistencies(node: object, found: Found, *, node_directory: FilePath) -> list[Problem]:
    """Check what the types cannot say.

    Arguments:
        node: the whole as plain values; names are looked up here, so that a realm that is wrong elsewhere exists
        found: the structs that could be read, with their paths
        node_directory: what relative paths start from

    Returns: the problems, in the order of the file.
    """
    ordered = sorted(found, key=lambda item: [(isinstance(step, str), step) for step in item[0]])
    problems: list[Problem] = []
    for path, struct in ordered:
        if isinstance(struct, RouterWorker):
            problems += _empty_worker(path, struct)
        elif isinstance(struct, RealmOptions):
            problems += find_realm_inconsistencies(
                path, struct, anonymous_roles=_open_roles(ordered, path[:2])
            )
        elif isinstance(struct, RoleOptions):
            problems += _hidden_rules(path, struct)
        elif isinstance(struct, TcpEndpoint):
            problems += _interface(path, struct)
            problems += _tls(path, struct, node_directory)
        elif isinstance(struct, UnixEndpoint):
            problems += _socket_path(path, struct, node_directory)
        elif isinstance(struct, WampService):
            problems += _repeated_serializers(path, struct)
        elif isinstance(struct, UniversalTransportOptions):
            problems += _universal_parts(path, struct)
        elif isinstance(struct, PublisherOptions | CallerOptions):
            problems += _realm_and_role(path, struct, node)
            problems += find_token_problems((*path, "options", "token"), struct.options.token, node_directory)
        elif isinstance(struct, StaticOptions):
            problems += _static_directory(path, struct, node_directory)
        elif isinstance(struct, WsgiOptions):
            problems += _wsgi_module(path, struct, node, node_directory)
    problems += _authentication(ordered, node, node_directory)
    problems += _repeated_names(ordered)
    problems += _shared_ports(ordered)
    problems += find_open_roles(ordered)
    problems += find_unproved_roles(ordered)
    problems += find_exposed_tickets(ordered)
    problems += find_shared_cookie_files(ordered)
    return problems


def _empty_worker(path: Path, worker: RouterWorker) -> Iterator[Problem]:
    if not worker.realms:
        yield warning((*path, "realms"), "there are none, so that no session can join this router")
    if not worker.transports:
        yield warning((*path, "transports"), "there are none, so that nobody can reach this router")


# --- names --------------------------------------------------------------------------------------------------------


def _repeated_names(found: Found) -> Iterator[Problem]:
    first: dict[tuple[object, ...], Path] = {}
    for path, struct in found:
        for attribute in ("id", "name"):
            name = getattr(struct, attribute, None)
            if attribute == "name" and not isinstance(struct, RealmOptions | RoleOptions):
                continue
            if name is None:
                continue
            other = first.setdefault((path[:-1], attribute, name), path)
            if other != path:
                where = (*path, attribute)
                yield error(where, f"{quote(name)} is taken by {render(other)}: choose another name")


def _realm_and_role(path: Path, service: PublisherOptions | CallerOptions, node: object) -> Iterator[Problem]:
    realms = _by_name(inside(node, *path[:2], "realms"))
    if service.realm not in realms:
        message = f"no such realm {quote(service.realm)}; known: {_listed(realms)}"
        yield error((*path, "realm"), message)
        return
    roles = _by_name(realms[service.realm].get("roles"))
    if service.role not in roles:
        message = f"realm {quote(service.realm)} has no role {quote(service.role)}; known: {_listed(roles)}"
        yield error((*path, "role"), message)


def _authentication(found: Found, node: object, node_directory: FilePath) -> Iterator[Problem]:
    for path, session in found:
        if isinstance(session, SessionOptions):
            yield from find_authentication_problems(
                path,
                session,
                realms=roles_of(inside(node, *path[:2], "realms")),
                node_directory=node_directory,
                pythonpath=_python_directories(path, node, node_directory),
            )
            realms = [item for at, item in found if at[:2] == path[:2] and isinstance(item, RealmOptions)]
            yield from find_authenticators(path, session, realms, _open_roles(found, path[:2]))


def _open_roles(found: Found, worker: Path) -> frozenset[str]:
    """The roles a worker's sessions get without authentication."""
    sessions = (
        session for path, session in found if path[:2] == worker and isinstance(session, SessionOptions)
    )
    return frozenset(session.open_role for session in sessions if session.open_role is not None)


def _by_name(items: object) -> dict[str, dict[str, object]]:
    objects = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    # Of two with one name the first counts here; that there are two is reported elsewhere.
    return {item["name"]: item for item in reversed(objects) if isinstance(item.get("name"), str)}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


# --- permissions --------------------------------------------------------------------------------------------------


def _hidden_rules(path: Path, role: RoleOptions) -> Iterator[Problem]:
    last = {_slot(rule): index for index, rule in enumerate(role.permissions)}
    prefixes = {rule.uri: index for index, rule in enumerate(role.permissions) if rule.match == "prefix"}
    lengths = sorted({len(uri) for uri in prefixes}, reverse=True)
    for index, rule in enumerate(role.permissions):
        where = (*path, "permissions", index)
        counting = last[_slot(rule)]
        if counting != index:
            same = "uri" if _slot(rule)[0] == "plain" else "beginning before the first empty component"
            other = render((*path, "permissions", counting))
            yield warning(where, f"has no effect: {other} has the same {same}, and the last such rule counts")
        elif rule.match == "exact":
            stems = [rule.uri[:length] for length in lengths if length < len(rule.uri)]
            covering = next((prefixes[stem] for stem in stems if stem in prefixes), None)
            if covering is not None:
                yield _shadowed_prefix(where, role, rule, render((*path, "permissions", covering)))


def _slot(rule: PermissionRule) -> tuple[str, ...]:
    """What the router keeps one rule for: the URI, or what comes before a wildcard's first empty component."""
    components = rule.uri.split(".")
    if rule.match == "wildcard" and "" in components:
        return ("wildcard", *components[: components.index("")])
    return ("plain", rule.uri)


def _shadowed_prefix(path: Path, role: RoleOptions, rule: PermissionRule, covering: str) -> Problem:
    uri = quote(rule.uri)
    default = "allowed" if role.allow_by_default else "denied"
    return warning(
        path,
        f"this exact rule hides the prefix rule {covering} from longer URIs that begin with {uri}, which are "
        f'{default}; write "match": "prefix" here, or repeat the prefix rule with "uri": {quote(rule.uri + ".")}',
    )


# --- endpoints ----------------------------------------------------------------------------------------------------


def _interface(path: Path, endpoint: TcpEndpoint) -> Iterator[Problem]:
    try:
        address = ipaddress.ip_address(endpoint.interface)
    except ValueError:
        return
    if address.version != endpoint.version:
        message = f'{quote(endpoint.interface)} is an IPv{address.version} address: write "version": {address.version}'
        yield error((*path, "interface"), message)


def _tls(path: Path, endpoint: TcpEndpoint, node_directory: FilePath) -> Iterator[Problem]:
    if endpoint.tls is None:
        return
    try:
        server_context(endpoint.tls, node_directory)
    except TlsUnusable as failure:
        yield error((*path, "tls", failure.option), failure.text)
    if endpoint.tls.client_certificates == "optional" and not endpoint.tls.ca_certificates:
        message = "has no effect without `ca_certificates`: clients are not asked for certificates"
        yield warning((*path, "tls", "client_certificates"), message)


def _socket_path(path: Path, endpoint: UnixEndpoint, node_directory: FilePath) -> Iterator[Problem]:
    file = node_directory / endpoint.path
    length = len(str(file).encode())
    if "\0" in endpoint.path:
        yield error((*path, "path"), "holds a NUL character")
    elif length > MAX_SOCKET_PATH_BYTES:
        limit = f"the {MAX_SOCKET_PATH_BYTES} bytes a Unix socket's address holds"
        yield error(
            (*path, "path"), f"is {length} bytes long from the root, more than {limit}: choose a shorter one"
        )
    elif not os.path.isdir(file.parent):
        yield error((*path, "path"), f"there is no directory {quote_file(file.parent)}: create it")


def _shared_ports(found: Found) -> Iterator[Problem]:
    first: dict[tuple[object, ...], Path] = {}
    for path, endpoint in found:
        if isinstance(endpoint, TcpEndpoint) and endpoint.port and not endpoint.shared:
            other = first.setdefault((endpoint.interface, endpoint.version, endpoint.port), path)
            if other != path:
                message = f"{endpoint.port} is taken by {render((*other, 'port'))}: choose another port"
                yield error((*path, "port"), message)


# --- path services ------------------------------------------------------------------------------------------------


def _repeated_serializers(path: Path, service: WampService) -> Iterator[Problem]:
    for index, name in enumerate(service.serializers):
        if name in service.serializers[:index]:
            yield error((*path, "serializers", index), f"{quote(name)} is listed already")


def _universal_parts(path: Path, transport: UniversalTransportOptions[object]) -> Iterator[Problem]:
    if transport.rawsocket is None and not transport.websocket and transport.web is None:
        yield warning(
            path, "has neither `rawsocket` nor `websocket` nor `web`, so that nobody is served here"
        )
    for name in transport.websocket:
        if transport.web is not None and name in transport.web.paths:
            other = render((*path, "web", "paths", name))
            yield error((*path, "websocket", name), f"{other} has the same path: choose another one")


def _static_directory(path: Path, service: StaticOptions, node_directory: FilePath) -> Iterator[Problem]:
    if service.directory is None:
        return
    if "\0" in service.directory:
        yield error((*path, "directory"), "holds a NUL character")
    elif not os.path.isdir(node_directory / service.directory):
        directory = quote_file(os.path.abspath(node_directory / service.directory))
        message = f"no such directory: {directory}; create it (Django: manage.py collectstatic)"
        yield error((*path, "directory"), message)


def _wsgi_module(
    path: Path, service: WsgiOptions, node: object, node_directory: FilePath
) -> Iterator[Problem]:
    if not all(part.isidentifier() for part in service.module.split(".")):
        yield error(
            (*path, "module"), f"expected a Python module such as project.wsgi, got {quote(service.module)}"
        )
        return
    if not all(part.isidentifier() for part in service.object.split(".")):
        yield error((*path, "object"), f"expected a name such as application, got {quote(service.object)}")
    directories = _python_directories(path, node, node_directory)
    if not find_module(service.module, directories):
        looked = ", ".join(quote_file(directory) for directory in directories)
        message = f"no module {quote(service.module)} found"
        message += f" in {looked} or" if looked else ""
        message += " among the installed ones: check the worker's options.pythonpath"
        yield warning((*path, "module"), message)


def _python_directories(path: Path, node: object, node_directory: FilePath) -> list[FilePath]:
    """Where a worker's applications look for modules first."""
    value = inside(node, *path[:2], "options", "pythonpath")
    named = value if isinstance(value, list) else []
    return [
        FilePath(os.path.abspath(node_directory / directory))
        for directory in named
        if isinstance(directory, str) and "\0" not in directory
    ]
