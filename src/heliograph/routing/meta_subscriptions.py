"""Procedures about subscriptions: `wamp.subscription.*`."""

from collections.abc import Callable
from functools import partial
from typing import Any

from heliograph.routing.authorizer import authorize
from heliograph.routing.history import History, HistoryEntry, HistoryQuery, history_query, rfc3339
from heliograph.routing.realm import Realm
from heliograph.routing.session import Session
from heliograph.routing.subscription import Subscription, subscription_details
from heliograph.routing.work import LOOKED_AT_A_UNIT, READ_BYTES_A_UNIT, UNITS_A_MESSAGE, Steps
from heliograph.wamp.containers import ContainerCount, check_containers
from heliograph.wamp.errors import NO_SUCH_SUBSCRIPTION, PAYLOAD_SIZE_EXCEEDED, RequestError
from heliograph.wamp.ids import GivenId
from heliograph.wamp.messages import Details
from heliograph.wamp.uris import MATCHES, Match, is_reserved

ANSWER_BYTES = 1024 * 1024
"""About how many bytes of events one call of `get_events` is answered with, or one event if that has more."""


class LookupOptions(Details, frozen=True):
    """Options of a look-up."""

    match: Match = "exact"


class SubscriptionProcedures:
    """The procedures, each a method.

    Args:
        realm: what they tell of.
    """

    def __init__(self, realm: Realm) -> None:
        self._realm = realm

    def by_name(self) -> dict[str, Callable[..., Any]]:
        """Return the procedures by the name they are called by."""
        return {
            "wamp.subscription.list": self.list_,
            "wamp.subscription.lookup": self.lookup,
            "wamp.subscription.match": self.match,
            "wamp.subscription.get": self.get,
            "wamp.subscription.list_subscribers": self.list_subscribers,
            "wamp.subscription.count_subscribers": self.count_subscribers,
            "wamp.subscription.remove_subscriber": self.remove_subscriber,
            "wamp.subscription.get_events": self.get_events,
        }

    def list_(self, session: Session) -> list[Any]:
        self._realm.work.spend(len(self._realm.broker.index) // LOOKED_AT_A_UNIT)
        return [
            {
                kind: [found.id for found in self._realm.broker.index.entries(kind) if _is_shown(found)]
                for kind in MATCHES
            }
        ]

    def lookup(self, session: Session, topic: str, options: LookupOptions = LookupOptions()) -> list[Any]:  # noqa: B008 - frozen
        found = self._realm.broker.index.get(topic, options.match)
        return [found.id if found is not None and _is_shown(found) else None]

    def match(self, session: Session, topic: str) -> list[Any]:
        return [[found.id for found in self._realm.broker.matching(topic) if _is_shown(found)] or None]

    def get(self, session: Session, subscription_id: GivenId) -> list[Any]:
        return [subscription_details(_subscription(self._realm, subscription_id))]

    def list_subscribers(self, session: Session, subscription_id: GivenId) -> list[Any]:
        subscribers = _subscription(self._realm, subscription_id).subscribers
        self._realm.work.spend(len(subscribers) // LOOKED_AT_A_UNIT)
        return [[subscriber.id for subscriber in subscribers]]

    def count_subscribers(self, session: Session, subscription_id: GivenId) -> list[Any]:
        return [len(_subscription(self._realm, subscription_id).subscribers)]

    def remove_subscriber(
        self, session: Session, subscription_id: GivenId, subscriber_id: GivenId, *, reason: str | None = None
    ) -> list[Any]:
        subscription = _subscription(self._realm, subscription_id)
        subscriber = self._realm.sessions.get(subscriber_id)
        if subscriber is None:
            raise RequestError(NO_SUCH_SUBSCRIPTION, f"there is no session {subscriber_id} in this realm")
        self._realm.broker.revoke(subscription, subscriber, reason)
        return []

    def get_events(
        self, session: Session, subscription_id: GivenId, /, **conditions: Any
    ) -> list[Any] | Steps[list[Any]]:
        query = history_query(conditions)
        subscription = _subscription(self._realm, subscription_id)
        # "a peer must be allowed to subscribe to a desired subscription first" (specification, "Event History")
        authorize(session, subscription.topic, "subscribe", subscription.match)
        if subscription.history is None:
            return []
        return self._events(session, subscription, subscription.history, query)

    def _events(
        self, session: Session, subscription: Subscription, history: History, query: HistoryQuery
    ) -> Steps[list[Any]]:
        work = self._realm.work
        may_read = partial(self._realm.broker.may_read, session, subscription)
        entries = yield from history.events(query, may_read, work)
        size = sum(entry.size_bytes for entry in entries)
        if size > ANSWER_BYTES and len(entries) > 1:
            raise RequestError(
                PAYLOAD_SIZE_EXCEEDED,
                f"get_events: {len(entries)} events have about {size} bytes, an answer at most {ANSWER_BYTES}:"
                " ask with a smaller limit, and go on with after_publication",
            )
        events: list[Any] = []
        count = ContainerCount()
        for entry in entries:
            event = _event(subscription, entry)
            # The answer is written in one piece.
            check_containers(event, count)
            events.append(event)
            work.spend(UNITS_A_MESSAGE + entry.size_bytes // READ_BYTES_A_UNIT)
            yield None
        return events


def _is_shown(subscription: Subscription) -> bool:
    """Whether the meta API tells of it: who listens to the router itself is nobody's business."""
    return not is_reserved(subscription.topic)


def _subscription(realm: Realm, subscription_id: int) -> Subscription:
    subscription = realm.broker.subscriptions.get(subscription_id)
    if subscription is None or not _is_shown(subscription):
        raise RequestError(NO_SUCH_SUBSCRIPTION, f"there is no subscription {subscription_id} in this realm")
    return subscription


def _event(subscription: Subscription, entry: HistoryEntry) -> dict[str, Any]:
    args, kwargs = entry.payload.decoded()
    details = entry.details if subscription.match == "exact" else {**entry.details, "topic": entry.topic}
    event: dict[str, Any] = {
        "timestamp": rfc3339(entry.time),
        "subscription": subscription.id,
        "publication": entry.publication,
        "details": details,
    }
    if args:
        event["args"] = args
    if kwargs:
        event["kwargs"] = kwargs
    return event
