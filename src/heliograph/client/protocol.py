"""The client's side of WAMP without I/O: messages in, messages and answers out.

One `ClientProtocol` outlives many connections. Requests belong to the connection they were sent on and fail with it;
standing requests (subscriptions, registrations) are sent again after the next WELCOME.
"""

import enum
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from heliograph.client.errors import ApplicationError, ConnectionLost, HeliographError, JoinRefused
from heliograph.client.payload import application_error
from heliograph.client.standing import (
    Answer,
    Sink,
    StandingRegistration,
    StandingRequest,
    StandingSubscription,
)
from heliograph.wamp import errors, messages
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.ids import SequentialIds
from heliograph.wamp.messages import (
    Abort,
    Call,
    CallOptions,
    Challenge,
    CloseDetails,
    Error,
    Event,
    Goodbye,
    Hello,
    HelloDetails,
    Invocation,
    Message,
    Publish,
    Published,
    PublishOptions,
    Registered,
    Subscribed,
    Unregistered,
    Unsubscribed,
    Welcome,
    Yield,
    YieldOptions,
    code_of,
)
from heliograph.wamp.payload import Payload, PlainPayload
from heliograph.wamp.uris import Match

ROLES: dict[str, Any] = {
    "publisher": {"features": {"publisher_exclusion": True}},
    "subscriber": {"features": {"pattern_based_subscription": True}},
    "caller": {"features": {}},
    "callee": {"features": {}},
}
"""What HELLO announces: exactly what works."""


class State(enum.Enum):
    """Where the session stands."""

    CLOSED = "closed"
    JOINING = "joining"
    JOINED = "joined"
    LEAVING = "leaving"


class Transport(Protocol):
    """One connection to a router."""

    def send(self, message: Message) -> None:
        """Send `message`; raises `PayloadError` when it cannot be expressed."""

    def close(self) -> None:
        """Close once everything that was sent is out."""


class Observer(Protocol):
    """Who is told what happens to the session."""

    def joined(self, welcome: Welcome) -> None:
        """The router let the session in; standing requests have been sent."""

    def ended(self, error: HeliographError, *, was_joined: bool) -> None:
        """The session is over on this connection, and why."""

    def invoked(self, invocation: "OpenInvocation") -> None:
        """Somebody calls a procedure of this session."""

    def restoring_failed(self, standing: StandingRequest, error: ApplicationError) -> None:
        """The router refuses a standing request that nobody is waiting for."""


class OpenInvocation(NamedTuple):
    """A call to be answered, once, with `answer_invocation` or `refuse_invocation`."""

    request: int
    procedure: str
    function: Callable[..., Any]
    payload: Payload


class _Pending(NamedTuple):
    """A request whose answer is awaited.

    `resolve` takes the answer and returns nothing; `reject` takes a function that makes an exception.
    """

    reply: type[Message]
    code: int
    resolve: Callable[[Any], None]
    reject: Callable[[Callable[[], HeliographError]], None]


def _resolver(answer: Answer, read: Callable[[Any], Any]) -> Callable[[Any], None]:
    def resolve(message: Any) -> None:
        if not answer.done():
            answer.set_result(read(message))

    return resolve


def _rejecter(answer: Answer) -> Callable[[Callable[[], HeliographError]], None]:
    def reject(error: Callable[[], HeliographError]) -> None:
        if not answer.done():
            answer.set_exception(error())

    return reject


