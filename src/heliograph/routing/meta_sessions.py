"""Procedures about sessions: `wamp.session.*`."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from heliograph.routing.realm import Realm, Testament
from heliograph.routing.retention import size_of
from heliograph.routing.session import Session
from heliograph.wamp.errors import (
    CLOSE_KILLED,
    INVALID_ARGUMENT,
    INVALID_URI,
    NO_SUCH_SESSION,
    PAYLOAD_SIZE_EXCEEDED,
    RequestError,
)
from heliograph.wamp.messages import PublishOptions
from heliograph.wamp.payload import PlainPayload
from heliograph.wamp.uris import LOOSE

Scope = Literal["detached", "destroyed"]

TESTAMENTS_LIMIT = 64
"""Testaments one session may leave in each scope."""

TESTAMENT_BYTES_LIMIT = 64 * 1024
"""About how many bytes of arguments a testament may have: it waits for as long as its session lasts."""


class SessionProcedures:
    """The procedures, each a method.

    Args:
        realm: what they tell of.
    """

    def __init__(self, realm: Realm) -> None:
        self._realm = realm

    def by_name(self) -> dict[str, Callable[..., list[Any]]]:
        """Return the procedures by the name they are called by."""
        return {
            "wamp.session.count": self.count,
            "wamp.session.list": self.list_,
            "wamp.session.get": self.get,
            "wamp.session.kill": self.kill,
            "wamp.session.kill_by_authid": self.kill_by_authid,
            "wamp.session.kill_by_authrole": self.kill_by_authrole,
            "wamp.session.kill_all": self.kill_all,
            "wamp.session.add_testament": self.add_testament,
            "wamp.session.flush_testaments": self.flush_testaments,
            "wamp.session.modify_details": self.modify_details,
        }

    def count(self, session: Session, filter_authroles: list[str] | None = None) -> list[Any]:
        return [len(list(_of_roles(self._realm, filter_authroles)))]

    def list_(self, session: Session, filter_authroles: list[str] | None = None) -> list[Any]:
        return [[found.id for found in _of_roles(self._realm, filter_authroles)]]

    def get(self, session: Session, session_id: int) -> list[Any]:
        return [_session(self._realm, session_id).details()]

    def kill(
        self, session: Session, session_id: int, *, reason: str = CLOSE_KILLED, message: str | None = None
    ) -> list[Any]:
        _check_reason(reason)
        if session_id == session.id:
            # "Specifying the caller's own session will result in a `wamp.error.no_such_session`"
            raise RequestError(NO_SUCH_SESSION, "a session cannot kill itself")
        _session(self._realm, session_id).end(reason, message)
        return []

    def kill_by_authid(
        self, session: Session, authid: str, *, reason: str = CLOSE_KILLED, message: str | None = None
    ) -> list[Any]:
        _check_reason(reason)
        killed = [found for found in _others(self._realm, session) if found.principal.authid == authid]
        for found in killed:
            found.end(reason, message)
        return [[found.id for found in killed]]

    def kill_by_authrole(
        self, session: Session, authrole: str, *, reason: str = CLOSE_KILLED, message: str | None = None
    ) -> list[Any]:
        _check_reason(reason)
        killed = [found for found in _others(self._realm, session) if found.principal.authrole == authrole]
        for found in killed:
            found.end(reason, message)
        return [len(killed)]

    def kill_all(
        self, session: Session, *, reason: str = CLOSE_KILLED, message: str | None = None
    ) -> list[Any]:
        _check_reason(reason)
        killed = _others(self._realm, session)
        # "Closing all sessions in the realm will not generate session meta events or testament events"
        with self._realm.silence():
            for found in killed:
                found.end(reason, message)
        return [len(killed)]

    def add_testament(
        self,
        session: Session,
        topic: str,
        args: list[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        *,
        publish_options: dict[str, Any] | None = None,
        scope: Scope = "destroyed",
    ) -> list[Any]:
        try:
            options = msgspec.convert(publish_options or {}, PublishOptions)
        except msgspec.ValidationError as error:
            raise RequestError(INVALID_ARGUMENT, f"publish_options: {error}") from error
        payload = PlainPayload(args or [], kwargs)
        if size_of(payload) > TESTAMENT_BYTES_LIMIT:
            raise RequestError(
                PAYLOAD_SIZE_EXCEEDED, f"a testament may have {TESTAMENT_BYTES_LIMIT} bytes of arguments"
            )
        details = self._realm.broker.check_publication(session, topic, options)
        left = self._realm.testaments.get(session) or {"detached": [], "destroyed": []}
        if len(left[scope]) >= TESTAMENTS_LIMIT:
            raise RequestError(
                INVALID_ARGUMENT, f"a session may leave {TESTAMENTS_LIMIT} testaments of one scope"
            )
        left[scope].append(Testament(topic, options, details, payload))
        self._realm.testaments[session] = left
        return []

    def flush_testaments(self, session: Session, *, scope: Scope = "destroyed") -> list[Any]:
        if session in self._realm.testaments:
            self._realm.testaments[session][scope].clear()
        return []

    def modify_details(self, session: Session, session_id: int, details: dict[str, Any]) -> list[Any]:
        _session(self._realm, session_id).modify_details(details)
        return []


def _of_roles(realm: Realm, authroles: list[str] | None) -> Iterable[Session]:
    return (
        session
        for session in realm.sessions.values()
        if authroles is None or session.principal.authrole in authroles
    )


def _others(realm: Realm, session: Session) -> list[Session]:
    return [found for found in realm.sessions.values() if found is not session]


def _session(realm: Realm, session_id: int) -> Session:
    session = realm.sessions.get(session_id)
    if session is None:
        raise RequestError(NO_SUCH_SESSION, f"there is no session {session_id} in this realm")
    return session


def _check_reason(reason: str) -> None:
    if not LOOSE["exact"].match(reason):
        raise RequestError(INVALID_URI, f"reason: {reason!r} is not a valid URI")
