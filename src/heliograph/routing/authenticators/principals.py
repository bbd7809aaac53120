"""Where principals come from: the configuration, or a WAMP procedure that is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from heliograph.auth.options import DynamicOptions, FunctionOptions
from heliograph.auth.principal import Principal
from heliograph.routing.authenticators.steps import UNAVAILABLE, Applicant, Grant, Refusal, Standing
from heliograph.routing.no_answer import NoAnswer
from heliograph.wamp.errors import PayloadError, RequestError
from heliograph.wamp.payload import Payload

if TYPE_CHECKING:
    from heliograph.routing.router import Router
    from heliograph.routing.router_caller import RouterCaller

CredentialsT = TypeVar("CredentialsT")

REPORT_INTERVAL_S = 10.0
"""Whoever knocks makes an authenticator fail as often as they like; the log tells of it this often."""

QUESTIONS_LIMIT = 4096
"""Clients that one authenticator is asked about at a time. The router asks its authorizers as the same caller, which
may have some more calls under way: who wants to join must not keep them from being asked."""


class Known(Struct, Generic[CredentialsT], frozen=True):
    """A principal, and what proves that somebody is it.

    Attributes:
        authid: its name.
        role: of its sessions.
        realm: where it joins, None is wherever it asks to.
        credentials: as the method needs them.
        authextra: for WELCOME.
    """

    authid: str
    role: str
    realm: str | None
    credentials: CredentialsT
    authextra: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Known({self.authid!r}, {self.role!r})"

    def grant(self, applicant: Applicant, provider: str, authextra: dict[str, Any] | None = None) -> Grant:
        """Return the step that lets `applicant` in as this principal.

        Args:
            applicant: who has proven it.
            provider: what vouches for it.
            authextra: more for WELCOME.
        """
        extra = {**(self.authextra or {}), **(authextra or {})} or None
        principal = Principal(self.authid, self.role, applicant.method, provider)
        return Grant(principal, self.realm, extra)


Found = Known[CredentialsT] | Refusal | None
"""A principal, None when there is none, or why that cannot be said."""


class StaticPrincipals(Generic[CredentialsT]):
    """The principals of the configuration.

    Args:
        known: by authid.
    """

    provider = "static"

    def __init__(self, known: Mapping[str, Known[CredentialsT]]) -> None:
        self._known = known

    def find(self, applicant: Applicant, authid: str | None) -> Known[CredentialsT] | None:
        """Return the principal `authid`, unless it may not join the realm asked for."""
        known = None if authid is None else self._known.get(authid)
        if known is not None and known.realm not in (None, applicant.realm):
            return None
        return known

    def standing(self, authid: str, realm: str) -> Standing | None:
        """Return what the configuration says now of the principal `authid`, None when it may not join `realm`."""
        known = self._known.get(authid)
        if known is None or known.realm not in (None, realm):
            return None
        # In this order sets look alike after a restart, too.
        return Standing(known.role, _evidence(msgspec.to_builtins(known.credentials, order="deterministic")))


class Answer(Struct, Generic[CredentialsT], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a dynamic authenticator answers, whatever the method.

    Attributes:
        role: of the session; none is the configuration's `default-role`.
        realm: that it joins, none is the one asked for.
        authid: its name; none is the one the client gave.
        extra: what WELCOME tells beside that.
    """

    role: str | None = None
    realm: str | None = None
    authid: str | None = None
    extra: dict[str, Any] | None = None

    def credentials(self) -> CredentialsT:
        """Return what the method needs; raises `ValueError` when it cannot be used."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}(role={self.role!r}, authid={self.authid!r})"


class Verdict(Answer[None], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is answered where the procedure itself has checked what the client showed."""

    def credentials(self) -> None:
        """Return nothing: there is nothing left to prove."""


