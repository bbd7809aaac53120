"""Broker and dealer under any sequence of joins, requests, answers, leaves, crashes and passing time.

What the machine does not know beforehand, it reads off what peers are sent, and holds it against what the
specification promises: one final answer a call, order between two peers, and nothing left when all have gone.
"""

import json
from collections import Counter, defaultdict
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from heliograph.routing.dealer import Dealer
from heliograph.routing.options import CallQueueOptions, StoreOptions
from heliograph.wamp.errors import CLOSE_KILLED, CLOSE_NORMAL
from heliograph.wamp.ids import scattered
from heliograph.wamp.messages import (
    Abort,
    CloseDetails,
    Error,
    Event,
    Goodbye,
    Interrupt,
    Invocation,
    Message,
    Published,
    Registered,
    Result,
    Subscribed,
    Unregister,
    Unregistered,
    Unsubscribe,
    Unsubscribed,
)
from heliograph.wamp.payload import EncodedPayload, Payload, PlainPayload
from heliograph.wire.serializers import serializer
from tests.support.calling import (
    CANCELING,
    PROGRESSIVE_INVOCATIONS,
    PROGRESSIVE_RESULTS,
    REROUTE,
    REVOCATION,
    TIMEOUT,
    cancel,
    failure,
    unavailable,
    yield_,
)
from tests.support.recording import Bench, SessionPair, call, publish, register, subscribe

TOPICS = ("com.example.a", "com.example.b")
TOPIC_PATTERNS = [
    *((topic, "exact") for topic in TOPICS),
    ("com.", "prefix"),
    ("com.example.b", "prefix"),
    ("com..a", "wildcard"),
]
PROCEDURES = ("com.example.p", "com.example.q", "com.queue.p")
PROCEDURE_PATTERNS = [
    *((procedure, "exact") for procedure in PROCEDURES),
    ("com.", "prefix"),
    ("com..p", "wildcard"),
]
QUEUED = "com.queue.p"
QUEUE_LIMIT = 2
POLICIES = ("single", "roundrobin", "random", "first", "last")
CALLEE_FEATURES = (
    PROGRESSIVE_RESULTS, PROGRESSIVE_INVOCATIONS, CANCELING, REROUTE, REVOCATION, TIMEOUT,
)  # fmt: skip
JSON, MSGPACK = serializer("json"), serializer("msgpack")
FORMATS = {"none": None, "json": JSON, "msgpack": MSGPACK}

WHO = st.integers(0, 5)
READABLE = st.sampled_from([True, True, True, False])


def matches(pattern: str, match: str, uri: str) -> bool:
    if match == "exact":
        return pattern == uri
    if match == "prefix":
        return uri.startswith(pattern)
    wanted, given = pattern.split("."), uri.split(".")
    return len(wanted) == len(given) and all(
        part in ("", other) for part, other in zip(wanted, given, strict=True)
    )


def told(payload: Payload) -> list[Any]:
    """Return a payload's arguments, also of one that not every format can express."""
    if isinstance(payload, EncodedPayload):
        return json.loads(payload.args)  # type: ignore[no-any-return]  # a list
    return payload.decoded()[0]


class Calling:
    """A call a client has made."""

    def __init__(self, procedure: str, *, is_open: bool, receive_progress: bool) -> None:
        self.procedure = procedure
        self.is_open = is_open
        self.receive_progress = receive_progress
        self.pieces = 1
        self.answers = 0


class Client:
    """A peer, what it has done, and what it has seen."""

    def __init__(self, bench: Bench, name: int, wire: str, features: frozenset[str]) -> None:
        self.pair: SessionPair = bench.join(
            FORMATS[wire],
            features={"callee": features, "caller": [PROGRESSIVE_INVOCATIONS]},
        )
        self.name = name
        self.wire = wire
        self.features = features
        self.is_here = True
        self.requests = 0
        self.subscriptions: dict[tuple[str, str], int] = {}
        self.registrations: dict[int, str] = {}
        """Ids of registrations it was given and never lost, and their policies."""
        self.published = 0
        self.expected: Counter[tuple[int, int, int]] = Counter()
        """Subscription, publisher and number of every event this client must have been sent."""
        self.calls: dict[int, Calling] = {}
        self.invocations: list[int] = []
        self.asked: dict[int, tuple[int, int, int]] = {}
        """Caller, request and pieces so far of each invocation."""
        self.interrupted: set[int] = set()

    def next_request(self) -> int:
        self.requests += 1
        return self.requests

    def receive(self, message: Message) -> None:
        self.pair.session.receive(message)


