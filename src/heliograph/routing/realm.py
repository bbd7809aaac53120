"""A realm: one broker, one dealer, the roles sessions can have and the sessions themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from heliograph.routing.authorizer import Authorizer, DynamicAuthorizer, StaticAuthorizer
from heliograph.routing.broker import Broker
from heliograph.routing.counters import Counters
from heliograph.routing.dealer import Dealer
from heliograph.routing.options import RealmOptions, RoleOptions
from heliograph.routing.peer import Clock, Deliverer
from heliograph.routing.subscription import Drop
from heliograph.routing.work import Steps, Work
from heliograph.wamp.errors import NO_SUCH_ROLE, RequestError
from heliograph.wamp.ids import RandomId
from heliograph.wamp.messages import PublishOptions
from heliograph.wamp.payload import Payload
from heliograph.wamp.uris import UriCheck

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        work: bounds what is done in a turn.
    """

    def __init__(
        self,
        options: RealmOptions,
        *,
        deliverer: Deliverer,
        random_id: RandomId,
        clock: Clock,
        counters: Counters,
        work: Work,
    ) -> None:
        uri_check = UriCheck(strict=options.options.uri_check == "strict")
        self.name = options.name
        self.broker = Broker(
            deliverer=deliverer,
            uri_check=uri_check,
            random_id=random_id,
            clock=clock,
            counters=counters,
            work=work,
            history=options.store.event_history,
            subscriptions_limit=options.options.subscriptions_limit,
        )
        self.dealer = Dealer(
            uri_check=uri_check,
            clock=clock,
            counters=counters,
            work=work,
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
        self.work = work

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

    def leave(self, session: Session, *, is_silent: bool = False) -> Steps[None]:
        """Forget the session and everything it had, at once; return what is left to do: to tell others.

        It receives nothing any more. Testaments are published, calls that wait for it are answered, then meta events
        tell what it had.

        Args:
            session: which.
            is_silent: whether there are no testaments and no meta events.
        """
        del self.sessions[session.id]
        dropped = self.broker.leave(session)
        testaments = self.testaments.pop(session, None)
        calls = self.dealer.leave(session, is_silent=is_silent)
        self._counters.sessions_closed += 1
        return self._left(session, session.id, None if is_silent else testaments, calls, dropped, is_silent)

    def _left(
        self,
        session: Session,
        session_id: int,
        testaments: dict[str, list[Testament]] | None,
        calls: Steps[None],
        dropped: Sequence[Drop],
        is_silent: bool,  # noqa: FBT001 - of a private generator
    ) -> Steps[None]:
        principal = session.principal
        if testaments is not None:
            # "A *Router* that does not allow Session Resumption MUST send `detached`-scope Testaments before
            # `destroyed`-scope Testaments" (specification, "Session Testament")
            for testament in (*testaments["detached"], *testaments["destroyed"]):
                yield from self.broker.publish_testament(session, *testament)
                yield None
        yield from calls
        if not is_silent:
            yield from self.broker.announce_dropped(session_id, dropped)
            self.broker.announce("wamp.session.on_leave", session_id, principal.authid, principal.authrole)
