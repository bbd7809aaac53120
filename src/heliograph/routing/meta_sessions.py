"""Procedures about sessions: `wamp.session.*`."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from heliograph.routing.authenticators.cookie import Cookies
from heliograph.routing.realm import Realm, Testament
from heliograph.routing.receivers import receiver_filter
from heliograph.routing.retention import kept_bytes
from heliograph.routing.session import Session
from heliograph.routing.work import LOOKED_AT_A_UNIT, UNITS_A_MESSAGE, Steps
from heliograph.wamp.errors import (
    CLOSE_KILLED,
    INVALID_ARGUMENT,
    INVALID_URI,
    NO_SUCH_SESSION,
    PAYLOAD_SIZE_EXCEEDED,
    RequestError,
    shortened,
)
from heliograph.wamp.ids import GivenId
from heliograph.wamp.messages import PublishOptions
from heliograph.wamp.payload import PlainPayload
from heliograph.wamp.uris import LOOSE, MAX_URI_BYTES

Scope = Literal["detached", "destroyed"]

TESTAMENTS_LIMIT = 64
"""Testaments one session may leave in each scope."""

TESTAMENT_BYTES_LIMIT = 64 * 1024
"""About how many bytes a testament may take, with all its options: it waits for as long as its session lasts."""

MESSAGE_LIMIT = 1024
"""Characters that a message for those who are killed may have: each of them is sent it."""


class SessionProcedures:
    """The procedures, each a method.

    Args:
        realm: what they tell of.
        cookies: those of the router's transports.
    """

    def __init__(self, realm: Realm, cookies: Sequence[Cookies]) -> None:
        self._realm = realm
        self._cookies = cookies

    def by_name(self) -> dict[str, Callable[..., Any]]:
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
        return [len(self._of_roles(filter_authroles))]

    def list_(self, session: Session, filter_authroles: list[str] | None = None) -> list[Any]:
        return [[found.id for found in self._of_roles(filter_authroles)]]

    def get(self, session: Session, session_id: GivenId) -> list[Any]:
        return [_session(self._realm, session_id).details()]

    def kill(
        self, session: Session, session_id: GivenId, *, reason: str = CLOSE_KILLED, message: str | None = None
    ) -> list[Any]:
        _check_farewell(reason, message)
        if session_id == session.id:
            # "Specifying the caller's own session will result in a `wamp.error.no_such_session`"
            raise RequestError(NO_SUCH_SESSION, "a session cannot kill itself")
        _session(self._realm, session_id).end(reason, message)
        return []

    def kill_by_authid(
        self, session: Session, authid: str, *, reason: str = CLOSE_KILLED, message: str | None = None
    ) -> Steps[list[Any]]:
        _check_farewell(reason, message)
        # Before anybody hears of it: a browser would come straight back.
        for cookies in self._cookies:
            self._realm.work.spend(len(cookies.remembered) // LOOKED_AT_A_UNIT)
            cookies.forget(self._realm.name, authid)
        found = [other for other in self._others(session) if other.principal.authid == authid]
        killed = yield from self._kill(found, reason, message)
        return [killed]

    def kill_by_authrole(
        self, session: Session, authrole: str, *, reason: str = CLOSE_KILLED, message: str | None = None
    ) -> Steps[list[Any]]:
        _check_farewell(reason, message)
        found = [other for other in self._others(session) if other.principal.authrole == authrole]
        killed = yield from self._kill(found, reason, message)
        return [len(killed)]

    def kill_all(
        self, session: Session, *, reason: str = CLOSE_KILLED, message: str | None = None
    ) -> Steps[list[Any]]:
        _check_farewell(reason, message)
        # "Closing all sessions in the realm will not generate session meta events or testament events"
        killed = yield from self._kill(self._others(session), reason, message, is_silent=True)
        return [len(killed)]

    def _kill(
        self, sessions: Sequence[Session], reason: str, message: str | None, *, is_silent: bool = False
    ) -> Steps[list[int]]:
        """End sessions, those that have not ended meanwhile; return their ids."""
        found = [(session, session.id) for session in sessions]
        killed: list[int] = []
        for session, session_id in found:
            if session.is_established_as(session_id):
                session.end(reason, message, is_silent=is_silent)
                killed.append(session_id)
                self._realm.work.spend(UNITS_A_MESSAGE)
                yield None
        return killed

    def _of_roles(self, authroles: list[str] | None) -> list[Session]:
        sessions = list(self._realm.sessions.values())
        self._realm.work.spend(len(sessions) // LOOKED_AT_A_UNIT)
        if authroles is None:
            return sessions
        wanted = frozenset(authroles)
        return [found for found in sessions if found.principal.authrole in wanted]

    def _others(self, session: Session) -> list[Session]:
        return [found for found in self._of_roles(None) if found is not session]

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
            raise RequestError(INVALID_ARGUMENT, shortened(f"publish_options: {error}")) from error
        payload = PlainPayload(args or [], kwargs)
        details = self._realm.broker.check_publication(session, topic, options)
        if kept_bytes(details, payload, receiver_filter(options)) > TESTAMENT_BYTES_LIMIT:
            raise RequestError(
                PAYLOAD_SIZE_EXCEEDED, f"a testament may take {TESTAMENT_BYTES_LIMIT} bytes with its options"
            )
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

    def modify_details(self, session: Session, session_id: GivenId, details: dict[str, Any]) -> list[Any]:
        _session(self._realm, session_id).modify_details(details)
        return []


def _session(realm: Realm, session_id: int) -> Session:
    session = realm.sessions.get(session_id)
    if session is None:
        raise RequestError(NO_SUCH_SESSION, f"there is no session {session_id} in this realm")
    return session


def _check_farewell(reason: str, message: str | None) -> None:
    if len(reason) > MAX_URI_BYTES or not LOOSE["exact"].match(reason):
        raise RequestError(INVALID_URI, f"reason: {reason[:MAX_URI_BYTES]!r} is not a valid URI")
    if message is not None and len(message) > MESSAGE_LIMIT:
        raise RequestError(INVALID_ARGUMENT, f"message: at most {MESSAGE_LIMIT} characters")
