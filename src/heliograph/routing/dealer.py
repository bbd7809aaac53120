"""The dealer: calls, from their caller to a callee and back."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from heliograph.routing.authorizer import authorize
from heliograph.routing.calls import PendingCall, SessionCalls
from heliograph.routing.counters import Counters
from heliograph.routing.invocations import Invocations
from heliograph.routing.options import CallQueueOptions
from heliograph.routing.passthru import passthru_of, passthru_of_error
from heliograph.routing.peer import Clock
from heliograph.routing.procedures import Announce, Procedures, Withdrawal
from heliograph.routing.registration import Registration
from heliograph.routing.work import UNITS_A_MESSAGE, Steps, Work
from heliograph.wamp import codes
from heliograph.wamp.errors import (
    CANCELED,
    DISCLOSE_ME_DISALLOWED,
    FEATURE_NOT_SUPPORTED,
    NO_SUCH_PROCEDURE,
    TOO_MANY_CALLS,
    UNAVAILABLE,
    PayloadError,
    ProtocolViolation,
    RequestError,
)
from heliograph.wamp.features import (
    CALLEE_PASSTHRU,
    CALLEE_REROUTE,
    CALLER_PASSTHRU,
    CALLER_PROGRESSIVE_INVOCATIONS,
)
from heliograph.wamp.ids import scattered
from heliograph.wamp.messages import (
    Call,
    Cancel,
    Error,
    Register,
    Result,
    ResultDetails,
    Yield,
)
from heliograph.wamp.payload import Payload
from heliograph.wamp.uris import UriCheck, is_reserved

if TYPE_CHECKING:
    from heliograph.routing.session import Session

PENDING_CALLS_LIMIT = 16_384
"""Calls one session may wait for at a time: a callee that never answers must not fill the router."""


class MetaProcedures(Protocol):
    """What the router itself implements."""

    def call(self, session: Session, message: Call, *, by_name: bool) -> Payload | Steps[Payload] | None:
        """Return the result of the procedure the message names, or what leads to it; None when there is none."""


class Dealer:
    """Routes calls of one realm.

    Args:
        uri_check: raises for bad URIs.
        clock: for time limits.
        counters: where calls are counted.
        work: bounds what is done in a turn.
        announce: publishes meta events.
        queues: for which procedures calls may wait until a callee is free.
        timeout_unit_s: seconds that one unit of `CALL.Options.timeout` stands for.
        registrations_limit: procedures one session may have registered.
        kept_calls_limit_bytes: payload that may be kept of one session's calls.
    """

    def __init__(
        self,
        *,
        uri_check: UriCheck,
        clock: Clock,
        counters: Counters,
        work: Work,
        announce: Announce,
        queues: Sequence[CallQueueOptions] = (),
        timeout_unit_s: float = 0.001,
        registrations_limit: int = 10_000,
        kept_calls_limit_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._check_uri = uri_check
        self._counters = counters
        self._work = work
        self._invocations = Invocations(
            clock=clock,
            counters=counters,
            work=work,
            queues=queues,
            timeout_unit_s=timeout_unit_s,
            kept_calls_limit_bytes=kept_calls_limit_bytes,
        )
        self.procedures = Procedures(
            uri_check=uri_check,
            clock=clock,
            announce=announce,
            callee_gone=self._invocations.callee_gone,
            counters=counters,
            registrations_limit=registrations_limit,
        )
        self._of_session = self._invocations.of_session
        self.meta: MetaProcedures

    def register(self, session: Session, message: Register) -> None:
        """Let the session implement a procedure, and give it the calls that wait for one to be free."""
        registration = self.procedures.register(session, message)
        if registration.waiting:
            self._invocations.serve_waiting(registration, registration.callees[-1])

    def is_on_its_way(self, session: Session, request: int) -> bool:
        """Return whether a CALL of this request id can be a piece of a call that was begun before."""
        calls = self._of_session.get(session)
        return calls is not None and (scattered(request) in calls.made or scattered(request) in calls.ended)

    # Calling.

    def call(self, session: Session, message: Call) -> Steps[None] | None:
        """Ask a callee of the message's procedure, or go on with a call that was begun.

        A procedure of the router's own may take longer: then the steps that lead to its result are returned.
        """
        calls = self._of_session.get(session)
        if calls is not None and (calls.made or calls.ended) and self._continues(calls, message):
            return None
        if not session.decisions:
            # Else it was counted before it had to wait for a decision.
            self._counters.calls += 1
        if not message.options.progress:
            return self._begin(session, message)
        if not session.features & CALLER_PROGRESSIVE_INVOCATIONS:
            # "The *Caller* did not announce the progressive call invocations feature during the `HELLO` handshake"
            # (specification, "Progressive Call Invocations")
            raise ProtocolViolation("progressive_call_invocations was not announced in HELLO")
        try:
            return self._begin(session, message)
        except (RequestError, PayloadError):
            # The caller does not know yet that it is refused: what follows of the call is discarded.
            self._invocations.calls_of(session).remember_ended(message.request)
            raise

    def cancel(self, session: Session, message: Cancel) -> None:
        """Give a call up (specification, "Call Canceling"); one that is not there (any more) is ignored."""
        calls = self._of_session.get(session)
        pending = calls.made.get(scattered(message.request)) if calls is not None else None
        if pending is not None:
            # The specification names no default; clients leave the mode out and expect what this one does.
            self._invocations.cancel(
                pending, message.options.mode or "killnowait", CANCELED, "the caller has canceled the call"
            )

    def yield_(self, session: Session, message: Yield) -> None:
        """Give a call a result: its final one, or one on the way."""
        pending = self._taken(session, message.request)
        passthru = passthru_of(message.options, session.features, CALLEE_PASSTHRU)
        if pending is None:
            return
        if passthru.get("ppt_scheme") and not pending.caller.features & CALLER_PASSTHRU:
            text = "the caller does not support payload passthru"
            # A final result leaves nothing to interrupt.
            self._invocations.cancel(
                pending, "killnowait" if message.options.progress else "skip", FEATURE_NOT_SUPPORTED, text
            )
            raise RequestError(FEATURE_NOT_SUPPORTED, text)
        if message.options.progress:
            self._yield_progress(pending, message.payload, passthru)
            return
        self._invocations.finish(pending)
        details = ResultDetails(**passthru) if passthru else _NO_RESULT_DETAILS
        try:
            pending.caller.tell(Result(pending.request, details, message.payload))
        except PayloadError as error:
            self._invocations.fail(pending, error.uri, f"the result cannot reach the caller: {error}")

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
            self._invocations.reroute(pending)
            return
        self._invocations.finish(pending)
        details = passthru_of_error(message.details)
        try:
            pending.caller.tell(Error(codes.CALL, pending.request, details, message.error, message.payload))
        except PayloadError as error:
            self._invocations.fail(
                pending, message.error, f"the error's arguments cannot reach the caller: {error}"
            )
        else:
            self._counters.calls_failed += 1

    def abandon(self, session: Session, request: int) -> None:
        """Forget a call whose caller no longer waits; its answer, when it comes, is dropped."""
        calls = self._of_session.get(session)
        pending = calls.made.get(scattered(request)) if calls is not None else None
        if pending is not None:
            self._invocations.interrupt(pending, "killnowait", None)
            self._invocations.finish(pending)

    def leave(self, session: Session, *, is_silent: bool) -> Steps[None]:
        """Forget a session that has ended; return what is left to do.

        Callers that wait for it are told at once, callees that work for it are told to stop.
        """
        calls = self._of_session.pop(session, None)
        withdrawn = self.procedures.leave(session)
        self._work.spend(len(withdrawn))
        return self._left(session, session.id, calls, withdrawn, is_silent=is_silent)

    def _left(
        self,
        session: Session,
        session_id: int,
        calls: SessionCalls | None,
        withdrawn: Sequence[Withdrawal],
        *,
        is_silent: bool,
    ) -> Steps[None]:
        made = list(calls.made.values()) if calls is not None else []
        # First what waits for a callee, or one that is freed below would be given it.
        for pending in made:
            if pending.callee is None:
                self._invocations.finish(pending)
                yield from self._step()
        for withdrawal in withdrawn:
            if not is_silent:
                self.procedures.announce_withdrawn(session_id, withdrawal)
            self._invocations.callee_gone(withdrawal[0])
            yield from self._step()
        for pending in list(calls.taken.values()) if calls is not None else ():
            if pending.callee is not None and pending.callee.session is session:
                self._invocations.finish(pending)
                if pending.caller is not session:
                    # `wamp.error.canceled`: the specification spells it with one l but for one place.
                    self._invocations.fail(pending, CANCELED, "the callee left before it answered")
                yield from self._step()
        for pending in made:
            if pending.callee is not None:
                self._invocations.interrupt(pending, "killnowait", None)
                self._invocations.finish(pending)
                yield from self._step()
        # A call of its own that was given to another callee meanwhile has opened the books again.
        self._of_session.pop(session, None)

    def _step(self) -> Steps[None]:
        self._work.spend(UNITS_A_MESSAGE)
        yield None

    # A call's way.

    def _begin(self, session: Session, message: Call) -> Steps[None] | None:
        procedure, options = message.procedure, message.options
        self._check_uri(procedure)
        passthru = passthru_of(options, session.features, CALLER_PASSTHRU)
        decision = authorize(session, procedure, "call")
        # Nobody registers a reserved one, but patterns may match it.
        registration = self.procedures.index.exact(procedure)
        others: Iterator[Registration] = _NO_OTHERS
        if registration is None:
            if is_reserved(procedure):
                return self._call_meta(session, message, by_name=decision.by_name)
            if self.procedures.index.has_patterns:
                self._work.spend(self.procedures.index.look_ups(procedure))
            others = self.procedures.index.best_first(procedure)
            registration = next(others, None)
        if registration is None:
            raise RequestError(NO_SUCH_PROCEDURE, f"no callee has registered {procedure!r}")
        made = self._invocations.calls_of(session).made
        if len(made) >= PENDING_CALLS_LIMIT:
            self._counters.session_limits_reached += 1
            raise RequestError(
                TOO_MANY_CALLS, f"{PENDING_CALLS_LIMIT} calls of this session wait for an answer already"
            )
        if options.disclose_me and not session.may_disclose:
            raise RequestError(DISCLOSE_ME_DISALLOWED, "this role may not disclose its identity")

        pending = PendingCall(
            session,
            message.request,
            procedure,
            options,
            registration,
            disclose=decision.disclose or options.disclose_me,
            passthru=passthru,
            is_open=options.progress,
            decisions=session.decisions,
        )
        if not self._invocations.offer(pending, [message.payload], may_ask=True):
            self._invocations.offer_elsewhere(pending, [message.payload], others)
        made[scattered(message.request)] = pending
        return None

    def _continues(self, calls: SessionCalls, message: Call) -> bool:
        """Take a further piece of a progressive call; return whether the message was one."""
        pending = calls.made.get(scattered(message.request))
        if pending is None:
            if scattered(message.request) not in calls.ended:
                return False
            # "the *Caller* may be unaware that the call is completed by time it sends another progressive CALL
            # continuation": such a piece is discarded.
            if not message.options.progress:
                calls.forget_ended(message.request)
            return True
        if not pending.is_open or pending.procedure != message.procedure:
            raise ProtocolViolation(
                f"request id {message.request} belongs to a call that is not answered yet"
            )
        pending.is_open = message.options.progress
        if pending.kept is not None:
            self._invocations.keep(pending, message.payload)
        if pending.callee is not None and not pending.is_interrupted:
            self._invocations.send_piece(pending, pending.callee, message.payload, progress=pending.is_open)
        return True

    def _call_meta(self, session: Session, message: Call, *, by_name: bool) -> Steps[None] | None:
        # To look at arguments, and to make an answer here.
        self._work.spend(2 * UNITS_A_MESSAGE)
        result = self.meta.call(session, message, by_name=by_name)
        if result is None:
            raise RequestError(NO_SUCH_PROCEDURE, f"the router has no procedure {message.procedure!r}")
        if not isinstance(result, Generator):
            self._send_meta_result(session, message, result)
            return None
        return self._call_meta_in_steps(session, message, result)

    def _call_meta_in_steps(self, session: Session, message: Call, steps: Steps[Payload]) -> Steps[None]:
        session_id = session.id
        result = yield from steps
        if session.is_established_as(session_id):
            self._send_meta_result(session, message, result)

    def _send_meta_result(self, session: Session, message: Call, result: Payload) -> None:
        session.peer.send(Result(message.request, ResultDetails(), result))
        if message.options.progress:
            self._invocations.calls_of(session).remember_ended(message.request)

    def _yield_progress(self, pending: PendingCall, payload: Payload, passthru: dict[str, Any]) -> None:
        callee = pending.callee
        if callee is None or not pending.wants_progress_of(callee):
            self._counters.answers_dropped += 1
            return
        if pending.timer is not None:
            # "the time limit between the initial call and the first result, and between results thereafter"
            pending.timer.cancel()
            self._invocations.start_timer(pending)
        # Another callee would send again what the caller has.
        self._invocations.let_go(pending)
        details = ResultDetails(progress=True, **passthru) if passthru else _PROGRESS_DETAILS
        try:
            pending.caller.tell(Result(pending.request, details, payload))
        except PayloadError as error:
            self._invocations.cancel(
                pending, "killnowait", error.uri, f"a result cannot reach the caller: {error}"
            )

    def _taken(self, session: Session, invocation: int) -> PendingCall | None:
        """Return the call that `invocation` stands for; None when its caller no longer waits."""
        calls = self._of_session.get(session)
        pending = calls.taken.get(invocation) if calls is not None else None
        if pending is None:
            if calls is None or invocation > calls.invocation_ids.last:
                raise ProtocolViolation(f"invocation {invocation} was never made")
            self._counters.answers_dropped += 1
        return pending


_NO_OTHERS: Iterator[Registration] = iter(())
_NO_RESULT_DETAILS = ResultDetails()
_PROGRESS_DETAILS = ResultDetails(progress=True)
