"""Publishing from synchronous code: one HTTP POST to the router's publisher path."""

import http.client
import ssl
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import quote, urlsplit

import msgspec

from heliograph import __version__
from heliograph.client.errors import BadPayload, PublicationRefused, PublishError
from heliograph.client.http_connection import (
    HttpConnection,
    NotSent,
    Response,
    ResponseTooLarge,
    open_connection,
)
from heliograph.wamp.errors import PayloadError
from heliograph.wire.serializers import serializer

MAX_IDLE_CONNECTIONS = 8
"""Connections kept for the next publication; more threads than that publish at once by opening more."""

MAX_IDLE_S = 30.0
"""Older ones may have been forgotten by something on the way without a word."""

MAX_RESPONSE_BYTES = 1024 * 1024

_SHOWN_BODY_BYTES = 200
_URL_CHARACTERS = "/%:@!$&'()*+,;=~-._"
_UNKNOWN = "the event may or may not have been published"


class _Answer(msgspec.Struct):
    """`{"id": …}`, or `{"error": …, "args": …, "kwargs": …}`."""

    id: int | None = None
    error: str | None = None
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class Publisher:
    """Publishes events from synchronous code, over connections that are kept open.

        publisher = Publisher("http://127.0.0.1:8080/notify")
        publisher.publish("com.example.news", "hello", important=True)

    One publisher serves any number of threads, and processes forked from this one. A publication that may have
    arrived is never repeated: at most one event comes of one call.

    Args:
        url: the router's publisher path, `http://host:port/notify` or `https://…`.
        timeout_s: seconds one publication may take, connecting included. Looking up a host's name is not
            bounded: the system's resolver has its own timeout.
        connect_timeout_s: seconds of it that connecting may take, TLS included.
        ssl_context: how an `https` server is verified; by default by the system's authorities.

    Raises:
        ValueError: the URL or a timeout is wrong.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 2.0,
        connect_timeout_s: float = 1.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if not timeout_s > 0 or not connect_timeout_s > 0:
            raise ValueError("timeout_s and connect_timeout_s must be above 0")
        parts = urlsplit(url)
        self._shown_url = url.partition("?")[0]  # a query may hold a secret
        if parts.username is not None or parts.password is not None:
            raise ValueError("a user or password in the URL is not supported")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"{self._shown_url!r} is no HTTP URL; a router's publisher looks like http://127.0.0.1:8080/notify"
            )
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = (ssl_context or ssl.create_default_context()) if parts.scheme == "https" else None
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._head = _request_head(parts.netloc, parts.path, parts.query)
        self._json = serializer("json")
        # Last in, first out: the one used last is the one least likely to have been closed. A deque needs no lock, so
        # a fork at any moment leaves none held.
        self._idle: deque[HttpConnection] = deque()
        self._is_closed = False
        self._finalizer = weakref.finalize(self, _close_all, self._idle)

    def publish(self, topic: str, /, *args: Any, **kwargs: Any) -> int:
        """Publish an event; everything after `topic` is payload. Returns the publication's id.

        Dates, `Decimal` and `UUID` travel as strings, bytes as WAMP's JSON form of binary.

        Raises:
            PublishError: it failed; the text says why and what to do, `may_have_arrived` whether it may be out.
            PublicationRefused: the router refused it.
            BadPayload: the arguments cannot be expressed in JSON.
        """
        return self.publish_event(topic, args, kwargs)

    def publish_event(
        self,
        topic: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
    ) -> int:
        """Publish an event with WAMP's options, for example `{"exclude_authid": ["joe"]}`.

        Returns and raises what `publish` does.
        """
        return self._interpreted(self._posted(self._encoded(topic, args, kwargs, options)))

    def close(self) -> None:
        """Close the connections; publishing is an error from now on."""
        self._is_closed = True
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # The request

    def _encoded(
        self,
        topic: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any] | None,
    ) -> bytes:
        if not isinstance(topic, str):
            raise TypeError(f"topic must be a str, not {type(topic).__name__}")
        event: dict[str, Any] = {"topic": topic, "args": list(args)}
        if kwargs:
            event["kwargs"] = dict(kwargs)
        if options:
            event["options"] = dict(options)
        try:
            return self._json.encode_value(event)
        except PayloadError as error:
            raise BadPayload(f"the event {error}") from error

    def _posted(self, body: bytes) -> Response:
        if self._is_closed:
            raise PublishError("this publisher is closed")
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        deadline = time.monotonic() + self._timeout_s
        kept = self._kept()
        if kept is not None:
            try:
                return self._exchanged(kept, request, deadline)
            except NotSent as error:
                if error.sent_bytes:
                    self._raise_not_sent(error)
                # Closed since it was looked at, and not a byte went out: on a new connection it is the first try.
        try:
            return self._exchanged(self._opened(deadline), request, deadline)
        except NotSent as error:
            self._raise_not_sent(error)

    def _exchanged(self, connection: HttpConnection, request: bytes, deadline: float) -> Response:
        is_reusable = False
        try:
            response, is_reusable = connection.exchange(
                request, deadline=deadline, max_response_bytes=MAX_RESPONSE_BYTES
            )
        except TimeoutError as error:
            text = f"{self._shown_url} did not answer within {self._timeout_s:g} s: {_UNKNOWN}"
            raise PublishError(text, may_have_arrived=True) from error
        except ResponseTooLarge as error:
            text = (
                f"{self._shown_url} answered more than {MAX_RESPONSE_BYTES} bytes; is it a router? {_UNKNOWN}"
            )
            raise PublishError(text, may_have_arrived=True) from error
        except (OSError, http.client.HTTPException) as error:
            text = f"{self._shown_url} closed the connection without a whole answer ({_named(error)}): {_UNKNOWN}"
            raise PublishError(text, may_have_arrived=True) from error
        finally:
            if is_reusable:
                self._keep(connection)
            else:
                connection.close()
        return response

    def _raise_not_sent(self, error: NotSent) -> NoReturn:
        raise PublishError(
            f"sending to {self._shown_url} failed ({_named(error.__cause__)}): the event was not published"
        ) from error

    # Connections

    def _kept(self) -> HttpConnection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_usable(MAX_IDLE_S):
                return connection
            connection.close()

    def _keep(self, connection: HttpConnection) -> None:
        if self._is_closed or len(self._idle) >= MAX_IDLE_CONNECTIONS:
            connection.close()
            return
        self._idle.append(connection)
        if self._is_closed:  # in between
            _close_all(self._idle)

    def _opened(self, deadline: float) -> HttpConnection:
        deadline = min(deadline, time.monotonic() + self._connect_timeout_s)
        try:
            return open_connection(self._host, self._port, deadline=deadline, tls=self._tls)
        except ssl.SSLCertVerificationError as error:
            text = f"the certificate of {self._shown_url} does not verify: {error.verify_message}"
            raise PublishError(f"{text}. The event was not published") from error
        except TimeoutError as error:
            text = (
                f"{self._shown_url} took too long to connect to: is the host right, is a firewall in the way?"
            )
            raise PublishError(f"{text} The event was not published") from error
        except ConnectionRefusedError as error:
            text = f"nobody listens at {self._shown_url}: is the router running there?"
            raise PublishError(f"{text} The event was not published") from error
        except OSError as error:
            text = f"cannot connect to {self._shown_url}: {error}"
            raise PublishError(f"{text}. The event was not published") from error

    # The answer

    def _interpreted(self, response: Response) -> int:
        if response.status != 200:
            raise PublishError(
                self._explained(response), may_have_arrived=response.status >= 500, status=response.status
            )
        try:
            answer = msgspec.json.decode(response.body, type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            text = f"{self._shown_url} did not answer as a publisher does ({_shown(response.body)!r})"
            raise PublishError(f"{text}; is the path right? {_UNKNOWN}", may_have_arrived=True) from error
        if answer.error is not None:
            raise PublicationRefused(answer.error, answer.args, answer.kwargs)
        if answer.id is None:
            text = f"{self._shown_url} answered no publication id ({_shown(response.body)!r})"
            raise PublishError(f"{text}; is the path right? {_UNKNOWN}", may_have_arrived=True)
        return answer.id

    def _explained(self, response: Response) -> str:
        text = f"{self._shown_url} answered HTTP {response.status}"
        if response.location is not None:
            return f"{text}: it has moved to {response.location}; use that URL"
        try:
            reason = msgspec.json.decode(response.body, type=_Answer).error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            reason = _shown(response.body)  # a proxy's page
        hints = {
            403: "the router refuses this publisher",
            404: "is the path right, and is a publisher configured there?",
            405: "is the path right? A publisher takes POST",
        }
        return ": ".join(part for part in (text, reason, hints.get(response.status)) if part)


def _request_head(netloc: str, path: str, query: str) -> bytes:
    """Return everything of a request that stands before the value of Content-Length."""
    target = quote(path or "/", safe=_URL_CHARACTERS)
    if query:
        target += "?" + quote(query, safe=_URL_CHARACTERS + "?")
    lines = [
        f"POST {target} HTTP/1.1",
        f"Host: {netloc.encode('idna').decode() if not netloc.isascii() else netloc}",
        f"User-Agent: heliograph/{__version__}",
        "Accept: application/json",
        "Content-Type: application/json",
        "Content-Length: ",
    ]
    return "\r\n".join(lines).encode("ascii")


def _close_all(connections: deque[HttpConnection]) -> None:
    while True:
        try:
            connections.pop().close()
        except IndexError:
            return


def _shown(body: bytes) -> str:
    return body[:_SHOWN_BODY_BYTES].decode(errors="replace").strip()


def _named(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}" if error is not None and str(error) else type(error).__name__
