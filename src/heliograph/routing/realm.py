"""A realm: one broker, one dealer, the roles sessions can have and the sessions themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from heliograph.routing.authorizer import Authorizer, DynamicAuthorizer, StaticAuthorizer
from heliograph.routing.broker import Broker
from heliograph.routing.counters import Counters
from heliograph.routing.dealer import Dealer
from heliograph.routing.options import RealmOptions, RoleOptions
from heliograph.routing.peer import Clock, Deliverer
from heliograph.wamp.errors import NO_SUCH_ROLE, RequestError
from heliograph.wamp.ids import RandomId
from heliograph.wamp.messages import PublishOptions
from heliograph.wamp.payload import Payload
from heliograph.wamp.uris import UriCheck

if TYPE_CHECKING:
    from heliograph.routing.router_caller import RouterCaller
    from heliograph.routing.session import Session


class Testament(NamedTuple):
    """What is published when a session has ended; it was checked when it was added.

    Attributes:
        topic: where it is published.
        options: of the publication.
        details: of the event.
        payload: its arguments.
    """

    topic: str
    options: PublishOptions
    details: dict[str, Any]
    payload: Payload


class Role(NamedTuple):
    """A role sessions can have, and what decides for them."""

    options: RoleOptions
    authorizer: Authorizer


class Realm:
    """A routing space of its own.

    Args:
        options: its name and roles.
        deliverer: takes events for many peers.
        random_id: makes ids of the global scope.
        clock: tells the time, and when it is over.
        counters: shared by all realms of the router.
    """

    def __init__(
        self,
        options: RealmOptions,
        *,
        deliverer: Deliverer,
        random_id: RandomId,
        clock: Clock,
        counters: Counters,
    ) -> None:
        uri_check = UriCheck(strict=options.options.uri_check == "strict")
        self.name = options.name
        self.broker = Broker(
            deliverer=deliverer,
            uri_check=uri_check,
            random_id=random_id,
            clock=clock,
            counters=counters,
            history=options.store.event_history,
            subscriptions_limit=options.options.subscriptions_limit,
        )
        self.dealer = Dealer(
            uri_check=uri_check,
            clock=clock,
            counters=counters,
            announce=self.broker.announce,
            queues=options.store.call_queue,
            registrations_limit=options.options.registrations_limit,
            kept_calls_limit_bytes=options.options.kept_calls_limit_bytes,
            timeout_unit_s=0.001 if options.options.call_timeout_unit == "ms" else 1.0,
        )
        self.sessions: dict[int, Session] = {}
        self.reserved_ids: set[int] = set()
        """Announced in a challenge, not yet a session's."""
        self.testaments: dict[Session, dict[str, list[Testament]]] = {}
        self._roles: dict[str, Role] = {}
        self._role_options = options.roles
        self._random_id = random_id
        self._counters = counters

    def open(self, caller: RouterCaller) -> None:
        """Make the roles; those with an authorizer ask it through `caller`."""
        for options in self._role_options:
            authorizer: Authorizer = (
                StaticAuthorizer(options)
                if options.authorizer is None
                else DynamicAuthorizer(options, caller)
            )
            self._roles[options.name] = Role(options, authorizer)

    def role(self, name: str) -> Role:
        """Return the role called `name`; raises `RequestError` with `wamp.error.no_such_role`."""
        try:
            return self._roles[name]
        except KeyError:
            raise RequestError(NO_SUCH_ROLE, f"realm {self.name!r} has no role {name!r}") from None

    def reserve_id(self) -> int:
        """Return an id that no session of the realm has or gets, but the one that joins with it."""
        session_id = self._free_id()
        self.reserved_ids.add(session_id)
        return session_id

    def _free_id(self) -> int:
        session_id = self._random_id()
        while session_id in self.sessions or session_id in self.reserved_ids:
            session_id = self._random_id()
        return session_id

    def join(self, session: Session, reserved_id: int | None = None) -> int:
        """Take the session in and return its id, which no other session of the realm has.

        Args:
            session: who joins.
            reserved_id: an id reserved for it.
        """
        if reserved_id is None:
            session_id = self._free_id()
        else:
            session_id = reserved_id
            self.reserved_ids.discard(session_id)
        self.sessions[session_id] = session
        self._counters.sessions_opened += 1
        return session_id

    def announce_join(self, session: Session) -> None:
        """Tell who listens that the session has joined."""
        if self.broker.meta_subscriptions:
            self.broker.announce("wamp.session.on_join", session.details())

    def leave(self, session: Session) -> None:
        """Forget the session and everything it had.

        It hears nothing any more. Testaments go out, who waits for it is answered, then everybody learns what it had.
        """
        del self.sessions[session.id]
        dropped = self.broker.leave(session)
        testaments = self.testaments.pop(session, None)
        if testaments is not None and not self.broker.is_silent:
            # "A *Router* that does not allow Session Resumption MUST send `detached`-scope Testaments before
            # `destroyed`-scope Testaments" (specification, "Session Testament")
            for testament in (*testaments["detached"], *testaments["destroyed"]):
                self.broker.publish_testament(session, *testament)
        self.dealer.leave(session)
        self.broker.announce_dropped(session, dropped)
        self._counters.sessions_closed += 1
        principal = session.principal
        self.broker.announce("wamp.session.on_leave", session.id, principal.authid, principal.authrole)

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Announce nothing and publish no testament for a while."""
        self.broker.is_silent = True
        try:
            yield
        finally:
            self.broker.is_silent = False
