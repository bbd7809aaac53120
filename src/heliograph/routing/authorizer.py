"""Who may do what: decisions of roles, by static rules or by a WAMP procedure.

Static rules are looked up as Crossbar.io does, so that a configuration means the same here:

1. The longest rule whose text begins the URI is taken (`com.foo` begins `com.foobar` too). Without one the
   default decides. A rule that is not a prefix rule and is not equal to the URI also leaves it to the default: it
   hides shorter prefix rules, which `heliograph check` warns about.
2. Unless that rule is exact, the wildcard rule with the longest text before its first gap (`..`) that begins the URI
   overrides it, if its pattern matches. A wildcard whose only empty component is its first or last has no gap and
   matches nothing but its own text.

A wildcard rule may hold any characters; Crossbar.io ignores one with upper case or regex characters, even one that
denies.

`{authrole}` in a rule stands for the role's name, `{authid}` for the session's authid, if that was authenticated. They
are filled in as text, after stars have been read: whatever an authid holds stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
from msgspec import Struct

from heliograph.routing.options import PermissionRule, RoleOptions
from heliograph.routing.patterns import pattern_matcher
from heliograph.wamp.errors import NOT_AUTHORIZED, PayloadError, RequestError
from heliograph.wamp.payload import Payload
from heliograph.wamp.uris import is_reserved

if TYPE_CHECKING:
    from heliograph.routing.router_caller import RouterCaller
    from heliograph.routing.session import Session

Action = Literal["publish", "subscribe", "call", "register"]

REMEMBERED_DECISIONS = 8192
"""Decisions kept for a role; when there are as many, all are forgotten and made again."""

REMEMBERED_TABLES = 1024
"""Authids of a role whose own rules are kept; likewise."""

AUTHID = "{authid}"
AUTHROLE = "{authrole}"
_TEMPLATE = re.compile(r"\{authid\}|\{authrole\}")
_UNSAFE_IN_URI = re.compile(r"[\s.#]|\A\Z")

Question = tuple[str, Action, str]
"""What is decided about: URI, action, and how the URI is matched."""

CalleeQuestion = tuple[int, str, Action, str]
"""The same, about a callee: with its session id before it."""

Subject = Question | CalleeQuestion
"""What a request may have to wait for: a decision about who makes it, or about a callee."""


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
    """A decision has to be asked for; the request is repeated when it is there.

    Args:
        subject: what is decided.
        ask: called with what takes the decision.
    """

    def __init__(self, subject: Subject, ask: Callable[[Callable[[Decision], None]], None]) -> None:
        super().__init__()
        self.subject = subject
        self.ask = ask


class Authorizer(Protocol):
    """Decides for the sessions of one role.

    `decides_alike` says whether the decision is the same for every session.
    """

    @property
    def decides_alike(self) -> bool: ...

    def decide(
        self, session: Session, uri: str, action: Action, match: str, *, waiting: Session | None = None
    ) -> Decision:
        """Return the decision; raises `DecisionPending` when it has to be asked for.

        Args:
            session: who is decided about.
            uri: what it wants to use.
            action: what for.
            match: how the URI is matched.
            waiting: who would wait for the decision, where that is another session.
        """


class TrustedAuthorizer:
    """Decides for the router's own sessions: everything is allowed."""

    decides_alike = True

    def decide(
        self, _session: Session, _uri: str, _action: Action, _match: str, *, waiting: Session | None = None
    ) -> Decision:
        """Allow it."""
        return Decision(allow=True, by_name=True)


class StaticAuthorizer:
    """Decides by the rules of a role.

    Args:
        role: with its rules, in the order of the configuration.
    """

    def __init__(self, role: RoleOptions) -> None:
        self._role = role
        self.decides_alike = not any(AUTHID in rule.uri for rule in role.permissions)
        # The rules by authid; "" stands for sessions whose authid opens nothing.
        self._tables: dict[str, RuleTable] = {}
        self._remembered: dict[tuple[str, str, Action], Decision] = {}

    def decide(
        self, session: Session, uri: str, action: Action, _match: str, *, waiting: Session | None = None
    ) -> Decision:
        """Return what the rules say."""
        authid = "" if self.decides_alike else _authid_for_rules(session)
        key = (authid, uri, action)
        decision = self._remembered.get(key)
        if decision is None:
            if len(self._remembered) >= REMEMBERED_DECISIONS:
                self._remembered.clear()
            decision = self._remembered[key] = self._table(authid).decide(uri, action)
        return decision

    def _table(self, authid: str) -> RuleTable:
        table = self._tables.get(authid)
        if table is None:
            if len(self._tables) >= REMEMBERED_TABLES:
                self._tables.clear()
            filled_in = (_filled_in(rule, self._role.name, authid) for rule in self._role.permissions)
            rules = [rule for rule in filled_in if rule is not None]
            table = self._tables[authid] = RuleTable(rules, default=self._role.allow_by_default)
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

    def decide(self, uri: str, action: Action) -> Decision:
        """Return what the rules say."""
        rule = self._rule(uri)
        if rule is None:
            return self._default
        disclose = {"call": rule.disclose.caller, "publish": rule.disclose.publisher}.get(action, False)
        return Decision(getattr(rule.allow, action), disclose, is_reserved(rule.uri))

    def _rule(self, uri: str) -> PermissionRule | None:
        found = next((rule for stem, rule in self._plain if uri.startswith(stem)), None)
        if found is not None and found.match != "prefix" and found.uri != uri:
            found = None
        if found is None or found.match != "exact":
            gapped = next((rule for stem, rule in self._gapped if uri.startswith(stem)), None)
            if gapped is not None and pattern_matcher(gapped.uri, "wildcard")(uri):
                found = gapped
        return found


class AuthorizerAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """What a dynamic authorizer answers, unless it is just a boolean."""

    allow: bool
    cache: bool = False
    disclose: bool = False


_Asked = tuple[int, int, Question]
"""Session id, how often the session's details were changed, and what was asked: all an answer may depend on."""


class DynamicAuthorizer:
    """Decides by asking a WAMP procedure: `procedure(session_details, uri, action, options)`.

    An answer is remembered only when it says so (`cache: true`), for the same session with the same details, URI,
    action and matching. The procedure itself, and whatever its own callee wants or waits for, is judged by the role's
    static rules: asked then, it would wait for itself. Static rules are also what names the router's privileged
    procedures.

    Args:
        role: names the procedure.
        caller: calls on the router's behalf.
    """

    decides_alike = False

    def __init__(self, role: RoleOptions, caller: RouterCaller) -> None:
        if role.authorizer is None:
            raise ValueError(f"role {role.name} names no authorizer")
        self._procedure: str = role.authorizer
        self._timeout_s = role.authorizer_timeout_s
        self._static = StaticAuthorizer(role)
        self._caller = caller
        self._remembered: dict[_Asked, Decision] = {}
        self._waiting: dict[_Asked, list[Callable[[Decision], None]]] = {}

    def decide(
        self, session: Session, uri: str, action: Action, match: str, *, waiting: Session | None = None
    ) -> Decision:
        """Return the decision, if it is there."""
        if uri == self._procedure or self._is_callee(session) or (waiting and self._is_callee(waiting)):
            return self._static.decide(session, uri, action, match)
        asked = (session.id, session.details_changes, (uri, action, match))
        decision = self._remembered.get(asked)
        if decision is None:
            raise DecisionPending(asked[2], lambda then: self._ask(session, asked, then))
        return decision

    def _is_callee(self, session: Session) -> bool:
        return self._caller.is_callee(session, self._procedure)

    def _ask(self, session: Session, asked: _Asked, then: Callable[[Decision], None]) -> None:
        waiting = self._waiting.get(asked)
        if waiting is not None:
            waiting.append(then)
            return
        self._waiting[asked] = [then]
        uri, action, match = asked[2]
        named = self._static.decide(session, uri, action, match)
        self._caller.call(
            self._procedure,
            [session.details(), uri, action, {"match": match} if action in ("subscribe", "register") else {}],
            timeout_s=self._timeout_s,
            then=lambda payload: self._answered(asked, payload, by_name=named.allow and named.by_name),
        )

    def _answered(self, asked: _Asked, payload: Payload | None, *, by_name: bool) -> None:
        answer = _answer(payload)
        decision = Decision(answer.allow, answer.disclose, by_name)
        if answer.cache:
            if len(self._remembered) >= REMEMBERED_DECISIONS:
                self._remembered.clear()
            self._remembered[asked] = decision
        for then in self._waiting.pop(asked):
            then(decision)


def authorize(session: Session, uri: str, action: Action, match: str = "exact") -> Decision:
    """Return the decision that `session` may do `action` on `uri`.

    Raises:
        RequestError: `wamp.error.not_authorized`, it may not.
        DecisionPending: it has to be waited for.
    """
    decision = session.decisions.get((uri, action, match)) if session.decisions else None
    if decision is None:
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
        if len(args) + bool(kwargs) != 1:
            return AuthorizerAnswer(allow=False)
        answer = args[0] if args else kwargs
        return (
            AuthorizerAnswer(answer)
            if isinstance(answer, bool)
            else msgspec.convert(answer, AuthorizerAnswer)
        )
    except (PayloadError, msgspec.ValidationError):
        return AuthorizerAnswer(allow=False)


def _authid_for_rules(session: Session) -> str:
    """Return what `{authid}` stands for; "" for one somebody chose freely, or that would add components."""
    principal = session.principal
    if not principal.is_authenticated or _UNSAFE_IN_URI.search(principal.authid):
        return ""
    return principal.authid


def _filled_in(rule: PermissionRule, authrole: str, authid: str) -> PermissionRule | None:
    """Return the rule with its templates filled in, None when it stands for nothing."""
    if AUTHID in rule.uri and not authid:
        return None
    values = {AUTHID: authid, AUTHROLE: authrole}
    # One pass: a template in what is filled in is plain text.
    uri = _TEMPLATE.sub(lambda found: values[found[0]], rule.uri)
    if is_reserved(uri) and not is_reserved(rule.uri):
        # Nobody comes by the router's own URIs with a name.
        return None
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