class DynamicPrincipals(Generic[CredentialsT]):
    """Asks a WAMP procedure for principals: `authenticator(realm, authid, details)`.

    Args:
        options: name the procedure.
        router: whose realms they are.
        answer: what it answers.
        method: whom it is asked for, in the log.
        caller: who asks; else the router does, where the procedure is registered.
        function: the options of the Python function that is behind the procedure, if one is.
    """

    provider = "dynamic"

    def __init__(
        self,
        options: DynamicOptions,
        router: Router,
        answer: type[Answer[CredentialsT]],
        method: str,
        caller: RouterCaller | None = None,
        function: FunctionOptions | None = None,
    ) -> None:
        self._options = options
        self._router = router
        self._answer = answer
        self._method = method
        self._caller = caller
        self._standing = Standing(None, _evidence(_asked(function or options)))
        self._silent_until_s = 0.0
        self._asked_about = 0

    def find(
        self,
        applicant: Applicant,
        then: Callable[[Found[CredentialsT]], None],
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Ask for `applicant` and go on with what was found.

        Args:
            applicant: who is asked about.
            then: goes on.
            details: what the procedure is told beside what it is always told.
        """
        try:
            caller = self._caller or self._router.caller(self._options.authenticator_realm or applicant.realm)
        except RequestError as error:
            then(self._failed(str(error.arguments[0])))
            return
        if self._asked_about >= QUESTIONS_LIMIT:
            then(self._failed("is being asked about as many clients as it may be"))
            return
        self._asked_about += 1

        def answered(answer: Payload | NoAnswer) -> None:
            self._asked_about -= 1
            then(self._read(applicant, answer))

        stop = caller.ask(
            self._options.authenticator,
            [applicant.realm, applicant.authid, {**_details(applicant), **(details or {})}],
            timeout_s=self._options.timeout_s,
            then=answered,
        )

        def gone() -> None:
            # Nobody waits any more, and whoever comes and goes without end must not leave questions behind.
            if stop() is not None:
                self._asked_about -= 1

        applicant.stop_with(gone)

    def standing(self, _authid: str, _realm: str) -> Standing:
        """Return what counts for everybody: nobody can be asked about somebody who shows no credentials."""
        return self._standing

    def _read(self, applicant: Applicant, answer: Payload | NoAnswer) -> Found[CredentialsT]:
        if answer is NoAnswer.REFUSED:
            return None
        if isinstance(answer, NoAnswer):
            return self._failed(answer.value)
        try:
            given = _converted(answer, self._answer)
            credentials = given.credentials()
        except msgspec.ValidationError as error:
            return self._failed(f"answered with something else than it should: {error}")
        except (PayloadError, ValueError):
            # Their texts may show what was answered.
            return self._failed("answered with something that cannot be used")
        role, authid = given.role or self._options.default_role, given.authid or applicant.authid
        if not role:
            return self._failed("named no role, and there is no default-role")
        if not authid:
            return self._failed("named no authid for a client that had none")
        return Known(authid, role, given.realm, credentials, given.extra)

    def _failed(self, why: str) -> Refusal:
        self._router.counters.authenticators_failed += 1
        now = self._router.clock.monotonic_s()
        if now >= self._silent_until_s:
            self._silent_until_s = now + REPORT_INTERVAL_S
            self._router.report(
                f"the authenticator {self._options.authenticator} for {self._method} {why}; clients are refused"
            )
        return UNAVAILABLE


def _details(applicant: Applicant) -> dict[str, Any]:
    """Return what a dynamic authenticator is told of `applicant`: no cookie, no octets of the channel."""
    facts = applicant.facts
    transport: dict[str, Any] = {
        "peer": facts.address,
        "is_secure": facts.is_encrypted,
        "is_local": facts.is_local,
    }
    if facts.certificate is not None:
        transport["client_cert"] = {
            "sha1": facts.certificate.sha1,
            "sha256": facts.certificate.sha256,
            "subject": facts.certificate.subject,
        }
    return {
        "authmethod": applicant.method,
        "authextra": dict(applicant.authextra),
        "transport": transport,
    }


def _asked(options: DynamicOptions | FunctionOptions) -> dict[str, Any]:
    """Return what says who is asked, and how; not for how long."""
    asked: dict[str, Any] = msgspec.to_builtins(options)
    del asked["timeout_s"]
    return asked


def _evidence(value: object) -> bytes:
    # Unlike JSON, this is made of every text: one out of an environment variable may have surrogates.
    return repr(value).encode()


def _converted(payload: Payload, answer: type[Answer[CredentialsT]]) -> Answer[CredentialsT]:
    args, kwargs = payload.decoded()
    if len(args) + bool(kwargs) != 1:
        raise msgspec.ValidationError("it should return one value")
    value = args[0] if args else kwargs
    return msgspec.convert({"role": value} if isinstance(value, str) else value, answer)
