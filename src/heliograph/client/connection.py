"""A session's connections, one after the other: opens, joins, watches, tries again."""

import asyncio
import inspect
import logging
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from heliograph.auth.errors import ChallengeRefused, LibraryMissing
from heliograph.client.address import Address
from heliograph.client.authentication import Authentication
from heliograph.client.errors import (
    ApplicationError,
    BadPayload,
    ConnectFailed,
    ConnectionLost,
    HeliographError,
    JoinRefused,
)
from heliograph.client.features import has_announced
from heliograph.client.invocations import OpenInvocation
from heliograph.client.link import Link, opener
from heliograph.client.options import ClientOptions
from heliograph.client.protocol import ClientProtocol, OpenChallenge, State
from heliograph.client.reconnect import Clock, Random, backoff_of
from heliograph.client.rejoin import Rejoin, RejoinCallback
from heliograph.client.runner import InvocationRunner
from heliograph.client.standing import StandingRequest
from heliograph.wamp.errors import AUTHENTICATION_DENIED, PROCEDURE_ALREADY_EXISTS, PayloadError
from heliograph.wamp.messages import Welcome
from heliograph.wamp.payload import Payload
from heliograph.wire.serializers.serializer import Serializer

logger = logging.getLogger("heliograph.client")

SENDS_A_TURN = 32
"""Messages that one task may send before the others have their turn."""

JoinCallback = Callable[[], Awaitable[object] | object]
LeaveCallback = Callable[[HeliographError], Awaitable[object] | object]


