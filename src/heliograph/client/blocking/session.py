"""A session whose methods wait for their results."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, overload

from heliograph.client import registration as registrations
from heliograph.client import session as asynchronous
from heliograph.client import subscription as subscriptions
from heliograph.client.blocking.events import Events
from heliograph.client.blocking.handlers import handler_in_thread, pieces_in_thread, procedure_in_thread
from heliograph.client.blocking.portal import Portal
from heliograph.client.blocking.progressive_call import ProgressiveCall
from heliograph.client.calls import CancelMode
from heliograph.client.declared import declarations
from heliograph.client.errors import HeliographError
from heliograph.client.event import Event, Gap, Missed
from heliograph.client.payload import Result
from heliograph.client.publishing import TestamentScope
from heliograph.client.rejoin import Rejoin
from heliograph.wamp.uris import Match


class Subscription:
    """A handler's subscription; the handler is called in a thread, with one event after the other."""

    def __init__(self, subscription: subscriptions.Subscription, portal: Portal) -> None:
        self.topic = subscription.topic
        self._subscription = subscription
        self._portal = portal

    @property
    def dropped(self) -> int:
        """How many events were dropped because the handler was too slow."""
        return self._subscription.dropped

    @property
    def failed(self) -> int:
        """How many events could not be read or made the handler raise."""
        return self._subscription.failed

    def missed(self) -> Missed:
        """Fetch what was published in the last gap from the router's history; see the asynchronous `missed`."""
        return self._portal.run(self._subscription.missed)

    def unsubscribe(self) -> None:
        """End the subscription; see the asynchronous `unsubscribe`."""
        self._portal.run(self._subscription.unsubscribe)


class Registration:
    """A procedure that this session offers; its function runs in threads."""

    def __init__(self, registration: registrations.Registration, portal: Portal) -> None:
        self.procedure = registration.procedure
        self._registration = registration
        self._portal = portal

    @property
    def is_active(self) -> bool:
        """Whether it is offered: it was not unregistered, by this session or the router."""
        return self._registration.is_active

    def unregister(self) -> None:
        """Stop offering the procedure; see the asynchronous `unregister`."""
        self._portal.run(self._registration.unregister)


class Added:
    """What `session.add` has registered and subscribed."""

    def __init__(self) -> None:
        self.registrations: list[Registration] = []
        self.subscriptions: list[Subscription] = []

    def remove(self) -> None:
        """Unregister and unsubscribe everything. Does nothing the second time."""
        while self.registrations:
            self.registrations.pop().unregister()
        while self.subscriptions:
            self.subscriptions.pop().unsubscribe()


