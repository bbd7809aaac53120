"""What the protocol does with subscriptions and registrations beyond asking for them: retained events, revocation."""

from concurrent.futures import Future
from typing import Any

import pytest

from heliograph.client.protocol import ClientProtocol
from heliograph.wamp import messages as m
from heliograph.wamp.errors import ProtocolViolation
from tests.client.recorder import ADD, ALONE, Recorder, Sink, answered, error, event, rejoin, subscribed


def retained(publication: int, subscription: int = 5) -> m.Event:
    return m.Event(subscription, publication, m.EventDetails(retained=True))


def subscribing(protocol: ClientProtocol, sink: Sink) -> "Future[Any]":
    answer: Future[Any] = Future()
    protocol.standing.subscribe("a.b", "exact", sink, answer)
    return answer


def options(message: m.Message) -> m.SubscribeOptions:
    assert isinstance(message, m.Subscribe)
    return message.options


# Retained events


def test_retained_events_are_asked_for_where_somebody_wants_them(
    joined: ClientProtocol, wire: Recorder
) -> None:
    subscribing(joined, Sink(wants_retained=True))
    assert options(wire.taken()[0]) == m.SubscribeOptions(match="exact", get_retained=True)


def test_retained_events_go_only_to_who_asked_for_them(joined: ClientProtocol, wire: Recorder) -> None:
    old = subscribed(joined)
    wire.taken()
    new = Sink(wants_retained=True)
    answer = subscribing(joined, new)
    assert not answer.done()
    assert options(wire.taken()[0]).get_retained
    joined.receive(m.Subscribed(2, 5))
    answered(answer)
    joined.receive(retained(1))
    joined.receive(event(2))
    assert (old.publications, new.publications) == ([2], [1, 2])


def test_who_wants_them_while_a_request_is_under_way_is_asked_for_afterwards(
    joined: ClientProtocol, wire: Recorder
) -> None:
    first, second = Sink(wants_retained=True), Sink(wants_retained=True)
    subscribing(joined, first)
    subscribing(joined, second)
    assert len(wire.taken()) == 1
    joined.receive(m.Subscribed(1, 5))
    assert options(wire.taken()[0]).get_retained
    joined.receive(retained(1))
    joined.receive(m.Subscribed(2, 5))
    joined.receive(retained(1))
    assert (first.publications, second.publications) == ([1], [1])


def test_retained_events_are_asked_for_again_after_each_join(joined: ClientProtocol, wire: Recorder) -> None:
    sink = Sink(wants_retained=True)
    subscribing(joined, sink)
    joined.receive(m.Subscribed(1, 5))
    [subscribe] = rejoin(joined, wire)
    assert options(subscribe).get_retained
    joined.receive(m.Subscribed(1, 6))
    joined.receive(retained(3, subscription=6))
    assert sink.publications == [3]


def test_retained_events_that_nobody_wants_reach_nobody(joined: ClientProtocol) -> None:
    sink = subscribed(joined)
    joined.receive(retained(1))
    assert sink.publications == []


def test_another_id_for_a_subscription_that_is_held_takes_its_place(joined: ClientProtocol) -> None:
    sink = subscribed(joined)
    subscribing(joined, Sink(wants_retained=True))
    joined.receive(m.Subscribed(2, 6))
    joined.receive(event(1, subscription=6))
    assert sink.publications == [1]


# What sinks are told


def test_a_sink_is_told_of_its_connections(joined: ClientProtocol, wire: Recorder) -> None:
    sink = subscribed(joined)
    rejoin(joined, wire)
    joined.receive(m.Subscribed(1, 6))
    assert sink.told == ["held", "lost", "held"]
    joined.standing.closed(None)
    assert sink.told[-1] == "closed: None"
    assert len(joined.standing) == 0


def test_a_sink_is_told_when_its_subscription_is_not_restored(joined: ClientProtocol, wire: Recorder) -> None:
    sink = subscribed(joined)
    rejoin(joined, wire)
    joined.receive(error(32, 1, "wamp.error.not_authorized"))
    assert sink.told[-1] == "not restored: wamp.error.not_authorized"


def test_the_observer_is_told_when_everything_has_been_answered(
    joined: ClientProtocol, wire: Recorder
) -> None:
    subscribed(joined)
    joined.standing.register("a.add", ADD, ALONE, Future())
    joined.receive(m.Registered(2, 8))
    before = wire.restorations
    rejoin(joined, wire)
    joined.receive(m.Subscribed(1, 6))
    assert wire.restorations == before
    joined.receive(error(64, 2, "wamp.error.procedure_already_exists"))
    assert wire.restorations == before + 1


# Revocation


def test_a_subscription_that_the_router_takes_away_ends(joined: ClientProtocol, wire: Recorder) -> None:
    sink = subscribed(joined)
    joined.receive(m.Unsubscribed(0, m.UnsubscribedDetails(subscription=5, reason="com.example.enough")))
    assert "com.example.enough" in sink.told[-1]
    joined.receive(event(1))
    assert sink.publications == []
    assert rejoin(joined, wire) == []


def test_a_registration_that_the_router_takes_away_is_not_made_again(
    joined: ClientProtocol, wire: Recorder
) -> None:
    joined.standing.register("a.add", ADD, ALONE, Future())
    joined.receive(m.Registered(1, 8))
    joined.receive(m.Unregistered(0, m.UnregisteredDetails(registration=8)))
    assert "gives no reason" in str(ADD.revocations.pop())
    assert rejoin(joined, wire) == []


def test_a_revocation_that_crosses_an_unsubscription_is_ignored(joined: ClientProtocol) -> None:
    sink = subscribed(joined)
    answer: Future[Any] = Future()
    joined.standing.unsubscribe("a.b", "exact", sink, answer)
    joined.receive(m.Unsubscribed(0, m.UnsubscribedDetails(subscription=5)))
    joined.receive(error(34, 2, "wamp.error.no_such_subscription"))
    answered(answer)
    assert sink.told == ["held"]


@pytest.mark.parametrize("message", [m.Unsubscribed(0), m.Unregistered(0, m.UnregisteredDetails())])
def test_a_revocation_of_nothing_is_a_violation(joined: ClientProtocol, message: m.Message) -> None:
    with pytest.raises(ProtocolViolation):
        joined.receive(message)


# Registrations that differ


def test_a_procedure_and_a_pattern_of_the_same_text_are_two_registrations(
    joined: ClientProtocol, wire: Recorder
) -> None:
    prefix = m.RegisterOptions(match="prefix", invoke="roundrobin", concurrency=2)
    joined.standing.register("a.add", ADD, ALONE, Future())
    joined.standing.register("a.add", ADD, prefix, Future())
    assert wire.taken() == [m.Register(1, ALONE, "a.add"), m.Register(2, prefix, "a.add")]


def test_a_registration_is_made_again_with_its_options(joined: ClientProtocol, wire: Recorder) -> None:
    prefix = m.RegisterOptions(match="prefix", disclose_caller=True)
    joined.standing.register("a.add", ADD, prefix, Future())
    joined.receive(m.Registered(1, 8))
    assert rejoin(joined, wire) == [m.Register(1, prefix, "a.add")]


def test_a_session_that_leaves_gives_everything_back_by_leaving(
    joined: ClientProtocol, wire: Recorder
) -> None:
    sink = subscribed(joined)
    joined.leave()
    assert [type(sent) for sent in wire.taken()] == [m.Subscribe, m.Goodbye]
    answer: Future[Any] = Future()
    joined.standing.unsubscribe("a.b", "exact", sink, answer)
    answered(answer)
    assert wire.taken() == []
