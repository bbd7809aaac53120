"""Calls the router itself makes: to authorizers and authenticators that are WAMP procedures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from heliograph.auth.principal import Principal
from heliograph.routing.authorizer import TrustedAuthorizer
from heliograph.routing.no_answer import NoAnswer
from heliograph.routing.options import RoleOptions
from heliograph.routing.peer import Clock, Timer
from heliograph.routing.realm import Realm, Role
from heliograph.routing.session import Session
from heliograph.wamp.errors import (
    CANCELED,
    MAX_CONCURRENCY_REACHED,
    NO_AVAILABLE_CALLEE,
    NO_SUCH_PROCEDURE,
    TIMEOUT,
    TOO_MANY_CALLS,
    UNAVAILABLE,
)
from heliograph.wamp.ids import SequentialIds
from heliograph.wamp.messages import Call, CallOptions, Error, Message, Result
from heliograph.wamp.payload import Payload, PlainPayload

if TYPE_CHECKING:
    from heliograph.routing.router import Router

Then = Callable[[Payload | NoAnswer], None]

Stop = Callable[[], object]
"""Gives a question up; does nothing once it is answered."""

_CALLEE_AWAY = frozenset(
    {
        CANCELED,
        MAX_CONCURRENCY_REACHED,
        NO_AVAILABLE_CALLEE,
        NO_SUCH_PROCEDURE,
        TIMEOUT,
        TOO_MANY_CALLS,
        UNAVAILABLE,
    }
)
"""Errors with which the dealer answers in the place of a callee."""

_ROUTER = Principal(authid="router", authrole="trusted", authmethod="internal", authprovider="router")


class RouterCaller:
    """The router as a caller in one of its realms; it has no session id and is in no list of sessions.

    Args:
        router: whose calls they are.
        realm: where the procedures are.
        clock: for time limits.
    """

    def __init__(self, router: Router, realm: Realm, clock: Clock) -> None:
        self._clock = clock
        self._requests = SequentialIds()
        self._waiting: dict[int, tuple[Then, Timer]] = {}
        self._session = Session(router, self)
        self._session.attach(realm, _ROUTER, Role(RoleOptions(name="trusted"), TrustedAuthorizer()))
        self._realm = realm

    def is_callee(self, session: Session, procedure: str) -> bool:
        """Return whether `session` implements `procedure` itself, not by a pattern."""
        return self._realm.dealer.procedures.is_callee(session, procedure)

    def call(
        self,
        procedure: str,
        args: Sequence[Any],
        *,
        timeout_s: float,
        then: Callable[[Payload | None], None],
    ) -> None:
        """Call `procedure` and hand its result to `then`, or None: there is none, whyever."""
        self.ask(
            procedure,
            args,
            timeout_s=timeout_s,
            then=lambda answer: then(None if isinstance(answer, NoAnswer) else answer),
        )

    def ask(self, procedure: str, args: Sequence[Any], *, timeout_s: float, then: Then) -> Stop:
        """Call `procedure` and hand its result to `then`, or why there is none; return what stops it.

        Somebody who has registered a pattern that covers the procedure is not asked: who may do that is another
        question than who may decide for the router.
        """
        if not self.is_registered(procedure):
            then(NoAnswer.NOT_THERE)
            return _nothing_to_stop
        request = self._requests.next()
        timer = self._clock.later(timeout_s, lambda: self._finish(request, NoAnswer.OVERDUE))
        self._waiting[request] = (then, timer)
        self._session.receive(Call(request, CallOptions(), procedure, PlainPayload(args)))
        return lambda: self._forget(request)

    def send(self, message: Message) -> None:
        """Take an answer."""
        request = getattr(message, "request", None)
        if not isinstance(request, int):
            return
        if isinstance(message, Result):
            self._finish(request, message.payload)
        else:
            is_away = isinstance(message, Error) and message.error in _CALLEE_AWAY
            self._finish(request, NoAnswer.NOT_THERE if is_away else NoAnswer.REFUSED)

    def close(self) -> None:
        """Nothing to close."""

    def left(self) -> None:
        """This session never says GOODBYE."""

    def hold(self) -> None:
        """Nothing comes in: the router decides when it calls."""

    def release(self) -> None:
        """As above."""

    @property
    def has_room(self) -> bool:
        """Nothing waits here."""
        return True

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` now."""
        callback()

    def is_registered(self, procedure: str) -> bool:
        """Return whether somebody implements `procedure`, not by a pattern."""
        return self._realm.dealer.procedures.index.exact(procedure) is not None

    def _finish(self, request: int, answer: Payload | NoAnswer) -> None:
        then = self._forget(request)
        if then is not None:
            then(answer)

    def _forget(self, request: int) -> Then | None:
        """Stop the callee, and return who waits for it."""
        waiting = self._waiting.pop(request, None)
        if waiting is None:
            return None
        then, timer = waiting
        timer.cancel()
        self._realm.dealer.abandon(self._session, request)
        return then


def _nothing_to_stop() -> None:
    """There is no question."""
