"""Requests on their way: each has an id, goes out once, and is answered, refused or lost with its connection."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from heliograph.client.errors import ConnectionLost, HeliographError
from heliograph.client.payload import application_error
from heliograph.wamp import messages
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.ids import SequentialIds
from heliograph.wamp.messages import Error, Message, code_of
from heliograph.wamp.payload import Payload


class Transport(Protocol):
    """One connection to a router."""

    def send(self, message: Message) -> None:
        """Send `message`; raises `PayloadError` when it cannot be expressed."""

    def close(self) -> None:
        """Close once everything that was sent is out."""


class Answer(Protocol):
    """Where an answer goes; an `asyncio.Future` is one."""

    def done(self) -> bool:
        """Return whether nobody waits any more."""

    def set_result(self, result: Any, /) -> None:
        """Deliver the answer."""

    def set_exception(self, error: BaseException, /) -> None:
        """Deliver an error."""


Resolve = Callable[[Any], None]
"""Takes the message that answers a request."""

Reject = Callable[[Callable[[], HeliographError]], None]
"""Takes a function that makes an exception."""

Progress = Callable[[Payload], None]
"""Takes a progressive result."""


class Pending(NamedTuple):
    """A request whose answer is awaited."""

    reply: type[Message]
    code: int
    resolve: Resolve
    reject: Reject
    progress: Progress | None


def resolver(answer: Answer, read: Callable[[Any], Any]) -> Resolve:
    """Return what gives `answer` what `read` reads of the message."""

    def resolve(message: Any) -> None:
        if not answer.done():
            answer.set_result(read(message))

    return resolve


def rejecter(answer: Answer) -> Reject:
    """Return what gives `answer` an exception."""

    def reject(error: Callable[[], HeliographError]) -> None:
        if not answer.done():
            answer.set_exception(error())

    return reject


class Requests:
    """The requests of one connection after the other.

    Attributes:
        is_joined: whether requests can be made now.
    """

    def __init__(self) -> None:
        self.is_joined = False
        self._transport: Transport | None = None
        self._ids = SequentialIds()
        self._pending: dict[int, Pending] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def connected(self, transport: Transport) -> None:
        """Begin with a new connection: ids count from 1 again."""
        self._transport = transport
        self._ids = SequentialIds()

    def disconnected(self, error: HeliographError) -> None:
        """Fail everything that was asked on a connection that is gone."""
        self._transport = None
        self.is_joined = False
        pending, self._pending = self._pending, {}
        for request in pending.values():
            request.reject(lambda: ConnectionLost(str(error)))

    # Sending

    def send(self, message: Message) -> None:
        """Send a message that wants no answer, or nothing when the session is leaving or its connection gone."""
        if self.is_joined and self._transport is not None:
            self._transport.send(message)

    def make(
        self,
        build: Callable[[int], Message],
        reply: type[Message] | None = None,
        resolve: Resolve | None = None,
        reject: Reject | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Send what `build` makes of the next id; returns the id."""
        if not self.is_joined or self._transport is None:
            raise ConnectionLost("there is no session now")
        last = self._ids.last
        request = self._ids.next()
        message = build(request)
        try:
            self._transport.send(message)
        except Exception:
            self._ids.last = last  # nothing went out, and ids have no gaps
            raise
        if reply is not None and resolve is not None and reject is not None:
            self._pending[request] = Pending(reply, code_of(type(message)), resolve, reject, progress)
        return request

    def ask(
        self,
        build: Callable[[int], Message],
        reply: type[Message],
        answer: Answer,
        read: Callable[[Any], Any],
        progress: Progress | None = None,
    ) -> int:
        """Send what `build` makes of the next id; `answer` becomes what `read` reads of the reply. Returns the id."""
        return self.make(build, reply, resolver(answer, read), rejecter(answer), progress)

    def is_pending(self, request: int) -> bool:
        """Return whether the answer to `request` is awaited."""
        return request in self._pending

    def forget(self, request: int) -> None:
        """Drop a request whose answer nobody waits for; the answer is ignored when it comes."""
        self._pending.pop(request, None)

    # Answers of the router

    def replied(self, reply: Any) -> None:
        """Take an answer."""
        if isinstance(reply, messages.Result) and reply.details.progress:
            self._progressed(reply)
            return
        pending = self._take(reply.request)
        if pending is None:
            return
        self._check_kind(pending, reply)
        pending.resolve(reply)

    def refused(self, error: Error) -> None:
        """Take an ERROR."""
        pending = self._take(error.request)
        if pending is None:
            return
        if pending.code != error.request_type:
            raise ProtocolViolation(f"ERROR names request {error.request} as type {error.request_type}")
        pending.reject(lambda: application_error(error.error, error.payload))

    def _progressed(self, result: messages.Result) -> None:
        pending = self._pending.get(result.request)
        if pending is None:
            self._check_was_made(result.request)
            return
        self._check_kind(pending, result)
        if pending.progress is None:
            raise ProtocolViolation(f"call {result.request} asked for no progressive results")
        pending.progress(result.payload)

    @staticmethod
    def _check_kind(pending: Pending, reply: Any) -> None:
        if pending.reply is not type(reply):
            name, expected = type(reply).__name__.upper(), pending.reply.__name__.upper()
            raise ProtocolViolation(f"{name} answers request {reply.request}, which wants {expected}")

    def _take(self, request: int) -> Pending | None:
        pending = self._pending.pop(request, None)
        if pending is None:
            self._check_was_made(request)
        return pending  # None: nobody waits any more

    def _check_was_made(self, request: int) -> None:
        if not 0 < request <= self._ids.last:
            raise ProtocolViolation(f"an answer to request {request}, which was never made")
