"""Static permissions mean what they mean on Crossbar.io."""

from types import SimpleNamespace
from typing import Any, Literal

import pytest

from heliograph.auth.principal import Principal
from heliograph.routing import authorizer
from heliograph.routing.authorizer import Action, StaticAuthorizer
from heliograph.routing.options import AllowedActions, Disclosure, PermissionRule, RoleOptions
from heliograph.wamp.messages import Error, Event, Published, Subscribed
from tests.support.recording import EVERYTHING, Bench, call, publish, register, subscribe

Rule = tuple[str, Literal["exact", "prefix", "wildcard"], bool]

YES, NO = True, False
ACTIONS: tuple[Action, ...] = ("publish", "subscribe", "call", "register")


def session(authid: str = "anonymous-1", authmethod: str = "anonymous", authrole: str = "role") -> Any:
    """Return as much of a session as rules look at."""
    return SimpleNamespace(principal=Principal(authid, authrole, authmethod, "static"))


def may(rules: list[Rule], uri: str, *, allow_by_default: bool = False) -> bool:
    role = RoleOptions(
        name="role",
        permissions=[
            PermissionRule(uri=uri, match=match, allow=AllowedActions(publish=allowed))
            for uri, match, allowed in rules
        ],
        allow_by_default=allow_by_default,
    )
    return StaticAuthorizer(role).decide(session(), uri, "publish", "exact").allow


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
    ("a wildcard may hold upper case", [("com..Bar", "wildcard", YES)], "com.x.Bar", YES),
    (
        "and characters that mean something in regular expressions",
        [("com..b+", "wildcard", YES)],
        "com.x.b+",
        YES,
    ),
    ("which stand for themselves", [("com..b+", "wildcard", YES)], "com.x.bb", NO),
    (
        "and so it denies where Crossbar.io would drop it",
        [("", "prefix", YES), ("com..B", "wildcard", NO)],
        "com.x.B",
        NO,
    ),
]


