"""The session that an application holds: publish, subscribe, call, register."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from heliograph.client.connection import Connection, JoinCallback, LeaveCallback
from heliograph.client.errors import ApplicationError, ConnectionLost, RequestTimeout
from heliograph.client.payload import Result, encode_payload, read_payload
from heliograph.client.protocol import State
from heliograph.client.registration import Function, Registration
from heliograph.client.subscription import Handler, Subscription
from heliograph.wamp.errors import INVALID_URI, RequestError
from heliograph.wamp.payload import Payload
from heliograph.wamp.uris import Match, UriCheck


class Session:
    """A WAMP session that joins again by itself; made by `heliograph.client.connect`.

    While there is no connection, what happens once fails at once with `ConnectionLost` (publishing, calling): the
    application knows whether it is still worth while later. What lasts waits for the next join, at most
    `request_timeout_s` (subscribing, registering), and is then kept over every further one.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._protocol = connection.protocol
        self._options = connection.options
        self._check_uri = UriCheck()

    # State

    @property
    def is_joined(self) -> bool:
        """Whether requests can be made now."""
        return self._protocol.state is State.JOINED

    @property
    def session_id(self) -> int | None:
        """The router's id of the session; another one after each join, `None` between them."""
        return self._protocol.session_id

    @property
    def joins(self) -> int:
        """How many times the session has joined."""
        return self._connection.joins

    @property
    def foreign_events(self) -> int:
        """How many events came for subscriptions that this session does not have; they are ignored."""
        return self._protocol.foreign_events

    def on_join(self, callback: JoinCallback) -> Callable[[], None]:
        """Call `callback()`, a function or coroutine function, after each join from now on.

        Subscriptions and registrations have been asked for again by then. Returns a function that takes it back.
        """
        self._connection.join_callbacks.append(callback)
        return lambda: _discard(self._connection.join_callbacks, callback)

    def on_leave(self, callback: LeaveCallback) -> Callable[[], None]:
        """Call `callback(error)`, a function or coroutine function, when a joined session ends, by whomever.

        Returns a function that takes it back.
        """
        self._connection.leave_callbacks.append(callback)
        return lambda: _discard(self._connection.leave_callbacks, callback)

    # Publishing and subscribing

    async def publish(self, topic: str, /, *args: Any, **kwargs: Any) -> None:
        """Publish an event without waiting for an acknowledgement; everything after `topic` is payload.

        Waits while more than `write_high_water_bytes` are unsent.

        Raises:
            ConnectionLost: there is no session now.
            BadPayload: the arguments cannot be expressed in the session's serializer.
            ApplicationError: `topic` is no valid URI.
        """
        await self.publish_event(topic, args, kwargs)

    async def publish_event(
        self,
        topic: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        acknowledge: bool = False,
        exclude_me: bool = True,
    ) -> int | None:
        """Publish an event with options.

        Args:
            topic: where to.
            args: positional payload.
            kwargs: keyword payload.
            acknowledge: wait until the router has accepted it.
            exclude_me: do not send it to this session's own subscriptions.

        Returns:
            the publication's id when acknowledged, else `None`.

        Raises:
            ConnectionLost: there is no session, or it ended before the acknowledgement came.
            RequestTimeout: no acknowledgement within `request_timeout_s`.
            BadPayload: the arguments cannot be expressed in the session's serializer.
            ApplicationError: `topic` is no valid URI, or the router refused an acknowledged publication.
        """
        self._check(topic, "exact")
        await self._connection.writable()
        payload = encode_payload(self._connection.serializer, args, kwargs)
        if not acknowledge:
            self._protocol.publish(topic, payload, exclude_me=exclude_me)
            return None
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        request = self._protocol.publish_acknowledged(topic, payload, answer, exclude_me=exclude_me)
        what = f"publishing to {topic}"
        publication: int = await self._answered(answer, what, self._options.request_timeout_s, request)
        return publication

    async def subscribe(self, handler: Handler, topic: str, match: Match = "exact") -> Subscription:
        """Call `handler(event)` for each event of `topic`, in order, over every reconnection.

        Args:
            handler: a function or coroutine function.
            topic: a topic, or a pattern when `match` is not `exact`.
            match: `exact`, `prefix` or `wildcard`.

        Raises:
            ApplicationError: the router refuses the subscription.
            ConnectionLost: there was no session within `request_timeout_s`.
            RequestTimeout: the router did not answer within `request_timeout_s`.
        """
        self._check(topic, match)
        subscription = Subscription(
            handler,
            topic,
            match,
            max_queued=self._options.max_queued_events,
            withdraw=self._unsubscribe,
        )
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._protocol.subscribe(topic, match, subscription.put, answer)
        try:
            await self._held(answer, f"subscribing to {topic}")
        except BaseException:
            subscription.stop()
            self._protocol.unsubscribe(topic, match, subscription.put)
            raise
        self._connection.spawn(subscription.run())
        return subscription

    async def _unsubscribe(self, subscription: Subscription) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._protocol.unsubscribe(subscription.topic, subscription.match, subscription.put, answer)
        what = f"unsubscribing from {subscription.topic}"
        await self._answered(answer, what, self._options.request_timeout_s)

    # Calling and registering

    async def call(self, procedure: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a procedure; everything after `procedure` is payload.

        Returns:
            the value it returned, `None` when it returned none, or a `Result` when it returned several.

        Raises:
            ApplicationError: the procedure or the router answered with an error.
            ConnectionLost: there is no session, or it ended before the result came.
            RequestTimeout: no result within `call_timeout_s`.
            BadPayload: the arguments cannot be expressed, or the result not read.
        """
        timeout_s = self._options.call_timeout_s
        return (await self.call_procedure(procedure, args, kwargs, timeout_s=timeout_s)).value()

    async def call_procedure(
        self,
        procedure: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Result:
        """Call a procedure with options.

        Args:
            procedure: its URI.
            args: positional payload.
            kwargs: keyword payload.
            timeout_s: seconds for the result; `None` waits as long as the connection lives.

        Returns:
            everything it returned.

        Raises:
            what `call` raises.
        """
        self._check(procedure, "exact")
        await self._connection.writable()
        payload = encode_payload(self._connection.serializer, args, kwargs)
        answer: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        request = self._protocol.call(procedure, payload, answer)
        result = await self._answered(answer, f"calling {procedure}", timeout_s, request)
        return Result(*read_payload(result))

    async def register(self, function: Function, procedure: str) -> Registration:
        """Answer calls of `procedure` with `function(*args, **kwargs)`, over every reconnection.

        What it returns is the result; a `Result` stands for several values. `ApplicationError` becomes the caller's
        error, any other exception `wamp.error.runtime_error` with its type and text, and is logged.

        Args:
            function: a function, which must not block, or a coroutine function; those run side by side.
            procedure: its URI.

        Raises:
            ApplicationError: the router refuses the registration.
            ConnectionLost: there was no session within `request_timeout_s`.
            RequestTimeout: the router did not answer within `request_timeout_s`.
        """
        self._check(procedure, "exact")
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._protocol.register(procedure, function, answer)
        try:
            await self._held(answer, f"registering {procedure}")
        except BaseException:
            self._protocol.unregister(procedure, function)
            raise
        return Registration(function, procedure, self._unregister)

    async def _unregister(self, registration: Registration) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._protocol.unregister(registration.procedure, registration.function, answer)
        what = f"unregistering {registration.procedure}"
        await self._answered(answer, what, self._options.request_timeout_s)

    # Waiting

    async def _answered(
        self, answer: asyncio.Future[Any], what: str, timeout_s: float | None, request: int | None = None
    ) -> Any:
        """Return the answer; whoever stops waiting, by timeout or cancellation, is forgotten."""
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise RequestTimeout(f"{what}: no answer within {timeout_s:g} s") from None
        finally:
            if request is not None:
                self._protocol.forget(request)

    async def _held(self, answer: asyncio.Future[None], what: str) -> None:
        try:
            await self._answered(answer, what, self._options.request_timeout_s)
        except RequestTimeout:
            if not self.is_joined:
                timeout_s = self._options.request_timeout_s
                raise ConnectionLost(f"{what}: there was no session within {timeout_s:g} s") from None
            raise

    def _check(self, uri: str, match: Match) -> None:
        try:
            self._check_uri(uri, match)
            uri.encode()
        except RequestError as error:
            raise ApplicationError(error.uri, *error.arguments) from None
        except UnicodeEncodeError:
            raise ApplicationError(INVALID_URI, f"{uri!r} is not text that can be sent") from None


def _discard(callbacks: list[Any], callback: object) -> None:
    if callback in callbacks:
        callbacks.remove(callback)


@asynccontextmanager
async def session_of(connection: Connection) -> AsyncIterator[Session]:
    """Keep `connection` open for the length of a block."""
    await connection.open()
    try:
        yield Session(connection)
    except BaseException as error:
        await connection.close(error)
        raise
    else:
        await connection.close()
