"""A session as subscriber."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from heliograph.client.errors import BadPayload, ConnectionLost
from heliograph.client.event import Event, Gap, Missed
from heliograph.client.events import Events
from heliograph.client.feed import Feed
from heliograph.client.role import Role, new_answer
from heliograph.client.subscription import GapHandler, Handler, Subscription
from heliograph.wamp.messages import EventDetails
from heliograph.wamp.uris import Match

GET_EVENTS = "wamp.subscription.get_events"


class SubscriberRole(Role):
    """Receives events."""

    async def subscribe(
        self,
        handler: Handler,
        topic: str,
        match: Match = "exact",
        *,
        get_retained: bool = False,
        max_queued_events: int | None = None,
        on_gap: GapHandler | None = None,
    ) -> Subscription:
        """Call `handler(event)` for each event of `topic`, in order, over every reconnection.

        Args:
            handler: a function or coroutine function.
            topic: a topic, or a pattern when `match` is not `exact`.
            match: `exact`, `prefix` or `wildcard`.
            get_retained: begin with the last event that was published with `retain`; of a pattern, with that of every
                topic. After joining again it comes again, unless it is the last one that came.
            max_queued_events: events that may wait for the handler; the oldest are dropped. By default that of the
                options.
            on_gap: called with a `Gap`, between the events it stands between, after the session has joined again.

        Raises:
            ApplicationError: the router refuses the subscription.
            ConnectionLost: there was no session within `request_timeout_s`.
            RequestTimeout: the router did not answer within `request_timeout_s`.
        """
        self._check(topic, match)
        feed = self._feed(get_retained=get_retained, max_queued_events=max_queued_events)
        subscription = Subscription(handler, topic, match, on_gap, **feed)
        await self._begin(subscription)
        self._connection.spawn(subscription.run())
        return subscription

    @overload
    def events(
        self,
        topic: str,
        match: Match = "exact",
        *,
        get_retained: bool = False,
        max_queued_events: int | None = None,
        with_gaps: Literal[False] = False,
    ) -> Events[Event]: ...

    @overload
    def events(
        self,
        topic: str,
        match: Match = "exact",
        *,
        get_retained: bool = False,
        max_queued_events: int | None = None,
        with_gaps: Literal[True],
    ) -> Events[Event | Gap]: ...

    def events(
        self,
        topic: str,
        match: Match = "exact",
        *,
        get_retained: bool = False,
        max_queued_events: int | None = None,
        with_gaps: bool = False,
    ) -> Events[Any]:
        """Return the events of `topic`, to be read by `async for`, in order, over every reconnection.

            async for event in session.events("com.example.news"):
                print(event.args)

        It subscribes when the loop begins and unsubscribes when it is left. `async with session.events(…) as events:`
        subscribes at once, tells `events.dropped`, and lets you read with `await events.next()`.

        Args:
            topic: a topic, or a pattern when `match` is not `exact`.
            match: `exact`, `prefix` or `wildcard`.
            get_retained: begin with the last event that was published with `retain`; see `subscribe`.
            max_queued_events: events that may wait to be read; the oldest are dropped. By default that of the options.
            with_gaps: yield a `Gap` between the events where the session has joined again.

        Raises:
            ApplicationError: when the loop begins: the router refuses the subscription. In the loop: it has taken it
                away, or refuses it after the session has joined again.
            ConnectionLost: when the loop begins: there was no session within `request_timeout_s`. In the loop: the
                connection is lost, and the session does not reconnect.
            RequestTimeout: when the loop begins: the router did not answer within `request_timeout_s`.
        """
        self._check(topic, match)
        feed = self._feed(get_retained=get_retained, max_queued_events=max_queued_events)
        return Events(topic, match, with_gaps=with_gaps, begin=self._begin, **feed)

    def _feed(self, *, get_retained: bool, max_queued_events: int | None) -> Mapping[str, Any]:
        max_queued = self._options.max_queued_events if max_queued_events is None else max_queued_events
        if max_queued < 1:
            raise ValueError(f"max_queued_events must be above 0, not {max_queued}")
        return {
            "wants_retained": get_retained,
            "max_queued": max_queued,
            "monotonic": self._connection.clock.monotonic,
            "withdraw": self._unsubscribe,
            "fetch": self._fetch_missed,
        }

    async def _begin(self, feed: Feed) -> None:
        answer = new_answer()
        self._protocol.standing.subscribe(feed.topic, feed.match, feed, answer)
        try:
            await self._held(answer, f"subscribing to {feed.topic}")
        except BaseException:
            feed.stop()
            self._protocol.standing.unsubscribe(feed.topic, feed.match, feed)
            raise

    async def _unsubscribe(self, feed: Feed) -> None:
        answer = new_answer()
        self._protocol.standing.unsubscribe(feed.topic, feed.match, feed, answer)
        what = f"unsubscribing from {feed.topic}"
        await self._answered(answer, what, self._options.request_timeout_s)

    # What was missed

    async def _fetch_missed(self, feed: Feed) -> Missed:
        gap = feed.last_gap
        if gap is None:
            return Missed([], is_complete=True)
        held = self._protocol.standing.subscription_id(feed.topic, feed.match)
        if held is None:
            raise ConnectionLost(f"the router does not hold {feed.topic} now")
        conditions = {} if gap.last_publication is None else {"from_publication": gap.last_publication}
        result = await self._call_router(GET_EVENTS, [held], conditions)
        events = _history(result.args, feed.topic)
        is_complete = bool(events) and events[0].publication == gap.last_publication
        if is_complete:
            del events[0]
        return Missed(_before(events, feed.first_after_gap), is_complete)


def _before(events: list[Event], first_after_gap: list[int]) -> list[Event]:
    """Return the events before the first one that has come since the gap."""
    come = set(first_after_gap)
    for position, event in enumerate(events):
        if event.publication in come:
            return events[:position]
    return events


def _history(args: Sequence[Any], topic: str) -> list[Event]:
    """Return the events that `wamp.subscription.get_events` tells of; raises `BadPayload` where they make no sense."""
    entries = args[0] if len(args) == 1 and isinstance(args[0], list) else args
    try:
        return [
            Event(
                entry["details"].get("topic") or topic,
                entry["publication"],
                entry.get("args", []),
                entry.get("kwargs", {}),
                _details(entry["details"]),
            )
            for entry in entries
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadPayload(f"{GET_EVENTS} answers what is no list of events: {error!r}") from error


def _details(told: dict[str, Any]) -> EventDetails:
    known = ("publisher", "publisher_authid", "publisher_authrole", "trustlevel", "retained")
    return EventDetails(**{name: told[name] for name in known if name in told})
