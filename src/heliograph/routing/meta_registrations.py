"""Procedures about registrations: `wamp.registration.*`."""

from collections.abc import Callable
from typing import Any

from heliograph.routing.meta_subscriptions import LookupOptions
from heliograph.routing.pattern_callees import is_reached
from heliograph.routing.procedures import registration_details
from heliograph.routing.realm import Realm
from heliograph.routing.registration import Registration
from heliograph.routing.session import Session
from heliograph.routing.work import LOOKED_AT_A_UNIT
from heliograph.wamp.errors import NO_SUCH_REGISTRATION, RequestError
from heliograph.wamp.ids import GivenId
from heliograph.wamp.uris import MATCHES


class RegistrationProcedures:
    """The procedures, each a method.

    Args:
        realm: what they tell of.
    """

    def __init__(self, realm: Realm) -> None:
        self._realm = realm

    def by_name(self) -> dict[str, Callable[..., list[Any]]]:
        """Return the procedures by the name they are called by."""
        return {
            "wamp.registration.list": self.list_,
            "wamp.registration.lookup": self.lookup,
            "wamp.registration.match": self.match,
            "wamp.registration.get": self.get,
            "wamp.registration.list_callees": self.list_callees,
            "wamp.registration.count_callees": self.count_callees,
            "wamp.registration.remove_callee": self.remove_callee,
        }

    def list_(self, session: Session) -> list[Any]:
        self._realm.work.spend(len(self._realm.dealer.procedures.index) // LOOKED_AT_A_UNIT)
        return [
            {
                kind: [found.id for found in self._realm.dealer.procedures.index.entries(kind)]
                for kind in MATCHES
            }
        ]

    def lookup(self, session: Session, procedure: str, options: LookupOptions = LookupOptions()) -> list[Any]:  # noqa: B008 - frozen
        found = self._realm.dealer.procedures.index.get(procedure, options.match)
        return [found.id if found is not None else None]

    def match(self, session: Session, procedure: str) -> list[Any]:
        index = self._realm.dealer.procedures.index
        self._realm.work.spend(index.look_ups(procedure))
        for found in index.best_first(procedure):
            if is_reached(found, session, procedure, self._realm.work):
                return [found.id]
        return [None]

    def get(self, session: Session, registration_id: GivenId) -> list[Any]:
        return [registration_details(_registration(self._realm, registration_id))]

    def list_callees(self, session: Session, registration_id: GivenId) -> list[Any]:
        callees = _registration(self._realm, registration_id).callees
        self._realm.work.spend(len(callees) // LOOKED_AT_A_UNIT)
        return [[callee.session.id for callee in callees]]

    def count_callees(self, session: Session, registration_id: GivenId) -> list[Any]:
        return [len(_registration(self._realm, registration_id).callees)]

    def remove_callee(
        self, session: Session, registration_id: GivenId, callee_id: GivenId, *, reason: str | None = None
    ) -> list[Any]:
        registration = _registration(self._realm, registration_id)
        callee = self._realm.sessions.get(callee_id)
        if callee is None:
            raise RequestError(NO_SUCH_REGISTRATION, f"there is no session {callee_id} in this realm")
        self._realm.dealer.procedures.revoke(registration, callee, reason)
        return []


def _registration(realm: Realm, registration_id: int) -> Registration:
    registration = realm.dealer.procedures.registrations.get(registration_id)
    if registration is None:
        raise RequestError(NO_SUCH_REGISTRATION, f"there is no registration {registration_id} in this realm")
    return registration
