"""Sessions that come, talk and go in every way there is, without sockets and without anybody who remembers."""

import random
from collections.abc import Callable, Iterable, Sequence

from heliograph.routing.options import (
    CallQueueOptions,
    EventHistoryOptions,
    PermissionRule,
    RealmOptions,
    RoleOptions,
    SessionOptions,
    StoreOptions,
)
from heliograph.routing.peer import Delivery, Peer
from heliograph.routing.router import Router
from heliograph.routing.session import Session
from heliograph.wamp.ids import MAX_ID
from heliograph.wamp.messages import (
    Call,
    CallOptions,
    Cancel,
    CancelOptions,
    CloseDetails,
    Goodbye,
    Invocation,
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
    Yield,
    YieldOptions,
)
from heliograph.wamp.payload import Payload, PlainPayload, PreparedPayload
from heliograph.wamp.uris import Match
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer
from heliograph.wire.serializers.serializer import Serializer
from tests.fuzz.strategies import ABLE
from tests.support.recording import EVERYTHING, ManualClock, ManualWork, hello

PAYLOAD = PlainPayload(["x" * 100], {"key": [1, 2, 3]})
MATCHES: Sequence[Match] = ("exact", "prefix", "wildcard")


class ForgettingPeer:
    """A peer that knows the last message it was sent, and answers calls."""

    def __init__(self, codec: Serializer) -> None:
        self.codec = codec
        self.last: Message | None = None
        self.events = 0
        self.invocation = 0

    def send(self, message: Message) -> None:
        self.codec.encode(message)
        self.last = message
        if isinstance(message, Invocation):
            self.invocation = message.request

    def close(self) -> None: ...

    def left(self) -> None: ...

    def hold(self) -> None: ...

    def release(self) -> None: ...

    @property
    def has_room(self) -> bool:
        return True

    def when_room(self, callback: Callable[[], None]) -> None:
        callback()


class ForgettingDeliverer:
    """Encodes each event once a format, as transports do, and counts who gets it."""

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        for event, peers in deliveries:
            for codec in {peer.codec for peer in peers if isinstance(peer, ForgettingPeer)}:
                codec.encode(event)
            for peer in peers:
                assert isinstance(peer, ForgettingPeer)
                peer.events += 1

    def prepare(self, payload: Payload, peers: Iterable[Peer]) -> Payload:
        codecs = {peer.codec for peer in peers if isinstance(peer, ForgettingPeer)}
        return PreparedPayload(payload, codecs)


