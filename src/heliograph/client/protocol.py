"""The client's side of WAMP without I/O: messages in, messages and answers out.

One `ClientProtocol` outlives many connections. Requests belong to the connection they were sent on and fail with it;
standing requests (subscriptions, registrations) are sent again after the next WELCOME.
"""

import enum
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from heliograph.auth.errors import RouterNotProven
from heliograph.client.authentication import ANONYMOUS, Attempt, Authentication, Proof
from heliograph.client.calls import Calls
from heliograph.client.errors import ConnectionLost, HeliographError, JoinRefused
from heliograph.client.features import ROLES, has_announced
from heliograph.client.invocations import InvocationObserver, Invocations
from heliograph.client.requests import Answer, Requests, Transport
from heliograph.client.standing_requests import RestoringObserver, StandingRequests
from heliograph.wamp import errors, messages
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import (
    Abort,
    Authenticate,
    Challenge,
    CloseDetails,
    Error,
    Event,
    Goodbye,
    Hello,
    HelloDetails,
    Interrupt,
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
)
from heliograph.wamp.payload import Payload


class State(enum.Enum):
    """Where the session stands."""

    CLOSED = "closed"
    JOINING = "joining"
    AUTHENTICATING = "authenticating"
    JOINED = "joined"
    LEAVING = "leaving"


NOT_YET_JOINED = (State.JOINING, State.AUTHENTICATING)


class OpenChallenge(NamedTuple):
    """A challenge to be answered, once, with `answer_challenge` or `refuse_challenge`."""

    attempt: Attempt
    method: str
    extra: dict[str, Any]


class Observer(InvocationObserver, RestoringObserver, Protocol):
    """Who is told what happens to the session."""

    def challenged(self, challenge: OpenChallenge) -> None:
        """The router wants a proof, which may take a while to make."""

    def joined(self, welcome: Welcome) -> None:
        """The router let the session in; standing requests have been sent."""

    def ended(self, error: HeliographError, *, was_joined: bool) -> None:
        """The session is over on this connection, and why."""


