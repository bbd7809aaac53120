"""Publishing from synchronous code: one HTTP POST to the router's publisher path."""

import http.client
import ssl
import time
import weakref
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NoReturn, Self, TypeGuard, TypeVar
from urllib.parse import urlsplit

import msgspec

from heliograph.auth.bearer import TOKEN_RULE, BearerToken
from heliograph.client.bodies import MOST_EVENTS, batches
from heliograph.client.errors import BadPayload, PublicationRefused, PublishError
from heliograph.client.http_connection import (
    HttpConnection,
    NotSent,
    Response,
    ResponseTooLarge,
    open_connection,
)
from heliograph.client.pipeline import OnError, Pipeline, PipelineOptions, QueuedEvent, creating_pipeline
from heliograph.client.request_head import request, request_head
from heliograph.wamp.errors import PayloadError
from heliograph.wire.serializers import serializer

MAX_IDLE_CONNECTIONS = 8
"""Connections kept for the next publication; more threads than that publish at once by opening more."""

MAX_IDLE_S = 30.0
"""Older ones may have been forgotten by something on the way without a word."""

MAX_RESPONSE_BYTES = 1024 * 1024

_NOTHING_OF_IT_WAS_PUBLISHED = (400, 413, 415)
"""Answers to a body of many events: there are too many of them, or the server takes only one."""

_SHOWN_BODY_BYTES = 200
_EVENT_KEYS = ("topic", "args", "kwargs", "options")
_UNKNOWN = "the event may or may not have been published"


class _Answer(msgspec.Struct):
    """`{"id": …}`, or `{"error": …, "args": …, "kwargs": …}`."""

    id: int | None = None
    error: str | None = None
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


Answer = TypeVar("Answer")


