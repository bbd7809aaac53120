"""`scram`: a password that neither travels nor is kept (specification, "Salted Challenge Response Authentication").

Two dialects of one exchange. `wamp-scram` is the specification's. `scram` is Autobahn's and Crossbar.io's: it joins
the nonces as octets, leaves the channel binding and the escaping out of what is signed, and names the router's proof
`scram_server_signature`.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, TypeGuard, get_args

from heliograph.auth.encoding import from_base64, octets_of, to_base64, xor
from heliograph.auth.errors import AuthenticationFailed, ChallengeRefused, RouterNotProven
from heliograph.auth.saslprep import saslprep
from heliograph.auth.scram_record import (
    Kdf,
    Keys,
    Method,
    Record,
    derive_keys,
    fake_record,
)

__all__ = ["METHODS", "NONCE_BYTES", "ClientExchange", "Record", "ServerExchange", "fake_record"]

METHODS: tuple[Method, ...] = get_args(Method)

NONCE_BYTES = 18
"""Of each end. A multiple of three: so both dialects join two nonces to the same text."""

MIN_NONCE_BYTES = 8
MAX_NONCE_BYTES = 128
"""What a client may send as its own."""

MAX_MEMORY_KIB = 256 * 1024
MAX_ARGON2_WORK_KIB = 8 * 1024 * 1024
MAX_PBKDF2_ITERATIONS = 5_000_000
"""What a client computes at a router's word: 256 MiB and some seconds (argon2's work is iterations x memory)."""

MIN_ARGON2_WORK_KIB = 8 * 1024
MIN_PBKDF2_ITERATIONS = 4096
"""Less would give a router that is not the right one a hash that is quickly guessed from."""


class ServerExchange:
    """The router's end of one exchange.

    Args:
        method: what the client offered, `wamp-scram` or `scram`.
        record: what is kept of the principal, or a fake one; it must serve `method`.
        authid: HELLO.Details.authid.
        hello_extra: HELLO.Details.authextra.
        server_nonce: `NONCE_BYTES` random octets.
        channel_ids: the identities of the client's TLS channel, by type.

    Attributes:
        challenge_extra: CHALLENGE.Extra.

    Raises:
        AuthenticationFailed: HELLO has no usable nonce, or wants a channel binding that is not there.
    """

    def __init__(
        self,
        method: Method,
        record: Record,
        *,
        authid: str,
        hello_extra: Mapping[str, Any] | None,
        server_nonce: bytes,
        channel_ids: Mapping[str, bytes] | None = None,
    ) -> None:
        hello_extra = hello_extra or {}
        self._record = record
        self._method = method
        self._authid = authid
        self._client_nonce = _client_nonce(hello_extra.get("nonce"))
        self._channel_binding = hello_extra.get("channel_binding")
        self._channel_id = self._find_channel(channel_ids or {})
        if method == "wamp-scram":
            self._nonce = self._client_nonce + to_base64(server_nonce)
        else:
            self._nonce = to_base64(from_base64(self._client_nonce) + server_nonce)
        self.challenge_extra: dict[str, Any] = {
            "nonce": self._nonce,
            "salt": to_base64(record.salt),
            "kdf": record.kdf,
            "iterations": record.iterations,
        }
        # Autobahn takes no null, neither here nor for a channel binding.
        if method == "wamp-scram" or record.memory_kib is not None:
            self.challenge_extra["memory"] = record.memory_kib

    def verify(self, signature: str, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Return what WELCOME.Details.authextra gets to prove the router to the client.

        Args:
            signature: AUTHENTICATE.Signature.
            extra: AUTHENTICATE.Extra.

        Raises:
            AuthenticationFailed: the client does not know the password, or answers something else.
        """
        message = self._message()
        try:
            proof = from_base64(signature)
            client_key = xor(proof, hmac.digest(self._record.stored_key, message, "sha256"))
        except ValueError:
            raise AuthenticationFailed from None
        knows = hmac.compare_digest(hashlib.sha256(client_key).digest(), self._record.stored_key)
        if not (knows and self._fits(extra)):
            raise AuthenticationFailed
        server_signature = to_base64(hmac.digest(self._record.server_key, message, "sha256"))
        if self._method == "wamp-scram":
            return {"verifier": server_signature}
        return {"scram_server_signature": server_signature, "verifier": server_signature}

    def _find_channel(self, channel_ids: Mapping[str, bytes]) -> bytes | None:
        wanted = self._channel_binding
        if wanted is None:
            return None
        # "the server MUST terminate the authentication process by sending an `ABORT` message [if it] does not support
        # the requested `channel_binding` type"
        if self._method == "scram" or not isinstance(wanted, str) or wanted not in channel_ids:
            raise AuthenticationFailed("the channel binding that HELLO wants is not available here")
        return channel_ids[wanted]

    def _fits(self, extra: Mapping[str, Any]) -> bool:
        if self._method == "scram" and "nonce" not in extra:
            return True  # Autobahn sends nothing beside its proof.
        cbind_data = None if self._channel_id is None else to_base64(self._channel_id)
        return (
            extra.get("nonce") == self._nonce
            and extra.get("channel_binding") == self._channel_binding
            and extra.get("cbind_data") == cbind_data
        )

    def _message(self) -> bytes:
        if self._method == "scram":
            try:
                authid = saslprep(self._authid)
            except ValueError:
                raise AuthenticationFailed from None
            return _signed(authid, self._client_nonce, self.challenge_extra, "")
        return _auth_message(
            self._authid, self._client_nonce, self.challenge_extra, self._channel_binding, self._channel_id
        )


