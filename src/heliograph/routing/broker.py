"""The broker: topics, who subscribes to them, and one event for each subscription."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from heliograph.routing.authorizer import Authorizer, Decision, authorize
from heliograph.routing.counters import Counters
from heliograph.routing.dispatcher import Dispatcher
from heliograph.routing.history import History, HistoryEntry, moment
from heliograph.routing.options import EventHistoryOptions
from heliograph.routing.passthru import passthru_of
from heliograph.routing.patterns import PatternIndex
from heliograph.routing.peer import Clock, Deliverer
from heliograph.routing.publication import Publication, may_receive
from heliograph.routing.receivers import check_receivers, names_receivers, receiver_filter
from heliograph.routing.retained_events import RetainedEvents
from heliograph.routing.retention import kept_bytes
from heliograph.routing.subscription import Drop, Subscription, subscription_details
from heliograph.routing.work import READ_BYTES_A_UNIT, UNITS_A_MESSAGE, Steps, Work
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
        work: bounds what is done in a turn.
    """

    def __init__(
        self,
        *,
        deliverer: Deliverer,
        uri_check: UriCheck,
        random_id: RandomId,
        clock: Clock,
        counters: Counters,
        work: Work,
        history: Sequence[EventHistoryOptions] = (),
        subscriptions_limit: int = 10_000,
    ) -> None:
        self._deliver = deliverer.deliver
        dispatcher = Dispatcher(deliverer=deliverer, counters=counters, work=work)
        self._send, self._dispatch_to = dispatcher.send, dispatcher.dispatch
        self._work = work
        self._check_uri = uri_check
        self._random_id = random_id
        self._clock = clock
        self._counters = counters
        self._subscriptions_limit = subscriptions_limit
        self._ids = SequentialIds()
        self._retained = RetainedEvents(work=work, counters=counters)
        self.subscriptions: dict[int, Subscription] = {}
        self.index: PatternIndex[Subscription] = PatternIndex()
        self._of_session: dict[Session, dict[int, Subscription]] = {}
        self.meta_subscriptions = 0
        """Subscriptions that meta events match: mostly there is none, and a session that comes and goes has six."""
        self._open_topics: dict[tuple[Authorizer, str], Decision] = {}
        self._keeps_history = bool(history)
        self._with_history: list[Subscription] = []
        for kept in history:
            # Of several with one pattern the last one counts.
            subscription = self.index.get(kept.uri, kept.match) or self._subscription(kept.uri, kept.match)
            if subscription.history is None:
                self._with_history.append(subscription)
            subscription.history = History(kept.limit, kept.limit_bytes)

    @property
    def kept_bytes(self) -> int:
        """About how many bytes the retained events and the event history take."""
        histories = (subscription.history for subscription in self._with_history)
        return self._retained.size_bytes + sum(
            history.size_bytes for history in histories if history is not None
        )

    # Publishing.

    def publish(self, session: Session, message: Publish) -> Steps[None] | None:
        """Do what PUBLISH asks, or begin to."""
        publication = self.accept(session, message.topic, message.options, message.payload)
        if not isinstance(publication, int):
            return self._acknowledge_at_end(session, message, publication)
        if message.options.acknowledge:
            session.peer.send(Published(message.request, publication))
        return None

    @staticmethod
    def _acknowledge_at_end(session: Session, message: Publish, steps: Steps[int]) -> Steps[None]:
        session_id = session.id
        publication = yield from steps
        if message.options.acknowledge and session.is_established_as(session_id):
            session.peer.send(Published(message.request, publication))

    def accept(
        self, session: Session, topic: str, options: PublishOptions, payload: Payload
    ) -> int | Steps[int]:
        """Send an event to all subscribers of `topic`.

        Returns:
            The publication's id; or, where the topic matches many subscriptions, the steps that lead to it.

        Raises:
            RequestError: `session` may not publish like this.
            PayloadError: the format of a receiver cannot express it; nobody has received it.
            DecisionPending: whether it may has to be waited for.
        """
        is_plain = self._is_plain(session, topic, options)
        details = _NO_DETAILS if is_plain else self.check_publication(session, topic, options)
        subscriptions = self.matching(topic)
        publication = self._random_id()
        if is_plain and len(subscriptions) == 1 and subscriptions[0].match == "exact":
            subscribers = subscriptions[0].subscribers
            if session not in subscribers:
                # What most publications are. The general way takes twice as long from here to the outboxes.
                event = Event(subscriptions[0].id, publication, PLAIN_EVENT, payload)
                self._deliver(((event, subscribers.values()),))
                self._counters.events += len(subscribers)
                self._counters.publications += 1
                return publication
        steps = self._dispatch(session, publication, topic, options, details, payload, subscriptions)
        if steps is not None:
            return self._count_at_end(publication, steps)
        self._counters.publications += 1
        return publication

    def _count_at_end(self, publication: int, steps: Steps[None]) -> Steps[int]:
        yield from steps
        self._counters.publications += 1
        return publication

    def publish_testament(
        self,
        session: Session,
        topic: str,
        options: PublishOptions,
        details: dict[str, Any],
        payload: Payload,
    ) -> Steps[None]:
        """Publish what a session has left behind; it was checked when it was added."""
        subscriptions = self.matching(topic)
        publication = self._random_id()
        try:
            steps = self._dispatch(session, publication, topic, options, details, payload, subscriptions)
            if steps is not None:
                yield from steps
        except PayloadError:
            # Nobody is left to be told.
            self._counters.publications_refused += 1
        else:
            self._counters.publications += 1

    def announce(self, topic: str, *args: Any) -> None:
        """Publish a meta event, if it matches a subscription."""
        if not self.meta_subscriptions:
            return
        # Few patterns match so short a topic, whoever makes them.
        subscriptions = self.matching(topic)
        if subscriptions:
            # Whoever caused it has paid for what was asked.
            self._work.spend(UNITS_A_MESSAGE)
            event = Publication(self._random_id(), topic, _NO_DETAILS, PlainPayload(args), None, None)
            self._send(subscriptions, event)

    def matching(self, topic: str) -> Sequence[Subscription]:
        """Return the subscriptions that `topic` matches."""
        index = self.index
        if index.has_patterns:
            self._work.spend(index.look_ups(topic))
        return index.matching(topic)

    def check_publication(self, session: Session, topic: str, options: PublishOptions) -> dict[str, Any]:
        """Return the details of such an event, those that do not differ between subscriptions.

        Raises:
            RequestError: `session` may not publish like this.
            DecisionPending: whether it may has to be waited for.
        """
        decision = self._open_topics.get((session.authorizer, topic))
        if decision is None:
            self._check_topic(topic)
        check_receivers(options)
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

    def _is_plain(self, session: Session, topic: str, options: PublishOptions) -> bool:
        """Return whether an event is for all subscribers as it is, and nothing has to be judged, told or kept."""
        if options is not PLAIN_PUBLISH and (
            options.retain
            or options.disclose_me
            or options.ppt_scheme
            or options.enc_algo
            or names_receivers(options)
        ):
            return False
        decision = self._open_topics.get((session.authorizer, topic))
        if decision is None or decision.disclose:
            return False
        return session.trustlevel is None and not self._keeps_history

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
        subscriptions: Sequence[Subscription],
    ) -> Steps[None] | None:
        """Send an event to `subscriptions` and keep it where that is asked for; return what is left to do of it."""
        if not subscriptions and not options.retain:
            return None
        publisher = session if options.exclude_me else None
        event = Publication(publication, topic, details, payload, receiver_filter(options), publisher)
        histories = self._histories(subscriptions, event) if self._keeps_history else ()
        retained = event.retained() if options.retain else None
        steps = self._dispatch_to(subscriptions, event)
        if histories:
            now, kept = moment(self._clock.now_s()), payload.compact()
            size = kept_bytes(details, kept, event.receivers)
            entry = HistoryEntry(now, publication, topic, details, kept, event.receivers, size)
            for history in histories:
                history.add(entry)
        if retained is not None:
            self._retained.keep(topic, retained)
        return steps

    def _histories(self, subscriptions: Sequence[Subscription], event: Publication) -> list[History]:
        """Return where the event is to be kept; raises `PayloadError` when it could not be read there."""
        if event.receivers is not None and event.receivers.names_sessions:
            # "all events published with `Options.exclude|list[int]` or `Options.eligible|list[int]` should be ignored
            # by the Event History mechanism and not be saved at all" (specification, "Event History")
            return []
        histories = [
            subscription.history for subscription in subscriptions if subscription.history is not None
        ]
        if histories:
            self._work.spend(2 * UNITS_A_MESSAGE + event.payload.size_bytes // READ_BYTES_A_UNIT)
            event.payload.decoded()
        return histories

    def may_read(self, session: Session, subscription: Subscription, entry: HistoryEntry) -> bool:
        """Return whether `session` may read what a subscription's history has kept."""
        return (entry.receivers is None or entry.receivers.admits(session)) and (
            subscription.match == "exact" or may_receive(session, entry.topic)
        )

    # Subscribing.

    def subscribe(self, session: Session, message: Subscribe) -> Steps[None] | None:
        """Subscribe the session to a topic or pattern; asking again returns the same subscription."""
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
        return self._retained.send(session, subscription) if message.options.get_retained else None

    def unsubscribe(self, session: Session, message: Unsubscribe) -> None:
        """Take one subscription of the session away."""
        subscription = self.subscriptions.get(message.subscription)
        if subscription is None or session not in subscription.subscribers:
            raise RequestError(
                NO_SUCH_SUBSCRIPTION, f"this session has no subscription {message.subscription}"
            )
        session.peer.send(Unsubscribed(message.request))
        self._announce_drop(session.id, self._drop(session, subscription))

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
        self._announce_drop(session.id, self._drop(session, subscription))

    def leave(self, session: Session) -> list[Drop]:
        """Forget everything about a session that has ended; what is returned is left to `announce_dropped`."""
        dropped = [
            self._drop(session, subscription)
            for subscription in list(self._of_session.get(session, _NO_DETAILS).values())
        ]
        self._work.spend(len(dropped))
        return dropped

    def announce_dropped(self, session_id: int, dropped: Sequence[Drop]) -> Steps[None]:
        """Publish meta events about the subscriptions a session had."""
        for drop in dropped:
            if not self.meta_subscriptions:
                return
            self._announce_drop(session_id, drop)
            yield None

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

    def _announce_drop(self, session_id: int, drop: Drop) -> None:
        subscription, was_last = drop
        if self.meta_subscriptions and not is_reserved(subscription.topic):
            self.announce("wamp.subscription.on_unsubscribe", session_id, subscription.id)
            if was_last:
                self.announce("wamp.subscription.on_delete", session_id, subscription.id)
