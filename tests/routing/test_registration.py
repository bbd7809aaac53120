"""Registrations: which of several patterns wins, what a callee learns of the caller, who takes a procedure away."""

import pytest

from heliograph.routing.options import (
    AllowedActions,
    CallQueueOptions,
    Disclosure,
    PermissionRule,
    RoleOptions,
    StoreOptions,
)
from heliograph.wamp.messages import (
    Abort,
    Error,
    Invocation,
    Message,
    Registered,
    Unregister,
    Unregistered,
    UnregisteredDetails,
)
from tests.support.calling import (
    CANCELING,
    PROCEDURE,
    PROGRESSIVE_INVOCATIONS,
    REROUTE,
    REVOCATION,
    call_error,
    errors,
    invocation,
    refusal,
    result,
    unavailable,
    yield_,
)
from tests.support.recording import EVERYTHING, OPEN_ROLE, Bench, SessionPair, call, register

SPECIFIED = [
    ("a1.b2.c3.d4.e55", "exact"),
    ("a1.b2.c3", "prefix"),
    ("a1.b2.c3.d4", "prefix"),
    ("a1.b2..d4.e5", "wildcard"),
    ("a1.b2.c33..e5", "wildcard"),
    ("a1.b2..d4.e5..g7", "wildcard"),
    ("a1.b2..d4..f6.g7", "wildcard"),
]
"""The registrations of the specification's examples, numbered from 1."""

SPECIFIED_WINNERS = [
    ("a1.b2.c3.d4.e55", 1),
    ("a1.b2.c3.d98.e74", 2),
    ("a1.b2.c3.d4.e325", 3),
    ("a1.b2.c55.d4.e5", 4),
    # Here the specification contradicts itself. It says 5, "no prefix match", as if prefixes ended with a component;
    # but by its own "Prefix Matching" `com.myapp.myobject1` is a prefix of `com.myapp.myobject1-mysubobject1`.
    ("a1.b2.c33.d4.e5", 2),
    ("a1.b2.c88.d4.e5.f6.g7", 6),
    ("a2.b2.c2.d2.e2", None),
]


def winner(callee: SessionPair, caller: SessionPair, procedure: str) -> int | None:
    """Return the registration a call of `procedure` reaches, None when the answer is that there is none."""
    heard = caller.says(call(1, procedure))
    if heard:
        assert errors(heard) == [(1, "wamp.error.no_such_procedure")]
        return None
    (asked,) = callee.hears()
    assert isinstance(asked, Invocation)
    callee.says(yield_(asked.request))
    assert caller.hears() == [result(1)]
    return asked.registration


