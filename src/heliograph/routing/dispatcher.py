"""Sends a publication to the subscriptions it matches: at once, or in steps where that is much."""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.routing.counters import Counters
from heliograph.routing.peer import Deliverer, Delivery
from heliograph.routing.publication import Publication
from heliograph.routing.subscription import Subscription
from heliograph.routing.work import LOOKED_AT_A_UNIT, READ_BYTES_A_UNIT, UNITS_A_MESSAGE, Steps, Work
from heliograph.wamp.errors import PayloadError
from heliograph.wamp.payload import Payload

SUBSCRIPTIONS_A_STEP = 64
"""Subscriptions that are sent an event in one step; a publication that matches more takes several."""

BYTES_A_STEP = 256 * 1024
"""Bytes of events that are made in one step: each subscription's event is a message of its own."""


class Dispatcher:
    """Sends publications of one realm.

    Args:
        deliverer: takes events for many peers.
        counters: where events are counted.
        work: bounds what is done in a turn.
    """

    def __init__(self, *, deliverer: Deliverer, counters: Counters, work: Work) -> None:
        self._deliverer = deliverer
        self._counters = counters
        self._work = work

    def dispatch(self, subscriptions: Sequence[Subscription], event: Publication) -> Steps[None] | None:
        """Send `event` to all subscribers of `subscriptions`; return what is left to do of it.

        Raises:
            PayloadError: the format of a receiver cannot express it; nobody has received it.
        """
        if len(subscriptions) < 2 or len(subscriptions) <= _subscriptions_a_step(event.payload):
            self.send(subscriptions, event)
            return None
        # Whether all formats can express it is known before the first is sent anything, and it is converted once: a
        # payload of 1 MB for 60 subscriptions, each time converted, held a bystander up for 5 s.
        peers = (peer for subscription in subscriptions for peer in subscription.subscribers.values())
        event.payload = self._deliverer.prepare(event.payload, peers)
        return self._in_steps(subscriptions, event)

    def send(self, subscriptions: Sequence[Subscription], event: Publication) -> None:
        """Send `event` to all subscribers of few `subscriptions`; raises `PayloadError` as above."""
        deliveries: list[Delivery] = []
        events = looked_at = 0
        for subscription in subscriptions:
            looked_at += len(subscription.subscribers)
            peers = event.peers(subscription)
            if peers:
                deliveries.append((event.for_subscription(subscription), peers))
                events += len(peers)
        # The event of each subscription is a message of its own; whoever publishes has paid for one.
        further = max(0, len(deliveries) - 1)
        self._work.spend(UNITS_A_MESSAGE * further + looked_at // LOOKED_AT_A_UNIT)
        if deliveries:
            self._deliverer.deliver(deliveries)
            self._counters.events += events

    def _in_steps(self, subscriptions: Sequence[Subscription], event: Publication) -> Steps[None]:
        count, size = _subscriptions_a_step(event.payload), event.payload.size_bytes
        for first in range(0, len(subscriptions), count):
            some = subscriptions[first : first + count]
            # Beside the frames that are made: what is compressed may be a thousand times as long as its frame.
            self._work.spend(len(some) * (UNITS_A_MESSAGE + size // READ_BYTES_A_UNIT))
            try:
                self.send(some, event)
            except PayloadError:
                self._send_to_most(some, event)
            yield None

    def _send_to_most(self, subscriptions: Sequence[Subscription], event: Publication) -> None:
        """Send `event` to those subscriptions that it can reach: a receiver of another format has come meanwhile."""
        for subscription in subscriptions:
            try:
                self.send([subscription], event)
            except PayloadError:
                self._counters.events_dropped += 1


def _subscriptions_a_step(payload: Payload) -> int:
    """Return how many subscriptions are sent an event with this payload in one step."""
    return min(SUBSCRIPTIONS_A_STEP, 1 + BYTES_A_STEP // (1 + payload.size_bytes))
