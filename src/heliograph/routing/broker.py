"""The broker: topics, who listens to them, and one event for each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from heliograph.routing.authorizer import Authorizer, Decision, DecisionPending, authorize
from heliograph.routing.counters import Counters
from heliograph.routing.history import History, HistoryEntry, moment, timestamp
from heliograph.routing.options import EventHistoryOptions
from heliograph.routing.passthru import passthru_of
from heliograph.routing.patterns import PatternIndex, pattern_matcher
from heliograph.routing.peer import Clock, Deliverer, Delivery, Peer
from heliograph.routing.receivers import ReceiverFilter, receiver_filter
from heliograph.routing.retention import RetainedEvent, Retention, size_of
from heliograph.wamp.errors import (
    DISCLOSE_ME_DISALLOWED,
    INVALID_URI,
    NO_SUCH_SUBSCRIPTION,
    TOO_MANY_SUBSCRIPTIONS,
    PayloadError,
    RequestError,
)
from heliograph.wamp.features import PUBLISHER_PASSTHRU, SUBSCRIBER_REVOCATION
from heliograph.wamp.ids import RandomId, SequentialIds
from heliograph.wamp.messages import (
    PLAIN_EVENT,
    PLAIN_PUBLISH,
    Event,
    EventDetails,
    Publish,
    Published,
    PublishOptions,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    UnsubscribedDetails,
)
from heliograph.wamp.payload import Payload, PlainPayload
from heliograph.wamp.uris import Match, UriCheck, is_reserved, matches_reserved

if TYPE_CHECKING:
    from heliograph.routing.session import Session

_NO_DETAILS: dict[str, Any] = {}


OPEN_TOPICS = 4096
"""Topics that are known to be open to all publishers of a role; when there are as many, all are judged anew."""

RETAINED_TOPICS_SENT = 1000
"""Topics whose retained events one SUBSCRIBE to a pattern brings: asking costs little, sending them all would not."""


class Subscription:
    """A topic, or a pattern of topics, somebody listens to; all its subscribers share one id."""

    __slots__ = ("created_s", "history", "id", "match", "subscribers", "topic")

    def __init__(self, subscription_id: int, topic: str, match: Match, created_s: float) -> None:
        self.id = subscription_id
        self.topic = topic
        self.match = match
        self.created_s = created_s
        self.subscribers: dict[Session, Peer] = {}
        self.history: History | None = None
        """What was published to it, where the configuration says so; then it stays without subscribers, too."""


Drop = tuple[Subscription, bool]
"""A subscription that lost a subscriber, and whether it was the last one."""


class Broker:
    """Routes events of one realm.

    Args:
        deliverer: takes events for many peers.
        uri_check: raises for bad URIs.
        random_id: makes publication ids.
        clock: tells the time.
        counters: where events are counted.
        history: topics and patterns whose events are kept.
        subscriptions_limit: subscriptions one session may have.
    """

    def __init__(
        self,
        *,
        deliverer: Deliverer,
        uri_check: UriCheck,
        random_id: RandomId,
        clock: Clock,
        counters: Counters,
        history: Sequence[EventHistoryOptions] = (),
        subscriptions_limit: int = 10_000,
    ) -> None:
        self._deliver = deliverer.deliver
        self._check_uri = uri_check
        self._random_id = random_id
        self._clock = clock
        self._counters = counters
        self._subscriptions_limit = subscriptions_limit
        self._ids = SequentialIds()
        self._retention = Retention()
        self.subscriptions: dict[int, Subscription] = {}
        self.index: PatternIndex[Subscription] = PatternIndex()
        self._of_session: dict[Session, dict[int, Subscription]] = {}
        self.meta_subscriptions = 0
        """Subscriptions that meta events match: mostly there is none, and a session that comes and goes has six."""
        self._open_topics: dict[tuple[Authorizer, str], Decision] = {}
        self._keeps_history = bool(history)
        self.is_silent = False
        """Whether meta events are kept back."""
        for kept in history:
            # Of several with one pattern the last one counts.
            subscription = self.index.get(kept.uri, kept.match) or self._subscription(kept.uri, kept.match)
            subscription.history = History(kept.limit)

    # Publishing.

    def publish(self, session: Session, message: Publish) -> None:
        """Do what PUBLISH asks."""
        publication = self.accept(session, message.topic, message.options, message.payload)
        if message.options.acknowledge:
            session.peer.send(Published(message.request, publication))

    def accept(self, session: Session, topic: str, options: PublishOptions, payload: Payload) -> int:
        """Send an event to everybody who listens to `topic`; return the publication's id.

        Raises:
            RequestError: `session` may not publish like this.
            PayloadError: the format of a receiver cannot express it; nobody has received it.
            DecisionPending: whether it may has to be waited for.
        """
        if options is PLAIN_PUBLISH or _is_plain(options):
            subscription = self._only_subscription(session, topic)
            if subscription is not None:
                # What most publications are. The general way takes twice as long from here to the outboxes.
                publication = self._random_id()
                event = Event(subscription.id, publication, PLAIN_EVENT, payload)
                self._deliver(((event, subscription.subscribers.values()),))
                self._counters.events += len(subscription.subscribers)
                self._counters.publications += 1
                return publication
        details = self.check_publication(session, topic, options)
        publication = self._random_id()
        self._dispatch(session, publication, topic, options, details, payload)
        self._counters.publications += 1
        return publication

    def publish_testament(
        self,
        session: Session,
        topic: str,
        options: PublishOptions,
        details: dict[str, Any],
        payload: Payload,
    ) -> None:
        """Publish what a session has left behind; it was checked when it was added."""
        try:
            self._dispatch(session, self._random_id(), topic, options, details, payload)
        except PayloadError:
            # Nobody is left to be told.
            self._counters.publications_refused += 1
        else:
            self._counters.publications += 1

    def announce(self, topic: str, *args: Any) -> None:
        """Publish a meta event, if anybody listens."""
        if not self.meta_subscriptions or self.is_silent:
            return
        subscriptions = self.index.matching(topic)
        if subscriptions:
            event = _Publication(self._random_id(), topic, _NO_DETAILS, PlainPayload(args), None, None)
            self._deliver_to(subscriptions, event)

    def check_publication(self, session: Session, topic: str, options: PublishOptions) -> dict[str, Any]:
        """Return the details of such an event, those that do not differ between subscriptions.

        Raises:
            RequestError: `session` may not publish like this.
            DecisionPending: whether it may has to be waited for.
        """
        decision = self._open_topics.get((session.authorizer, topic))
        if decision is None:
            self._check_topic(topic)
        details: dict[str, Any] = {}
        if options.ppt_scheme or options.enc_algo:
            details = passthru_of(options, session.features, PUBLISHER_PASSTHRU)
        if decision is None:
            decision = self._decide(session, topic)
        if options.disclose_me and not session.may_disclose:
            raise RequestError(DISCLOSE_ME_DISALLOWED, "this role may not disclose its identity")
        if options.disclose_me or decision.disclose:
            details["publisher"] = session.id
            details["publisher_authid"] = session.principal.authid
            details["publisher_authrole"] = session.principal.authrole
        if session.trustlevel is not None:
            details["trustlevel"] = session.trustlevel
        return details

    def _only_subscription(self, session: Session, topic: str) -> Subscription | None:
        """Return the subscription that a plain event of `session` goes to, None unless it goes to all of that one only.

        So it is known that the topic is open to the session, nothing is to be told of who publishes and nothing kept.
        """
        decision = self._open_topics.get((session.authorizer, topic))
        if decision is None or decision.disclose or session.trustlevel is not None or self._keeps_history:
            return None
        subscriptions = self.index.matching(topic)
        if len(subscriptions) != 1 or subscriptions[0].match != "exact":
            return None
        return None if session in subscriptions[0].subscribers else subscriptions[0]

    def _check_topic(self, topic: str) -> None:
        self._check_uri(topic)
        if is_reserved(topic):
            # "application URIs MUST NOT use `wamp` as a first URI component" (specification, "URIs")
            raise RequestError(INVALID_URI, f"{topic!r} is reserved: only the router publishes under wamp.")

    def _decide(self, session: Session, topic: str) -> Decision:
        """Return the decision about publishing to a topic that was checked, and remember one that allows it to all."""
        decision = authorize(session, topic, "publish")
        if session.authorizer.decides_alike:
            if len(self._open_topics) >= OPEN_TOPICS:
                self._open_topics.clear()
            self._open_topics[session.authorizer, topic] = decision
        return decision

    def _dispatch(
        self,
        session: Session,
        publication: int,
        topic: str,
        options: PublishOptions,
        details: dict[str, Any],
        payload: Payload,
    ) -> None:
        subscriptions = self.index.matching(topic)
        if not subscriptions and not options.retain:
            return
        publisher = session if options.exclude_me else None
        event = _Publication(publication, topic, details, payload, receiver_filter(options), publisher)
        histories = self._histories(subscriptions, event) if self._keeps_history else ()
        self._deliver_to(subscriptions, event)
        if histories:
            entry = HistoryEntry(
                moment(self._clock.now_s()), publication, topic, details, payload, event.receivers
            )
            for history in histories:
                history.add(entry)
        if options.retain:
            self._retention.keep(topic, event.retained())

    def _deliver_to(self, subscriptions: Sequence[Subscription], event: _Publication) -> None:
        deliveries: list[Delivery] = []
        events = 0
        for subscription in subscriptions:
            peers = event.peers(subscription)
            if peers:
                deliveries.append((event.for_subscription(subscription), peers))
                events += len(peers)
        if deliveries:
            self._deliver(deliveries)
            self._counters.events += events

    def _histories(self, subscriptions: Sequence[Subscription], event: _Publication) -> list[History]:
        """Return where the event is to be kept; raises `PayloadError` when it could not be read there."""
        if event.receivers is not None and event.receivers.names_sessions:
            # "all events published with `Options.exclude|list[int]` or `Options.eligible|list[int]` should be ignored
            # by the Event History mechanism and not be saved at all" (specification, "Event History")
            return []
        histories = [
            subscription.history for subscription in subscriptions if subscription.history is not None
        ]
        if histories:
            event.payload.decoded()
        return histories

    def may_read(self, session: Session, subscription: Subscription, entry: HistoryEntry) -> bool:
        """Return whether `session` may read what a subscription's history has kept."""
        return (entry.receivers is None or entry.receivers.admits(session)) and (
            subscription.match == "exact" or _may_hear(session, entry.topic)
        )

    # Subscribing.

    def subscribe(self, session: Session, message: Subscribe) -> None:
        """Let the session hear a topic or pattern; asking again returns the same subscription."""
        topic, match = message.topic, message.options.match
        self._check_uri(topic, match)
        authorize(session, topic, "subscribe", match)

        subscription = self.index.get(topic, match)
        is_new = subscription is None or not subscription.subscribers
        is_again = subscription is not None and session in subscription.subscribers
        if not is_again:
            self._check_room(session)
        if subscription is None:
            subscription = self._subscription(topic, match)
        subscription.subscribers[session] = session.peer
        self._of_session.setdefault(session, {})[subscription.id] = subscription
        session.peer.send(Subscribed(message.request, subscription.id))
        if self.meta_subscriptions and not is_reserved(topic) and not is_again:
            if is_new:
                self.announce("wamp.subscription.on_create", session.id, subscription_details(subscription))
            self.announce("wamp.subscription.on_subscribe", session.id, subscription.id)
        if message.options.get_retained:
            self._send_retained(session, subscription)

    def unsubscribe(self, session: Session, message: Unsubscribe) -> None:
        """Take one subscription of the session away."""
        subscription = self.subscriptions.get(message.subscription)
        if subscription is None or session not in subscription.subscribers:
            raise RequestError(
                NO_SUCH_SUBSCRIPTION, f"this session has no subscription {message.subscription}"
            )
        session.peer.send(Unsubscribed(message.request))
        self._announce_drop(session, self._drop(session, subscription))

    def revoke(self, subscription: Subscription, session: Session, reason: str | None) -> None:
        """Take a subscription away from a session that did not ask for it ("Subscription Revocation")."""
        if session not in subscription.subscribers:
            raise RequestError(
                NO_SUCH_SUBSCRIPTION, f"session {session.id} does not subscribe to {subscription.id}"
            )
        if session.features & SUBSCRIBER_REVOCATION:
            session.peer.send(
                Unsubscribed(0, UnsubscribedDetails(subscription=subscription.id, reason=reason))
            )
        self._announce_drop(session, self._drop(session, subscription))

    def leave(self, session: Session) -> list[Drop]:
        """Forget everything about a session that has ended; what is returned is left to `announce_dropped`."""
        return [
            self._drop(session, subscription)
            for subscription in list(self._of_session.get(session, _NO_DETAILS).values())
        ]

    def announce_dropped(self, session: Session, dropped: Iterable[Drop]) -> None:
        """Tell who listens which subscriptions a session had."""
        for drop in dropped:
            self._announce_drop(session, drop)

    def _check_room(self, session: Session) -> None:
        if len(self._of_session.get(session, _NO_DETAILS)) >= self._subscriptions_limit:
            self._counters.session_limits_reached += 1
            raise RequestError(
                TOO_MANY_SUBSCRIPTIONS,
                f"a session may have {self._subscriptions_limit} subscriptions here; a pattern covers many topics",
            )

    def _subscription(self, topic: str, match: Match) -> Subscription:
        subscription = Subscription(self._ids.next(), topic, match, self._clock.now_s())
        self.subscriptions[subscription.id] = subscription
        self.index.add(topic, match, subscription)
        self.meta_subscriptions += matches_reserved(topic, match)
        return subscription

    def _drop(self, session: Session, subscription: Subscription) -> Drop:
        """Take a subscriber away, and the subscription with the last one."""
        del subscription.subscribers[session]
        own = self._of_session[session]
        del own[subscription.id]
        if not own:
            del self._of_session[session]
        was_last = not subscription.subscribers
        if was_last and subscription.history is None:
            del self.subscriptions[subscription.id]
            self.index.remove(subscription.topic, subscription.match)
            self.meta_subscriptions -= matches_reserved(subscription.topic, subscription.match)
        return subscription, was_last

    def _announce_drop(self, session: Session, drop: Drop) -> None:
        subscription, was_last = drop
        if self.meta_subscriptions and not is_reserved(subscription.topic):
            self.announce("wamp.subscription.on_unsubscribe", session.id, subscription.id)
            if was_last:
                self.announce("wamp.subscription.on_delete", session.id, subscription.id)

    def _send_retained(self, session: Session, subscription: Subscription) -> None:
        """Send the newest retained event of the topics the subscription matches, as far as this session may hear it.

        "This event retention SHOULD be provided on a best-effort basis" (specification, "Event Retention"): of very
        many topics, a pattern brings those renewed last.
        """
        for topic in self._retained_topics(subscription):
            kept = self._retention.newest(topic, session)
            if kept is None or (subscription.match != "exact" and not _may_hear(session, topic)):
                continue
            details = {**kept.details, "retained": True}
            if subscription.match != "exact":
                details["topic"] = topic
            event = Event(subscription.id, kept.publication, EventDetails(**details), kept.payload)
            try:
                session.peer.send(event)
            except PayloadError:
                self._counters.events_dropped += 1

    def _retained_topics(self, subscription: Subscription) -> list[str]:
        if subscription.match == "exact":
            return [subscription.topic]
        matches = pattern_matcher(subscription.topic, subscription.match)
        newest = list(islice(filter(matches, self._retention.topics_newest_first()), RETAINED_TOPICS_SENT))
        # What was retained last is sent last, as it would have come.
        return newest[::-1]


