"""Events as an application sees them, and what tells it that some may be missing."""

from typing import Any

import msgspec

from heliograph.client.payload import read_payload
from heliograph.wamp import messages
from heliograph.wamp.uris import Match


class Event:
    """One event.

    Attributes:
        topic: the topic it was published to; with a pattern, not the pattern.
        publication: the publication's id.
        args: positional payload.
        kwargs: keyword payload.
        publisher: the publisher's session id, where the router tells it.
        publisher_authid: the publisher's authid, where the router tells it.
        publisher_authrole: the publisher's role, where the router tells it.
        trustlevel: the router's trust in the publisher, 0 is the lowest; where the router tells it.
        retained: whether it was published before the subscription began and kept for it.
    """

    __slots__ = (
        "args", "kwargs", "publication", "publisher", "publisher_authid", "publisher_authrole", "retained", "topic",
        "trustlevel",
    )  # fmt: skip

    def __init__(
        self,
        topic: str,
        publication: int,
        args: list[Any],
        kwargs: dict[str, Any],
        details: messages.EventDetails | None = None,
    ) -> None:
        self.topic = topic
        self.publication = publication
        self.args = args
        self.kwargs = kwargs
        told = details or _NOTHING
        self.publisher: int | None = told.publisher
        self.publisher_authid: str | None = told.publisher_authid
        self.publisher_authrole: str | None = told.publisher_authrole
        self.trustlevel: int | None = told.trustlevel
        self.retained = bool(told.retained)

    def __repr__(self) -> str:
        return f"Event({self.topic!r}, {self.publication}, args={self.args!r}, kwargs={self.kwargs!r})"


_NOTHING = messages.EventDetails()


def event_of(message: messages.Event, topic: str) -> Event:
    """Return the event of a message; raises `BadPayload` where its payload cannot be read.

    Args:
        message: EVENT.
        topic: what was subscribed to, which is the event's topic unless the message names another.
    """
    args, kwargs = read_payload(message.payload)
    return Event(message.details.topic or topic, message.publication, args, kwargs, message.details)


class Gap(msgspec.Struct, frozen=True):
    """A time in which a subscription was not held by the router: events published in it have not come.

    Attributes:
        topic: the topic or pattern of the subscription.
        match: how it is compared.
        away_s: seconds from the loss of the connection until the subscription was held again.
        last_publication: id of the last publication that came before, `None` when none did.
    """

    topic: str
    match: Match
    away_s: float
    last_publication: int | None


class Missed(msgspec.Struct, frozen=True):
    """What the router's history holds of a gap.

    Attributes:
        events: in the order in which they were published.
        is_complete: whether nothing is missing: the history still holds the last publication that came before the gap.
    """

    events: list[Event]
    is_complete: bool
