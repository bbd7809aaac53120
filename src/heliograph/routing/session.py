"""A session: what may be said when, and who answers it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from heliograph.auth.facts import NOTHING_KNOWN, ConnectionFacts
from heliograph.auth.principal import Principal
from heliograph.routing.authorizer import Authorizer, Decision, DecisionPending, Subject
from heliograph.routing.joining import Joining
from heliograph.routing.options import OutboxPolicy, SessionOptions
from heliograph.routing.peer import Peer, Timer
from heliograph.routing.realm import Realm, Role
from heliograph.routing.work import Steps
from heliograph.wamp.errors import (
    CLOSE_GOODBYE_AND_OUT,
    CLOSE_SYSTEM_SHUTDOWN,
    INVALID_ARGUMENT,
    RUNTIME_ERROR,
    PayloadError,
    ProtocolViolation,
    RequestError,
    shortened,
)
from heliograph.wamp.ids import MAX_ID
from heliograph.wamp.messages import (
    Abort,
    Authenticate,
    Call,
    Cancel,
    Challenge,
    CloseDetails,
    Error,
    Goodbye,
    Hello,
    Message,
    Publish,
    PublishOptions,
    Register,
    Subscribe,
    Unregister,
    Unsubscribe,
    Yield,
    code_of,
)
from heliograph.wamp.payload import Payload, PlainPayload

if TYPE_CHECKING:
    from heliograph.routing.authenticators.assembly import Authenticators
    from heliograph.routing.router import Router

REQUESTS = (Publish, Subscribe, Unsubscribe, Call, Register, Unregister)
REQUESTS_AND_ANSWERS = (Hello, Authenticate, *REQUESTS, Cancel, Yield, Error)

_NOTHING: dict[Any, Any] = {}

MODIFIED_DETAILS_LIMIT = 32
"""Keys `wamp.session.modify_details` may add to a session's details."""

MODIFIED_DETAILS_BYTES = 16 * 1024
"""About how many bytes they may take together."""


class State(enum.Enum):
    """Where a session is in its life (specification, "Session Lifecycle"); the value completes a sentence."""

    CLOSED = "before HELLO"
    CHALLENGING = "while CHALLENGE waits for AUTHENTICATE"
    ESTABLISHED = "in an established session"
    SHUTTING_DOWN = "after GOODBYE"
    ABORTED = "after ABORT"

    # Looked up for every message; the one of `Enum` hashes the name, in Python.
    __hash__ = object.__hash__


