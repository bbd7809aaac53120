"""A registered procedure and the callees that share it."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Container
from typing import TYPE_CHECKING

from heliograph.routing.calls import PendingCall
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
        self.waiting: deque[PendingCall] = deque()
        """Calls for which no callee is free."""
        self._next = 0

    def callee(self, session: Session) -> Callee | None:
        """Return the callee that `session` is."""
        return next((callee for callee in self.callees if callee.session is session), None)

    def remove(self, callee: Callee) -> None:
        """Take a callee out; the rotation goes on with the one whose turn it was."""
        position = self.callees.index(callee)
        del self.callees[position]
        if position < self._next:
            self._next -= 1

    def pick(self, tried: Container[Session] = ()) -> Callee | None:
        """Return the free callee whose turn it is by the registration's policy, leaving out those in `tried`."""
        able = [callee for callee in self.callees if callee.is_free and callee.session not in tried]
        if not able:
            return None
        if self.invoke == "roundrobin":
            return self._pick_in_rotation(able)
        if self.invoke == "random":
            return random.choice(able)  # noqa: S311 - guards nothing
        return able[-1] if self.invoke == "last" else able[0]

    def _pick_in_rotation(self, able: list[Callee]) -> Callee:
        count = len(self.callees)
        for step in range(count):
            position = (self._next + step) % count
            if self.callees[position] in able:
                self._next = (position + 1) % count
                return self.callees[position]
        raise AssertionError("an able callee is one of the registration's")
