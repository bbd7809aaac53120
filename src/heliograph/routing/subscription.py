"""A subscription: a topic or pattern, and the sessions that subscribe to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliograph.routing.history import History, timestamp
from heliograph.routing.peer import Peer
from heliograph.wamp.uris import Match

if TYPE_CHECKING:
    from heliograph.routing.session import Session


class Subscription:
    """A topic, or a pattern of topics; all its subscribers share one id.

    Args:
        subscription_id: its id.
        topic: the topic or pattern.
        match: how topics are compared with it.
        created_s: when it came to be, seconds since 1970.
    """

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


def subscription_details(subscription: Subscription) -> dict[str, Any]:
    """Return what the meta API tells of a subscription."""
    return {
        "id": subscription.id,
        "created": timestamp(subscription.created_s),
        "uri": subscription.topic,
        "match": subscription.match,
    }
