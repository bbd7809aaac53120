"""What the types cannot say about `auth`: roles that must exist, keys nobody can tell apart, secrets in the open."""

import os
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path as FilePath
from typing import Any

from msgspec import Struct

from heliograph.auth import cryptosign, ticket
from heliograph.auth.errors import LibraryMissing
from heliograph.auth.options import (
    AnonymousOptions,
    AuthOptions,
    CraPrincipal,
    CryptosignOptions,
    DynamicOptions,
    FunctionOptions,
    SecretFile,
    StaticPrincipal,
    TicketPrincipal,
    TlsOptions,
)
from heliograph.auth.secret_files import SecretUnreadable, read_secret
from heliograph.config.exposure import is_loopback
from heliograph.config.problems import Path, Problem, error, quote, quote_file, render, warning
from heliograph.config.realms import find_callees
from heliograph.config.secret_values import find_file_problems
from heliograph.config.wsgi_module import find_module
from heliograph.routing.options import RealmOptions, SessionOptions
from heliograph.transports.options import FileCookieStore, TcpEndpoint, WebSocketServiceOptions
from heliograph.transports.origins import ANY_ORIGIN

Realms = Mapping[str, frozenset[str]]
"""The realms of a router by name, each with the names of its roles."""


def find_authentication_problems(
    path: Path,
    session: SessionOptions,
    *,
    realms: Realms,
    node_directory: FilePath,
    pythonpath: Sequence[FilePath],
) -> Iterator[Problem]:
    """Check what the types cannot say about who may join by one transport.

    Arguments:
        path: of the transport, or of its path
        session: its options
        realms: those of its router
        node_directory: what relative paths start from
        pythonpath: where functions are looked for first
    """
    auth = session.auth
    if auth is None:
        yield from _role((*path, "anonymous_role"), session.anonymous_role, None, realms)
        return
    if session.anonymous_role != "anonymous":
        message = 'has no effect beside `auth`: write "auth": {"anonymous": {"type": "static", "role": …}}'
        yield warning((*path, "anonymous_role"), message)
    where = (*path, "auth")
    for name in auth.__struct_fields__:
        method = getattr(auth, name)
        inner = (*where, name)
        if isinstance(method, AnonymousOptions):
            yield from _role((*inner, "role"), method.role, method.realm, realms)
        elif isinstance(method, DynamicOptions):
            yield from _dynamic(inner, method, realms)
        elif isinstance(method, FunctionOptions):
            yield from _function(inner, method, realms, pythonpath)
        elif method is not None:
            for at, principal in principals_of(inner, method):
                yield from _principal(at, principal, realms, node_directory)
    yield from _ambiguous(where, auth)
    yield from _missing_libraries(where, auth)
    if auth.cookie is not None and getattr(session, "cookie", None) is None:
        yield error((*where, "cookie"), "needs a `cookie` block beside `auth`, which says what cookie to set")
    if auth.cookie is not None:
        yield from _cookie_for_any_page(path, session)
    if all(getattr(auth, name) is None for name in auth.__struct_fields__):
        yield warning(where, "names no method, so that nobody can join here")


def _cookie_for_any_page(path: Path, session: SessionOptions) -> Iterator[Problem]:
    """Find a cookie that lets in whoever can make a browser open a page; long-poll tells such a page nothing."""
    if not isinstance(session, WebSocketServiceOptions) or session.cookie is None:
        return
    if session.cookie.same_site == "None" and ANY_ORIGIN in session.options.allowed_origins:
        yield warning(
            (*path, "options", "allowed_origins"),
            "any page that somebody looks at may connect in their name, for browsers send it this cookie: name the "
            "origins of your own pages, or leave `cookie.same_site` at Lax",
            loud=True,
        )


def principals_of(path: Path, method: Struct) -> Iterator[tuple[Path, StaticPrincipal]]:
    """The principals a method names, with their paths."""
    for key in ("principals", "users"):
        for authid, principal in getattr(method, key, {}).items():
            yield (*path, key, authid), principal


def find_exposed_tickets(found: Sequence[tuple[Path, Struct]]) -> Iterator[Problem]:
    """Warn, loudly, of tickets that others on the network can read, and of certificates nobody is asked for.

    Arguments:
        found: the structs that could be read, with their paths
    """
    endpoints = {path: struct.endpoint for path, struct in found if hasattr(struct, "endpoint")}
    for path, session in found:
        if not isinstance(session, SessionOptions) or session.auth is None:
            continue
        around = (
            endpoints[path[:length]] for length in range(len(path), 0, -1) if path[:length] in endpoints
        )
        endpoint = next(around, None)
        tls = getattr(endpoint, "tls", None)
        is_reachable = isinstance(endpoint, TcpEndpoint) and not is_loopback(endpoint.interface)
        if session.auth.ticket is not None and is_reachable and tls is None:
            yield warning(
                (*path, "auth", "ticket"),
                "SECRETS IN THE OPEN: tickets travel as they are, and this endpoint is not encrypted; give it `tls`, "
                "listen on 127.0.0.1 behind a proxy that ends TLS, or use scram, cryptosign or wampcra",
                loud=True,
            )
        if session.auth.tls is not None and not getattr(tls, "ca_certificates", None):
            yield warning(
                (*path, "auth", "tls"),
                "nobody joins by it: clients are asked for certificates where the endpoint has `tls.ca_certificates`",
            )


# --- roles ----------------------------------------------------------------------------------------------------------


