"""A registered procedure and the callees that share it."""

from __future__ import annotations

import random
from collections.abc import Container
from typing import TYPE_CHECKING

from heliograph.routing.calls import PendingCall
from heliograph.wamp.features import CALLEE_TIMEOUT
from heliograph.wamp.messages import Invoke, RegisterOptions
from heliograph.wamp.uris import Match

if TYPE_CHECKING:
    from heliograph.routing.session import Session


class Callee:
    """A session that implements a procedure, and how it wants to."""

    __slots__ = ("active", "concurrency", "disclose_caller", "forward_timeout", "session")

    def __init__(self, session: Session, options: RegisterOptions) -> None:
        self.session = session
        self.concurrency = options.concurrency
        self.disclose_caller = options.disclose_caller
        self.forward_timeout = options.forward_timeout
        self.active = 0
        """Calls it works on."""

    @property
    def is_free(self) -> bool:
        """Whether it takes one more call."""
        return self.concurrency is None or self.active < self.concurrency

    @property
    def takes_timeouts(self) -> bool:
        """Whether time limits are its own business: it has asked for them, and can keep them."""
        return self.forward_timeout and bool(self.session.features & CALLEE_TIMEOUT)


class Registration:
    """A procedure, or a pattern of procedures; all its callees share one id.

    Args:
        registration_id: its id.
        procedure: the URI or pattern.
        match: how the URI is compared.
        invoke: which of several callees is asked.
        created_s: when it came to be, seconds since 1970.
    """

    __slots__ = ("_next", "callees", "created_s", "id", "invoke", "match", "procedure", "waiting")

    def __init__(
        self, registration_id: int, procedure: str, match: Match, invoke: Invoke, created_s: float
    ) -> None:
        self.id = registration_id
        self.procedure = procedure
        self.match = match
        self.invoke = invoke
        self.created_s = created_s
        self.callees: list[Callee] = []
        """In the order in which they registered."""
        self.waiting: dict[PendingCall, None] = {}
        """Calls for which no callee is free, in the order in which they came."""
        self._next = 0

    def remove(self, callee: Callee) -> None:
        """Take a callee out; the rotation goes on with the one whose turn it was."""
        position = self.callees.index(callee)
        del self.callees[position]
        if position < self._next:
            self._next -= 1

    def has_untried(self, tried: Container[Session]) -> bool:
        """Return whether there is a callee, free or not, that is not in `tried`."""
        return any(callee.session not in tried for callee in self.callees)

    def pick(self, tried: Container[Session] = ()) -> Callee | None:
        """Return the callee whose turn it is by the registration's policy, as if those in `tried` were not there.

        None when there is no other, or it works as much as it may: load is balanced over those that are free
        (`roundrobin`, `random`), but a stand-by is not asked because the one before it is busy (`first`, `last`).
        """
        if self.invoke == "roundrobin":
            return self._pick_in_rotation(tried)
        if self.invoke == "random":
            return self._pick_at_random(tried)
        for callee in reversed(self.callees) if self.invoke == "last" else self.callees:
            if callee.session not in tried:
                return callee if callee.is_free else None
        return None

    def _pick_in_rotation(self, tried: Container[Session]) -> Callee | None:
        callees = self.callees
        count = len(callees)
        for position in range(self._next, self._next + count):
            callee = callees[position % count]
            if callee.is_free and callee.session not in tried:
                self._next = (position + 1) % count
                return callee
        return None

    def _pick_at_random(self, tried: Container[Session]) -> Callee | None:
        if not self.callees:
            return None
        first = random.choice(self.callees)  # noqa: S311 - guards nothing
        if first.is_free and first.session not in tried:
            return first
        # Only now that the first pick has failed is it worth looking at others.
        free = [callee for callee in self.callees if callee.is_free]
        while free:
            position = random.randrange(len(free))  # noqa: S311 - guards nothing
            if free[position].session not in tried:
                return free[position]
            free[position] = free[-1]
            free.pop()
        return None
