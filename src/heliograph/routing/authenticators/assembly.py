"""All authenticators of one transport, made of its options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from heliograph.auth import anonymous, cryptosign, scram, ticket, wampcra
from heliograph.auth.options import (
    AnonymousOptions,
    AuthOptions,
    BackoffOptions,
    CraOptions,
    CryptosignOptions,
    DynamicOptions,
    FunctionOptions,
    ScramOptions,
    TicketOptions,
    TlsOptions,
)
from heliograph.routing.authenticators import cookie
from heliograph.routing.authenticators.anonymous import DynamicAnonymous, StaticAnonymous
from heliograph.routing.authenticators.backoff import Backoff
from heliograph.routing.authenticators.cookie import CookieAuthenticator, Cookies
from heliograph.routing.authenticators.cryptosign import CryptosignAnswer, DynamicCryptosign, StaticCryptosign
from heliograph.routing.authenticators.principals import Answer, DynamicPrincipals, Verdict
from heliograph.routing.authenticators.scram import DynamicScram, ScramAnswer, StaticScram
from heliograph.routing.authenticators.steps import Authenticator, Standing
from heliograph.routing.authenticators.ticket import DynamicTicket, StaticTicket
from heliograph.routing.authenticators.tls import DynamicTls, StaticTls
from heliograph.routing.authenticators.wampcra import CraAnswer, DynamicCra, StaticCra
from heliograph.routing.options import SessionOptions
from heliograph.wamp.errors import CLOSE_LOGOUT

if TYPE_CHECKING:
    from heliograph.routing.router import Router
    from heliograph.routing.session import Session

TLS = "tls"

CredentialsT = TypeVar("CredentialsT")


class Authenticators:
    """Who may join by one transport, and how.

    Args:
        auth: the methods.
        router: whose sessions they are.
        backoff: when an address is refused.
        cookies: whom the transport's cookies stand for, where it has any.

    Raises:
        LibraryMissing: a method needs one that is not installed.
    """

    def __init__(
        self,
        auth: AuthOptions,
        router: Router,
        *,
        backoff: BackoffOptions = BackoffOptions(),  # noqa: B008 - frozen
        cookies: Cookies | None = None,
    ) -> None:
        self.backoff = Backoff(backoff, router.clock)
        self._cookies = cookies
        if cookies is not None:
            router.cookies.append(cookies)
        assembly = _Assembly(auth, router, cookies, self._standing)
        self._by_method: dict[str, Authenticator] = dict(assembly.authenticators())

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that are configured, as clients spell them."""
        return tuple(self._by_method)

    def chosen(self, offered: list[str] | None, *, has_cookie: bool) -> Iterator[tuple[str, Authenticator]]:
        """Return the authenticators to try, each with the name of its method.

        Args:
            offered: HELLO.Details.authmethods.
            has_cookie: whether the client came with a cookie.
        """
        # Absent authmethods mean that the client does not want to authenticate; a cookie it has sent already.
        wanted = offered or ([cookie.METHOD, anonymous.METHOD] if has_cookie else [anonymous.METHOD])
        for method in dict.fromkeys(wanted):
            authenticator = self._by_method.get(method)
            if authenticator is not None:
                yield method, authenticator

    @property
    def has_cookies(self) -> bool:
        """Whether cookies can stand for somebody here."""
        return self._cookies is not None

    def knows_cookie(self, cookie: str) -> bool:
        """Return whether `cookie` stands for somebody."""
        return self._cookies is not None and self._cookies.find(cookie, self._standing) is not None

    def joined(self, session: Session) -> None:
        """Take note that a session has joined."""
        if self._cookies is not None:
            self._cookies.joined(session, self._standing)

    def left(self, session: Session, reason: str | None = None) -> None:
        """Take note that a session leaves.

        Args:
            session: which.
            reason: that of its GOODBYE, if it has said it.
        """
        if self._cookies is not None:
            self._cookies.left(session)
            if reason == CLOSE_LOGOUT:
                self._cookies.log_out(session)

    def _standing(self, method: str, authid: str, realm: str) -> Standing | None:
        authenticator = self._by_method.get(method)
        if authenticator is None or authenticator.principals is None:
            return None
        return authenticator.principals.standing(authid, realm)


