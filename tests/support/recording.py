"""The router without sockets: sessions whose peers write down what they are sent."""

import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, cast

from heliograph.auth.facts import NOTHING_KNOWN, ConnectionFacts
from heliograph.auth.principal import Principal
from heliograph.routing.authenticators.assembly import Authenticators
from heliograph.routing.options import (
    AllowedActions,
    PermissionRule,
    RealmOptions,
    RoleOptions,
    SessionOptions,
)
from heliograph.routing.peer import Delivery, Peer
from heliograph.routing.router import Router
from heliograph.routing.session import Session
from heliograph.routing.work import Steps
from heliograph.wamp.messages import (
    Call,
    CallOptions,
    Hello,
    HelloDetails,
    Message,
    Publish,
    PublishOptions,
    Register,
    Registered,
    RegisterOptions,
    Subscribe,
    Subscribed,
    SubscribeOptions,
    Welcome,
)
from heliograph.wamp.payload import EMPTY, Payload, PreparedPayload
from heliograph.wire.serializers.serializer import Serializer

REALM = "realm1"
EVERYTHING = AllowedActions(call=True, register=True, publish=True, subscribe=True)
OPEN_ROLE = RoleOptions(
    name="anonymous", permissions=[PermissionRule(uri="", match="prefix", allow=EVERYTHING)]
)


class RecordingPeer:
    """A peer that keeps what it is sent, in order.

    Args:
        serializer: the format it speaks; with None it takes messages as they are.
    """

    def __init__(self, serializer: Serializer | None = None) -> None:
        self.serializer = serializer
        self.sent: list[Message] = []
        self.unread = 0
        self.closes = 0
        self.times_left = 0
        self.is_held = False
        self.room = sys.maxsize
        """Messages that may be sent and not taken."""
        self.waits_for_room: list[Callable[[], None]] = []

    def send(self, message: Message) -> None:
        if self.closes:
            raise AssertionError(f"{message} was sent after close()")
        if self.serializer is not None:
            self.serializer.encode(message)
        self.sent.append(message)

    def close(self) -> None:
        self.closes += 1

    def left(self) -> None:
        self.times_left += 1

    def hold(self) -> None:
        self.is_held = True

    def release(self) -> None:
        self.is_held = False

    @property
    def has_room(self) -> bool:
        return len(self.sent) - self.unread < self.room

    def when_room(self, callback: Callable[[], None]) -> None:
        if self.has_room:
            callback()
        else:
            self.waits_for_room.append(callback)

    def take(self) -> list[Message]:
        """Return what was sent since the last time."""
        new, self.unread = self.sent[self.unread :], len(self.sent)
        callbacks, self.waits_for_room = self.waits_for_room, []
        for callback in callbacks:
            callback()
        return new


class RecordingDeliverer:
    """Hands events to recording peers; every format is tried before anybody receives anything."""

    def __init__(self) -> None:
        self.encodings: list[int] = []
        """How many formats each event was encoded in."""

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        for event, peers in deliveries:
            formats = {peer.serializer.name: peer.serializer for peer in _recording(peers) if peer.serializer}
            for serializer in formats.values():
                serializer.encode(event)
            self.encodings.append(len(formats))
        for event, peers in deliveries:
            for peer in _recording(peers):
                peer.sent.append(event)

    def prepare(self, payload: Payload, peers: Iterable[Peer]) -> Payload:
        formats = {peer.serializer for peer in _recording(list(peers)) if peer.serializer}
        return PreparedPayload(payload, formats)


def _recording(peers: Collection[Peer]) -> list[RecordingPeer]:
    assert all(isinstance(peer, RecordingPeer) for peer in peers)
    return cast(list[RecordingPeer], list(peers))


