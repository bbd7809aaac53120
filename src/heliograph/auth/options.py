"""What a configuration says about authentication: methods, principals, and where others are asked.

The keys are Crossbar.io's. Whatever holds a secret has a `repr` that does not show it.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from heliograph.wamp.names import ProcedureUri, RealmName, RoleName

MAX_AUTHID_LENGTH = 1024
"""Characters of a name, here and in HELLO: some are looked at one by one."""

Authid = Annotated[str, Meta(min_length=1, max_length=MAX_AUTHID_LENGTH)]
HexKey = Annotated[
    str, Meta(pattern=r"^[0-9a-fA-F]{64}\Z", description="64 hexadecimal digits, a 32-byte key")
]
HexSalt = Annotated[
    str, Meta(pattern=r"^([0-9a-fA-F]{2}){8,64}\Z", description="16 to 128 hexadecimal digits, in pairs")
]
Sha1 = Annotated[
    str,
    Meta(
        pattern=r"^([0-9a-fA-F]{2}:?){19}[0-9a-fA-F]{2}\Z",
        description="a SHA-1 fingerprint: 40 hexadecimal digits, with or without colons",
    ),
]
Sha256 = Annotated[
    str,
    Meta(
        pattern=r"^([0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}\Z",
        description="a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons",
    ),
]


class SecretFile(Struct, frozen=True, kw_only=True):
    """A secret that stands in a file of its own.

    Attributes:
        file: the file, relative to the node directory; a line break at its end does not count
    """

    file: Annotated[str, Meta(min_length=1)]


Secret = Annotated[str, Meta(min_length=1)]


class StaticPrincipal(Struct, frozen=True, kw_only=True):
    """What every principal has.

    Attributes:
        role: the role its sessions get
        realm: the only realm it may join; none leaves all realms that have its role
    """

    role: RoleName
    realm: RealmName | None = None

    def __repr__(self) -> str:
        # Never what it is recognised by: half of that is secret.
        return f"{type(self).__name__}(role={self.role!r}, realm={self.realm!r})"


class TicketPrincipal(StaticPrincipal, frozen=True, kw_only=True):
    """Somebody who shows a ticket.

    Attributes:
        ticket: the ticket, or its hash as `sha256$<salt>$<digest>`; `"${NAME}"` takes it from an environment variable,
            `{"file": "path"}` from a file
    """

    ticket: Secret | SecretFile


class CraPrincipal(StaticPrincipal, frozen=True, kw_only=True):
    """Somebody who signs with a shared secret.

    It is salted when `salt` is given. Then `secret` may be the password, or what is derived from it.

    Attributes:
        secret: the shared secret; `"${NAME}"` takes it from an environment variable, `{"file": "path"}` from a file
        salt: text that the client derives its key with
        iterations: rounds of PBKDF2
        keylen: bytes of the derived key
    """

    secret: Secret | SecretFile
    salt: Annotated[str, Meta(min_length=1)] | None = None
    iterations: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    keylen: Annotated[int, Meta(ge=8, le=64)] = 32


class ScramPrincipal(StaticPrincipal, frozen=True, kw_only=True):
    """Somebody who knows a password of which the router keeps no more than what checks it.

    Attributes:
        kdf: how the client derives its key from the password
        iterations: of that function
        memory: KiB that argon2 takes
        salt: hexadecimal
        stored_key: hexadecimal
        server_key: hexadecimal
    """

    kdf: Literal["argon2id13", "argon2id-13", "pbkdf2"]
    iterations: Annotated[int, Meta(ge=1, le=10_000_000)]
    memory: Annotated[int, Meta(ge=0, le=1024 * 1024)] | None = None
    salt: HexSalt
    stored_key: HexKey = field(name="stored-key")
    server_key: HexKey = field(name="server-key")

    def __post_init__(self) -> None:
        if self.kdf != "pbkdf2" and not self.memory:
            raise ValueError(f"{self.kdf} needs `memory`, in KiB")


class CryptosignPrincipal(StaticPrincipal, frozen=True, kw_only=True):
    """Somebody who has a private key.

    Attributes:
        authorized_keys: the public keys that may sign for it, in hexadecimal
    """

    authorized_keys: Annotated[list[HexKey], Meta(min_length=1)]


class TlsPrincipal(StaticPrincipal, frozen=True, kw_only=True):
    """Somebody who showed a certificate in the TLS handshake.

    Attributes:
        certificate_sha1: the certificate's SHA-1 fingerprint
        certificate_sha256: its SHA-256 fingerprint
        subject: its distinguished name, as `CN=agent-7,O=Example`: any valid certificate with it will do
    """

    certificate_sha1: Sha1 | None = field(name="certificate-sha1", default=None)
    certificate_sha256: Sha256 | None = field(name="certificate-sha256", default=None)
    subject: Annotated[str, Meta(min_length=1)] | None = None

    def __post_init__(self) -> None:
        named = (self.certificate_sha1, self.certificate_sha256, self.subject)
        if sum(way is not None for way in named) != 1:
            raise ValueError("needs one of certificate-sha256, certificate-sha1 and subject")


class AnonymousOptions(Struct, frozen=True, kw_only=True, tag_field="type", tag="static"):
    """Let in whoever does not authenticate.

    Attributes:
        role: the role they get
        authid: the authid all of them get; none draws one for each
        realm: accepted: the realm is the one a client asks for
    """

    role: RoleName = "anonymous"
    authid: Authid | None = None
    realm: RealmName | None = None


class TicketOptions(Struct, frozen=True, kw_only=True, tag_field="type", tag="static"):
    """`ticket`: the client sends a secret as it is, so the connection has to be encrypted or local.

    Attributes:
        principals: who may join, by authid
    """

    principals: dict[Authid, TicketPrincipal] = {}


class CraOptions(Struct, frozen=True, kw_only=True, tag_field="type", tag="static"):
    """`wampcra`: the client signs a challenge with a shared secret.

    Attributes:
        users: who may join, by authid
    """

    users: dict[Authid, CraPrincipal] = {}


class ScramOptions(Struct, frozen=True, kw_only=True, tag_field="type", tag="static"):
    """`scram`: client and router prove to each other that they know a password, or what is kept of it.

    Attributes:
        principals: who may join, by authid
    """

    principals: dict[Authid, ScramPrincipal] = {}


class CryptosignOptions(Struct, frozen=True, kw_only=True, tag_field="type", tag="static"):
    """`cryptosign`: the client signs a challenge with its private key.

    Attributes:
        principals: who may join, by authid; a client that names none is told by its key
    """

    principals: dict[Authid, CryptosignPrincipal] = {}


class TlsOptions(Struct, frozen=True, kw_only=True, tag_field="type", tag="static"):
    """`tls`: the client is told by the certificate it showed, where the endpoint has `ca_certificates`.

    Attributes:
        principals: who may join, by authid
    """

    principals: dict[Authid, TlsPrincipal] = {}


class CookieAuthOptions(Struct, frozen=True, kw_only=True, tag_field="type", tag="static"):
    """`cookie`: who has authenticated on an earlier connection of the same browser is known again.

    It needs a `cookie` block on the transport. Whether the principal is still there, its role and its credentials are
    asked anew each time, of the method by which it had authenticated.
    """


class DynamicOptions(Struct, frozen=True, kw_only=True, tag_field="type", tag="dynamic"):
    """Ask a WAMP procedure: `authenticator(realm, authid, details)`.

    It returns a role, or a dictionary with `role`, `realm`, `authid`, `extra` and what the method needs: `secret`,
    `salt`, `iterations`, `keylen` for wampcra; `kdf`, `iterations`, `memory`, `salt`, `stored-key`, `server-key` for
    scram; `pubkey` for cryptosign. An error denies.

    Attributes:
        authenticator: the procedure
        authenticator_realm: the realm it is registered in; none is the one the client wants to join
        authenticator_role: accepted: the router calls in its own name
        default_role: the role of those for whom the procedure names none
        timeout_s: seconds it may take; then the client is refused
    """

    authenticator: ProcedureUri
    authenticator_realm: RealmName | None = field(name="authenticator-realm", default=None)
    authenticator_role: RoleName | None = field(name="authenticator-role", default=None)
    default_role: RoleName | None = field(name="default-role", default=None)
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 5.0


class FunctionOptions(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """Ask a Python function, which runs in a process of its own.

    Attributes:
        create: dotted name of a factory: called with `config` and None, it returns a function
            `(realm, authid, details)` that answers as a dynamic authenticator does; it may be `async`
        config: what the factory is given
        default_role: the role of those for whom the function names none
        timeout_s: seconds it may take; then the client is refused
    """

    create: Annotated[
        str, Meta(pattern=r"^\w+(\.\w+)+\Z", description="a dotted name, such as myapp.auth.create")
    ]
    config: dict[str, Any] = {}
    default_role: RoleName | None = field(name="default-role", default=None)
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 5.0

    def __repr__(self) -> str:
        return f"FunctionOptions(create={self.create!r})"


class AuthOptions(Struct, frozen=True, kw_only=True):
    """The methods by which clients may prove who they are; each client names those it can, and its first counts.

    Attributes:
        anonymous: who does not prove anything
        ticket: a secret that is shown
        wampcra: a challenge signed with a shared secret
        scram: a password that neither travels nor is kept; clients call it `wamp-scram` or `scram`
        cryptosign: a challenge signed with an Ed25519 key
        tls: the client's certificate
        cookie: a cookie of somebody who authenticated earlier
    """

    anonymous: AnonymousOptions | DynamicOptions | FunctionOptions | None = None
    ticket: TicketOptions | DynamicOptions | FunctionOptions | None = None
    wampcra: CraOptions | DynamicOptions | FunctionOptions | None = None
    scram: ScramOptions | DynamicOptions | FunctionOptions | None = None
    cryptosign: CryptosignOptions | DynamicOptions | FunctionOptions | None = None
    tls: TlsOptions | DynamicOptions | FunctionOptions | None = None
    cookie: CookieAuthOptions | None = None


class BackoffOptions(Struct, frozen=True, kw_only=True):
    """When an address that fails to authenticate is refused for a while; anonymous clients never are.

    Attributes:
        max_failures: failures of one address within `window_s` after which it is refused; 0 refuses nobody. Of IPv6,
            64 bits count as one address
        window_s: seconds a failure counts
        refusal_s: seconds it is refused, twice as long each time it goes on failing, at most 32 times as long
        local: count loopback addresses too; behind a proxy on the same machine all clients have one, unless the
            transport's `trusted_proxies` names it. Unix sockets have no address
    """

    max_failures: Annotated[int, Meta(ge=0, le=10_000)] = 10
    window_s: Annotated[float, Meta(gt=0, le=86400)] = 60.0
    refusal_s: Annotated[float, Meta(gt=0, le=86400)] = 30.0
    local: bool = False
