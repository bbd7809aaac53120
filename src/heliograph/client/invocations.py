"""Calls of this session's procedures, without I/O: each is answered once, at most."""

from typing import Any, Protocol

from heliograph.client.requests import Requests
from heliograph.client.standing import StandingRegistration
from heliograph.client.standing_requests import StandingRequests
from heliograph.wamp import errors, messages
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Error, InvocationDetails, Yield, YieldOptions, code_of
from heliograph.wamp.payload import Payload, PlainPayload

ANSWERED_EARLY_LIMIT = 256
"""Ids of calls answered before their last piece that late pieces are known by; of more, the oldest is forgotten."""


class OpenInvocation:
    """A call to be answered, once, with `answer` or `refuse`.

    Attributes:
        request: the router's id of it.
        procedure: the procedure that was called; with a pattern, not the pattern.
        target: what answers it, of the registration.
        details: what the router says of the call.
        payload: the arguments.
        is_last: whether no further piece of the call will come.
    """

    __slots__ = ("details", "is_last", "payload", "procedure", "request", "target")

    def __init__(self, message: messages.Invocation, standing: StandingRegistration) -> None:
        if standing.implementation is None:
            raise AssertionError("only what is wanted is invoked")
        self.request = message.request
        self.procedure = message.details.procedure or standing.procedure
        self.target: Any = standing.implementation.target
        self.details: InvocationDetails = message.details
        self.payload: Payload = message.payload
        self.is_last = not message.details.progress


class InvocationObserver(Protocol):
    """Who runs what is called."""

    def invoked(self, invocation: OpenInvocation) -> None:
        """Somebody calls a procedure of this session."""

    def piece_came(self, invocation: OpenInvocation, payload: Payload) -> None:
        """A further piece of a progressive call has come; `invocation.is_last` tells whether it is the last."""

    def interrupted(self, invocation: OpenInvocation) -> None:
        """The caller has given the call up: an answer is due, but nobody may be waiting for it."""

    def dropped(self, invocation: OpenInvocation) -> None:
        """The connection the call came on is gone: no answer can reach the caller."""


class Invocations:
    """The callee's side of remote procedure calls.

    Args:
        requests: what answers are sent by.
        standing: the registrations.
        observer: who runs what is called.
    """

    def __init__(self, requests: Requests, standing: StandingRequests, observer: InvocationObserver) -> None:
        self._requests = requests
        self._standing = standing
        self._observer = observer
        self._open: dict[int, OpenInvocation] = {}
        self._answered_early: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def disconnected(self) -> None:
        """Take note that the connection is gone: what is open can be answered no more."""
        invocations, self._open = self._open, {}
        self._answered_early.clear()
        for invocation in invocations.values():
            self._observer.dropped(invocation)

    # Answers

    def is_open(self, invocation: OpenInvocation) -> bool:
        """Return whether an answer can reach the caller."""
        # Not by id alone: the next connection counts from 1 again.
        return self._open.get(invocation.request) is invocation

    def progress(self, invocation: OpenInvocation, payload: Payload) -> bool:
        """Send a progressive result; returns False when no answer can reach the caller any more."""
        if not self.is_open(invocation):
            return False
        self._requests.send(Yield(invocation.request, YieldOptions(progress=True), payload))
        return True

    def answer(self, invocation: OpenInvocation, payload: Payload) -> None:
        """Send YIELD, unless the connection the call came on is gone."""
        if self.is_open(invocation):
            self._requests.send(Yield(invocation.request, YieldOptions(), payload))
            self._close(invocation)

    def refuse(self, invocation: OpenInvocation, uri: str, payload: Payload) -> None:
        """Send ERROR for a call, unless the connection it came on is gone."""
        if self.is_open(invocation):
            self._send_error(invocation.request, uri, payload)
            self._close(invocation)

    def _close(self, invocation: OpenInvocation) -> None:
        del self._open[invocation.request]
        if not invocation.is_last:
            # Its caller does not know yet that it is answered: what follows of it is no new call.
            self._answered_early[invocation.request] = None
            if len(self._answered_early) > ANSWERED_EARLY_LIMIT:
                del self._answered_early[next(iter(self._answered_early))]

    def _send_error(self, request: int, uri: str, payload: Payload) -> None:
        self._requests.send(Error(code_of(messages.Invocation), request, {}, uri, payload))

    # Messages of the router

    def invoked(self, message: messages.Invocation) -> None:
        """Take INVOCATION: a call, or a further piece of one."""
        opened = self._open.get(message.request)
        if opened is not None:
            self._continued(opened, message)
            return
        if message.request in self._answered_early:
            if not message.details.progress:
                del self._answered_early[message.request]
            return
        standing = self._standing.registration(message.registration)
        if standing is None or standing.implementation is None:
            text = "this session does not offer that procedure any more"
            self._send_error(message.request, errors.NO_SUCH_PROCEDURE, PlainPayload([text]))
            return
        invocation = OpenInvocation(message, standing)
        self._open[message.request] = invocation
        self._observer.invoked(invocation)

    def _continued(self, invocation: OpenInvocation, message: messages.Invocation) -> None:
        if invocation.is_last:
            raise ProtocolViolation(f"INVOCATION {message.request} is still open")
        invocation.is_last = not message.details.progress
        self._observer.piece_came(invocation, message.payload)

    def interrupted(self, message: messages.Interrupt) -> None:
        """Take INTERRUPT; one for a call that has been answered meanwhile is ignored."""
        invocation = self._open.get(message.request)
        if invocation is not None:
            self._observer.interrupted(invocation)