class ManualTimer:
    """A timer of a manual clock."""

    def __init__(self, due_s: float, callback: Callable[[], None]) -> None:
        self.due_s = due_s
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class ManualClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.time_s = 1_700_000_000.0
        self.passed_s = 5_000.0
        self.timers: list[ManualTimer] = []

    def now_s(self) -> float:
        return self.time_s

    def monotonic_s(self) -> float:
        return self.passed_s

    def later(self, delay_s: float, callback: Callable[[], None]) -> ManualTimer:
        timer = ManualTimer(self.passed_s + delay_s, callback)
        self.timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass, and what is due happen in its order."""
        self.time_s += seconds
        self.passed_s += seconds
        for timer in sorted(self.pending, key=lambda timer: timer.due_s):
            if timer.due_s <= self.passed_s and not timer.is_cancelled:
                timer.is_cancelled = True
                timer.callback()

    def set_date(self, seconds: float) -> None:
        """Let somebody set the date that many seconds ahead, or back; no time passes."""
        self.time_s += seconds

    @property
    def pending(self) -> list[ManualTimer]:
        """Timers that may still go off."""
        self.timers = [timer for timer in self.timers if not timer.is_cancelled]
        return list(self.timers)


class ManualWork:
    """Turns that end when they are told to; until there is a budget, one turn has room for everything.

    Attributes:
        budget: units of work in a turn, None for no limit.
        spent: units of work in each turn so far.
        waiting: what goes on in turns to come.
    """

    def __init__(self) -> None:
        self.budget: int | None = None
        self.spent = [0]
        self.waiting: deque[Steps[None]] = deque()

    def spend(self, units: int) -> None:
        self.spent[-1] += units

    def go_on(self, steps: Steps[None]) -> None:
        self._run(steps)

    def next_turn(self) -> bool:
        """Begin another turn and do what it has room for; return whether more waits."""
        self.spent.append(0)
        for _ in range(len(self.waiting)):
            if self.is_exhausted:
                break
            self._run(self.waiting.popleft())
        return bool(self.waiting)

    def finish(self) -> None:
        """Do all that waits, in as many turns as it takes."""
        while self.waiting:
            self.next_turn()

    @property
    def is_exhausted(self) -> bool:
        return self.budget is not None and self.spent[-1] >= self.budget

    def _run(self, steps: Steps[None]) -> None:
        for waits_for in steps:
            if waits_for is not None:
                waits_for.when_room(partial(self.waiting.append, steps))
                return
            if self.is_exhausted:
                self.waiting.append(steps)
                return


class SessionPair:
    """Both ends of a session: the router's, and the peer that records.

    Args:
        router: whose session it is.
        serializer: the peer's format.
        role: what an anonymous session of it becomes.
        strict_ids: whether its request ids must count up.
        facts: what its transport knows of it.
        authenticators: who may join by that.
    """

    def __init__(
        self,
        router: Router,
        *,
        serializer: Serializer | None = None,
        role: str = "anonymous",
        strict_ids: bool = False,
        facts: ConnectionFacts = NOTHING_KNOWN,
        authenticators: Authenticators | None = None,
    ) -> None:
        self.peer = RecordingPeer(serializer)
        options = SessionOptions(anonymous_role=role, strict_ids=strict_ids)
        self.session = Session(router, self.peer, options, facts, authenticators)
        self._requests = count(1)
        self._unhandled: deque[Message] = deque()

    def says(self, *messages: Message) -> list[Message]:
        """Let the peer send `messages`; return what it has received since it was last asked.

        As at a transport, messages wait while the session waits for a decision.
        """
        self._unhandled.extend(messages)
        return self.hears()

    def hears(self) -> list[Message]:
        """Return what the peer has received since it was last asked."""
        while self._unhandled and not self.peer.is_held:
            self.session.receive(self._unhandled.popleft())
        return self.peer.take()

    def join(self, realm: str = REALM, features: Mapping[str, Collection[str]] = {}) -> "SessionPair":
        """Say HELLO, announcing `features` of each role, and swallow WELCOME."""
        roles = {
            role: {"features": dict.fromkeys(features.get(role, ()), True)}
            for role in ("publisher", "subscriber", "caller", "callee")
        }
        (welcome,) = self.says(hello(realm, roles=roles))
        assert isinstance(welcome, Welcome), welcome
        return self

    @property
    def id(self) -> int:
        return self.session.id

    def subscribe(self, topic: str, **options: Any) -> int:
        """Subscribe and return the subscription's id; what comes at once with it is swallowed."""
        answer = self.says(Subscribe(next(self._requests), SubscribeOptions(**options), topic))[0]
        assert isinstance(answer, Subscribed), answer
        return answer.subscription

    def register(self, procedure: str, **options: Any) -> int:
        """Register and return the registration's id."""
        answer = self.says(Register(next(self._requests), RegisterOptions(**options), procedure))[0]
        assert isinstance(answer, Registered), answer
        return answer.registration

    @property
    def is_closed(self) -> bool:
        return self.peer.closes > 0