class TestPatterns:
    @pytest.mark.parametrize(("procedure", "expected"), SPECIFIED_WINNERS)
    @pytest.mark.parametrize("order", [1, -1], ids=["as listed", "the other way round"])
    def test_win_as_in_the_specifications_examples(
        self, bench: Bench, procedure: str, expected: int | None, order: int
    ) -> None:
        callee, caller = bench.join(), bench.join()
        numbers = {}
        for uri, match in SPECIFIED[::order]:
            numbers[callee.register(uri, match=match)] = SPECIFIED.index((uri, match)) + 1
        found = winner(callee, caller, procedure)
        assert (None if found is None else numbers[found]) == expected

    @pytest.mark.parametrize(
        ("better", "worse"),
        [
            # The specification's example 5 against 4, without a prefix beside them.
            (("a1.b2.c33..e5", "wildcard"), ("a1.b2..d4.e5", "wildcard")),
            (("a1.b2..d4.e5", "wildcard"), ("a1...d4.e5", "wildcard")),
            (("a1.b2.c33.d4.e5", "exact"), ("a1.b2.c33.d4.e5", "prefix")),
            (("a1.b2.c33.d4.e5", "prefix"), ("a1.b2.c33.d4.e5", "wildcard")),
            (("a1.b2.c", "prefix"), ("a1.b2.", "prefix")),
            (("", "prefix"), ("a1.b2.c33.d4.", "wildcard")),
            (("a1....", "wildcard"), (".b2.c33.d4.e5", "wildcard")),
            (("a1.b2...", "wildcard"), ("a1..c33.d4.e5", "wildcard")),
        ],
    )
    @pytest.mark.parametrize("order", [1, -1])
    def test_that_fit_better_win_whichever_came_first(
        self, bench: Bench, better: tuple[str, str], worse: tuple[str, str], order: int
    ) -> None:
        callee, caller = bench.join(), bench.join()
        ids = {(uri, match): callee.register(uri, match=match) for uri, match in (better, worse)[::order]}
        assert winner(callee, caller, "a1.b2.c33.d4.e5") == ids[better]

    @pytest.mark.parametrize(
        ("pattern", "match", "procedure", "matches"),
        [
            # The examples of "Prefix Matching" and "Wildcard Matching".
            ("com.myapp.myobject1", "prefix", "com.myapp.myobject1.myprocedure1", True),
            ("com.myapp.myobject1", "prefix", "com.myapp.myobject1-mysubobject1", True),
            ("com.myapp.myobject1", "prefix", "com.myapp.myobject1.mysubobject1.myprocedure1", True),
            ("com.myapp.myobject1", "prefix", "com.myapp.myobject1", True),
            ("com.myapp.myobject1", "prefix", "com.myapp.myobject2", False),
            ("com.myapp.myobject1", "prefix", "com.myapp.myobject", False),
            ("com.myapp..myprocedure1", "wildcard", "com.myapp.myobject1.myprocedure1", True),
            ("com.myapp..myprocedure1", "wildcard", "com.myapp.myobject2.myprocedure1", True),
            (
                "com.myapp..myprocedure1",
                "wildcard",
                "com.myapp.myobject1.myprocedure1.mysubprocedure1",
                False,
            ),
            ("com.myapp..myprocedure1", "wildcard", "com.myapp.myobject1.myprocedure2", False),
            ("com.myapp..myprocedure1", "wildcard", "com.myapp2.myobject1.myprocedure1", False),
            ("", "prefix", "com.anything", True),
            ("com.", "prefix", "com.x", True),
            ("com.", "prefix", "company.x", False),
            ("..", "wildcard", "a.b.c", True),
            (".b.", "wildcard", "a.b.c", True),
            (".b.", "wildcard", "a.b", False),
        ],
    )
    def test_match_what_the_specification_says(
        self, bench: Bench, pattern: str, match: str, procedure: str, matches: bool
    ) -> None:
        callee, caller = bench.join(), bench.join()
        registration = callee.register(pattern, match=match)
        assert winner(callee, caller, procedure) == (registration if matches else None)

    @pytest.mark.parametrize(
        ("match", "details"),
        [("exact", {}), ("prefix", {"procedure": PROCEDURE}), ("wildcard", {"procedure": PROCEDURE})],
    )
    def test_tell_the_callee_which_procedure_was_called(
        self, bench: Bench, match: str, details: dict[str, str]
    ) -> None:
        callee, caller = bench.join(), bench.join()
        callee.register(PROCEDURE, match=match)
        caller.says(call(1, PROCEDURE))
        assert callee.hears() == [invocation(1, 1, **details)]

    def test_of_each_kind_are_registrations_of_their_own(self, bench: Bench) -> None:
        callees = {match: bench.join() for match in ("exact", "prefix", "wildcard")}
        ids = {callee.register(PROCEDURE, match=match) for match, callee in callees.items()}
        assert len(ids) == 3
        # The less they fit, the later they are asked.
        for match in ("exact", "prefix", "wildcard"):
            assert winner(callees[match], bench.join(), PROCEDURE)
            callees[match].session.lost()
        assert winner(bench.join(), bench.join(), PROCEDURE) is None

    def test_never_catch_the_routers_own_procedures(self, bench: Bench) -> None:
        callee, caller = bench.join(), bench.join()
        callee.register("", match="prefix")
        callee.register("..", match="wildcard")
        assert errors(caller.says(call(1, "wamp.no.such"))) == [(1, "wamp.error.no_such_procedure")]
        assert callee.hears() == []


