"""The dealer: procedures, who implements them, and the calls on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliograph.routing.counters import Counters
from heliograph.wamp import codes
from heliograph.wamp.errors import (
    CANCELED,
    INVALID_ARGUMENT,
    INVALID_URI,
    NO_SUCH_PROCEDURE,
    NO_SUCH_REGISTRATION,
    OPTION_NOT_ALLOWED,
    PROCEDURE_ALREADY_EXISTS,
    PayloadError,
    ProtocolViolation,
    RequestError,
)
from heliograph.wamp.ids import SequentialIds
from heliograph.wamp.messages import (
    Call,
    Error,
    Invocation,
    InvocationDetails,
    Register,
    Registered,
    Result,
    ResultDetails,
    Unregister,
    Unregistered,
    Yield,
)
from heliograph.wamp.payload import PlainPayload
from heliograph.wamp.uris import UriCheck, is_reserved

if TYPE_CHECKING:
    from heliograph.routing.session import Session

FEATURES: dict[str, bool] = {}
"""What WELCOME announces for the role dealer: what works, no more."""

_NO_DETAILS = InvocationDetails()

PENDING_CALLS_LIMIT = 16_384
"""Calls one session may wait for at a time: a callee that never answers must not fill the router."""

TOO_MANY_CALLS = "heliograph.error.too_many_calls"


class Registration:
    """A procedure and the session that implements it."""

    __slots__ = ("callee", "id", "procedure")

    def __init__(self, registration_id: int, procedure: str, callee: Session) -> None:
        self.id = registration_id
        self.procedure = procedure
        self.callee = callee


class PendingCall:
    """A call that has no final answer yet."""

    __slots__ = ("callee", "caller", "invocation", "request")

    def __init__(self, caller: Session, request: int, callee: Session, invocation: int) -> None:
        self.caller = caller
        self.request = request
        self.callee = callee
        self.invocation = invocation


class SessionCalls:
    """What the dealer knows of one session."""

    __slots__ = ("invocation_ids", "made", "registrations", "taken")

    def __init__(self) -> None:
        self.registrations: set[Registration] = set()
        self.made: dict[int, PendingCall] = {}
        """Calls this session waits for, by its request id."""
        self.taken: dict[int, PendingCall] = {}
        """Calls this session works on, by invocation id."""
        self.invocation_ids = SequentialIds()


class Dealer:
    """Routes calls of one realm.

    Args:
        uri_check: raises for bad URIs.
        counters: where calls are counted.
    """

    def __init__(self, *, uri_check: UriCheck, counters: Counters) -> None:
        self._check_uri = uri_check
        self._counters = counters
        self._ids = SequentialIds()
        self._by_procedure: dict[str, Registration] = {}
        self._by_id: dict[int, Registration] = {}
        self._of_session: dict[Session, SessionCalls] = {}

    def register(self, session: Session, message: Register) -> None:
        """Let the session implement a procedure that nobody implements yet."""
        if message.options.match != "exact" or message.options.invoke != "single":
            raise RequestError(OPTION_NOT_ALLOWED, "only match: 'exact' with invoke: 'single' is supported")
        self._check_uri(message.procedure)
        if is_reserved(message.procedure):
            raise RequestError(INVALID_URI, f"{message.procedure!r} is reserved for the router")
        session.authorizer.require(message.procedure, "register")
        if message.procedure in self._by_procedure:
            raise RequestError(PROCEDURE_ALREADY_EXISTS, f"{message.procedure!r} is registered already")

        registration = Registration(self._ids.next(), message.procedure, session)
        self._by_procedure[message.procedure] = self._by_id[registration.id] = registration
        self._calls(session).registrations.add(registration)
        session.peer.send(Registered(message.request, registration.id))

    def unregister(self, session: Session, message: Unregister) -> None:
        """Take one registration of the session away; calls on their way are still answered."""
        registration = self._by_id.get(message.registration)
        if registration is None or registration.callee is not session:
            raise RequestError(
                NO_SUCH_REGISTRATION, f"this session has no registration {message.registration}"
            )
        self._of_session[session].registrations.discard(registration)
        self._drop(registration)
        session.peer.send(Unregistered(message.request))

    def call(self, session: Session, message: Call) -> None:
        """Ask the callee of the message's procedure."""
        self._counters.calls += 1
        self._check_uri(message.procedure)
        session.authorizer.require(message.procedure, "call")
        registration = self._by_procedure.get(message.procedure)
        if registration is None:
            raise RequestError(NO_SUCH_PROCEDURE, f"no callee has registered {message.procedure!r}")
        made = self._calls(session).made
        if message.request in made:
            raise ProtocolViolation(
                f"request id {message.request} belongs to a call that is not answered yet"
            )
        if len(made) >= PENDING_CALLS_LIMIT:
            raise RequestError(
                TOO_MANY_CALLS, f"{PENDING_CALLS_LIMIT} calls of this session wait for an answer already"
            )

        callee = registration.callee
        taken = self._of_session[callee]
        invocation = taken.invocation_ids.next()
        callee.peer.send(Invocation(invocation, registration.id, _NO_DETAILS, message.payload))
        pending = PendingCall(session, message.request, callee, invocation)
        made[message.request] = taken.taken[invocation] = pending

    def yield_(self, session: Session, message: Yield) -> None:
        """Give a call its result."""
        pending = self._finish(session, message.request)
        if pending is None:
            return
        try:
            pending.caller.peer.send(Result(pending.request, ResultDetails(), message.payload))
        except PayloadError as error:
            self._fail(pending, INVALID_ARGUMENT, f"the result cannot reach the caller: {error}")

    def error(self, session: Session, message: Error) -> None:
        """Give a call the error its callee answered."""
        if message.request_type != codes.INVOCATION:
            raise ProtocolViolation(
                f"ERROR from a client answers INVOCATION (68), not {message.request_type}"
            )
        pending = self._finish(session, message.request)
        if pending is None:
            return
        try:
            pending.caller.peer.send(Error(codes.CALL, pending.request, {}, message.error, message.payload))
        except PayloadError as error:
            self._fail(pending, message.error, f"the error's arguments cannot reach the caller: {error}")
        else:
            self._counters.calls_failed += 1

    def abandon(self, session: Session, request: int) -> None:
        """Forget a call whose caller no longer waits; its answer, when it comes, is dropped."""
        calls = self._of_session.get(session)
        pending = calls.made.pop(request, None) if calls is not None else None
        if pending is not None:
            del self._of_session[pending.callee].taken[pending.invocation]

    def leave(self, session: Session) -> None:
        """Forget a session that has ended; who waits for it is told at once."""
        calls = self._of_session.pop(session, None)
        if calls is None:
            return
        for registration in calls.registrations:
            self._drop(registration)
        for pending in calls.made.values():
            if pending.callee is not session:
                # Its answer, when it comes, is dropped: the id was issued, so that is no violation.
                del self._of_session[pending.callee].taken[pending.invocation]
        for pending in calls.taken.values():
            if pending.caller is not session:
                del self._of_session[pending.caller].made[pending.request]
                self._fail(pending, CANCELED, "the callee left before it answered")

    def _finish(self, callee: Session, invocation: int) -> PendingCall | None:
        """Return the call that `invocation` stands for, taken off the books; None when its caller has gone."""
        calls = self._calls(callee)
        pending = calls.taken.pop(invocation, None)
        if pending is None:
            if invocation > calls.invocation_ids.last:
                raise ProtocolViolation(f"invocation {invocation} was never made")
            self._counters.answers_dropped += 1
            return None
        del self._of_session[pending.caller].made[pending.request]
        return pending

    def _fail(self, pending: PendingCall, uri: str, text: str) -> None:
        self._counters.calls_failed += 1
        pending.caller.peer.send(Error(codes.CALL, pending.request, {}, uri, PlainPayload([text])))

    def _calls(self, session: Session) -> SessionCalls:
        calls = self._of_session.get(session)
        if calls is None:
            calls = self._of_session[session] = SessionCalls()
        return calls

    def _drop(self, registration: Registration) -> None:
        del self._by_procedure[registration.procedure], self._by_id[registration.id]
