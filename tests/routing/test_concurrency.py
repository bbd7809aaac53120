"""How much a callee takes at a time, and the queue before it: Crossbar.io's `concurrency` and `call-queue`."""

import pytest

from heliograph.routing.options import CallQueueOptions, StoreOptions
from heliograph.wamp.messages import Invocation, Registered, Unregister, Unregistered
from heliograph.wamp.payload import EncodedPayload
from heliograph.wire.serializers import serializer
from tests.support.calling import (
    CANCELING,
    PASSTHRU,
    PROCEDURE,
    REROUTE,
    call_error,
    cancel,
    errors,
    failure,
    interrupt,
    invocation,
    result,
    text,
    unavailable,
    yield_,
)
from tests.support.recording import Bench, SessionPair, call, register

REACHED = "crossbar.error.max_concurrency_reached"


def queued(limit: int = 100, **options: object) -> Bench:
    return Bench(
        store=StoreOptions(call_queue=[CallQueueOptions(**{"uri": PROCEDURE, "limit": limit, **options})])
    )


def join_callee(bench: Bench, concurrency: int | None = 1, **options: object) -> SessionPair:
    callee = bench.join(features={"callee": [CANCELING]})
    callee.register(PROCEDURE, concurrency=concurrency, **options)
    return callee


class TestWithoutQueue:
    def test_a_call_too_many_is_refused_until_one_is_answered(self, bench: Bench) -> None:
        callee, caller = join_callee(bench, 2), bench.join()
        assert caller.says(call(1, PROCEDURE), call(2, PROCEDURE), call(3, PROCEDURE)) == [
            call_error(3, REACHED, f"all callees of {PROCEDURE!r} work as much as they may")
        ]
        assert callee.says(yield_(1)) == [invocation(1, 1), invocation(2, 1)]
        assert caller.says(call(4, PROCEDURE)) == [result(1)]
        assert callee.hears() == [invocation(3, 1)]

    def test_the_limit_counts_for_each_registration(self, bench: Bench) -> None:
        callee, caller = join_callee(bench), bench.join()
        callee.register("com.example.q", concurrency=1)
        assert caller.says(call(1, PROCEDURE), call(2, "com.example.q")) == []

    @pytest.mark.parametrize(
        "end", ["RESULT", "ERROR", "CANCEL", "skip", "timeout", "caller leaves", "progress"]
    )
    def test_every_end_of_a_call_frees_its_callee(self, bench: Bench, end: str) -> None:
        callee, caller, other = join_callee(bench), bench.join(), bench.join()
        caller.says(call(1, PROCEDURE, timeout=1000))
        if end == "RESULT":
            callee.says(yield_(1))
        elif end == "ERROR":
            callee.says(failure(1))
        elif end in ("CANCEL", "skip"):
            caller.says(cancel(1, "skip" if end == "skip" else None))
        elif end == "timeout":
            bench.clock.advance(1)
        elif end == "caller leaves":
            caller.session.lost()
        else:
            callee.says(yield_(1, progress=True))
        answered = other.says(call(1, PROCEDURE))
        assert (answered == []) == (end != "progress"), answered

    def test_a_call_told_to_stop_still_counts(self, bench: Bench) -> None:
        callee, caller = join_callee(bench), bench.join()
        caller.says(call(1, PROCEDURE), cancel(1, "kill"))
        assert errors(caller.says(call(2, PROCEDURE))) == [(2, REACHED)]
        callee.says(failure(1))
        assert errors(caller.says(call(3, PROCEDURE))) == [(1, "com.example.error")]

    def test_a_refused_call_counts_for_nothing(self, bench: Bench) -> None:
        json, msgpack = serializer("json"), serializer("msgpack")
        callee, caller = bench.join(msgpack), bench.join(json)
        callee.register(PROCEDURE, concurrency=1)
        assert errors(caller.says(call(1, PROCEDURE, EncodedPayload(json, b"[1e999]", b"")))) == [
            (1, "wamp.error.invalid_argument")
        ]
        assert caller.says(call(2, PROCEDURE)) == []
        # Nor has it taken an id: those a callee is sent count up by one.
        assert callee.hears() == [invocation(1, 1)]

    @pytest.mark.parametrize("policy", ["roundrobin", "random"])
    def test_load_goes_to_those_that_are_free(self, bench: Bench, policy: str) -> None:
        small, large = (join_callee(bench, count, invoke=policy) for count in (1, 3))
        caller = bench.join()
        assert caller.says(*(call(request, PROCEDURE) for request in range(1, 5))) == []
        assert (len(small.hears()), len(large.hears())) == (1, 3)
        assert errors(caller.says(call(5, PROCEDURE))) == [(5, REACHED)]

    @pytest.mark.parametrize(("policy", "position"), [("first", 0), ("last", 1)])
    def test_a_stand_by_does_not_get_what_the_one_before_it_has_no_time_for(
        self, bench: Bench, policy: str, position: int
    ) -> None:
        """Not the load but the loss of the first makes the second act: that is what they are for."""
        callees, caller = [join_callee(bench, 1, invoke=policy) for _ in range(2)], bench.join()
        assert errors(caller.says(call(1, PROCEDURE), call(2, PROCEDURE))) == [(2, REACHED)]
        assert callees[position].hears() == [invocation(1, 1)]
        assert callees[1 - position].hears() == []