class Session:
    """A WAMP session that joins again by itself; made by `heliograph.client.blocking.connect`.

    Its methods are those of `heliograph.client.Session`, and raise the same. Any thread may call them; Ctrl-C in one of
    them gives up what it waits for. Handlers and registered functions run in threads, and may use the session.
    """

    def __init__(self, session: asynchronous.Session, portal: Portal) -> None:
        self._session = session
        self._portal = portal

    # State

    @property
    def is_joined(self) -> bool:
        """Whether requests can be made now."""
        return self._session.is_joined

    @property
    def session_id(self) -> int | None:
        """The router's id of the session; another one after each join, `None` between them."""
        return self._session.session_id

    @property
    def authid(self) -> str | None:
        """Who the router says this client is, while joined."""
        return self._session.authid

    @property
    def authrole(self) -> str | None:
        """The role whose permissions count, while joined."""
        return self._session.authrole

    @property
    def joins(self) -> int:
        """How many times the session has joined."""
        return self._session.joins

    def on_join(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call `callback()` in a thread after each join from now on. Returns a function that takes it back."""
        return self._session.on_join(handler_in_thread(callback, self._portal))

    def on_leave(self, callback: Callable[[HeliographError], object]) -> Callable[[], None]:
        """Call `callback(error)` in a thread when a joined session ends. Returns a function that takes it back."""
        return self._session.on_leave(handler_in_thread(callback, self._portal))

    def on_rejoin(self, callback: Callable[[Rejoin], object]) -> Callable[[], None]:
        """Call `callback(rejoin)` in a thread after each join but the first. Returns a function that takes it back."""
        return self._session.on_rejoin(handler_in_thread(callback, self._portal))

    # Publishing and subscribing

    def publish(self, topic: str, /, *args: Any, **kwargs: Any) -> None:
        """Publish an event without waiting for an acknowledgement; everything after `topic` is payload."""
        self._portal.run(lambda: self._session.publish(topic, *args, **kwargs))

    def publish_event(
        self,
        topic: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> int | None:
        """Publish an event with the options of the asynchronous `publish_event`."""
        return self._portal.run(lambda: self._session.publish_event(topic, args, kwargs, **options))

    def subscribe(
        self, handler: Callable[[Event], object], topic: str, match: Match = "exact", **options: Any
    ) -> Subscription:
        """Call `handler(event)` in a thread for each event, in order; `options` are those of asynchronous sessions."""
        if "on_gap" in options and options["on_gap"] is not None:
            options["on_gap"] = handler_in_thread(options["on_gap"], self._portal)
        called = handler_in_thread(handler, self._portal)
        subscribed = self._portal.run(lambda: self._session.subscribe(called, topic, match, **options))
        return Subscription(subscribed, self._portal)

    @overload
    def events(
        self,
        topic: str,
        match: Match = "exact",
        *,
        timeout_s: float | None = None,
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
        timeout_s: float | None = None,
        get_retained: bool = False,
        max_queued_events: int | None = None,
        with_gaps: Literal[True],
    ) -> Events[Event | Gap]: ...

    def events(
        self,
        topic: str,
        match: Match = "exact",
        *,
        timeout_s: float | None = None,
        get_retained: bool = False,
        max_queued_events: int | None = None,
        with_gaps: bool = False,
    ) -> Events[Any]:
        """Return the events of `topic`, to be read by `for`.

        Args:
            topic: a topic, or a pattern when `match` is not `exact`.
            match: `exact`, `prefix` or `wildcard`.
            timeout_s: seconds without an event after which the loop ends; `None` goes on as long as the session lives.
            get_retained: as the asynchronous `events` takes it.
            max_queued_events: as the asynchronous `events` takes it.
            with_gaps: as the asynchronous `events` takes it.
        """

        async def make() -> Any:
            return self._session.events(
                topic,
                match,
                get_retained=get_retained,
                max_queued_events=max_queued_events,
                with_gaps=with_gaps,  # type: ignore[call-overload]  # either will do
            )

        return Events(self._portal.run(make), self._portal, timeout_s)

    def add_testament(
        self,
        topic: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        scope: TestamentScope = "destroyed",
        **publish_options: Any,
    ) -> None:
        """Leave an event with the router for when this session is gone; see the asynchronous `add_testament`."""
        self._portal.run(
            lambda: self._session.add_testament(topic, args, kwargs, scope=scope, **publish_options)
        )

    # Calling and registering

    def call(self, procedure: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a procedure; everything after `procedure` is payload. Returns what the asynchronous `call` returns."""
        return self._portal.run(lambda: self._session.call(procedure, *args, **kwargs))

    def call_procedure(
        self,
        procedure: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        disclose_me: bool = False,
        cancel_mode: CancelMode = "killnowait",
    ) -> Result:
        """Call a procedure with the options of the asynchronous `call_procedure`."""
        return self._portal.run(
            lambda: self._session.call_procedure(
                procedure,
                args,
                kwargs,
                timeout_s=timeout_s,
                disclose_me=disclose_me,
                cancel_mode=cancel_mode,
            )
        )

    def call_progressive(
        self,
        procedure: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        pieces: Iterable[Any] | None = None,
        timeout_s: float | None = None,
        disclose_me: bool = False,
        cancel_mode: CancelMode = "killnowait",
    ) -> ProgressiveCall:
        """Return a call whose progressive results are read by `for`; see the asynchronous `call_progressive`.

        `pieces` is read in a thread, and may block.
        """

        async def make() -> Any:
            return self._session.call_progressive(
                procedure,
                args,
                kwargs,
                pieces=None if pieces is None else pieces_in_thread(iter(pieces), self._portal),
                timeout_s=timeout_s,
                disclose_me=disclose_me,
                cancel_mode=cancel_mode,
            )

        return ProgressiveCall(self._portal.run(make), self._portal)

    def register(
        self, function: Callable[..., Any], procedure: str, match: Match = "exact", **options: Any
    ) -> Registration:
        """Answer calls of `procedure` with `function`, in threads; options are those of the asynchronous `register`.

        What a generator function yields are progressive results. A parameter that is annotated with
        `heliograph.client.blocking.Invocation` gets what is known of the call.
        """
        called = procedure_in_thread(function, self._portal)
        registered = self._portal.run(lambda: self._session.register(called, procedure, match, **options))
        return Registration(registered, self._portal)

    def add(self, instance: object, *, prefix: str = "") -> Added:
        """Register and subscribe the methods of an object that are marked `@procedure` or `@topic`."""
        added = Added()
        try:
            for method, declaration in declarations(instance):
                uri, match, options = prefix + declaration.uri, declaration.match, declaration.options
                if declaration.role == "procedure":
                    added.registrations.append(self.register(method, uri, match, **options))
                else:
                    added.subscriptions.append(self.subscribe(method, uri, match, **options))
        except BaseException:
            added.remove()
            raise
        return added
