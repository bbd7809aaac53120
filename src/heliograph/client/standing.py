"""What a session keeps asking for: subscriptions and registrations, made again after each join.

A standing request outlives connections. The order of messages decides what the router holds: after SUBSCRIBE,
UNSUBSCRIBE, SUBSCRIBE it holds a subscription, whatever has been answered so far. So there is at most one request of
a kind under way, and one whose answer nobody wants any more is given back when the answer comes.
"""

from collections.abc import Callable
from typing import Any, Protocol

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

Sink = Callable[[Event, str], None]
"""Takes an event and the topic that was subscribed to."""


class Answer(Protocol):
    """Where an answer goes; an `asyncio.Future` is one."""

    def done(self) -> bool:
        """Return whether nobody waits any more."""

    def set_result(self, result: Any, /) -> None:
        """Deliver the answer."""

    def set_exception(self, error: BaseException, /) -> None:
        """Deliver an error."""


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
    """One topic or pattern, shared by all handlers that this session has for it.

    Args:
        topic: the topic or pattern.
        match: how it is compared.
    """

    __slots__ = ("match", "sinks", "topic")

    what = "subscribe to"

    def __init__(self, topic: str, match: Match) -> None:
        super().__init__()
        self.topic = topic
        self.match: Match = match
        self.sinks: list[Sink] = []

    @property
    def uri(self) -> str:
        """The topic or pattern."""
        return self.topic

    @property
    def is_wanted(self) -> bool:
        """Whether there is a handler."""
        return bool(self.sinks)

    def request(self, request: int) -> Message:
        """Return SUBSCRIBE."""
        return Subscribe(request, SubscribeOptions(match=self.match), self.topic)

    def release(self, request: int, held: int) -> Message:
        """Return UNSUBSCRIBE."""
        return Unsubscribe(request, held)


class StandingRegistration(StandingRequest):
    """One procedure that this session offers.

    Args:
        procedure: its URI.
    """

    __slots__ = ("function", "procedure")

    what = "register"

    def __init__(self, procedure: str) -> None:
        super().__init__()
        self.procedure = procedure
        self.function: Callable[..., Any] | None = None

    @property
    def uri(self) -> str:
        """The procedure."""
        return self.procedure

    @property
    def is_wanted(self) -> bool:
        """Whether there is a function."""
        return self.function is not None

    def request(self, request: int) -> Message:
        """Return REGISTER."""
        return Register(request, RegisterOptions(), self.procedure)

    def release(self, request: int, held: int) -> Message:
        """Return UNREGISTER."""
        return Unregister(request, held)
