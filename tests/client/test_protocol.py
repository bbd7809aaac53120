"""The client's protocol without I/O: messages in, messages and answers out."""

from concurrent.futures import Future
from typing import Any

import pytest

from heliograph.client.errors import ApplicationError, ConnectionLost, JoinRefused
from heliograph.client.features import ROLES
from heliograph.client.protocol import ClientProtocol, State
from heliograph.wamp import messages as m
from heliograph.wamp.errors import PayloadError, ProtocolViolation
from heliograph.wamp.payload import EMPTY, PlainPayload
from tests.client.recorder import (
    ADD,
    ALONE,
    WELCOME,
    Implementation,
    Recorder,
    Sink,
    answered,
    error,
    event,
    rejoin,
    subscribed,
)

# Joining and leaving


def test_hello_names_the_realm_the_agent_and_the_roles(protocol: ClientProtocol, wire: Recorder) -> None:
    protocol.connected(wire)
    assert wire.sent == [m.Hello("realm1", m.HelloDetails(roles=ROLES, agent="test"))]
    assert protocol.state is State.JOINING


def test_a_welcome_joins(protocol: ClientProtocol, wire: Recorder) -> None:
    protocol.connected(wire)
    protocol.receive(WELCOME)
    assert protocol.state is State.JOINED
    assert protocol.session_id == 77
    assert wire.joined_sessions == [77]


def test_an_abort_while_joining_is_a_refusal_with_its_uri_and_text(
    protocol: ClientProtocol, wire: Recorder
) -> None:
    protocol.connected(wire)
    protocol.receive(m.Abort(m.CloseDetails(message="there is no nowhere"), "wamp.error.no_such_realm"))
    [(refusal, was_joined)] = wire.endings
    assert isinstance(refusal, JoinRefused)
    assert str(refusal) == "wamp.error.no_such_realm: there is no nowhere"
    assert not was_joined
    assert wire.closed == 1


def test_a_challenge_is_answered_with_abort_for_no_authentication_was_offered(
    protocol: ClientProtocol, wire: Recorder
) -> None:
    protocol.connected(wire)
    wire.taken()
    protocol.receive(m.Challenge("ticket", {}))
    [abort] = wire.taken()
    assert isinstance(abort, m.Abort)
    assert abort.reason == "wamp.error.no_matching_auth_method"
    assert isinstance(wire.endings[0][0], JoinRefused)


def test_an_abort_in_a_session_ends_it_and_names_the_reason(joined: ClientProtocol, wire: Recorder) -> None:
    joined.receive(m.Abort(m.CloseDetails(message="you!"), "wamp.error.protocol_violation"))
    [(lost, was_joined)] = wire.endings
    assert isinstance(lost, ConnectionLost)
    assert was_joined
    assert "wamp.error.protocol_violation (you!)" in str(lost)
    assert wire.taken() == []  # an ABORT is never answered
    assert wire.closed == 1


def test_a_goodbye_is_answered_and_ends_the_session(joined: ClientProtocol, wire: Recorder) -> None:
    joined.receive(m.Goodbye(m.CloseDetails(), "wamp.close.system_shutdown"))
    assert wire.taken() == [m.Goodbye(m.CloseDetails(), "wamp.close.goodbye_and_out")]
    assert "wamp.close.system_shutdown" in str(wire.endings[0][0])
    assert wire.closed == 1


def test_leaving_ignores_everything_but_the_goodbye(joined: ClientProtocol, wire: Recorder) -> None:
    joined.leave()
    assert wire.taken() == [m.Goodbye(m.CloseDetails(), "wamp.close.normal")]
    joined.receive(m.Event(1, 2, m.EventDetails()))
    joined.receive(WELCOME)
    assert joined.state is State.LEAVING
    joined.receive(m.Goodbye(m.CloseDetails(), "wamp.close.goodbye_and_out"))
    assert joined.state is State.CLOSED
    assert wire.taken() == []
    assert wire.closed == 1


def test_leaving_while_joining_just_closes(protocol: ClientProtocol, wire: Recorder) -> None:
    protocol.connected(wire)
    wire.taken()
    protocol.leave()
    assert wire.taken() == []
    assert wire.closed == 1