class TestIdentity:
    """Who a callee hears that calls (specification, "Caller Identification", "Call Trust Levels")."""

    def details(self, bench: Bench, caller: SessionPair, **options: bool) -> dict[str, object]:
        callee = bench.join()
        callee.register(PROCEDURE, **options)
        caller.says(call(1, PROCEDURE))
        (asked,) = callee.hears()
        assert isinstance(asked, Invocation)
        known = {name: getattr(asked.details, name) for name in asked.details.__struct_fields__}
        return {name: value for name, value in known.items() if value is not None}

    @staticmethod
    def identity(caller: SessionPair) -> dict[str, object]:
        return {
            "caller": caller.id,
            "caller_authid": caller.session.principal.authid,
            "caller_authrole": "anonymous",
        }

    def test_is_not_told_without_need(self, bench: Bench) -> None:
        assert self.details(bench, bench.join()) == {}

    def test_is_told_when_the_caller_asks_for_it(self, bench: Bench) -> None:
        callee, caller = bench.join(), bench.join()
        callee.register(PROCEDURE)
        caller.says(call(1, PROCEDURE, disclose_me=True))
        assert callee.hears() == [invocation(1, 1, **self.identity(caller))]

    def test_is_told_when_the_callee_asks_for_it(self, bench: Bench) -> None:
        caller = bench.join()
        assert self.details(bench, caller, disclose_caller=True) == self.identity(caller)

    def test_is_told_only_to_the_callee_that_asks(self, bench: Bench) -> None:
        curious, modest, caller = bench.join(), bench.join(), bench.join()
        curious.register(PROCEDURE, invoke="roundrobin", disclose_caller=True)
        modest.register(PROCEDURE, invoke="roundrobin")
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE))
        assert curious.hears() == [invocation(1, 1, **self.identity(caller))]
        assert modest.hears() == [invocation(1, 1)]

    def test_is_told_when_the_configuration_says_so(self) -> None:
        rules = [
            PermissionRule(uri="", match="prefix", allow=EVERYTHING),
            PermissionRule(uri=PROCEDURE, allow=EVERYTHING, disclose=Disclosure(caller=True)),
        ]
        bench = Bench([RoleOptions(name="anonymous", permissions=rules)])
        caller = bench.join()
        assert self.details(bench, caller) == self.identity(caller)

    def test_may_not_be_told_by_roles_that_are_not_to(self) -> None:
        rules = [PermissionRule(uri="", match="prefix", allow=EVERYTHING)]
        bench = Bench([RoleOptions(name="anonymous", permissions=rules, allow_disclose_me=False)])
        callee, caller = bench.join(), bench.join()
        callee.register(PROCEDURE)
        assert caller.says(call(1, PROCEDURE, disclose_me=True)) == [
            call_error(
                1,
                "wamp.error.option_disallowed.disclose_me",
                "this role may not disclose its identity",
            )
        ]
        assert callee.hears() == []

    @pytest.mark.parametrize(
        ("may_disclose", "rule_discloses", "disclose_caller", "is_told"),
        [
            (True, False, False, False),
            (True, False, True, True),
            (True, True, False, True),
            (False, False, False, False),
            (False, False, True, False),
            (False, True, False, True),
            (False, True, True, True),
        ],
    )
    @pytest.mark.parametrize("match", ["exact", "prefix"])
    def test_is_told_to_a_callee_that_asks_as_far_as_the_callers_role_allows(
        self, match: str, *, may_disclose: bool, rule_discloses: bool, disclose_caller: bool, is_told: bool
    ) -> None:
        disclose = Disclosure(caller=rule_discloses)
        rules = [PermissionRule(uri="", match="prefix", allow=EVERYTHING, disclose=disclose)]
        bench = Bench(
            [OPEN_ROLE, RoleOptions(name="caller", permissions=rules, allow_disclose_me=may_disclose)]
        )
        features = {"callee": [REROUTE, PROGRESSIVE_INVOCATIONS, CANCELING]}
        callees = [bench.join(features=features) for _ in range(2)]
        for callee in callees:
            callee.register(PROCEDURE, match=match, invoke="first", disclose_caller=disclose_caller)
        caller = bench.connect(role="caller").join(features={"caller": [PROGRESSIVE_INVOCATIONS, CANCELING]})
        caller.says(call(1, PROCEDURE, progress=True), call(1, PROCEDURE))
        # Each piece, and the callee asked next, is told the same.
        heard = callees[0].hears()
        callees[0].says(unavailable(1))
        heard += callees[1].hears()
        assert len(heard) == 4
        told = [
            (message.details.caller, message.details.caller_authid, message.details.caller_authrole)
            for message in heard
            if isinstance(message, Invocation)
        ]
        identity = (caller.id, caller.session.principal.authid, "caller")
        assert told == [identity if is_told else (None, None, None)] * 4

    @pytest.mark.parametrize("level", [0, 3])
    def test_comes_with_the_trust_level_of_the_callers_role(self, level: int) -> None:
        rules = [PermissionRule(uri="", match="prefix", allow=EVERYTHING)]
        bench = Bench(
            [
                RoleOptions(name="anonymous", permissions=rules),
                RoleOptions(name="rated", permissions=rules, trustlevel=level),
            ]
        )
        callee, caller = bench.join(), bench.join(role="rated")
        callee.register(PROCEDURE)
        caller.says(call(1, PROCEDURE))
        assert callee.hears() == [invocation(1, 1, trustlevel=level)]


