"""TLS of one port: its certificate, which may change, and whose clients' certificates are taken."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

from heliograph.transports.counters import TransportCounters
from heliograph.transports.options import TlsOptions

_LOG = logging.getLogger(__name__)

HTTP_ALPN = ("http/1.1",)

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

# Keys of another kind than the certificate's are told in a way of their own.
_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


class TlsUnusable(Exception):  # noqa: N818 - says what it is
    """TLS cannot be had with these options.

    Args:
        option: which of them is wrong.
        text: what is wrong, and what to do.
    """

    def __init__(self, option: str, text: str) -> None:
        super().__init__(option, text)
        self.option = option
        self.text = text

    def __str__(self) -> str:
        return f"tls.{self.option}: {self.text}"


def server_context(options: TlsOptions, directory: Path, *, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """Return what connections are encrypted by.

    Args:
        options: files and choices.
        directory: what the files' names are relative to.
        alpn: the protocols spoken inside, for clients that ask.

    Raises:
        TlsUnusable: a file is missing, or does not hold what it should.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client could otherwise have the server compute key exchanges for ever on one connection.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if options.ciphers is not None:
        try:
            context.set_ciphers(options.ciphers)
        except ssl.SSLError as error:
            raise TlsUnusable("ciphers", "OpenSSL knows none of them; `openssl ciphers` lists all") from error
    _load_identity(context, options, directory)
    if options.dhparam is not None:
        file = _readable("dhparam", directory / options.dhparam)
        try:
            context.load_dh_params(str(file))
        except (ssl.SSLError, OSError) as error:
            raise TlsUnusable("dhparam", f"{file} holds no Diffie-Hellman parameters in PEM") from error
    for name in options.ca_certificates:
        file = _readable("ca_certificates", directory / name)
        try:
            context.load_verify_locations(cafile=str(file))
        except ssl.SSLError as error:
            raise TlsUnusable("ca_certificates", f"{file} holds no certificate in PEM") from error
    if options.ca_certificates:
        is_optional = options.client_certificates == "optional"
        context.verify_mode = ssl.CERT_OPTIONAL if is_optional else ssl.CERT_REQUIRED
    return context


def _load_identity(context: ssl.SSLContext, options: TlsOptions, directory: Path) -> None:
    """Load key, certificate and chain; raises `TlsUnusable`."""
    key = _readable("key", directory / options.key)
    certificate = _readable("certificate", directory / options.certificate)
    chain = [_readable("chain_certificates", directory / name) for name in options.chain_certificates]
    found = _certificates_in("certificate", certificate)
    for file in chain:
        found += _certificates_in("chain_certificates", file)
    # OpenSSL takes the chain from the certificate's own file only. What is copied is public, whatever else is there.
    with tempfile.NamedTemporaryFile(suffix=".pem") as together:
        together.write(b"\n".join(found))
        together.flush()
        try:
            # Left to itself, OpenSSL asks for a passphrase at the terminal.
            context.load_cert_chain(together.name, str(key), password=_refuse_passphrase)
        except _PassphraseAsked as error:
            raise TlsUnusable(
                "key", f"{key} is encrypted; store it without a passphrase: openssl pkey -in … -out …"
            ) from error
        except ssl.SSLError as error:
            if error.reason in _MISMATCHES:
                text = f"the private key in {key} does not belong to the certificate in {certificate}"
                raise TlsUnusable("key", text) from error
            if b"PRIVATE KEY-----" not in key.read_bytes():
                raise TlsUnusable("key", f"{key} holds no private key in PEM") from error
            reason = (error.reason or "unreadable").replace("_", " ").lower()
            raise TlsUnusable(
                "certificate", f"{certificate} and {key} cannot be used: {reason} (OpenSSL)"
            ) from error


def _certificates_in(option: str, file: Path) -> list[bytes]:
    found: list[bytes] = _CERTIFICATE.findall(file.read_bytes())
    if not found:
        raise TlsUnusable(option, f"{file} holds no certificate in PEM")
    return found


def _readable(option: str, file: Path) -> Path:
    try:
        with file.open("rb"):
            return file
    except OSError as error:
        raise TlsUnusable(option, f"{file}: {(error.strerror or str(error)).lower()}") from error


class _PassphraseAsked(Exception):  # noqa: N818 - says what happened
    """A private key is encrypted."""


def _refuse_passphrase() -> str:
    raise _PassphraseAsked


class ServerTls:
    """What the connections of one port are encrypted by; a changed certificate counts for those to come.

    Args:
        options: files and choices.
        directory: what the files' names are relative to.
        alpn: the protocols spoken inside.
        counters: where reloads are counted.
        loop: the event loop.

    Raises:
        TlsUnusable: a file is missing, or does not hold what it should.
    """

    def __init__(
        self,
        options: TlsOptions,
        directory: Path,
        *,
        alpn: Sequence[str],
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.options = options
        self._directory = directory
        self._alpn = alpn
        self._counters = counters
        self._loop = loop
        names = [options.key, options.certificate, *options.chain_certificates, *options.ca_certificates]
        if options.dhparam is not None:
            names.append(options.dhparam)
        self._files = [directory / name for name in names]
        self._seen = self._fingerprint()
        self.context = server_context(options, directory, alpn=alpn)
        self._timer: asyncio.TimerHandle | None = None
        self._look_later()

    def reload(self) -> None:
        """Read the files again; when they cannot be used, the old certificate stays."""
        self._seen = self._fingerprint()
        try:
            self.context = server_context(self.options, self._directory, alpn=self._alpn)
        except (TlsUnusable, OSError) as failure:
            # A file may be taken away while it is read.
            self._counters.certificate_reloads_failed += 1
            _LOG.error(
                "the old TLS certificate stays in use, because the new one cannot be used: %s", failure
            )
        else:
            self._counters.certificates_reloaded += 1
            _LOG.info("TLS certificate read again: %s", self._directory / self.options.certificate)

    def stop(self) -> None:
        """Look no more whether files change."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        if self.options.reload_interval_s is not None:
            self._timer = self._loop.call_later(self.options.reload_interval_s, self._look)

    def _look(self) -> None:
        self._look_later()
        if self._fingerprint() != self._seen:
            self.reload()

    def _fingerprint(self) -> list[tuple[int, int, int] | None]:
        """What changes when a file is written, replaced or taken away."""
        return [_identity(file) for file in self._files]


def _identity(file: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