class ClientProtocol:
    """A WAMP client that knows no sockets.

    Args:
        realm: the realm to join.
        agent: this software's name and version, told to the router.
        observer: who is told what happens.

    Attributes:
        state: where the session stands.
        session_id: the router's id of the session, while joined.
        foreign_events: events for subscriptions this session does not have; ignored and counted.
    """

    def __init__(self, *, realm: str, agent: str, observer: Observer) -> None:
        self.state = State.CLOSED
        self.session_id: int | None = None
        self.foreign_events = 0
        self._realm = realm
        self._agent = agent
        self._observer = observer
        self._transport: Transport | None = None
        self._ids = SequentialIds()
        self._pending: dict[int, _Pending] = {}
        self._subscriptions: dict[tuple[str, Match], StandingSubscription] = {}
        self._registrations: dict[str, StandingRegistration] = {}
        self._held_subscriptions: dict[int, StandingSubscription] = {}
        self._held_registrations: dict[int, StandingRegistration] = {}
        self._invocations: dict[int, OpenInvocation] = {}
        self._transitions: dict[State, dict[type[Message], Callable[[Any], None]]] = {
            State.JOINING: {Welcome: self._on_welcome, Abort: self._on_abort, Challenge: self._on_challenge},
            State.JOINED: {
                Abort: self._on_abort,
                Goodbye: self._on_goodbye,
                Error: self._on_error,
                Published: self._on_reply,
                Subscribed: self._on_reply,
                Unsubscribed: self._on_reply,
                Registered: self._on_reply,
                Unregistered: self._on_reply,
                messages.Result: self._on_reply,
                Event: self._on_event,
                Invocation: self._on_invocation,
            },
            State.LEAVING: {Abort: self._on_abort, Goodbye: self._on_goodbye},
        }

    # The connection

    def connected(self, transport: Transport) -> None:
        """Begin a session on a new connection: send HELLO."""
        self._transport = transport
        self._ids = SequentialIds()
        self.state = State.JOINING
        transport.send(Hello(self._realm, HelloDetails(roles=ROLES, agent=self._agent)))

    def receive(self, message: Message) -> None:
        """Take a message from the router; raises `ProtocolViolation` for one that may not come now."""
        if self.state is State.CLOSED:
            return  # what was on its way when the session ended
        handle = self._transitions[self.state].get(type(message))
        if handle is not None:
            handle(message)
        elif self.state is not State.LEAVING:  # which ignores everything but GOODBYE
            raise ProtocolViolation(f"{type(message).__name__.upper()} may not come while {self.state.value}")

    def violated(self, violation: ProtocolViolation) -> None:
        """Abort the session because the router broke the protocol."""
        if self._transport is None:
            return
        self._transport.send(Abort(CloseDetails(message=violation.message), violation.reason))
        self._end(ConnectionLost(f"the router broke the protocol: {violation.message}"))

    def leave(self) -> None:
        """Say GOODBYE; the session has ended when the router's GOODBYE is there."""
        if self.state is State.JOINED and self._transport is not None:
            self.state = State.LEAVING
            self._transport.send(Goodbye(CloseDetails(), errors.CLOSE_NORMAL))
        elif self.state is State.JOINING:
            self._end(ConnectionLost("the session was closed while joining"))

    def lost(self, reason: str) -> None:
        """Take note that the connection is gone."""
        if self._transport is not None:
            self._end(ConnectionLost(reason))

    def _end(self, error: HeliographError) -> None:
        transport, self._transport = self._transport, None
        was_joined = self.state in (State.JOINED, State.LEAVING)
        self.state = State.CLOSED
        self.session_id = None
        self._invocations.clear()
        self._held_subscriptions.clear()
        self._held_registrations.clear()
        for standing in self._standing():
            standing.reset()
            self._forget_unwanted(standing)
        pending, self._pending = self._pending, {}
        for request in pending.values():
            request.reject(lambda: ConnectionLost(str(error)))
        if transport is not None:
            transport.close()
        self._observer.ended(error, was_joined=was_joined)

    # Requests

    def publish(self, topic: str, payload: Payload, *, exclude_me: bool = True) -> None:
        """Send PUBLISH without acknowledgement."""
        options = PublishOptions(exclude_me=exclude_me)
        self._send_request(lambda request: Publish(request, options, topic, payload))

    def publish_acknowledged(
        self, topic: str, payload: Payload, answer: Answer, *, exclude_me: bool = True
    ) -> int:
        """Send PUBLISH; `answer` becomes the publication's id. Returns the request's id."""
        options = PublishOptions(acknowledge=True, exclude_me=exclude_me)
        return self._ask(
            lambda request: Publish(request, options, topic, payload),
            Published,
            answer,
            lambda published: published.publication,
        )

    def call(self, procedure: str, payload: Payload, answer: Answer) -> int:
        """Send CALL; `answer` becomes the result's payload. Returns the request's id."""
        return self._ask(
            lambda request: Call(request, CallOptions(), procedure, payload),
            messages.Result,
            answer,
            lambda result: result.payload,
        )

    def forget(self, request: int) -> None:
        """Drop a request whose answer nobody waits for; the answer is ignored when it comes."""
        self._pending.pop(request, None)

    def answer_invocation(self, invocation: OpenInvocation, payload: Payload) -> None:
        """Send YIELD, unless the connection the call came on is gone."""
        if self._is_open(invocation) and self._transport is not None:
            self._transport.send(Yield(invocation.request, YieldOptions(), payload))
            del self._invocations[invocation.request]

    def refuse_invocation(self, invocation: OpenInvocation, uri: str, payload: Payload) -> None:
        """Send ERROR for a call, unless the connection it came on is gone."""
        if self._is_open(invocation):
            del self._invocations[invocation.request]
            self._send_invocation_error(invocation.request, uri, payload)

    def _is_open(self, invocation: OpenInvocation) -> bool:
        # Not by id alone: the next connection counts from 1 again.
        return self._invocations.get(invocation.request) is invocation

    @property
    def running_invocations(self) -> int:
        """How many calls to this session's procedures are not answered yet."""
        return len(self._invocations)

    # Standing requests

    def subscribe(self, topic: str, match: Match, sink: Sink, answer: Answer) -> None:
        """Give `sink` the events of `topic` from now on and after each join; `answer` tells when it has begun."""
        standing = self._subscriptions.get((topic, match))
        if standing is None:
            standing = self._subscriptions[topic, match] = StandingSubscription(topic, match)
        standing.sinks.append(sink)
        self._want(standing, answer)

    def unsubscribe(self, topic: str, match: Match, sink: Sink, answer: Answer | None = None) -> None:
        """Take `sink` away; `answer` tells when the router has been told and has confirmed."""
        standing = self._subscriptions.get((topic, match))
        if standing is not None and sink in standing.sinks:
            standing.sinks.remove(sink)
            self._unwant(standing, answer)
        elif answer is not None:
            answer.set_result(None)

    def register(self, procedure: str, function: Callable[..., Any], answer: Answer) -> None:
        """Answer calls of `procedure` with `function` from now on; `answer` tells when it has begun."""
        standing = self._registrations.get(procedure)
        if standing is None:
            standing = self._registrations[procedure] = StandingRegistration(procedure)
        elif standing.is_wanted:
            text = "this session has registered it already"
            answer.set_exception(ApplicationError(errors.PROCEDURE_ALREADY_EXISTS, text))
            return
        standing.function = function
        self._want(standing, answer)

    def unregister(self, procedure: str, function: Callable[..., Any], answer: Answer | None = None) -> None:
        """Take a registration back; `answer` tells when the router has been told and has confirmed."""
        standing = self._registrations.get(procedure)
        if standing is not None and standing.function is function:
            standing.function = None
            self._unwant(standing, answer)
        elif answer is not None:
            answer.set_result(None)

    def restore(self, standing: StandingRequest) -> None:
        """Ask once more for a standing request that was refused, if it is still wanted and missing."""
        if self.state is State.JOINED and standing.is_wanted and standing.id is None:
            self._request_standing(standing)

    def _standing(self) -> list[StandingRequest]:
        return [*self._subscriptions.values(), *self._registrations.values()]

    def _want(self, standing: StandingRequest, answer: Answer) -> None:
        if standing.id is not None:
            answer.set_result(None)
            return
        standing.waiting.append(answer)
        if self.state is State.JOINED:
            self._request_standing(standing)

    def _request_standing(self, standing: StandingRequest) -> None:
        if standing.is_under_way:
            return
        reply = Subscribed if isinstance(standing, StandingSubscription) else Registered

        def refused(error: Callable[[], HeliographError]) -> None:
            if self.state is not State.JOINED:
                return  # the connection is gone; the next one asks again
            self._on_standing_refused(standing, error)

        self._send_request(
            standing.request, reply, lambda message: self._on_standing_held(standing, message), refused
        )
        standing.is_under_way = True

    def _on_standing_held(self, standing: StandingRequest, message: Any) -> None:
        standing.is_under_way = False
        held = message.subscription if isinstance(standing, StandingSubscription) else message.registration
        holders = self._held(standing)
        holder = holders.get(held)
        if holder is not None and holder.id == held:
            raise ProtocolViolation(f"{type(message).__name__.upper()} gives an id that is in use: {held}")
        standing.id = held
        holders[held] = standing
        if standing.is_wanted:
            standing.resolve()
        else:
            self._release(standing, None)

    def _on_standing_refused(self, standing: StandingRequest, error: Callable[[], HeliographError]) -> None:
        standing.is_under_way = False
        if not standing.is_wanted:
            self._forget_unwanted(standing)
        elif not standing.fail(error):
            refusal = error()
            if isinstance(refusal, ApplicationError):
                self._observer.restoring_failed(standing, refusal)

    def _unwant(self, standing: StandingRequest, answer: Answer | None) -> None:
        if standing.is_wanted or standing.is_under_way or standing.id is None:
            # Others want it, or its id is not known yet: then it is given back when the answer comes.
            self._forget_unwanted(standing)
            if answer is not None:
                answer.set_result(None)
        else:
            self._release(standing, answer)

    def _release(self, standing: StandingRequest, answer: Answer | None) -> None:
        held = standing.id
        standing.id = None
        self._forget_unwanted(standing)
        if held is None:
            raise AssertionError("only what the router holds is released")

        def done(_: object = None) -> None:
            # Refused, confirmed or lost with its connection: the router does not hold it any more.
            holders = self._held(standing)
            if holders.get(held) is standing:
                del holders[held]
            if answer is not None and not answer.done():
                answer.set_result(None)

        reply = Unsubscribed if isinstance(standing, StandingSubscription) else Unregistered
        self._send_request(lambda request: standing.release(request, held), reply, done, done)

    def _held(self, standing: StandingRequest) -> dict[int, Any]:
        if isinstance(standing, StandingSubscription):
            return self._held_subscriptions
        return self._held_registrations

    def _forget_unwanted(self, standing: StandingRequest) -> None:
        if standing.is_wanted or standing.is_under_way:
            return
        if isinstance(standing, StandingSubscription):
            self._subscriptions.pop((standing.topic, standing.match), None)
        elif isinstance(standing, StandingRegistration):
            self._registrations.pop(standing.procedure, None)

    # Sending

    def _ask(
        self,
        build: Callable[[int], Message],
        reply: type[Message],
        answer: Answer,
        read: Callable[[Any], Any],
    ) -> int:
        return self._send_request(build, reply, _resolver(answer, read), _rejecter(answer))

    def _send_request(
        self,
        build: Callable[[int], Message],
        reply: type[Message] | None = None,
        resolve: Callable[[Any], None] | None = None,
        reject: Callable[[Callable[[], HeliographError]], None] | None = None,
    ) -> int:
        if self.state is not State.JOINED or self._transport is None:
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
            self._pending[request] = _Pending(reply, code_of(type(message)), resolve, reject)
        return request

    def _send_invocation_error(self, request: int, uri: str, payload: Payload) -> None:
        if self._transport is not None:
            self._transport.send(Error(code_of(Invocation), request, {}, uri, payload))

    # Messages of the router

    def _on_welcome(self, welcome: Welcome) -> None:
        self.state = State.JOINED
        self.session_id = welcome.session
        for standing in self._standing():
            if standing.is_wanted:
                self._request_standing(standing)
        self._observer.joined(welcome)

    def _on_challenge(self, challenge: Challenge) -> None:
        text = f"the router asks for authentication by {challenge.method!r}, which was not offered"
        if self._transport is not None:
            self._transport.send(Abort(CloseDetails(message=text), errors.NO_MATCHING_AUTH_METHOD))
        self._end(JoinRefused(errors.NO_MATCHING_AUTH_METHOD, (text,), {}))

    def _on_abort(self, abort: Abort) -> None:
        if self.state is State.JOINING:
            args = (abort.details.message,) if abort.details.message else ()
            self._end(JoinRefused(abort.reason, args, {}))
        else:
            self._end(ConnectionLost(f"the router aborted the session: {_reason(abort)}"))

    def _on_goodbye(self, goodbye: Goodbye) -> None:
        if self.state is State.JOINED and self._transport is not None:
            self._transport.send(Goodbye(CloseDetails(), errors.CLOSE_GOODBYE_AND_OUT))
            self._end(ConnectionLost(f"the router closed the session: {_reason(goodbye)}"))
        else:
            self._end(ConnectionLost("the session was closed"))

    def _on_reply(self, reply: Any) -> None:
        pending = self._take(reply.request)
        if pending is None:
            return
        if pending.reply is not type(reply):
            name, expected = type(reply).__name__.upper(), pending.reply.__name__.upper()
            raise ProtocolViolation(f"{name} answers request {reply.request}, which wants {expected}")
        pending.resolve(reply)

    def _on_error(self, error: Error) -> None:
        pending = self._take(error.request)
        if pending is None:
            return
        if pending.code != error.request_type:
            raise ProtocolViolation(f"ERROR names request {error.request} as type {error.request_type}")
        pending.reject(lambda: application_error(error.error, error.payload))

    def _take(self, request: int) -> _Pending | None:
        pending = self._pending.pop(request, None)
        if pending is None and not 0 < request <= self._ids.last:
            raise ProtocolViolation(f"an answer to request {request}, which was never made")
        return pending  # None: nobody waits any more

    def _on_event(self, event: Event) -> None:
        standing = self._held_subscriptions.get(event.subscription)
        if standing is None:
            self.foreign_events += 1
            return
        # A copy: a handler may unsubscribe.
        for sink in tuple(standing.sinks):
            sink(event, standing.topic)

    def _on_invocation(self, message: Invocation) -> None:
        if message.request in self._invocations:
            raise ProtocolViolation(f"INVOCATION {message.request} is still open")
        standing = self._held_registrations.get(message.registration)
        if standing is None or standing.function is None:
            text = "this session does not offer that procedure any more"
            self._send_invocation_error(message.request, errors.NO_SUCH_PROCEDURE, PlainPayload([text]))
            return
        invocation = OpenInvocation(message.request, standing.procedure, standing.function, message.payload)
        self._invocations[message.request] = invocation
        self._observer.invoked(invocation)


def _reason(message: Abort | Goodbye) -> str:
    if message.details.message:
        return f"{message.reason} ({message.details.message})"
    return message.reason
