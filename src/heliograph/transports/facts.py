"""What a socket tells of the other end, for authentication."""

import hashlib
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

from heliograph.auth.facts import NOTHING_KNOWN, ClientCertificate, ConnectionFacts
from heliograph.transports.origins import is_loopback_address

_NO_CHANNELS = NOTHING_KNOWN.channel_ids
_UNIQUE_CHANNEL = "tls-unique"

# Where it names one connection and nothing else: TLS 1.3 has no such value (RFC 8446, appendix C.5).
_VERSIONS_WITH_UNIQUE_CHANNEL = ("TLSv1.2",)

# The names in subjects as RFC 4514 abbreviates them; others stand as OpenSSL calls them.
_ABBREVIATIONS = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}


class SocketFacts(Protocol):
    """The part of a transport that is looked at."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return what is known by `name`, as asyncio's transports do."""


def connection_facts(transport: SocketFacts) -> ConnectionFacts:
    """Return what `transport`, after its TLS handshake if it has one, tells of its other end."""
    peer = transport.get_extra_info("peername")
    encryption = transport.get_extra_info("ssl_object")
    # asyncio's own loop has a subclass of `SSLObject` here, uvloop `SSLObject` itself.
    if not isinstance(encryption, ssl.SSLObject | ssl.SSLSocket):
        if isinstance(peer, tuple) and peer:
            return _plain_facts(str(peer[0]))
        return ConnectionFacts(is_local=is_unix(transport))
    return ConnectionFacts(
        address=ip_address_of(str(peer[0])) if isinstance(peer, tuple) and peer else None,
        is_encrypted=True,
        is_local=is_unix(transport) or is_loopback_address(peer),
        certificate=_certificate(encryption),
        channel_ids=_channel_ids(encryption),
    )


@lru_cache(maxsize=1024)
def _plain_facts(peer: str) -> ConnectionFacts:
    """Return what a TCP connection without TLS tells; those of one address share it."""
    return ConnectionFacts(address=ip_address_of(peer), is_local=is_loopback_address((peer,)))


def ip_address_of(peer: str) -> str | None:
    """Return the address without zone; an IPv4 address that came by IPv6 as what it is."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def is_unix(transport: SocketFacts) -> bool:
    """Return whether a connection came by a Unix socket."""
    return getattr(transport.get_extra_info("socket"), "family", None) == socket.AF_UNIX


def _certificate(tls: ssl.SSLObject | ssl.SSLSocket) -> ClientCertificate | None:
    der = tls.getpeercert(binary_form=True)
    # A certificate that nobody verified proves nothing.
    if der is None or tls.context.verify_mode is ssl.CERT_NONE:
        return None
    return ClientCertificate(
        # What configurations name certificates by; the handshake has verified it.
        sha1=hashlib.sha1(der, usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(der).hexdigest(),
        subject=_distinguished_name(tls.getpeercert() or {}),
        der=der,
    )


def _distinguished_name(certificate: Mapping[str, object]) -> str:
    """Return the subject as RFC 4514 writes it, last part first: `CN=agent-7,O=Example`."""
    subject = certificate.get("subject")
    parts: list[str] = []
    for relative_name in subject if isinstance(subject, tuple) else ():
        pairs = [f"{_ABBREVIATIONS.get(name, name)}={_escaped(value)}" for name, value in relative_name]
        parts.append("+".join(pairs))
    return ",".join(reversed(parts))


def _escaped(value: str) -> str:
    """Escape what would read as the end of the value (RFC 4514, section 2.4)."""
    text = "".join(f"\\{letter}" if letter in '"+,;<>\\' else letter for letter in value)
    text = text.replace("\0", "\\00")
    if text.startswith((" ", "#")):
        text = "\\" + text
    return f"{text[:-1]}\\ " if text.endswith(" ") and len(text) > 1 else text


def _channel_ids(tls: ssl.SSLObject | ssl.SSLSocket) -> Mapping[str, bytes]:
    if tls.version() not in _VERSIONS_WITH_UNIQUE_CHANNEL:
        return _NO_CHANNELS
    unique = tls.get_channel_binding(_UNIQUE_CHANNEL)
    return _NO_CHANNELS if unique is None else {_UNIQUE_CHANNEL: unique}
