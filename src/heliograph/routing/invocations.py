"""Calls on their way: given to a callee, or waiting for one, until each has its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from heliograph.routing.calls import KEPT_PIECES_BYTES, KEPT_PIECES_LIMIT, PendingCall, SessionCalls
from heliograph.routing.counters import Counters
from heliograph.routing.options import CallQueueOptions
from heliograph.routing.pattern_callees import has_callee, may_have, next_callee
from heliograph.routing.patterns import PatternIndex
from heliograph.routing.peer import Clock
from heliograph.routing.registration import Callee, Registration
from heliograph.routing.work import UNITS_A_MESSAGE, Steps, Work
from heliograph.wamp import codes
from heliograph.wamp.errors import (
    FEATURE_NOT_SUPPORTED,
    MAX_CONCURRENCY_REACHED,
    NO_AVAILABLE_CALLEE,
    NO_SUCH_PROCEDURE,
    TIMEOUT,
    TOO_MANY_CALLS,
    PayloadError,
    RequestError,
)
from heliograph.wamp.features import (
    CALLEE_CANCELING,
    CALLEE_PASSTHRU,
    CALLEE_PROGRESSIVE_INVOCATIONS,
    CALLEE_REROUTE,
)
from heliograph.wamp.ids import MAX_ID, scattered
from heliograph.wamp.messages import Error, Interrupt, InterruptOptions, Invocation
from heliograph.wamp.payload import Payload, PlainPayload

if TYPE_CHECKING:
    from heliograph.routing.session import Session


class Invocations:
    """The calls of one realm that have no final answer yet.

    Args:
        clock: for time limits.
        counters: where calls are counted.
        work: bounds what is done in a turn.
        queues: for which procedures calls may wait until a callee is free.
        timeout_unit_s: seconds that one unit of `CALL.Options.timeout` stands for.
        kept_calls_limit_bytes: payload that may be kept of one session's calls.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        counters: Counters,
        work: Work,
        queues: Sequence[CallQueueOptions],
        timeout_unit_s: float,
        kept_calls_limit_bytes: int,
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._work = work
        self._timeout_unit_s = timeout_unit_s
        self._kept_calls_limit_bytes = kept_calls_limit_bytes
        self._overdue: deque[PendingCall] = deque()
        self._is_canceling = False
        self._queues: PatternIndex[int] = PatternIndex()
        for queue in queues:
            self._queues.add(queue.uri, queue.match, queue.limit)
        self.of_session: dict[Session, SessionCalls] = {}
        """Only sessions that have made or taken a call."""

    # To a callee.

    def offer_elsewhere(
        self, pending: PendingCall, pieces: list[Payload], registrations: Iterator[Registration]
    ) -> None:
        """Offer a call to the next best patterns: no callee of the best one may register the procedure itself."""
        for registration in registrations:
            pending.registration = registration
            if self.offer(pending, pieces, may_ask=True):
                return
        raise RequestError(NO_SUCH_PROCEDURE, f"no callee has registered {pending.procedure!r}")

    def offer(self, pending: PendingCall, pieces: list[Payload], *, may_ask: bool = False) -> bool:
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
        calls = self.calls_of(session)
        invocation = calls.invocation_ids.following
        details = pending.details_for(callee, progress=pending.is_open or len(pieces) > 1)
        session.peer.send(Invocation(invocation, pending.registration.id, details, pieces[0]))

        calls.invocation_ids.last = pending.invocation = invocation
        calls.taken[invocation] = pending
        pending.callee = callee
        callee.active += 1
        may_be_rerouted = pending.registration.invoke != "single" and session.features & CALLEE_REROUTE
        if not may_be_rerouted or not self._keep_all(pending, pieces):
            self.let_go(pending)
        if pending.options.timeout and pending.timer is None and not callee.takes_timeouts:
            self.start_timer(pending)
        if len(pieces) > 1:
            self._send_kept(pending, callee, pieces)

    def _send_kept(self, pending: PendingCall, callee: Callee, pieces: list[Payload]) -> None:
        for number, piece in enumerate(pieces[1:], 2):
            self.send_piece(pending, callee, piece, progress=pending.is_open or number < len(pieces))
            if pending.callee is not callee:
                return

    def send_piece(self, pending: PendingCall, callee: Callee, payload: Payload, *, progress: bool) -> None:
        """Send a further piece of a call to its callee; the call ends when that cannot be given it."""
        details = pending.details_for(callee, progress=progress)
        try:
            callee.session.tell(Invocation(pending.invocation, pending.registration.id, details, payload))
        except PayloadError as error:
            self.cancel(pending, "killnowait", error.uri, f"the callee cannot be given this payload: {error}")

    def reroute(self, pending: PendingCall) -> None:
        """Ask the next callee, as if the one that is unavailable were not there (specification, "Call Re-Routing")."""
        pieces, callee = pending.kept, pending.callee
        if callee is not None:
            pending.tried |= {callee.session}
        self._release(pending)
        try:
            if pieces is None:
                raise RequestError(NO_AVAILABLE_CALLEE, f"no callee of {pending.procedure!r} is available")
            self.offer(pending, pieces)
        except (RequestError, PayloadError) as error:
            self._refuse(pending, error)

    # What is kept of it.

    def keep(self, pending: PendingCall, payload: Payload) -> None:
        """Keep a further piece of a call that waits for a callee, or may have to be given to another one."""
        kept = pending.kept
        if (
            kept is not None
            and len(kept) < KEPT_PIECES_LIMIT
            and pending.kept_bytes + payload.size_bytes <= KEPT_PIECES_BYTES
            and self._keep_all(pending, [*kept, payload])
        ):
            return
        if pending.callee is None:
            self._counters.session_limits_reached += 1
            self.finish(pending)
            self.fail(pending, MAX_CONCURRENCY_REACHED, "too much of this call waits already")
        else:
            # It has gone too far to begin again somewhere else.
            self.let_go(pending)

    def _keep_all(self, pending: PendingCall, pieces: list[Payload]) -> bool:
        """Keep the payload of a call; return whether there is room for it."""
        calls = self.calls_of(pending.caller)
        return calls.keep(pending, pieces, limit_bytes=self._kept_calls_limit_bytes)

    def let_go(self, pending: PendingCall) -> None:
        """Keep the payload of a call no longer."""
        if pending.kept is not None:
            calls = self.of_session.get(pending.caller)
            if calls is not None:
                calls.let_go(pending)

    # Waiting for a callee.

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
            self.start_timer(pending)

    def serve_waiting(self, registration: Registration, freed: Callee) -> None:
        """Give waiting calls, in the order in which they came, to callees, of which `freed` is free now."""
        if registration.match != "exact":
            self._work.go_on(self._serve_pattern(registration, freed))
            return
        while registration.waiting:
            served = self._next_waiting(registration)
            if served is None:
                return
            self._give(*served)

    def _next_waiting(self, registration: Registration) -> tuple[PendingCall, Callee] | None:
        if not any(callee.is_free for callee in registration.callees):
            return None
        for pending in registration.waiting:
            callee = registration.pick(pending.tried)
            if callee is not None:
                return pending, callee
            self._work.spend(1)
            if not pending.tried:
                # Nobody is free for anyone; one that was declined may only be waiting for the others.
                return None
        return None

    def _serve_pattern(self, registration: Registration, freed: Callee) -> Steps[None]:
        """Look for a call that `freed` may have; others wait for callees that may register their procedures."""
        for pending in list(registration.waiting):
            if not freed.is_free:
                return
            if pending in registration.waiting and may_have(pending, freed, self._work):
                callee = next_callee(pending, self._work)
                if callee is not None:
                    self._give(pending, callee)
            self._work.spend(1)
            yield None

    def callee_gone(self, registration: Registration) -> None:
        """See to the calls that wait for a callee of `registration`: some may wait for nobody now."""
        if registration.waiting:
            self._work.go_on(self._look_again(registration))

    def _look_again(self, registration: Registration) -> Steps[None]:
        for pending in list(registration.waiting):
            if pending not in registration.waiting:
                # It has ended, or was given to a callee, since the step before.
                continue
            callee = next_callee(pending, self._work)
            if callee is not None:
                self._give(pending, callee)
            elif not has_callee(pending, self._work):
                self.finish(pending)
                self.fail(pending, NO_AVAILABLE_CALLEE, "the last callee has gone")
                self._work.spend(UNITS_A_MESSAGE)
            self._work.spend(1)
            yield None

    def _give(self, pending: PendingCall, callee: Callee) -> None:
        """Give a call that has waited to a callee that is free."""
        self._work.spend(UNITS_A_MESSAGE)
        del pending.registration.waiting[pending]
        try:
            self._invoke(pending, callee, pending.kept or [PlainPayload()])
        except (RequestError, PayloadError) as error:
            self._refuse(pending, error)

    # Its end.

    def start_timer(self, pending: PendingCall) -> None:
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
        try:
            while self._overdue:
                pending = self._overdue.popleft()
                if pending.timer is not None:
                    self.cancel(pending, "killnowait", TIMEOUT, "the call has run out of time")
                self._work.spend(UNITS_A_MESSAGE)
                yield None
        finally:
            self._is_canceling = False

    def cancel(
        self, pending: PendingCall, mode: Literal["skip", "kill", "killnowait"], uri: str, text: str
    ) -> None:
        """End a call; with `kill` that is left to its callee, if it can be interrupted."""
        if mode != "skip" and self.interrupt(pending, mode, uri) and mode == "kill":
            return
        self.finish(pending)
        self.fail(pending, uri, text)

    def interrupt(
        self, pending: PendingCall, mode: Literal["kill", "killnowait"], reason: str | None
    ) -> bool:
        """Ask a call's callee, once, to stop; return whether it was: it may not support that, or there is none yet."""
        callee = pending.callee
        if callee is None or not callee.session.features & CALLEE_CANCELING:
            return False
        if not pending.is_interrupted:
            pending.is_interrupted = True
            callee.session.tell(Interrupt(pending.invocation, InterruptOptions(mode=mode, reason=reason)))
        return True

    def finish(self, pending: PendingCall) -> None:
        """Take a call off the books, whatever state it is in."""
        if pending.timer is not None:
            pending.timer.cancel()
            pending.timer = None
        calls = self.of_session.get(pending.caller)
        if calls is not None:
            if pending.kept is not None:
                calls.let_go(pending)
            calls.made.pop(scattered(pending.request), None)
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
        calls = self.of_session.get(callee.session)
        if calls is not None:
            calls.taken.pop(pending.invocation, None)
        if pending.registration.waiting:
            self.serve_waiting(pending.registration, callee)

    def _refuse(self, pending: PendingCall, error: RequestError | PayloadError) -> None:
        """End a call that was taken on but cannot go on."""
        self.finish(pending)
        self.fail(pending, error.uri, str(error.args[-1]))

    def fail(self, pending: PendingCall, uri: str, text: str) -> None:
        """Answer the caller with an error of the router's."""
        self._counters.calls_failed += 1
        pending.caller.tell(Error(codes.CALL, pending.request, {}, uri, PlainPayload([text])))

    def calls_of(self, session: Session) -> SessionCalls:
        """Return what is known of a session's calls; what is written there is kept until it leaves."""
        calls = self.of_session.get(session)
        if calls is None:
            calls = self.of_session[session] = SessionCalls()
        return calls
