"""Which procedures are registered in a realm, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from heliograph.routing.authorizer import authorize
from heliograph.routing.counters import Counters
from heliograph.routing.history import timestamp
from heliograph.routing.patterns import PatternIndex
from heliograph.routing.peer import Clock
from heliograph.routing.registration import Callee, Registration
from heliograph.wamp.errors import (
    INVALID_URI,
    NO_SUCH_REGISTRATION,
    NOT_AUTHORIZED,
    PROCEDURE_ALREADY_EXISTS,
    TOO_MANY_REGISTRATIONS,
    RequestError,
)
from heliograph.wamp.features import CALLEE_REVOCATION
from heliograph.wamp.ids import SequentialIds
from heliograph.wamp.messages import (
    Register,
    Registered,
    RegisterOptions,
    Unregister,
    Unregistered,
    UnregisteredDetails,
)
from heliograph.wamp.uris import UriCheck, is_reserved

if TYPE_CHECKING:
    from heliograph.routing.session import Session

Announce = Callable[..., None]
"""Publishes a meta event: topic, then its arguments."""

Withdrawal = tuple[Registration, bool]
"""A registration that has lost a callee, and whether that was its last one."""

_NOTHING: Mapping[Registration, Callee] = {}


class Procedures:
    """The registrations of one realm.

    Args:
        uri_check: raises for bad URIs.
        clock: says when a registration came to be.
        announce: publishes meta events.
        callee_gone: told of each registration that has lost a callee, after the books are right.
        counters: where refusals are counted.
        registrations_limit: procedures one session may have registered.
    """

    def __init__(
        self,
        *,
        uri_check: UriCheck,
        clock: Clock,
        announce: Announce,
        callee_gone: Callable[[Registration], None],
        counters: Counters,
        registrations_limit: int,
    ) -> None:
        self._counters = counters
        self._registrations_limit = registrations_limit
        self._check_uri = uri_check
        self._clock = clock
        self._announce = announce
        self._callee_gone = callee_gone
        self._ids = SequentialIds()
        self.registrations: dict[int, Registration] = {}
        self.index: PatternIndex[Registration] = PatternIndex()
        self.of_session: dict[Session, dict[Registration, Callee]] = {}

    def register(self, session: Session, message: Register) -> Registration:
        """Let the session implement a procedure, alone or beside others; return what it is a callee of now."""
        procedure, options = message.procedure, message.options
        self._check_uri(procedure, options.match)
        if is_reserved(procedure):
            raise RequestError(INVALID_URI, f"{procedure!r} is reserved for the router")
        authorize(session, procedure, "register", options.match)
        self._check_room(session)
        registration = self._registration_to_share(session, procedure, options)

        is_new = registration is None
        if registration is None:
            registration = Registration(
                self._ids.next(), procedure, options.match, options.invoke, self._clock.now_s()
            )
            self.registrations[registration.id] = registration
            self.index.add(procedure, options.match, registration)
        callee = Callee(session, options)
        registration.callees.append(callee)
        self.of_session.setdefault(session, {})[registration] = callee
        session.peer.send(Registered(message.request, registration.id))
        if is_new:
            self._announce("wamp.registration.on_create", session.id, registration_details(registration))
        self._announce("wamp.registration.on_register", session.id, registration.id)
        return registration

    def _check_room(self, session: Session) -> None:
        if len(self.of_session.get(session, _NOTHING)) >= self._registrations_limit:
            self._counters.session_limits_reached += 1
            raise RequestError(
                TOO_MANY_REGISTRATIONS,
                f"a session may register {self._registrations_limit} procedures here; a pattern covers many",
            )

    def unregister(self, session: Session, message: Unregister) -> None:
        """Take one registration of the session away; calls on their way are still answered."""
        registration = self.registrations.get(message.registration)
        callee = self._callee(registration, session) if registration is not None else None
        if registration is None or callee is None:
            raise RequestError(
                NO_SUCH_REGISTRATION, f"this session has no registration {message.registration}"
            )
        session.peer.send(Unregistered(message.request))
        self._drop_callee(registration, callee)

    def revoke(self, registration: Registration, session: Session, reason: str | None) -> None:
        """Take a registration away from a callee that did not ask for it (specification, "Registration Revocation")."""
        callee = self._callee(registration, session)
        if callee is None:
            raise RequestError(
                NO_SUCH_REGISTRATION, f"session {session.id} is no callee of {registration.id}"
            )
        if session.features & CALLEE_REVOCATION:
            session.peer.send(
                Unregistered(0, UnregisteredDetails(registration=registration.id, reason=reason))
            )
        self._drop_callee(registration, callee)

    def is_callee(self, session: Session, procedure: str) -> bool:
        """Return whether `session` implements `procedure` itself, not by a pattern."""
        registration = self.index.exact(procedure)
        return registration is not None and self._callee(registration, session) is not None

    def leave(self, session: Session) -> list[Withdrawal]:
        """Take away what a session that has ended was a callee of; `announce_withdrawn` tells others about it."""
        return [
            (registration, self._withdraw(registration, callee))
            for registration, callee in list(self.of_session.get(session, _NOTHING).items())
        ]

    def announce_withdrawn(self, session_id: int, withdrawal: Withdrawal) -> None:
        """Publish meta events about a registration that a session has lost."""
        registration, was_last = withdrawal
        self._announce("wamp.registration.on_unregister", session_id, registration.id)
        if was_last:
            self._announce("wamp.registration.on_delete", session_id, registration.id)

    def _callee(self, registration: Registration, session: Session) -> Callee | None:
        """Return the callee of `registration` that `session` is."""
        return self.of_session.get(session, _NOTHING).get(registration)

    def _registration_to_share(
        self, session: Session, procedure: str, options: RegisterOptions
    ) -> Registration | None:
        """Return the registration `session` may join, None when it makes one; raises when it may do neither."""
        registration = self.index.get(procedure, options.match)
        if registration is None:
            return None
        if options.force_reregister:
            _check_takeover(session, registration)
            for callee in list(registration.callees):
                self.revoke(registration, callee.session, "another callee has taken the procedure over")
            return None
        if (
            "single" in (registration.invoke, options.invoke)
            or registration.invoke != options.invoke
            or self._callee(registration, session) is not None
        ):
            raise RequestError(
                PROCEDURE_ALREADY_EXISTS,
                f"{procedure!r} ({options.match}) is registered already with invoke: {registration.invoke!r}",
            )
        return registration

    def _drop_callee(self, registration: Registration, callee: Callee) -> None:
        """Take a callee from a registration, and tell others about it."""
        was_last = self._withdraw(registration, callee)
        self.announce_withdrawn(callee.session.id, (registration, was_last))
        self._callee_gone(registration)

    def _withdraw(self, registration: Registration, callee: Callee) -> bool:
        """Take a callee from a registration, which goes with its last one; return whether it was that."""
        session = callee.session
        registrations = self.of_session[session]
        del registrations[registration]
        if not registrations:
            del self.of_session[session]
        registration.remove(callee)
        if registration.callees:
            return False
        del self.registrations[registration.id]
        self.index.remove(registration.procedure, registration.match)
        return True


def _check_takeover(session: Session, registration: Registration) -> None:
    """Raise if `session` may not take a pattern over: its callees may have rights there that it has not."""
    if registration.match == "exact":
        return
    for callee in registration.callees:
        if not _have_same_rights(session, callee.session):
            raise RequestError(
                NOT_AUTHORIZED,
                f"{registration.procedure!r} has callees of another role, who may do other things",
            )


def _have_same_rights(one: Session, other: Session) -> bool:
    return one.authorizer is other.authorizer and (
        one.authorizer.decides_alike or one.principal.authid == other.principal.authid
    )


def registration_details(registration: Registration) -> dict[str, Any]:
    """Return what the meta API tells of a registration."""
    return {
        "id": registration.id,
        "created": timestamp(registration.created_s),
        "uri": registration.procedure,
        "match": registration.match,
        "invoke": registration.invoke,
    }
