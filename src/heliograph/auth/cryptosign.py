"""`cryptosign`: a challenge signed with an Ed25519 key (specification, "Cryptosign-based Authentication")."""

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from heliograph.auth.encoding import from_hex, xor
from heliograph.auth.errors import ChallengeRefused, LibraryMissing

if TYPE_CHECKING:
    from nacl import signing

METHOD = "cryptosign"

KEY_BYTES = 32
CHALLENGE_BYTES = 32
SIGNATURE_BYTES = 64


def new_private_key() -> bytes:
    """Return a random private key, its 32 octets; raises `LibraryMissing` without PyNaCl."""
    return bytes(_nacl().SigningKey.generate())


def public_key(private_key: bytes) -> str:
    """Return the public key that belongs to a private one, in hexadecimal; raises `LibraryMissing` without PyNaCl."""
    return bytes(_nacl().SigningKey(private_key).verify_key).hex()


def check_installed() -> None:
    """Raise `LibraryMissing` unless signatures can be checked here."""
    _nacl()


def is_public_key(text: object) -> bool:
    """Return whether `text` is written like a public key: 64 hexadecimal digits."""
    try:
        from_hex(text, KEY_BYTES)
    except ValueError:
        return False
    return True


def challenge_extra(challenge: bytes, channel_binding: str | None = None) -> dict[str, Any]:
    """Return CHALLENGE.Extra.

    Args:
        challenge: 32 random octets.
        channel_binding: the type of channel identity that is signed along, if one is.
    """
    return {"challenge": challenge.hex(), "channel_binding": channel_binding}


def hello_extra(private_key: bytes) -> dict[str, Any]:
    """Return HELLO.Details.authextra; raises `LibraryMissing` without PyNaCl."""
    return {"pubkey": public_key(private_key), "channel_binding": None}


def sign_challenge(private_key: bytes, challenge_hex: str, channel_id: bytes | None = None) -> str:
    """Return the signature with the 32 octets that were signed behind it, in hexadecimal.

    Args:
        private_key: its 32 octets.
        challenge_hex: CHALLENGE.Extra.challenge.
        channel_id: 32 octets that identify the TLS channel, when it is bound.

    Raises:
        ValueError: the challenge is not 64 hexadecimal digits, or the channel's identity not 32 octets.
        LibraryMissing: PyNaCl is not installed.
    """
    message = _message(challenge_hex, channel_id)
    signature: bytes = _nacl().SigningKey(private_key).sign(message).signature
    return (signature + message).hex()


def response(private_key: bytes, extra: Mapping[str, Any]) -> str:
    """Return the client's answer to CHALLENGE.Extra; it never asks for a channel binding.

    Raises:
        ChallengeRefused: the challenge is malformed, or bound to a channel.
        LibraryMissing: PyNaCl is not installed.
    """
    # "The authenticating client MUST verify the actual channel binding in use matches the one it requested."
    if extra.get("channel_binding") is not None:
        raise ChallengeRefused(
            "the router's cryptosign challenge has a channel binding that was not asked for"
        )
    try:
        return sign_challenge(private_key, extra.get("challenge", ""))
    except ValueError:
        raise ChallengeRefused("the router's cryptosign challenge is not 64 hexadecimal digits") from None


def is_right(
    public_key_hex: str, challenge_hex: str, signature: str, channel_id: bytes | None = None
) -> bool:
    """Return whether `signature` was made for this challenge with the private key of `public_key_hex`.

    Args:
        public_key_hex: the principal's public key.
        challenge_hex: what was sent as CHALLENGE.Extra.challenge.
        signature: AUTHENTICATE.Signature, whatever it may hold.
        channel_id: 32 octets that identify the TLS channel, when it is bound.

    Raises:
        LibraryMissing: PyNaCl is not installed.
    """
    nacl = _nacl()
    message = _message(challenge_hex, channel_id)
    try:
        answer = from_hex(signature, SIGNATURE_BYTES + CHALLENGE_BYTES)
        key = nacl.VerifyKey(from_hex(public_key_hex, KEY_BYTES))
    except ValueError:
        return False
    # "concatenation of the signature and the message signed (96 bytes)": what is behind the signature counts, too.
    is_same = hmac.compare_digest(answer[SIGNATURE_BYTES:], message)
    return _verifies(key, message, answer[:SIGNATURE_BYTES]) and is_same


def _verifies(key: "signing.VerifyKey", message: bytes, signature: bytes) -> bool:
    from nacl.exceptions import BadSignatureError

    try:
        key.verify(message, signature)
    except BadSignatureError:
        return False
    return True


def _message(challenge_hex: str, channel_id: bytes | None) -> bytes:
    challenge = from_hex(challenge_hex, CHALLENGE_BYTES)
    return challenge if channel_id is None else xor(challenge, channel_id)


def _nacl() -> Any:
    try:
        from nacl import signing
    except ImportError:
        raise LibraryMissing("cryptosign", "PyNaCl") from None
    return signing
