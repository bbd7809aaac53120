"""The router: its realms and what their sessions share."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from heliograph.auth.options import AnonymousOptions
from heliograph.routing.authenticators.anonymous import StaticAnonymous
from heliograph.routing.authenticators.cookie import Cookies
from heliograph.routing.counters import Counters
from heliograph.routing.meta import MetaApi
from heliograph.routing.options import RealmOptions
from heliograph.routing.outside import NOTHING_OUTSIDE, Outside
from heliograph.routing.peer import Clock, Deliverer
from heliograph.routing.realm import Realm
from heliograph.routing.router_caller import RouterCaller
from heliograph.routing.work import Work
from heliograph.wamp.errors import NO_SUCH_REALM, RequestError
from heliograph.wamp.ids import RandomId

BROKER_FEATURES = (
    "publisher_identification",
    "publication_trustlevels",
    "pattern_based_subscription",
    "session_meta_api",
    "subscription_meta_api",
    "subscriber_blackwhite_listing",
    "publisher_exclusion",
    "subscription_revocation",
    "event_history",
    "event_retention",
    "payload_passthru_mode",
    "payload_transparency",
    "payload_encryption_cryptobox",
)

DEALER_FEATURES = (
    "caller_identification",
    "call_trustlevels",
    "pattern_based_registration",
    "session_meta_api",
    "registration_meta_api",
    "testament_meta_api",
    "shared_registration",
    "call_timeout",
    "call_canceling",
    "call_reroute",
    "progressive_call_results",
    "progressive_call_invocations",
    "registration_revocation",
    "payload_passthru_mode",
    "payload_transparency",
    "payload_encryption_cryptobox",
)

ROLES: Mapping[str, Any] = {
    "broker": {"features": dict.fromkeys(BROKER_FEATURES, True)},
    "dealer": {"features": dict.fromkeys(DEALER_FEATURES, True)},
}
"""What WELCOME announces: what works, no more; `docs/spec-matrix.md` names the test of each."""


class Router:
    """All realms of one router.

    Args:
        realms: their names, roles and permissions.
        deliverer: takes events for many peers.
        random_id: makes ids of the global scope.
        clock: tells the time, and when it is over.
        work: bounds what is done in a turn.
        agent: how the router calls itself in WELCOME.
        random_bytes: makes nonces and challenges.
        report: tells the operator of something that went wrong.
        outside: what deciding about clients needs beside that.
    """

    def __init__(
        self,
        realms: Sequence[RealmOptions],
        *,
        deliverer: Deliverer,
        random_id: RandomId,
        clock: Clock,
        work: Work,
        agent: str,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        report: Callable[[str], None] = lambda _text: None,
        outside: Outside = NOTHING_OUTSIDE,
    ) -> None:
        self.outside = outside
        self.agent = agent
        self.random_bytes = random_bytes
        self.report = report
        self.roles = dict(ROLES)
        self.random_id = random_id
        self.clock = clock
        self.work = work
        self.counters = Counters()
        self.drops_events = any(
            role.outbox_policy not in (None, "disconnect") for realm in realms for role in realm.roles
        )
        """Whether a role's sessions may lose events rather than their connection."""
        self.realms: dict[str, Realm] = {}
        self.cookies: list[Cookies] = []
        """Those of each transport that has any."""
        self._callers: dict[str, RouterCaller] = {}
        self._everybody: dict[str, StaticAnonymous] = {}
        for options in realms:
            realm = Realm(
                options,
                deliverer=deliverer,
                random_id=random_id,
                clock=clock,
                counters=self.counters,
                work=work,
            )
            realm.dealer.meta = MetaApi(realm, self.cookies)
            caller = self._callers[options.name] = RouterCaller(self, realm, clock)
            realm.open(caller)
            self.realms[options.name] = realm

    def realm(self, name: str) -> Realm:
        """Return the realm called `name`; raises `RequestError` with `wamp.error.no_such_realm`."""
        try:
            return self.realms[name]
        except KeyError:
            raise RequestError(NO_SUCH_REALM, f"this router has no realm {name!r}") from None

    def everybody(self, role: str) -> StaticAnonymous:
        """Return what lets everybody in as `role`, where a transport's configuration says nothing of authentication."""
        known = self._everybody.get(role)
        if known is None:
            known = self._everybody[role] = StaticAnonymous(AnonymousOptions(role=role), self.random_id)
        return known

    def caller(self, realm: str) -> RouterCaller:
        """Return the router as a caller in the realm called `realm`; raises as `realm` does."""
        return self._callers[self.realm(realm).name]