class ClientExchange:
    """The client's end of one exchange.

    Args:
        authid: HELLO.Details.authid, in the normal form of SASLprep.
        nonce: `NONCE_BYTES` random octets, other ones for each exchange.

    Attributes:
        hello_extra: HELLO.Details.authextra.
    """

    def __init__(self, authid: str, *, nonce: bytes) -> None:
        self._authid = authid
        self._nonce = to_base64(nonce)
        self._expected: bytes | None = None
        self.hello_extra: dict[str, Any] = {"nonce": self._nonce, "channel_binding": None}

    def respond(self, password: str, method: str, extra: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return AUTHENTICATE.Signature and AUTHENTICATE.Extra. This is slow: keep it off an event loop.

        Args:
            password: what the user typed.
            method: CHALLENGE.AuthMethod.
            extra: CHALLENGE.Extra.

        Raises:
            ChallengeRefused: the challenge is no answer to this HELLO, or asks for unreasonable work.
            LibraryMissing: argon2-cffi is not installed.
        """
        nonce = extra.get("nonce")
        # "The client MUST respond with an ABORT message if `CHALLENGE.Details.nonce` does not begin with the client
        # nonce"
        if not isinstance(nonce, str) or not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise ChallengeRefused("the nonce of the router's scram challenge does not continue the client's")
        keys = _derive(password, extra)
        if method == "scram":
            binding = str(extra.get("channel_binding", ""))
            message = _signed(self._authid, self._nonce, extra, binding)
        else:
            message = _auth_message(self._authid, self._nonce, extra, None, None)
        proof = xor(keys.client_key, hmac.digest(keys.stored_key, message, "sha256"))
        self._expected = hmac.digest(keys.server_key, message, "sha256")
        return to_base64(proof), {"nonce": nonce, "channel_binding": None, "cbind_data": None}

    def check_router(self, welcome_extra: Mapping[str, Any] | None) -> None:
        """Hold the router to its proof.

        Args:
            welcome_extra: WELCOME.Details.authextra.

        Raises:
            RouterNotProven: it gave none, or a wrong one.
        """
        extra = welcome_extra or {}
        given = extra.get("verifier", extra.get("scram_server_signature"))
        try:
            # The specification's example has RFC 5802's "v=" before it, its text has not.
            signature = from_base64(given.removeprefix("v=") if isinstance(given, str) else given)
        except ValueError:
            signature = b""
        if self._expected is None or not hmac.compare_digest(signature, self._expected):
            raise RouterNotProven("the router did not prove that it knows this client's password")


def _derive(password: str, challenge: Mapping[str, Any]) -> Keys:
    try:
        salt = from_base64(challenge.get("salt"))
    except ValueError:
        raise ChallengeRefused("the router's scram challenge has a salt that is no base64") from None
    costs = _check_costs(challenge.get("kdf"), challenge.get("iterations"), challenge.get("memory"))
    try:
        return derive_keys(password, salt=salt, **costs)
    except ValueError as error:
        raise ChallengeRefused(str(error)) from None


def _check_costs(kdf: object, iterations: object, memory_kib: object) -> dict[str, Any]:
    """Return what `derive_keys` takes, once it is known to be neither too little nor too much."""
    chosen: Kdf
    if not _is_count(iterations):
        raise ChallengeRefused("the router's scram challenge has iterations that are no positive integer")
    if kdf == "pbkdf2":
        chosen, work, memory, least, most = kdf, iterations, 0, MIN_PBKDF2_ITERATIONS, MAX_PBKDF2_ITERATIONS
    elif kdf == "argon2id13" or kdf == "argon2id-13":
        if not _is_count(memory_kib):
            raise ChallengeRefused("the router's scram challenge has a memory that is no positive integer")
        chosen, work, memory = kdf, iterations * memory_kib, memory_kib
        least, most = MIN_ARGON2_WORK_KIB, MAX_ARGON2_WORK_KIB
    else:
        raise ChallengeRefused("the router's scram challenge names a kdf that is not known here")
    if work > most or memory > MAX_MEMORY_KIB:
        raise ChallengeRefused(
            f"the router's scram challenge asks for more work than is done here ({kdf}: iterations {iterations}, "
            f"memory {memory} KiB)"
        )
    if work < least:
        raise ChallengeRefused(
            f"the router's scram challenge asks for so little work that the password could be guessed from the "
            f"answer ({kdf}: iterations {iterations}, memory {memory} KiB)"
        )
    return {"kdf": chosen, "iterations": iterations, "memory_kib": memory or None}


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _client_nonce(nonce: object) -> str:
    try:
        length = len(from_base64(nonce))
    except ValueError:
        length = 0
    if not MIN_NONCE_BYTES <= length <= MAX_NONCE_BYTES:
        raise AuthenticationFailed(
            f"scram needs HELLO.Details.authextra.nonce: {MIN_NONCE_BYTES} to {MAX_NONCE_BYTES} random octets in base64"
        )
    return str(nonce)


def _auth_message(
    authid: str,
    client_nonce: str,
    challenge: Mapping[str, Any],
    binding: str | None,
    channel_id: bytes | None,
) -> bytes:
    """Return what both ends sign (specification, "AuthMessage")."""
    name = authid.replace("=", "=3D").replace(",", "=2C")
    flag = "n" if binding is None else f"p={binding}"
    bound = to_base64(octets_of(f"{flag},,") + (channel_id or b""))
    return _signed(name, client_nonce, challenge, bound)


def _signed(name: str, client_nonce: str, challenge: Mapping[str, Any], binding: str) -> bytes:
    nonce, salt, iterations = challenge["nonce"], challenge["salt"], challenge["iterations"]
    return octets_of(f"n={name},r={client_nonce},r={nonce},s={salt},i={iterations},c={binding},r={nonce}")
