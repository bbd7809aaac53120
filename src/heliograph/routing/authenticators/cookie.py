"""`cookie`: who authenticated on an earlier connection of the same browser is known again."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from heliograph.auth.principal import Principal
from heliograph.routing.authenticators.steps import Applicant, Grant, Standing, Then
from heliograph.routing.peer import Clock
from heliograph.wamp.errors import CLOSE_LOGOUT

if TYPE_CHECKING:
    from heliograph.routing.session import Session

METHOD = "cookie"

COOKIES_LIMIT = 100_000
"""Cookies that stand for somebody; the one remembered longest makes room. As many are known to be spent."""


Ask = Callable[[str, str, str], Standing | None]
"""Takes a method, an authid and a realm; returns what counts now for that principal."""


class Remembered(Struct, frozen=True, kw_only=True):
    """Whom a cookie stands for. What it may do is asked anew each time the cookie is shown.

    Attributes:
        realm: where it joined.
        authid: as whom.
        authrole: in which role; it counts where nobody can tell what it is now.
        authmethod: by which method it authenticated.
        authprovider: what vouched for it.
        fingerprint: of what it authenticated by. Its key is the cookie, so it gives nobody else a way to try guesses.
        expires_s: until when that counts, in seconds since 1970.
    """

    realm: str
    authid: str
    authrole: str
    authmethod: str
    authprovider: str
    fingerprint: str
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
        # What stood for somebody and does not any more. On a connection that is still open its value may be shown
        # again, and others may know it by now: whom it stood for, or who has stolen it. A new connection is given a
        # new value, so this need not outlive the process.
        self._spent: dict[str, None] = {}
        now = clock.now_s()
        self.remembered = {
            digest: self._within_max_age(principal, now)
            for digest, principal in (remembered or {}).items()
            if principal.expires_s > now
        }
        """By the cookie's digest: who reads this learns no cookie."""

    def find(self, cookie: str, ask: Ask) -> Remembered | None:
        """Return whom `cookie` stands for, in the role that counts now; forget it when that is nobody any more.

        Args:
            cookie: what was shown.
            ask: tells what counts now.
        """
        digest = digest_of(cookie)
        remembered = self.remembered.get(digest)
        if remembered is None:
            return None
        now = self._clock.now_s()
        standing = ask(remembered.authmethod, remembered.authid, remembered.realm)
        if (
            remembered.expires_s <= now
            or standing is None
            or remembered.fingerprint != _fingerprint(cookie, standing)
        ):
            self._forget(digest)
            return None
        bounded = self._within_max_age(remembered, now)
        if bounded is not remembered:
            self.remembered[digest] = bounded
            self._changed()
        return structs.replace(bounded, authrole=standing.role or remembered.authrole)

    def joined(self, session: Session, ask: Ask) -> None:
        """Take note that a session with a cookie has joined, and as whom.

        Args:
            session: which.
            ask: tells what counts now.
        """
        cookie = session.facts.cookie
        if cookie is None:
            return
        digest = digest_of(cookie)
        self._sessions.setdefault(digest, set()).add(session)
        principal, realm = session.principal, session.realm.name
        if not principal.is_authenticated or principal.authmethod == METHOD:
            return
        before = self.remembered.get(digest)
        standing = ask(principal.authmethod, principal.authid, realm)
        # Where it stood for another, somebody may have given this browser a cookie of their own.
        if standing is None or (
            before is not None and (before.realm, before.authid) != (realm, principal.authid)
        ):
            self._forget(digest)
        elif digest not in self._spent:
            self._remember(
                digest,
                Remembered(
                    realm=realm,
                    authid=principal.authid,
                    authrole=principal.authrole,
                    authmethod=principal.authmethod,
                    authprovider=principal.authprovider,
                    fingerprint=_fingerprint(cookie, standing),
                    expires_s=self._clock.now_s() + self._max_age_s,
                ),
            )

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
        self._forget(digest)
        for sibling in list(self._sessions.get(digest, ())):
            if sibling is not session:
                sibling.end(CLOSE_LOGOUT, "logged out on another connection")

    def forget(self, realm: str, authid: str) -> None:
        """Let no cookie stand for `authid` in `realm` any more."""
        revoked = [
            digest
            for digest, remembered in self.remembered.items()
            if remembered.authid == authid and remembered.realm == realm
        ]
        for digest in revoked:
            self._forget(digest)

    def _remember(self, digest: str, remembered: Remembered) -> None:
        # The last in order is the one remembered last.
        self.remembered.pop(digest, None)
        if len(self.remembered) >= COOKIES_LIMIT:
            self._forget(next(iter(self.remembered)))
        self.remembered[digest] = remembered
        self._changed()

    def _forget(self, digest: str) -> None:
        """Let a cookie stand for nobody any more, now or later."""
        if self.remembered.pop(digest, None) is None:
            return
        if len(self._spent) >= COOKIES_LIMIT:
            del self._spent[next(iter(self._spent))]
        self._spent[digest] = None
        self._changed()

    def _within_max_age(self, remembered: Remembered, now_s: float) -> Remembered:
        """Return `remembered`, with an end that is no further away than `max_age`.

        It is when the date was set back since, or `max_age` was made shorter.
        """
        if remembered.expires_s <= now_s + self._max_age_s:
            return remembered
        return structs.replace(remembered, expires_s=now_s + self._max_age_s)


class CookieAuthenticator:
    """Lets in whoever comes with the cookie of somebody.

    Args:
        cookies: whom they stand for.
        ask: tells what counts now for somebody.
    """

    principals = None

    def __init__(self, cookies: Cookies, ask: Ask) -> None:
        self._cookies = cookies
        self._ask = ask

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Let the applicant in if its cookie is known, else leave it to another method."""
        remembered = self._find(applicant)
        if remembered is None:
            then(None)
            return
        principal = Principal(remembered.authid, remembered.authrole, METHOD, remembered.authprovider)
        then(Grant(principal))

    def _find(self, applicant: Applicant) -> Remembered | None:
        cookie = applicant.facts.cookie
        remembered = None if cookie is None else self._cookies.find(cookie, self._ask)
        if remembered is None or remembered.realm != applicant.realm:
            return None
        return remembered if applicant.authid in (None, remembered.authid) else None


def digest_of(cookie: str) -> str:
    """Return what a cookie is kept as; it is random, so one round is enough."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()


def _fingerprint(cookie: str, standing: Standing) -> str:
    return hmac.digest(cookie.encode("utf-8", "surrogatepass"), standing.evidence, "sha256").hex()
