"""A callee that registered a pattern is asked only for what it may register by name."""

from collections.abc import Sequence

import pytest

from heliograph.routing.options import (
    AllowedActions,
    CallQueueOptions,
    PermissionRule,
    RoleOptions,
    StoreOptions,
)
from heliograph.routing.pattern_callees import QUESTIONS_A_CALL
from heliograph.wamp.errors import MAX_CONCURRENCY_REACHED
from heliograph.wamp.messages import Error, Invocation, Message, Registered, Result
from heliograph.wamp.payload import PlainPayload
from tests.support.calling import (
    PROGRESSIVE_INVOCATIONS,
    REROUTE,
    call_error,
    errors,
    invocation,
    result,
    unavailable,
    yield_,
)
from tests.support.recording import EVERYTHING, OPEN_ROLE, Bench, SessionPair, call, register

CALLS_ONLY = AllowedActions(call=True)
SECRET = "com.ok.secret"
OPEN = "com.ok.open"

LIMITED = RoleOptions(
    name="limited",
    permissions=[
        PermissionRule(uri="", match="prefix", allow=EVERYTHING),
        PermissionRule(uri=SECRET, allow=CALLS_ONLY),
        PermissionRule(uri="com.ok.vault.", match="prefix", allow=CALLS_ONLY),
        PermissionRule(uri="com..locked", match="wildcard", allow=CALLS_ONLY),
    ],
)
OWN_ONLY = RoleOptions(
    name="own",
    permissions=[
        PermissionRule(uri="com.", match="prefix", allow=EVERYTHING),
        PermissionRule(uri="com.of.", match="prefix", allow=CALLS_ONLY),
        PermissionRule(uri="com.of.{authid}", match="prefix", allow=EVERYTHING),
    ],
)
ROLES = [OPEN_ROLE, LIMITED, OWN_ONLY]


@pytest.fixture
def bench() -> Bench:
    return Bench(ROLES)


def no_such_procedure(request: int, procedure: str = SECRET) -> Message:
    return call_error(request, "wamp.error.no_such_procedure", f"no callee has registered {procedure!r}")


def join(bench: Bench, roles: Sequence[str], policy: str = "single", **options: object) -> list[SessionPair]:
    """Return a callee of the prefix `com.ok.` for each role."""
    callees = [bench.join(role=role, features={"callee": [REROUTE]}) for role in roles]
    for callee in callees:
        callee.register("com.ok.", match="prefix", invoke=policy, **options)
    return callees


def asked(callees: Sequence[SessionPair]) -> list[int]:
    """Return the positions of those that were asked since the last time, each as often as it was."""
    return [
        position
        for position, callee in enumerate(callees)
        for message in callee.hears()
        if isinstance(message, Invocation)
    ]