class TestQueue:
    def test_is_served_in_order(self) -> None:
        bench = queued()
        callee, caller, other = join_callee(bench), bench.join(), bench.join()
        caller.says(call(1, PROCEDURE, text("a")), call(2, PROCEDURE, text("b")))
        other.says(call(1, PROCEDURE, text("c")))
        caller.says(call(3, PROCEDURE, text("d")))
        for number in (1, 2, 3, 4):
            callee.says(yield_(number))
        assert [message.payload.decoded()[0] for message in callee.peer.sent[2:]] == [  # type: ignore[attr-defined]
            ["a"],
            ["b"],
            ["c"],
            ["d"],
        ]
        assert caller.hears() == [result(1), result(2), result(3)]
        assert other.hears() == [result(1)]

    def test_holds_no_more_than_its_limit(self) -> None:
        bench = queued(limit=2)
        callee, caller = join_callee(bench), bench.join()
        assert caller.says(*(call(request, PROCEDURE) for request in (1, 2, 3, 4))) == [
            call_error(4, REACHED, f"2 calls of {PROCEDURE!r} wait already")
        ]
        callee.says(yield_(1))
        assert errors(caller.says(call(5, PROCEDURE), call(6, PROCEDURE))[1:]) == [(6, REACHED)]

    @pytest.mark.parametrize(
        ("uri", "match", "waits"),
        [
            ("com.example", "prefix", True),
            ("com..p", "wildcard", True),
            ("com.other", "exact", False),
            (PROCEDURE, "exact", True),
        ],
    )
    def test_is_for_what_the_configuration_names(self, uri: str, match: str, waits: bool) -> None:
        bench = queued(uri=uri, match=match)
        join_callee(bench)
        caller = bench.join()
        assert errors(caller.says(call(1, PROCEDURE), call(2, PROCEDURE))) == (
            [] if waits else [(2, REACHED)]
        )

    def test_is_not_for_callees_without_limit(self) -> None:
        bench = queued(limit=1)
        callee, caller = join_callee(bench, None), bench.join()
        assert caller.says(*(call(request, PROCEDURE) for request in range(1, 20))) == []
        assert len(callee.hears()) == 19

    def test_is_served_by_a_newcomer(self) -> None:
        bench = queued()
        join_callee(bench, 1, invoke="roundrobin")
        caller, newcomer = bench.join(), bench.join()
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE), call(3, PROCEDURE))
        assert newcomer.says(register(1, PROCEDURE, invoke="roundrobin", concurrency=1)) == [
            Registered(1, 1),
            invocation(1, 1),
        ]

    @pytest.mark.parametrize(("policy", "position"), [("first", 0), ("last", 1)])
    def test_is_served_by_the_stand_by_that_takes_over(self, policy: str, position: int) -> None:
        bench = queued()
        callees, caller = [join_callee(bench, 1, invoke=policy) for _ in range(2)], bench.join()
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE), call(3, PROCEDURE))
        callees[position].session.lost()
        assert errors(caller.hears()) == [(1, "wamp.error.canceled")]
        assert callees[1 - position].hears() == [invocation(1, 1)]

    @pytest.mark.parametrize(("policy", "position"), [("first", 0), ("last", 1)])
    def test_is_served_by_the_stand_by_of_a_callee_that_unregisters(self, policy: str, position: int) -> None:
        bench = queued()
        callees, caller = [join_callee(bench, 1, invoke=policy) for _ in range(2)], bench.join()
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE), call(3, PROCEDURE))
        callees[position].says(Unregister(9, 1))
        assert callees[1 - position].hears() == [invocation(1, 1)]
        callees[position].says(yield_(1))
        assert caller.hears() == [result(1)]

    def test_is_served_by_the_others_when_a_callee_leaves(self) -> None:
        bench = queued()
        first, second = (join_callee(bench, 1, invoke="roundrobin") for _ in range(2))
        caller = bench.join()
        caller.says(*(call(request, PROCEDURE) for request in (1, 2, 3)))
        first.session.lost()
        assert errors(caller.hears()) == [(1, "wamp.error.canceled")]
        assert second.says(yield_(1)) == [invocation(1, 1), invocation(2, 1)]

    @pytest.mark.parametrize("how", ["leaves", "unregisters", "is revoked"])
    def test_ends_with_the_last_callee(self, how: str) -> None:
        bench = queued()
        callee, caller = join_callee(bench), bench.join()
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE, timeout=1000), call(3, PROCEDURE))
        if how == "leaves":
            callee.session.lost()
        elif how == "unregisters":
            assert callee.says(Unregister(9, 1))[1:] == [Unregistered(9)]
        else:
            bench.realm.dealer.procedures.revoke(
                bench.realm.dealer.procedures.registrations[1], callee.session, None
            )
        heard = errors(caller.hears())
        assert heard[:2] == [
            (2, "wamp.error.no_available_callee"),
            (3, "wamp.error.no_available_callee"),
        ]
        assert heard[2:] == ([(1, "wamp.error.canceled")] if how == "leaves" else [])
        assert bench.clock.pending == []
        if how != "leaves":
            callee.says(yield_(1))
            assert caller.hears() == [result(1)]
            callee.session.lost()
        caller.session.lost()
        bench.assert_nothing_left()

    def test_is_let_down_in_turns(self) -> None:
        bench = queued(limit=100)
        callee, caller = join_callee(bench), bench.join()
        caller.says(*(call(request, PROCEDURE) for request in range(1, 102)))
        bench.work.budget = 1
        callee.says(Unregister(9, 1))
        assert 0 < len(errors(caller.hears())) < 100
        bench.work.finish()
        callee.session.lost()
        bench.work.finish()
        caller.session.lost()
        bench.work.finish()
        bench.assert_nothing_left()

    def test_costs_what_is_looked_at_for_who_declined_it(self) -> None:
        bench = queued()
        declining, busy = (
            bench.join(features={"callee": [REROUTE]}),
            join_callee(bench, 1, invoke="roundrobin"),
        )
        declining.register(PROCEDURE, invoke="roundrobin")
        caller = bench.join()
        caller.says(*(call(request, PROCEDURE) for request in range(1, 52)))
        *declined, last = [
            message.request for message in declining.hears() if isinstance(message, Invocation)
        ]
        assert len(busy.hears()) == 1
        declining.says(*map(unavailable, declined))
        before = sum(bench.work.spent)
        declining.says(yield_(last))
        assert sum(bench.work.spent) - before >= len(declined)

    def test_lets_go_of_a_caller_that_leaves(self) -> None:
        bench = queued()
        callee, caller, other = join_callee(bench), bench.join(), bench.join()
        other.says(call(1, PROCEDURE))
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE))
        other.says(call(2, PROCEDURE))
        caller.session.lost()
        assert callee.says(yield_(1)) == [invocation(1, 1), invocation(2, 1)]
        callee.says(yield_(2))
        assert other.hears() == [result(1), result(2)]

    def test_gives_no_call_of_a_caller_that_leaves_to_the_callee_it_frees(self) -> None:
        bench = queued()
        callee, caller = join_callee(bench), bench.join()
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE), call(3, PROCEDURE))
        caller.session.lost()
        assert callee.hears() == [invocation(1, 1), interrupt(1, "killnowait")]
        callee.session.lost()
        bench.assert_nothing_left()

    @pytest.mark.parametrize("mode", ["skip", "kill", "killnowait", None])
    def test_lets_go_of_a_canceled_call(self, mode: str | None) -> None:
        bench = queued()
        callee, caller = join_callee(bench), bench.join()
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE), call(3, PROCEDURE))
        assert errors(caller.says(cancel(2, mode))) == [(2, "wamp.error.canceled")]
        assert callee.says(yield_(1)) == [invocation(1, 1), invocation(2, 1)]
        callee.says(yield_(2))
        assert caller.hears() == [result(1), result(3)]

    def test_goes_on_behind_a_call_that_turns_out_not_to_be_possible(self) -> None:
        bench = queued()
        json = serializer("json")
        callee = bench.join(serializer("msgpack"))
        callee.register(PROCEDURE, concurrency=1)
        caller = bench.join(json, features={"caller": [PASSTHRU]})
        caller.says(
            call(1, PROCEDURE),
            call(2, PROCEDURE, EncodedPayload(json, b"[1e999]", b"")),
            call(3, PROCEDURE, ppt_scheme="x_own"),
            call(4, PROCEDURE),
        )
        assert callee.says(yield_(1)) == [invocation(1, 1), invocation(2, 1)]
        heard = caller.hears()
        heard.remove(result(1))
        assert errors(heard) == [
            (2, "wamp.error.invalid_argument"),
            (3, "wamp.error.feature_not_supported"),
        ]

    def test_serves_a_callee_that_calls_itself(self) -> None:
        bench = queued()
        callee = join_callee(bench)
        assert callee.says(call(1, PROCEDURE), call(2, PROCEDURE)) == [invocation(1, 1)]
        assert sorted(map(repr, callee.says(yield_(1)))) == sorted(map(repr, [result(1), invocation(2, 1)]))
        callee.session.lost()
        bench.assert_nothing_left()

    def test_tells_the_callee_what_was_said_with_the_call(self) -> None:
        bench = queued()
        callee, caller = join_callee(bench, disclose_caller=True), bench.join()
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE, text("kept")))
        identity = {
            "caller": caller.id,
            "caller_authid": caller.session.principal.authid,
            "caller_authrole": "anonymous",
        }
        assert callee.says(yield_(1))[1:] == [invocation(2, 1, text("kept"), **identity)]
