"""The router without sockets: sessions whose peers write down what they are sent."""

from collections.abc import Collection, Iterator, Sequence
from itertools import count
from typing import Any

from heliograph.routing.options import AllowedActions, PermissionRule, RealmOptions, RoleOptions
from heliograph.routing.peer import Peer
from heliograph.routing.router import Router
from heliograph.routing.session import Session
from heliograph.wamp.messages import (
    Call,
    CallOptions,
    Event,
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
from heliograph.wamp.payload import EMPTY, Payload
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

    def take(self) -> list[Message]:
        """Return what was sent since the last time."""
        new, self.unread = self.sent[self.unread :], len(self.sent)
        return new


class RecordingDeliverer:
    """Hands events to recording peers; every format is tried before anybody receives anything."""

    def __init__(self) -> None:
        self.encodings: list[int] = []
        """How many formats each event was encoded in."""

    def deliver(self, event: Event, peers: Collection[Peer]) -> None:
        receivers = [peer for peer in peers if isinstance(peer, RecordingPeer)]
        assert len(receivers) == len(peers)
        formats = {peer.serializer.name: peer.serializer for peer in receivers if peer.serializer is not None}
        for serializer in formats.values():
            serializer.encode(event)
        self.encodings.append(len(formats))
        for peer in receivers:
            peer.sent.append(event)


class SessionPair:
    """Both ends of a session: the router's, and the peer that records.

    Args:
        router: whose session it is.
        serializer: the peer's format.
        role: what an anonymous session of it becomes.
    """

    def __init__(
        self, router: Router, *, serializer: Serializer | None = None, role: str = "anonymous"
    ) -> None:
        self.peer = RecordingPeer(serializer)
        self.session = Session(router, self.peer, anonymous_role=role)
        self._requests = count(1)

    def says(self, *messages: Message) -> list[Message]:
        """Let the peer send `messages`; return what it has received since it was last asked."""
        for message in messages:
            self.session.receive(message)
        return self.peer.take()

    def hears(self) -> list[Message]:
        """Return what the peer has received since it was last asked."""
        return self.peer.take()

    def join(self, realm: str = REALM) -> "SessionPair":
        """Say HELLO and swallow WELCOME."""
        (welcome,) = self.says(hello(realm))
        assert isinstance(welcome, Welcome), welcome
        return self

    def subscribe(self, topic: str) -> int:
        """Subscribe and return the subscription's id."""
        (answer,) = self.says(Subscribe(next(self._requests), SubscribeOptions(), topic))
        assert isinstance(answer, Subscribed), answer
        return answer.subscription

    def register(self, procedure: str) -> int:
        """Register and return the registration's id."""
        (answer,) = self.says(Register(next(self._requests), RegisterOptions(), procedure))
        assert isinstance(answer, Registered), answer
        return answer.registration

    @property
    def is_closed(self) -> bool:
        return self.peer.closes > 0


class Bench:
    """A router on the bench, its ids fixed: 1001, 1002, …

    Args:
        roles: of its only realm.
    """

    def __init__(self, roles: Sequence[RoleOptions] = (OPEN_ROLE,)) -> None:
        self.deliverer = RecordingDeliverer()
        self.random_ids: Iterator[int] = count(1001)
        self.router = Router(
            [RealmOptions(name=REALM, roles=list(roles))],
            deliverer=self.deliverer,
            random_id=lambda: next(self.random_ids),
            agent="Bench",
        )

    @property
    def realm(self) -> Any:
        return self.router.realms[REALM]

    def connect(self, serializer: Serializer | None = None, *, role: str = "anonymous") -> SessionPair:
        """Return a session before HELLO."""
        return SessionPair(self.router, serializer=serializer, role=role)

    def join(self, serializer: Serializer | None = None, *, role: str = "anonymous") -> SessionPair:
        """Return a session that has joined."""
        return self.connect(serializer, role=role).join()

    def assert_nothing_left(self) -> None:
        """Every table of the realm is empty."""
        broker, dealer = self.realm.broker, self.realm.dealer
        left = {
            "sessions": self.realm.sessions,
            "topics": broker._by_topic,
            "subscriptions": broker._by_id,
            "subscriptions of sessions": broker._of_session,
            "procedures": dealer._by_procedure,
            "registrations": dealer._by_id,
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


def call(request: int, procedure: str, payload: Payload = EMPTY) -> Call:
    return Call(request, CallOptions(), procedure, payload)