class TestOneCallee:
    @pytest.mark.parametrize(
        ("pattern", "match", "procedure", "is_asked"),
        [
            ("com.ok.", "prefix", OPEN, True),
            ("com.ok.", "prefix", SECRET, False),
            ("com.ok.secre", "prefix", SECRET, False),
            ("com.ok.secre", "prefix", "com.ok.secrecy", True),
            ("", "prefix", SECRET, False),
            ("com.ok.", "prefix", "com.ok.vault.key", False),
            ("com.ok.v", "prefix", "com.ok.vault.key", False),
            ("com.ok.", "prefix", "com.ok.vaults", True),
            ("com..secret", "wildcard", SECRET, False),
            ("com..secret", "wildcard", "com.other.secret", True),
            ("..", "wildcard", SECRET, False),
            ("com.ok..key", "wildcard", "com.ok.vault.key", False),
            ("com.", "prefix", "com.any.locked", False),
            (".any.locked", "wildcard", "com.any.locked", False),
        ],
    )
    def test_is_asked_for_what_it_may_register_by_name(
        self, bench: Bench, pattern: str, match: str, procedure: str, *, is_asked: bool
    ) -> None:
        callee, caller = bench.join(role="limited"), bench.join()
        callee.register(pattern, match=match)
        heard = caller.says(call(1, procedure))
        if is_asked:
            assert callee.hears() == [invocation(1, 1, procedure=procedure)]
            assert heard == []
        else:
            assert callee.hears() == []
            assert heard == [no_such_procedure(1, procedure)]

    @pytest.mark.parametrize("authid", ["joe", "sue"])
    def test_with_rules_of_its_own_is_asked_for_its_own(self, bench: Bench, authid: str) -> None:
        callee, caller = bench.join_as(authid, "own"), bench.join()
        callee.register("com.", match="prefix")
        for request, name in enumerate(["joe", "sue"], 1):
            caller.says(call(request, f"com.of.{name}"))
            assert len(callee.hears()) == (name == authid)

    def test_of_an_exact_registration_is_asked_as_before(self, bench: Bench) -> None:
        usurper, owner, caller = bench.join(role="limited"), bench.join(), bench.join()
        usurper.register("com.ok.", match="prefix")
        owner.register(SECRET)
        caller.says(call(1, SECRET))
        assert owner.hears() == [invocation(1, 2)]

    def test_that_is_barred_leaves_the_call_to_the_next_best_pattern(self, bench: Bench) -> None:
        usurper, owner, caller = bench.join(role="limited"), bench.join(), bench.join()
        usurper.register("com.ok.sec", match="prefix")
        usurper.register("com.ok.", match="prefix")
        owner.register("com..secret", match="wildcard")
        caller.says(call(1, SECRET))
        assert usurper.hears() == []
        assert owner.hears() == [invocation(1, 3, procedure=SECRET)]

    def test_that_is_barred_is_not_waited_for(self) -> None:
        bench = Bench(ROLES, store=StoreOptions(call_queue=[CallQueueOptions(uri="com.ok.", match="prefix")]))
        (callee,), caller = join(bench, ["limited"], concurrency=1), bench.join()
        caller.says(call(1, OPEN))
        assert caller.says(call(2, SECRET)) == [no_such_procedure(2)]
        callee.says(yield_(1))
        assert caller.hears() == [result(1)]

    def test_of_a_call_in_pieces_is_barred_from_all_of_them(self, bench: Bench) -> None:
        (callee,) = join(bench, ["limited"])
        caller = bench.join(features={"caller": [PROGRESSIVE_INVOCATIONS]})
        heard = caller.says(call(1, SECRET, progress=True), call(1, SECRET, progress=True), call(1, SECRET))
        assert heard == [no_such_procedure(1)]
        assert callee.hears() == []

    def test_leaves_nothing_behind(self, bench: Bench) -> None:
        (callee,), caller = join(bench, ["limited"]), bench.join()
        caller.says(call(1, SECRET))
        for pair in (callee, caller):
            pair.session.lost()
        bench.assert_nothing_left()


class TestSharedRegistration:
    @pytest.mark.parametrize(
        ("policy", "order"),
        [("roundrobin", [1, 3, 1, 3]), ("first", [1, 1, 1, 1]), ("last", [3, 3, 3, 3])],
    )
    def test_passes_over_who_may_not(self, bench: Bench, policy: str, order: list[int]) -> None:
        callees, caller = join(bench, ["limited", "anonymous", "limited", "anonymous"], policy), bench.join()
        for request in range(1, 5):
            assert caller.says(call(request, SECRET)) == []
        counts = sorted(order)
        assert asked(callees) == counts

    def test_at_random_passes_over_who_may_not(self, bench: Bench) -> None:
        callees, caller = join(bench, ["limited", "anonymous"] * 3, "random"), bench.join()
        for request in range(1, 61):
            assert caller.says(call(request, SECRET)) == []
        found = asked(callees)
        assert len(found) == 60
        assert set(found) == {1, 3, 5}

    @pytest.mark.parametrize("policy", ["roundrobin", "random", "first", "last"])
    def test_of_whom_none_may_is_not_there(self, bench: Bench, policy: str) -> None:
        callees, caller = join(bench, ["limited"] * 3, policy), bench.join()
        assert caller.says(call(1, SECRET)) == [no_such_procedure(1)]
        assert asked(callees) == []

    def test_is_paid_for_by_those_who_are_passed_over(self, bench: Bench) -> None:
        callees, caller = join(bench, ["limited"] * 50, "first"), bench.join()
        bench.work.spent = [0]
        caller.says(call(1, OPEN))
        of_a_call = sum(bench.work.spent)
        assert asked(callees) == [0]
        caller.says(call(2, SECRET))
        assert sum(bench.work.spent) - of_a_call >= of_a_call + 50

    @pytest.mark.parametrize("policy", ["roundrobin", "random", "first", "last"])
    def test_is_rerouted_only_to_who_may(self, bench: Bench, policy: str) -> None:
        callees, caller = join(bench, ["limited", "anonymous", "limited"], policy), bench.join()
        caller.says(call(1, SECRET))
        assert asked(callees) == [1]
        callees[1].says(unavailable(1))
        assert asked(callees) == []
        assert errors(caller.hears()) == [(1, "wamp.error.no_available_callee")]

    @pytest.mark.parametrize("policy", ["roundrobin", "random", "first", "last"])
    def test_is_busy_when_those_who_may_are(self, bench: Bench, policy: str) -> None:
        callees = join(bench, ["limited", "anonymous", "limited"], policy, concurrency=1)
        caller = bench.join()
        caller.says(call(1, SECRET))
        assert errors(caller.says(call(2, SECRET))) == [(2, MAX_CONCURRENCY_REACHED)]
        assert asked(callees) == [1]