class Conversation(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(store=StoreOptions(call_queue=[CallQueueOptions(uri=QUEUED, limit=QUEUE_LIMIT)]))
        self.everybody: list[Client] = []
        self.passed_on: set[tuple[int, int]] = set()
        """Caller and request of each call that was declined by a callee; order is not promised for it."""
        self.order: dict[tuple[int, int], int] = defaultdict(int)
        """Caller and callee to the request of the last call that was brought from one to the other."""

    def present(self) -> list[Client]:
        return [client for client in self.everybody if client.is_here]

    def client(self, who: int) -> Client:
        present = self.present()
        return present[who % len(present)]

    def payload(self, client: Client, *words: int, readable: bool) -> Payload:
        """Return arguments; those that are not `readable` can be told to no peer that speaks MessagePack."""
        if readable or client.wire != "json":
            return PlainPayload(words)
        return EncodedPayload(JSON, f"[{', '.join(map(str, words))}, 1e999]".encode(), b"")

    # Coming and going.

    @initialize(policy=st.sampled_from(POLICIES[1:]), concurrency=st.sampled_from([None, 1, 2]))
    def some_are_there(self, policy: str, concurrency: int | None) -> None:
        everything = frozenset(CALLEE_FEATURES)
        for wire, features in (
            ("none", everything),
            ("json", everything),
            ("msgpack", everything - {REROUTE}),
        ):
            self.join(wire, features)
            for procedure, limit in ((PROCEDURES[0], concurrency), (QUEUED, 1)):
                self.register(
                    len(self.everybody) - 1, (procedure, "exact"), policy, limit, False, False, False
                )
        self.join("json", frozenset())

    @precondition(lambda self: len(self.present()) < 5)
    @rule(
        wire=st.sampled_from(sorted(FORMATS)),
        features=st.frozensets(st.sampled_from(CALLEE_FEATURES)) | st.just(frozenset(CALLEE_FEATURES)),
    )
    def join(self, wire: str, features: frozenset[str]) -> None:
        self.everybody.append(Client(self.bench, len(self.everybody), wire, features))

    @precondition(lambda self: len(self.present()) > 3)
    @rule(who=WHO, how=st.sampled_from(["crash", "goodbye", "violation", "kill"]))
    def leave(self, who: int, how: str) -> None:
        self.end(self.client(who), how)

    def end(self, client: Client, how: str) -> None:
        if how == "crash":
            client.pair.session.lost()
        elif how == "goodbye":
            client.receive(Goodbye(CloseDetails(), CLOSE_NORMAL))
        elif how == "violation":
            client.receive(yield_(2**53))
            assert isinstance(client.pair.peer.sent[-1], Abort)
            assert client.pair.is_closed
        else:
            client.pair.session.end(CLOSE_KILLED, None)
        client.is_here = False

    @rule(seconds=st.sampled_from([0.4, 1.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.clock.advance(seconds)

    # Publishing.

    @rule(who=WHO, pattern=st.sampled_from(TOPIC_PATTERNS))
    def subscribe(self, who: int, pattern: tuple[str, str]) -> None:
        client = self.client(who)
        client.receive(subscribe(client.next_request(), pattern[0], match=pattern[1]))
        answer = client.pair.peer.sent[-1]
        assert isinstance(answer, Subscribed)
        client.subscriptions[pattern] = answer.subscription
        assert {
            other.subscriptions[pattern] for other in self.present() if pattern in other.subscriptions
        } == {answer.subscription}

    @rule(who=WHO, pattern=st.sampled_from(TOPIC_PATTERNS))
    def unsubscribe(self, who: int, pattern: tuple[str, str]) -> None:
        client = self.client(who)
        if pattern in client.subscriptions:
            request = client.next_request()
            client.receive(Unsubscribe(request, client.subscriptions.pop(pattern)))
            assert client.pair.peer.sent[-1] == Unsubscribed(request)

    @rule(who=WHO, topic=st.sampled_from(TOPICS), exclude_me=st.booleans(), acknowledge=st.booleans())
    def publish(self, who: int, topic: str, exclude_me: bool, acknowledge: bool) -> None:
        client = self.client(who)
        client.published += 1
        for other in self.present():
            for (pattern, match), subscription in other.subscriptions.items():
                if matches(pattern, match, topic) and (other is not client or not exclude_me):
                    other.expected[subscription, client.name, client.published] += 1
        client.receive(
            publish(
                client.next_request(),
                topic,
                PlainPayload([client.name, client.published]),
                exclude_me=exclude_me,
                acknowledge=acknowledge,
            )
        )
        assert isinstance(client.pair.peer.sent[-1], Published) or not acknowledge

    # Registering.

    @rule(
        who=WHO,
        pattern=st.sampled_from(PROCEDURE_PATTERNS),
        invoke=st.sampled_from(POLICIES),
        concurrency=st.sampled_from([None, 1, 2]),
        forward_timeout=st.booleans(),
        force=st.sampled_from([False, False, False, True]),
        joins=st.booleans(),
    )
    def register(
        self,
        who: int,
        pattern: tuple[str, str],
        invoke: str,
        concurrency: int | None,
        forward_timeout: bool,
        force: bool,
        joins: bool,
    ) -> None:
        client = self.client(who)
        existing = self.bench.realm.dealer.procedures.index.get(*pattern)
        if joins and existing is not None:
            invoke = existing.invoke
        request = client.next_request()
        before = len(client.pair.peer.sent)
        if existing is not None and force:
            self.lose(existing.id)
        client.receive(
            register(
                request,
                pattern[0],
                match=pattern[1],
                invoke=invoke,
                concurrency=concurrency,
                forward_timeout=forward_timeout,
                force_reregister=force,
            )
        )
        # A callee that waits for nothing may be given an invocation at once, after REGISTERED.
        answer = next(
            message
            for message in client.pair.peer.sent[before:]
            if isinstance(message, Registered)
            or (isinstance(message, Error) and (message.request_type, message.request) == (64, request))
        )
        is_shared = existing is not None and existing.invoke == invoke != "single"
        if existing is None or force or (is_shared and existing.id not in client.registrations):
            assert isinstance(answer, Registered)
            client.registrations[answer.registration] = invoke
        else:
            assert isinstance(answer, Error)
            assert answer.error == "wamp.error.procedure_already_exists"

    def lose(self, registration: int) -> None:
        for other in self.present():
            other.registrations.pop(registration, None)

    @rule(who=WHO, which=st.integers(0, 3), revoked=st.booleans())
    def unregister(self, who: int, which: int, revoked: bool) -> None:
        client = self.client(who)
        if not client.registrations:
            return
        registration = sorted(client.registrations)[which % len(client.registrations)]
        del client.registrations[registration]
        before = len(client.pair.peer.sent)
        dealer: Dealer = self.bench.realm.dealer
        if revoked:
            dealer.procedures.revoke(
                dealer.procedures.registrations[registration], client.pair.session, "com.example.reason"
            )
        else:
            client.receive(Unregister(client.next_request(), registration))
        answers = [m for m in client.pair.peer.sent[before:] if isinstance(m, Unregistered)]
        assert len(answers) == (not revoked or REVOCATION in client.features)

    # Calling.

    @rule(
        who=WHO,
        procedure=st.sampled_from((*PROCEDURES, QUEUED)),
        timeout=st.sampled_from([0, 0, 500, 3000]),
        progress=st.booleans(),
        receive_progress=st.booleans(),
        readable=READABLE,
    )
    def call(
        self,
        who: int,
        procedure: str,
        timeout: int,
        progress: bool,
        receive_progress: bool,
        readable: bool,
    ) -> None:
        client = self.client(who)
        request = client.next_request()
        client.calls[request] = Calling(procedure, is_open=progress, receive_progress=receive_progress)
        is_known = any(
            matches(found.procedure, found.match, procedure)
            for found in self.bench.realm.dealer.procedures.registrations.values()
        )
        client.receive(
            call(
                request,
                procedure,
                self.payload(client, client.name, request, 1, readable=readable),
                timeout=timeout,
                progress=progress,
                receive_progress=receive_progress,
            )
        )
        if not is_known:
            answer = client.pair.peer.sent[-1]
            assert isinstance(answer, Error)
            assert (answer.request, answer.error) == (request, "wamp.error.no_such_procedure")

    @rule(
        who=WHO,
        procedure=st.sampled_from((PROCEDURES[0], QUEUED)),
        count=st.integers(2, 4),
        timeout=st.sampled_from([0, 3000]),
        progress=st.booleans(),
    )
    def call_many(self, who: int, procedure: str, count: int, timeout: int, progress: bool) -> None:
        for _ in range(count):
            self.call(who, procedure, timeout, progress, receive_progress=True, readable=True)
            if progress:
                self.call_on(0, progress=True, readable=True)

    @rule(which=st.integers(0, 9), progress=st.booleans(), readable=READABLE)
    def call_on(self, which: int, progress: bool, readable: bool) -> None:
        """Send a further piece, whether or not the call has ended in the meantime: a caller may not know."""
        open_calls = [
            (client, request)
            for client in self.present()
            for request, made in client.calls.items()
            if made.is_open
        ]
        if not open_calls:
            return
        client, request = open_calls[-1 - which % len(open_calls)]
        made = client.calls[request]
        made.is_open = progress
        made.pieces += 1
        payload = self.payload(client, client.name, request, made.pieces, readable=readable)
        client.receive(call(request, made.procedure, payload, progress=progress))

    @rule(which=st.integers(0, 9), mode=st.sampled_from(["skip", "kill", "killnowait", None]))
    def cancel(self, which: int, mode: str | None) -> None:
        """Cancel one of the newest calls, whether or not it is answered."""
        made = [(client, request) for client in self.present() for request in client.calls]
        if made:
            client, request = made[-1 - which % len(made)]
            client.receive(cancel(request, mode))

    def outstanding(self, which: int) -> tuple[Client, int] | None:
        """Return a callee and an invocation it has not answered, if there are any."""
        books = self.bench.realm.dealer._of_session
        found = [
            (client, number)
            for client in self.present()
            if client.pair.session in books
            for number in books[client.pair.session].taken
        ]
        return found[which % len(found)] if found else None

    @rule(which=st.integers(0, 9), fails=st.booleans(), readable=READABLE)
    def answer(self, which: int, fails: bool, readable: bool) -> None:
        found = self.outstanding(which)
        if found is not None:
            client, number = found
            payload = self.payload(client, client.name, readable=readable)
            client.receive(failure(number, payload=payload) if fails else yield_(number, payload))

    @rule(which=st.integers(0, 9), readable=READABLE)
    def answer_with_progress(self, which: int, readable: bool) -> None:
        found = self.outstanding(which)
        if found is not None:
            client, number = found
            payload = self.payload(client, client.name, readable=readable)
            client.receive(yield_(number, payload, progress=True))

    @rule(which=st.integers(0, 9))
    def decline(self, which: int) -> None:
        found = self.outstanding(which)
        if found is not None:
            client, number = found
            self.passed_on.add(client.asked[number][:2])
            client.receive(unavailable(number))

    @rule(who=WHO, which=st.integers(0, 9), kind=st.integers(0, 3))
    def answer_again(self, who: int, which: int, kind: int) -> None:
        """Answer an invocation that nobody may wait for any more."""
        client = self.client(who)
        if not client.invocations:
            return
        number = client.invocations[-1 - which % len(client.invocations)]
        self.passed_on.add(client.asked[number][:2])
        late = (yield_(number), yield_(number, progress=True), failure(number), unavailable(number))
        client.receive(late[kind])

    # What must always hold.

    @invariant()
    def everything_holds(self) -> None:
        # In this order: what was sent has to be read first.
        self.everybody_was_told_what_concerns_them()
        self.events_come_after_subscribed_and_in_order()
        self.invocations_come_after_registered()
        self.calls_without_an_answer_are_on_the_books_and_no_others()
        self.the_books_agree()
        self.registrations_are_those_their_callees_know_of()

    def everybody_was_told_what_concerns_them(self) -> None:
        for client in self.everybody:
            for message in client.pair.hears():
                self.check(client, message)
            assert client.is_here is not client.pair.session.state.name.startswith(
                ("ABORT", "SHUT", "CLOSED")
            )

    def check(self, client: Client, message: Message) -> None:
        match message:
            case Event():
                publisher, number = told(message.payload)
                client.expected[message.subscription, publisher, number] -= 1
                assert client.expected[message.subscription, publisher, number] >= 0
            case Result():
                made = client.calls[message.request]
                assert made.answers == 0, "something after the final answer"
                if message.details.progress:
                    assert made.receive_progress, "a progressive result nobody asked for"
                else:
                    made.answers = 1
            case Error(request_type=48):
                made = client.calls[message.request]
                assert made.answers == 0, "two final answers to one call"
                made.answers = 1
            case Invocation():
                self.check_invocation(client, message)
            case Interrupt():
                assert CANCELING in client.features
                assert message.request in client.asked
                assert message.request not in client.interrupted, "interrupted twice"
                client.interrupted.add(message.request)
            case Error():
                assert message.request_type in (64, 70), message

    def check_invocation(self, client: Client, message: Invocation) -> None:
        caller, request, piece = told(message.payload)[:3]
        number = message.request
        if number in client.asked:
            assert client.asked[number] == (caller, request, piece - 1), "pieces out of order"
            assert number not in client.interrupted, "a piece after INTERRUPT"
        else:
            assert number == len(client.asked) + 1, "invocation ids must count up by one"
            assert piece == 1, "a call begins with its first piece"
            client.invocations.append(number)
            made = self.everybody[caller].calls[request]
            if made.procedure != QUEUED and (caller, request) not in self.passed_on:
                assert self.order[caller, client.name] < request, "calls of one caller out of order"
                self.order[caller, client.name] = request
        client.asked[number] = (caller, request, piece)
        if message.details.progress:
            assert {PROGRESSIVE_INVOCATIONS, CANCELING} <= client.features
        if message.details.receive_progress:
            assert {PROGRESSIVE_RESULTS, CANCELING} <= client.features
        if message.details.timeout:
            assert TIMEOUT in client.features

    def events_come_after_subscribed_and_in_order(self) -> None:
        for client in self.everybody:
            assert not +client.expected, "an event was not delivered"
            subscribed: set[int] = set()
            newest: dict[int, int] = defaultdict(int)
            for message in client.pair.peer.sent:
                if isinstance(message, Subscribed):
                    subscribed.add(message.subscription)
                elif isinstance(message, Event):
                    assert message.subscription in subscribed, "an event before SUBSCRIBED"
                    publisher, number = told(message.payload)
                    assert newest[publisher] <= number, "events of one publisher out of order"
                    newest[publisher] = number

    def invocations_come_after_registered(self) -> None:
        for client in self.everybody:
            registered: set[int] = set()
            for message in client.pair.peer.sent:
                if isinstance(message, Registered):
                    registered.add(message.registration)
                elif isinstance(message, Invocation):
                    assert message.registration in registered, "an invocation before REGISTERED"

    def calls_without_an_answer_are_on_the_books_and_no_others(self) -> None:
        dealer: Dealer = self.bench.realm.dealer
        for client in self.present():
            unanswered = {request for request, made in client.calls.items() if not made.answers}
            books = dealer._of_session.get(client.pair.session)
            assert set(map(scattered, unanswered)) == set(books.made if books is not None else ())

    def the_books_agree(self) -> None:
        dealer: Dealer = self.bench.realm.dealer
        timers = 0
        active: Counter[Any] = Counter()
        assert {client.pair.session for client in self.present()} >= set(dealer._of_session)
        for session, books in dealer._of_session.items():
            for pending in books.made.values():
                assert pending.caller is session
                timers += pending.timer is not None
                if pending.callee is None:
                    assert pending in pending.registration.waiting
                    assert pending.timer is not None or not pending.options.timeout
                else:
                    assert dealer._of_session[pending.callee.session].taken[pending.invocation] is pending
                    assert pending not in pending.registration.waiting
            for pending in books.taken.values():
                assert pending.callee is not None
                assert pending.callee.session is session
                assert dealer._of_session[pending.caller].made[scattered(pending.request)] is pending
                active[pending.callee] += 1
        for callee, count in active.items():
            assert callee.active == count
            assert callee.concurrency is None or count <= callee.concurrency
        ending = sum(client.pair.session._goodbye_timer is not None for client in self.everybody)
        assert len(self.bench.clock.pending) == timers + ending

    def registrations_are_those_their_callees_know_of(self) -> None:
        dealer: Dealer = self.bench.realm.dealer
        known = {id_ for client in self.present() for id_ in client.registrations}
        assert set(dealer.procedures.registrations) == known
        assert len(dealer.procedures.index) == len(known)
        assert {
            session: {registration.id for registration in registrations}
            for session, registrations in dealer.procedures.of_session.items()
        } == {
            client.pair.session: set(client.registrations)
            for client in self.present()
            if client.registrations
        }
        for registration in dealer.procedures.registrations.values():
            sessions = {callee.session for callee in registration.callees}
            assert len(sessions) == len(registration.callees)
            assert sessions == {
                client.pair.session for client in self.present() if registration.id in client.registrations
            }
            assert sum(pending.procedure == QUEUED for pending in registration.waiting) <= QUEUE_LIMIT
            for pending in registration.waiting:
                assert pending.procedure == QUEUED, "a call waits where there is no queue"
                assert registration.has_untried(pending.tried), "a call waits for nobody"
            if any(not pending.tried for pending in registration.waiting):
                position = registration._next
                assert registration.pick() is None, "a call waits while a callee is free"
                registration._next = position

    def teardown(self) -> None:
        for number, client in enumerate(self.present()):
            self.end(client, "crash" if number % 2 == 0 else "goodbye")
            self.everybody_was_told_what_concerns_them()
            self.calls_without_an_answer_are_on_the_books_and_no_others()
        # Whoever was told to go and has not answered is given up after a while.
        self.bench.clock.advance(10)
        self.bench.assert_nothing_left()
        counters = self.bench.router.counters
        assert counters.sessions_opened == counters.sessions_closed == len(self.everybody)


Conversation.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestConversation = Conversation.TestCase
