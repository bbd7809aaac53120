"""Calls on their way: what the dealer keeps until each has its final answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from heliograph.routing.authorizer import Decision, Subject
from heliograph.routing.peer import Timer
from heliograph.wamp.features import CALLEE_PROGRESSIVE_RESULTS
from heliograph.wamp.ids import SequentialIds, scattered
from heliograph.wamp.messages import CallOptions, InvocationDetails
from heliograph.wamp.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from heliograph.routing.registration import Callee, Registration
    from heliograph.routing.session import Session

ENDED_CALLS_LIMIT = 256
"""Ids of ended calls a session's late progressive invocations are known by; of more, the oldest is forgotten."""

KEPT_PIECES_LIMIT = 64
"""Pieces of one progressive call that are kept while it waits for a callee or another one may have to be asked."""

KEPT_PIECES_BYTES = 1024 * 1024
"""What they may take together: they are sent to the callee at once, which may hold and read only so much."""

PIECE_BYTES = 256
"""About what a piece takes beside its payload."""

_NOBODY: AbstractSet[Session] = frozenset()
_NO_DETAILS = InvocationDetails()


class PendingCall(Struct, eq=False):
    """A call that has no final answer yet.

    Attributes:
        caller: who waits.
        request: the caller's id of it.
        procedure: what was called.
        options: of the first CALL; they count for all that continue it.
        disclose: whether the callee learns who calls.
        passthru: what the options say of the payload.
        decisions: what was decided before it was made, about its caller and about callees.
        kept: its payload, piece by piece, while a callee may have to be given it all.
        kept_bytes: how many bytes that is.
        registration: whose callees can be asked.
        callee: who works on it, None while it waits for one to be free.
        invocation: the callee's id of it.
        tried: sessions that declined it.
        timer: for its time limit.
        is_open: whether further progressive invocations may come.
        is_interrupted: whether its callee was asked to stop.
    """

    caller: Session
    request: int
    procedure: str
    options: CallOptions
    registration: Registration
    disclose: bool
    passthru: dict[str, Any]
    decisions: Mapping[Subject, Decision]
    is_open: bool
    kept: list[Payload] | None = None
    kept_bytes: int = 0
    callee: Callee | None = None
    invocation: int = 0
    tried: AbstractSet[Session] = _NOBODY
    timer: Timer | None = None
    is_interrupted: bool = False

    def wants_progress_of(self, callee: Callee) -> bool:
        """Return whether progressive results are asked of `callee`."""
        return self.options.receive_progress and bool(callee.session.features & CALLEE_PROGRESSIVE_RESULTS)

    def details_for(self, callee: Callee, *, progress: bool) -> InvocationDetails:
        """Return the details of an invocation of `callee`; `progress` says whether more of them follow."""
        known: dict[str, Any] = dict(self.passthru)
        if self.registration.match != "exact":
            known["procedure"] = self.procedure
        caller = self.caller
        if self.disclose or (callee.disclose_caller and caller.may_disclose):
            known["caller"] = caller.id
            known["caller_authid"] = caller.principal.authid
            known["caller_authrole"] = caller.principal.authrole
        if caller.trustlevel is not None:
            known["trustlevel"] = caller.trustlevel
        if self.wants_progress_of(callee):
            known["receive_progress"] = True
        if progress:
            known["progress"] = True
        if self.options.timeout and self.timer is None and callee.takes_timeouts:
            # Where a timer runs already, since an earlier callee or since the call had to wait, it goes on.
            known["timeout"] = self.options.timeout
        return InvocationDetails(**known) if known else _NO_DETAILS


class SessionCalls:
    """What the dealer knows of one session."""

    __slots__ = ("ended", "invocation_ids", "kept_bytes", "made", "taken")

    def __init__(self) -> None:
        self.made: dict[int, PendingCall] = {}
        """Calls this session waits for, by its request id, `scattered`: the session chooses it."""
        self.taken: dict[int, PendingCall] = {}
        """Calls this session works on, by invocation id."""
        self.invocation_ids = SequentialIds()
        self.kept_bytes = 0
        """What is kept of the calls this session has made."""
        self.ended: dict[int, None] = {}
        """Requests of calls that have ended while more of their pieces may be on their way; the oldest first."""

    def keep(self, pending: PendingCall, pieces: list[Payload], *, limit_bytes: int) -> bool:
        """Keep the payload of a call this session has made; False, and nothing changed, where there is no room."""
        size = sum(PIECE_BYTES + piece.size_bytes for piece in pieces)
        if self.kept_bytes - pending.kept_bytes + size > limit_bytes:
            return False
        self.kept_bytes += size - pending.kept_bytes
        pending.kept, pending.kept_bytes = [piece.compact() for piece in pieces], size
        return True

    def let_go(self, pending: PendingCall) -> None:
        """Keep the payload of a call no longer."""
        self.kept_bytes -= pending.kept_bytes
        pending.kept, pending.kept_bytes = None, 0

    def remember_ended(self, request: int) -> None:
        """Take note that a call has ended while more of its pieces may be on their way."""
        self.ended[scattered(request)] = None
        if len(self.ended) > ENDED_CALLS_LIMIT:
            del self.ended[next(iter(self.ended))]

    def forget_ended(self, request: int) -> None:
        """Take note that the last piece of such a call has come."""
        self.ended.pop(scattered(request), None)
