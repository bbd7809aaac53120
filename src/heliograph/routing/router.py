"""The router: its realms and what their sessions share."""

from collections.abc import Sequence
from typing import Any

from heliograph.routing import broker, dealer
from heliograph.routing.counters import Counters
from heliograph.routing.options import RealmOptions
from heliograph.routing.peer import Deliverer
from heliograph.routing.realm import Realm
from heliograph.wamp.errors import NO_SUCH_REALM, RequestError
from heliograph.wamp.ids import RandomId

ROLES: dict[str, Any] = {
    "broker": {"features": broker.FEATURES},
    "dealer": {"features": dealer.FEATURES},
}
"""What WELCOME announces."""


class Router:
    """All realms of one router.

    Args:
        realms: their names, roles and permissions.
        deliverer: takes an event for many peers.
        random_id: makes ids of the global scope.
        agent: how the router calls itself in WELCOME.
    """

    def __init__(
        self, realms: Sequence[RealmOptions], *, deliverer: Deliverer, random_id: RandomId, agent: str
    ) -> None:
        self.agent = agent
        self.roles = ROLES
        self.random_id = random_id
        self.counters = Counters()
        self.realms = {
            options.name: Realm(options, deliverer=deliverer, random_id=random_id, counters=self.counters)
            for options in realms
        }

    def realm(self, name: str) -> Realm:
        """Return the realm called `name`; raises `RequestError` with `wamp.error.no_such_realm`."""
        try:
            return self.realms[name]
        except KeyError:
            raise RequestError(NO_SUCH_REALM, f"this router has no realm {name!r}") from None
