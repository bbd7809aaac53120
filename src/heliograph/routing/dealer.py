"""The dealer: procedures, who implements them, and the calls on their way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from heliograph.routing.authorizer import authorize
from heliograph.routing.calls import PendingCall, SessionCalls
from heliograph.routing.counters import Counters
from heliograph.routing.history import timestamp
from heliograph.routing.options import CallQueueOptions
from heliograph.routing.passthru import passthru_of
from heliograph.routing.patterns import PatternIndex
from heliograph.routing.peer import Clock
from heliograph.routing.registration import Callee, Registration
from heliograph.wamp import codes
from heliograph.wamp.errors import (
    CANCELED,
    DISCLOSE_ME_DISALLOWED,
    FEATURE_NOT_SUPPORTED,
    INVALID_ARGUMENT,
    INVALID_URI,
    MAX_CONCURRENCY_REACHED,
    NO_AVAILABLE_CALLEE,
    NO_SUCH_PROCEDURE,
    NO_SUCH_REGISTRATION,
    PROCEDURE_ALREADY_EXISTS,
    TIMEOUT,
    TOO_MANY_CALLS,
    UNAVAILABLE,
    PayloadError,
    ProtocolViolation,
    RequestError,
)
from heliograph.wamp.features import (
    CALLEE_CANCELING,
    CALLEE_PASSTHRU,
    CALLEE_PROGRESSIVE_INVOCATIONS,
    CALLEE_PROGRESSIVE_RESULTS,
    CALLEE_REROUTE,
    CALLEE_REVOCATION,
    CALLEE_TIMEOUT,
    CALLER_PASSTHRU,
    CALLER_PROGRESSIVE_INVOCATIONS,
)
from heliograph.wamp.ids import SequentialIds
from heliograph.wamp.messages import (
    Call,
    Cancel,
    Error,
    Interrupt,
    InterruptOptions,
    Invocation,
    InvocationDetails,
    Register,
    Registered,
    Result,
    ResultDetails,
    Unregister,
    Unregistered,
    UnregisteredDetails,
    Yield,
)
from heliograph.wamp.payload import Payload, PlainPayload
from heliograph.wamp.uris import UriCheck, is_reserved

if TYPE_CHECKING:
    from heliograph.routing.session import Session

PENDING_CALLS_LIMIT = 16_384
"""Calls one session may wait for at a time: a callee that never answers must not fill the router."""

Announce = Callable[..., None]
"""Publishes a meta event: topic, then its arguments."""


class MetaProcedures(Protocol):
    """What the router itself implements."""

    def call(self, session: Session, message: Call, *, by_name: bool) -> Payload | None:
        """Return the result of the procedure the message names, None when there is no such procedure."""


class Dealer:
    """Routes calls of one realm.

    Args:
        uri_check: raises for bad URIs.
        clock: for time limits.
        counters: where calls are counted.
        announce: publishes meta events.
        queues: for which procedures calls may wait until a callee is free.
        timeout_unit_s: seconds that one unit of `CALL.Options.timeout` stands for.
    """

    def __init__(
        self,
        *,
        uri_check: UriCheck,
        clock: Clock,
        counters: Counters,
        announce: Announce,
        queues: Sequence[CallQueueOptions] = (),
        timeout_unit_s: float = 0.001,
    ) -> None:
        self._check_uri = uri_check
        self._clock = clock
        self._counters = counters
        self._announce = announce
        self._timeout_unit_s = timeout_unit_s
        self._queues: PatternIndex[int] = PatternIndex()
        for queue in queues:
            self._queues.add(queue.uri, queue.match, queue.limit)
        self._ids = SequentialIds()
        self.registrations: dict[int, Registration] = {}
        self.index: PatternIndex[Registration] = PatternIndex()
        self._of_session: dict[Session, SessionCalls] = {}
        self.meta: MetaProcedures

    # Registering.

    def register(self, session: Session, message: Register) -> None:
        """Let the session implement a procedure, alone or beside others."""
        procedure, options = message.procedure, message.options
        self._check_uri(procedure, options.match)
        if is_reserved(procedure):
            raise RequestError(INVALID_URI, f"{procedure!r} is reserved for the router")
        authorize(session, procedure, "register", options.match)
        registration = self.index.get(procedure, options.match)
        if registration is not None and options.force_reregister:
            for callee in list(registration.callees):
                self.revoke(registration, callee.session, "another callee has taken the procedure over")
            registration = None
        if registration is not None and (
            "single" in (registration.invoke, options.invoke)
            or registration.invoke != options.invoke
            or registration.callee(session) is not None
        ):
            raise RequestError(
                PROCEDURE_ALREADY_EXISTS,
                f"{procedure!r} ({options.match}) is registered already with invoke: {registration.invoke!r}",
            )

        is_new = registration is None
        if registration is None:
            registration = Registration(
                self._ids.next(), procedure, options.match, options.invoke, self._clock.now_s()
            )
            self.registrations[registration.id] = registration
            self.index.add(procedure, options.match, registration)
        registration.callees.append(Callee(session, options))
        self._calls(session).registrations.add(registration)
        session.peer.send(Registered(message.request, registration.id))
        if is_new:
            self._announce("wamp.registration.on_create", session.id, registration_details(registration))
        self._announce("wamp.registration.on_register", session.id, registration.id)
        self._serve_waiting(registration)

    def unregister(self, session: Session, message: Unregister) -> None:
        """Take one registration of the session away; calls on their way are still answered."""
        registration = self.registrations.get(message.registration)
        callee = registration.callee(session) if registration is not None else None
        if registration is None or callee is None:
            raise RequestError(
                NO_SUCH_REGISTRATION, f"this session has no registration {message.registration}"
            )
        self._of_session[session].registrations.discard(registration)
        session.peer.send(Unregistered(message.request))
        self._drop_callee(registration, callee)

    def revoke(self, registration: Registration, session: Session, reason: str | None) -> None:
        """Take a registration away from a callee that did not ask for it (specification, "Registration Revocation")."""
        callee = registration.callee(session)
        if callee is None:
            raise RequestError(
                NO_SUCH_REGISTRATION, f"session {session.id} is no callee of {registration.id}"
            )
        self._of_session[session].registrations.discard(registration)
        if session.features & CALLEE_REVOCATION:
            session.peer.send(
                Unregistered(0, UnregisteredDetails(registration=registration.id, reason=reason))
            )
        self._drop_callee(registration, callee)

    def is_callee(self, session: Session, procedure: str) -> bool:
        """Return whether `session` implements `procedure`."""
        registration = self.index.best(procedure)
        return registration is not None and registration.callee(session) is not None

    def is_on_its_way(self, session: Session, request: int) -> bool:
        """Return whether the session waits for a call of this request id."""
        calls = self._of_session.get(session)
        return calls is not None and request in calls.made

    # Calling.

    def call(self, session: Session, message: Call) -> None:
        """Ask a callee of the message's procedure, or go on with a call that was begun."""
        if self._continues(session, message):
            return
        self._counters.calls += 1
        procedure, options = message.procedure, message.options
        self._check_uri(procedure)
        passthru = passthru_of(options, session.features, CALLER_PASSTHRU)
        if options.progress and not session.features & CALLER_PROGRESSIVE_INVOCATIONS:
            # "The Caller did not announce the progressive call invocations feature" (specification, "Progressive Call
            # Invocations")
            raise ProtocolViolation("progressive_call_invocations was not announced in HELLO")
        decision = authorize(session, procedure, "call")
        if is_reserved(procedure):
            self._call_meta(session, message, by_name=decision.by_name)
            return
        registration = self.index.best(procedure)
        if registration is None:
            raise RequestError(NO_SUCH_PROCEDURE, f"no callee has registered {procedure!r}")
        made = self._calls(session).made
        if len(made) >= PENDING_CALLS_LIMIT:
            raise RequestError(
                TOO_MANY_CALLS, f"{PENDING_CALLS_LIMIT} calls of this session wait for an answer already"
            )
        if options.disclose_me and not session.may_disclose:
            raise RequestError(DISCLOSE_ME_DISALLOWED, "this role may not disclose its identity")

        pending = PendingCall(session, message.request, procedure, options, registration)
        pending.disclose = decision.disclose or options.disclose_me
        pending.passthru = passthru
        callee = registration.pick()
        if callee is None:
            self._wait_for_callee(pending, message.payload)
        else:
            self._invoke(pending, callee, message.payload)
        made[message.request] = pending
        self._start_timer(pending)

    def cancel(self, session: Session, message: Cancel) -> None:
        """Give a call up (specification, "Call Canceling"); one that is not there (any more) is ignored."""
        pending = self._calls(session).made.get(message.request)
        if pending is not None:
            # The specification names no default; clients leave the mode out and expect what this one does.
            self._cancel(
                pending, message.options.mode or "killnowait", CANCELED, "the caller has canceled the call"
            )

    def yield_(self, session: Session, message: Yield) -> None:
        """Give a call a result: its final one, or one on the way."""
        pending = self._taken(session, message.request)
        passthru = passthru_of(message.options, session.features, CALLEE_PASSTHRU)
        if pending is None:
            return
        if message.options.progress:
            self._yield_progress(pending, message.payload, passthru)
            return
        self._finish(pending)
        if passthru.get("ppt_scheme") and not pending.caller.features & CALLER_PASSTHRU:
            text = "the caller does not support payload passthru"
            self._fail(pending, FEATURE_NOT_SUPPORTED, text)
            raise RequestError(FEATURE_NOT_SUPPORTED, text)
        try:
            pending.caller.peer.send(Result(pending.request, _result_details(passthru), message.payload))
        except PayloadError as error:
            self._fail(pending, INVALID_ARGUMENT, f"the result cannot reach the caller: {error}")

    def error(self, session: Session, message: Error) -> None:
        """Give a call the error its callee answered, or ask another callee."""
        if message.request_type != codes.INVOCATION:
            raise ProtocolViolation(
                f"ERROR from a client answers INVOCATION (68), not {message.request_type}"
            )
        pending = self._taken(session, message.request)
        if pending is None:
            return
        if message.error == UNAVAILABLE and session.features & CALLEE_REROUTE and not pending.is_interrupted:
            self._reroute(pending)
            return
        self._finish(pending)
        details = {key: value for key, value in message.details.items() if key.startswith(("ppt_", "enc_"))}
        try:
            pending.caller.peer.send(
                Error(codes.CALL, pending.request, details, message.error, message.payload)
            )
        except PayloadError as error:
            self._fail(pending, message.error, f"the error's arguments cannot reach the caller: {error}")
        else:
            self._counters.calls_failed += 1

    def abandon(self, session: Session, request: int) -> None:
        """Forget a call whose caller no longer waits; its answer, when it comes, is dropped."""
        calls = self._of_session.get(session)
        pending = calls.made.get(request) if calls is not None else None
        if pending is not None:
            self._interrupt(pending, "killnowait", None)
            self._finish(pending)

    def leave(self, session: Session) -> None:
        """Forget a session that has ended; who waits for it is told at once, who works for it is told to stop."""
        calls = self._of_session.pop(session, None)
        if calls is None:
            return
        for registration in list(calls.registrations):
            callee = registration.callee(session)
            if callee is not None:
                self._drop_callee(registration, callee, left=session)
        for pending in list(calls.taken.values()):
            self._finish(pending)
            if pending.caller is not session:
                # `wamp.error.canceled`: the specification spells it with one l but for one place.
                self._fail(pending, CANCELED, "the callee left before it answered")
        for pending in list(calls.made.values()):
            self._interrupt(pending, "killnowait", None)
            self._finish(pending)

    # A call's way.

    def _continues(self, session: Session, message: Call) -> bool:
        """Take a further piece of a progressive call; return whether the message was one."""
        calls = self._of_session.get(session)
        if calls is None:
            return False
        pending = calls.made.get(message.request)
        if pending is None:
            # "the Caller may be unaware that the call is completed": such a piece is discarded.
            return message.request in calls.finished_progressive
        if not pending.is_open or pending.procedure != message.procedure:
            raise ProtocolViolation(
                f"request id {message.request} belongs to a call that is not answered yet"
            )
        pending.is_open = message.options.progress
        if pending.callee is None:
            raise RequestError(
                NO_AVAILABLE_CALLEE, "the call still waits for a callee, which takes pieces only itself"
            )
        self._send_invocation(pending, pending.callee, message.payload)
        return True

    def _call_meta(self, session: Session, message: Call, *, by_name: bool) -> None:
        payload = self.meta.call(session, message, by_name=by_name)
        if payload is None:
            raise RequestError(NO_SUCH_PROCEDURE, f"the router has no procedure {message.procedure!r}")
        session.peer.send(Result(message.request, ResultDetails(), payload))

    def _invoke(self, pending: PendingCall, callee: Callee, payload: Payload) -> None:
        session = callee.session
        if pending.options.progress and not session.features & CALLEE_PROGRESSIVE_INVOCATIONS:
            raise RequestError(
                FEATURE_NOT_SUPPORTED, "the callee does not support progressive call invocations"
            )
        if pending.passthru.get("ppt_scheme") and not session.features & CALLEE_PASSTHRU:
            raise RequestError(FEATURE_NOT_SUPPORTED, "the callee does not support payload passthru")
        calls = self._of_session[session]
        pending.invocation = calls.invocation_ids.next()
        self._send_invocation(pending, callee, payload)
        pending.callee = callee
        pending.payload = payload if session.features & CALLEE_REROUTE else None
        callee.active += 1
        calls.taken[pending.invocation] = pending

    def _send_invocation(self, pending: PendingCall, callee: Callee, payload: Payload) -> None:
        callee.session.peer.send(
            Invocation(pending.invocation, pending.registration.id, _details(pending, callee), payload)
        )

    def _wait_for_callee(self, pending: PendingCall, payload: Payload) -> None:
        """Queue a call for which no callee is free, where the configuration has a queue for it."""
        limit = self._queues.best(pending.procedure)
        if limit is None:
            raise RequestError(
                MAX_CONCURRENCY_REACHED, f"all callees of {pending.procedure!r} work as much as they may"
            )
        waiting = pending.registration.waiting
        if len(waiting) >= limit:
            raise RequestError(
                MAX_CONCURRENCY_REACHED, f"{limit} calls of {pending.procedure!r} wait already"
            )
        pending.payload = payload
        waiting.append(pending)

    def _serve_waiting(self, registration: Registration) -> None:
        waiting = registration.waiting
        while waiting:
            callee = registration.pick(waiting[0].tried)
            if callee is None:
                return
            pending = waiting.popleft()
            payload = pending.payload or PlainPayload()
            try:
                self._invoke(pending, callee, payload)
            except (RequestError, PayloadError) as error:
                self._finish(pending)
                uri = error.uri if isinstance(error, RequestError) else INVALID_ARGUMENT
                self._fail(pending, uri, str(error.args[-1]))

    def _yield_progress(self, pending: PendingCall, payload: Payload, passthru: dict[str, str]) -> None:
        if not pending.options.receive_progress or pending.is_interrupted:
            self._counters.answers_dropped += 1
            return
        if pending.timer is not None:
            # With progressive results the limit is the time between two of them.
            pending.timer.cancel()
            self._start_timer(pending)
        pending.caller.peer.send(Result(pending.request, _result_details(passthru, progress=True), payload))

    def _reroute(self, pending: PendingCall) -> None:
        """Ask the next callee, as if the one that is unavailable were not there (specification, "Call Re-Routing")."""
        payload, registration = pending.payload, pending.registration
        assert pending.callee is not None  # noqa: S101 - it has just answered
        pending.tried.add(pending.callee.session)
        self._release(pending)
        callee = registration.pick(pending.tried) if registration.invoke != "single" else None
        if callee is None or payload is None:
            self._finish(pending)
            self._fail(pending, NO_AVAILABLE_CALLEE, f"no callee of {pending.procedure!r} is available")
            return
        try:
            self._invoke(pending, callee, payload)
        except (RequestError, PayloadError) as error:
            self._finish(pending)
            self._fail(pending, NO_AVAILABLE_CALLEE, str(error.args[-1]))

    def _cancel(
        self, pending: PendingCall, mode: Literal["skip", "kill", "killnowait"], uri: str, text: str
    ) -> None:
        if mode == "kill" and self._interrupt(pending, "kill", uri):
            pending.is_interrupted = True
            return
        if mode != "skip":
            self._interrupt(pending, "killnowait", uri)
        self._finish(pending)
        self._fail(pending, uri, text)

    def _interrupt(
        self, pending: PendingCall, mode: Literal["kill", "killnowait"], reason: str | None
    ) -> bool:
        """Ask a call's callee to stop; return whether it was asked: it may not support that, or there is none yet."""
        callee = pending.callee
        if callee is None or callee.session not in self._of_session:
            return False
        if not callee.session.features & CALLEE_CANCELING:
            return False
        callee.session.peer.send(Interrupt(pending.invocation, InterruptOptions(mode=mode, reason=reason)))
        return True

    def _start_timer(self, pending: PendingCall) -> None:
        timeout = pending.options.timeout
        callee = pending.callee
        is_forwarded = callee is not None and _forwards_timeout(callee)
        if timeout and not is_forwarded:
            pending.timer = self._clock.later(
                timeout * self._timeout_unit_s,
                lambda: self._cancel(pending, "killnowait", TIMEOUT, "the call has run out of time"),
            )

    def _taken(self, callee: Session, invocation: int) -> PendingCall | None:
        """Return the call that `invocation` stands for; None when its caller no longer waits."""
        calls = self._calls(callee)
        pending = calls.taken.get(invocation)
        if pending is None:
            if invocation > calls.invocation_ids.last:
                raise ProtocolViolation(f"invocation {invocation} was never made")
            self._counters.answers_dropped += 1
        return pending

    def _finish(self, pending: PendingCall) -> None:
        """Take a call off the books, whatever state it is in."""
        if pending.timer is not None:
            pending.timer.cancel()
            pending.timer = None
        made = self._of_session.get(pending.caller)
        if made is not None and made.made.pop(pending.request, None) is not None and pending.options.progress:
            made.finished_progressive.append(pending.request)
        if pending.callee is None:
            if pending in pending.registration.waiting:
                pending.registration.waiting.remove(pending)
        else:
            self._release(pending)

    def _release(self, pending: PendingCall) -> None:
        """Take a call from its callee, which is free for another one."""
        callee = pending.callee
        if callee is None:
            return
        pending.callee = None
        callee.active -= 1
        taken = self._of_session.get(callee.session)
        if taken is not None:
            taken.taken.pop(pending.invocation, None)
        if pending.registration.waiting:
            self._serve_waiting(pending.registration)

    def _fail(self, pending: PendingCall, uri: str, text: str) -> None:
        self._counters.calls_failed += 1
        pending.caller.peer.send(Error(codes.CALL, pending.request, {}, uri, PlainPayload([text])))

    def _calls(self, session: Session) -> SessionCalls:
        calls = self._of_session.get(session)
        if calls is None:
            calls = self._of_session[session] = SessionCalls()
        return calls

    def _drop_callee(self, registration: Registration, callee: Callee, left: Session | None = None) -> None:
        registration.remove(callee)
        session_id = callee.session.id
        self._announce("wamp.registration.on_unregister", session_id, registration.id)
        if registration.callees:
            return
        del self.registrations[registration.id]
        self.index.remove(registration.procedure, registration.match)
        self._announce("wamp.registration.on_delete", session_id, registration.id)
        for pending in list(registration.waiting):
            self._finish(pending)
            if pending.caller is not left:
                self._fail(pending, NO_AVAILABLE_CALLEE, "the last callee has gone")


