"""Remote procedure calls as tables of messages in, messages out."""

import pytest

from heliograph.routing import dealer
from heliograph.routing.options import AllowedActions, PermissionRule, RoleOptions
from heliograph.wamp.messages import (
    Error,
    Invocation,
    InvocationDetails,
    Registered,
    Result,
    ResultDetails,
    Unregister,
    Unregistered,
    Yield,
)
from heliograph.wamp.payload import EncodedPayload, PlainPayload
from heliograph.wire.serializers import serializer
from tests.support.calling import PROCEDURE, failure, refusal, violation, yield_
from tests.support.recording import Bench, SessionPair, call, register

ARGUMENTS = PlainPayload([1, 2], {"three": 3})


@pytest.fixture
def callee(bench: Bench) -> SessionPair:
    pair = bench.join()
    pair.register(PROCEDURE)
    return pair


@pytest.fixture
def caller(bench: Bench) -> SessionPair:
    return bench.join()


class TestCall:
    def test_invokes_the_callee_and_brings_its_result(self, callee: SessionPair, caller: SessionPair) -> None:
        assert caller.says(call(7, PROCEDURE, ARGUMENTS)) == []
        assert callee.hears() == [Invocation(1, 1, InvocationDetails(), ARGUMENTS)]
        assert callee.says(yield_(1, PlainPayload(["done"]))) == []
        assert caller.hears() == [Result(7, ResultDetails(), PlainPayload(["done"]))]

    def test_brings_the_callees_error_with_its_payload(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(7, PROCEDURE))
        callee.hears()
        assert callee.says(failure(1, "com.example.broken", ARGUMENTS)) == []
        assert caller.hears() == [Error(48, 7, {}, "com.example.broken", ARGUMENTS)]
        assert (bench.router.counters.calls, bench.router.counters.calls_failed) == (1, 1)

    def test_may_be_answered_by_its_own_caller(self, callee: SessionPair) -> None:
        assert callee.says(call(2, PROCEDURE)) == [Invocation(1, 1, InvocationDetails())]
        assert callee.says(yield_(1)) == [Result(2, ResultDetails())]

    def test_numbers_invocations_by_callee_in_the_order_of_calls(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        other = bench.join()
        other.register("com.example.q")
        caller.says(call(1, PROCEDURE), call(2, "com.example.q"), call(3, PROCEDURE))
        assert [message.request for message in callee.hears() if isinstance(message, Invocation)] == [1, 2]
        assert [message.request for message in other.hears() if isinstance(message, Invocation)] == [1]

    def test_gets_the_right_answer_however_answers_are_ordered(
        self, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE))
        callee.says(yield_(2, PlainPayload(["b"])), yield_(1, PlainPayload(["a"])))
        assert caller.hears() == [
            Result(2, ResultDetails(), PlainPayload(["b"])),
            Result(1, ResultDetails(), PlainPayload(["a"])),
        ]

    @pytest.mark.parametrize(
        ("procedure", "uri", "text"),
        [
            ("com.none", "wamp.error.no_such_procedure", "no callee has registered 'com.none'"),
            (
                "wamp.session.dance",
                "wamp.error.no_such_procedure",
                "the router has no procedure 'wamp.session.dance'",
            ),
            ("com..p", "wamp.error.invalid_uri", "'com..p' is not a valid URI (match: exact)"),
        ],
    )
    def test_of_what_nobody_offers_is_refused(
        self, bench: Bench, caller: SessionPair, procedure: str, uri: str, text: str
    ) -> None:
        assert caller.says(call(9, procedure)) == [refusal(48, 9, uri, text)]
        assert bench.router.counters.calls_failed == 1

    def test_that_is_not_allowed_is_refused_before_its_procedure_is_looked_up(self) -> None:
        bench = Bench([RoleOptions(name="anonymous")])
        assert bench.join().says(call(1, "com.none")) == [
            refusal(48, 1, "wamp.error.not_authorized", "role 'anonymous' may not call 'com.none'")
        ]

    def test_with_the_id_of_one_on_its_way_is_a_violation(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(7, PROCEDURE))
        callee.hears()
        assert caller.says(call(7, PROCEDURE)) == [
            violation("request id 7 belongs to a call that is not answered yet")
        ]
        assert callee.hears() == []

    def test_may_use_the_id_of_an_answered_one_again(self, callee: SessionPair, caller: SessionPair) -> None:
        for invocation in (1, 2):
            caller.says(call(7, PROCEDURE))
            callee.says(yield_(invocation))
            assert caller.hears() == [Result(7, ResultDetails())]

    def test_beyond_what_one_session_may_wait_for_is_refused(
        self, callee: SessionPair, caller: SessionPair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dealer, "PENDING_CALLS_LIMIT", 2)
        assert caller.says(call(1, PROCEDURE), call(2, PROCEDURE), call(3, PROCEDURE)) == [
            refusal(
                48,
                3,
                "heliograph.error.too_many_calls",
                "2 calls of this session wait for an answer already",
            )
        ]
        callee.says(yield_(1))
        assert caller.says(call(3, PROCEDURE)) == [Result(1, ResultDetails())]


