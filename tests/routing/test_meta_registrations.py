"""What the router tells about registrations (specification, "Registration Meta API")."""

from typing import Any

import pytest

from heliograph.routing.options import AllowedActions, PermissionRule, RoleOptions
from heliograph.wamp.messages import (
    CloseDetails,
    Error,
    Event,
    Goodbye,
    Result,
    Unregister,
    Unregistered,
    UnregisteredDetails,
)
from heliograph.wamp.payload import PlainPayload
from tests.support.calling import (
    PROCEDURE,
    REVOCATION,
    failure,
    invocation,
    result,
    text,
    yield_,
)
from tests.support.recording import EVERYTHING, Bench, SessionPair, call, register, subscribe

CREATED = "2023-11-14T22:13:20.000Z"
"""Where the bench's clock stands."""

DETAILS = {"id": 1, "created": CREATED, "uri": PROCEDURE, "match": "exact", "invoke": "single"}
ADMINISTRATOR = RoleOptions(
    name="administrator",
    permissions=[
        PermissionRule(uri="", match="prefix", allow=EVERYTHING),
        PermissionRule(uri="wamp.", match="prefix", allow=EVERYTHING),
    ],
)
OPEN = RoleOptions(name="anonymous", permissions=[PermissionRule(uri="", match="prefix", allow=EVERYTHING)])


@pytest.fixture
def bench() -> Bench:
    return Bench([OPEN, ADMINISTRATOR])


@pytest.fixture
def asker(bench: Bench) -> SessionPair:
    return bench.join(role="administrator")


def ask(pair: SessionPair, procedure: str, *args: Any, **kwargs: Any) -> Any:
    """Call `wamp.registration.…` and return its only result, or the URI of its error."""
    answer = pair.says(call(1, f"wamp.registration.{procedure}", PlainPayload(args, kwargs)))[-1]
    if isinstance(answer, Error):
        return answer.error
    assert isinstance(answer, Result)
    values, named = answer.payload.decoded()
    assert not named
    return values[0] if values else None