def registration_details(registration: Registration) -> dict[str, Any]:
    """Return what the meta API tells of a registration."""
    return {
        "id": registration.id,
        "created": timestamp(registration.created_s),
        "uri": registration.procedure,
        "match": registration.match,
        "invoke": registration.invoke,
    }


def _result_details(passthru: Mapping[str, Any], *, progress: bool | None = None) -> ResultDetails:
    return ResultDetails(progress=progress, **passthru) if passthru or progress else _NO_RESULT_DETAILS


def _forwards_timeout(callee: Callee) -> bool:
    return callee.forward_timeout and bool(callee.session.features & CALLEE_TIMEOUT)


def _details(pending: PendingCall, callee: Callee) -> InvocationDetails:
    options, caller = pending.options, pending.caller
    known: dict[str, Any] = dict(pending.passthru)
    if pending.registration.match != "exact":
        known["procedure"] = pending.procedure
    if pending.disclose or callee.disclose_caller:
        known["caller"] = caller.id
        known["caller_authid"] = caller.principal.authid
        known["caller_authrole"] = caller.principal.authrole
    if caller.trustlevel is not None:
        known["trustlevel"] = caller.trustlevel
    if options.receive_progress and callee.session.features & CALLEE_PROGRESSIVE_RESULTS:
        known["receive_progress"] = True
    if pending.is_open:
        known["progress"] = True
    if options.timeout and _forwards_timeout(callee):
        known["timeout"] = options.timeout
    return InvocationDetails(**known) if known else _NO_DETAILS


_NO_DETAILS = InvocationDetails()
_NO_RESULT_DETAILS = ResultDetails()