def _is_plain(options: PublishOptions) -> bool:
    """Return whether an event is for all subscribers as it is, and for nobody later, whoever published it."""
    return (
        not (options.retain or options.disclose_me or options.ppt_scheme or options.enc_algo)
        and receiver_filter(options) is None
    )


class _Publication(Struct, eq=False):
    """One event on its way to all subscriptions it matches."""

    id: int
    topic: str
    details: dict[str, Any]
    payload: Payload
    receivers: ReceiverFilter | None
    publisher: Session | None
    """The session that must not hear it, None when all may."""

    def for_subscription(self, subscription: Subscription) -> Event:
        """Return the event as the subscription's subscribers get it."""
        # "a *Broker* MUST supply the original `PUBLISH.Topic`" (specification, "Pattern-based Subscription")
        if subscription.match != "exact":
            details = EventDetails(**self.details, topic=self.topic)
        else:
            details = EventDetails(**self.details) if self.details else PLAIN_EVENT
        return Event(subscription.id, self.id, details, self.payload)

    def retained(self) -> RetainedEvent:
        """Return the event as it is kept for those who subscribe later."""
        excluded = None if self.publisher is None else self.publisher.id
        return RetainedEvent(
            self.id, self.details, self.payload, size_of(self.payload), self.receivers, excluded
        )

    def peers(self, subscription: Subscription) -> Collection[Peer]:
        """Return those of the subscription's subscribers that receive the event."""
        subscribers = subscription.subscribers
        if subscription.match != "exact":
            subscribers = self._who_may_hear(subscribers)
        if self.receivers is not None:
            admits = self.receivers.admits
            subscribers = {session: peer for session, peer in subscribers.items() if admits(session)}
        if self.publisher is not None and self.publisher in subscribers:
            publisher = self.publisher
            return [peer for session, peer in subscribers.items() if session is not publisher]
        return subscribers.values()

    def _who_may_hear(self, subscribers: dict[Session, Peer]) -> dict[Session, Peer]:
        """Return those of a pattern's subscribers that may subscribe to the topic itself.

        One session is asked for all whose authorizer decides alike: asked for each, it took a third of the time.
        """
        examples = {session.authorizer: session for session in subscribers}
        allowing = {
            authorizer
            for authorizer, session in examples.items()
            if authorizer.decides_alike and _may_hear(session, self.topic)
        }
        if len(allowing) == len(examples):
            return subscribers
        return {
            session: peer
            for session, peer in subscribers.items()
            if session.authorizer in allowing
            or (not session.authorizer.decides_alike and _may_hear(session, self.topic))
        }


def _may_hear(session: Session, topic: str) -> bool:
    """Return whether `session`, which subscribes to a pattern, may subscribe to this topic itself.

    A decision that would have to be waited for is a refusal: an event cannot wait for it.
    """
    try:
        return session.authorizer.decide(session, topic, "subscribe", "exact").allow
    except DecisionPending:
        return False


def subscription_details(subscription: Subscription) -> dict[str, Any]:
    """Return what the meta API tells of a subscription."""
    return {
        "id": subscription.id,
        "created": timestamp(subscription.created_s),
        "uri": subscription.topic,
        "match": subscription.match,
    }
