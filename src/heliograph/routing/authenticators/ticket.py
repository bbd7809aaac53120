"""`ticket`: the client shows a secret."""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.auth import ticket
from heliograph.auth.options import TicketPrincipal
from heliograph.routing.authenticators.fakes import Fakes
from heliograph.routing.authenticators.principals import (
    DynamicPrincipals,
    Found,
    Known,
    StaticPrincipals,
)
from heliograph.routing.authenticators.steps import DENIED, Applicant, Question, Refusal, Then
from heliograph.wamp.messages import Authenticate

MAX_TICKET_LENGTH = 16 * 1024
"""Characters of a ticket that are looked at; signed tokens have some hundred."""


class StaticTicket:
    """Compares the ticket with that of the configuration.

    Args:
        principals: by authid.
        tickets: the ticket or its hash, by authid.
    """

    def __init__(self, principals: Mapping[str, TicketPrincipal], tickets: Mapping[str, str]) -> None:
        known = {
            authid: Known(authid, principal.role, principal.realm, tickets[authid])
            for authid, principal in principals.items()
        }
        self.principals = StaticPrincipals(known)
        # Somebody who does not exist has a ticket too, one nobody knows, kept as those of others are.
        self._fakes = Fakes(
            [ticket.is_hashed(stored) for stored in tickets.values()], "\0".join(tickets.values()).encode()
        )

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Ask for the ticket, whoever it is."""
        then(Question(applicant.method, {}, lambda answer, then: self._judge(applicant, answer, then)))

    def _judge(self, applicant: Applicant, answer: Authenticate, then: Then) -> None:
        known = self.principals.find(applicant, applicant.authid)
        drawn = self._fakes.draw("ticket", applicant.authid).hex()
        is_hashed = self._fakes.model(applicant.authid)
        stored = known.credentials if known else f"sha256${drawn[:32]}${drawn}" if is_hashed else drawn
        is_short = len(answer.signature) <= MAX_TICKET_LENGTH
        is_right = ticket.is_right(stored, answer.signature if is_short else "")
        if known is not None and is_right and is_short:
            then(known.grant(applicant, self.principals.provider))
        else:
            then(DENIED)


class DynamicTicket:
    """Shows the ticket to a procedure.

    Args:
        principals: where it is asked.
    """

    def __init__(self, principals: DynamicPrincipals[None]) -> None:
        self.principals = principals

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Ask for the ticket, whoever it is."""
        then(Question(applicant.method, {}, lambda answer, then: self._judge(applicant, answer, then)))

    def _judge(self, applicant: Applicant, answer: Authenticate, then: Then) -> None:
        if len(answer.signature) > MAX_TICKET_LENGTH:
            then(DENIED)
            return

        def found(known: Found[None]) -> None:
            if known is None or isinstance(known, Refusal):
                then(known or DENIED)
            else:
                then(known.grant(applicant, self.principals.provider))

        self.principals.find(applicant, found, {"ticket": answer.signature})
