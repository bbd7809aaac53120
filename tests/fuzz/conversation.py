"""Several sessions of one router, fed with anything, and what must hold whatever it was."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from heliograph.routing.options import (
    AllowedActions,
    CallQueueOptions,
    EventHistoryOptions,
    PermissionRule,
    RoleOptions,
    StoreOptions,
)
from heliograph.routing.session import State
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Abort, Error, Message, Yield
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer
from tests.fuzz.strategies import ABLE, AUTHORIZER
from tests.support.recording import EVERYTHING, Bench, SessionPair, hello

SESSIONS = 4
WATCHED = 3
"""The number of the session an authorizer decides for."""

_OPEN = [
    PermissionRule(uri="", match="prefix", allow=EVERYTHING),
    # By name, so that killing and revoking are open, too.
    PermissionRule(uri="wamp.", match="prefix", allow=EVERYTHING),
]
ROLES = (
    RoleOptions(name="anonymous", permissions=_OPEN, trustlevel=3),
    RoleOptions(
        name="watched",
        permissions=[PermissionRule(uri=AUTHORIZER, allow=AllowedActions(register=True))],
        authorizer=AUTHORIZER,
        allow_disclose_me=False,
    ),
)
STORE = StoreOptions(
    event_history=[
        EventHistoryOptions(uri="com.", match="prefix", limit=3),
        EventHistoryOptions(uri="com.a", limit=2),
    ],
    call_queue=[CallQueueOptions(uri="com.", match="prefix", limit=2)],
)


class Conversation:
    """Sessions in every format and of both roles; a session that has ended is followed by a new one."""

    def __init__(self) -> None:
        self.bench = Bench(roles=ROLES, store=STORE)
        self.kept = len(self.bench.realm.broker.subscriptions)
        self._pairs: list[SessionPair] = []
        self._held: dict[SessionPair, deque[Any]] = {}
        self._aborts = 0
        self._gone: list[tuple[SessionPair, int]] = []
        for number in range(SESSIONS):
            self._pairs.append(self._new(number, ABLE))

    def _new(self, number: int, roles: Mapping[str, Any] | None) -> SessionPair:
        names = (None, *SERIALIZER_NAMES)
        name = names[number % len(names)]
        pair = SessionPair(
            self.bench.router,
            serializer=serializer(name) if name is not None else None,
            role=ROLES[number == WATCHED].name,
        )
        self._held[pair] = deque()
        if roles is not None:
            pair.says(hello(roles=dict(roles)))
        return pair

    @property
    def router(self) -> Any:
        return self.bench.router

    def say(self, number: int, message: Message | bytes) -> None:
        """Let a session's peer say a message, or bytes of its format, as soon as it is listened to."""
        pair = self._pairs[number]
        self._held[pair].append(message)
        self._go_on()

    def answer(self, message: Yield | Error) -> None:
        """Let a callee answer the call that has waited longest, if there is one."""
        for number, pair in enumerate(self._pairs):
            calls = self.bench.realm.dealer._of_session.get(pair.session)
            if calls is not None and calls.taken:
                self.say(number, replace(message, request=next(iter(calls.taken))))
                return

    def lose(self, number: int, roles: Mapping[str, Any] | None = None) -> None:
        """Let a session's transport break; another comes in its place, and joins with `roles` if there are any."""
        self._replace(number, roles)
        self._go_on()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.bench.clock.advance(seconds)
        self._go_on()

    def bound(self, budget: int | None) -> None:
        """Let turns have so much room from now on, and one end."""
        self.bench.work.budget = budget
        self.bench.work.next_turn()
        self._go_on()

    def shut_down(self, number: int) -> None:
        """Let the router say GOODBYE to a session."""
        if not self._pairs[number].is_closed:
            self._pairs[number].session.shut_down()
        self._go_on()

    def end(self) -> None:
        """Let everybody go, and see that nothing of them stays."""
        self.bench.work.budget = None
        self.bench.work.finish()
        self._go_on()
        for number in range(SESSIONS):
            self.lose(number)
        self.bench.work.finish()
        # Those that came in their places have not joined; decisions on their way run out.
        self.bench.clock.advance(60)
        for pair, length in self._gone:
            assert len(pair.peer.sent) == length, (
                f"{pair.peer.sent[length:]} was sent to somebody who had gone"
            )
        broker = self.bench.realm.broker
        assert not any(subscription.subscribers for subscription in broker.subscriptions.values())
        assert len(broker.subscriptions) == len(broker.index) == self.kept
        self._assert_nothing_left()
        counters = self.router.counters
        assert self._aborts == counters.violations + counters.sessions_refused
        assert counters.sessions_opened == counters.sessions_closed

    def _assert_nothing_left(self) -> None:
        realm = self.bench.realm
        left = {
            "sessions": realm.sessions,
            "testaments": realm.testaments,
            "subscriptions of sessions": realm.broker._of_session,
            "registrations": realm.dealer.procedures.registrations,
            "registrations of sessions": realm.dealer.procedures.of_session,
            "procedures": range(len(realm.dealer.procedures.index)),
            "timers": self.bench.clock.pending,
            # The router's own caller may stay known, without any call.
            "calls": [calls for calls in realm.dealer._of_session.values() if calls.made or calls.taken],
        }
        assert not any(left.values()), left

    def _go_on(self) -> None:
        """Hand over what is not held back, until nothing more moves."""
        moved = True
        while moved:
            moved = False
            for number, pair in enumerate(self._pairs):
                while self._held[pair] and not pair.peer.is_held:
                    self._receive(pair, self._held[pair].popleft())
                    moved = True
                    self._check(pair)
                if pair.is_closed:
                    self._replace(number, ABLE)

    def _receive(self, pair: SessionPair, message: Message | bytes) -> None:
        """Do what a transport does with what it reads."""
        if isinstance(message, bytes):
            assert pair.peer.serializer is not None
            try:
                message = pair.peer.serializer.decode(message)
            except ProtocolViolation as violation:
                pair.session.violate(violation)
                return
        pair.session.receive(message)

    def _check(self, pair: SessionPair) -> None:
        aborts = [message for message in pair.peer.sent if isinstance(message, Abort)]
        assert len(aborts) <= 1, "a session is aborted once"
        if aborts:
            assert pair.peer.sent[-1] is aborts[0], "nothing follows ABORT"
            assert pair.is_closed, "ABORT closes the transport"
            assert pair.session.state is State.ABORTED

    def _replace(self, number: int, roles: Mapping[str, Any] | None) -> None:
        """Let a transport be gone, and another client come."""
        pair = self._pairs[number]
        pair.session.lost()
        self._check(pair)
        self._aborts += sum(isinstance(message, Abort) for message in pair.peer.sent)
        self._gone.append((pair, len(pair.peer.sent)))
        del self._held[pair]
        self._pairs[number] = self._new(number, roles)
