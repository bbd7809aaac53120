"""`cookie`: who authenticated on an earlier connection of the same browser is known again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from heliograph.auth.principal import Principal
from heliograph.routing.authenticators.steps import Applicant, Grant, Then
from heliograph.routing.peer import Clock
from heliograph.wamp.errors import CLOSE_LOGOUT

if TYPE_CHECKING:
    from heliograph.routing.session import Session

METHOD = "cookie"

COOKIES_LIMIT = 100_000
"""Cookies that stand for somebody; the one remembered longest makes room."""


class Remembered(Struct, frozen=True, kw_only=True):
    """Whom a cookie stands for.

    Attributes:
        realm: where it joined.
        authid: as whom.
        authrole: in which role.
        authprovider: what vouched for it.
        expires_s: until when that counts, in seconds since 1970.
    """

    realm: str
    authid: str
    authrole: str
    authprovider: str
    expires_s: float


class Cookies:
    """Whom the cookies of one transport stand for, and the sessions that came with them.

    Args:
        max_age_s: seconds for which a cookie stands for somebody.
        clock: tells the time.
        remembered: what is known from an earlier run, by digest.
        changed: called when that changes.
    """

    def __init__(
        self,
        max_age_s: float,
        clock: Clock,
        *,
        remembered: Mapping[str, Remembered] | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._max_age_s = max_age_s
        self._clock = clock
        self._changed = changed
        self._sessions: dict[str, set[Session]] = {}
        self.remembered = dict(remembered or {})
        """By the cookie's digest: who reads this learns no cookie."""

    def find(self, cookie: str | None) -> Remembered | None:
        """Return whom `cookie` stands for."""
        if cookie is None:
            return None
        digest = digest_of(cookie)
        remembered = self.remembered.get(digest)
        if remembered is None or remembered.expires_s > self._clock.now_s():
            return remembered
        del self.remembered[digest]
        self._changed()
        return None

    def joined(self, session: Session) -> None:
        """Take note that a session with a cookie has joined, and as whom."""
        cookie = session.facts.cookie
        if cookie is None:
            return
        digest = digest_of(cookie)
        self._sessions.setdefault(digest, set()).add(session)
        principal = session.principal
        if not principal.is_authenticated or principal.authmethod == METHOD:
            return
        before = self.remembered.get(digest)
        if before is not None and (before.realm, before.authid) != (session.realm.name, principal.authid):
            # Perhaps somebody has given this browser a cookie of their own.
            del self.remembered[digest]
            self._changed()
            return
        if before is None and len(self.remembered) >= COOKIES_LIMIT:
            del self.remembered[next(iter(self.remembered))]
        self.remembered[digest] = Remembered(
            realm=session.realm.name,
            authid=principal.authid,
            authrole=principal.authrole,
            authprovider=principal.authprovider,
            expires_s=self._clock.now_s() + self._max_age_s,
        )
        self._changed()

    def left(self, session: Session) -> None:
        """Take note that a session has left."""
        cookie = session.facts.cookie
        if cookie is None:
            return
        digest = digest_of(cookie)
        sessions = self._sessions.get(digest)
        if sessions is not None:
            sessions.discard(session)
            if not sessions:
                del self._sessions[digest]

    def log_out(self, session: Session) -> None:
        """Forget whom the session's cookie stands for, and end the other sessions that came with it."""
        cookie = session.facts.cookie
        if cookie is None:
            return
        digest = digest_of(cookie)
        if self.remembered.pop(digest, None) is not None:
            self._changed()
        for sibling in list(self._sessions.get(digest, ())):
            if sibling is not session:
                sibling.end(CLOSE_LOGOUT, "logged out on another connection")


class CookieAuthenticator:
    """Lets in whoever comes with the cookie of somebody.

    Args:
        cookies: whom they stand for.
    """

    def __init__(self, cookies: Cookies) -> None:
        self._cookies = cookies

    def knows(self, applicant: Applicant) -> bool:
        """Return whether the applicant's cookie stands for somebody who may join there."""
        return self._find(applicant) is not None

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Let the applicant in if its cookie is known, else leave it to another method."""
        remembered = self._find(applicant)
        if remembered is None:
            then(None)
            return
        principal = Principal(remembered.authid, remembered.authrole, METHOD, remembered.authprovider)
        then(Grant(principal))

    def _find(self, applicant: Applicant) -> Remembered | None:
        remembered = self._cookies.find(applicant.facts.cookie)
        if remembered is None or remembered.realm != applicant.realm:
            return None
        return remembered if applicant.authid in (None, remembered.authid) else None


def digest_of(cookie: str) -> str:
    """Return what a cookie is kept as; it is random, so one round is enough."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()
