"""Which callee is asked: one that registered a pattern must be permitted to register the procedure that is called.

REGISTER is authorised on the pattern's text, and a role may be denied some of the procedures the pattern covers. So the
permission is judged again for the procedure when the pattern wins, as a pattern subscription's is for each topic. A
callee that may not register the procedure is passed over, as if it were not there.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from heliograph.routing.authorizer import CalleeQuestion, Decision, DecisionPending, Subject
from heliograph.routing.work import Work

if TYPE_CHECKING:
    from heliograph.routing.calls import PendingCall
    from heliograph.routing.registration import Callee, Registration
    from heliograph.routing.session import Session

QUESTIONS_A_CALL = 8
"""Decisions one call waits for before it is made; callees for whom it would have to wait for more are passed over."""


class Barred:
    """The sessions that cannot be asked to work on one call, as a container.

    A decision that has to be waited for is a refusal, unless the call can wait.

    Args:
        caller: who waits for the decisions.
        procedure: what is called.
        decisions: what was decided while the call waited.
        work: bounds what is done in a turn.
        tried: sessions that declined the call.
        may_ask: whether the call can wait: then `in` raises `DecisionPending`, with nothing changed.
    """

    __slots__ = ("_caller", "_decisions", "_may_ask", "_procedure", "_tried", "_work")

    def __init__(
        self,
        caller: Session,
        procedure: str,
        decisions: Mapping[Subject, Decision],
        work: Work,
        *,
        tried: Container[Session] = (),
        may_ask: bool = False,
    ) -> None:
        self._caller = caller
        self._procedure = procedure
        self._decisions = decisions
        self._work = work
        self._tried = tried
        self._may_ask = may_ask and len(decisions) < QUESTIONS_A_CALL

    def __contains__(self, callee: object) -> bool:
        """Return whether the session `callee` cannot be asked."""
        session: Session = callee  # type: ignore[assignment]  # what a container may be asked is any object
        if session in self._tried:
            return True
        # With the session's id: never taken for a decision about the caller, or about another callee.
        question: CalleeQuestion = (session.id, self._procedure, "register", "exact")
        decision = self._decisions.get(question)
        if decision is None:
            try:
                decision = session.authorizer.decide(
                    session, self._procedure, "register", "exact", waiting=self._caller
                )
            except DecisionPending as pending:
                if self._may_ask:
                    raise DecisionPending(question, pending.ask) from None
                return True
        if decision.allow:
            return False
        self._work.spend(1)
        return True


def next_callee(pending: PendingCall, work: Work, *, may_ask: bool = False) -> Callee | None:
    """Return the callee whose turn it is to work on a call; None when it has to wait, or there is nobody.

    Args:
        pending: the call.
        work: bounds what is done in a turn.
        may_ask: whether it can wait for decisions: `DecisionPending` is raised then.
    """
    registration = pending.registration
    if registration.match == "exact":
        return registration.pick(pending.tried)
    if may_ask and pending.decisions:
        # The turn may be another callee's now: the one that was decided about first, or each call would ask for all.
        callee = registration.pick(_barred(pending, work, may_ask=False))
        if callee is not None:
            return callee
    return registration.pick(_barred(pending, work, may_ask=may_ask))


def has_callee(pending: PendingCall, work: Work, *, may_ask: bool = False) -> bool:
    """Return whether some callee, free or not, could work on a call; arguments as for `next_callee`."""
    registration = pending.registration
    if registration.match == "exact":
        return registration.has_untried(pending.tried)
    return registration.has_untried(_barred(pending, work, may_ask=may_ask))


def may_have(pending: PendingCall, callee: Callee, work: Work) -> bool:
    """Return whether `callee`, free or not, could work on a call that waits."""
    return callee.session not in _barred(pending, work, may_ask=False)


def is_reached(registration: Registration, caller: Session, procedure: str, work: Work) -> bool:
    """Return whether a call of `procedure`, which the registration matches, would reach it.

    Raises:
        DecisionPending: that has to be waited for.
    """
    if registration.match == "exact":
        return True
    return registration.has_untried(Barred(caller, procedure, caller.decisions, work, may_ask=True))


def _barred(pending: PendingCall, work: Work, *, may_ask: bool) -> Barred:
    return Barred(
        pending.caller, pending.procedure, pending.decisions, work, tried=pending.tried, may_ask=may_ask
    )
