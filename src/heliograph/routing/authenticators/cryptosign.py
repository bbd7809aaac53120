"""`cryptosign`: the client signs a challenge with its private key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from heliograph.auth import cryptosign
from heliograph.auth.options import CryptosignPrincipal
from heliograph.routing.authenticators.principals import (
    Answer,
    DynamicPrincipals,
    Found,
    Known,
    StaticPrincipals,
)
from heliograph.routing.authenticators.steps import DENIED, Applicant, Question, Refusal, Step, Then
from heliograph.wamp.messages import Authenticate

if TYPE_CHECKING:
    from heliograph.routing.router import Router

Keys = frozenset[str]
"""Public keys, in hexadecimal of lower case."""


class CryptosignAnswer(Answer[Keys], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a dynamic authenticator answers for cryptosign."""

    pubkey: str

    def credentials(self) -> Keys:
        """Return the key."""
        if not cryptosign.is_public_key(self.pubkey):
            raise ValueError("no key")
        return frozenset({self.pubkey.lower()})


class StaticCryptosign:
    """Knows public keys from the configuration.

    Args:
        principals: by authid.
        router: has random octets.
    """

    def __init__(self, principals: Mapping[str, CryptosignPrincipal], router: Router) -> None:
        cryptosign.check_installed()
        known = {
            authid: Known(
                authid,
                principal.role,
                principal.realm,
                frozenset(key.lower() for key in principal.authorized_keys),
            )
            for authid, principal in principals.items()
        }
        self.principals = StaticPrincipals(known)
        self._authids: dict[str, list[str]] = {}
        for authid, entry in known.items():
            for key in entry.credentials:
                self._authids.setdefault(key, []).append(authid)
        self._router = router

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Challenge the applicant, whoever it is."""
        key = _offered_key(applicant)
        then(_challenge(applicant, self._find(applicant, key), key, self._router, self.principals.provider))

    def _find(self, applicant: Applicant, key: str | None) -> Known[Keys] | None:
        if applicant.authid is not None:
            return self.principals.find(applicant, applicant.authid)
        named = (self.principals.find(applicant, authid) for authid in self._authids.get(key or "", []))
        found = [known for known in named if known is not None]
        # Two principals with one key have to say who they are.
        return found[0] if len(found) == 1 else None


class DynamicCryptosign:
    """Asks a procedure for the principal that has a public key.

    Args:
        principals: where it is asked.
        router: has random octets.
    """

    def __init__(self, principals: DynamicPrincipals[Keys], router: Router) -> None:
        cryptosign.check_installed()
        self.principals = principals
        self._router = router

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Ask for the key, and challenge the applicant even when there is none."""
        key = _offered_key(applicant)

        def found(known: Found[Keys]) -> None:
            if isinstance(known, Refusal):
                then(known)
            else:
                then(_challenge(applicant, known, key, self._router, self.principals.provider))

        self.principals.find(applicant, found, {"pubkey": key})


def _offered_key(applicant: Applicant) -> str | None:
    key = applicant.authextra.get("pubkey")
    return key.lower() if isinstance(key, str) and cryptosign.is_public_key(key) else None


def _challenge(
    applicant: Applicant, known: Known[Keys] | None, key: str | None, router: Router, provider: str
) -> Step:
    if key is None:
        return Refusal(DENIED.uri, "cryptosign needs HELLO.Details.authextra.pubkey: 64 hexadecimal digits")
    binding = applicant.authextra.get("channel_binding")
    channel_id = None
    if binding is not None:
        channel = applicant.facts.channel_ids.get(binding) if isinstance(binding, str) else None
        if channel is None:
            return Refusal(DENIED.uri, "the channel binding that HELLO wants is not available here")
        # What is signed has 32 octets; a channel's own id has fewer or more.
        channel_id = hashlib.sha256(channel).digest()
    challenge = router.random_bytes(cryptosign.CHALLENGE_BYTES)
    extra = cryptosign.challenge_extra(challenge, binding)
    is_authorized = known is not None and key in known.credentials

    def judge(answer: Authenticate, then: Then) -> None:
        # A key that nobody here has is checked as well, and takes as long.
        is_right = cryptosign.is_right(key, challenge.hex(), answer.signature, channel_id)
        if known is not None and is_authorized and is_right:
            then(known.grant(applicant, provider))
        else:
            then(DENIED)

    return Question(applicant.method, extra, judge)
