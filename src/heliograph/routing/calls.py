"""Calls on their way: what the dealer keeps until each has its final answer."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from heliograph.routing.peer import Timer
from heliograph.wamp.ids import SequentialIds
from heliograph.wamp.messages import CallOptions
from heliograph.wamp.payload import Payload

if TYPE_CHECKING:
    from heliograph.routing.registration import Callee, Registration
    from heliograph.routing.session import Session

FINISHED_PROGRESSIVE_CALLS = 256
"""Ids of finished progressive calls a session's latecomers are known by."""


class PendingCall:
    """A call that has no final answer yet.

    Attributes:
        caller: who waits.
        request: the caller's id of it.
        procedure: what was called.
        options: of the first CALL; they count for all that continue it.
        disclose: whether the callee learns who calls.
        passthru: what the options say of the payload.
        payload: kept while another callee may have to be asked.
        registration: whose callees can be asked.
        callee: who works on it, None while it waits for one to be free.
        invocation: the callee's id of it.
        tried: sessions that declined it.
        timer: for its time limit.
        is_open: whether further progressive invocations may come.
        is_interrupted: whether its callee was asked to stop and its answer is still wanted.
    """

    __slots__ = (
        "callee", "caller", "disclose", "invocation", "is_interrupted", "is_open", "options", "passthru", "payload",
        "procedure", "registration", "request", "timer", "tried",
    )  # fmt: skip

    def __init__(
        self,
        caller: Session,
        request: int,
        procedure: str,
        options: CallOptions,
        registration: Registration,
    ) -> None:
        self.caller = caller
        self.request = request
        self.procedure = procedure
        self.options = options
        self.registration = registration
        self.disclose = False
        self.passthru: dict[str, str] = {}
        self.payload: Payload | None = None
        self.callee: Callee | None = None
        self.invocation = 0
        self.tried: set[Session] = set()
        self.timer: Timer | None = None
        self.is_open = options.progress
        self.is_interrupted = False


class SessionCalls:
    """What the dealer knows of one session."""

    __slots__ = ("finished_progressive", "invocation_ids", "made", "registrations", "taken")

    def __init__(self) -> None:
        self.registrations: set[Registration] = set()
        self.made: dict[int, PendingCall] = {}
        """Calls this session waits for, by its request id."""
        self.taken: dict[int, PendingCall] = {}
        """Calls this session works on, by invocation id."""
        self.invocation_ids = SequentialIds()
        self.finished_progressive: deque[int] = deque(maxlen=FINISHED_PROGRESSIVE_CALLS)
        """Request ids of its finished calls with progressive invocations; more of them may be on their way."""