class _Assembly:
    def __init__(
        self,
        auth: AuthOptions,
        router: Router,
        cookies: Cookies | None,
        standing: cookie.Ask,
    ) -> None:
        self._standing = standing
        self._auth = auth
        self._router = router
        self._cookies = cookies

    def authenticators(self) -> Iterator[tuple[str, Authenticator]]:
        auth = self._auth
        if auth.anonymous is not None:
            yield anonymous.METHOD, self._anonymous(auth.anonymous)
        if auth.ticket is not None:
            yield ticket.METHOD, self._ticket(auth.ticket)
        if auth.wampcra is not None:
            yield wampcra.METHOD, self._wampcra(auth.wampcra)
        if auth.scram is not None:
            by_scram = self._scram(auth.scram)
            for method in scram.METHODS:
                yield method, by_scram
        if auth.cryptosign is not None:
            yield cryptosign.METHOD, self._cryptosign(auth.cryptosign)
        if auth.tls is not None:
            yield TLS, self._tls(auth.tls)
        if auth.cookie is not None and self._cookies is not None:
            yield cookie.METHOD, CookieAuthenticator(self._cookies, self._standing)

    def _anonymous(self, options: AnonymousOptions | DynamicOptions | FunctionOptions) -> Authenticator:
        if isinstance(options, AnonymousOptions):
            return StaticAnonymous(options, self._router.random_id)
        return DynamicAnonymous(self._dynamic(options, Verdict, anonymous.METHOD), self._router.random_id)

    def _ticket(self, options: TicketOptions | DynamicOptions | FunctionOptions) -> Authenticator:
        if isinstance(options, TicketOptions):
            tickets = {
                authid: self._router.outside.read_secret(principal.ticket)
                for authid, principal in options.principals.items()
            }
            return StaticTicket(options.principals, tickets)
        return DynamicTicket(self._dynamic(options, Verdict, ticket.METHOD))

    def _wampcra(self, options: CraOptions | DynamicOptions | FunctionOptions) -> Authenticator:
        if isinstance(options, CraOptions):
            secrets = {
                authid: self._router.outside.read_secret(user.secret)
                for authid, user in options.users.items()
            }
            return StaticCra(options.users, secrets, self._router)
        return DynamicCra(self._dynamic(options, CraAnswer, wampcra.METHOD), self._router)

    def _scram(self, options: ScramOptions | DynamicOptions | FunctionOptions) -> Authenticator:
        if isinstance(options, ScramOptions):
            return StaticScram(options.principals, self._router)
        return DynamicScram(self._dynamic(options, ScramAnswer, "scram"), self._router)

    def _cryptosign(self, options: CryptosignOptions | DynamicOptions | FunctionOptions) -> Authenticator:
        if isinstance(options, CryptosignOptions):
            return StaticCryptosign(options.principals, self._router)
        return DynamicCryptosign(self._dynamic(options, CryptosignAnswer, cryptosign.METHOD), self._router)

    def _tls(self, options: TlsOptions | DynamicOptions | FunctionOptions) -> Authenticator:
        if isinstance(options, TlsOptions):
            return StaticTls(options.principals)
        return DynamicTls(self._dynamic(options, Verdict, TLS))

    def _dynamic(
        self,
        options: DynamicOptions | FunctionOptions,
        answer: type[Answer[CredentialsT]],
        method: str,
    ) -> DynamicPrincipals[CredentialsT]:
        if isinstance(options, DynamicOptions):
            return DynamicPrincipals(options, self._router, answer, method)
        dynamic, caller = self._router.outside.ask_function(options)
        return DynamicPrincipals(dynamic, self._router, answer, method, caller, options)


def authenticators_of(options: SessionOptions, router: Router) -> Authenticators | None:
    """Return who decides by `options`; None where everybody is let in.

    Args:
        options: of a transport.
        router: whose sessions it brings.

    Raises:
        LibraryMissing: a method needs one that is not installed.
    """
    if options.auth is None:
        return None
    cookies = router.outside.cookies(options)
    return Authenticators(options.auth, router, backoff=options.auth_backoff, cookies=cookies)
