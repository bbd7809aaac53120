"""`wampcra`: a challenge signed with a shared secret (specification, "Challenge Response Authentication")."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from heliograph.auth.encoding import octets_of, to_base64
from heliograph.auth.errors import ChallengeRefused

METHOD = "wampcra"

MAX_ITERATIONS = 5_000_000
"""What a client computes at a router's word, in rounds of PBKDF2: a few seconds."""

MAX_KEY_BYTES = 64

_ROUND_BYTES = 32


def challenge_text(
    *, authid: str, authrole: str, authprovider: str, nonce: str, timestamp: str, session: int
) -> str:
    """Return what the client is to sign: JSON that says who it will be.

    Args:
        authid: the authid it will have.
        authrole: the role it will have.
        authprovider: what vouches for it.
        nonce: random text, new each time.
        timestamp: now in UTC, as ISO 8601.
        session: the id its session will have.
    """
    return msgspec.json.encode(
        {
            "authid": authid,
            "authrole": authrole,
            "authmethod": METHOD,
            "authprovider": authprovider,
            "nonce": nonce,
            "timestamp": timestamp,
            "session": session,
        }
    ).decode()


def key_of(secret: str) -> bytes:
    """Return the key of a secret that is used as it is."""
    return octets_of(secret)


def derive_key(secret: str, salt: str, *, iterations: int = 1000, keylen: int = 32) -> bytes:
    """Return the key of a salted secret.

    It is the base64 *text* of what PBKDF2 yields, not its octets. The specification does not say so; every
    implementation does it.

    Args:
        secret: the secret.
        salt: text, different for each principal.
        iterations: rounds of HMAC-SHA256.
        keylen: length before base64, in bytes.
    """
    derived = hashlib.pbkdf2_hmac("sha256", octets_of(secret), octets_of(salt), iterations, keylen)
    return to_base64(derived).encode()


def sign(key: bytes, challenge: str) -> str:
    """Return the signature of `challenge`: base64 of its HMAC-SHA256."""
    return to_base64(hmac.digest(key, octets_of(challenge), "sha256"))


def is_right(key: bytes, challenge: str, signature: str) -> bool:
    """Return whether `signature` was made with `key`, in a time that tells nothing."""
    return hmac.compare_digest(sign(key, challenge).encode(), octets_of(signature))


def response(secret: str, extra: Mapping[str, Any]) -> str:
    """Return the client's answer to a challenge. With a salt in it this takes time: keep it off an event loop.

    Args:
        secret: the shared secret.
        extra: CHALLENGE.Extra.

    Raises:
        ChallengeRefused: it has no challenge, or asks for unreasonable work.
    """
    challenge = extra.get("challenge")
    if not isinstance(challenge, str):
        raise ChallengeRefused("the router's wampcra challenge has no text to sign")
    salt = extra.get("salt")
    if salt is None:
        return sign(key_of(secret), challenge)
    if not isinstance(salt, str):
        raise ChallengeRefused("the router's wampcra challenge has a salt that is no text")
    # Autobahn's and Crossbar.io's defaults
    iterations = _count(extra.get("iterations", 1000), "iterations")
    keylen = _count(extra.get("keylen", 32), "keylen")
    if keylen > MAX_KEY_BYTES or iterations * -(-keylen // _ROUND_BYTES) > MAX_ITERATIONS:
        raise ChallengeRefused(
            f"the router asks for {iterations} iterations for {keylen} bytes; "
            f"at most {MAX_ITERATIONS} iterations and {MAX_KEY_BYTES} bytes are done here"
        )
    return sign(derive_key(secret, salt, iterations=iterations, keylen=keylen), challenge)


def _count(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ChallengeRefused(f"the router's wampcra challenge has {name} that is no positive integer")
    return value
