"""What a connection shows of its other end before any message: its address, its certificate, its cookie."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

_NO_CHANNELS: Mapping[str, bytes] = MappingProxyType({})


class ClientCertificate(Struct, frozen=True):
    """The certificate a client showed in the TLS handshake, which verified it.

    Attributes:
        sha1: fingerprint, hexadecimal in lower case, without colons.
        sha256: likewise.
        subject: the distinguished name, as text.
        der: the certificate itself.
    """

    sha1: str
    sha256: str
    subject: str
    der: bytes


class ConnectionFacts(Struct, frozen=True):
    """What the transport of a session knows about its other end.

    Attributes:
        address: IP address without port; None for Unix sockets.
        is_encrypted: the bytes travel in TLS.
        is_local: the other end is on this machine: loopback or a Unix socket.
        certificate: what the client showed, if it was asked for one and has one.
        channel_ids: the connection's own ids by type of channel binding, such as `tls-unique`.
        cookie: value of the tracking cookie.
    """

    address: str | None = None
    is_encrypted: bool = False
    is_local: bool = False
    certificate: ClientCertificate | None = None
    channel_ids: Mapping[str, bytes] = _NO_CHANNELS
    cookie: str | None = None

    def __repr__(self) -> str:
        # Whoever knows the cookie is let in, so logs must not hold it.
        return (
            f"ConnectionFacts({self.address!r}, is_encrypted={self.is_encrypted}, is_local={self.is_local})"
        )


NOTHING_KNOWN = ConnectionFacts()
"""For sessions inside this process, and until a transport says more."""