@pytest.mark.parametrize(("rules", "uri", "allowed"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_rules_are_looked_up_as_on_crossbar(rules: list[Rule], uri: str, allowed: bool) -> None:
    assert may(rules, uri) is allowed


@pytest.mark.parametrize(("uri", "allowed"), [("com.y", YES), ("com.x", NO), ("com.xy", YES)])
def test_the_default_decides_what_no_rule_covers(uri: str, allowed: bool) -> None:
    assert may([("com.x", "exact", NO)], uri, allow_by_default=True) is allowed


@pytest.mark.parametrize("action", ACTIONS)
def test_a_rule_allows_only_the_actions_it_names(action: Action) -> None:
    role = RoleOptions(
        name="role",
        permissions=[PermissionRule(uri="com.x", allow=AllowedActions(**{action: True}))],
    )
    allowed = {
        other: StaticAuthorizer(role).decide(session(), "com.x", other, "exact").allow for other in ACTIONS
    }
    assert allowed == {other: other == action for other in ACTIONS}


def test_remembered_decisions_are_bounded_and_stay_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorizer, "REMEMBERED_DECISIONS", 4)
    role = RoleOptions(
        name="role",
        permissions=[PermissionRule(uri="com.", match="prefix", allow=AllowedActions(publish=True))],
    )
    checked = StaticAuthorizer(role)
    for _ in range(3):
        for number in range(10):
            assert checked.decide(session(), f"com.{number}", "publish", "exact").allow
            assert not checked.decide(session(), f"org.{number}", "publish", "exact").allow
            assert len(checked._remembered) <= 4


class TestTemplates:
    """`{authid}` and `{authrole}` in rules."""

    @staticmethod
    def may(
        rule: str,
        uri: str,
        authid: str,
        *,
        match: Literal["exact", "prefix", "wildcard"] = "exact",
        authmethod: str = "ticket",
        role_name: str = "role",
        action: Action = "subscribe",
    ) -> bool:
        role = RoleOptions(
            name=role_name, permissions=[PermissionRule(uri=rule, match=match, allow=EVERYTHING)]
        )
        return StaticAuthorizer(role).decide(session(authid, authmethod), uri, action, "exact").allow

    @pytest.mark.parametrize(
        ("rule", "match", "uri", "allowed"),
        [
            ("clientconfig.{authid}", "exact", "clientconfig.web-1", YES),
            ("clientconfig.{authid}", "exact", "clientconfig.web-2", NO),
            ("clientconfig.{authid}", "exact", "clientconfig.{authid}", NO),
            ("clientconfig.{authid}.", "prefix", "clientconfig.web-1.cpu", YES),
            ("clientconfig.{authid}.", "prefix", "clientconfig.web-10.cpu", NO),
            ("{authid}..log", "wildcard", "web-1.x.log", YES),
            ("{authid}..log", "wildcard", "web-2.x.log", NO),
            ("all..{authid}", "wildcard", "all.x.web-1", YES),
            ("all..{authid}", "wildcard", "all.x.web-2", NO),
            ("of.{authrole}.{authid}", "exact", "of.role.web-1", YES),
            ("of.{authrole}", "exact", "of.role", YES),
            ("of.{authrole}", "exact", "of.other", NO),
            ("of.{other}", "exact", "of.{other}", YES),
        ],
    )
    def test_stand_for_the_session_that_asks(
        self, rule: str, match: Literal["exact", "prefix", "wildcard"], uri: str, allowed: bool
    ) -> None:
        assert self.may(rule, uri, "web-1", match=match) is allowed

    @pytest.mark.parametrize(
        "authid", ["", "a.b", ".", "a#", "a b", " ", "a\n", "a\u00a0b", "a\u2003b", "\ta"], ids=repr
    )
    @pytest.mark.parametrize("match", ["exact", "prefix"])
    def test_of_an_authid_that_is_no_component_open_nothing(
        self, authid: str, match: Literal["exact", "prefix"]
    ) -> None:
        assert not self.may("of.{authid}", f"of.{authid}", authid, match=match)

    def test_of_an_authid_nobody_has_proven_open_nothing(self) -> None:
        assert self.may("of.{authid}", "of.root", "root", authmethod="ticket")
        assert not self.may("of.{authid}", "of.root", "root", authmethod="anonymous")

    def test_are_left_out_where_they_stand_for_nothing_and_the_next_rule_decides(self) -> None:
        role = RoleOptions(
            name="role",
            permissions=[
                PermissionRule(uri="of.", match="prefix", allow=AllowedActions(subscribe=True)),
                PermissionRule(uri="of.{authid}", match="exact"),
            ],
        )
        decide = StaticAuthorizer(role).decide
        assert not decide(session("a", "ticket"), "of.a", "subscribe", "exact").allow
        assert decide(session("a", "anonymous"), "of.a", "subscribe", "exact").allow

    @pytest.mark.parametrize(
        ("authid", "uri"),
        [
            ("*", "of.anything"),
            ("*", "of."),
            ("{authrole}", "of.role"),
            ("{authid}", "of.x"),
            ("x+", "of.xx"),
            ("[ab]", "of.a"),
            ("\\1", "of.{authid}"),
            ("\\g<0>", "of.{authid}"),
        ],
    )
    @pytest.mark.parametrize("rule", ["of.{authid}", "of.{authid}.", "of..{authid}"])
    def test_are_filled_in_as_plain_text(self, rule: str, authid: str, uri: str) -> None:
        for match in ("exact", "prefix", "wildcard"):
            own = rule.replace("..", ".x.").replace("{authid}", authid)
            other = uri if rule == "of.{authid}" else f"{uri}.x"
            assert not self.may(rule, other, authid, match=match)
            if rule == "of.{authid}" or (rule == "of.{authid}." and match == "prefix"):
                assert self.may(rule, own + ("x" if rule.endswith(".") else ""), authid, match=match)

    def test_open_nothing_of_the_routers_own_to_a_user_called_wamp(self) -> None:
        for authid, role_name in (("wamp", "role"), ("x", "wamp")):
            for rule in ("{authid}.", "{authrole}."):
                assert not self.may(
                    rule, "wamp.session.kill", authid, match="prefix", role_name=role_name, action="call"
                )
        assert self.may("of.{authid}", "of.wamp", "wamp")

    def test_are_told_apart_however_many_ask(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(authorizer, "REMEMBERED_DECISIONS", 8)
        monkeypatch.setattr(authorizer, "REMEMBERED_TABLES", 2)
        role = RoleOptions(name="role", permissions=[PermissionRule(uri="of.{authid}", allow=EVERYTHING)])
        checked = StaticAuthorizer(role)
        for _ in range(3):
            for own in range(5):
                for other in range(5):
                    decision = checked.decide(session(f"u{own}", "ticket"), f"of.u{other}", "call", "exact")
                    assert decision.allow is (own == other)
                    assert len(checked._remembered) <= 8
                    assert len(checked._tables) <= 2


class TestDisclosure:
    ROLE = RoleOptions(
        name="anonymous",
        permissions=[
            PermissionRule(uri="", match="prefix", allow=EVERYTHING),
            PermissionRule(
                uri="told.",
                match="prefix",
                allow=EVERYTHING,
                disclose=Disclosure(caller=True, publisher=True),
            ),
        ],
    )

    @pytest.mark.parametrize("action", ACTIONS)
    @pytest.mark.parametrize(("uri", "told"), [("told.x", True), ("untold.x", False)])
    def test_is_about_calls_and_publications(self, action: Action, uri: str, told: bool) -> None:
        decision = StaticAuthorizer(self.ROLE).decide(session(), uri, action, "exact")
        assert decision.disclose is (told and action in ("call", "publish"))


def test_every_action_is_refused_in_the_same_words() -> None:
    bench = Bench([RoleOptions(name="anonymous")])
    pair = bench.join()
    answers = pair.says(
        publish(1, "com.x", acknowledge=True), subscribe(2, "com.x"), call(3, "com.x"), register(4, "com.x")
    )
    assert [
        (answer.request_type, answer.request, answer.error, answer.payload.decoded()[0])
        for answer in answers
        if isinstance(answer, Error)
    ] == [
        (16, 1, "wamp.error.not_authorized", ["role 'anonymous' may not publish 'com.x'"]),
        (32, 2, "wamp.error.not_authorized", ["role 'anonymous' may not subscribe 'com.x'"]),
        (48, 3, "wamp.error.not_authorized", ["role 'anonymous' may not call 'com.x'"]),
        (64, 4, "wamp.error.not_authorized", ["role 'anonymous' may not register 'com.x'"]),
    ]


def test_an_agent_hears_its_own_configuration_and_nobody_elses() -> None:
    bench = Bench(
        [
            RoleOptions(
                name="agent",
                permissions=[
                    PermissionRule(uri="clientconfig.{authid}", allow=AllowedActions(subscribe=True)),
                ],
            ),
            RoleOptions(
                name="backend", permissions=[PermissionRule(uri="", match="prefix", allow=EVERYTHING)]
            ),
        ]
    )
    backend, first, second = (
        bench.join(role="backend"),
        bench.join_as("a", "agent"),
        bench.join_as("b", "agent"),
    )
    (answer,) = first.says(subscribe(1, "clientconfig.a"))
    assert isinstance(answer, Subscribed)
    (refused,) = second.says(subscribe(1, "clientconfig.a"))
    assert isinstance(refused, Error)
    (published,) = backend.says(publish(1, "clientconfig.a", acknowledge=True))
    assert isinstance(published, Published)
    assert [type(message) for message in first.hears()] == [Event]
    assert second.hears() == []
