"""`ticket`: a secret that is shown as it is (specification, "Ticket-based Authentication")."""

import hashlib
import hmac
import re
import secrets

from heliograph.auth.encoding import octets_of

METHOD = "ticket"

_PREFIX = "sha256$"
_HASHED = re.compile(r"sha256\$[0-9a-f]{16,}\$[0-9a-f]{64}\Z")


def hash_ticket(ticket: str, *, salt: str | None = None) -> str:
    """Return `sha256$<salt>$<digest>`, which can be kept in place of `ticket`.

    One round is right for what a machine has drawn: nobody guesses 128 random bits, however fast. It is no way to
    keep a password that a person has chosen; that is what scram is for.

    Args:
        ticket: the secret.
        salt: at least 16 hexadecimal digits; random ones by default.
    """
    salt = salt or secrets.token_hex(16)
    return f"{_PREFIX}{salt}${_digest(salt, ticket).hex()}"


def new_ticket() -> str:
    """Return a random ticket of 256 bits."""
    return secrets.token_urlsafe(32)


def is_hashed(stored: str) -> bool:
    """Return whether `stored` is a hash and not a ticket as it is.

    Raises:
        ValueError: it begins like a hash and is none.
    """
    if not stored.startswith(_PREFIX):
        return False
    if not _HASHED.match(stored):
        raise ValueError(
            "a hashed ticket is sha256$<salt>$<digest>, as `heliograph secret ticket` prints it; "
            "a ticket itself must not begin with sha256$"
        )
    return True


def is_right(stored: str, presented: str) -> bool:
    """Return whether `presented` is the ticket that `stored` stands for, in a time that tells nothing.

    Args:
        stored: a ticket, or what `hash_ticket` made of it.
        presented: what the client sent.
    """
    if is_hashed(stored):
        _, salt, digest = stored.split("$")
        return hmac.compare_digest(_digest(salt, presented), bytes.fromhex(digest))
    # Digests have one length, so the comparison does not tell how long the ticket is.
    return hmac.compare_digest(_digest("", stored), _digest("", presented))


def _digest(salt: str, ticket: str) -> bytes:
    return hashlib.sha256(salt.encode() + b"$" + octets_of(ticket)).digest()
