"""What the types cannot say about a realm: authorizers nobody can be, templates nobody fills in, URIs of no topic."""

import re
from collections.abc import Iterator, Sequence, Set

from msgspec.structs import replace

from heliograph.config.leaves import nearest
from heliograph.config.problems import Path, Problem, error, quote, render, warning
from heliograph.routing.authorizer import AUTHID, AUTHROLE, RuleTable
from heliograph.routing.options import (
    CallQueueOptions,
    EventHistoryOptions,
    RealmOptions,
    RoleOptions,
)
from heliograph.wamp.errors import RequestError
from heliograph.wamp.uris import UriCheck, is_reserved

_TEMPLATE = re.compile(r"\{[^{}]*\}")
_TEMPLATES = (AUTHID, AUTHROLE)


def find_realm_inconsistencies(
    path: Path, realm: RealmOptions, *, anonymous_roles: Set[str]
) -> Iterator[Problem]:
    """Check what the types cannot say about one realm.

    Arguments:
        path: of the realm
        realm: as it could be read
        anonymous_roles: roles that sessions get without authentication
    """
    for index, role in enumerate(realm.roles):
        where = (*path, "roles", index)
        yield from _unknown_templates(where, role)
        if role.authorizer is not None:
            yield from _authorizer((*where, "authorizer"), role.authorizer, realm, anonymous_roles)
    check_uri = UriCheck(strict=realm.options.uri_check == "strict")
    store = (*path, "store")
    yield from _stored_uris((*store, "event-history"), realm.store.event_history, check_uri)
    yield from _stored_uris((*store, "call-queue"), realm.store.call_queue, check_uri)


# --- roles ----------------------------------------------------------------------------------------------------------


def _unknown_templates(path: Path, role: RoleOptions) -> Iterator[Problem]:
    for index, rule in enumerate(role.permissions):
        for name in _TEMPLATE.findall(rule.uri):
            if name not in _TEMPLATES:
                near = nearest(name, _TEMPLATES) or f"; known: {', '.join(_TEMPLATES)}"
                message = f"{quote(name)} stands for nothing and is compared as it is written{near}"
                yield warning((*path, "permissions", index, "uri"), message)


def _authorizer(
    path: Path, procedure: str, realm: RealmOptions, anonymous_roles: Set[str]
) -> Iterator[Problem]:
    """Warn of an authorizer that nobody can register, for then everything is denied, or anybody can."""
    yield from find_callees(
        path,
        procedure,
        realm,
        anonymous_roles,
        without="everything is denied",
        is_decided_elsewhere=any(role.authorizer not in {None, procedure} for role in realm.roles),
    )


def find_callees(
    path: Path,
    procedure: str,
    realm: RealmOptions,
    anonymous_roles: Set[str],
    *,
    without: str,
    is_decided_elsewhere: bool,
) -> Iterator[Problem]:
    """Warn of a procedure that decides for the router, and that nobody can register, or anybody.

    Arguments:
        path: where it is named
        procedure: its URI
        realm: where it is registered
        anonymous_roles: roles that sessions get without authentication
        without: what happens when nobody registers it
        is_decided_elsewhere: whether an authorizer may allow it to somebody
    """
    callees = [role for role in realm.roles if _may_register(role, procedure)]
    if not callees and not is_decided_elsewhere:
        rule = f'{{"uri": {quote(procedure)}, "allow": {{"register": true}}}}'
        yield warning(
            path,
            f"no role of this realm has a static rule to register {quote(procedure)}, so that {without}; "
            f"give the role of the program that implements it the permission {rule}",
        )
    for role in callees:
        if role.name in anonymous_roles:
            yield warning(
                path,
                f"role {quote(role.name)}, which anybody gets without authentication, may register {quote(procedure)} "
                "and so decide for all; allow that to a role of its own",
                loud=True,
            )


def _may_register(role: RoleOptions, procedure: str) -> bool:
    """Whether the role's static rules let its sessions implement an authorizer."""
    rules = [
        replace(rule, uri=rule.uri.replace(AUTHROLE, role.name))
        for rule in role.permissions
        if AUTHID not in rule.uri
    ]
    return RuleTable(rules, default=role.allow_by_default).decide(procedure, "register").allow


# --- stores ---------------------------------------------------------------------------------------------------------


def _stored_uris(
    path: Path, stored: Sequence[EventHistoryOptions | CallQueueOptions], check_uri: UriCheck
) -> Iterator[Problem]:
    first: dict[tuple[str, str], Path] = {}
    for index, kept in enumerate(stored):
        where = (*path, index)
        other = first.setdefault((kept.uri, kept.match), where)
        if other != where:
            yield error((*where, "uri"), f"{quote(kept.uri)} is listed by {render(other)}: keep one of them")
            continue
        try:
            check_uri(kept.uri, kept.match)
        except RequestError as refused:
            yield error((*where, "uri"), f"{refused.arguments[0]}{_hint(kept.uri, kept.match)}")
            continue
        if is_reserved(kept.uri):
            yield warning(
                (*where, "uri"),
                "has no effect: what the router itself publishes and implements under wamp. is not kept",
            )


def _hint(uri: str, match: str) -> str:
    if match == "exact" and ".." in f".{uri}.":
        return ': write "match": "wildcard" for a pattern with empty components, "prefix" for a beginning'
    return ""
