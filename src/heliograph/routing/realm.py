"""A realm: one broker, one dealer, the roles sessions can have and the sessions themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliograph.routing.authorizer import StaticAuthorizer
from heliograph.routing.broker import Broker
from heliograph.routing.counters import Counters
from heliograph.routing.dealer import Dealer
from heliograph.routing.options import RealmOptions
from heliograph.routing.peer import Deliverer
from heliograph.wamp.errors import NO_SUCH_ROLE, RequestError
from heliograph.wamp.ids import RandomId
from heliograph.wamp.uris import UriCheck

if TYPE_CHECKING:
    from heliograph.routing.session import Session


class Realm:
    """A routing space of its own.

    Args:
        options: its name and roles.
        deliverer: takes an event for many peers.
        random_id: makes ids of the global scope.
        counters: shared by all realms of the router.
    """

    def __init__(
        self, options: RealmOptions, *, deliverer: Deliverer, random_id: RandomId, counters: Counters
    ) -> None:
        uri_check = UriCheck()
        self.name = options.name
        self.broker = Broker(deliverer=deliverer, uri_check=uri_check, random_id=random_id, counters=counters)
        self.dealer = Dealer(uri_check=uri_check, counters=counters)
        self.sessions: dict[int, Session] = {}
        self._random_id = random_id
        self._counters = counters
        self._authorizers = {role.name: StaticAuthorizer(role) for role in options.roles}

    def authorizer(self, role: str) -> StaticAuthorizer:
        """Return what decides for `role`; raises `RequestError` with `wamp.error.no_such_role`."""
        try:
            return self._authorizers[role]
        except KeyError:
            raise RequestError(NO_SUCH_ROLE, f"realm {self.name!r} has no role {role!r}") from None

    def join(self, session: Session) -> int:
        """Take the session in and return its id, which no other session of the realm has."""
        session_id = self._random_id()
        while session_id in self.sessions:
            session_id = self._random_id()
        self.sessions[session_id] = session
        self._counters.sessions_opened += 1
        return session_id

    def leave(self, session: Session) -> None:
        """Forget the session and everything it had: calls first, so that who waits is answered, then topics."""
        del self.sessions[session.id]
        self.dealer.leave(session)
        self.broker.leave(session)
        self._counters.sessions_closed += 1
