"""Static permissions mean what they mean on Crossbar.io."""

from typing import Literal

import pytest

from heliograph.routing import authorizer
from heliograph.routing.authorizer import StaticAuthorizer
from heliograph.routing.options import AllowedActions, PermissionRule, RoleOptions
from heliograph.wamp.errors import RequestError

Rule = tuple[str, Literal["exact", "prefix", "wildcard"], bool]

YES, NO = True, False


def may(rules: list[Rule], uri: str, *, allow_by_default: bool = False) -> bool:
    role = RoleOptions(
        name="role",
        permissions=[
            PermissionRule(uri=uri, match=match, allow=AllowedActions(publish=allowed))
            for uri, match, allowed in rules
        ],
        allow_by_default=allow_by_default,
    )
    try:
        StaticAuthorizer(role).require(uri, "publish")
    except RequestError as error:
        return (error.uri, error.arguments) != (
            "wamp.error.not_authorized",
            (f"role 'role' may not publish {uri!r}",),
        )
    return True


# Rules in file order, the URI asked for, and whether it is allowed.
CASES: list[tuple[str, list[Rule], str, bool]] = [
    ("nothing is allowed by default", [], "com.x", NO),
    ("an exact rule allows its URI", [("com.x", "exact", YES)], "com.x", YES),
    ("an exact rule does not allow what it begins", [("com.x", "exact", YES)], "com.x.y", NO),
    ("a prefix is a string, not components", [("com.foo", "prefix", YES)], "com.foobar", YES),
    ("a prefix allows itself", [("com.foo", "prefix", YES)], "com.foo", YES),
    ("the empty prefix is everything", [("", "prefix", YES)], "com.foo", YES),
    ("the longest prefix decides", [("com.", "prefix", YES), ("com.foo.", "prefix", NO)], "com.foo.x", NO),
    ("whatever their order", [("com.foo.", "prefix", NO), ("com.", "prefix", YES)], "com.foo.x", NO),
    (
        "an exact rule hides the prefix for what it begins",
        [("com.", "prefix", YES), ("com.foo", "exact", YES)],
        "com.foobar",
        NO,
    ),
    (
        "component or not",
        [("com.", "prefix", YES), ("com.foo", "exact", YES)],
        "com.foo.bar",
        NO,
    ),
    ("but nothing else", [("com.", "prefix", YES), ("com.foo", "exact", YES)], "com.fo", YES),
    ("exact wins over wildcard", [("com..a", "wildcard", YES), ("com.x.a", "exact", NO)], "com.x.a", NO),
    (
        "a wildcard beats a longer prefix",
        [("com.x.", "prefix", NO), ("com..a", "wildcard", YES)],
        "com.x.a",
        YES,
    ),
    (
        "a wildcard that does not match leaves the prefix",
        [("com.x.", "prefix", YES), ("com..a", "wildcard", NO)],
        "com.x.b",
        YES,
    ),
    (
        "of wildcards with one stem only the last exists",
        [("com..a", "wildcard", YES), ("com..b", "wildcard", YES)],
        "com.x.a",
        NO,
    ),
    ("and it does", [("com..a", "wildcard", YES), ("com..b", "wildcard", YES)], "com.x.b", YES),
    (
        "only the wildcard with the longest stem is tried",
        [("com..c.d", "wildcard", YES), ("com.b..e", "wildcard", YES)],
        "com.b.c.d",
        NO,
    ),
    ("a wildcard matches one component", [("com..a", "wildcard", YES)], "com.x.y.a", NO),
    ("of duplicates the last one wins", [("com.x", "exact", YES), ("com.x", "prefix", NO)], "com.x", NO),
    ("even when only match differs", [("com.x", "prefix", NO), ("com.x", "exact", YES)], "com.xy", NO),
    ("a wildcard without a gap is compared whole", [("com.x", "wildcard", YES)], "com.x", YES),
    ("a wildcard that begins with a gap never matches", [(".foo.bar", "wildcard", YES)], "x.foo.bar", NO),
    ("nor one that ends with a gap", [("com.foo.", "wildcard", YES)], "com.foo.x", NO),
    ("and nothing longer", [("com.x", "wildcard", YES)], "com.x.y", NO),
]


@pytest.mark.parametrize(("rules", "uri", "allowed"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_rules_are_looked_up_as_on_crossbar(rules: list[Rule], uri: str, allowed: bool) -> None:
    assert may(rules, uri) is allowed


@pytest.mark.parametrize(("uri", "allowed"), [("com.y", YES), ("com.x", NO), ("com.xy", YES)])
def test_the_default_decides_what_no_rule_covers(uri: str, allowed: bool) -> None:
    assert may([("com.x", "exact", NO)], uri, allow_by_default=True) is allowed


@pytest.mark.parametrize("action", ["publish", "subscribe", "call", "register"])
def test_a_rule_allows_only_the_actions_it_names(
    action: Literal["publish", "subscribe", "call", "register"],
) -> None:
    role = RoleOptions(
        name="role",
        permissions=[PermissionRule(uri="com.x", allow=AllowedActions(**{action: True}))],
    )
    checked = StaticAuthorizer(role)
    checked.require("com.x", action)
    for other in ("publish", "subscribe", "call", "register"):
        if other != action:
            with pytest.raises(RequestError):
                checked.require("com.x", other)


def test_remembered_decisions_are_bounded_and_stay_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorizer, "REMEMBERED_DECISIONS", 4)
    role = RoleOptions(
        name="role",
        permissions=[PermissionRule(uri="com.", match="prefix", allow=AllowedActions(publish=True))],
    )
    checked = StaticAuthorizer(role)
    for _ in range(3):
        for number in range(10):
            checked.require(f"com.{number}", "publish")
            with pytest.raises(RequestError):
                checked.require(f"org.{number}", "publish")
            assert len(checked._decisions) <= 4
