"""Broker and dealer under any sequence of joins, requests, answers, leaves and crashes."""

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from heliograph.wamp.errors import CLOSE_NORMAL
from heliograph.wamp.messages import (
    CloseDetails,
    Error,
    Event,
    Goodbye,
    Invocation,
    Published,
    Registered,
    Result,
    Subscribed,
    Unregister,
    Unregistered,
    Unsubscribe,
    Unsubscribed,
    Yield,
    YieldOptions,
)
from heliograph.wamp.payload import PlainPayload
from tests.support.recording import Bench, SessionPair, call, publish, register, subscribe

TOPICS = ("com.example.a", "com.example.b")
PROCEDURES = ("com.example.p", "com.example.q")


class Client:
    """A peer and what it must have seen."""

    def __init__(self, bench: Bench, name: int) -> None:
        self.pair: SessionPair = bench.join()
        self.name = name
        self.is_here = True
        self.requests = 0
        self.subscriptions: dict[str, int] = {}
        self.procedures: dict[str, int] = {}
        self.published = 0
        self.expected: list[tuple[str, int, int]] = []
        """Topic, publisher and number of every event this client must have been sent."""
        self.calls: dict[int, Client] = {}
        """Calls that wait for an answer, with their callee."""
        self.answers: dict[int, int] = defaultdict(int)
        self.invocations: list[int] = []

    def next_request(self) -> int:
        self.requests += 1
        return self.requests


class Conversation(RuleBasedStateMachine):
    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.everybody: list[Client] = []

    def present(self) -> list[Client]:
        return [client for client in self.everybody if client.is_here]

    @rule(target=clients)
    def join(self) -> Client:
        client = Client(self.bench, len(self.everybody))
        self.everybody.append(client)
        return client

    @rule(client=clients, topic=st.sampled_from(TOPICS))
    def subscribe(self, client: Client, topic: str) -> None:
        if not client.is_here:
            return
        request = client.next_request()
        client.pair.session.receive(subscribe(request, topic))
        answer = client.pair.peer.sent[-1]
        assert isinstance(answer, Subscribed)
        assert client.subscriptions.setdefault(topic, answer.subscription) == answer.subscription
        assert {other.subscriptions[topic] for other in self.present() if topic in other.subscriptions} == {
            answer.subscription
        }

    @rule(client=clients, topic=st.sampled_from(TOPICS))
    def unsubscribe(self, client: Client, topic: str) -> None:
        if client.is_here and topic in client.subscriptions:
            request = client.next_request()
            client.pair.session.receive(Unsubscribe(request, client.subscriptions.pop(topic)))
            assert client.pair.peer.sent[-1] == Unsubscribed(request)

    @rule(client=clients, topic=st.sampled_from(TOPICS), exclude_me=st.booleans(), acknowledge=st.booleans())
    def publish(self, client: Client, topic: str, exclude_me: bool, acknowledge: bool) -> None:
        if not client.is_here:
            return
        client.published += 1
        payload = PlainPayload([topic, client.name, client.published])
        client.pair.session.receive(
            publish(client.next_request(), topic, payload, exclude_me=exclude_me, acknowledge=acknowledge)
        )
        assert isinstance(client.pair.peer.sent[-1], Published) or not acknowledge
        for other in self.present():
            if topic in other.subscriptions and (other is not client or not exclude_me):
                other.expected.append((topic, client.name, client.published))

    @rule(client=clients, procedure=st.sampled_from(PROCEDURES))
    def register(self, client: Client, procedure: str) -> None:
        if not client.is_here:
            return
        is_taken = any(procedure in other.procedures for other in self.present())
        client.pair.session.receive(register(client.next_request(), procedure))
        answer = client.pair.peer.sent[-1]
        if is_taken:
            assert isinstance(answer, Error)
            assert answer.error == "wamp.error.procedure_already_exists"
        else:
            assert isinstance(answer, Registered)
            client.procedures[procedure] = answer.registration

    @rule(client=clients, procedure=st.sampled_from(PROCEDURES))
    def unregister(self, client: Client, procedure: str) -> None:
        if client.is_here and procedure in client.procedures:
            request = client.next_request()
            client.pair.session.receive(Unregister(request, client.procedures.pop(procedure)))
            assert client.pair.peer.sent[-1] == Unregistered(request)

    @rule(client=clients, procedure=st.sampled_from(PROCEDURES))
    def call(self, client: Client, procedure: str) -> None:
        if not client.is_here:
            return
        callee = next((other for other in self.present() if procedure in other.procedures), None)
        request = client.next_request()
        client.pair.session.receive(call(request, procedure, PlainPayload([client.name, request])))
        if callee is None:
            answer = client.pair.peer.sent[-1]
            assert isinstance(answer, Error)
            assert (answer.request, answer.error) == (request, "wamp.error.no_such_procedure")
        else:
            invocation = callee.pair.peer.sent[-1]
            assert isinstance(invocation, Invocation)
            assert invocation.registration == callee.procedures[procedure]
            callee.invocations.append(invocation.request)
            client.calls[request] = callee

    @rule(client=clients, data=st.data(), fails=st.booleans())
    def answer(self, client: Client, data: st.DataObject, fails: bool) -> None:
        if not client.is_here or not client.invocations:
            return
        # The same invocation may be answered twice: what comes after the first answer is dropped.
        invocation = data.draw(st.sampled_from(client.invocations))
        if fails:
            client.pair.session.receive(Error(68, invocation, {}, "com.example.error"))
        else:
            client.pair.session.receive(Yield(invocation, YieldOptions()))

    @rule(client=consumes(clients), crashes=st.booleans())
    def leave(self, client: Client, crashes: bool) -> None:
        self.end(client, crashes=crashes)

    @rule(target=clients, client=consumes(clients))
    def break_the_protocol(self, client: Client) -> object:
        if client.is_here:
            client.pair.session.receive(Yield(2**53, YieldOptions()))
            assert client.pair.is_closed
            client.is_here = False
        return multiple()

    def end(self, client: Client, *, crashes: bool) -> None:
        if crashes:
            client.pair.session.lost()
        else:
            client.pair.session.receive(Goodbye(CloseDetails(), CLOSE_NORMAL))
        client.is_here = False

    @invariant()
    def everybody_was_told_what_concerns_them(self) -> None:
        for client in self.everybody:
            subscribed: set[int] = set()
            heard = []
            for message in client.pair.hears():
                if isinstance(message, Result | Error) and getattr(message, "request_type", 48) == 48:
                    client.answers[message.request] += 1
            for message in client.pair.peer.sent:
                if isinstance(message, Subscribed):
                    subscribed.add(message.subscription)
                elif isinstance(message, Event):
                    assert message.subscription in subscribed, "an event before SUBSCRIBED"
                    heard.append(tuple(message.payload.decoded()[0]))
            # Every event once, in the order in which they were published.
            assert heard == client.expected
            assert all(times == 1 for times in client.answers.values()), "two answers to one call"
            for request, callee in client.calls.items():
                if client.is_here and not callee.is_here:
                    assert client.answers[request] == 1, "a call whose callee has gone has no answer"

    def teardown(self) -> None:
        for number, client in enumerate(self.present()):
            self.end(client, crashes=number % 2 == 0)
        self.everybody_was_told_what_concerns_them()
        self.bench.assert_nothing_left()
        counters = self.bench.router.counters
        assert counters.sessions_opened == counters.sessions_closed == len(self.everybody)


Conversation.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestConversation = Conversation.TestCase
