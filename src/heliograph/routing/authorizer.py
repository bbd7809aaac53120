"""Static permissions of a role, looked up as Crossbar.io does so that a configuration means the same here.

1. The longest rule whose text begins the URI is taken (`com.foo` begins `com.foobar` too). Without one the
   default decides. A rule that is not a prefix rule and is not equal to the URI also leaves it to the default: it
   hides shorter prefix rules, which `heliograph check` warns about.
2. Unless that rule is exact, the wildcard rule with the longest text before its first gap (`..`) that begins the URI
   overrides it, if its pattern matches. A wildcard whose only empty component is its first or last has no gap and
   matches nothing but its own text.
"""

from collections.abc import Iterable
from typing import Literal

from heliograph.routing.options import AllowedActions, PermissionRule, RoleOptions
from heliograph.wamp.errors import NOT_AUTHORIZED, RequestError

Action = Literal["publish", "subscribe", "call", "register"]

REMEMBERED_DECISIONS = 8192
"""Decisions kept for a role; when there are as many, all are forgotten and asked again."""


class StaticAuthorizer:
    """Decides what one role may do, by its rules.

    Args:
        role: the role with its rules, in the order of the configuration.
    """

    def __init__(self, role: RoleOptions) -> None:
        self._role = role.name
        self._default = role.allow_by_default
        self._plain = _longest_first(rule for rule in role.permissions if not _has_gap(rule))
        self._gapped = _longest_first(rule for rule in role.permissions if _has_gap(rule))
        self._decisions: dict[tuple[str, Action], bool] = {}

    def require(self, uri: str, action: Action) -> None:
        """Raise `RequestError` with `wamp.error.not_authorized` unless this role may do `action` on `uri`."""
        key = (uri, action)
        allowed = self._decisions.get(key)
        if allowed is None:
            if len(self._decisions) >= REMEMBERED_DECISIONS:
                self._decisions.clear()
            allowed = self._decisions[key] = self._decide(uri, action)
        if not allowed:
            raise RequestError(NOT_AUTHORIZED, f"role {self._role!r} may not {action} {uri!r}")

    def _decide(self, uri: str, action: Action) -> bool:
        rule = self._rule(uri)
        return self._default if rule is None else getattr(rule, action)

    def _rule(self, uri: str) -> AllowedActions | None:
        found = next((rule for stem, rule in self._plain if uri.startswith(stem)), None)
        if found is not None and found.match != "prefix" and found.uri != uri:
            found = None
        if found is None or found.match != "exact":
            gapped = next((rule for stem, rule in self._gapped if uri.startswith(stem)), None)
            if gapped is not None and _matches(gapped.uri, uri):
                found = gapped
        return found.allow if found is not None else None


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
