"""`wampcra`: the client signs a challenge with a shared secret."""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from heliograph.auth import wampcra
from heliograph.auth.options import CraPrincipal
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

NONCE_BYTES = 32

MAX_ROUNDS = 10_000
"""Of PBKDF2, for the secret of one dynamic answer: some milliseconds in which the router does nothing else."""

DERIVED_KEYS = 1024
"""Keys of salted secrets that are remembered."""


class CraKeys(Struct, frozen=True):
    """What a principal signs with.

    Attributes:
        keys: those that are right. A salted secret is kept as the password by some and as the derived key by others.
        salting: what CHALLENGE tells of it, nothing where it is not salted.
    """

    keys: tuple[bytes, ...]
    salting: dict[str, Any]

    def __repr__(self) -> str:
        return "CraKeys()"


class CraAnswer(Answer[CraKeys], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a dynamic authenticator answers for wampcra."""

    secret: str
    salt: str | None = None
    iterations: int = 1000
    keylen: int = 32

    def credentials(self) -> CraKeys:
        """Return the keys."""
        if not (self.secret and self.iterations > 0 and 0 < self.keylen <= wampcra.MAX_KEY_BYTES):
            raise ValueError("out of range")
        return _keys(self.secret, self.salt, self.iterations, self.keylen, MAX_ROUNDS)


class StaticCra:
    """Knows the secrets from the configuration.

    Args:
        users: by authid.
        secrets: their secrets, by authid.
        router: has the time and random octets.
    """

    def __init__(self, users: Mapping[str, CraPrincipal], secrets: Mapping[str, str], router: Router) -> None:
        known = {
            authid: Known(
                authid,
                user.role,
                user.realm,
                _keys(secrets[authid], user.salt, user.iterations, user.keylen),
            )
            for authid, user in users.items()
        }
        self.principals = StaticPrincipals(known)
        self._exchange = _Exchange(router, self.principals.provider)
        self._fakes = Fakes(
            [_Model(entry.role, entry.credentials.salting) for entry in known.values()],
            "\0".join(secrets.values()).encode(),
        )

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Challenge the applicant, whoever it is."""
        fake = _fake(self._fakes, applicant.authid)
        known = self.principals.find(applicant, applicant.authid)
        then(self._exchange.question(applicant, known, fake))


class DynamicCra:
    """Asks a procedure for the secret.

    Args:
        principals: where it is asked.
        router: has the time and random octets.
    """

    def __init__(self, principals: DynamicPrincipals[CraKeys], router: Router) -> None:
        self.principals = principals
        self._exchange = _Exchange(router, principals.provider)
        self._fakes: Fakes[_Model] = Fakes([])

    def begin(self, applicant: Applicant, then: Then) -> None:
        """Ask for the secret, and challenge the applicant even when there is none."""

        def found(known: Found[CraKeys]) -> None:
            if isinstance(known, Refusal):
                then(known)
                return
            if known is not None:
                self._fakes.learn(_Model(known.role, known.credentials.salting))
            then(self._exchange.question(applicant, known, _fake(self._fakes, applicant.authid)))

        self.principals.find(applicant, found)


class _Model(Struct, frozen=True):
    role: str
    salting: dict[str, Any]


class _Exchange:
    """Challenge and answer, for a principal or for nobody."""

    def __init__(self, router: Router, provider: str) -> None:
        self._router = router
        self._provider = provider

    def question(self, applicant: Applicant, known: Known[CraKeys] | None, fake: Known[CraKeys]) -> Question:
        shown = known or fake
        challenge = wampcra.challenge_text(
            authid=shown.authid,
            authrole=shown.role,
            authprovider=self._provider,
            nonce=base64.b64encode(self._router.random_bytes(NONCE_BYTES)).decode(),
            timestamp=_timestamp(self._router.clock.now_s()),
            session=applicant.reserve_id(shown.realm),
        )
        keys = shown.credentials

        def judge(answer: Authenticate, then: Then) -> None:
            then(self._judge(applicant, known, _signed(keys.keys, challenge, answer.signature)))

        return Question(applicant.method, {"challenge": challenge, **keys.salting}, judge)

    def _judge(self, applicant: Applicant, known: Known[CraKeys] | None, is_right: bool) -> Step:  # noqa: FBT001
        return known.grant(applicant, self._provider) if known is not None and is_right else DENIED


def _signed(keys: tuple[bytes, ...], challenge: str, signature: str) -> bool:
    # Each is tried, whichever is right.
    return sum(wampcra.is_right(key, challenge, signature) for key in keys) > 0


def _keys(
    secret: str, salt: str | None, iterations: int, keylen: int, max_rounds: int | None = None
) -> CraKeys:
    plain = wampcra.key_of(secret)
    if salt is None:
        return CraKeys((plain,), {})
    salting = {"salt": salt, "keylen": keylen, "iterations": iterations}
    if max_rounds is not None and iterations > max_rounds:
        return CraKeys((plain,), salting)
    return CraKeys((_derived(secret, salt, iterations, keylen), plain), salting)


@functools.lru_cache(maxsize=DERIVED_KEYS)
def _derived(secret: str, salt: str, iterations: int, keylen: int) -> bytes:
    """Return the key of a salted secret; whoever says HELLO again and again makes it work once."""
    return wampcra.derive_key(secret, salt, iterations=iterations, keylen=keylen)


def _fake(fakes: Fakes[_Model], authid: str | None) -> Known[CraKeys]:
    model = fakes.model(authid) or _Model("anonymous", {})
    key = base64.b64encode(fakes.draw("key", authid))
    salting = dict(model.salting)
    if "salt" in salting:
        salting["salt"] = _like(salting["salt"], fakes, authid)
    # As many keys as somebody real has: each costs a comparison.
    return Known(authid or "", model.role, None, CraKeys((key, key) if salting else (key,), salting))


def _like(salt: str, fakes: Fakes[Any], authid: str | None) -> str:
    """Return a salt that looks as if drawn by whoever has drawn `salt`: of its characters and its length."""
    letters = _alphabet(salt)
    drawn = b""
    while len(drawn) < len(salt):
        drawn += fakes.draw(f"salt {len(drawn)}", authid)
    return "".join(letters[octet % len(letters)] for octet in drawn[: len(salt)])


def _alphabet(salt: str) -> str:
    kinds = (
        "0123456789abcdef",
        "0123456789ABCDEF",
        "0123456789abcdefghijklmnopqrstuvwxyz",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    )
    return next((letters for letters in kinds if set(salt) <= set(letters)), kinds[-1])


def _timestamp(now_s: float) -> str:
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
