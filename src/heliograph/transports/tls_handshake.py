"""The TLS handshake, before anything else is spoken on a connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

from heliograph.transports.counters import TransportCounters
from heliograph.transports.tls import ServerTls
from heliograph.transports.tls_transport import TlsTransport


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
