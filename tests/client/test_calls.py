"""Calls without I/O: progressive results and pieces, cancellation, on both sides."""

from concurrent.futures import Future
from typing import Any

import pytest

from heliograph.client.errors import ConnectionLost
from heliograph.client.protocol import ClientProtocol
from heliograph.wamp import messages as m
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.payload import EMPTY, Payload, PlainPayload
from tests.client.recorder import ADD, ALONE, Recorder, answered, rejoin

PROGRESS = m.CallOptions(receive_progress=True)


def result(request: int, *args: Any, progress: bool | None = None) -> m.Result:
    return m.Result(request, m.ResultDetails(progress=progress), PlainPayload(args))


def calling(
    protocol: ClientProtocol, options: m.CallOptions = PROGRESS
) -> tuple[int, "Future[Any]", list[Payload]]:
    answer: Future[Any] = Future()
    parts: list[Payload] = []
    progress = parts.append if options.receive_progress else None
    return protocol.calls.call("a.b", EMPTY, answer, options, progress), answer, parts


# The caller


def test_progressive_results_come_before_the_final_one(joined: ClientProtocol, wire: Recorder) -> None:
    request, answer, parts = calling(joined)
    assert wire.taken() == [m.Call(1, PROGRESS, "a.b", EMPTY)]
    joined.receive(result(request, 1, progress=True))
    joined.receive(result(request, 2, progress=True))
    assert parts == [PlainPayload([1]), PlainPayload([2])]
    assert not answer.done()
    joined.receive(result(request, 3))
    assert answered(answer) == PlainPayload([3])


def test_progress_that_nobody_asked_for_is_a_violation(joined: ClientProtocol) -> None:
    request, _, _ = calling(joined, m.CallOptions())
    with pytest.raises(ProtocolViolation):
        joined.receive(result(request, progress=True))


def test_progress_of_a_call_that_was_never_made_is_a_violation(joined: ClientProtocol) -> None:
    with pytest.raises(ProtocolViolation):
        joined.receive(result(1, progress=True))


def test_progress_of_another_kind_of_request_is_a_violation(joined: ClientProtocol) -> None:
    joined.publish("a.b", EMPTY, m.PublishOptions(acknowledge=True), Future())
    with pytest.raises(ProtocolViolation):
        joined.receive(result(1, progress=True))


def test_progress_of_a_call_that_was_given_up_is_ignored(joined: ClientProtocol) -> None:
    request, answer, parts = calling(joined)
    joined.calls.give_up(request, "kill")
    joined.receive(result(request, 1, progress=True))
    joined.receive(m.Error(48, request, {}, "wamp.error.canceled"))
    assert parts == []
    assert not answer.done()


def test_a_call_that_is_given_up_is_cancelled_once(joined: ClientProtocol, wire: Recorder) -> None:
    request, _, _ = calling(joined)
    wire.taken()
    joined.calls.give_up(request, "kill")
    joined.calls.give_up(request, "kill")
    assert wire.taken() == [m.Cancel(request, m.CancelOptions(mode="kill"))]


def test_a_call_that_is_answered_is_not_cancelled(joined: ClientProtocol, wire: Recorder) -> None:
    request, _, _ = calling(joined)
    joined.receive(result(request))
    wire.taken()
    joined.calls.give_up(request, "skip")
    assert wire.taken() == []


def test_a_router_that_takes_no_cancel_is_sent_none(protocol: ClientProtocol, wire: Recorder) -> None:
    protocol.connected(wire)
    protocol.receive(m.Welcome(1, m.WelcomeDetails(roles={"dealer": {"features": {}}})))
    request, _, _ = calling(protocol)
    wire.taken()
    protocol.calls.give_up(request, "kill")
    assert wire.taken() == []
    protocol.receive(result(request))  # ignored all the same


@pytest.mark.parametrize("roles", [{}, {"dealer": None}, {"dealer": {"features": [1]}}, {"dealer": "all"}])
def test_roles_that_make_no_sense_announce_nothing(
    protocol: ClientProtocol, wire: Recorder, roles: dict[str, Any]
) -> None:
    protocol.connected(wire)
    protocol.receive(m.Welcome(1, m.WelcomeDetails(roles=roles)))
    assert not protocol.calls.can_cancel


def test_pieces_go_out_under_the_calls_id_until_it_is_answered(
    joined: ClientProtocol, wire: Recorder
) -> None:
    request, _, _ = calling(joined, m.CallOptions(progress=True, receive_progress=True))
    wire.taken()
    assert joined.calls.send_piece(request, "a.b", PlainPayload([1]), is_last=False)
    assert joined.calls.send_piece(request, "a.b", EMPTY, is_last=True)
    assert wire.taken() == [
        m.Call(request, m.CallOptions(progress=True), "a.b", PlainPayload([1])),
        m.Call(request, m.CallOptions(), "a.b", EMPTY),
    ]
    joined.receive(result(request))
    assert not joined.calls.send_piece(request, "a.b", EMPTY, is_last=True)
    assert wire.taken() == []


