"""The words authenticators and sessions speak with each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from heliograph.auth.facts import ConnectionFacts
from heliograph.auth.principal import Principal
from heliograph.wamp.errors import AUTHENTICATION_DENIED, AUTHENTICATION_FAILED
from heliograph.wamp.messages import Authenticate


class Applicant(Struct, frozen=True):
    """Who wants to join.

    Attributes:
        realm: the realm asked for.
        method: the method, as the client spells it.
        authid: who it says it is.
        authextra: what else it says.
        facts: what the transport knows of it.
        reserve_id: returns the id its session will have, in the realm named, or the one asked for.
        stop_with: takes what gives up a question about it, should it go before the answer.
    """

    realm: str
    method: str
    authid: str | None
    authextra: Mapping[str, Any]
    facts: ConnectionFacts
    reserve_id: Callable[[str | None], int]
    stop_with: Callable[[Callable[[], object]], None]

    def __repr__(self) -> str:
        # `authextra` may hold whatever the client keeps secret.
        return f"Applicant({self.realm!r}, {self.method!r}, {self.authid!r})"


class Grant(Struct, frozen=True):
    """The applicant is let in.

    Attributes:
        principal: as whom.
        realm: the realm it joins, where it is not the one asked for.
        authextra: what WELCOME tells beside that.
    """

    principal: Principal
    realm: str | None = None
    authextra: dict[str, Any] | None = None


class Question(Struct, frozen=True):
    """The applicant is asked something.

    Attributes:
        method: of CHALLENGE.
        extra: of CHALLENGE.
        judge: goes on when the answer is there.
    """

    method: str
    extra: dict[str, Any]
    judge: Callable[[Authenticate, Then], None]


class Refusal(Struct, frozen=True):
    """The applicant is not let in.

    Attributes:
        uri: of ABORT.
        text: of ABORT.
    """

    uri: str
    text: str


Step = Grant | Question | Refusal | None
"""None: this authenticator has nothing to say, another one may."""

Then = Callable[[Step], None]

DENIED = Refusal(AUTHENTICATION_DENIED, "the credentials are not right")
"""For an unknown principal, a wrong secret, the wrong realm and an answer that cannot be read: they look alike."""

UNAVAILABLE = Refusal(
    AUTHENTICATION_FAILED, "who decides about this method cannot be asked at the moment: try again later"
)
"""For whoever is asked by an authenticator that is not there, does not answer in time, or answers nonsense."""


class Standing(Struct, frozen=True):
    """What counts now for somebody who has authenticated earlier.

    Attributes:
        role: of its sessions; None where only the authenticator could tell, so the one it told earlier counts.
        evidence: changes with what the principal authenticates by: it then has to do so anew.
    """

    role: str | None
    evidence: bytes

    def __repr__(self) -> str:
        # The evidence is made of credentials.
        return f"Standing({self.role!r})"


class Principals(Protocol):
    """The principals of one method on one transport."""

    def standing(self, authid: str, realm: str) -> Standing | None:
        """Return what counts now for the principal `authid` in `realm`; None when it may not join there any more."""


class Authenticator(Protocol):
    """One method on one transport."""

    @property
    def principals(self) -> Principals | None:
        """Who may be known again by a cookie; None for a method that proves nothing itself."""

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Go on with the first step for `applicant`, at once or later, once."""