class TestQueue:
    @pytest.fixture
    def bench(self) -> Bench:
        return Bench(ROLES, store=StoreOptions(call_queue=[CallQueueOptions(uri="com.ok.", match="prefix")]))

    def test_gives_a_call_only_to_who_may_have_it(self, bench: Bench) -> None:
        callees = join(bench, ["limited", "anonymous"], "roundrobin", concurrency=1)
        caller = bench.join()
        caller.says(call(1, OPEN), call(2, OPEN), call(3, SECRET), call(4, OPEN))
        assert asked(callees) == [0, 1]
        # The first of those that wait is not for this one, the second is.
        callees[0].session.receive(yield_(1))
        assert callees[0].hears() == [invocation(2, 1, procedure=OPEN)]
        callees[1].session.receive(yield_(1))
        assert callees[1].hears() == [invocation(2, 1, procedure=SECRET)]

    def test_gives_nothing_to_a_newcomer_that_may_not(self, bench: Bench) -> None:
        callees, caller = join(bench, ["anonymous"], "roundrobin", concurrency=1), bench.join()
        caller.says(call(1, SECRET), call(2, SECRET))
        callees += join(bench, ["limited"], "roundrobin", concurrency=1)
        assert asked(callees) == [0]

    def test_is_not_looked_through_for_callees_that_were_free_before(self, bench: Bench) -> None:
        callees = join(bench, [*["limited"] * 50, "anonymous"], "roundrobin", concurrency=1)
        caller = bench.join()
        caller.says(*(call(request, SECRET) for request in range(1, 52)))
        assert asked(callees) == [50]
        bench.work.spent = [0]
        callees[50].session.receive(yield_(1))
        assert asked(callees) == [50]
        assert sum(bench.work.spent) < 100

    def test_of_those_who_wait_for_somebody_who_has_gone_is_let_down_in_steps(self, bench: Bench) -> None:
        callees = join(bench, ["limited", "anonymous"], "roundrobin", concurrency=1)
        caller, other = bench.join(), bench.join()
        requests = range(1, 12)
        caller.says(*(call(request, SECRET) for request in requests))
        other.says(call(1, OPEN), call(2, OPEN))
        assert asked(callees) == [0, 1]
        bench.work.budget = 1
        callees[1].session.lost()
        # Meanwhile one is given up, and the callee that is left is free for the one that it may have.
        caller.session.lost()
        callees[0].session.receive(yield_(1))
        bench.work.finish()
        assert asked(callees) == [0]
        assert other.hears() == [result(1)]

    def test_ends_when_the_last_one_that_may_has_gone(self, bench: Bench) -> None:
        callees = join(bench, ["limited", "anonymous"], "roundrobin", concurrency=1)
        caller = bench.join()
        caller.says(call(1, SECRET), call(2, SECRET))
        callees[1].session.lost()
        assert sorted(errors(caller.hears())) == [
            (1, "wamp.error.canceled"),
            (2, "wamp.error.no_available_callee"),
        ]
        assert asked(callees[:1]) == []


@pytest.mark.parametrize(("procedure", "expected"), [(OPEN, 1), (SECRET, 2), ("com.none", None)])
def test_match_finds_what_a_call_would_reach(bench: Bench, procedure: str, expected: int | None) -> None:
    join(bench, ["limited"])
    bench.join().register("com.ok", match="prefix")
    (answer,) = bench.join().says(call(1, "wamp.registration.match", PlainPayload([procedure])))
    assert isinstance(answer, Result)
    assert answer.payload.decoded()[0] == [expected]


