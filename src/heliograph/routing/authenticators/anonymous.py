"""`anonymous`: nobody is asked anything, but perhaps a procedure about them."""

from __future__ import annotations

from msgspec import structs

from heliograph.auth import anonymous
from heliograph.auth.options import AnonymousOptions
from heliograph.auth.principal import Principal
from heliograph.routing.authenticators.principals import DynamicPrincipals, Found
from heliograph.routing.authenticators.steps import DENIED, Applicant, Grant, Refusal, Then
from heliograph.wamp.ids import RandomId


class StaticAnonymous:
    """Lets everybody in.

    Args:
        options: as whom.
        random_id: draws authids.
    """

    principals = None

    def __init__(self, options: AnonymousOptions, random_id: RandomId) -> None:
        self._options = options
        self._random_id = random_id

    def begin(self, _applicant: Applicant, then: Then) -> None:
        """Let the applicant in."""
        then(self.grant())

    def grant(self) -> Grant:
        """Return the step that lets anybody in."""
        options = self._options
        if options.authid is None:
            return Grant(anonymous.principal(options.role, self._random_id))
        return Grant(Principal(options.authid, options.role, anonymous.METHOD, "static"))


class DynamicAnonymous:
    """Lets in whom a procedure lets in; an authid the client chose proves nothing.

    Args:
        principals: where it is asked.
        random_id: draws authids where it names none.
    """

    principals = None

    def __init__(self, principals: DynamicPrincipals[None], random_id: RandomId) -> None:
        self._principals = principals
        self._random_id = random_id

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Ask."""
        drawn = anonymous.principal("", self._random_id).authid
        named = structs.replace(applicant, authid=drawn)

        def found(known: Found[None]) -> None:
            if known is None or isinstance(known, Refusal):
                then(known or DENIED)
            else:
                then(known.grant(applicant, self._principals.provider))

        self._principals.find(named, found)