class TestAbandon:
    def test_forgets_the_call_and_drops_its_answer(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(1, PROCEDURE))
        callee.hears()
        bench.realm.dealer.abandon(caller.session, 1)
        assert callee.says(yield_(1)) == []
        assert caller.hears() == []
        assert bench.router.counters.answers_dropped == 1
        callee.session.lost()
        caller.session.lost()
        bench.assert_nothing_left()

    def test_of_what_is_answered_or_was_never_made_does_nothing(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        bench.realm.dealer.abandon(caller.session, 1)
        caller.says(call(1, PROCEDURE))
        callee.says(yield_(1))
        bench.realm.dealer.abandon(caller.session, 1)
        assert caller.hears() == [Result(1, ResultDetails())]


class TestAnswer:
    def test_a_second_one_is_dropped(self, bench: Bench, callee: SessionPair, caller: SessionPair) -> None:
        caller.says(call(1, PROCEDURE))
        assert callee.says(yield_(1), yield_(1), failure(1))[1:] == []
        assert caller.hears() == [Result(1, ResultDetails())]
        assert bench.router.counters.answers_dropped == 2

    def test_to_a_caller_who_has_gone_is_dropped(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(1, PROCEDURE))
        caller.session.lost()
        callee.hears()
        assert callee.says(yield_(1)) == []
        assert not callee.is_closed
        assert bench.router.counters.answers_dropped == 1

    @pytest.mark.parametrize("answer", [yield_(1), failure(1)], ids=["YIELD", "ERROR"])
    def test_to_what_was_never_asked_is_a_violation(
        self, bench: Bench, callee: SessionPair, answer: Yield | Error
    ) -> None:
        assert callee.says(answer) == [violation("invocation 1 was never made")]
        bench.assert_nothing_left()

    def test_to_what_another_callee_was_asked_is_a_violation(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        thief = bench.join()
        caller.says(call(1, PROCEDURE))
        assert thief.says(yield_(1)) == [violation("invocation 1 was never made")]
        assert caller.hears() == []

    def test_that_answers_no_invocation_is_a_violation(
        self, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(1, PROCEDURE))
        callee.hears()
        assert callee.says(Error(48, 1, {}, "com.example.error")) == [
            violation("ERROR from a client answers INVOCATION (68), not 48")
        ]

    @pytest.mark.parametrize("kind", ["result", "error"])
    def test_that_cannot_be_converted_becomes_an_error_of_the_call(self, bench: Bench, kind: str) -> None:
        json, msgpack = serializer("json"), serializer("msgpack")
        callee, caller = bench.join(json), bench.join(msgpack)
        callee.register(PROCEDURE)
        caller.says(call(1, PROCEDURE))
        callee.hears()
        payload = EncodedPayload(json, b"[1e999]", b"")
        assert callee.says(yield_(1, payload) if kind == "result" else failure(1, payload=payload)) == []
        (error,) = caller.hears()
        assert isinstance(error, Error)
        expected = "wamp.error.invalid_argument" if kind == "result" else "com.example.error"
        assert (error.request_type, error.request, error.error) == (48, 1, expected)
        assert "cannot reach the caller" in error.payload.decoded()[0][0]
        assert bench.router.counters.calls_failed == 1

    def test_a_call_that_cannot_be_converted_is_refused_and_not_pending(self, bench: Bench) -> None:
        json, msgpack = serializer("json"), serializer("msgpack")
        callee, caller = bench.join(msgpack), bench.join(json)
        callee.register(PROCEDURE)
        (error,) = caller.says(call(1, PROCEDURE, EncodedPayload(json, b"[1e999]", b"")))
        assert isinstance(error, Error)
        assert (error.request_type, error.error) == (48, "wamp.error.invalid_argument")
        assert callee.hears() == []
        caller.says(call(1, PROCEDURE))
        (invocation,) = callee.hears()
        assert isinstance(invocation, Invocation)
        assert callee.says(yield_(invocation.request)) == []
        assert caller.hears() == [Result(1, ResultDetails())]


class TestRegister:
    def test_answers_before_the_first_invocation(self, bench: Bench, caller: SessionPair) -> None:
        callee = bench.join()
        callee.session.receive(register(3, PROCEDURE))
        caller.says(call(1, PROCEDURE))
        assert callee.hears() == [Registered(3, 1), Invocation(1, 1, InvocationDetails())]

    @pytest.mark.parametrize("by", ["itself", "another"])
    def test_of_what_is_taken_is_refused(self, bench: Bench, callee: SessionPair, by: str) -> None:
        pair = callee if by == "itself" else bench.join()
        assert pair.says(register(5, PROCEDURE)) == [
            refusal(
                64,
                5,
                "wamp.error.procedure_already_exists",
                f"'{PROCEDURE}' (exact) is registered already with invoke: 'single'",
            )
        ]

    @pytest.mark.parametrize(
        ("procedure", "match", "text"),
        [
            ("com..p", "exact", "'com..p' is not a valid URI (match: exact)"),
            ("com..p", "prefix", "'com..p' is not a valid URI (match: prefix)"),
            ("com.#.p", "wildcard", "'com.#.p' is not a valid URI (match: wildcard)"),
            ("wamp.session.kill", "exact", "'wamp.session.kill' is reserved for the router"),
            ("wamp.", "prefix", "'wamp.' is reserved for the router"),
            ("wamp..kill", "wildcard", "'wamp..kill' is reserved for the router"),
        ],
    )
    def test_of_what_cannot_be_is_refused(self, bench: Bench, procedure: str, match: str, text: str) -> None:
        pair = bench.join()
        assert pair.says(register(1, procedure, match=match)) == [
            refusal(64, 1, "wamp.error.invalid_uri", text)
        ]
        assert not bench.realm.dealer.procedures.registrations
        assert len(bench.realm.dealer.procedures.index) == 0

    def test_that_is_not_allowed_is_refused(self) -> None:
        role = RoleOptions(
            name="anonymous", permissions=[PermissionRule(uri=PROCEDURE, allow=AllowedActions(call=True))]
        )
        assert Bench([role]).join().says(register(1, PROCEDURE)) == [
            refusal(64, 1, "wamp.error.not_authorized", f"role 'anonymous' may not register '{PROCEDURE}'")
        ]


class TestUnregister:
    def test_frees_the_procedure_for_somebody_else(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        assert callee.says(Unregister(2, 1)) == [Unregistered(2)]
        (error,) = caller.says(call(1, PROCEDURE))
        assert isinstance(error, Error)
        assert error.error == "wamp.error.no_such_procedure"
        assert bench.join().register(PROCEDURE) == 2

    def test_lets_calls_on_their_way_be_answered(self, callee: SessionPair, caller: SessionPair) -> None:
        caller.says(call(1, PROCEDURE))
        callee.says(Unregister(2, 1), yield_(1))
        assert caller.hears() == [Result(1, ResultDetails())]

    @pytest.mark.parametrize("registration", [1, 99], ids=["somebody else's", "nobody's"])
    def test_of_what_one_does_not_have_is_refused(
        self, callee: SessionPair, caller: SessionPair, registration: int
    ) -> None:
        assert caller.says(Unregister(3, registration)) == [
            refusal(
                66, 3, "wamp.error.no_such_registration", f"this session has no registration {registration}"
            )
        ]


class TestLeaving:
    def test_callee_has_its_callers_told(
        self, bench: Bench, callee: SessionPair, caller: SessionPair
    ) -> None:
        caller.says(call(1, PROCEDURE), call(2, PROCEDURE))
        callee.session.lost()
        assert caller.hears() == [
            refusal(48, request, "wamp.error.canceled", "the callee left before it answered")
            for request in (1, 2)
        ]
        caller.session.lost()
        bench.assert_nothing_left()

    def test_session_that_calls_itself_is_told_nothing(self, bench: Bench, callee: SessionPair) -> None:
        callee.says(call(2, PROCEDURE))
        callee.session.lost()
        assert callee.hears() == []
        bench.assert_nothing_left()

    def test_caller_and_callee_of_each_other_leave_nothing(self, bench: Bench) -> None:
        first, second = bench.join(), bench.join()
        first.register("com.example.a")
        second.register("com.example.b")
        first.says(call(1, "com.example.b"))
        second.says(call(1, "com.example.a"))
        first.session.lost()
        second.session.lost()
        bench.assert_nothing_left()