class Publisher:
    """Publishes events from synchronous code, over connections that are kept open.

        publisher = Publisher("http://127.0.0.1:8080/notify")
        publisher.publish("com.example.news", "hello", important=True)

    `publish` waits for the router's acknowledgement. `publish_soon` waits for nothing: a thread sends what is queued,
    many events in one request, and `flush`, `close` and the end of the process wait for it.

    One publisher serves any number of threads, and processes forked from this one. A publication that may have
    arrived is never repeated: at most one event comes of one call.

    Args:
        url: the router's publisher path, `http://host:port/notify` or `https://…`.
        timeout_s: seconds one publication may take, connecting included. Looking up a host's name is not
            bounded: the system's resolver has its own timeout.
        connect_timeout_s: seconds of it that connecting may take, TLS included.
        token: what the publisher path asks for (its `options.token`); it is sent as it is, so use `https` over a
            network.
        ssl_context: how an `https` server is verified; by default by the system's authorities.
        on_error: called in another thread with the topic of each event of `publish_soon` that was not published,
            and why; without it `flush` raises.
        max_pending_events: events of `publish_soon` that may wait; above it a call waits for room.
        max_pending_bytes: bytes of them that may wait, likewise.
        flush_timeout_s: seconds `close` and the end of the process wait for what is queued.

    Raises:
        ValueError: the URL, the token, a timeout or a limit is wrong.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 2.0,
        connect_timeout_s: float = 1.0,
        token: str | BearerToken | None = None,
        ssl_context: ssl.SSLContext | None = None,
        on_error: OnError | None = None,
        max_pending_events: int = 10_000,
        max_pending_bytes: int = 16 * 1024 * 1024,
        flush_timeout_s: float = 2.0,
    ) -> None:
        if isinstance(token, str):
            token = BearerToken(token)
        if token is not None and not token.is_usable:
            raise ValueError(f"the token must have {TOKEN_RULE}")
        if not timeout_s > 0 or not connect_timeout_s > 0:
            raise ValueError("timeout_s and connect_timeout_s must be above 0")
        if max_pending_events < 1 or max_pending_bytes < 1 or not flush_timeout_s >= 0:
            raise ValueError("max_pending_events and max_pending_bytes must be at least 1, flush_timeout_s 0")
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
        self._head = request_head(parts.netloc, parts.path, parts.query, "application/json", token)
        self._lines_head = request_head(parts.netloc, parts.path, parts.query, "application/x-ndjson", token)
        # Less when the server refuses so many in one body, 1 when it is no Heliograph and takes single events only.
        self._most_events = MOST_EVENTS
        self._pipeline_options = PipelineOptions(
            max_pending_events, max_pending_bytes, timeout_s, flush_timeout_s, on_error
        )
        self._pipeline: Pipeline | None = None
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
        return self._interpreted(self._posted(self._encoded(topic, args, kwargs, options), self._head))

    def publish_many(self, events: Iterable[Mapping[str, Any]]) -> list[int | PublishError]:
        """Publish events in their order, many in one request, and wait for the answers.

        Args:
            events: what `publish_event` takes, by name: `{"topic": …, "args": […], "kwargs": {…}, "options": {…}}`;
                all but the topic may be left out.

        Returns:
            For each event its publication's id, or the error that `publish_event` would have raised.

        Raises:
            BadPayload: an event cannot be expressed in JSON; nothing was sent.
            PublishError: this publisher is closed.
            TypeError: an event has no topic or a key that is none of those; nothing was sent.
        """
        return self._posted_many([self._encoded_event(event) for event in events])

    def publish_soon(self, topic: str, /, *args: Any, **kwargs: Any) -> None:
        """Queue an event, to be sent by a thread together with others; everything after `topic` is payload.

        Nobody waits for its acknowledgement but `flush`. Events of one thread arrive in their order. When too many
        wait, the call waits for room, at most `timeout_s`.

        Raises:
            PublishError: there was no room in time, and the event is not queued.
            BadPayload: the arguments cannot be expressed in JSON.
        """
        self.publish_event_soon(topic, args, kwargs)

    def publish_event_soon(
        self,
        topic: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Queue an event with WAMP's options; raises what `publish_soon` does."""
        self._queue().put(QueuedEvent(topic, self._encoded(topic, args, kwargs, options)))

    def flush(self, timeout_s: float) -> int:
        """Wait for the acknowledgements of all that is queued; return how many are missing after `timeout_s`.

        Raises:
            PublishError: events were not published since the last flush, and there is no `on_error`.
        """
        pipeline = self._pipeline
        return 0 if pipeline is None else pipeline.flush(timeout_s)

    def close(self) -> None:
        """Flush for at most `flush_timeout_s`, then close the connections; publishing is an error from now on.

        Raises:
            PublishError: queued events were not sent in time, or were not published and there is no `on_error`.
        """
        if self._is_closed:
            return
        try:
            left = (
                0 if self._pipeline is None else self._pipeline.stop(self._pipeline_options.flush_timeout_s)
            )
        finally:
            self._is_closed = True
            self._finalizer()
        if left:
            raise PublishError(
                f"{left} events to {self._shown_url} were still queued when the publisher was closed"
            )

    def _queue(self) -> Pipeline:
        if self._pipeline is None:
            if self._is_closed:
                raise PublishError("this publisher is closed")
            with creating_pipeline():
                if self._pipeline is None:
                    self._pipeline = Pipeline(self._shown_url, self._posted_many, self._pipeline_options)
        return self._pipeline

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close()
        except PublishError as lost:
            # What went wrong in the block comes first.
            error.add_note(str(lost))

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

    def _encoded_event(self, event: Mapping[str, Any]) -> bytes:
        if "topic" not in event:
            raise TypeError("an event of publish_many needs a topic")
        unknown = event.keys() - _EVENT_KEYS
        if unknown:
            raise TypeError(
                f"an event of publish_many has no {', '.join(sorted(map(repr, unknown)))}, "
                f"only {', '.join(_EVENT_KEYS)}"
            )
        return self._encoded(**{"args": (), "kwargs": None, "options": None, **event})

    def _posted_many(self, bodies: Sequence[bytes]) -> list[int | PublishError]:
        """Return for each event its publication's id or what went wrong."""
        if self._is_closed:
            raise PublishError("this publisher is closed")
        outcomes: list[int | PublishError] = []
        failure: PublishError | None = None
        for batch in batches(bodies, self._most_events):
            if failure is not None:
                # One after another would run into its time limit.
                error = PublishError(f"{failure}; what was behind that was not sent", status=failure.status)
                outcomes += [error] * len(batch)
                continue
            posted = self._posted_batch(batch)
            outcomes += posted
            failure = next(filter(_is_outage, posted), None)
        return outcomes

    def _posted_batch(self, batch: Sequence[bytes]) -> list[int | PublishError]:
        if len(batch) == 1:
            return [self._outcome(batch[0])]
        try:
            response = self._posted(b"\n".join(batch), self._lines_head)
            if response.status not in _NOTHING_OF_IT_WAS_PUBLISHED:
                return self._interpreted_many(response, len(batch))
        except PublishError as error:
            return [error] * len(batch)
        is_too_much = response.status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        self._most_events = min(self._most_events, len(batch) // 2 if is_too_much else 1)
        return self._posted_many(batch)

    def _outcome(self, body: bytes) -> int | PublishError:
        try:
            return self._interpreted(self._posted(body, self._head))
        except PublishError as error:
            return error

    def _posted(self, body: bytes, head: bytes) -> Response:
        if self._is_closed:
            raise PublishError("this publisher is closed")
        whole = request(head, body)
        deadline = time.monotonic() + self._timeout_s
        kept = self._kept()
        if kept is not None:
            try:
                return self._exchanged(kept, whole, deadline)
            except NotSent as error:
                if error.sent_bytes:
                    self._raise_not_sent(error)
                # Closed since it was looked at, and not a byte went out: on a new connection it is the first try.
        try:
            return self._exchanged(self._opened(deadline), whole, deadline)
        except NotSent as error:
            self._raise_not_sent(error)

    def _exchanged(self, connection: HttpConnection, whole: bytes, deadline: float) -> Response:
        is_reusable = False
        try:
            response, is_reusable = connection.exchange(
                whole, deadline=deadline, max_response_bytes=MAX_RESPONSE_BYTES
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
            raise self._http_error(response)
        return self._published(self._decoded(response, _Answer), response)

    def _interpreted_many(self, response: Response, count: int) -> list[int | PublishError]:
        if response.status != 200:
            raise self._http_error(response)
        answers = self._decoded(response, list[_Answer])
        if len(answers) != count:
            text = f"{self._shown_url} answered {len(answers)} of {count} events"
            raise PublishError(f"{text}; is the path right? {_UNKNOWN}", may_have_arrived=True)
        outcomes: list[int | PublishError] = []
        for answer in answers:
            try:
                outcomes.append(self._published(answer, response))
            except PublishError as error:
                outcomes.append(error)
        return outcomes

    def _decoded(self, response: Response, kind: type[Answer]) -> Answer:
        try:
            return msgspec.json.decode(response.body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            text = f"{self._shown_url} did not answer as a publisher does ({_shown(response.body)!r})"
            raise PublishError(f"{text}; is the path right? {_UNKNOWN}", may_have_arrived=True) from error

    def _published(self, answer: _Answer, response: Response) -> int:
        if answer.error is not None:
            raise PublicationRefused(answer.error, answer.args, answer.kwargs)
        if answer.id is None:
            text = f"{self._shown_url} answered no publication id ({_shown(response.body)!r})"
            raise PublishError(f"{text}; is the path right? {_UNKNOWN}", may_have_arrived=True)
        return answer.id

    def _http_error(self, response: Response) -> PublishError:
        return PublishError(
            self._explained(response), may_have_arrived=response.status >= 500, status=response.status
        )

    def _explained(self, response: Response) -> str:
        text = f"{self._shown_url} answered HTTP {response.status}"
        if response.location is not None:
            return f"{text}: it has moved to {response.location}; use that URL"
        try:
            reason = msgspec.json.decode(response.body, type=_Answer).error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            reason = _shown(response.body)  # a proxy's page
        hints = {
            401: "the publisher's `token` must be that of the router's path",
            403: "the router refuses this publisher",
            404: "is the path right, and is a publisher configured there?",
            405: "is the path right? A publisher takes POST",
        }
        return ": ".join(part for part in (text, reason, hints.get(response.status)) if part)


def _is_outage(outcome: int | PublishError) -> TypeGuard[PublishError]:
    """Return whether the server failed, rather than found fault with an event."""
    if isinstance(outcome, int | PublicationRefused):
        return False
    return outcome.status is None or outcome.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR


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
