"""One keep-alive HTTP connection for synchronous code, every step of which ends at a deadline."""

import http.client
import io
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import IO, Any, NamedTuple, cast


class ResponseTooLarge(Exception):  # noqa: N818 - reads as what happened
    """The server sent more than was asked to be taken."""


class NotSent(Exception):  # noqa: N818 - reads as what happened
    """The request did not arrive whole, so the server cannot have acted on it; the cause says why.

    Attributes:
        sent_bytes: how much of it the kernel took.
    """

    def __init__(self, sent_bytes: int) -> None:
        super().__init__(sent_bytes)
        self.sent_bytes = sent_bytes


class Response(NamedTuple):
    """What the server answered."""

    status: int
    location: str | None
    body: bytes


class HttpConnection:
    """A connection that sends one request at a time.

    Args:
        connected: the socket, after TLS where there is any.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._process = os.getpid()
        self._idle_since = time.monotonic()

    def is_usable(self, max_idle_s: float) -> bool:
        """Return whether a request may be sent: same process, idle not for long, not closed by the server."""
        if self._process != os.getpid() or time.monotonic() - self._idle_since > max_idle_s:
            return False
        # Between two requests there is nothing to read but the end, or something nobody asked for.
        return not _is_readable(self._socket)

    def exchange(self, request: bytes, *, deadline: float, max_response_bytes: int) -> tuple[Response, bool]:
        """Send `request`, return the response and whether the connection can be used again.

        Raises:
            NotSent: the request did not get out whole.
            OSError, http.client.HTTPException: there was no whole response in time (`TimeoutError`).
            ResponseTooLarge: the response is above `max_response_bytes`.
        """
        failure: NotSent | None = None
        try:
            self._send(request, deadline)
        except NotSent as error:
            if error.sent_bytes == 0:
                raise
            failure = error  # a server that refuses a body it has not read may have said why
        try:
            return self._receive(deadline, max_response_bytes)
        except (OSError, http.client.HTTPException) as error:
            if failure is not None:
                raise failure from error
            raise

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _send(self, request: bytes, deadline: float) -> None:
        unsent = memoryview(request)
        while unsent:
            try:
                self._socket.settimeout(_remaining(deadline))
                unsent = unsent[self._socket.send(unsent) :]
            except OSError as error:
                raise NotSent(len(request) - len(unsent)) from error

    def _receive(self, deadline: float, max_response_bytes: int) -> tuple[Response, bool]:
        source = _Source(self._socket, deadline, max_response_bytes)
        with http.client.HTTPResponse(cast(socket.socket, source), method="POST") as response:
            response.begin()
            body = response.read()
            is_reusable = not response.will_close
            self._idle_since = time.monotonic()
            return Response(response.status, response.getheader("Location"), body), is_reusable


class _Source:
    """What `http.client` reads from: a socket as far as it looks."""

    def __init__(self, connected: socket.socket, deadline: float, max_bytes: int) -> None:
        self._reader = _TimedReader(connected, deadline, max_bytes)

    def makefile(self, _mode: str) -> IO[bytes]:
        return io.BufferedReader(self._reader)


class _TimedReader(io.RawIOBase):
    """A socket's bytes, until a deadline and up to a number.

    A socket's own timeout begins again with every byte, so a server that drips would hold the caller for ever.
    """

    def __init__(self, connected: socket.socket, deadline: float, max_bytes: int) -> None:
        self._socket = connected
        self._deadline = deadline
        self._left = max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(_remaining(self._deadline))
        received = self._socket.recv_into(buffer)
        self._left -= received
        if self._left < 0:
            raise ResponseTooLarge
        return received


def open_connection(host: str, port: int, *, deadline: float, tls: ssl.SSLContext | None) -> HttpConnection:
    """Connect to the first address of `host` that answers before `deadline` (by `time.monotonic`).

    Raises:
        OSError: no address answered, or TLS failed.
    """
    failure: OSError = OSError(f"{host} has no address")
    # As bytes: for text the codec "idna" is imported, and a process forked meanwhile would never have it.
    name = host.encode("ascii" if host.isascii() else "idna")
    for family, kind, protocol, _, address in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM):
        candidate = socket.socket(family, kind, protocol)
        try:
            candidate.settimeout(_remaining(deadline))
            candidate.connect(address)
            candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return HttpConnection(candidate if tls is None else _secured(candidate, host, deadline, tls))
        except OSError as error:
            candidate.close()
            failure = error
        except BaseException:
            candidate.close()
            raise
    raise failure


def _secured(connected: socket.socket, host: str, deadline: float, tls: ssl.SSLContext) -> socket.socket:
    connected.settimeout(_remaining(deadline))
    return tls.wrap_socket(connected, server_hostname=host)


def _remaining(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the time is over")
    return left_s


def _is_readable_by_poll(connected: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


def _is_readable_by_select(connected: socket.socket) -> bool:
    return bool(select.select([connected], [], [], 0)[0])


# Windows has no poll; elsewhere select cannot look at a descriptor above 1023.
_is_readable: Callable[[socket.socket], bool] = (
    _is_readable_by_poll if hasattr(select, "poll") else _is_readable_by_select
)
