"""`scram`: client and router prove to each other that they know a password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from msgspec import field

from heliograph.auth import scram
from heliograph.auth.encoding import from_hex
from heliograph.auth.errors import AuthenticationFailed
from heliograph.auth.options import ScramPrincipal
from heliograph.auth.scram_record import KEY_BYTES, Method, Record
from heliograph.routing.authenticators.fakes import Fakes
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

MAX_SALT_BYTES = 128


class ScramAnswer(Answer[Record], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a dynamic authenticator answers for scram; octets in hexadecimal."""

    kdf: Literal["argon2id13", "argon2id-13", "pbkdf2"]
    iterations: int
    memory: int | None = None
    salt: str
    stored_key: str = field(name="stored-key")
    server_key: str = field(name="server-key")

    def credentials(self) -> Record:
        """Return the record."""
        return _record(self)


class StaticScram:
    """Knows records from the configuration.

    Args:
        principals: by authid.
        router: has random octets.
    """

    def __init__(self, principals: Mapping[str, ScramPrincipal], router: Router) -> None:
        known = {
            authid: Known(authid, principal.role, principal.realm, _record(principal))
            for authid, principal in principals.items()
        }
        records = [entry.credentials for entry in known.values()]
        self.principals = StaticPrincipals(known)
        self._fakes = Fakes(records, b"".join(record.stored_key + record.server_key for record in records))
        self._router = router

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Challenge the applicant, whoever it is."""
        fake = _fake(self._fakes, applicant)
        known = self.principals.find(applicant, applicant.authid)
        then(_challenge(applicant, known, fake, self._router, self.principals.provider))


class DynamicScram:
    """Asks a procedure for the record.

    Args:
        principals: where it is asked.
        router: has random octets.
    """

    def __init__(self, principals: DynamicPrincipals[Record], router: Router) -> None:
        self.principals = principals
        self._fakes: Fakes[Record] = Fakes([])
        self._router = router

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Ask for the record, and challenge the applicant even when there is none."""

        def found(known: Found[Record]) -> None:
            if isinstance(known, Refusal):
                then(known)
                return
            if known is not None:
                self._fakes.learn(known.credentials)
            fake = _fake(self._fakes, applicant)
            then(_challenge(applicant, known, fake, self._router, self.principals.provider))

        self.principals.find(applicant, found)


def _challenge(
    applicant: Applicant, known: Known[Record] | None, fake: Record, router: Router, provider: str
) -> Step:
    method = cast(Method, applicant.method)
    record = fake if known is None else known.credentials
    if not record.serves(method):
        # The other dialect may; a fake record is as likely not to.
        return None
    try:
        exchange = scram.ServerExchange(
            method,
            record,
            authid=applicant.authid or "",
            hello_extra=applicant.authextra,
            server_nonce=router.random_bytes(scram.NONCE_BYTES),
            channel_ids=applicant.facts.channel_ids,
        )
    except AuthenticationFailed as error:
        return Refusal(error.reason, error.message)

    def judge(answer: Authenticate, then: Then) -> None:
        then(_judge(applicant, known, exchange, answer, provider))

    return Question(applicant.method, exchange.challenge_extra, judge)


def _judge(
    applicant: Applicant,
    known: Known[Record] | None,
    exchange: scram.ServerExchange,
    answer: Authenticate,
    provider: str,
) -> Step:
    try:
        proof: dict[str, Any] = exchange.verify(answer.signature, answer.extra)
    except AuthenticationFailed:
        return DENIED
    return DENIED if known is None else known.grant(applicant, provider, proof)


def _record(given: ScramPrincipal | ScramAnswer) -> Record:
    salt = bytes.fromhex(given.salt)
    if not 0 < len(salt) <= MAX_SALT_BYTES or given.iterations < 1:
        raise ValueError("out of range")
    return Record(
        kdf=given.kdf,
        salt=salt,
        iterations=given.iterations,
        memory_kib=None if given.kdf == "pbkdf2" else given.memory,
        stored_key=from_hex(given.stored_key, KEY_BYTES),
        server_key=from_hex(given.server_key, KEY_BYTES),
    )


def _fake(fakes: Fakes[Record], applicant: Applicant) -> Record:
    model = fakes.model(applicant.authid)
    method = cast(Method, applicant.method)
    like = [] if model is None else [model]
    if model is not None and not model.serves(method):
        return model
    return scram.fake_record(applicant.authid or "", fakes.secret, like, method=method)
