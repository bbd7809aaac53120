"""From HELLO to WELCOME: who the client is, and whether it may join."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from heliograph.auth import anonymous
from heliograph.auth.options import MAX_AUTHID_LENGTH
from heliograph.routing.authenticators.anonymous import StaticAnonymous
from heliograph.routing.authenticators.steps import (
    DENIED,
    UNAVAILABLE,
    Applicant,
    Authenticator,
    Grant,
    Question,
    Refusal,
    Step,
    Then,
)
from heliograph.routing.realm import Realm
from heliograph.wamp import features
from heliograph.wamp.errors import (
    AUTHENTICATION_FAILED,
    INVALID_ARGUMENT,
    INVALID_URI,
    NO_MATCHING_AUTH_METHOD,
    TOO_MANY_FAILURES,
    PayloadError,
    ProtocolViolation,
    RequestError,
)
from heliograph.wamp.messages import Authenticate, Challenge, Hello, Welcome, WelcomeDetails
from heliograph.wamp.uris import LOOSE, MAX_URI_BYTES

if TYPE_CHECKING:
    from heliograph.routing.router import Router
    from heliograph.routing.session import Session

CLIENT_ROLES = frozenset({"publisher", "subscriber", "caller", "callee"})


class Joining:
    """One session on its way in.

    The authenticators of its transport are tried in the order in which the client names their methods, until one lets
    it in, asks it something or refuses it. While somebody else decides, the session is held.

    Args:
        session: which.
        router: has the realms.
        hello: what the client said.

    Raises:
        ProtocolViolation: HELLO announces no role of a client.
        RequestError: there is no such realm, or the authid is too long.
    """

    __slots__ = (
        "_authenticators", "_features", "_hello", "_is_over", "_method", "_question", "_realm", "_reserved",
        "_router", "_session", "_stop", "_to_try",
    )  # fmt: skip

    def __init__(self, session: Session, router: Router, hello: Hello) -> None:
        if len(hello.realm) > MAX_URI_BYTES or not LOOSE["exact"].match(hello.realm):
            raise RequestError(INVALID_URI, f"{hello.realm[:100]!r} is not a valid URI of a realm")
        self._realm = router.realm(hello.realm)
        _check_roles(hello.details.roles)
        if len(hello.details.authid or "") > MAX_AUTHID_LENGTH:
            raise RequestError(
                INVALID_ARGUMENT, f"HELLO.Details.authid may have at most {MAX_AUTHID_LENGTH} characters"
            )
        self._features = features.announced(hello.details.roles)
        self._session = session
        self._router = router
        self._hello = hello
        self._authenticators = session.authenticators
        self._to_try = self._chosen()
        self._reserved: tuple[Realm, int] | None = None
        self._question: Question | None = None
        self._method = anonymous.METHOD
        self._stop: Callable[[], object] = _nothing_to_stop
        self._is_over = False

    def begin(self) -> None:
        """Try the first method."""
        self._try_next(is_first=True)

    def answer(self, message: Authenticate) -> None:
        """Take the client's answer to CHALLENGE."""
        question, self._question = self._question, None
        if question is None:
            raise ProtocolViolation("AUTHENTICATE answers one CHALLENGE")
        # Others from there may have failed since it was asked.
        if not self._is_throttled():
            self._ask(lambda then: question.judge(message, then))

    def abandon(self) -> None:
        """Forget it: the client is gone, or was told so."""
        self._is_over = True
        self._stop()
        if self._reserved is not None:
            realm, reserved_id = self._reserved
            realm.reserved_ids.discard(reserved_id)

    # Methods, one after the other.

    def _chosen(self) -> Iterator[tuple[str, Authenticator]]:
        offered = self._hello.details.authmethods
        if self._authenticators is not None:
            has_cookie = self._session.facts.cookie is not None
            return self._authenticators.chosen(offered, has_cookie=has_cookie)
        # Absent authmethods mean that the client does not want to authenticate.
        if offered and anonymous.METHOD not in offered:
            return iter(())
        return iter([(anonymous.METHOD, self._router.everybody(self._session.options.anonymous_role))])

    def _try_next(self, *, is_first: bool = False) -> None:
        method, authenticator = next(self._to_try, ("", None))
        if authenticator is None:
            self._refuse(self._no_matching_method() if is_first else DENIED)
            return
        self._method = method
        if isinstance(authenticator, StaticAnonymous):
            # It lets everybody in at once: no questions, nobody to wait for. So most sessions begin.
            self._welcome(authenticator.grant())
        elif not self._is_throttled():
            applicant = self._applicant(method)
            self._ask(lambda then: authenticator.begin(applicant, then))

    def _applicant(self, method: str) -> Applicant:
        details = self._hello.details
        return Applicant(
            self._realm.name,
            method,
            details.authid,
            details.authextra or {},
            self._session.facts,
            self._reserve_id,
            self._stop_with,
        )

    def _stop_with(self, stop: Callable[[], object]) -> None:
        self._stop = stop

    def _reserve_id(self, realm: str | None) -> int:
        if self._reserved is None:
            where = self._router.realms.get(realm or self._realm.name, self._realm)
            self._reserved = (where, where.reserve_id())
        return self._reserved[1]

    def _no_matching_method(self) -> Refusal:
        offered = [name[:32] for name in self._hello.details.authmethods or [anonymous.METHOD]][:8]
        known = (anonymous.METHOD,) if self._authenticators is None else self._authenticators.methods
        return Refusal(
            NO_MATCHING_AUTH_METHOD,
            f"of {', '.join(offered)} none is configured here, only {', '.join(known) or 'nothing'}",
        )

    def _is_throttled(self) -> bool:
        """Refuse an applicant from where too many have failed; return whether that was so."""
        if self._authenticators is None or self._method == anonymous.METHOD:
            return False
        wait_s = self._authenticators.backoff.refused_for_s(self._session.facts)
        if not wait_s:
            return False
        self._router.counters.authentications_throttled += 1
        text = f"too many from this address have failed to authenticate: try again in {wait_s:.0f} seconds"
        self._refuse(Refusal(TOO_MANY_FAILURES, text))
        return True

    # Steps, at once or later.

    def _ask(self, step: Callable[[Then], None]) -> None:
        """Let an authenticator decide; hold the session until it has."""
        is_held = False
        is_decided = False

        def then(decided: Step) -> None:
            nonlocal is_decided
            is_decided = True
            # The client may have gone, and another session begun.
            if self._is_over:
                return
            if is_held:
                self._session.release()
                # Whoever guesses many at once learns of none what became of it once too many have failed.
                if self._is_throttled():
                    return
            self._take(decided)

        step(then)
        if not is_decided:
            is_held = True
            self._session.hold()

    def _take(self, step: Step) -> None:
        if step is None:
            self._try_next()
        elif isinstance(step, Question):
            self._challenge(step)
        elif isinstance(step, Grant):
            self._welcome(step)
        else:
            self._refuse(step)

    def _challenge(self, question: Question) -> None:
        self._question = question
        try:
            self._session.challenge(Challenge(question.method, question.extra))
        except PayloadError:
            self._refuse(UNAVAILABLE)

    def _refuse(self, refusal: Refusal) -> None:
        if refusal.uri == DENIED.uri:
            self._router.counters.authentications_failed += 1
            if self._authenticators is not None:
                self._authenticators.backoff.failed(self._session.facts, self._hello.details.authid)
        self._session.refuse(refusal.uri, refusal.text)

    def _welcome(self, grant: Grant) -> None:
        session, principal = self._session, grant.principal
        try:
            realm = self._realm if grant.realm is None else self._router.realm(grant.realm)
            session.establish(realm, principal, self._reserved_id(realm))
        except RequestError as error:
            session.refuse(error.uri, *error.arguments)
            return
        session.features = self._features
        if self._authenticators is not None:
            if principal.is_authenticated:
                self._authenticators.backoff.succeeded(session.facts, principal.authid)
            self._authenticators.joined(session)
        try:
            session.peer.send(Welcome(session.id, self._details(realm, grant)))
        except PayloadError:
            session.refuse(AUTHENTICATION_FAILED, UNAVAILABLE.text)
            return
        realm.announce_join(session)

    def _reserved_id(self, realm: Realm) -> int | None:
        return self._reserved[1] if self._reserved is not None and self._reserved[0] is realm else None

    def _details(self, realm: Realm, grant: Grant) -> WelcomeDetails:
        principal = grant.principal
        return WelcomeDetails(
            roles=self._router.roles,
            agent=self._router.agent,
            realm=realm.name,
            authid=principal.authid,
            authrole=principal.authrole,
            authmethod=principal.authmethod,
            authprovider=principal.authprovider,
            authextra=grant.authextra,
        )


def _check_roles(roles: Mapping[str, Any]) -> None:
    # "A Client must announce the roles it supports via `Hello.Details.roles|dict`" (specification, "HELLO")
    if not roles:
        raise ProtocolViolation("HELLO.Details.roles must name at least one role")
    if not roles.keys() <= CLIENT_ROLES:
        unknown = ", ".join(sorted(roles.keys() - CLIENT_ROLES))
        raise ProtocolViolation(f"HELLO.Details.roles names {unknown}, no role of a client")
    for role in roles.values():
        if not isinstance(role, dict):
            raise ProtocolViolation("HELLO.Details.roles must map each role to a dictionary")


def _nothing_to_stop() -> None:
    """Nobody was asked anything yet."""
