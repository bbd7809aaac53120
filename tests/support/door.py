"""A realm behind methods of authentication, and clients that knock."""

from collections.abc import Sequence
from typing import Any

import msgspec

from heliograph.auth.facts import ConnectionFacts
from heliograph.auth.options import AuthOptions, BackoffOptions
from heliograph.routing.authenticators.assembly import Authenticators
from heliograph.routing.authenticators.cookie import Cookies
from heliograph.routing.options import RoleOptions
from heliograph.wamp.messages import Abort, Authenticate, Challenge, Message, Welcome
from tests.support.recording import OPEN_ROLE, Bench, SessionPair, hello

FAR_AWAY = ConnectionFacts(address="192.0.2.7")
FRONTEND = RoleOptions(name="frontend")
BACKEND = RoleOptions(name="backend", permissions=OPEN_ROLE.permissions)

NEVER = BackoffOptions(max_failures=0)

DENIED = ("wamp.error.authentication_denied", "the credentials are not right")


class Door:
    """One transport of a router on the bench.

    Args:
        auth: its methods, as in a configuration.
        backoff: when an address is refused.
        cookies: whether its clients have any.
        before: the same transport before the router was started anew: its cookies are known still.
        bench: the router, if there is one already.
        roles: of the realm.
    """

    def __init__(
        self,
        auth: dict[str, Any],
        *,
        backoff: BackoffOptions = NEVER,
        cookies: bool = False,
        before: "Door | None" = None,
        bench: Bench | None = None,
        roles: Sequence[RoleOptions] = (OPEN_ROLE, FRONTEND, BACKEND),
    ) -> None:
        self.bench = bench or Bench(roles)
        self.reports: list[str] = []
        self.bench.router.report = self.reports.append
        remembered = None
        if before is not None:
            assert before.cookies is not None
            remembered = before.cookies.remembered
            self.bench.clock.time_s = before.bench.clock.time_s
        self.cookies = Cookies(3600.0, self.bench.clock, remembered=remembered) if cookies else None
        self.authenticators = Authenticators(
            msgspec.convert(auth, AuthOptions), self.bench.router, backoff=backoff, cookies=self.cookies
        )

    def connect(self, facts: ConnectionFacts = FAR_AWAY) -> SessionPair:
        return SessionPair(self.bench.router, facts=facts, authenticators=self.authenticators)

    def knock(
        self, *methods: str, facts: ConnectionFacts = FAR_AWAY, **details: Any
    ) -> tuple[SessionPair, Message]:
        """Say HELLO and return the session and the only answer."""
        pair = self.connect(facts)
        (answer,) = pair.says(hello(authmethods=list(methods), **details))
        return pair, answer

    def challenge(self, *methods: str, **details: Any) -> tuple[SessionPair, Challenge]:
        """Say HELLO and return the session and its CHALLENGE."""
        pair, answer = self.knock(*methods, **details)
        assert isinstance(answer, Challenge), answer
        return pair, answer


def answers(pair: SessionPair, signature: str, **extra: Any) -> Message:
    """Answer CHALLENGE and return the only answer to that."""
    (answer,) = pair.says(Authenticate(signature, extra))
    return answer


def refused(answer: Message) -> tuple[str, str | None]:
    """Return the reason and the text of an ABORT."""
    assert isinstance(answer, Abort), answer
    return answer.reason, answer.details.message


def welcomed(answer: Message) -> tuple[str | None, str | None, str | None, str | None]:
    """Return authid, role, method and provider of a WELCOME."""
    assert isinstance(answer, Welcome), answer
    details = answer.details
    return details.authid, details.authrole, details.authmethod, details.authprovider
