"""One thing that a session keeps asking for: a subscription or a registration.

A standing request outlives connections. The order of messages decides what the router holds: after SUBSCRIBE,
UNSUBSCRIBE, SUBSCRIBE it holds a subscription, whatever has been answered so far. So there is at most one request of
a kind under way, and one whose answer nobody wants any more is given back when the answer comes.
"""

from collections.abc import Callable
from typing import Any, Protocol

from heliograph.client.errors import ApplicationError, HeliographError
from heliograph.client.requests import Answer
from heliograph.wamp.messages import (
    Event,
    Message,
    Register,
    RegisterOptions,
    Subscribe,
    SubscribeOptions,
    Unregister,
    Unsubscribe,
)
from heliograph.wamp.uris import Match


class Sink(Protocol):
    """Who takes the events of a subscription.

    Attributes:
        wants_retained: whether events that were retained are to be sent, too.
    """

    wants_retained: bool

    def put(self, event: Event, topic: str) -> None:
        """Take an event and the topic that was subscribed to."""

    def lost(self) -> None:
        """The connection is gone."""

    def held(self) -> None:
        """The router holds the subscription, perhaps again."""

    def closed(self, error: HeliographError | None) -> None:
        """The session has ended for good; `error` tells why where that was not asked for."""

    def revoked(self, error: ApplicationError) -> None:
        """The router has taken the subscription away."""

    def not_restored(self, error: ApplicationError) -> None:
        """The router refuses the subscription after the session has joined again."""


class Implementation(Protocol):
    """What answers calls of a registered procedure.

    Attributes:
        target: what the observer is handed to call.
    """

    target: Any

    def revoked(self, error: ApplicationError) -> None:
        """The router has taken the registration away."""


class StandingRequest:
    """A subscription or registration and how far it has come on the present connection.

    Attributes:
        id: the router's id, while it holds the request.
        is_under_way: the request was sent and not yet answered.
        waiting: answers to resolve when the router holds it.
    """

    __slots__ = ("id", "is_under_way", "waiting")

    what: str
    """The verb for messages to people."""

    def __init__(self) -> None:
        self.id: int | None = None
        self.is_under_way = False
        self.waiting: list[Answer] = []

    @property
    def uri(self) -> str:
        """The topic or procedure."""
        raise NotImplementedError

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still wants it."""
        raise NotImplementedError

    def request(self, request: int) -> Message:
        """Return the message that asks for it."""
        raise NotImplementedError

    def release(self, request: int, held: int) -> Message:
        """Return the message that gives back what the router holds as `held`."""
        raise NotImplementedError

    def revoked(self, error: ApplicationError) -> None:
        """Take note that the router has taken it away: nobody wants it any more."""
        raise NotImplementedError

    def not_restored(self, error: ApplicationError) -> None:
        """Tell who wants it that the router refuses it after the session has joined again."""

    def reset(self) -> None:
        """Forget what was on a connection that is gone; who waits goes on waiting."""
        self.id = None
        self.is_under_way = False

    def resolve(self) -> None:
        """Tell everybody who waits that the router holds it."""
        waiting, self.waiting = self.waiting, []
        for answer in waiting:
            if not answer.done():
                answer.set_result(None)

    def fail(self, error: Callable[[], BaseException]) -> bool:
        """Tell everybody who waits that it failed; returns whether anybody did wait."""
        waiting, self.waiting = self.waiting, []
        listening = [answer for answer in waiting if not answer.done()]
        for answer in listening:
            answer.set_exception(error())
        return bool(listening)


class StandingSubscription(StandingRequest):
    """One topic or pattern, shared by all sinks that this session has for it.

    Retained events come in answer to one SUBSCRIBE, for those sinks only that it was sent for: the others have had
    theirs.

    Args:
        topic: the topic or pattern.
        match: how it is compared.
    """

    __slots__ = ("_asking", "_hearing", "_unasked", "match", "sinks", "topic")

    what = "subscribe to"

    def __init__(self, topic: str, match: Match) -> None:
        super().__init__()
        self.topic = topic
        self.match: Match = match
        self.sinks: list[Sink] = []
        self._unasked: list[Sink] = []
        self._asking: list[Sink] = []
        self._hearing: list[Sink] = []

    @property
    def uri(self) -> str:
        """The topic or pattern."""
        return self.topic

    @property
    def is_wanted(self) -> bool:
        """Whether there is a handler."""
        return bool(self.sinks)

    @property
    def wants_retained(self) -> bool:
        """Whether retained events have to be asked for."""
        return bool(self._unasked)

    def add(self, sink: Sink) -> None:
        """Give `sink` the events."""
        self.sinks.append(sink)
        if sink.wants_retained:
            self._unasked.append(sink)

    def remove(self, sink: Sink) -> None:
        """Give `sink` no more events."""
        for sinks in (self.sinks, self._unasked, self._asking, self._hearing):
            if sink in sinks:
                sinks.remove(sink)

    def request(self, request: int) -> Message:
        """Return SUBSCRIBE."""
        self._asking, self._unasked = self._unasked, []
        return Subscribe(
            request, SubscribeOptions(match=self.match, get_retained=bool(self._asking)), self.topic
        )

    def held(self) -> None:
        """Take note of SUBSCRIBED: the retained events that come now answer it."""
        self._hearing, self._asking = self._asking, []
        for sink in tuple(self.sinks):
            sink.held()

    def reset(self) -> None:
        """Forget what was on a connection that is gone; the next one is asked for retained events again."""
        super().reset()
        self._unasked = [sink for sink in self.sinks if sink.wants_retained]
        self._asking, self._hearing = [], []
        for sink in self.sinks:
            sink.lost()

    def put(self, event: Event) -> None:
        """Hand an event to every sink that it is for."""
        # A copy: a handler may unsubscribe.
        for sink in tuple(self._hearing if event.details.retained else self.sinks):
            sink.put(event, self.topic)

    def release(self, request: int, held: int) -> Message:
        """Return UNSUBSCRIBE."""
        return Unsubscribe(request, held)

    def revoked(self, error: ApplicationError) -> None:
        """Tell every sink that the router has taken the subscription away."""
        sinks = self.sinks
        self.sinks, self._unasked, self._asking, self._hearing = [], [], [], []
        for sink in sinks:
            sink.revoked(error)

    def not_restored(self, error: ApplicationError) -> None:
        """Tell every sink that the router refuses the subscription now."""
        for sink in tuple(self.sinks):
            sink.not_restored(error)


class StandingRegistration(StandingRequest):
    """One procedure that this session offers.

    Args:
        procedure: its URI or pattern.
        options: how it is registered.
    """

    __slots__ = ("implementation", "options", "procedure")

    what = "register"

    def __init__(self, procedure: str, options: RegisterOptions) -> None:
        super().__init__()
        self.procedure = procedure
        self.options = options
        self.implementation: Implementation | None = None

    @property
    def uri(self) -> str:
        """The procedure."""
        return self.procedure

    @property
    def is_wanted(self) -> bool:
        """Whether there is a function."""
        return self.implementation is not None

    def request(self, request: int) -> Message:
        """Return REGISTER."""
        return Register(request, self.options, self.procedure)

    def release(self, request: int, held: int) -> Message:
        """Return UNREGISTER."""
        return Unregister(request, held)

    def revoked(self, error: ApplicationError) -> None:
        """Tell the implementation that the router has taken the registration away."""
        implementation, self.implementation = self.implementation, None
        if implementation is not None:
            implementation.revoked(error)
