"""`tls`: the client is known by the certificate it showed in the TLS handshake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from heliograph.auth.facts import ClientCertificate
from heliograph.auth.options import TlsPrincipal
from heliograph.routing.authenticators.principals import DynamicPrincipals, Found, Known, StaticPrincipals
from heliograph.routing.authenticators.steps import DENIED, Applicant, Refusal, Then


class StaticTls:
    """Knows certificates from the configuration.

    Args:
        principals: by authid.
    """

    def __init__(self, principals: Mapping[str, TlsPrincipal]) -> None:
        known = {
            authid: Known(authid, principal.role, principal.realm, _named_by(principal))
            for authid, principal in principals.items()
        }
        self.principals = StaticPrincipals(known)
        self._authids = {entry.credentials: authid for authid, entry in known.items()}

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Let the applicant in if its certificate is known, else leave it to another method."""
        certificate = applicant.facts.certificate
        if certificate is None:
            then(None)
            return
        for mark in _marks(certificate):
            authid = self._authids.get(mark)
            known = self.principals.find(applicant, authid)
            if known is not None and applicant.authid in (None, authid):
                then(known.grant(applicant, self.principals.provider))
                return
        then(None)


class DynamicTls:
    """Asks a procedure whose certificate it is.

    Args:
        principals: where it is asked.
    """

    def __init__(self, principals: DynamicPrincipals[None]) -> None:
        self.principals = principals

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Ask, if there is a certificate."""
        if applicant.facts.certificate is None:
            then(None)
            return

        def found(known: Found[None]) -> None:
            if known is None or isinstance(known, Refusal):
                then(known or DENIED)
            else:
                then(known.grant(applicant, self.principals.provider))

        self.principals.find(applicant, found)


def _named_by(principal: TlsPrincipal) -> tuple[str, str]:
    if principal.certificate_sha256 is not None:
        return "sha256", principal.certificate_sha256.replace(":", "").lower()
    if principal.certificate_sha1 is not None:
        return "sha1", principal.certificate_sha1.replace(":", "").lower()
    return "subject", principal.subject or ""


def _marks(certificate: ClientCertificate) -> Iterator[tuple[str, str]]:
    """What a certificate may be known by, the narrowest first."""
    yield "sha256", certificate.sha256
    yield "sha1", certificate.sha1
    yield "subject", certificate.subject
