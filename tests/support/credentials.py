"""Principals for every method of authentication, with secrets that tests know.

`auth_config` is a transport's `auth` block; the names beside it are what clients present.
"""

import functools
from typing import Any, NamedTuple

from heliograph.auth import cryptosign, scram, ticket
from heliograph.auth.scram_record import Kdf, Method, Record

TICKET_USER, TICKET = "ticket-user", "t1ck3t-of-a-machine"
HASHED_TICKET_USER = "hashed-ticket-user"
"""Has the same ticket; the router keeps its hash."""

CRA_USER, CRA_SECRET = "cra-user", "s3cret-of-cra"
SALTED_CRA_USER, SALT, ITERATIONS, KEYLEN = "salted-cra-user", "s4lt", 1000, 32
"""Has the same secret, salted."""

SCRAM_PASSWORD = "pencil-päper"


class ScramUser(NamedTuple):
    """A principal for scram, whose password is `SCRAM_PASSWORD`."""

    authid: str
    method: Method
    kdf: Kdf


SCRAM_USERS = (
    ScramUser("scram-argon2-user", "wamp-scram", "argon2id13"),
    ScramUser("scram-pbkdf2-user", "wamp-scram", "pbkdf2"),
    # ASCII in its name and a dialect of its own: Autobahn, whose `scram` cannot do pbkdf2.
    ScramUser("scram-autobahn-user", "scram", "argon2id-13"),
)

CRYPTOSIGN_USER = "cryptosign-user"
PRIVATE_KEY = bytes.fromhex("4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510")

STRANGERS_KEY = bytes.fromhex("d511fe78e23934b3dadb52fcd022974b80bd92bccc7c5cf404e46cc0a8a2f5cd")
"""Belongs to nobody."""


def auth_config(role: str, *, anonymous_role: str | None = None) -> dict[str, Any]:
    """Return a transport's `auth` block with every method that needs nothing but a configuration.

    Args:
        role: what all principals become.
        anonymous_role: what becomes of those who do not authenticate; None lets none of them in.
    """
    config: dict[str, Any] = {
        "ticket": {
            "type": "static",
            "principals": {
                TICKET_USER: {"ticket": TICKET, "role": role},
                HASHED_TICKET_USER: {"ticket": ticket.hash_ticket(TICKET), "role": role},
            },
        },
        "wampcra": {
            "type": "static",
            "users": {
                CRA_USER: {"secret": CRA_SECRET, "role": role},
                SALTED_CRA_USER: {
                    "secret": CRA_SECRET,
                    "role": role,
                    "salt": SALT,
                    "iterations": ITERATIONS,
                    "keylen": KEYLEN,
                },
            },
        },
        "scram": {
            "type": "static",
            "principals": {user.authid: {**scram_config(user.kdf), "role": role} for user in SCRAM_USERS},
        },
        "cryptosign": {
            "type": "static",
            "principals": {
                CRYPTOSIGN_USER: {"authorized_keys": [cryptosign.public_key(PRIVATE_KEY)], "role": role},
            },
        },
    }
    if anonymous_role is not None:
        config["anonymous"] = {"type": "static", "role": anonymous_role}
    return config


@functools.cache
def scram_record(kdf: Kdf) -> Record:
    """Return the record of `SCRAM_PASSWORD`, with as little work as a client agrees to."""
    if kdf == "pbkdf2":
        return Record.make(SCRAM_PASSWORD, kdf=kdf, iterations=scram.MIN_PBKDF2_ITERATIONS)
    return Record.make(SCRAM_PASSWORD, kdf=kdf, iterations=1, memory_kib=scram.MIN_ARGON2_WORK_KIB)


def scram_config(kdf: Kdf) -> dict[str, Any]:
    """Return that record as a configuration has it."""
    record = scram_record(kdf)
    return {
        "kdf": record.kdf,
        "iterations": record.iterations,
        "memory": record.memory_kib or 0,
        "salt": record.salt.hex(),
        "stored-key": record.stored_key.hex(),
        "server-key": record.server_key.hex(),
    }