class ClientProtocol:
    """A WAMP client that knows no sockets.

    Args:
        realm: the realm to join.
        agent: this software's name and version, told to the router.
        observer: who is told what happens.
        authentication: how the client proves who it is.

    Attributes:
        state: where the session stands.
        welcome: what the router said of the session and itself, while joined.
        requests: requests on their way.
        standing: subscriptions and registrations.
        calls: calls this session makes.
        invocations: calls this session answers.
    """

    def __init__(
        self,
        *,
        realm: str,
        agent: str,
        observer: Observer,
        authentication: Authentication = ANONYMOUS,
    ) -> None:
        self.state = State.CLOSED
        self.welcome: Welcome | None = None
        self.requests = Requests()
        self.standing = StandingRequests(self.requests, observer)
        self.calls = Calls(self.requests)
        self.invocations = Invocations(self.requests, self.standing, observer)
        self._realm = realm
        self._agent = agent
        self._observer = observer
        self._authentication = authentication
        self._join = authentication.begin()
        self._challenge: OpenChallenge | None = None
        self._transport: Transport | None = None
        reply = self.requests.replied
        self._transitions: dict[State, dict[type[Message], Callable[[Any], None]]] = {
            State.JOINING: {Welcome: self._on_welcome, Abort: self._on_abort, Challenge: self._on_challenge},
            State.AUTHENTICATING: {Welcome: self._on_welcome, Abort: self._on_abort},
            State.JOINED: {
                Abort: self._on_abort,
                Goodbye: self._on_goodbye,
                Error: self.requests.refused,
                Published: reply,
                Subscribed: reply,
                Unsubscribed: self._on_unsubscribed,
                Registered: reply,
                Unregistered: self._on_unsubscribed,
                messages.Result: reply,
                Event: self.standing.event,
                Invocation: self.invocations.invoked,
                Interrupt: self.invocations.interrupted,
            },
            State.LEAVING: {Abort: self._on_abort, Goodbye: self._on_goodbye},
        }

    @property
    def session_id(self) -> int | None:
        """The router's id of the session, while joined."""
        return None if self.welcome is None else self.welcome.session

    # The connection

    def connected(self, transport: Transport) -> None:
        """Begin a session on a new connection: send HELLO."""
        self._transport = transport
        self.requests.connected(transport)
        self.state = State.JOINING
        self._join = self._authentication.begin()
        details = HelloDetails(
            roles=ROLES,
            agent=self._agent,
            authmethods=self._authentication.methods or None,
            authid=self._authentication.authid,
            authrole=self._authentication.authrole,
            authextra=self._join.authextra or None,
        )
        transport.send(Hello(self._realm, details))

    def answer_challenge(self, challenge: OpenChallenge, answer: Proof) -> None:
        """Send AUTHENTICATE, unless the connection the challenge came on is gone."""
        if self._challenge is challenge and self._transport is not None:
            self._challenge = None
            self._transport.send(Authenticate(answer.signature, answer.extra))

    def refuse_challenge(self, challenge: OpenChallenge, error: HeliographError) -> None:
        """Give up joining because of `error`, unless the connection the challenge came on is gone."""
        if self._challenge is challenge:
            self._give_up(errors.AUTHENTICATION_FAILED, error)

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
            self.requests.is_joined = False
            self._transport.send(Goodbye(CloseDetails(), errors.CLOSE_NORMAL))
        elif self.state in NOT_YET_JOINED:
            self._end(ConnectionLost("the session was closed while joining"))

    def lost(self, reason: str) -> None:
        """Take note that the connection is gone."""
        if self._transport is not None:
            self._end(ConnectionLost(reason))

    def _end(self, error: HeliographError) -> None:
        transport, self._transport = self._transport, None
        was_joined = self.state in (State.JOINED, State.LEAVING)
        self.state = State.CLOSED
        self.welcome = None
        self._challenge = None
        self.invocations.disconnected()
        self.standing.disconnected()
        self.requests.disconnected(error)
        if transport is not None:
            transport.close()
        self._observer.ended(error, was_joined=was_joined)

    # Publishing

    def publish(
        self,
        topic: str,
        payload: Payload,
        options: PublishOptions | None = None,
        answer: Answer | None = None,
    ) -> int:
        """Send PUBLISH; where `options` ask for it, `answer` becomes the publication's id. Returns the request's id."""
        sent = options or PublishOptions()
        if answer is None:
            return self.requests.make(lambda request: Publish(request, sent, topic, payload))
        return self.requests.ask(
            lambda request: Publish(request, sent, topic, payload),
            Published,
            answer,
            lambda published: published.publication,
        )

    # Messages of the router

    def _on_welcome(self, welcome: Welcome) -> None:
        try:
            self._join.check_router(welcome.details.authextra)
        except RouterNotProven as error:
            # "The client SHOULD check the `verifier` for mutual authentication, terminating the session if invalid."
            refusal = JoinRefused(errors.AUTHENTICATION_DENIED, (str(error),), {})
            self._give_up(refusal.uri, refusal)
            return
        self._challenge = None
        self.state = State.JOINED
        self.welcome = welcome
        self.requests.is_joined = True
        # The specification spells it both ways.
        roles = welcome.details.roles
        self.calls.can_cancel = has_announced(roles, "dealer", "call_canceling", "call_cancelling")
        self.standing.joined()
        self._observer.joined(welcome)
        if self.standing.is_restored:
            self._observer.restored()

    def _on_challenge(self, challenge: Challenge) -> None:
        attempt = self._join.choose(challenge.method)
        if attempt is None:
            text = f"the router asks for authentication by {challenge.method!r}, which was not offered"
            refusal = JoinRefused(errors.NO_MATCHING_AUTH_METHOD, (text,), {})
            self._give_up(refusal.uri, refusal)
            return
        self.state = State.AUTHENTICATING
        self._challenge = OpenChallenge(attempt, challenge.method, challenge.extra)
        self._observer.challenged(self._challenge)

    def _give_up(self, reason: str, error: HeliographError) -> None:
        """Abort joining. The router is not told why: that may be about a secret."""
        if self._transport is not None:
            self._transport.send(Abort(CloseDetails(), reason))
        self._end(error)

    def _on_abort(self, abort: Abort) -> None:
        if self.state in NOT_YET_JOINED:
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

    def _on_unsubscribed(self, message: Unsubscribed | Unregistered) -> None:
        # "[UNSUBSCRIBED, 0, Details|dict]" tells what the router has taken away (specification, "Subscription
        # Revocation"); UNREGISTERED likewise.
        if message.request == 0:
            self.standing.revoked(message)
        else:
            self.requests.replied(message)


def _reason(message: Abort | Goodbye) -> str:
    if message.details.message:
        return f"{message.reason} ({message.details.message})"
    return message.reason
