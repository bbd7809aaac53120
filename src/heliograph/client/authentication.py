"""How a client proves who it is: credentials, and how each answers the router's challenge.

    async with connect("wss://example.com/ws", authentication=Scram("joe", password)) as session:
        ...

Nothing here shows a secret in its `repr`.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from heliograph.auth import anonymous, cryptosign, scram, ticket, wampcra
from heliograph.auth.errors import ChallengeRefused, KeyFileError, RouterNotProven
from heliograph.auth.key_files import MAX_FILE_BYTES, read_private_key
from heliograph.auth.saslprep import saslprep

Secret = str | Callable[[], str]
"""A secret, or a function that fetches it whenever the session joins; it runs in a thread and may block."""


class Proof(NamedTuple):
    """AUTHENTICATE.Signature and AUTHENTICATE.Extra."""

    signature: str
    extra: dict[str, Any]


class Attempt:
    """One join by one kind of credentials: what HELLO tells, the answer to CHALLENGE, what WELCOME has to prove."""

    hello_extra: Mapping[str, Any] = {}
    """What HELLO.Details.authextra gets."""

    def respond(self, method: str, extra: Mapping[str, Any]) -> Proof:
        """Answer a challenge. This may block: it runs in a thread.

        Args:
            method: CHALLENGE.AuthMethod.
            extra: CHALLENGE.Extra.

        Raises:
            ChallengeRefused: it will not, or cannot, be answered.
            LibraryMissing: the method needs a library that is not installed.
        """
        raise ChallengeRefused(f"the router sent a challenge for {method!r}, which has none")

    def check_router(self, authextra: Mapping[str, Any] | None) -> None:
        """Hold the router to its own proof, where the method has one.

        Args:
            authextra: WELCOME.Details.authextra.

        Raises:
            RouterNotProven: it has not given it.
        """


class Credentials:
    """What a client can present for one method; subclass it for a method of your own.

    Args:
        authid: who the client is.
        authrole: the role it wishes to have, where the router lets it choose.
        authextra: more for HELLO.Details.authextra.

    Attributes:
        methods: what HELLO offers, in order of preference.
        proves_router: whether the router has to prove itself, too.
        shows_secret: whether the secret itself is sent.
    """

    methods: tuple[str, ...] = ()
    proves_router = False
    shows_secret = False

    def __init__(
        self,
        authid: str | None = None,
        *,
        authrole: str | None = None,
        authextra: Mapping[str, Any] | None = None,
    ) -> None:
        if authid == "":
            raise ValueError("authid is empty")
        self.authid = authid
        self.authrole = authrole
        self.authextra = dict(authextra or {})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.authid!r})"

    def begin(self) -> Attempt:
        """Return what stands for these credentials in one join."""
        return Attempt()


class Anonymous(Credentials):
    """Ask to be let in without proof; the same as no credentials, but can stand behind others.

    Args:
        authid: a name to wish for; most routers draw one.
        authrole: the role to wish for.
        authextra: more for HELLO.Details.authextra.
    """

    methods = (anonymous.METHOD,)


class TlsCertificate(Credentials):
    """Be known by the certificate that was shown in the TLS handshake.

    The certificate itself is a matter of TLS: `connect(tls=TlsOptions(cert_file=…))`.

    Args:
        authid: who the client is; without it the router knows by the certificate.
        authrole: the role to wish for.
        authextra: more for HELLO.Details.authextra.
    """

    methods = ("tls",)


class Ticket(Credentials):
    """Show a secret as it is; the connection should be encrypted.

    Args:
        authid: who the client is.
        ticket: the secret, or a function that fetches one, for tickets that do not live long.
        authrole: the role to wish for.
        authextra: more for HELLO.Details.authextra.
    """

    methods = (ticket.METHOD,)
    shows_secret = True

    def __init__(
        self,
        authid: str,
        ticket: Secret,
        *,
        authrole: str | None = None,
        authextra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(authid, authrole=authrole, authextra=authextra)
        self._ticket = _checked(ticket, "ticket")

    def begin(self) -> Attempt:
        """Return an attempt that shows the ticket."""
        return _TicketAttempt(self._ticket)


class WampCra(Credentials):
    """Sign the router's challenge with a shared secret, salted or not.

    Args:
        authid: who the client is.
        secret: the secret, or a function that fetches it.
        authrole: the role to wish for.
        authextra: more for HELLO.Details.authextra.
    """

    methods = (wampcra.METHOD,)

    def __init__(
        self,
        authid: str,
        secret: Secret,
        *,
        authrole: str | None = None,
        authextra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(authid, authrole=authrole, authextra=authextra)
        self._secret = _checked(secret, "secret")

    def begin(self) -> Attempt:
        """Return an attempt that signs the challenge."""
        return _WampCraAttempt(self._secret)


class Scram(Credentials):
    """Prove to know a password, and let the router prove that it knows this client.

    A router that cannot prove it is not joined. Both dialects are offered: the specification's and Autobahn's.

    Args:
        authid: who the client is.
        password: the password, or a function that fetches it. With argon2, which most routers use for it, it needs
            `pip install 'heliograph[auth]'`.
        authrole: the role to wish for.
        authextra: more for HELLO.Details.authextra.

    Raises:
        ValueError: the authid could be written in more than one way, and is not in the one that counts.
    """

    methods = scram.METHODS
    proves_router = True

    def __init__(
        self,
        authid: str,
        password: Secret,
        *,
        authrole: str | None = None,
        authextra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(authid, authrole=authrole, authextra=authextra)
        # "Username and password strings SHALL be normalized according to the _SASLprep_ profile"
        if saslprep(authid) != authid:
            raise ValueError(f"authid {authid!r} has to be written as {saslprep(authid)!r}")
        self._name = authid
        self._password = _checked(password, "password")

    def begin(self) -> Attempt:
        """Return an attempt with a nonce of its own."""
        return _ScramAttempt(self._name, self._password)


class Cryptosign(Credentials):
    """Sign the router's challenge with an Ed25519 key; needs `pip install 'heliograph[auth]'`.

    Args:
        private_key: its 32 octets, or 64 hexadecimal digits; `from_file` reads one.
        authid: who the client is; without it the router knows by the key.
        authrole: the role to wish for.
        authextra: more for HELLO.Details.authextra.

    Raises:
        KeyFileError: a `ValueError`: this is no key.
        LibraryMissing: an `ImportError`: PyNaCl is not installed.
    """

    methods = (cryptosign.METHOD,)

    def __init__(
        self,
        private_key: bytes | str,
        *,
        authid: str | None = None,
        authrole: str | None = None,
        authextra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(authid, authrole=authrole, authextra=authextra)
        content = private_key.encode() if isinstance(private_key, str) else private_key
        self._private_key = read_private_key(content)
        self.public_key = cryptosign.public_key(self._private_key)

    @classmethod
    def from_file(
        cls,
        path: str | PathLike[str],
        *,
        authid: str | None = None,
        authrole: str | None = None,
        authextra: Mapping[str, Any] | None = None,
    ) -> "Cryptosign":
        """Read the key from a file, as `heliograph keygen`, OpenSSH, Autobahn or Crossbar.io write it.

        Args:
            path: the file.
            authid: who the client is; without it the router knows by the key.
            authrole: the role to wish for.
            authextra: more for HELLO.Details.authextra.

        Raises:
            OSError: the file cannot be read.
            KeyFileError: a `ValueError`: it holds no key that can be used; the text says why.
            LibraryMissing: an `ImportError`: PyNaCl is not installed.
        """
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        try:
            return cls(content, authid=authid, authrole=authrole, authextra=authextra)
        except KeyFileError as error:
            raise KeyFileError(f"{path}: {error}") from None

    def __repr__(self) -> str:
        return f"Cryptosign({self.authid!r}, public_key={self.public_key!r})"

    def begin(self) -> Attempt:
        """Return an attempt that announces the public key."""
        return _CryptosignAttempt(self._private_key)


class _TicketAttempt(Attempt):
    def __init__(self, ticket: Secret) -> None:
        self._ticket = ticket

    def respond(self, method: str, extra: Mapping[str, Any]) -> Proof:
        return Proof(_fetched(self._ticket), {})


class _WampCraAttempt(Attempt):
    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def respond(self, method: str, extra: Mapping[str, Any]) -> Proof:
        return Proof(wampcra.response(_fetched(self._secret), extra), {})


class _ScramAttempt(Attempt):
    def __init__(self, authid: str, password: Secret) -> None:
        self._password = password
        self._exchange = scram.ClientExchange(authid, nonce=secrets.token_bytes(scram.NONCE_BYTES))
        self.hello_extra = self._exchange.hello_extra

    def respond(self, method: str, extra: Mapping[str, Any]) -> Proof:
        return Proof(*self._exchange.respond(_fetched(self._password), method, extra))

    def check_router(self, authextra: Mapping[str, Any] | None) -> None:
        self._exchange.check_router(authextra)


class _CryptosignAttempt(Attempt):
    def __init__(self, private_key: bytes) -> None:
        self._private_key = private_key
        self.hello_extra = cryptosign.hello_extra(private_key)

    def respond(self, method: str, extra: Mapping[str, Any]) -> Proof:
        return Proof(cryptosign.response(self._private_key, extra), {})


def _checked(secret: Secret, name: str) -> Secret:
    if callable(secret):
        return secret
    if not isinstance(secret, str) or not secret:
        raise ValueError(f"{name} must be text that is not empty, or a function that returns it")
    return secret


def _fetched(secret: Secret) -> str:
    if not callable(secret):
        return secret
    fetched = secret()
    if not isinstance(fetched, str) or not fetched:
        raise ChallengeRefused("the function that fetches the secret returned none")
    return fetched


class Authentication:
    """All credentials that a client offers.

    Args:
        offered: in order of preference; empty means that nothing is offered, which is anonymous.

    Raises:
        ValueError: they do not fit together.
    """

    def __init__(self, offered: Sequence[Credentials] = ()) -> None:
        self._offered = tuple(offered)
        self.methods = [method for credentials in self._offered for method in credentials.methods]
        if len(set(self.methods)) != len(self.methods):
            raise ValueError("authentication offers one method twice")
        self.authid = _agreed("authid", [credentials.authid for credentials in self._offered])
        self.authrole = _agreed("authrole", [credentials.authrole for credentials in self._offered])

    def begin(self) -> "Join":
        """Return what stands for them in one join."""
        return Join(self._offered)


def _agreed(name: str, values: Sequence[str | None]) -> str | None:
    named = {value for value in values if value is not None}
    if len(named) > 1:
        raise ValueError(f"all credentials have one {name}, because HELLO has one: {sorted(named)}")
    return next(iter(named), None)


ANONYMOUS = Authentication()
"""Nothing is offered."""


class Join:
    """One join: which credentials the router has asked for, and whether it has to prove itself.

    Args:
        offered: in order of preference.
    """

    def __init__(self, offered: Sequence[Credentials]) -> None:
        self._attempts = {}
        self._must_be_proven = bool(offered) and all(credentials.proves_router for credentials in offered)
        self._chosen: Attempt | None = None
        self.authextra: dict[str, Any] = {}
        for credentials in reversed(offered):  # of equal keys the first one counts
            attempt = credentials.begin()
            self._attempts.update(dict.fromkeys(credentials.methods, attempt))
            self.authextra.update({**attempt.hello_extra, **credentials.authextra})

    def choose(self, method: str) -> Attempt | None:
        """Return what answers a challenge for `method`, None when it was not offered."""
        self._chosen = self._attempts.get(method)
        return self._chosen

    def check_router(self, authextra: Mapping[str, Any] | None) -> None:
        """Raise `RouterNotProven` unless the router has given the proof that it owes."""
        if self._chosen is not None:
            self._chosen.check_router(authextra)
        elif self._must_be_proven:
            # Let in without being asked: anybody can pretend that.
            raise RouterNotProven("the router lets this client in without proving that it knows it")