def _role(path: Path, role: str, realm: str | None, realms: Realms) -> Iterator[Problem]:
    # Without a realm nobody can join anyway, and that is said elsewhere.
    known = sorted(frozenset().union(*realms.values()) if realm is None else realms.get(realm, frozenset()))
    if realm is not None and realm not in realms:
        yield error(
            (*path[:-1], "realm"),
            f"no such realm {quote(realm)}; known: {', '.join(sorted(realms)) or 'none'}",
        )
    elif known and role not in known:
        who = "no realm of this router" if realm is None else f"realm {quote(realm)}"
        has = "has a role" if realm is None else "has no role"
        yield error(path, f"{who} {has} {quote(role)}; known: {', '.join(known)}")


def _principal(
    path: Path, principal: StaticPrincipal, realms: Realms, node_directory: FilePath
) -> Iterator[Problem]:
    yield from _role((*path, "role"), principal.role, principal.realm, realms)
    if isinstance(principal, TicketPrincipal):
        secret, where = principal.ticket, (*path, "ticket")
    elif isinstance(principal, CraPrincipal):
        secret, where = principal.secret, (*path, "secret")
    else:
        return
    if isinstance(secret, SecretFile):
        yield from find_file_problems(where, secret, node_directory)
    if isinstance(principal, TicketPrincipal):
        try:
            ticket.is_hashed(read_secret(secret, node_directory))
        except SecretUnreadable:
            return  # told above
        except ValueError as problem:
            yield error(where, str(problem))


# --- who decides elsewhere --------------------------------------------------------------------------------------------


def _dynamic(path: Path, method: DynamicOptions, realms: Realms) -> Iterator[Problem]:
    realm = method.authenticator_realm
    if realm is not None and realm not in realms:
        message = f"no such realm {quote(realm)}; known: {', '.join(sorted(realms)) or 'none'}"
        yield error((*path, "authenticator-realm"), message)
    if method.default_role is not None:
        yield from _role((*path, "default-role"), method.default_role, None, realms)


def _function(
    path: Path, method: FunctionOptions, realms: Realms, pythonpath: Sequence[FilePath]
) -> Iterator[Problem]:
    if method.default_role is not None:
        yield from _role((*path, "default-role"), method.default_role, None, realms)
    module = method.create.rpartition(".")[0]
    if not find_module(module, pythonpath):
        looked = ", ".join(quote_file(directory) for directory in pythonpath)
        message = f"no module {quote(module)} found"
        message += f" in {looked} or" if looked else ""
        message += " among the installed ones: check the worker's options.pythonpath"
        yield warning((*path, "create"), message)


def find_shared_cookie_files(found: Sequence[tuple[Path, Struct]]) -> Iterator[Problem]:
    """Find files that two transports would write over each other's cookies.

    Arguments:
        found: the structs that could be read, with their paths
    """
    first: dict[str, Path] = {}
    for path, store in found:
        if isinstance(store, FileCookieStore):
            other = first.setdefault(os.path.normpath(store.filename), path)
            if other != path:
                message = f"is the file of {render(other)} too: choose another one"
                yield error((*path, "filename"), message)


def find_authenticators(
    path: Path, session: SessionOptions, realms: Sequence[RealmOptions], open_roles: Set[str]
) -> Iterator[Problem]:
    """Warn of procedures that decide who may join, and that nobody can register, or anybody.

    Arguments:
        path: of the transport
        session: its options
        realms: those of its router
        open_roles: roles that sessions get without authentication
    """
    auth = session.auth
    for name in () if auth is None else auth.__struct_fields__:
        method = getattr(auth, name)
        if not isinstance(method, DynamicOptions):
            continue
        # Without a realm it is that of the client.
        where = [realm for realm in realms if method.authenticator_realm in (None, realm.name)]
        for realm in where:
            yield from find_callees(
                (*path, "auth", name, "authenticator"),
                method.authenticator,
                realm,
                open_roles,
                without="everybody is refused",
                is_decided_elsewhere=any(role.authorizer is not None for role in realm.roles),
            )


# --- what cannot be told apart, or checked ----------------------------------------------------------------------------


def _ambiguous(path: Path, auth: AuthOptions) -> Iterator[Problem]:
    """Find keys and certificates that stand for two principals."""
    if isinstance(auth.cryptosign, CryptosignOptions):
        first: dict[tuple[str, str | None], str] = {}
        for authid, key_owner in auth.cryptosign.principals.items():
            for index, key in enumerate(key_owner.authorized_keys):
                other = first.setdefault((key.lower(), key_owner.realm), authid)
                if other != authid:
                    where = (*path, "cryptosign", "principals", authid, "authorized_keys", index)
                    message = f"is a key of {quote(other)} too: a client that has it must say its authid"
                    yield warning(where, message)
    if isinstance(auth.tls, TlsOptions):
        seen: dict[object, str] = {}
        for authid, owner in auth.tls.principals.items():
            marks = (owner.certificate_sha256, owner.certificate_sha1)
            mark = next((text.replace(":", "").lower() for text in marks if text), owner.subject)
            other = seen.setdefault(mark, authid)
            if other != authid:
                named = render((*path, "tls", "principals", other))
                yield error(
                    (*path, "tls", "principals", authid), f"has the certificate of {named}: keep one of them"
                )


def _missing_libraries(path: Path, auth: AuthOptions) -> Iterator[Problem]:
    try:
        if auth.cryptosign is not None:
            cryptosign.check_installed()
    except LibraryMissing as problem:
        yield error((*path, "cryptosign"), str(problem))


def roles_of(value: Any) -> Realms:
    """The realms and roles in plain values: there, one that is wrong elsewhere exists."""
    found: dict[str, frozenset[str]] = {}
    for realm in value if isinstance(value, list) else []:
        if isinstance(realm, dict) and isinstance(realm.get("name"), str):
            roles = realm.get("roles")
            names = (
                [role.get("name") for role in roles if isinstance(role, dict)]
                if isinstance(roles, list)
                else []
            )
            found.setdefault(realm["name"], frozenset(name for name in names if isinstance(name, str)))
    return found
