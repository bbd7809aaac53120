"""What a router keeps of a password for scram, and how it is derived (specification, "SCRAM Algorithms").

The password cannot be found from it except by guessing, and it does not let anybody in.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Literal, Self, get_args

import msgspec

from heliograph.auth.encoding import octets_of, to_base64
from heliograph.auth.errors import LibraryMissing
from heliograph.auth.saslprep import saslprep

Kdf = Literal["argon2id13", "argon2id-13", "pbkdf2"]
"""How a password becomes a key.

`argon2id13` and `pbkdf2` are the specification's. `argon2id-13` is what Autobahn and Crossbar.io do under a name that
is nearly the same: it takes the password as it is typed, and goes on with the *text* of the hash, not its octets.
"""

Method = Literal["wamp-scram", "scram"]
"""`wamp-scram` is the specification's name, `scram` stands for Autobahn's dialect."""

KDFS: tuple[Kdf, ...] = get_args(Kdf)

KEY_BYTES = 32
SALT_BYTES = 16

ARGON2_ITERATIONS = 2
ARGON2_MEMORY_KIB = 19 * 1024
PBKDF2_ITERATIONS = 600_000


class Keys(msgspec.Struct, frozen=True):
    """What follows from a password; only its owner has the first.

    Attributes:
        client_key: proves to the router that the client knows the password.
        stored_key: checks that.
        server_key: proves to the client that the router knows the principal.
    """

    client_key: bytes
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return "Keys()"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the router keeps of one principal.

    Attributes:
        kdf: how the password became a key.
        salt: random octets, another string for each principal.
        iterations: how often the function goes round.
        memory_kib: how much memory argon2 takes, in KiB; None for `pbkdf2`.
        stored_key: 32 octets.
        server_key: 32 octets.
    """

    kdf: Kdf
    salt: bytes
    iterations: int
    memory_kib: int | None = None
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return f"Record({self.kdf!r})"

    def serves(self, method: Method) -> bool:
        """Return whether a client that speaks `method` can be checked against this record."""
        return self.kdf != ("argon2id-13" if method == "wamp-scram" else "argon2id13")

    @classmethod
    def make(
        cls,
        password: str,
        *,
        kdf: Kdf = "argon2id13",
        salt: bytes | None = None,
        iterations: int | None = None,
        memory_kib: int | None = None,
    ) -> Self:
        """Return the record of `password`; this is slow on purpose.

        Args:
            password: what the principal will type.
            kdf: `argon2id13` or `pbkdf2` for clients that follow the specification, `argon2id-13` for Autobahn.
            salt: 16 random octets by default.
            iterations: by default 2 for argon2 and 600,000 for `pbkdf2`.
            memory_kib: by default 19 MiB for argon2.

        Raises:
            ValueError: the password holds a character that is not allowed, or a number is out of range.
            LibraryMissing: argon2-cffi is not installed.
        """
        salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
        if kdf == "pbkdf2":
            iterations, memory_kib = iterations or PBKDF2_ITERATIONS, None
        else:
            iterations, memory_kib = iterations or ARGON2_ITERATIONS, memory_kib or ARGON2_MEMORY_KIB
        keys = derive_keys(password, kdf=kdf, salt=salt, iterations=iterations, memory_kib=memory_kib)
        return cls(
            kdf=kdf,
            salt=salt,
            iterations=iterations,
            memory_kib=memory_kib,
            stored_key=keys.stored_key,
            server_key=keys.server_key,
        )


def fake_record(
    authid: str, server_secret: bytes, like: Sequence[Record] = (), *, method: Method = "wamp-scram"
) -> Record:
    """Return a record for a principal that does not exist; no answer is right for it.

    "This mock `CHALLENGE` SHOULD contain a generated `salt` value that is always the same for a given `authid`,
    otherwise an attacker may discover that the user doesn't actually exist" (specification, "Salted Challenge
    Response Authentication").

    Args:
        authid: the name that nobody has.
        server_secret: what the router keeps to itself, the same for its whole life and better for longer.
        like: records that exist; the fake one has the function, the costs and the length of salt of one of them.
        method: the method for which it will be used.
    """

    def drawn(purpose: str, length: int) -> bytes:
        named = hmac.digest(server_secret, octets_of(f"{purpose}\0{authid}"), "sha256")
        return hashlib.shake_256(named).digest(length)

    models = [record for record in like if record.serves(method)]
    if models:
        model = models[int.from_bytes(drawn("model", 8)) % len(models)]
    else:
        model = _USUAL if method == "wamp-scram" else msgspec.structs.replace(_USUAL, kdf="argon2id-13")
    return msgspec.structs.replace(
        model,
        salt=drawn("salt", len(model.salt)),
        stored_key=drawn("stored key", KEY_BYTES),
        server_key=drawn("server key", KEY_BYTES),
    )


_USUAL = Record(
    kdf="argon2id13",
    salt=bytes(SALT_BYTES),
    iterations=ARGON2_ITERATIONS,
    memory_kib=ARGON2_MEMORY_KIB,
    stored_key=bytes(KEY_BYTES),
    server_key=bytes(KEY_BYTES),
)


def derive_keys(password: str, *, kdf: Kdf, salt: bytes, iterations: int, memory_kib: int | None) -> Keys:
    """Return the keys of `password`; this is slow on purpose.

    Raises:
        ValueError: the password holds a character that is not allowed, or a number is out of range.
        LibraryMissing: argon2-cffi is not installed.
    """
    salted = _salted_password(password, kdf, salt, iterations, memory_kib or 0)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return Keys(
        client_key=client_key,
        stored_key=hashlib.sha256(client_key).digest(),
        server_key=hmac.digest(salted, b"Server Key", "sha256"),
    )


def _salted_password(password: str, kdf: Kdf, salt: bytes, iterations: int, memory_kib: int) -> bytes:
    if kdf == "argon2id-13":
        text = to_base64(_argon2id(octets_of(password), salt, iterations, memory_kib))
        return text.rstrip("=").encode()
    try:
        normal = saslprep(password).encode()
    except ValueError as error:
        raise ValueError(f"the password cannot be used: {error}") from None
    if kdf == "pbkdf2":
        return hashlib.pbkdf2_hmac("sha256", normal, salt, iterations, KEY_BYTES)
    return _argon2id(normal, salt, iterations, memory_kib)


def _argon2id(password: bytes, salt: bytes, iterations: int, memory_kib: int) -> bytes:
    try:
        from argon2.exceptions import HashingError
        from argon2.low_level import Type, hash_secret_raw
    except ImportError:
        raise LibraryMissing("scram with argon2", "argon2-cffi") from None
    try:
        return hash_secret_raw(
            password,
            salt,
            iterations,
            memory_kib,
            parallelism=1,
            hash_len=KEY_BYTES,
            type=Type.ID,
            version=0x13,
        )
    except HashingError as error:
        raise ValueError(f"argon2 cannot work with this salt, these iterations and memory: {error}") from None
