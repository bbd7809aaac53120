"""The dealer: calls, from their caller to a callee and back."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from heliograph.routing.authorizer import authorize
from heliograph.routing.calls import KEPT_PIECES_LIMIT, PendingCall, SessionCalls
from heliograph.routing.counters import Counters
from heliograph.routing.options import CallQueueOptions
from heliograph.routing.passthru import passthru_of, passthru_of_error
from heliograph.routing.pattern_callees import has_callee, next_callee
from heliograph.routing.patterns import PatternIndex
from heliograph.routing.peer import Clock
from heliograph.routing.procedures import Announce, Procedures, Withdrawal
from heliograph.routing.registration import Callee, Registration
from heliograph.routing.work import UNITS_A_MESSAGE, Steps, Work
from heliograph.wamp import codes
from heliograph.wamp.errors import (
    CANCELED,
    DISCLOSE_ME_DISALLOWED,
    FEATURE_NOT_SUPPORTED,
    MAX_CONCURRENCY_REACHED,
    NO_AVAILABLE_CALLEE,
    NO_SUCH_PROCEDURE,
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
    CALLEE_REROUTE,
    CALLER_PASSTHRU,
    CALLER_PROGRESSIVE_INVOCATIONS,
)
from heliograph.wamp.ids import MAX_ID
from heliograph.wamp.messages import (
    Call,
    Cancel,
    Error,
    Interrupt,
    InterruptOptions,
    Invocation,
    Register,
    Result,
    ResultDetails,
    Yield,
)
from heliograph.wamp.payload import Payload, PlainPayload
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
        self._clock = clock
        self._counters = counters
        self._work = work
        self._overdue: deque[PendingCall] = deque()
        self._is_canceling = False
        self._timeout_unit_s = timeout_unit_s
        self._kept_calls_limit_bytes = kept_calls_limit_bytes
        self._queues: PatternIndex[int] = PatternIndex()
        for queue in queues:
            self._queues.add(queue.uri, queue.match, queue.limit)
        self.procedures = Procedures(
            uri_check=uri_check,
            clock=clock,
            announce=announce,
            callee_gone=self._callee_gone,
            counters=counters,
            registrations_limit=registrations_limit,
        )
        self._of_session: dict[Session, SessionCalls] = {}
        self.meta: MetaProcedures

    def register(self, session: Session, message: Register) -> None:
        """Let the session implement a procedure, and give it the calls that wait for one to be free."""
        self._serve_waiting(self.procedures.register(session, message))

    def is_on_its_way(self, session: Session, request: int) -> bool:
        """Return whether a CALL of this request id can be a piece of a call that was begun before."""
        calls = self._of_session.get(session)
        return calls is not None and (request in calls.made or request in calls.ended)

    # Calling.

    def call(self, session: Session, message: Call) -> Steps[None] | None:
        """Ask a callee of the message's procedure, or go on with a call that was begun.

        A procedure of the router's own may take longer: then the steps that lead to its result are returned.
        """
        calls = self._of_session.get(session)
        if (
            calls is not None
            and (message.request in calls.made or calls.ended)
            and self._continues(calls, message)
        ):
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
            self._calls(session).remember_ended(message.request)
            raise

    def cancel(self, session: Session, message: Cancel) -> None:
        """Give a call up (specification, "Call Canceling"); one that is not there (any more) is ignored."""
        calls = self._of_session.get(session)
        pending = calls.made.get(message.request) if calls is not None else None
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
        if passthru.get("ppt_scheme") and not pending.caller.features & CALLER_PASSTHRU:
            text = "the caller does not support payload passthru"
            # A final result leaves nothing to interrupt.
            self._cancel(
                pending, "killnowait" if message.options.progress else "skip", FEATURE_NOT_SUPPORTED, text
            )
            raise RequestError(FEATURE_NOT_SUPPORTED, text)
        if message.options.progress:
            self._yield_progress(pending, message.payload, passthru)
            return
        self._finish(pending)
        details = ResultDetails(**passthru) if passthru else _NO_RESULT_DETAILS
        try:
            pending.caller.peer.send(Result(pending.request, details, message.payload))
        except PayloadError as error:
            self._fail(pending, error.uri, f"the result cannot reach the caller: {error}")

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
        details = passthru_of_error(message.details)
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
                self._finish(pending)
                yield from self._step()
        for withdrawal in withdrawn:
            if not is_silent:
                self.procedures.announce_withdrawn(session_id, withdrawal)
            self._callee_gone(withdrawal[0])
            yield from self._step()
        for pending in list(calls.taken.values()) if calls is not None else ():
            if pending.callee is not None and pending.callee.session is session:
                self._finish(pending)
                if pending.caller is not session:
                    # `wamp.error.canceled`: the specification spells it with one l but for one place.
                    self._fail(pending, CANCELED, "the callee left before it answered")
                yield from self._step()
        for pending in made:
            if pending.callee is not None:
                self._interrupt(pending, "killnowait", None)
                self._finish(pending)
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
        made = self._calls(session).made
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
        if not self._offer(pending, [message.payload], may_ask=True):
            self._offer_elsewhere(pending, [message.payload], others)
        made[message.request] = pending
        return None

    def _continues(self, calls: SessionCalls, message: Call) -> bool:
        """Take a further piece of a progressive call; return whether the message was one."""
        pending = calls.made.get(message.request)
        if pending is None:
            if message.request not in calls.ended:
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
            self._keep(pending, message.payload)
        if pending.callee is not None and not pending.is_interrupted:
            self._send_piece(pending, pending.callee, message.payload, progress=pending.is_open)
        return True

    def _call_meta(self, session: Session, message: Call, *, by_name: bool) -> Steps[None] | None:
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
            self._calls(session).remember_ended(message.request)

    def _offer_elsewhere(
        self, pending: PendingCall, pieces: list[Payload], registrations: Iterator[Registration]
    ) -> None:
        """Offer a call to the next best patterns: no callee of the best one may register the procedure itself."""
        for registration in registrations:
            pending.registration = registration
            if self._offer(pending, pieces, may_ask=True):
                return
        raise RequestError(NO_SUCH_PROCEDURE, f"no callee has registered {pending.procedure!r}")

    def _offer(self, pending: PendingCall, pieces: list[Payload], *, may_ask: bool = False) -> bool:
        """Give a call to the callee whose turn it is, or let it wait for one; raises when neither can be.

        Returns:
            Whether there is anybody; a call that was declined ends instead with `wamp.error.no_available_callee`.

        Raises:
            DecisionPending: whether a callee may have the call has to be waited for, and `may_ask` says that it can.
        """
        registration = pending.registration
        if registration.match == "exact":
            # What most calls are: nothing is judged again.
            callee = registration.pick(pending.tried)
        else:
            callee = next_callee(pending, self._work, may_ask=may_ask)
        while callee is not None:
            try:
                self._invoke(pending, callee, pieces)
            except (RequestError, PayloadError):
                if not pending.tried:
                    raise
                # Another one has declined it already; whoever cannot take it is as good as unavailable.
                pending.tried |= {callee.session}
                callee = next_callee(pending, self._work)
            else:
                return True
        if not has_callee(pending, self._work, may_ask=may_ask):
            if not pending.tried:
                return False
            raise RequestError(NO_AVAILABLE_CALLEE, f"no callee of {pending.procedure!r} is available")
        self._wait_for_callee(pending, pieces)
        return True

    def _invoke(self, pending: PendingCall, callee: Callee, pieces: list[Payload]) -> None:
        """Send a call to `callee`; raises, with nothing changed, when that cannot be given it."""
        session = callee.session
        if pending.options.progress and not session.features & CALLEE_PROGRESSIVE_INVOCATIONS:
            raise RequestError(
                FEATURE_NOT_SUPPORTED, "the callee does not support progressive call invocations"
            )
        if pending.passthru and pending.passthru.get("ppt_scheme") and not session.features & CALLEE_PASSTHRU:
            raise RequestError(FEATURE_NOT_SUPPORTED, "the callee does not support payload passthru")
        calls = self._calls(session)
        invocation = calls.invocation_ids.following
        details = pending.details_for(callee, progress=pending.is_open or len(pieces) > 1)
        session.peer.send(Invocation(invocation, pending.registration.id, details, pieces[0]))

        calls.invocation_ids.last = pending.invocation = invocation
        calls.taken[invocation] = pending
        pending.callee = callee
        callee.active += 1
        may_be_rerouted = pending.registration.invoke != "single" and session.features & CALLEE_REROUTE
        if not may_be_rerouted or not self._keep_all(pending, pieces):
            self._let_go(pending)
        if pending.options.timeout and pending.timer is None and not callee.takes_timeouts:
            self._start_timer(pending)
        if len(pieces) > 1:
            self._send_kept(pending, callee, pieces)

    def _send_kept(self, pending: PendingCall, callee: Callee, pieces: list[Payload]) -> None:
        for number, piece in enumerate(pieces[1:], 2):
            self._send_piece(pending, callee, piece, progress=pending.is_open or number < len(pieces))
            if pending.callee is not callee:
                return

    def _send_piece(self, pending: PendingCall, callee: Callee, payload: Payload, *, progress: bool) -> None:
        """Send a further piece of a call to its callee; the call ends when that cannot be given it."""
        details = pending.details_for(callee, progress=progress)
        try:
            callee.session.peer.send(
                Invocation(pending.invocation, pending.registration.id, details, payload)
            )
        except PayloadError as error:
            self._cancel(
                pending, "killnowait", error.uri, f"the callee cannot be given this payload: {error}"
            )

    def _keep(self, pending: PendingCall, payload: Payload) -> None:
        """Keep a further piece of a call that waits for a callee, or may have to be given to another one."""
        kept = pending.kept
        if kept is not None and len(kept) < KEPT_PIECES_LIMIT and self._keep_all(pending, [*kept, payload]):
            return
        if pending.callee is None:
            self._counters.session_limits_reached += 1
            self._finish(pending)
            self._fail(pending, MAX_CONCURRENCY_REACHED, "too much of this call waits already")
        else:
            # It has gone too far to begin again somewhere else.
            self._let_go(pending)

    def _keep_all(self, pending: PendingCall, pieces: list[Payload]) -> bool:
        """Keep the payload of a call; return whether there is room for it."""
        calls = self._calls(pending.caller)
        return calls.keep(pending, pieces, limit_bytes=self._kept_calls_limit_bytes)

    def _let_go(self, pending: PendingCall) -> None:
        """Keep the payload of a call no longer."""
        if pending.kept is not None:
            calls = self._of_session.get(pending.caller)
            if calls is not None:
                calls.let_go(pending)

    def _wait_for_callee(self, pending: PendingCall, pieces: list[Payload]) -> None:
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
        if not self._keep_all(pending, pieces):
            self._counters.session_limits_reached += 1
            raise RequestError(
                TOO_MANY_CALLS,
                f"calls of this session that wait hold {self._kept_calls_limit_bytes} bytes already",
            )
        waiting[pending] = None
        if pending.options.timeout and pending.timer is None:
            self._start_timer(pending)

    def _serve_waiting(self, registration: Registration) -> None:
        """Give waiting calls, in the order in which they came, to callees that are free."""
        while registration.waiting:
            served = self._next_waiting(registration)
            if served is None:
                return
            pending, callee = served
            del registration.waiting[pending]
            try:
                self._invoke(pending, callee, pending.kept or [PlainPayload()])
            except (RequestError, PayloadError) as error:
                self._refuse(pending, error)

    def _next_waiting(self, registration: Registration) -> tuple[PendingCall, Callee] | None:
        for pending in registration.waiting:
            callee = next_callee(pending, self._work)
            if callee is not None:
                return pending, callee
            if not pending.tried and registration.match == "exact":
                # Nobody is free for anyone. One that was declined may only be waiting for the others, and one of a
                # pattern for those that may register its procedure.
                return None
        return None

    def _yield_progress(self, pending: PendingCall, payload: Payload, passthru: dict[str, Any]) -> None:
        callee = pending.callee
        if callee is None or not pending.wants_progress_of(callee):
            self._counters.answers_dropped += 1
            return
        if pending.timer is not None:
            # "the time limit between the initial call and the first result, and between results thereafter"
            pending.timer.cancel()
            self._start_timer(pending)
        # Another callee would send again what the caller has.
        self._let_go(pending)
        details = ResultDetails(progress=True, **passthru) if passthru else _PROGRESS_DETAILS
        try:
            pending.caller.peer.send(Result(pending.request, details, payload))
        except PayloadError as error:
            self._cancel(pending, "killnowait", error.uri, f"a result cannot reach the caller: {error}")

    def _reroute(self, pending: PendingCall) -> None:
        """Ask the next callee, as if the one that is unavailable were not there (specification, "Call Re-Routing")."""
        pieces, callee = pending.kept, pending.callee
        if callee is not None:
            pending.tried |= {callee.session}
        self._release(pending)
        try:
            if pieces is None:
                raise RequestError(NO_AVAILABLE_CALLEE, f"no callee of {pending.procedure!r} is available")
            self._offer(pending, pieces)
        except (RequestError, PayloadError) as error:
            self._refuse(pending, error)

    def _cancel(
        self, pending: PendingCall, mode: Literal["skip", "kill", "killnowait"], uri: str, text: str
    ) -> None:
        """End a call; with `kill` that is left to its callee, if it can be interrupted."""
        if mode != "skip" and self._interrupt(pending, mode, uri) and mode == "kill":
            return
        self._finish(pending)
        self._fail(pending, uri, text)

    def _interrupt(
        self, pending: PendingCall, mode: Literal["kill", "killnowait"], reason: str | None
    ) -> bool:
        """Ask a call's callee, once, to stop; return whether it was: it may not support that, or there is none yet."""
        callee = pending.callee
        if callee is None or not callee.session.features & CALLEE_CANCELING:
            return False
        if not pending.is_interrupted:
            pending.is_interrupted = True
            callee.session.peer.send(
                Interrupt(pending.invocation, InterruptOptions(mode=mode, reason=reason))
            )
        return True

    def _start_timer(self, pending: PendingCall) -> None:
        # The specification sets no upper limit, but a timer has one.
        timeout = min(pending.options.timeout, MAX_ID)
        pending.timer = self._clock.later(timeout * self._timeout_unit_s, lambda: self._on_timeout(pending))

    def _on_timeout(self, pending: PendingCall) -> None:
        # Very many may be due at once.
        self._overdue.append(pending)
        if not self._is_canceling:
            self._is_canceling = True
            self._work.go_on(self._cancel_overdue())

    def _cancel_overdue(self) -> Steps[None]:
        while self._overdue:
            pending = self._overdue.popleft()
            if pending.timer is not None:
                self._cancel(pending, "killnowait", TIMEOUT, "the call has run out of time")
            yield from self._step()
        self._is_canceling = False

    def _taken(self, session: Session, invocation: int) -> PendingCall | None:
        """Return the call that `invocation` stands for; None when its caller no longer waits."""
        calls = self._of_session.get(session)
        pending = calls.taken.get(invocation) if calls is not None else None
        if pending is None:
            if calls is None or invocation > calls.invocation_ids.last:
                raise ProtocolViolation(f"invocation {invocation} was never made")
            self._counters.answers_dropped += 1
        return pending

    def _finish(self, pending: PendingCall) -> None:
        """Take a call off the books, whatever state it is in."""
        if pending.timer is not None:
            pending.timer.cancel()
            pending.timer = None
        calls = self._of_session.get(pending.caller)
        if calls is not None:
            if pending.kept is not None:
                calls.let_go(pending)
            calls.made.pop(pending.request, None)
            if pending.is_open:
                calls.remember_ended(pending.request)
        if pending.callee is None:
            pending.registration.waiting.pop(pending, None)
        else:
            self._release(pending)

    def _release(self, pending: PendingCall) -> None:
        """Take a call from its callee, which is free for another one."""
        callee = pending.callee
        if callee is None:
            return
        pending.callee = None
        callee.active -= 1
        calls = self._of_session.get(callee.session)
        if calls is not None:
            calls.taken.pop(pending.invocation, None)
        if pending.registration.waiting:
            self._serve_waiting(pending.registration)

    def _refuse(self, pending: PendingCall, error: RequestError | PayloadError) -> None:
        """End a call that was taken on but cannot go on."""
        self._finish(pending)
        self._fail(pending, error.uri, str(error.args[-1]))

    def _fail(self, pending: PendingCall, uri: str, text: str) -> None:
        self._counters.calls_failed += 1
        pending.caller.peer.send(Error(codes.CALL, pending.request, {}, uri, PlainPayload([text])))

    # The books.

    def _calls(self, session: Session) -> SessionCalls:
        calls = self._of_session.get(session)
        if calls is None:
            calls = self._of_session[session] = SessionCalls()
        return calls

    def _callee_gone(self, registration: Registration) -> None:
        """See to the calls that wait for a callee of `registration`: some may wait for nobody now."""
        if registration.waiting:
            self._let_down(registration)
            self._serve_waiting(registration)

    def _let_down(self, registration: Registration) -> None:
        """Fail the waiting calls for which there is no callee any more."""
        for pending in list(registration.waiting):
            if not has_callee(pending, self._work):
                self._finish(pending)
                self._fail(pending, NO_AVAILABLE_CALLEE, "the last callee has gone")


_NO_OTHERS: Iterator[Registration] = iter(())
_NO_RESULT_DETAILS = ResultDetails()
_PROGRESS_DETAILS = ResultDetails(progress=True)
