"""The broker: topics, who listens to them, and one event for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliograph.routing.counters import Counters
from heliograph.routing.peer import Deliverer, Peer
from heliograph.wamp.errors import INVALID_URI, NO_SUCH_SUBSCRIPTION, OPTION_NOT_ALLOWED, RequestError
from heliograph.wamp.ids import RandomId, SequentialIds
from heliograph.wamp.messages import (
    Event,
    EventDetails,
    Publish,
    Published,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from heliograph.wamp.uris import UriCheck, is_reserved

if TYPE_CHECKING:
    from heliograph.routing.session import Session

FEATURES = {"publisher_exclusion": True}
"""What WELCOME announces for the role broker: what works, no more."""

_NO_DETAILS = EventDetails()


class Subscription:
    """A topic somebody listens to; all its subscribers share one id."""

    __slots__ = ("id", "subscribers", "topic")

    def __init__(self, subscription_id: int, topic: str) -> None:
        self.id = subscription_id
        self.topic = topic
        self.subscribers: dict[Session, Peer] = {}


class Broker:
    """Routes events of one realm.

    Args:
        deliverer: takes an event for many peers.
        uri_check: raises for bad URIs.
        random_id: makes publication ids.
        counters: where events are counted.
    """

    def __init__(
        self, *, deliverer: Deliverer, uri_check: UriCheck, random_id: RandomId, counters: Counters
    ) -> None:
        self._deliver = deliverer.deliver
        self._check_uri = uri_check
        self._random_id = random_id
        self._counters = counters
        self._ids = SequentialIds()
        self._by_topic: dict[str, Subscription] = {}
        self._by_id: dict[int, Subscription] = {}
        self._of_session: dict[Session, set[Subscription]] = {}

    def publish(self, session: Session, message: Publish) -> None:
        """Send an event to everybody who listens to the message's topic."""
        topic = message.topic
        self._check_uri(topic)
        if is_reserved(topic):
            # "application URIs MUST NOT use `wamp` as a first URI component" (specification, "URIs")
            raise RequestError(INVALID_URI, f"{topic!r} is reserved: only the router publishes under wamp.")
        session.authorizer.require(topic, "publish")

        publication = self._random_id()
        subscription = self._by_topic.get(topic)
        if subscription is not None:
            receivers = self._receivers(subscription, session, message)
            self._deliver(Event(subscription.id, publication, _NO_DETAILS, message.payload), receivers)
            self._counters.events += len(receivers)
        self._counters.publications += 1
        if message.options.acknowledge:
            session.peer.send(Published(message.request, publication))

    def subscribe(self, session: Session, message: Subscribe) -> None:
        """Let the session hear a topic; asking again for the same topic returns the same subscription."""
        if message.options.match != "exact":
            raise RequestError(
                OPTION_NOT_ALLOWED, f"match: {message.options.match!r} is not supported; use 'exact'"
            )
        self._check_uri(message.topic)
        session.authorizer.require(message.topic, "subscribe")

        subscription = self._by_topic.get(message.topic)
        if subscription is None:
            subscription = Subscription(self._ids.next(), message.topic)
            self._by_topic[message.topic] = self._by_id[subscription.id] = subscription
        subscription.subscribers[session] = session.peer
        self._of_session.setdefault(session, set()).add(subscription)
        session.peer.send(Subscribed(message.request, subscription.id))

    def unsubscribe(self, session: Session, message: Unsubscribe) -> None:
        """Take one subscription of the session away."""
        subscription = self._by_id.get(message.subscription)
        if subscription is None or session not in subscription.subscribers:
            raise RequestError(
                NO_SUCH_SUBSCRIPTION, f"this session has no subscription {message.subscription}"
            )
        self._of_session[session].discard(subscription)
        self._drop(session, subscription)
        session.peer.send(Unsubscribed(message.request))

    def leave(self, session: Session) -> None:
        """Forget everything about a session that has ended."""
        for subscription in self._of_session.pop(session, ()):
            self._drop(session, subscription)

    def _drop(self, session: Session, subscription: Subscription) -> None:
        del subscription.subscribers[session]
        if not subscription.subscribers:
            del self._by_topic[subscription.topic], self._by_id[subscription.id]

    @staticmethod
    def _receivers(subscription: Subscription, publisher: Session, message: Publish) -> list[Peer]:
        subscribers = subscription.subscribers
        if message.options.exclude_me and publisher in subscribers:
            return [peer for session, peer in subscribers.items() if session is not publisher]
        return list(subscribers.values())
