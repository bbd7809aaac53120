"""Sends the retained events that a SUBSCRIBE asks for (specification, "Event Retention")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliograph.routing.counters import Counters
from heliograph.routing.patterns import pattern_matcher
from heliograph.routing.publication import may_receive
from heliograph.routing.retention import RetainedEvent, Retention
from heliograph.routing.subscription import Subscription
from heliograph.routing.work import UNITS_A_MESSAGE, Steps, Work
from heliograph.wamp.errors import PayloadError
from heliograph.wamp.messages import Event, EventDetails

if TYPE_CHECKING:
    from heliograph.routing.session import Session

TOPICS_SENT = 1000
"""Topics whose retained events one SUBSCRIBE to a pattern brings."""

TOPICS_A_STEP = 512
"""Topics with retained events that are compared with a pattern in one step."""


class RetainedEvents:
    """The retained events of one realm, and who is sent them.

    Args:
        work: bounds what is done in a turn.
        counters: where events are counted that a receiver's format cannot express.
    """

    def __init__(self, *, work: Work, counters: Counters) -> None:
        self._work = work
        self._counters = counters
        self._retention = Retention()

    @property
    def size_bytes(self) -> int:
        """About how many bytes they take."""
        return self._retention.size_bytes

    def keep(self, topic: str, event: RetainedEvent) -> None:
        """Keep `event` as the newest of its topic."""
        self._retention.keep(topic, event)

    def send(self, session: Session, subscription: Subscription) -> Steps[None] | None:
        """Send what a new subscription of `session` asks for, or return how that goes on."""
        if subscription.match != "exact":
            return self._send_in_steps(session, subscription)
        self._send(session, subscription, subscription.topic)
        return None

    def _send_in_steps(self, session: Session, subscription: Subscription) -> Steps[None]:
        """Send the newest retained events of the topics a pattern matches, each when the receiver has room for it.

        "This event retention SHOULD be provided on a best-effort basis" (specification, "Event Retention"): of very
        many topics, a pattern brings those renewed last.
        """
        session_id, until = session.id, self._retention.last_number
        topics: list[str] = []
        matches = pattern_matcher(subscription.topic, subscription.match)
        for number, topic in enumerate(self._retention.topics_newest_first(), 1):
            if matches(topic):
                topics.append(topic)
                if len(topics) == TOPICS_SENT:
                    break
            if not number % TOPICS_A_STEP:
                self._work.spend(TOPICS_A_STEP)
                yield None
        # What was retained last is sent last, as it would have come.
        for topic in reversed(topics):
            if not session.peer.has_room:
                yield session.peer
            if session not in subscription.subscribers or not session.is_established_as(session_id):
                return
            self._send(session, subscription, topic, until=until)
            self._work.spend(UNITS_A_MESSAGE)
            yield None

    def _send(
        self, session: Session, subscription: Subscription, topic: str, *, until: int | None = None
    ) -> None:
        """Send the newest retained event of `topic` that the session may receive.

        Args:
            session: receives it.
            subscription: its own, that `topic` matches.
            topic: where it was published.
            until: the number of the last event that counts; a later one was sent when it was published.
        """
        kept = self._retention.newest(topic, session)
        if kept is None or (until is not None and kept.number > until):
            return
        if subscription.match != "exact" and not may_receive(session, topic):
            return
        details = {**kept.details, "retained": True}
        if subscription.match != "exact":
            details["topic"] = topic
        event = Event(subscription.id, kept.publication, EventDetails(**details), kept.payload)
        try:
            session.peer.send(event)
        except PayloadError:
            self._counters.events_dropped += 1