class TestProcedures:
    def test_list_tells_ids_by_kind(self, bench: Bench, asker: SessionPair) -> None:
        assert ask(asker, "list") == {"exact": [], "prefix": [], "wildcard": []}
        callee = bench.join()
        ids = {match: callee.register(PROCEDURE, match=match) for match in ("exact", "prefix", "wildcard")}
        another = callee.register("com.example.q")
        assert ask(asker, "list") == {
            "exact": [ids["exact"], another],
            "prefix": [ids["prefix"]],
            "wildcard": [ids["wildcard"]],
        }

    def test_lookup_finds_what_was_registered_under_exactly_this_pattern(
        self, bench: Bench, asker: SessionPair
    ) -> None:
        callee = bench.join()
        exact, prefix = callee.register(PROCEDURE), callee.register(PROCEDURE, match="prefix")
        assert ask(asker, "lookup", PROCEDURE) == exact
        assert ask(asker, "lookup", PROCEDURE, {}) == exact
        # "Same options as when registering a procedure": others than `match` make no difference.
        assert ask(asker, "lookup", PROCEDURE, {"match": "prefix", "invoke": "random"}) == prefix
        assert ask(asker, "lookup", PROCEDURE, {"match": "wildcard"}) is None
        assert ask(asker, "lookup", f"{PROCEDURE}.x") is None

    def test_match_finds_what_a_call_would_reach(self, bench: Bench, asker: SessionPair) -> None:
        callee = bench.join()
        exact, prefix = callee.register(PROCEDURE), callee.register("com.", match="prefix")
        assert ask(asker, "match", PROCEDURE) == exact
        assert ask(asker, "match", "com.other") == prefix
        assert ask(asker, "match", "org.other") is None

    def test_get_tells_all_of_a_registration(self, bench: Bench, asker: SessionPair) -> None:
        callee = bench.join()
        callee.register(PROCEDURE)
        assert ask(asker, "get", 1) == DETAILS
        shared = callee.register("com..q", match="wildcard", invoke="roundrobin")
        assert ask(asker, "get", shared) == {
            "id": shared,
            "created": CREATED,
            "uri": "com..q",
            "match": "wildcard",
            "invoke": "roundrobin",
        }

    def test_callees_are_listed_and_counted(self, bench: Bench, asker: SessionPair) -> None:
        callees = [bench.join() for _ in range(3)]
        for callee in callees:
            callee.register(PROCEDURE, invoke="last")
        assert ask(asker, "list_callees", 1) == [callee.id for callee in callees]
        assert ask(asker, "count_callees", 1) == 3
        callees[1].session.lost()
        assert ask(asker, "list_callees", 1) == [callees[0].id, callees[2].id]
        assert ask(asker, "count_callees", 1) == 2

    @pytest.mark.parametrize("procedure", ["get", "list_callees", "count_callees", "remove_callee"])
    def test_of_an_unknown_registration_say_so(
        self, bench: Bench, asker: SessionPair, procedure: str
    ) -> None:
        arguments = [99, asker.id] if procedure == "remove_callee" else [99]
        assert ask(asker, procedure, *arguments) == "wamp.error.no_such_registration"

    @pytest.mark.parametrize(
        ("procedure", "args", "kwargs"),
        [
            ("get", [], {}),
            ("get", ["1"], {}),
            ("get", [1.5], {}),
            ("get", [None], {}),
            ("get", [1, 2], {}),
            ("get", [1], {"more": 1}),
            ("list", [1], {}),
            ("lookup", [5], {}),
            ("lookup", [PROCEDURE, "prefix"], {}),
            ("lookup", [PROCEDURE, {"match": "regexp"}], {}),
            ("match", [], {}),
            ("count_callees", [[1]], {}),
            ("remove_callee", [1], {}),
            ("remove_callee", [1, "x"], {}),
            ("remove_callee", [1, 2], {"reason": 5}),
        ],
    )
    def test_with_bad_arguments_say_so(
        self, bench: Bench, asker: SessionPair, procedure: str, args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        bench.join().register(PROCEDURE)
        assert ask(asker, procedure, *args, **kwargs) == "wamp.error.invalid_argument"

    def test_need_the_permission_to_be_called(self) -> None:
        rules = [PermissionRule(uri="com.", match="prefix", allow=EVERYTHING)]
        pair = Bench([RoleOptions(name="anonymous", permissions=rules)]).join()
        assert ask(pair, "list") == "wamp.error.not_authorized"


class TestRemovingACallee:
    def test_revokes_its_registration(self, bench: Bench, asker: SessionPair) -> None:
        told, untold = bench.join(features={"callee": [REVOCATION]}), bench.join()
        for callee in (told, untold):
            callee.register(PROCEDURE, invoke="first")
        assert ask(asker, "remove_callee", 1, told.id, reason="com.example.moved") is None
        assert told.hears() == [
            Unregistered(0, UnregisteredDetails(registration=1, reason="com.example.moved"))
        ]
        assert ask(asker, "list_callees", 1) == [untold.id]
        ask(asker, "remove_callee", 1, untold.id)
        assert untold.hears() == []
        assert ask(asker, "list") == {"exact": [], "prefix": [], "wildcard": []}

    def test_leaves_its_calls_to_it(self, bench: Bench, asker: SessionPair) -> None:
        callee, caller = bench.join(), bench.join()
        callee.register(PROCEDURE)
        caller.says(call(1, PROCEDURE))
        ask(asker, "remove_callee", 1, callee.id)
        assert callee.says(yield_(1)) == [invocation(1, 1)]
        assert caller.hears() == [result(1)]

    @pytest.mark.parametrize("who", ["nobody", "a bystander"])
    def test_that_is_none_is_refused(self, bench: Bench, asker: SessionPair, who: str) -> None:
        bench.join().register(PROCEDURE)
        session = 1 if who == "nobody" else bench.join().id
        assert ask(asker, "remove_callee", 1, session) == "wamp.error.no_such_registration"
        assert ask(asker, "count_callees", 1) == 1

    def test_needs_a_permission_that_names_it(self, bench: Bench) -> None:
        callee = bench.join()
        callee.register(PROCEDURE)
        assert ask(bench.join(), "remove_callee", 1, callee.id) == "wamp.error.not_authorized"
        caller = bench.join()
        caller.says(call(1, PROCEDURE))
        assert callee.hears() == [invocation(1, 1)]


class TestEvents:
    """Each with the session it is about."""

    @pytest.fixture
    def listener(self, bench: Bench) -> SessionPair:
        pair = bench.join(role="administrator")
        self.names = {
            pair.subscribe(f"wamp.registration.{name}"): name
            for name in ("on_create", "on_register", "on_unregister", "on_delete")
        }
        return pair

    def told(self, listener: SessionPair) -> list[tuple[Any, ...]]:
        events = listener.hears()
        assert all(isinstance(event, Event) for event in events)
        return [
            (self.names[event.subscription], *event.payload.decoded()[0])
            for event in events
            if isinstance(event, Event)
        ]

    def test_create_comes_before_register(self, bench: Bench, listener: SessionPair) -> None:
        callee = bench.join()
        callee.register(PROCEDURE)
        assert self.told(listener) == [
            ("on_create", callee.id, DETAILS),
            ("on_register", callee.id, 1),
        ]

    def test_unregister_comes_before_delete(self, bench: Bench, listener: SessionPair) -> None:
        callee = bench.join()
        callee.register(PROCEDURE)
        self.told(listener)
        callee.says(Unregister(2, 1))
        assert self.told(listener) == [("on_unregister", callee.id, 1), ("on_delete", callee.id, 1)]

    def test_of_shared_registrations_tell_of_each_callee(self, bench: Bench, listener: SessionPair) -> None:
        first, second = bench.join(), bench.join()
        for callee in (first, second):
            callee.register(PROCEDURE, invoke="roundrobin")
        assert self.told(listener) == [
            ("on_create", first.id, {**DETAILS, "invoke": "roundrobin"}),
            ("on_register", first.id, 1),
            ("on_register", second.id, 1),
        ]
        first.session.lost()
        assert self.told(listener) == [("on_unregister", first.id, 1)]
        second.session.lost()
        assert self.told(listener) == [("on_unregister", second.id, 1), ("on_delete", second.id, 1)]

    @pytest.mark.parametrize("how", ["crash", "goodbye", "violation", "killed", "revoked"])
    def test_tell_however_a_callee_goes(self, bench: Bench, listener: SessionPair, how: str) -> None:
        callee = bench.join()
        callee.register(PROCEDURE)
        self.told(listener)
        if how == "crash":
            callee.session.lost()
        elif how == "goodbye":
            callee.says(Goodbye(CloseDetails(), "wamp.close.normal"))
        elif how == "violation":
            callee.says(failure(99))
        elif how == "killed":
            callee.session.end("wamp.close.killed", None)
        else:
            ask(bench.join(role="administrator"), "remove_callee", 1, callee.id)
        assert self.told(listener) == [("on_unregister", callee.id, 1), ("on_delete", callee.id, 1)]

    def test_of_a_takeover_come_in_its_order(self, bench: Bench, listener: SessionPair) -> None:
        old, new = bench.join(), bench.join()
        old.register(PROCEDURE)
        self.told(listener)
        new.register(PROCEDURE, force_reregister=True)
        assert self.told(listener) == [
            ("on_unregister", old.id, 1),
            ("on_delete", old.id, 1),
            ("on_create", new.id, {**DETAILS, "id": 2}),
            ("on_register", new.id, 2),
        ]

    def test_are_not_told_of_refused_requests(self, bench: Bench, listener: SessionPair) -> None:
        bench.join().register(PROCEDURE)
        self.told(listener)
        other = bench.join()
        other.says(register(1, PROCEDURE), register(2, "com..x"), Unregister(3, 1))
        assert self.told(listener) == []

    def test_of_itself_a_listener_hears_after_the_answer(self, bench: Bench, listener: SessionPair) -> None:
        heard = listener.says(register(5, PROCEDURE))
        assert [type(message).__name__ for message in heard] == ["Registered", "Event", "Event"]
        heard = listener.says(Unregister(6, 1))
        assert [type(message).__name__ for message in heard] == ["Unregistered", "Event", "Event"]

    def test_need_the_permission_to_be_heard(self) -> None:
        rules = [
            PermissionRule(uri="wamp.", match="prefix", allow=AllowedActions(call=True)),
        ]
        pair = Bench([RoleOptions(name="anonymous", permissions=rules)]).join()
        (answer,) = pair.says(subscribe(1, "wamp.registration.on_create"))
        assert isinstance(answer, Error)
        assert answer.error == "wamp.error.not_authorized"


def test_a_result_names_what_it_tells(bench: Bench, asker: SessionPair) -> None:
    bench.join().register(PROCEDURE)
    assert asker.says(call(7, "wamp.registration.match", text(PROCEDURE))) == [result(7, text(1))]