def test_what_comes_after_the_end_is_ignored(joined: ClientProtocol, wire: Recorder) -> None:
    joined.lost("gone")
    joined.receive(WELCOME)
    joined.lost("gone twice")
    assert joined.state is State.CLOSED
    assert len(wire.endings) == 1


@pytest.mark.parametrize(
    "message",
    [
        m.Event(1, 2, m.EventDetails()),
        m.Goodbye(m.CloseDetails(), "wamp.close.normal"),
        m.Hello("realm1", m.HelloDetails()),
        m.Subscribed(1, 1),
    ],
    ids=lambda message: type(message).__name__,
)
def test_nothing_but_an_answer_to_hello_may_come_while_joining(
    protocol: ClientProtocol, wire: Recorder, message: m.Message
) -> None:
    protocol.connected(wire)
    with pytest.raises(ProtocolViolation):
        protocol.receive(message)


@pytest.mark.parametrize(
    "message",
    [
        WELCOME,
        m.Challenge("ticket", {}),
        m.Hello("realm1", m.HelloDetails()),
        m.Publish(1, m.PublishOptions(), "a.b"),
        m.Subscribe(1, m.SubscribeOptions(), "a.b"),
        m.Unsubscribe(1, 1),
        m.Call(1, m.CallOptions(), "a.b"),
        m.Cancel(1, m.CancelOptions()),
        m.Register(1, m.RegisterOptions(), "a.b"),
        m.Unregister(1, 1),
        m.Yield(1, m.YieldOptions()),
        m.Authenticate("x", {}),
        m.Published(1, 1),  # no request was made
        m.Subscribed(9, 1),
        m.Unsubscribed(0),  # which one?
        m.Unregistered(0),
        m.Result(1, m.ResultDetails()),
        error(16, 1),
        error(68, 1),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_a_router_may_not_send_into_a_session_is_a_violation(
    joined: ClientProtocol, message: m.Message
) -> None:
    with pytest.raises(ProtocolViolation):
        joined.receive(message)


def test_a_violation_is_answered_with_abort(joined: ClientProtocol, wire: Recorder) -> None:
    joined.violated(ProtocolViolation("that was wrong"))
    assert wire.taken() == [
        m.Abort(m.CloseDetails(message="that was wrong"), "wamp.error.protocol_violation")
    ]
    assert isinstance(wire.endings[0][0], ConnectionLost)
    assert wire.closed == 1


def test_a_violation_after_the_end_is_ignored(joined: ClientProtocol, wire: Recorder) -> None:
    joined.lost("gone")
    joined.violated(ProtocolViolation("late"))
    assert wire.taken() == []


# Requests


def test_request_ids_count_from_one_on_each_connection(joined: ClientProtocol, wire: Recorder) -> None:
    joined.publish("a.b", EMPTY)
    joined.publish("a.b", EMPTY)
    assert [sent.request for sent in wire.taken()] == [1, 2]  # type: ignore[attr-defined]  # all are PUBLISH
    rejoin(joined, wire)
    joined.publish("a.b", EMPTY)
    assert [sent.request for sent in wire.taken()] == [1]  # type: ignore[attr-defined]  # all are PUBLISH


def test_a_message_that_cannot_be_encoded_leaves_no_gap_in_the_ids(
    joined: ClientProtocol, wire: Recorder
) -> None:
    answer: Future[Any] = Future()
    wire.refuses_to_encode = True
    with pytest.raises(PayloadError):
        joined.calls.call("a.b", EMPTY, answer)
    wire.refuses_to_encode = False
    joined.publish("a.b", EMPTY)
    assert wire.taken() == [m.Publish(1, m.PublishOptions(), "a.b", EMPTY)]
    joined.lost("gone")
    assert not answer.done()  # it was never pending


def test_an_acknowledged_publication_answers_its_id(joined: ClientProtocol, wire: Recorder) -> None:
    answer: Future[Any] = Future()
    options = m.PublishOptions(acknowledge=True, exclude_me=False)
    joined.publish("a.b", EMPTY, options, answer)
    assert wire.taken() == [m.Publish(1, options, "a.b", EMPTY)]
    joined.receive(m.Published(1, 4711))
    assert answered(answer) == 4711


def test_an_error_answers_with_its_uri_and_payload(joined: ClientProtocol) -> None:
    answer: Future[Any] = Future()
    joined.calls.call("a.b", EMPTY, answer)
    joined.receive(m.Error(48, 1, {}, "com.example.no", PlainPayload(["so"], {"why": "not"})))
    with pytest.raises(ApplicationError) as caught:
        answered(answer)
    assert (caught.value.uri, caught.value.args_, caught.value.kwargs_) == (
        "com.example.no",
        ["so"],
        {"why": "not"},
    )


def test_an_error_that_names_another_kind_of_request_is_a_violation(joined: ClientProtocol) -> None:
    joined.calls.call("a.b", EMPTY, Future())
    with pytest.raises(ProtocolViolation):
        joined.receive(error(16, 1))


def test_an_answer_of_another_kind_is_a_violation(joined: ClientProtocol) -> None:
    joined.calls.call("a.b", EMPTY, Future())
    with pytest.raises(ProtocolViolation):
        joined.receive(m.Published(1, 5))


def test_an_answer_that_nobody_waits_for_any_more_is_ignored(joined: ClientProtocol) -> None:
    answer: Future[Any] = Future()
    request = joined.calls.call("a.b", EMPTY, answer)
    joined.requests.forget(request)
    joined.receive(m.Result(request, m.ResultDetails()))
    joined.receive(error(48, request))
    assert not answer.done()


def test_a_second_answer_is_ignored(joined: ClientProtocol) -> None:
    answer: Future[Any] = Future()
    joined.publish("a.b", EMPTY, m.PublishOptions(acknowledge=True), answer)
    joined.receive(m.Published(1, 5))
    joined.receive(m.Published(1, 6))
    assert answered(answer) == 5


def test_what_is_under_way_fails_with_the_connection_and_is_not_repeated(
    joined: ClientProtocol, wire: Recorder
) -> None:
    call: Future[Any] = Future()
    publication: Future[Any] = Future()
    joined.calls.call("a.b", EMPTY, call)
    joined.publish("a.b", EMPTY, m.PublishOptions(acknowledge=True), publication)
    assert rejoin(joined, wire) == []
    for answer in (call, publication):
        with pytest.raises(ConnectionLost, match="gone"):
            answered(answer)


def test_a_request_without_a_session_says_so(protocol: ClientProtocol) -> None:
    with pytest.raises(ConnectionLost):
        protocol.publish("a.b", EMPTY)


# Subscriptions


def test_events_reach_the_sink_from_the_moment_of_subscribed(joined: ClientProtocol, wire: Recorder) -> None:
    sink = subscribed(joined)
    assert wire.taken() == [m.Subscribe(1, m.SubscribeOptions(match="exact"), "a.b")]
    joined.receive(event(1))
    joined.receive(event(2))
    assert sink.publications == [1, 2]


def test_events_of_a_foreign_subscription_are_ignored_and_counted(joined: ClientProtocol) -> None:
    sink = subscribed(joined)
    joined.receive(event(1, subscription=999))
    assert sink.publications == []
    assert joined.standing.foreign_events == 1


def test_a_second_handler_of_a_topic_shares_the_routers_subscription(
    joined: ClientProtocol, wire: Recorder
) -> None:
    first = subscribed(joined)
    wire.taken()
    second, answer = Sink(), Future[Any]()
    joined.standing.subscribe("a.b", "exact", second, answer)
    answered(answer)
    assert wire.taken() == []
    joined.receive(event(1))
    assert first.publications == second.publications == [1]
    joined.standing.unsubscribe("a.b", "exact", first)
    assert wire.taken() == []
    joined.receive(event(2))
    assert second.publications == [1, 2]
    joined.standing.unsubscribe("a.b", "exact", second)
    assert wire.taken() == [m.Unsubscribe(2, 5)]


def test_two_handlers_that_subscribe_at_once_ask_once(joined: ClientProtocol, wire: Recorder) -> None:
    answers = [Future[Any](), Future[Any]()]
    for answer in answers:
        joined.standing.subscribe("a.b", "exact", Sink(), answer)
    assert len(wire.taken()) == 1
    joined.receive(m.Subscribed(1, 5))
    assert [answered(answer) for answer in answers] == [None, None]


def test_the_same_uri_with_another_match_is_another_subscription(
    joined: ClientProtocol, wire: Recorder
) -> None:
    subscribed(joined)
    joined.standing.subscribe("a.b", "prefix", Sink(), Future())
    assert [sent.options.match for sent in wire.taken()] == ["exact", "prefix"]  # type: ignore[attr-defined]  # SUBSCRIBE


def test_unsubscribing_is_confirmed(joined: ClientProtocol) -> None:
    sink = subscribed(joined)
    answer: Future[Any] = Future()
    joined.standing.unsubscribe("a.b", "exact", sink, answer)
    assert not answer.done()
    joined.receive(event(3))  # it was on its way
    joined.receive(m.Unsubscribed(2))
    answered(answer)
    assert sink.publications == []
    assert joined.standing.foreign_events == 0


def test_unsubscribing_what_is_not_subscribed_is_confirmed_at_once(joined: ClientProtocol) -> None:
    answer: Future[Any] = Future()
    joined.standing.unsubscribe("a.b", "exact", Sink(), answer)
    answered(answer)


@pytest.mark.parametrize("how", ["error", "lost"])
def test_an_unsubscription_that_is_refused_or_lost_is_done_all_the_same(
    joined: ClientProtocol, wire: Recorder, how: str
) -> None:
    sink = subscribed(joined)
    answer: Future[Any] = Future()
    joined.standing.unsubscribe("a.b", "exact", sink, answer)
    if how == "error":
        joined.receive(error(34, 2, "wamp.error.no_such_subscription"))
    else:
        assert rejoin(joined, wire) == []
    answered(answer)


def test_a_subscription_that_nobody_waits_for_any_more_is_given_back(
    joined: ClientProtocol, wire: Recorder
) -> None:
    sink, answer = Sink(), Future[Any]()
    joined.standing.subscribe("a.b", "exact", sink, answer)
    answer.cancel()
    joined.standing.unsubscribe("a.b", "exact", sink)
    wire.taken()
    joined.receive(m.Subscribed(1, 5))
    assert wire.taken() == [m.Unsubscribe(2, 5)]
    joined.receive(m.Unsubscribed(2))
    assert rejoin(joined, wire) == []


def test_an_abandoned_subscription_is_forgotten_with_its_connection(
    joined: ClientProtocol, wire: Recorder
) -> None:
    sink = Sink()
    joined.standing.subscribe("a.b", "exact", sink, Future())
    joined.standing.unsubscribe("a.b", "exact", sink)
    assert rejoin(joined, wire) == []
    assert joined.standing._subscriptions == {}


def test_who_subscribes_while_an_abandoned_subscription_is_under_way_takes_it_over(
    joined: ClientProtocol, wire: Recorder
) -> None:
    abandoned, answer = Sink(), Future[Any]()
    joined.standing.subscribe("a.b", "exact", abandoned, answer)
    joined.standing.unsubscribe("a.b", "exact", abandoned)
    sink, second = Sink(), Future[Any]()
    joined.standing.subscribe("a.b", "exact", sink, second)
    joined.receive(m.Subscribed(1, 5))
    answered(second)
    assert [type(sent) for sent in wire.taken()] == [m.Subscribe]
    joined.receive(event(1))
    assert (abandoned.publications, sink.publications) == ([], [1])


def test_who_subscribes_while_the_topic_is_being_unsubscribed_is_subscribed(
    joined: ClientProtocol, wire: Recorder
) -> None:
    first = subscribed(joined)
    joined.standing.unsubscribe("a.b", "exact", first)
    sink, answer = Sink(), Future[Any]()
    joined.standing.subscribe("a.b", "exact", sink, answer)
    assert [type(sent) for sent in wire.taken()] == [m.Subscribe, m.Unsubscribe, m.Subscribe]
    joined.receive(m.Unsubscribed(2))
    joined.receive(m.Subscribed(3, 5))
    answered(answer)
    joined.receive(event(1))
    assert (first.publications, sink.publications) == ([], [1])


def test_confirmations_that_come_in_another_order_lose_no_subscription(joined: ClientProtocol) -> None:
    first = subscribed(joined)
    joined.standing.unsubscribe("a.b", "exact", first)
    sink = Sink()
    joined.standing.subscribe("a.b", "exact", sink, Future())
    joined.receive(m.Subscribed(3, 5))
    joined.receive(m.Unsubscribed(2))
    joined.receive(event(1))
    assert sink.publications == [1]


def test_one_id_for_two_subscriptions_is_a_violation(joined: ClientProtocol) -> None:
    subscribed(joined)
    joined.standing.subscribe("c.d", "exact", Sink(), Future())
    with pytest.raises(ProtocolViolation):
        joined.receive(m.Subscribed(2, 5))


def test_a_refused_subscription_tells_who_waits_and_is_not_asked_for_again(
    joined: ClientProtocol, wire: Recorder
) -> None:
    sink, answer = Sink(), Future[Any]()
    joined.standing.subscribe("a.b", "exact", sink, answer)
    joined.receive(error(32, 1, "wamp.error.not_authorized"))
    with pytest.raises(ApplicationError, match="not_authorized"):
        answered(answer)
    joined.standing.unsubscribe("a.b", "exact", sink)
    assert rejoin(joined, wire) == []
    assert wire.not_restored == []


def test_subscriptions_are_made_again_after_each_join_under_new_ids(
    joined: ClientProtocol, wire: Recorder
) -> None:
    sink = subscribed(joined)
    assert rejoin(joined, wire) == [m.Subscribe(1, m.SubscribeOptions(match="exact"), "a.b")]
    joined.receive(event(1, subscription=5))  # the id of the last connection
    joined.receive(m.Subscribed(1, 6))
    joined.receive(event(2, subscription=6))
    assert sink.publications == [2]
    assert joined.standing.foreign_events == 1


def test_a_subscription_under_way_when_the_connection_is_lost_goes_on_with_the_next(
    joined: ClientProtocol, wire: Recorder
) -> None:
    answer: Future[Any] = Future()
    joined.standing.subscribe("a.b", "exact", Sink(), answer)
    assert len(rejoin(joined, wire)) == 1
    assert not answer.done()
    joined.receive(m.Subscribed(1, 5))
    answered(answer)


def test_a_subscription_asked_for_without_connection_is_made_with_the_next(
    protocol: ClientProtocol, wire: Recorder
) -> None:
    answer: Future[Any] = Future()
    protocol.standing.subscribe("a.b", "exact", Sink(), answer)
    protocol.connected(wire)
    protocol.receive(WELCOME)
    assert [type(sent) for sent in wire.taken()] == [m.Hello, m.Subscribe]
    protocol.receive(m.Subscribed(1, 5))
    answered(answer)


def test_what_was_unsubscribed_without_connection_is_not_asked_for_again(
    joined: ClientProtocol, wire: Recorder
) -> None:
    sink = subscribed(joined)
    joined.lost("gone")
    joined.standing.unsubscribe("a.b", "exact", sink)
    joined.connected(wire)
    wire.taken()
    joined.receive(WELCOME)
    assert wire.taken() == []


def test_a_subscription_that_cannot_be_restored_is_reported_and_asked_for_with_the_next_connection(
    joined: ClientProtocol, wire: Recorder
) -> None:
    subscribed(joined)
    rejoin(joined, wire)
    joined.receive(error(32, 1, "wamp.error.not_authorized"))
    assert wire.not_restored == [("a.b", "wamp.error.not_authorized")]
    assert len(rejoin(joined, wire)) == 1


# Registrations


def registered(protocol: ClientProtocol, held: int = 8, request: int = 1) -> None:
    answer: Future[Any] = Future()
    protocol.standing.register("a.add", ADD, ALONE, answer)
    protocol.receive(m.Registered(request, held))
    answered(answer)


def invocation(request: int, registration: int = 8) -> m.Invocation:
    return m.Invocation(request, registration, m.InvocationDetails(), PlainPayload([1, 2]))


def test_an_invocation_reaches_the_function_and_is_answered_once(
    joined: ClientProtocol, wire: Recorder
) -> None:
    registered(joined)
    assert wire.taken() == [m.Register(1, m.RegisterOptions(), "a.add")]
    joined.receive(invocation(31))
    [opened] = wire.invocations
    assert (opened.procedure, opened.target) == ("a.add", ADD)
    assert len(joined.invocations) == 1
    joined.invocations.answer(opened, PlainPayload([3]))
    joined.invocations.answer(opened, PlainPayload([4]))
    joined.invocations.refuse(opened, "com.example.no", EMPTY)
    assert wire.taken() == [m.Yield(31, m.YieldOptions(), PlainPayload([3]))]
    assert len(joined.invocations) == 0


def test_a_refused_invocation_becomes_error(joined: ClientProtocol, wire: Recorder) -> None:
    registered(joined)
    wire.taken()
    joined.receive(invocation(31))
    joined.invocations.refuse(wire.invocations[0], "com.example.no", PlainPayload(["so"]))
    assert wire.taken() == [m.Error(68, 31, {}, "com.example.no", PlainPayload(["so"]))]


def test_an_answer_for_a_connection_that_is_gone_is_not_sent_on_the_next(
    joined: ClientProtocol, wire: Recorder
) -> None:
    registered(joined)
    joined.receive(invocation(1))
    rejoin(joined, wire)
    joined.receive(m.Registered(1, 8))
    joined.receive(invocation(1))  # the same number, another call
    old, new = wire.invocations
    joined.invocations.answer(old, PlainPayload(["old"]))
    assert wire.taken() == []
    joined.invocations.answer(new, PlainPayload(["new"]))
    assert wire.taken() == [m.Yield(1, m.YieldOptions(), PlainPayload(["new"]))]


def test_an_invocation_of_nothing_is_answered_so_that_the_caller_need_not_wait(
    joined: ClientProtocol, wire: Recorder
) -> None:
    joined.receive(invocation(31, registration=999))
    [sent] = wire.taken()
    assert isinstance(sent, m.Error)
    assert (sent.request_type, sent.request, sent.error) == (68, 31, "wamp.error.no_such_procedure")


def test_an_invocation_whose_id_is_open_is_a_violation(joined: ClientProtocol) -> None:
    registered(joined)
    joined.receive(invocation(31))
    with pytest.raises(ProtocolViolation):
        joined.receive(invocation(31))


def test_a_procedure_can_be_registered_once_a_session(joined: ClientProtocol, wire: Recorder) -> None:
    registered(joined)
    wire.taken()
    answer: Future[Any] = Future()
    joined.standing.register("a.add", ADD, ALONE, answer)
    with pytest.raises(ApplicationError, match="procedure_already_exists"):
        answered(answer)
    assert wire.taken() == []


def test_unregistering_is_confirmed_and_then_the_procedure_can_be_registered_again(
    joined: ClientProtocol, wire: Recorder
) -> None:
    registered(joined)
    answer: Future[Any] = Future()
    joined.standing.unregister("a.add", "exact", ADD, answer)
    joined.receive(m.Unregistered(2))
    answered(answer)
    registered(joined, held=9, request=3)
    assert [type(sent) for sent in wire.taken()] == [m.Register, m.Unregister, m.Register]


def test_a_registration_is_only_taken_back_by_the_function_that_made_it(
    joined: ClientProtocol, wire: Recorder
) -> None:
    registered(joined)
    wire.taken()
    answer: Future[Any] = Future()
    joined.standing.unregister("a.add", "exact", Implementation(), answer)
    answered(answer)
    assert wire.taken() == []


def test_a_registration_refused_after_joining_again_can_be_restored_later(
    joined: ClientProtocol, wire: Recorder
) -> None:
    registered(joined)
    assert [type(sent) for sent in rejoin(joined, wire)] == [m.Register]
    # The router has not noticed yet that the last connection is gone.
    joined.receive(error(64, 1, "wamp.error.procedure_already_exists"))
    assert wire.not_restored == [("a.add", "wamp.error.procedure_already_exists")]
    standing = next(iter(joined.standing._registrations.values()))
    joined.standing.restore(standing)
    joined.standing.restore(standing)  # it is under way
    assert wire.taken() == [m.Register(2, m.RegisterOptions(), "a.add")]
    joined.receive(m.Registered(2, 10))
    joined.standing.restore(standing)  # it is there
    assert wire.taken() == []
    joined.receive(invocation(1, registration=10))
    assert len(wire.invocations) == 1


def test_one_id_for_two_registrations_is_a_violation(joined: ClientProtocol) -> None:
    registered(joined)
    joined.standing.register("a.other", Implementation(), ALONE, Future())
    with pytest.raises(ProtocolViolation):
        joined.receive(m.Registered(2, 8))
