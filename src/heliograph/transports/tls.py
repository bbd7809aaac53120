"""TLS of one port: its certificate, which may change, and the handshake before anything is spoken."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import tempfile
from collections.abc import Callable, Coroutine, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from heliograph.transports.counters import TransportCounters
from heliograph.transports.options import TlsOptions
from heliograph.transports.tls_transport import TlsTransport

_LOG = logging.getLogger(__name__)

HTTP_ALPN = ("http/1.1",)


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
    for option, file in (("certificate", certificate), *(("chain_certificates", each) for each in chain)):
        if b"-----BEGIN CERTIFICATE-----" not in file.read_bytes():
            raise TlsUnusable(option, f"{file} holds no certificate in PEM")
    # OpenSSL takes the chain from the certificate's own file only. What is copied is public.
    with tempfile.NamedTemporaryFile(suffix=".pem") as together:
        together.write(b"\n".join(file.read_bytes() for file in (certificate, *chain)))
        together.flush()
        try:
            # Left to itself, OpenSSL asks for a passphrase at the terminal.
            context.load_cert_chain(together.name, str(key), password=_refuse_passphrase)
        except _PassphraseAsked as error:
            raise TlsUnusable(
                "key", f"{key} is encrypted; store it without a passphrase: openssl pkey -in … -out …"
            ) from error
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                text = f"the private key in {key} does not belong to the certificate in {certificate}"
                raise TlsUnusable("key", text) from error
            if b"PRIVATE KEY-----" not in key.read_bytes():
                raise TlsUnusable("key", f"{key} holds no private key in PEM") from error
            reason = (error.reason or "unreadable").replace("_", " ").lower()
            raise TlsUnusable(
                "certificate", f"{certificate} and {key} cannot be used: {reason} (OpenSSL)"
            ) from error


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
        except TlsUnusable as failure:
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
        if self._fingerprint() != self._seen:
            self.reload()
        self._look_later()

    def _fingerprint(self) -> list[tuple[int, int, int] | None]:
        """What changes when a file is written, replaced or taken away."""
        return [_identity(file) for file in self._files]


def _identity(file: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


class TlsService:
    """Shakes hands with whoever connects, and hands on who has proven well.

    Args:
        connection: makes the protocol that is spoken inside.
        tls: what connections are encrypted by.
        counters: where connections are counted.
        loop: the event loop.
    """

    def __init__(
        self,
        connection: Callable[[], asyncio.Protocol],
        tls: ServerTls,
        *,
        counters: TransportCounters,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._connection = connection
        self._tls = tls
        self._counters = counters
        self._loop = loop
        self._silent: set[_Silent] = set()
        self._handshakes: set[asyncio.Task[None]] = set()

    def connection(self) -> asyncio.Protocol:
        """Return the protocol for a new connection."""
        return _Silent(self)

    def expect(self, connection: _Silent) -> asyncio.TimerHandle:
        """Wait for a client's first bytes, for a while; until then it costs next to nothing."""
        self._silent.add(connection)
        self._counters.connections += 1
        return self._loop.call_later(self._tls.options.handshake_timeout_s, connection.abort)

    def forget(self, connection: _Silent) -> None:
        """Take note that a client left without a word."""
        if connection in self._silent:
            self._silent.remove(connection)
            self._counters.connections -= 1
            self._counters.tls_handshakes_failed += 1

    def begin(self, connection: _Silent, plain: asyncio.Transport, data: bytes) -> None:
        """Shake hands with a client that has sent `data`."""
        self._silent.remove(connection)
        options = self._tls.options
        inside = _Inside()
        handshake = _Begun(
            self._loop.start_tls(
                plain,
                inside,
                self._tls.context,
                server_side=True,
                ssl_handshake_timeout=options.handshake_timeout_s,
                ssl_shutdown_timeout=options.shutdown_timeout_s,
            )
        )
        _feed(plain.get_protocol(), data)
        task = self._loop.create_task(self._shake_hands(plain, handshake, inside))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, plain: asyncio.Transport, handshake: _Begun, inside: _Inside) -> None:
        try:
            encrypted = await handshake
        except (OSError, ssl.CertificateError):
            # Every way in which a client can fail: not TLS, no common version, a certificate nobody knows, too slow.
            encrypted = None
        except asyncio.CancelledError:
            plain.abort()
            raise
        finally:
            self._counters.connections -= 1
        if encrypted is None or encrypted.is_closing():
            self._counters.tls_handshakes_failed += 1
            plain.abort()
            return
        protocol = self._connection()
        encrypted.set_protocol(protocol)
        protocol.connection_made(TlsTransport(encrypted, plain))
        if inside.early:
            protocol.data_received(inside.early)

    async def drain(self, _timeout_s: float) -> None:
        """Drop who is still shaking hands."""
        self._tls.stop()
        for connection in list(self._silent):
            connection.abort()
        for task in list(self._handshakes):
            task.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)


class _Silent(asyncio.Protocol):
    """A connection whose client has not said anything yet."""

    __slots__ = ("_service", "_timer", "_transport")

    _transport: asyncio.Transport
    _timer: asyncio.TimerHandle

    def __init__(self, service: TlsService) -> None:
        self._service = service

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio's own name
        self._transport = transport
        self._timer = self._service.expect(self)

    def data_received(self, data: bytes) -> None:
        self._timer.cancel()
        if not self._transport.is_closing():
            self._service.begin(self, self._transport, data)

    def abort(self) -> None:
        self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        self._timer.cancel()
        self._service.forget(self)


class _Inside(asyncio.Protocol):
    """What is inside TLS until the handshake's end is known here: asyncio's own loop decrypts on at once."""

    __slots__ = ("early",)

    def __init__(self) -> None:
        self.early = b""

    def data_received(self, data: bytes) -> None:
        self.early += data


def _feed(protocol: Any, data: bytes) -> None:
    """Give the loop's TLS, a buffered protocol, what came before it was there, as a transport does."""
    while data:
        buffer = protocol.get_buffer(len(data))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]


class _Begun:
    """A coroutine of which the first step is done already.

    Were it left to a task, the client's first bytes could come before the loop has put TLS in their way.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, asyncio.Transport | None]) -> None:
        self._coroutine = coroutine
        self._first = coroutine.send(None)

    def __await__(self) -> Generator[Any, Any, asyncio.Transport | None]:
        waited_for = self._first
        while True:
            try:
                answer = yield waited_for
            except BaseException as error:  # noqa: BLE001 - it goes on to the coroutine
                go_on = partial(self._coroutine.throw, error)
            else:
                go_on = partial(self._coroutine.send, answer)
            try:
                waited_for = go_on()
            except StopIteration as end:
                result: asyncio.Transport | None = end.value
                return result
