"""Everything a session keeps asking for, made again after each join."""

from collections.abc import Callable
from typing import Any, Protocol

from heliograph.client.errors import ApplicationError, HeliographError
from heliograph.client.requests import Answer, Requests
from heliograph.client.standing import (
    Implementation,
    Sink,
    StandingRegistration,
    StandingRequest,
    StandingSubscription,
)
from heliograph.wamp import errors
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import (
    Registered,
    RegisterOptions,
    Subscribed,
    Unregistered,
    UnregisteredDetails,
    Unsubscribed,
    UnsubscribedDetails,
)
from heliograph.wamp.uris import Match

REVOKED = "heliograph.error.revoked"
"""What a subscription or registration ends with that the router has taken away."""


class RestoringObserver(Protocol):
    """Who is told how joining again went."""

    def restoring_failed(self, standing: StandingRequest, error: ApplicationError) -> None:
        """The router refuses a standing request that nobody is waiting for."""

    def restored(self) -> None:
        """Every standing request has been answered since the session joined."""


class StandingRequests:
    """Subscriptions and registrations, by what was asked for and by the ids the router gave.

    Args:
        requests: what they are sent by.
        observer: who is told how joining again went.

    Attributes:
        foreign_events: events for subscriptions this session does not have; ignored and counted.
    """

    def __init__(self, requests: Requests, observer: RestoringObserver) -> None:
        self.foreign_events = 0
        self._requests = requests
        self._observer = observer
        self._subscriptions: dict[tuple[str, Match], StandingSubscription] = {}
        self._registrations: dict[tuple[str, Match], StandingRegistration] = {}
        self._held_subscriptions: dict[int, StandingSubscription] = {}
        self._held_registrations: dict[int, StandingRegistration] = {}
        self._restoring: set[StandingRequest] = set()

    def __len__(self) -> int:
        return len(self._subscriptions) + len(self._registrations)

    # What the session asks for

    def subscribe(self, topic: str, match: Match, sink: Sink, answer: Answer) -> None:
        """Give `sink` the events of `topic` from now on and after each join; `answer` tells when it has begun."""
        standing = self._subscriptions.get((topic, match))
        if standing is None:
            standing = self._subscriptions[topic, match] = StandingSubscription(topic, match)
        standing.add(sink)
        self._want(standing, answer)

    def unsubscribe(self, topic: str, match: Match, sink: Sink, answer: Answer | None = None) -> None:
        """Take `sink` away; `answer` tells when the router has been told and has confirmed."""
        standing = self._subscriptions.get((topic, match))
        if standing is not None and sink in standing.sinks:
            standing.remove(sink)
            self._unwant(standing, answer)
        elif answer is not None:
            answer.set_result(None)

    def subscription_id(self, topic: str, match: Match) -> int | None:
        """Return the router's id of a subscription, `None` while it holds none."""
        standing = self._subscriptions.get((topic, match))
        return None if standing is None else standing.id

    def register(
        self, procedure: str, implementation: Implementation, options: RegisterOptions, answer: Answer
    ) -> None:
        """Answer calls of `procedure` from now on and after each join; `answer` tells when it has begun."""
        key = (procedure, options.match)
        standing = self._registrations.get(key)
        if standing is None:
            standing = self._registrations[key] = StandingRegistration(procedure, options)
        elif standing.is_wanted:
            text = "this session has registered it already"
            answer.set_exception(ApplicationError(errors.PROCEDURE_ALREADY_EXISTS, text))
            return
        elif standing.options != options:
            # What is under way or being given back was asked for differently.
            standing = self._registrations[key] = StandingRegistration(procedure, options)
        standing.implementation = implementation
        self._want(standing, answer)

    def unregister(
        self, procedure: str, match: Match, implementation: Implementation, answer: Answer | None = None
    ) -> None:
        """Take a registration back; `answer` tells when the router has been told and has confirmed."""
        standing = self._registrations.get((procedure, match))
        if standing is not None and standing.implementation is implementation:
            standing.implementation = None
            self._unwant(standing, answer)
        elif answer is not None:
            answer.set_result(None)

    def registration(self, held: int) -> StandingRegistration | None:
        """Return the registration that the router holds as `held`."""
        return self._held_registrations.get(held)

    # Connections

    def joined(self) -> None:
        """Ask the router for everything again."""
        wanted = [standing for standing in self._standing() if standing.is_wanted]
        self._restoring = set(wanted)
        for standing in wanted:
            self._request(standing)

    def disconnected(self) -> None:
        """Take note that the router holds nothing any more."""
        self._held_subscriptions.clear()
        self._held_registrations.clear()
        self._restoring.clear()
        for standing in self._standing():
            standing.reset()
            self._forget_unwanted(standing)

    def closed(self, error: HeliographError | None) -> None:
        """Tell every sink that the session has ended for good, and forget everything."""
        subscriptions, self._subscriptions = self._subscriptions, {}
        self._registrations = {}
        for standing in subscriptions.values():
            for sink in tuple(standing.sinks):
                sink.closed(error)

    def restore(self, standing: StandingRequest) -> None:
        """Ask once more for a standing request that was refused, if it is still wanted and missing."""
        if self._requests.is_joined and standing.is_wanted and standing.id is None:
            self._request(standing)

    def held(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the topics and the procedures that the router holds now."""
        return (
            tuple(each.topic for each in self._subscriptions.values() if each.id is not None),
            tuple(each.procedure for each in self._registrations.values() if each.id is not None),
        )

    @property
    def is_restored(self) -> bool:
        """Whether every standing request has been answered since the session joined."""
        return not self._restoring

    # Messages of the router

    def event(self, event: Any) -> None:
        """Hand EVENT to its sinks."""
        standing = self._held_subscriptions.get(event.subscription)
        if standing is None:
            self.foreign_events += 1
        else:
            standing.put(event)

    def revoked(self, message: Unsubscribed | Unregistered) -> None:
        """Take note of UNSUBSCRIBED or UNREGISTERED that answers no request: the router has taken something away."""
        held, holders = self._taken_away(message)
        if held is None:
            raise ProtocolViolation(f"{type(message).__name__.upper()} does not say what was taken away")
        standing: StandingRequest | None = holders.pop(held, None)
        if standing is None or standing.id != held:
            return  # it was given back while this was on its way
        standing.id = None
        reason = (message.details and message.details.reason) or "the router gives no reason"
        standing.revoked(ApplicationError(REVOKED, f"{standing.uri} was taken away: {reason}"))
        self._forget_unwanted(standing)

    def _taken_away(self, message: Unsubscribed | Unregistered) -> tuple[int | None, dict[int, Any]]:
        details = message.details
        if isinstance(details, UnsubscribedDetails):
            return details.subscription, self._held_subscriptions
        if isinstance(details, UnregisteredDetails):
            return details.registration, self._held_registrations
        return None, {}

    # How a standing request goes on

    def _standing(self) -> list[StandingRequest]:
        return [*self._subscriptions.values(), *self._registrations.values()]

    def _want(self, standing: StandingRequest, answer: Answer) -> None:
        asks_again = isinstance(standing, StandingSubscription) and standing.wants_retained
        if standing.id is not None and not asks_again:
            answer.set_result(None)
            return
        standing.waiting.append(answer)
        if self._requests.is_joined:
            self._request(standing)

    def _request(self, standing: StandingRequest) -> None:
        if standing.is_under_way:
            return
        reply = Subscribed if isinstance(standing, StandingSubscription) else Registered

        def refused(error: Callable[[], HeliographError]) -> None:
            if self._requests.is_joined:  # else the connection is gone, and the next one asks again
                self._on_refused(standing, error)

        self._requests.make(
            standing.request, reply, lambda message: self._on_held(standing, message), refused
        )
        standing.is_under_way = True

    def _on_held(self, standing: StandingRequest, message: Any) -> None:
        standing.is_under_way = False
        held = message.subscription if isinstance(standing, StandingSubscription) else message.registration
        holders = self._held(standing)
        holder = holders.get(held)
        if holder is not None and holder is not standing and holder.id == held:
            raise ProtocolViolation(f"{type(message).__name__.upper()} gives an id that is in use: {held}")
        standing.id = held
        holders[held] = standing
        if isinstance(standing, StandingSubscription):
            standing.held()
            if standing.wants_retained:  # of who came while the request was under way
                self._request(standing)
        if standing.is_wanted:
            standing.resolve()
        else:
            self._release(standing, None)
        self._settled(standing)

    def _on_refused(self, standing: StandingRequest, error: Callable[[], HeliographError]) -> None:
        standing.is_under_way = False
        if not standing.is_wanted:
            self._forget_unwanted(standing)
        elif not standing.fail(error):
            refusal = error()
            if isinstance(refusal, ApplicationError):
                self._observer.restoring_failed(standing, refusal)
                standing.not_restored(refusal)
        self._settled(standing)

    def _settled(self, standing: StandingRequest) -> None:
        if standing in self._restoring:
            self._restoring.discard(standing)
            if not self._restoring:
                self._observer.restored()

    def _unwant(self, standing: StandingRequest, answer: Answer | None) -> None:
        is_leaving = not self._requests.is_joined
        if standing.is_wanted or standing.is_under_way or standing.id is None or is_leaving:
            # Others want it, or its id is not known yet: then it is given back when the answer comes. A session that
            # leaves gives everything back.
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
        self._requests.make(lambda request: standing.release(request, held), reply, done, done)

    def _held(self, standing: StandingRequest) -> dict[int, Any]:
        if isinstance(standing, StandingSubscription):
            return self._held_subscriptions
        return self._held_registrations

    def _forget_unwanted(self, standing: StandingRequest) -> None:
        if standing.is_wanted or standing.is_under_way:
            return
        book: dict[tuple[str, Match], Any]
        if isinstance(standing, StandingSubscription):
            book, key = self._subscriptions, (standing.topic, standing.match)
        elif isinstance(standing, StandingRegistration):
            book, key = self._registrations, (standing.procedure, standing.options.match)
        else:
            raise TypeError(f"{type(standing).__name__} is no standing request")
        if book.get(key) is standing:
            del book[key]
