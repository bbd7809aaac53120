"""Who may do what: decisions of roles, by static rules or by a WAMP procedure.

Static rules are looked up as Crossbar.io does, so that a configuration means the same here:

1. The longest rule whose text begins the URI is taken (`com.foo` begins `com.foobar` too). Without one the
   default decides. A rule that is not a prefix rule and is not equal to the URI also leaves it to the default: it
   hides shorter prefix rules, which `heliograph check` warns about.
2. Unless that rule is exact, the wildcard rule with the longest text before its first gap (`..`) that begins the URI
   overrides it, if its pattern matches. A wildcard whose only empty component is its first or last has no gap and
   matches nothing but its own text.

`{authrole}` in a rule stands for the role's name, `{authid}` for the session's authid, if that was authenticated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
from msgspec import Struct

from heliograph.routing.options import PermissionRule, RoleOptions
from heliograph.wamp.errors import NOT_AUTHORIZED, PayloadError, RequestError
from heliograph.wamp.payload import Payload

if TYPE_CHECKING:
    from heliograph.routing.router_caller import RouterCaller
    from heliograph.routing.session import Session

Action = Literal["publish", "subscribe", "call", "register"]

REMEMBERED_DECISIONS = 8192
"""Decisions kept for a role; when there are as many, all are forgotten and asked again."""

AUTHID = "{authid}"
AUTHROLE = "{authrole}"
_UNSAFE_IN_URI = re.compile(r"[\s.#]|\A\Z")


class Decision(Struct, frozen=True):
    """What was decided.

    Attributes:
        allow: whether it may be done.
        disclose: whether the router tells who did it, whether or not the session asks for it.
        by_name: whether the rule that allows it names the router's own URIs; a rule for everything does not.
    """

    allow: bool
    disclose: bool = False
    by_name: bool = False


_DENIED = Decision(allow=False)
_ALLOWED = Decision(allow=True)


class DecisionPending(Exception):  # noqa: N818 - says that something has to be waited for
    """A decision is on its way; the request is repeated when it is there.

    Args:
        wait: called with what is to be done then.
    """

    def __init__(self, wait: Callable[[Callable[[], None]], None]) -> None:
        super().__init__()
        self.wait = wait


class Authorizer(Protocol):
    """Decides for the sessions of one role."""

    def decide(self, session: Session, uri: str, action: Action, match: str) -> Decision:
        """Return the decision; raises `DecisionPending` when it has to be asked for."""


class TrustedAuthorizer:
    """Decides for the router's own sessions: everything is allowed."""

    def decide(self, _session: Session, _uri: str, _action: Action, _match: str) -> Decision:
        """Allow it."""
        return Decision(allow=True, by_name=True)


class StaticAuthorizer:
    """Decides by the rules of a role.

    Args:
        role: with its rules, in the order of the configuration.
    """

    def __init__(self, role: RoleOptions) -> None:
        self._allow_by_default = role.allow_by_default
        rules = [_with_uri(rule, rule.uri.replace(AUTHROLE, role.name)) for rule in role.permissions]
        self._personal_rules = rules if any(AUTHID in rule.uri for rule in rules) else None
        self._common = RuleTable(
            [rule for rule in rules if AUTHID not in rule.uri], default=role.allow_by_default
        )
        self._personal: dict[str, RuleTable] = {}

    def decide(self, session: Session, uri: str, action: Action, _match: str) -> Decision:
        """Return what the rules say."""
        if self._personal_rules is None:
            return self._common.decide(uri, action)
        return self._table(self._personal_rules, session).decide(uri, action)

    def _table(self, rules: Sequence[PermissionRule], session: Session) -> RuleTable:
        authid = session.principal.authid
        # An authid somebody chose freely, or one that would add components, opens nothing.
        if not session.principal.is_authenticated or _UNSAFE_IN_URI.search(authid):
            return self._common
        table = self._personal.get(authid)
        if table is None:
            if len(self._personal) >= REMEMBERED_DECISIONS:
                self._personal.clear()
            own = [_with_uri(rule, rule.uri.replace(AUTHID, authid)) for rule in rules]
            table = self._personal[authid] = RuleTable(own, default=self._allow_by_default)
        return table


class RuleTable:
    """Rules without templates.

    Args:
        rules: in the order of the configuration.
        default: whether what no rule covers is allowed.
    """

    def __init__(self, rules: Sequence[PermissionRule], *, default: bool) -> None:
        self._default = _ALLOWED if default else _DENIED
        self._plain = _longest_first(rule for rule in rules if not _has_gap(rule))
        self._gapped = _longest_first(rule for rule in rules if _has_gap(rule))
        self._decisions: dict[tuple[str, Action], Decision] = {}

    def decide(self, uri: str, action: Action) -> Decision:
        """Return what the rules say."""
        key = (uri, action)
        decision = self._decisions.get(key)
        if decision is None:
            if len(self._decisions) >= REMEMBERED_DECISIONS:
                self._decisions.clear()
            decision = self._decisions[key] = self._decide(uri, action)
        return decision

    def _decide(self, uri: str, action: Action) -> Decision:
        rule = self._rule(uri)
        if rule is None:
            return self._default
        disclose = {"call": rule.disclose.caller, "publish": rule.disclose.publisher}.get(action, False)
        return Decision(getattr(rule.allow, action), disclose, rule.uri.startswith("wamp."))

    def _rule(self, uri: str) -> PermissionRule | None:
        found = next((rule for stem, rule in self._plain if uri.startswith(stem)), None)
        if found is not None and found.match != "prefix" and found.uri != uri:
            found = None
        if found is None or found.match != "exact":
            gapped = next((rule for stem, rule in self._gapped if uri.startswith(stem)), None)
            if gapped is not None and _matches(gapped.uri, uri):
                found = gapped
        return found


class AuthorizerAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """What a dynamic authorizer answers, unless it is just a boolean."""

    allow: bool
    cache: bool = False
    disclose: bool = False


_Key = tuple[int, str, Action, str]


class DynamicAuthorizer:
    """Decides by asking a WAMP procedure: `procedure(session_details, uri, action, options)`.

    An answer is remembered only when it says so (`cache: true`), for the same session, URI, action and matching. The
    procedure's own callee is judged by the role's static rules: asked about itself it would wait for itself.

    Args:
        role: names the procedure; its static rules are for the procedure's callee.
        caller: calls on the router's behalf.
    """

    def __init__(self, role: RoleOptions, caller: RouterCaller) -> None:
        if role.authorizer is None:
            raise ValueError(f"role {role.name} names no authorizer")
        self._procedure: str = role.authorizer
        self._timeout_s = role.authorizer_timeout_s
        self._static = StaticAuthorizer(role)
        self._caller = caller
        self._remembered: dict[_Key, Decision] = {}
        self._just_decided: dict[_Key, Decision] = {}
        self._waiting: dict[_Key, list[Callable[[], None]]] = {}

    def decide(self, session: Session, uri: str, action: Action, match: str) -> Decision:
        """Return the decision, if it is there."""
        if uri == self._procedure or self._caller.is_callee(session, self._procedure):
            return self._static.decide(session, uri, action, match)
        key = (session.id, uri, action, match)
        decision = self._just_decided.pop(key, None) or self._remembered.get(key)
        if decision is None:
            raise DecisionPending(lambda then: self._ask(session, key, then))
        return decision

    def _ask(self, session: Session, key: _Key, then: Callable[[], None]) -> None:
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(then)
            return
        self._waiting[key] = [then]
        _, uri, action, match = key
        self._caller.call(
            self._procedure,
            [session.details(), uri, action, {"match": match} if action in ("subscribe", "register") else {}],
            timeout_s=self._timeout_s,
            then=lambda payload: self._answered(key, payload),
        )

    def _answered(self, key: _Key, payload: Payload | None) -> None:
        answer = _answer(payload)
        decision = Decision(answer.allow, answer.disclose)
        if answer.cache:
            if len(self._remembered) >= REMEMBERED_DECISIONS:
                self._remembered.clear()
            self._remembered[key] = decision
        for then in self._waiting.pop(key):
            self._just_decided[key] = decision
            then()
            # Whoever asked may have gone in the meantime.
            self._just_decided.pop(key, None)


def authorize(session: Session, uri: str, action: Action, match: str = "exact") -> Decision:
    """Return the decision that `session` may do `action` on `uri`.

    Raises:
        RequestError: `wamp.error.not_authorized`, it may not.
        DecisionPending: it has to be waited for.
    """
    decision = session.authorizer.decide(session, uri, action, match)
    if not decision.allow:
        raise RequestError(NOT_AUTHORIZED, f"role {session.principal.authrole!r} may not {action} {uri!r}")
    return decision


def _answer(payload: Payload | None) -> AuthorizerAnswer:
    """Return what an authorizer's result says; everything but a clear permission denies."""
    if payload is None:
        return AuthorizerAnswer(allow=False)
    try:
        args, kwargs = payload.decoded()
        if len(args) == 1 and not kwargs:
            return (
                AuthorizerAnswer(args[0])
                if isinstance(args[0], bool)
                else msgspec.convert(args[0], AuthorizerAnswer)
            )
        return msgspec.convert(kwargs, AuthorizerAnswer)
    except (PayloadError, msgspec.ValidationError):
        return AuthorizerAnswer(allow=False)


def _with_uri(rule: PermissionRule, uri: str) -> PermissionRule:
    return msgspec.structs.replace(rule, uri=uri)


def _has_gap(rule: PermissionRule) -> bool:
    return rule.match == "wildcard" and ".." in rule.uri


def _stem(rule: PermissionRule) -> str:
    """Return the part of the rule's URI that every URI it matches begins with."""
    if not _has_gap(rule):
        return rule.uri
    components = rule.uri.split(".")
    return "".join(f"{component}." for component in components[: components.index("")])


def _longest_first(rules: Iterable[PermissionRule]) -> list[tuple[str, PermissionRule]]:
    # Of several rules with one text the last one counts, as on Crossbar.io.
    by_stem = {_stem(rule): rule for rule in rules}
    return sorted(by_stem.items(), key=lambda item: len(item[0]), reverse=True)


def _matches(pattern: str, uri: str) -> bool:
    wanted, given = pattern.split("."), uri.split(".")
    return len(wanted) == len(given) and all(
        not component or component == actual for component, actual in zip(wanted, given, strict=True)
    )
