"""Certificates for tests: authorities, servers and clients, also those that nobody should trust."""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


class Identity:
    """A private key and its certificate, as files.

    Args:
        directory: where the files go.
        name: of the files and in the certificate.
        issuer: who signs; None makes an authority that signs itself.
        is_authority: whether it may sign others.
        is_expired: whether its time is over.
        organization: a further part of its name.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        issuer: "Identity | None" = None,
        *,
        is_authority: bool = False,
        is_expired: bool = False,
        organization: str = "Example",
    ) -> None:
        self.private_key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name((issuer or self).name)
            .public_key(self.private_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * DAY)
            .not_valid_after(now + (-DAY if is_expired else DAY))
            .add_extension(
                x509.BasicConstraints(ca=is_authority or issuer is None, path_length=None), critical=True
            )
        )
        if not is_authority and issuer is not None:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        self.certificate = builder.sign((issuer or self).private_key, hashes.SHA256())
        self.key_file = directory / f"{name}.key"
        self.certificate_file = directory / f"{name}.crt"
        self.key_file.write_bytes(self.key_pem())
        self.certificate_file.write_bytes(self.pem)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def key_pem(self, passphrase: bytes | None = None) -> bytes:
        return self.private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()
            if passphrase is None
            else serialization.BestAvailableEncryption(passphrase),
        )


def client_context(authority: Identity, identity: Identity | None = None) -> ssl.SSLContext:
    """Return what a client trusts, and shows when it is asked."""
    context = ssl.create_default_context(cafile=str(authority.certificate_file))
    if identity is not None:
        context.load_cert_chain(identity.certificate_file, identity.key_file)
    return context