class TestTakingOver:
    """`force_reregister` of a pattern takes away procedures the newcomer may have no right to."""

    @pytest.mark.parametrize(("pattern", "match"), [("com.ok.", "prefix"), ("com..secret", "wildcard")])
    @pytest.mark.parametrize(
        ("owner", "newcomer", "allowed"),
        [("limited", "limited", True), ("anonymous", "limited", False), ("limited", "anonymous", False)],
    )
    def test_a_pattern_needs_the_role_of_its_callees(
        self, bench: Bench, pattern: str, match: str, owner: str, newcomer: str, *, allowed: bool
    ) -> None:
        old, new = bench.join(role=owner), bench.join(role=newcomer)
        old.register(pattern, match=match)
        (answer,) = new.says(register(1, pattern, match=match, force_reregister=True))
        if allowed:
            assert answer == Registered(1, 2)
        else:
            assert isinstance(answer, Error)
            assert answer.error == "wamp.error.not_authorized"
            (registration,) = bench.realm.dealer.procedures.registrations.values()
            assert [callee.session for callee in registration.callees] == [old.session]

    @pytest.mark.parametrize(("newcomer", "allowed"), [("joe", True), ("sue", False)])
    def test_a_pattern_needs_the_authid_where_rules_depend_on_it(
        self, bench: Bench, newcomer: str, *, allowed: bool
    ) -> None:
        bench.join_as("joe", "own").register("com.", match="prefix")
        (answer,) = bench.join_as(newcomer, "own").says(
            register(1, "com.", match="prefix", force_reregister=True)
        )
        assert isinstance(answer, Registered if allowed else Error)

    def test_a_procedure_needs_the_permission_only(self, bench: Bench) -> None:
        bench.join().register(OPEN)
        assert bench.join(role="limited").register(OPEN, force_reregister=True) == 2


AUTHORIZER = "com.example.authorize"
ASKING = RoleOptions(
    name="asking",
    authorizer=AUTHORIZER,
    authorizer_timeout_s=3.0,
    permissions=[PermissionRule(uri="com.ok.", match="prefix", allow=EVERYTHING)],
)


class Room:
    """Callees of the prefix `com.ok.` whose rights are decided by another session."""

    def __init__(self, callees: int = 1, policy: str = "roundrobin", **options: object) -> None:
        queue = StoreOptions(call_queue=[CallQueueOptions(uri="com.ok.", match="prefix")])
        self.bench = Bench([*ROLES, ASKING], store=queue)
        self.authorizer, self.caller = self.bench.join(), self.bench.join()
        self.authorizer.register(AUTHORIZER)
        self.asked_last: list[Invocation] = []
        self.callees: list[SessionPair] = []
        for number in range(callees):
            callee = self.bench.join_as(f"callee{number}", "asking")
            callee.session.receive(register(1, "com.ok.", match="prefix", invoke=policy, **options))
            assert self.asked() == [(f"callee{number}", "com.ok.", "prefix")]
            self.answer(True)
            (registered,) = callee.hears()
            assert isinstance(registered, Registered)
            self.callees.append(callee)

    def asked(self) -> list[tuple[str, str, str]]:
        """Return what the authorizer was asked since the last time: whose right to register what."""
        self.asked_last = [message for message in self.authorizer.hears() if isinstance(message, Invocation)]
        found = []
        for message in self.asked_last:
            details, uri, action, options = message.payload.decoded()[0]
            assert action == "register"
            found.append((details["authid"], uri, options["match"]))
        return found

    def answer(self, answer: object) -> None:
        (question,) = self.asked_last
        self.authorizer.session.receive(yield_(question.request, PlainPayload([answer])))


