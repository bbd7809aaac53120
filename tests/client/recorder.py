"""A transport and an observer of the client's protocol that remember everything, and what else its tests need."""

from concurrent.futures import Future
from typing import Any

from heliograph.client.errors import ApplicationError, HeliographError
from heliograph.client.invocations import OpenInvocation
from heliograph.client.protocol import ClientProtocol, OpenChallenge
from heliograph.client.standing import StandingRequest
from heliograph.wamp import messages as m
from heliograph.wamp.errors import PayloadError
from heliograph.wamp.payload import Payload, PlainPayload


class Recorder:
    """Transport and observer in one."""

    def __init__(self) -> None:
        self.sent: list[m.Message] = []
        self.closed = 0
        self.joined_sessions: list[int] = []
        self.endings: list[tuple[HeliographError, bool]] = []
        self.invocations: list[OpenInvocation] = []
        self.pieces: list[tuple[OpenInvocation, Payload]] = []
        self.challenges: list[OpenChallenge] = []
        self.interruptions: list[OpenInvocation] = []
        self.drops: list[OpenInvocation] = []
        self.restorations = 0
        self.not_restored: list[tuple[str, str]] = []
        self.refuses_to_encode = False

    def send(self, message: m.Message) -> None:
        if self.refuses_to_encode:
            raise PayloadError("no")
        self.sent.append(message)

    def close(self) -> None:
        self.closed += 1

    def challenged(self, challenge: OpenChallenge) -> None:
        self.challenges.append(challenge)

    def joined(self, welcome: m.Welcome) -> None:
        self.joined_sessions.append(welcome.session)

    def ended(self, error: HeliographError, *, was_joined: bool) -> None:
        self.endings.append((error, was_joined))

    def invoked(self, invocation: OpenInvocation) -> None:
        self.invocations.append(invocation)

    def piece_came(self, invocation: OpenInvocation, payload: Payload) -> None:
        self.pieces.append((invocation, payload))

    def interrupted(self, invocation: OpenInvocation) -> None:
        self.interruptions.append(invocation)

    def dropped(self, invocation: OpenInvocation) -> None:
        self.drops.append(invocation)

    def restored(self) -> None:
        self.restorations += 1

    def restoring_failed(self, standing: StandingRequest, error: ApplicationError) -> None:
        self.not_restored.append((standing.uri, error.uri))

    def taken(self) -> list[m.Message]:
        """What was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent


DEALER = {"features": {"call_canceling": True, "progressive_call_invocations": True}}
WELCOME = m.Welcome(77, m.WelcomeDetails(roles={"broker": {"features": {}}, "dealer": DEALER}))


def rejoin(protocol: ClientProtocol, wire: Recorder) -> list[m.Message]:
    """Lose the connection and join on another; returns what was sent after HELLO."""
    protocol.lost("gone")
    wire.taken()
    protocol.connected(wire)
    assert [type(sent) for sent in wire.taken()] == [m.Hello]
    protocol.receive(WELCOME)
    return wire.taken()


def answered(answer: Future[Any]) -> Any:
    return answer.result(timeout=0)


def error(request_type: int, request: int, uri: str = "com.example.no", *args: Any) -> m.Error:
    return m.Error(request_type, request, {}, uri, PlainPayload(args))


class Sink:
    """Takes events, and remembers what else it is told."""

    def __init__(self, *, wants_retained: bool = False) -> None:
        self.wants_retained = wants_retained
        self.publications: list[int] = []
        self.told: list[str] = []

    def put(self, event: m.Event, topic: str) -> None:
        self.publications.append(event.publication)

    def lost(self) -> None:
        self.told.append("lost")

    def held(self) -> None:
        self.told.append("held")

    def closed(self, error: HeliographError | None) -> None:
        self.told.append(f"closed: {error}")

    def revoked(self, error: ApplicationError) -> None:
        self.told.append(f"revoked: {error}")

    def not_restored(self, error: ApplicationError) -> None:
        self.told.append(f"not restored: {error.uri}")


def subscribed(protocol: ClientProtocol, topic: str = "a.b", held: int = 5, request: int = 1) -> Sink:
    sink = Sink()
    answer: Future[Any] = Future()
    protocol.standing.subscribe(topic, "exact", sink, answer)
    protocol.receive(m.Subscribed(request, held))
    answered(answer)
    return sink


def event(publication: int, subscription: int = 5) -> m.Event:
    return m.Event(subscription, publication, m.EventDetails())


class Implementation:
    """Stands for a registered function."""

    def __init__(self) -> None:
        self.target = self
        self.revocations: list[ApplicationError] = []

    def revoked(self, error: ApplicationError) -> None:
        self.revocations.append(error)


ADD = Implementation()
ALONE = m.RegisterOptions()