class Connection:
    """Keeps one `ClientProtocol` joined.

    Args:
        address: where the router is.
        realm: the realm to join.
        agent: this software's name and version.
        authentication: how the client proves who it is.
        serializers: in order of preference.
        ssl_context: how servers are verified; `None` verifies by the system's authorities.
        headers: more headers for the WebSocket handshake.
        reconnect: whether to try again after a connection is lost.
        retry_first: whether to try again until the first connection stands.
        options: limits and timeouts.
        clock: what pauses are waited by.
        random: what pauses are drawn from.

    Attributes:
        protocol: the session's protocol.
        clock: what pauses are waited by.
        joins: how many times the session has joined.
    """

    def __init__(
        self,
        address: Address,
        *,
        realm: str,
        agent: str,
        authentication: Authentication,
        serializers: tuple[Serializer, ...],
        ssl_context: ssl.SSLContext | None,
        headers: Mapping[str, str],
        reconnect: bool,
        retry_first: bool,
        options: ClientOptions,
        clock: Clock,
        random: Random,
    ) -> None:
        self.address = address
        self.options = options
        self.protocol = ClientProtocol(realm=realm, agent=agent, observer=self, authentication=authentication)
        self.joins = 0
        self.join_callbacks: list[JoinCallback] = []
        self.leave_callbacks: list[LeaveCallback] = []
        self.rejoin_callbacks: list[RejoinCallback] = []
        self.clock = clock
        self._realm = realm
        self._serializers = serializers
        self._ssl_context = ssl_context
        self._headers = headers
        self._reconnect = reconnect
        self._retry_first = retry_first
        self._random = random
        self._runner = InvocationRunner(
            self.protocol.invocations,
            serializer=lambda: self.serializer,
            writable=self.writable,
            spawn=self.spawn,
            options=options,
        )
        self._link: Link | None = None
        self._outcome: asyncio.Future[None] | None = None
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._callbacks: set[asyncio.Task[None]] = set()
        self._supervisor: asyncio.Task[None] | None = None
        self._is_closing = False
        self._sends = 0
        self._last_failure = ""
        self._lost: tuple[float, HeliographError] | None = None
        self._failed: dict[str, ApplicationError] = {}

    # Opening and closing

    async def open(self) -> None:
        """Start, and wait until the session has joined for the first time.

        Raises:
            ConnectFailed: no connection could be opened.
            JoinRefused: the router does not let this client into the realm.
            ConnectionLost: the connection went while joining.
        """
        await self._group.__aenter__()
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._supervisor = self.spawn(self._keep_joined(first))
        try:
            await first
        except BaseException as error:
            await self.close(error)
            raise

    async def close(self, cause: BaseException | None = None) -> None:
        """Say goodbye within `close_timeout_s` and end every task.

        Args:
            cause: the exception that ends the session's block, if one does.
        """
        self._is_closing = True
        try:
            await self._leave()
            self.protocol.standing.closed(None)
            if self._callbacks:  # those of `on_leave`, just now
                await asyncio.wait(self._callbacks, timeout=self.options.close_timeout_s)
        finally:
            for task in self._tasks:
                task.cancel()
            await self._end_tasks(cause)

    async def _end_tasks(self, cause: BaseException | None) -> None:
        try:
            # The group is told of a cancellation, for it may have been its own doing: then a task of it has failed.
            if isinstance(cause, asyncio.CancelledError):
                await self._group.__aexit__(type(cause), cause, None)
            else:
                await self._group.__aexit__(None, None, None)
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1 and isinstance(group.exceptions[0], JoinRefused):
                raise group.exceptions[0] from None  # what `_keep_joined` ends the session's block with
            raise

    async def _leave(self) -> None:
        link = self._link
        if link is None:
            return
        try:
            async with asyncio.timeout(self.options.close_timeout_s):
                self.protocol.leave()
                await link.wait_closed()
        except TimeoutError:
            logger.info("%s did not say goodbye in time; the connection is cut", self._shown_url)
        finally:
            self.protocol.lost("the session was closed")
            link.abort()
        await link.wait_closed()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` as a task that ends with the session."""
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Joining and joining again

    async def _keep_joined(self, first: asyncio.Future[None]) -> None:
        backoff = backoff_of(self.options, self._random)
        while not self._is_closing:
            try:
                link = await self._join()
            except (ConnectFailed, JoinRefused, ConnectionLost) as error:
                if not first.done() and not self._is_worth_retrying(error):
                    first.set_exception(error)
                    return
                if isinstance(error, JoinRefused) and error.is_about_credentials:
                    raise  # They were right before. Asking again and again would only get this address locked out.
                self._log_failure(error)
            else:
                if not first.done():
                    first.set_result(None)
                since = self.clock.monotonic()
                try:
                    await link.wait_closed()
                finally:
                    link.abort()
                if self.clock.monotonic() - since >= self.options.stable_after_s:
                    backoff.reset()
                if not self._reconnect:
                    self.protocol.standing.closed(self._lost and self._lost[1])
                    return
            if not self._is_closing:
                await self.clock.sleep(backoff.next())

    def _is_worth_retrying(self, error: HeliographError) -> bool:
        if not self._retry_first:
            return False
        return not isinstance(error, ConnectFailed | JoinRefused) or error.is_temporary

    async def _join(self) -> Link:
        link = await opener(self.address)(
            self.address,
            serializers=self._serializers,
            receiver=self.protocol,
            options=self.options,
            ssl_context=self._ssl_context,
            headers=self._headers,
        )
        outcome = self._outcome = asyncio.get_running_loop().create_future()
        self._link = link
        try:
            try:
                self.protocol.connected(link)
            except (BadPayload, PayloadError) as error:
                raise ConnectFailed(f"{self._shown_url}: HELLO: {error}", is_temporary=False) from error
            try:
                async with asyncio.timeout(self.options.join_timeout_s):
                    await outcome
            except TimeoutError:
                text = f"the router did not answer HELLO within {self.options.join_timeout_s:g} s"
                self.protocol.lost(text)
                raise ConnectionLost(text) from None
            except (JoinRefused, ConnectionLost):
                await link.wait_closed()
                raise
        except BaseException:
            link.abort()
            await link.wait_closed()
            raise
        return link

    def _log_failure(self, error: HeliographError) -> None:
        """Log each new reason once: a router that is down for a day is no news every 30 seconds."""
        text = str(error)
        level = logging.DEBUG if text == self._last_failure else logging.WARNING
        logger.log(level, "no session at %s yet: %s; trying again", self._shown_url, text)
        self._last_failure = text

    @property
    def _shown_url(self) -> str:
        return self.address.shown

    # The present connection

    @property
    def serializer(self) -> Serializer:
        """The serializer of the present connection, or the one that is preferred."""
        return self._serializers[0] if self._link is None else self._link.serializer

    async def writable(self) -> None:
        """Wait until there is room to write, or no session; now and then let others have their turn.

        Who sends without a pause to a router that reads as fast would otherwise never let this end read.
        """
        self._sends += 1
        if self._sends % SENDS_A_TURN == 0:
            await asyncio.sleep(0)
        while self.protocol.state is State.JOINED and self._link is not None and not self._link.is_writable:
            await self._link.writable()

    # What the protocol tells

    def challenged(self, challenge: OpenChallenge) -> None:
        """Make the proof in a thread: some take as long as they can, and some have to fetch their secret."""
        self.spawn(self._prove(challenge))

    async def _prove(self, challenge: OpenChallenge) -> None:
        try:
            proof = await asyncio.to_thread(challenge.attempt.respond, challenge.method, challenge.extra)
            self.protocol.answer_challenge(challenge, proof)
        except (ChallengeRefused, LibraryMissing, PayloadError) as error:
            refusal = JoinRefused(AUTHENTICATION_DENIED, (f"not answered: {error}",), {})
            self.protocol.refuse_challenge(challenge, refusal)
        except Exception as error:
            logger.exception("the proof for the router could not be made")
            text = f"the proof for the router could not be made: {type(error).__name__}"
            self.protocol.refuse_challenge(challenge, ConnectionLost(text))

    def joined(self, welcome: Welcome) -> None:
        """Let waiting requests go on and call who asked for it."""
        self.joins += 1
        self._last_failure = ""
        self._failed = {}
        logger.info("joined %s at %s as session %d", self._realm, self._shown_url, welcome.session)
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(None)
        for callback in tuple(self.join_callbacks):
            self._call(callback)

    def ended(self, error: HeliographError, *, was_joined: bool) -> None:
        """Let go of the connection."""
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(error)
        if was_joined:
            self._lost = (self.clock.monotonic(), error)
            if not self._is_closing:
                logger.warning("left %s at %s: %s", self._realm, self._shown_url, error)
            for callback in tuple(self.leave_callbacks):
                self._call(callback, error)

    def invoked(self, invocation: OpenInvocation) -> None:
        """Run the function that was called."""
        self._runner.start(invocation)

    def piece_came(self, invocation: OpenInvocation, payload: Payload) -> None:
        """Hand the function a further piece of its call."""
        self._runner.piece_came(invocation, payload)

    def interrupted(self, invocation: OpenInvocation) -> None:
        """Stop the function: its caller has given up."""
        self._runner.interrupted(invocation)

    def dropped(self, invocation: OpenInvocation) -> None:
        """Take note that a function's answer cannot reach its caller any more."""
        self._runner.dropped(invocation)

    def restored(self) -> None:
        """Tell who asked for it how joining again went."""
        lost, welcome = self._lost, self.protocol.welcome
        if lost is None or welcome is None:
            return
        self._lost = None
        subscriptions, registrations = self.protocol.standing.held()
        rejoin = Rejoin(
            away_s=self.clock.monotonic() - lost[0],
            cause=lost[1],
            subscriptions=subscriptions,
            registrations=registrations,
            failed=self._failed,
            has_history=has_announced(welcome.details.roles, "broker", "event_history"),
        )
        for callback in tuple(self.rejoin_callbacks):
            self._call(callback, rejoin)

    def restoring_failed(self, standing: StandingRequest, error: ApplicationError) -> None:
        """Try again where the router may only be late to notice that the last connection is gone."""
        self._failed[standing.uri] = error
        logger.error("could not %s %s again: %s", standing.what, standing.uri, error)
        if error.uri == PROCEDURE_ALREADY_EXISTS:
            self.spawn(self._restore_later(standing))

    async def _restore_later(self, standing: StandingRequest) -> None:
        await self.clock.sleep(self.options.ping_interval_s * self._random())
        self.protocol.standing.restore(standing)

    def _call(self, callback: Callable[..., Awaitable[object] | object], *args: object) -> None:
        try:
            result = callback(*args)
        except Exception:
            logger.exception("a callback of the session failed")
            return
        if inspect.isawaitable(result):
            task = self.spawn(self._finish(result))
            self._callbacks.add(task)
            task.add_done_callback(self._callbacks.discard)

    async def _finish(self, result: Awaitable[object]) -> None:
        try:
            await result
        except Exception:
            logger.exception("a callback of the session failed")