def test_a_call_under_way_is_lost_with_its_connection(joined: ClientProtocol, wire: Recorder) -> None:
    request, answer, _ = calling(joined)
    assert rejoin(joined, wire) == []
    with pytest.raises(ConnectionLost):
        answered(answer)
    joined.calls.give_up(request, "kill")
    assert wire.taken() == []


# The callee


@pytest.fixture
def callee(joined: ClientProtocol, wire: Recorder) -> ClientProtocol:
    joined.standing.register("a.add", ADD, ALONE, Future())
    joined.receive(m.Registered(1, 8))
    wire.taken()
    return joined


def invocation(request: int, *args: Any, progress: bool | None = None, **details: Any) -> m.Invocation:
    return m.Invocation(request, 8, m.InvocationDetails(progress=progress, **details), PlainPayload(args))


def test_progress_goes_out_until_the_answer(callee: ClientProtocol, wire: Recorder) -> None:
    callee.receive(invocation(31))
    [opened] = wire.invocations
    assert callee.invocations.progress(opened, PlainPayload([1]))
    callee.invocations.answer(opened, PlainPayload([2]))
    assert not callee.invocations.progress(opened, PlainPayload([3]))
    assert wire.taken() == [
        m.Yield(31, m.YieldOptions(progress=True), PlainPayload([1])),
        m.Yield(31, m.YieldOptions(), PlainPayload([2])),
    ]


def test_the_procedure_of_a_pattern_is_the_one_that_was_called(
    callee: ClientProtocol, wire: Recorder
) -> None:
    callee.receive(invocation(31, procedure="a.add.this"))
    assert wire.invocations[0].procedure == "a.add.this"


def test_pieces_belong_to_their_call_until_the_last(callee: ClientProtocol, wire: Recorder) -> None:
    callee.receive(invocation(31, 1, progress=True))
    callee.receive(invocation(31, 2, progress=True))
    [opened] = wire.invocations
    assert not opened.is_last
    callee.receive(invocation(31, 3))
    assert opened.is_last
    assert wire.pieces == [(opened, PlainPayload([2])), (opened, PlainPayload([3]))]
    with pytest.raises(ProtocolViolation):
        callee.receive(invocation(31, 4))


def test_pieces_of_a_call_that_is_answered_are_no_new_calls(callee: ClientProtocol, wire: Recorder) -> None:
    callee.receive(invocation(31, 1, progress=True))
    callee.invocations.answer(wire.invocations[0], EMPTY)
    callee.receive(invocation(31, 2, progress=True))
    callee.receive(invocation(31, 3))
    assert len(wire.invocations) == 1
    assert wire.pieces == []
    callee.receive(invocation(31, 4))  # a router that counts from anywhere may come back to the number
    assert len(wire.invocations) == 2


def test_ids_of_calls_answered_early_are_bounded(callee: ClientProtocol, wire: Recorder) -> None:
    for request in range(1, 1001):
        callee.receive(invocation(request, progress=True))
        callee.invocations.refuse(wire.invocations.pop(), "com.example.no", EMPTY)
    assert len(callee.invocations._answered_early) == 256


def test_an_interrupt_reaches_who_works_and_nobody_else(callee: ClientProtocol, wire: Recorder) -> None:
    callee.receive(m.Interrupt(30, m.InterruptOptions()))
    callee.receive(invocation(31))
    [opened] = wire.invocations
    callee.receive(m.Interrupt(31, m.InterruptOptions(mode="kill")))
    assert wire.interruptions == [opened]
    callee.invocations.answer(opened, EMPTY)
    callee.receive(m.Interrupt(31, m.InterruptOptions(mode="kill")))
    assert wire.interruptions == [opened]


def test_who_works_is_told_when_no_answer_can_arrive(callee: ClientProtocol, wire: Recorder) -> None:
    callee.receive(invocation(31))
    callee.lost("gone")
    assert wire.drops == wire.invocations
    assert not callee.invocations.is_open(wire.drops[0])


def test_nothing_is_sent_after_goodbye(callee: ClientProtocol, wire: Recorder) -> None:
    request, _, _ = calling(callee, m.CallOptions(progress=True, receive_progress=True))
    callee.receive(invocation(31))
    callee.receive(invocation(32))
    one, other = wire.invocations
    callee.leave()
    wire.taken()
    callee.invocations.progress(one, EMPTY)
    callee.invocations.answer(one, EMPTY)
    callee.invocations.refuse(other, "com.example.no", EMPTY)
    callee.calls.send_piece(request, "a.b", EMPTY, is_last=True)
    callee.calls.give_up(request, "kill")
    assert wire.taken() == []