class TestAskedOfAnAuthorizer:
    @pytest.mark.parametrize("allowed", [True, False])
    def test_the_call_waits_for_the_decision_about_the_callee(self, *, allowed: bool) -> None:
        room = Room()
        assert room.caller.says(call(1, SECRET)) == []
        assert room.caller.peer.is_held
        assert asked(room.callees) == []
        assert room.asked() == [("callee0", SECRET, "exact")]
        room.answer(allowed)
        assert not room.caller.peer.is_held
        assert asked(room.callees) == ([0] if allowed else [])
        assert room.caller.hears() == ([] if allowed else [no_such_procedure(1)])
        assert room.bench.router.counters.calls == 3  # two questions of the router's, and this one

    def test_the_callers_own_right_is_another_question(self) -> None:
        room = Room()
        caller = room.bench.join_as("caller", "asking")
        caller.session.receive(call(1, SECRET))
        (question,) = (message for message in room.authorizer.hears() if isinstance(message, Invocation))
        assert question.payload.decoded()[0][1:] == [SECRET, "call", {}]
        room.authorizer.session.receive(yield_(question.request, PlainPayload([True])))
        assert asked(room.callees) == []
        assert room.asked() == [("callee0", SECRET, "exact")]
        room.answer(False)
        assert caller.hears() == [no_such_procedure(1)]

    def test_each_callee_is_another_question(self) -> None:
        room = Room(callees=2, policy="first")
        room.caller.says(call(1, SECRET))
        assert room.asked() == [("callee0", SECRET, "exact")]
        room.answer(False)
        assert room.asked() == [("callee1", SECRET, "exact")]
        room.answer(True)
        assert asked(room.callees) == [1]

    def test_nothing_is_asked_again_where_the_answer_may_be_kept(self) -> None:
        room = Room()
        room.caller.says(call(1, SECRET))
        room.asked()
        room.answer({"allow": True, "cache": True})
        room.caller.says(call(2, SECRET))
        assert room.asked() == []
        assert asked(room.callees) == [0, 0]

    @pytest.mark.parametrize("policy", ["roundrobin", "random", "first", "last"])
    def test_one_yes_is_enough(self, policy: str) -> None:
        room = Room(callees=4, policy=policy)
        for request in range(1, 9):
            room.caller.says(call(request, SECRET))
            ((authid, _, _),) = room.asked()
            room.answer(True)
            assert [f"callee{position}" for position in asked(room.callees)] == [authid]

    def test_no_answer_in_time_is_a_no(self) -> None:
        room = Room()
        room.caller.says(call(1, SECRET))
        room.bench.clock.advance(3.1)
        assert room.caller.hears() == [no_such_procedure(1)]
        assert asked(room.callees) == []

    def test_a_callee_that_leaves_meanwhile_is_not_asked(self) -> None:
        room = Room()
        room.caller.says(call(1, SECRET))
        room.asked()
        room.callees[0].session.lost()
        room.answer(True)
        assert room.caller.hears() == [no_such_procedure(1)]

    def test_a_call_waits_for_so_many_decisions(self) -> None:
        room = Room(callees=QUESTIONS_A_CALL + 2)
        room.caller.says(call(1, SECRET))
        for number in range(QUESTIONS_A_CALL):
            assert room.asked() == [(f"callee{number}", SECRET, "exact")]
            assert room.caller.hears() == []
            room.answer(False)
        assert room.asked() == []
        assert room.caller.hears() == [no_such_procedure(1)]

    def test_an_authorizer_that_is_away_denies_all_of_very_many_callees(self) -> None:
        room = Room(callees=200)
        room.authorizer.session.lost()
        assert room.caller.says(call(1, SECRET)) == [no_such_procedure(1)]

    def test_the_authorizers_own_calls_do_not_wait_for_itself(self) -> None:
        room = Room()
        room.authorizer.session.receive(call(1, SECRET))
        assert room.asked() == []
        assert asked(room.callees) == [0]

    def test_rerouting_asks_nothing_more(self) -> None:
        room = Room(callees=0)
        for _ in range(2):
            callee = room.bench.connect(role="asking").join(features={"callee": [REROUTE]})
            callee.session.receive(register(1, "com.ok.", match="prefix", invoke="first"))
            room.asked()
            room.answer(True)
            callee.hears()
            room.callees.append(callee)
        room.caller.says(call(1, SECRET))
        room.asked()
        room.answer(True)
        assert asked(room.callees) == [0]
        room.callees[0].says(unavailable(1))
        assert room.asked() == []
        assert asked(room.callees) == []
        assert errors(room.caller.hears()) == [(1, "wamp.error.no_available_callee")]

    def test_a_call_that_waits_for_a_busy_callee_takes_the_decision_along(self) -> None:
        room = Room(concurrency=1)
        for request in (1, 2):
            room.caller.says(call(request, SECRET))
            assert room.asked() == [("callee0", SECRET, "exact")]
            room.answer(True)
        assert asked(room.callees) == [0]
        room.callees[0].session.receive(yield_(1))
        assert room.caller.hears() == [result(1)]
        assert room.asked() == []
        assert asked(room.callees) == [0]