class Session:
    """The router's end of one session.

    Args:
        router: knows the realms.
        peer: the other end.
        options: what counts for all sessions of the peer's transport.
        facts: what the transport knows about the other end.
        authenticators: who may join by that transport; without any, everybody may and is anonymous.
    """

    __slots__ = (
        "_goodbye_timer", "_is_held", "_joining", "_last_request", "_modified", "_router", "_undecided",
        "authenticators", "authorizer", "decisions", "details_changes", "facts", "features", "id", "may_disclose",
        "options", "outbox_policy", "peer", "principal", "realm", "state", "trustlevel",
    )  # fmt: skip

    # Set when the session is established; no handler of that state can run before.
    realm: Realm
    principal: Principal
    authorizer: Authorizer

    def __init__(
        self,
        router: Router,
        peer: Peer,
        options: SessionOptions = SessionOptions(),  # noqa: B008 - frozen
        facts: ConnectionFacts = NOTHING_KNOWN,
        authenticators: Authenticators | None = None,
    ) -> None:
        self._router = router
        self._joining: Joining | None = None
        self.options = options
        self.facts = facts
        self.authenticators = authenticators
        self._goodbye_timer: Timer | None = None
        self._last_request = 0
        self._modified: dict[str, Any] = _NOTHING
        self._is_held = False
        self._undecided: set[int] | None = None
        self.decisions: Mapping[Subject, Decision] = _NOTHING
        """What was decided while the message at hand waited."""
        self.details_changes = 0
        self.peer = peer
        self.state = State.CLOSED
        self.id = 0
        self.features = 0
        self.trustlevel: int | None = None
        self.may_disclose = True
        self.outbox_policy: OutboxPolicy | None = None

    def receive(self, message: Message) -> None:
        """Do what `message` asks; whatever is wrong with it is answered, nothing is raised to the transport."""
        try:
            handler = self.transitions[self.state].get(type(message))
            if handler is None:
                raise ProtocolViolation(f"{type(message).__name__.upper()} is not allowed {self.state.value}")
            if self.options.strict_ids and not self.decisions:
                self._check_request_id(message)
            steps = handler(self, message)
        except (RequestError, PayloadError) as error:
            self._refuse(message, error)
        except ProtocolViolation as violation:
            self.violate(violation)
        except DecisionPending as pending:
            self._wait_for_decision(message, pending)
        else:
            if steps is not None:
                self._router.work.go_on(self._held_during(message, steps))

    def _held_during(self, message: Message, steps: Steps[None]) -> Steps[None]:
        """Do what is left of `message`, and handle nothing else of this session before: so order holds."""
        session_id = self.id
        is_held = False
        try:
            for waits_for in steps:
                if not is_held:
                    is_held = True
                    self.hold()
                yield waits_for
        except (RequestError, PayloadError) as error:
            if self.is_established_as(session_id):
                self._refuse(message, error)
        except Exception:
            # A defect of ours, which is logged; nobody may wait for ever for what does not come.
            if self.is_established_as(session_id):
                self._abort(RUNTIME_ERROR, "the router failed; its log says where")
            raise
        finally:
            if is_held and self.id == session_id:
                self.release()

    def tell(self, message: Message) -> None:
        """Send what others bring about, unless the session has left: what it had may still be on its way to an end.

        Raises:
            PayloadError: the peer's format cannot express it.
        """
        if self.state is State.ESTABLISHED:
            self.peer.send(message)

    def is_established_as(self, session_id: int) -> bool:
        """Return whether this is still the session with that id: it may have ended, and another one begun."""
        return self.state is State.ESTABLISHED and self.id == session_id

    def publish(self, topic: str, options: PublishOptions, payload: Payload) -> int | Steps[int]:
        """Publish for somebody in this process, who is sent no message about it.

        Returns:
            The publication's id; or, where that takes longer, the steps that lead to it.

        Raises:
            RequestError: the router refuses.
            DecisionPending: whether it may has to be waited for, as `receive` does.
        """
        try:
            return self.realm.broker.accept(self, topic, options, payload)
        except RequestError:
            self._router.counters.publications_refused += 1
            raise
        except PayloadError as error:
            self._router.counters.publications_refused += 1
            raise _undeliverable(error) from error

    def violate(self, violation: ProtocolViolation) -> None:
        """Abort because the peer broke the protocol.

        "WAMP implementations MUST abort sessions (disposing all of their resources such as subscriptions and
        registrations) on protocol errors caused by offending peers" (specification, "Protocol Errors").
        """
        if self.state is not State.ABORTED:
            self._router.counters.violations += 1
            self._abort(violation.reason, violation.message)

    def establish(self, realm: Realm, principal: Principal, reserved_id: int | None = None) -> None:
        """Join `realm` as `principal`, with an id reserved there if there is one.

        Raises:
            RequestError: the realm has no such role.
        """
        self._become(realm, principal, realm.role(principal.authrole))
        self.id = realm.join(self, reserved_id)

    def attach(self, realm: Realm, principal: Principal, role: Role) -> None:
        """Act in `realm` without joining it: the router's own sessions do, which nobody lists, meets or kills."""
        self._become(realm, principal, role)
        self.id = self._router.random_id()

    def _become(self, realm: Realm, principal: Principal, role: Role) -> None:
        self.authorizer = role.authorizer
        self.trustlevel = role.options.trustlevel
        self.may_disclose = role.options.allow_disclose_me
        self.outbox_policy = role.options.outbox_policy
        self.realm = realm
        self.principal = principal
        self.state = State.ESTABLISHED
        self._joining = None
        self._last_request = 0
        self._modified = _NOTHING

    def details(self) -> dict[str, Any]:
        """Return what the meta API tells of this session: no headers, cookies or addresses."""
        return {
            **self._modified,
            "session": self.id,
            "authid": self.principal.authid,
            "authrole": self.principal.authrole,
            "authmethod": self.principal.authmethod,
            "authprovider": self.principal.authprovider,
        }

    def modify_details(self, details: Mapping[str, Any]) -> None:
        """Add to what the meta API tells of this session; a key with None goes, those of the router stay."""
        modified = {key: value for key, value in {**self._modified, **details}.items() if value is not None}
        if len(modified) > MODIFIED_DETAILS_LIMIT:
            raise RequestError(INVALID_ARGUMENT, f"at most {MODIFIED_DETAILS_LIMIT} details can be added")
        if PlainPayload([], modified).size_bytes > MODIFIED_DETAILS_BYTES:
            raise RequestError(
                INVALID_ARGUMENT, f"the details added may take {MODIFIED_DETAILS_BYTES} bytes together"
            )
        self._modified = modified
        self.details_changes += 1

    def end(self, reason: str, message: str | None, *, is_silent: bool = False) -> None:
        """Say GOODBYE from this side; the session ends with the peer's answer, its transport, or a time limit.

        Args:
            reason: of GOODBYE.
            message: for people.
            is_silent: whether no meta event tells of it, and no testament is published.
        """
        if self.state is State.ESTABLISHED:
            self._router.work.go_on(self._leave_realm(is_silent=is_silent))
            self.state = State.SHUTTING_DOWN
            self.peer.send(Goodbye(CloseDetails(message=message), reason))
            self._goodbye_timer = self._router.clock.later(
                self.options.goodbye_timeout_s, self._goodbye_overdue
            )
        else:
            self.lost()
            self.peer.close()

    def shut_down(self) -> None:
        """Say GOODBYE because the router stops."""
        self.end(CLOSE_SYSTEM_SHUTDOWN, "the router is shutting down")

    def lost(self) -> None:
        """Take note that the transport is gone; the same clean-up as after GOODBYE."""
        if self.state is State.ABORTED:
            return
        was_established = self.state is State.ESTABLISHED
        self._stop_joining()
        self._stop_goodbye_timer()
        self.state = State.ABORTED
        if was_established:
            self._router.work.go_on(self._leave_realm())

    # Decisions that have to be waited for.

    def _wait_for_decision(self, message: Message, pending: DecisionPending) -> None:
        """Repeat `message` when its decision is there, and nothing else before: so order holds.

        Nothing was changed yet: handlers check first and then apply.
        """
        self.hold()
        session_id, decisions = self.id, self.decisions
        request: int = message.request  # type: ignore[attr-defined]  # only requests need decisions
        undecided = self._undecided = self._undecided or set()
        undecided.add(request)

        def repeat(decision: Decision) -> None:
            # The session may have ended in the meantime, and another one begun.
            if not self.is_established_as(session_id):
                return
            self.release()
            if request in undecided:
                undecided.remove(request)
                self._repeat(message, {**decisions, pending.subject: decision})

        pending.ask(repeat)

    def abandon(self, request: int) -> None:
        """Forget a call nobody waits for any more, whether a decision or its callee's answer is still to come."""
        if self._undecided is not None:
            self._undecided.discard(request)
        self.realm.dealer.abandon(self, request)

    def _repeat(self, message: Message, decisions: Mapping[Subject, Decision]) -> None:
        """Handle `message` again, with all that was decided about it: it may take more than one decision."""
        before, self.decisions = self.decisions, decisions
        try:
            self.receive(message)
        finally:
            self.decisions = before

    def hold(self) -> None:
        """Handle nothing more from the peer until `release`."""
        self._is_held = True
        self.peer.hold()

    def release(self) -> None:
        """Let the peer hand over messages again; what waits there comes in a later turn, so after the one at hand."""
        if self._is_held:
            self._is_held = False
            self.peer.release()

    def _check_request_id(self, message: Message) -> None:
        """Hold the client to request ids that count up, where the transport is strict about it."""
        if not isinstance(message, REQUESTS) or self.state is not State.ESTABLISHED:
            return
        if isinstance(message, Call) and self.realm.dealer.is_on_its_way(self, message.request):
            # A piece of a progressive call has the id of its first.
            return
        expected = self._last_request + 1 if self._last_request < MAX_ID else 1
        if message.request != expected:
            raise ProtocolViolation(f"request id {expected} was expected, not {message.request}")
        self._last_request = expected

    # Joining and leaving.

    def _hello(self, message: Hello) -> None:
        if self._joining is not None:
            raise ProtocolViolation("HELLO is not allowed twice")
        try:
            self._joining = Joining(self, self._router, message)
        except RequestError as error:
            self.refuse(error.uri, *error.arguments)
            return
        self._joining.begin()

    def challenge(self, message: Challenge) -> None:
        """Ask the client to prove who it is."""
        self.peer.send(message)
        self.state = State.CHALLENGING

    def _authenticate(self, message: Authenticate) -> None:
        if self._joining is not None:
            self._joining.answer(message)

    def refuse(self, reason: str, text: str = "") -> None:
        """Do not let the client join."""
        self._router.counters.sessions_refused += 1
        self._abort(reason, text)

    def _stop_joining(self) -> None:
        if self._joining is not None:
            self._joining.abandon()
            self._joining = None

    def _goodbye(self, message: Goodbye) -> Steps[None]:
        steps = self._leave_realm(message.reason)
        self.state = State.CLOSED
        return self._answer_goodbye(steps)

    def _answer_goodbye(self, steps: Steps[None]) -> Steps[None]:
        yield from steps
        if self.state is State.CLOSED:
            # "`GOODBYE` must be replied to by the receiving Peer" (specification, "Difference between ABORT and
            # GOODBYE")
            self.peer.send(Goodbye(CloseDetails(), CLOSE_GOODBYE_AND_OUT))
            self.peer.left()

    def _goodbye_answered(self, _message: Goodbye) -> None:
        self._stop_goodbye_timer()
        self.state = State.ABORTED
        self.peer.close()

    def _goodbye_overdue(self) -> None:
        self._goodbye_timer = None
        self.state = State.ABORTED
        self.peer.close()

    def _stop_goodbye_timer(self) -> None:
        if self._goodbye_timer is not None:
            self._goodbye_timer.cancel()
            self._goodbye_timer = None

    def _ignore(self, _message: Message) -> None:
        """After GOODBYE everything but its answer is ignored."""

    def _aborted(self, _message: Abort) -> None:
        """The peer gave up. "No response to an `ABORT` message is expected" (specification, "ABORT")."""
        self.lost()
        self.peer.close()

    def _abort(self, reason: str, text: str = "") -> None:
        self.lost()
        self.peer.send(Abort(CloseDetails(message=shortened(text) or None), reason))
        self.peer.close()

    def _leave_realm(self, reason: str | None = None, *, is_silent: bool = False) -> Steps[None]:
        """Leave at once; what is returned tells others about it."""
        self.release()
        if self.authenticators is not None:
            self.authenticators.left(self, reason)
        return self.realm.leave(self, is_silent=is_silent)

    def _refuse(self, message: Message, refusal: RequestError | PayloadError) -> None:
        error = _undeliverable(refusal) if isinstance(refusal, PayloadError) else refusal
        if isinstance(message, Publish):
            self._router.counters.publications_refused += 1
            if not message.options.acknowledge:
                # "By default, publications are unacknowledged, and the Broker will not respond, whether the
                # publication was successful indeed or not" (specification, "PUBLISH")
                return
        elif isinstance(message, Call):
            self._router.counters.calls_failed += 1
        self.peer.send(
            Error(
                code_of(type(message)),
                message.request,  # type: ignore[attr-defined]  # only requests and answers are refused
                {},
                error.uri,
                PlainPayload(error.arguments, error.keyword_arguments),
            )
        )

    # Requests and answers, each for the broker or the dealer.

    def _publish(self, message: Publish) -> Steps[None] | None:
        return self.realm.broker.publish(self, message)

    def _subscribe(self, message: Subscribe) -> Steps[None] | None:
        return self.realm.broker.subscribe(self, message)

    def _unsubscribe(self, message: Unsubscribe) -> None:
        self.realm.broker.unsubscribe(self, message)

    def _call(self, message: Call) -> Steps[None] | None:
        return self.realm.dealer.call(self, message)

    def _cancel(self, message: Cancel) -> None:
        self.realm.dealer.cancel(self, message)

    def _register(self, message: Register) -> None:
        self.realm.dealer.register(self, message)

    def _unregister(self, message: Unregister) -> None:
        self.realm.dealer.procedures.unregister(self, message)

    def _yield(self, message: Yield) -> None:
        self.realm.dealer.yield_(self, message)

    def _error(self, message: Error) -> None:
        self.realm.dealer.error(self, message)

    # State and message to what is done; everything absent is a protocol violation.
    transitions: ClassVar[
        Mapping[State, Mapping[type[Message], Callable[[Session, Any], Steps[None] | None]]]
    ] = {
        State.CLOSED: {
            Hello: _hello,
            Abort: _aborted,
        },
        State.CHALLENGING: {
            Authenticate: _authenticate,
            Abort: _aborted,
        },
        State.ESTABLISHED: {
            Publish: _publish,
            Subscribe: _subscribe,
            Unsubscribe: _unsubscribe,
            Call: _call,
            Cancel: _cancel,
            Register: _register,
            Unregister: _unregister,
            Yield: _yield,
            Error: _error,
            Goodbye: _goodbye,
            Abort: _aborted,
        },
        State.SHUTTING_DOWN: {
            Goodbye: _goodbye_answered,
            Abort: _aborted,
            **dict.fromkeys(REQUESTS_AND_ANSWERS, _ignore),
        },
        State.ABORTED: dict.fromkeys((*REQUESTS_AND_ANSWERS, Goodbye, Abort), _ignore),
    }


def _undeliverable(error: PayloadError) -> RequestError:
    return RequestError(error.uri, f"a receiver cannot be given this payload: {error}")