class Turnstile:
    """A router, a few who stay, and a stream of those who come and go.

    Args:
        names: how many different URIs there are.
    """

    def __init__(self, *, names: int) -> None:
        ids = random.Random(1)
        self.clock = ManualClock()
        role = RoleOptions(
            name="anonymous",
            permissions=[
                PermissionRule(uri="", match="prefix", allow=EVERYTHING),
                PermissionRule(uri="wamp.", match="prefix", allow=EVERYTHING),
            ],
        )
        store = StoreOptions(
            event_history=[EventHistoryOptions(uri="com.", match="prefix", limit=50)],
            call_queue=[CallQueueOptions(uri="com.", match="prefix", limit=5)],
        )
        self.router = Router(
            [RealmOptions(name="realm1", roles=[role], store=store)],
            deliverer=ForgettingDeliverer(),
            random_id=lambda: ids.randrange(MAX_ID) + 1,
            clock=self.clock,
            work=ManualWork(),
            agent="Soak",
        )
        self._names = names
        self._cycle = 0
        self._stays, self._staying = self._join(0)
        self._say(self._stays, Subscribe(1, SubscribeOptions(match="prefix"), "com."))
        self._say(self._stays, Subscribe(2, SubscribeOptions(match="prefix"), "wamp."))
        self._say(self._stays, Register(3, RegisterOptions(match="prefix"), "com.stays."))

    def turn(self, times: int) -> None:
        """Let as many sessions come, talk and go."""
        for _ in range(times):
            self._cycle += 1
            self._pass(self._cycle)
            # Timers of calls that were answered are forgotten.
            self.clock.advance(0.001)

    def assert_only_those_who_stay_are_left(self) -> None:
        realm = self.router.realms["realm1"]
        assert len(realm.sessions) == 1
        assert len(realm.broker.index) == 2
        assert len(realm.dealer.procedures.index) == 1
        assert not realm.testaments
        assert not self.clock.pending
        counters = self.router.counters
        assert (counters.sessions_opened, counters.sessions_closed) == (self._cycle + 1, self._cycle)

    def _join(self, number: int) -> tuple[Session, ForgettingPeer]:
        peer = ForgettingPeer(serializer(SERIALIZER_NAMES[number % len(SERIALIZER_NAMES)]))
        session = Session(self.router, peer, SessionOptions())
        session.receive(hello(roles=ABLE))
        assert isinstance(peer.last, Welcome), peer.last
        return session, peer

    @staticmethod
    def _say(session: Session, message: Message) -> Message | None:
        session.receive(message)
        peer = session.peer
        assert isinstance(peer, ForgettingPeer)
        return peer.last

    def _pass(self, number: int) -> None:
        """One session: subscribes, registers, publishes, calls and is called; then it goes, one way or another."""
        session, peer = self._join(number)
        name = f"com.name{number % self._names}"
        match = MATCHES[number % 3]
        pattern = name if match == "exact" else f"{name}." if match == "prefix" else f"com..name{number % 7}"
        # Patterns look through all retained topics, which takes its time.
        wants_retained = match == "exact" or number % 1000 < 3
        subscribe = SubscribeOptions(match=match, get_retained=wants_retained)
        assert self._say(session, Subscribe(1, subscribe, pattern)) is not None
        registered = self._say(
            session, Register(2, RegisterOptions(invoke="roundrobin", concurrency=1), name)
        )
        assert isinstance(registered, Registered), registered
        options = PublishOptions(retain=number % 5 == 0, exclude_me=False, acknowledge=True)
        self._say(session, Publish(3, options, name, PAYLOAD))

        # One call each way, and one that is never answered.
        self._say(session, Call(4, CallOptions(timeout=1000), f"com.stays.{number % 9}", PAYLOAD))
        self._say(self._stays, Yield(self._staying.invocation, YieldOptions(), PAYLOAD))
        self._say(self._stays, Call(5, CallOptions(timeout=1000), name, PAYLOAD))
        self._say(self._stays, Call(6, CallOptions(timeout=1000), name, PAYLOAD))
        self._say(session, Yield(peer.invocation, YieldOptions(), PAYLOAD))
        self._say(session, Call(7, CallOptions(timeout=1000), f"com.stays.{number % 9}", PAYLOAD))
        if number % 4 == 0:
            testament = PlainPayload(["com.testament", ["gone"], {}])
            self._say(session, Call(8, CallOptions(), "wamp.session.add_testament", testament))
        self._LEAVING[number % len(self._LEAVING)](self, session)
        # What the one who stays was still asked for is stale by now, and dropped.
        self._say(self._stays, Yield(self._staying.invocation, YieldOptions(), PAYLOAD))

    def _leave(self, session: Session) -> None:
        self._say(session, Goodbye(CloseDetails(), "wamp.close.normal"))

    def _break(self, session: Session) -> None:
        session.lost()

    def _violate(self, session: Session) -> None:
        self._say(session, Subscribed(1, 1))

    def _give_up(self, session: Session) -> None:
        self._say(session, Cancel(7, CancelOptions()))
        session.lost()

    def _be_killed(self, session: Session) -> None:
        self._say(self._stays, Call(9, CallOptions(), "wamp.session.kill", PlainPayload([session.id])))
        self._say(session, Goodbye(CloseDetails(), "wamp.close.goodbye_and_out"))

    _LEAVING: Sequence[Callable[["Turnstile", Session], None]] = (
        _leave,
        _break,
        _violate,
        _give_up,
        _be_killed,
    )