class TestTakingOver:
    """`force_reregister`, which is Crossbar.io's."""

    def test_leaves_the_newcomer_alone_with_the_procedure(self, bench: Bench) -> None:
        old = [bench.join(features={"callee": [REVOCATION]}) for _ in range(2)]
        for pair in old:
            pair.register(PROCEDURE, invoke="roundrobin")
        newcomer, caller = bench.join(), bench.join()
        assert newcomer.says(register(1, PROCEDURE, force_reregister=True)) == [Registered(1, 2)]
        for pair in old:
            assert pair.hears() == [
                Unregistered(
                    0,
                    UnregisteredDetails(registration=1, reason="another callee has taken the procedure over"),
                )
            ]
        assert winner(newcomer, caller, PROCEDURE) == 2

    def test_lets_calls_on_their_way_be_answered(self, bench: Bench) -> None:
        old, newcomer, caller = bench.join(), bench.join(), bench.join()
        old.register(PROCEDURE)
        caller.says(call(1, PROCEDURE))
        newcomer.register(PROCEDURE, force_reregister=True)
        old.says(yield_(1))
        assert caller.hears() == [result(1)]

    def test_may_be_done_by_the_callee_itself(self, bench: Bench) -> None:
        callee, caller = bench.join(), bench.join()
        callee.register(PROCEDURE)
        assert callee.register(PROCEDURE, force_reregister=True) == 2
        assert winner(callee, caller, PROCEDURE) == 2

    def test_of_what_is_free_is_an_ordinary_registration(self, bench: Bench) -> None:
        assert bench.join().register(PROCEDURE, force_reregister=True) == 1

    def test_needs_the_permission_to_register(self) -> None:
        rules = [PermissionRule(uri="", match="prefix", allow=EVERYTHING)]
        callers_only = [
            PermissionRule(uri="", match="prefix", allow=AllowedActions(call=True)),
        ]
        bench = Bench(
            [
                RoleOptions(name="anonymous", permissions=rules),
                RoleOptions(name="caller", permissions=callers_only),
            ]
        )
        callee, thief = bench.join(features={"callee": [REVOCATION]}), bench.join(role="caller")
        callee.register(PROCEDURE)
        (answer,) = thief.says(register(1, PROCEDURE, force_reregister=True))
        assert isinstance(answer, Error)
        assert answer.error == "wamp.error.not_authorized"
        assert callee.hears() == []
        assert winner(callee, thief, PROCEDURE) == 1

    def test_ends_the_wait_of_calls_for_those_that_were_there(self) -> None:
        bench = Bench(store=StoreOptions(call_queue=[CallQueueOptions(uri=PROCEDURE)]))
        old, newcomer, caller = bench.join(), bench.join(), bench.join()
        old.register(PROCEDURE, concurrency=1)
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE))
        newcomer.register(PROCEDURE, force_reregister=True)
        assert errors(caller.hears()) == [(2, "wamp.error.no_available_callee")]
        old.says(yield_(1))
        assert caller.hears() == [result(1)]


class TestRevocation:
    def revoke(self, bench: Bench, callee: SessionPair, reason: str | None = None) -> list[Message]:
        registration = next(iter(bench.realm.dealer.procedures.registrations.values()))
        bench.realm.dealer.procedures.revoke(registration, callee.session, reason)
        return callee.hears()

    @pytest.mark.parametrize("reason", [None, "moving endpoint to other callee"])
    def test_is_told_to_callees_that_announced_it(self, bench: Bench, reason: str | None) -> None:
        callee = bench.join(features={"callee": [REVOCATION]})
        callee.register(PROCEDURE)
        assert self.revoke(bench, callee, reason) == [
            Unregistered(0, UnregisteredDetails(registration=1, reason=reason))
        ]
        assert winner(callee, bench.join(), PROCEDURE) is None

    def test_is_done_without_a_word_to_others(self, bench: Bench) -> None:
        callee = bench.join(features={"callee": [CANCELING]})
        callee.register(PROCEDURE)
        assert self.revoke(bench, callee) == []
        assert winner(callee, bench.join(), PROCEDURE) is None
        assert callee.says(Unregister(2, 1)) == [
            refusal(66, 2, "wamp.error.no_such_registration", "this session has no registration 1")
        ]

    def test_lets_calls_on_their_way_be_answered(self, bench: Bench) -> None:
        callee, caller = bench.join(), bench.join()
        callee.register(PROCEDURE)
        caller.says(call(1, PROCEDURE))
        callee.hears()
        self.revoke(bench, callee)
        callee.says(yield_(1))
        assert caller.hears() == [result(1)]

    def test_leaves_nothing(self, bench: Bench) -> None:
        callee = bench.join()
        callee.register(PROCEDURE)
        self.revoke(bench, callee)
        callee.session.lost()
        bench.assert_nothing_left()


def test_a_callee_that_breaks_the_protocol_loses_its_registrations(bench: Bench) -> None:
    callee, caller = bench.join(), bench.join()
    callee.register(PROCEDURE)
    (abort,) = callee.says(yield_(99))
    assert isinstance(abort, Abort)
    assert winner(callee, caller, PROCEDURE) is None