class Bench:
    """A router on the bench, its ids fixed: 1001, 1002, …

    Args:
        roles: of its only realm.
        realm: further options of the realm.
    """

    def __init__(self, roles: Sequence[RoleOptions] = (OPEN_ROLE,), **realm: Any) -> None:
        self.deliverer = RecordingDeliverer()
        self.clock = ManualClock()
        self.work = ManualWork()
        self.random_ids: Iterator[int] = count(1001)
        self.router = Router(
            [RealmOptions(name=REALM, roles=list(roles), **realm)],
            deliverer=self.deliverer,
            random_id=lambda: next(self.random_ids),
            clock=self.clock,
            work=self.work,
            agent="Bench",
        )
        # The router has drawn ids for itself.
        self.random_ids = count(1001)

    @property
    def realm(self) -> Any:
        return self.router.realms[REALM]

    def connect(self, serializer: Serializer | None = None, *, role: str = "anonymous") -> SessionPair:
        """Return a session before HELLO."""
        return SessionPair(self.router, serializer=serializer, role=role)

    def join(
        self,
        serializer: Serializer | None = None,
        *,
        role: str = "anonymous",
        features: Mapping[str, Collection[str]] = {},
    ) -> SessionPair:
        """Return a session that has joined, announcing `features` of each role."""
        return self.connect(serializer, role=role).join(features=features)

    def join_as(
        self, authid: str, role: str = "anonymous", *, serializer: Serializer | None = None
    ) -> SessionPair:
        """Return a session that has joined and proven to be `authid`."""
        pair = self.connect(serializer, role=role)
        principal = Principal(authid=authid, authrole=role, authmethod="ticket", authprovider="static")
        pair.session.establish(self.realm, principal)
        return pair

    def assert_nothing_left(self) -> None:
        """Every table of the realm is empty."""
        broker, dealer = self.realm.broker, self.realm.dealer
        left = {
            "sessions": self.realm.sessions,
            "reserved ids": self.realm.reserved_ids,
            "testaments": self.realm.testaments,
            "subscriptions": broker.subscriptions,
            "topics": range(len(broker.index)),
            "subscriptions of sessions": broker._of_session,
            "registrations": dealer.procedures.registrations,
            "registrations of sessions": dealer.procedures.of_session,
            "procedures": range(len(dealer.procedures.index)),
            "timers": self.clock.pending,
            "calls of sessions": dealer._of_session,
        }
        assert not any(left.values()), left


def hello(realm: str = REALM, **details: Any) -> Hello:
    """Return a HELLO with all client roles, or with the details given."""
    details.setdefault("roles", {"publisher": {}, "subscriber": {}, "caller": {}, "callee": {}})
    return Hello(realm, HelloDetails(**details))


def publish(request: int, topic: str, payload: Payload = EMPTY, **options: Any) -> Publish:
    return Publish(request, PublishOptions(**options), topic, payload)


def subscribe(request: int, topic: str, **options: Any) -> Subscribe:
    return Subscribe(request, SubscribeOptions(**options), topic)


def register(request: int, procedure: str, **options: Any) -> Register:
    return Register(request, RegisterOptions(**options), procedure)


def call(request: int, procedure: str, payload: Payload = EMPTY, **options: Any) -> Call:
    return Call(request, CallOptions(**options), procedure, payload)
