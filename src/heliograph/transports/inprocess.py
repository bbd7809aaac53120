"""A session inside this process: how the HTTP bridge publishes and calls without a socket."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import convert
from msgspec.structs import replace

from heliograph.auth.principal import Principal
from heliograph.routing.authorizer import DecisionPending
from heliograph.routing.router import Router
from heliograph.routing.session import Session
from heliograph.routing.work import Steps
from heliograph.wamp.errors import CANCELED, RequestError
from heliograph.wamp.features import CALLER_PASSTHRU, PUBLISHER_PASSTHRU
from heliograph.wamp.ids import SequentialIds
from heliograph.wamp.messages import (
    PLAIN_PUBLISH,
    Call,
    CallOptions,
    Error,
    Message,
    Publish,
    Published,
    PublishOptions,
    Result,
)
from heliograph.wamp.payload import Payload


class InProcessSession:
    """A session of a fixed role that publishes and calls; one stands behind each path of the bridge.

    Args:
        router: knows the realm.
        realm: its name.
        role: the role whose permissions count.

    Raises:
        RequestError: there is no such realm, or no such role in it.
    """

    def __init__(self, router: Router, *, realm: str, role: str) -> None:
        self._work = router.work
        self._requests = SequentialIds()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        # The request that is being handled, and its answer when that is there at once.
        self._asked = 0
        self._answer: Message | None = None
        self._session = Session(router, self)
        where = router.realm(realm)
        principal = Principal(authid=role, authrole=role, authmethod="internal", authprovider="static")
        self._session.attach(where, principal, where.role(role))
        # Who stands behind a POST packs its payload as it likes.
        self._session.features = PUBLISHER_PASSTHRU | CALLER_PASSTHRU

    def publish(
        self, topic: str, payload: Payload, options: Mapping[str, Any] | None = None
    ) -> int | asyncio.Future[int]:
        """Publish with acknowledgement.

        Args:
            topic: where to.
            payload: the event's arguments.
            options: of PUBLISH; unknown ones are ignored, `acknowledge` is always on.

        Returns:
            The publication's id; or, where a decision has to be waited for or the event matches very many
            subscriptions, its future, which may fail with `RequestError`.

        Raises:
            RequestError: the router refuses.
            msgspec.ValidationError: an option has the wrong type.
        """
        checked = convert({**options, "acknowledge": True}, PublishOptions) if options else PLAIN_PUBLISH
        try:
            published = self._session.publish(topic, checked, payload)
        except DecisionPending:
            request = self._requests.next()
            acknowledged = replace(checked, acknowledge=True)
            publication: int | asyncio.Future[int] = self._ask(
                request, Publish(request, acknowledged, topic, payload)
            )
            return publication
        return published if isinstance(published, int) else self._at_end(published)

    def _at_end(self, steps: Steps[int]) -> asyncio.Future[int]:
        """Return what is done when an event has been sent to all subscriptions it matches."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def publish() -> Steps[None]:
            publication = yield from steps
            if not future.done():
                future.set_result(publication)

        self._work.go_on(publish())
        return future

    async def call(
        self, procedure: str, payload: Payload, options: Mapping[str, Any], *, timeout_s: float
    ) -> Payload:
        """Call `procedure` and return the payload of its result.

        Args:
            procedure: what to call.
            payload: its arguments.
            options: of CALL; unknown ones are ignored.
            timeout_s: seconds the callee may take.

        Raises:
            RequestError: the router refuses, or the callee answers with an error.
            TimeoutError: no answer in time; one that comes later is dropped.
            msgspec.ValidationError: an option has the wrong type.
        """
        # One answer to one request is all that HTTP has room for.
        checked = replace(convert(dict(options), CallOptions), progress=False, receive_progress=False)
        request = self._requests.next()
        try:
            async with asyncio.timeout(timeout_s):
                answer = self._ask(request, Call(request, checked, procedure, payload))
                result: Payload = await answer if isinstance(answer, asyncio.Future) else answer
        finally:
            # After a timeout, or when the client has gone; an answered call is off the books already.
            self._session.abandon(request)
        return result

    def _ask(self, request: int, message: Message) -> Any:
        """Return what `message` is answered with, or a future of it; raises `RequestError`."""
        self._asked, self._answer = request, None
        self._session.receive(message)
        answer, self._asked, self._answer = self._answer, 0, None
        if answer is not None:
            return _value(answer)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[request] = future
        future.add_done_callback(lambda _future: self._waiting.pop(request, None))
        return future

    # What routing asks of a peer.

    def send(self, message: Message) -> None:
        """Give an answer to who waits for it."""
        request = getattr(message, "request", None)
        if request is None:
            return
        if request == self._asked:
            self._answer = message
            return
        future = self._waiting.get(request)
        if future is None or future.done():
            return
        try:
            future.set_result(_value(message))
        except RequestError as error:
            future.set_exception(error)
        # An answer that cannot be read was refused before this: another one comes in its place.
        del self._waiting[request]

    def close(self) -> None:
        """End every request that waits: the router stops."""
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(RequestError(CANCELED, "the router is stopping"))

    def left(self) -> None:
        """Nothing to do: this session never says GOODBYE."""

    def hold(self) -> None:
        """Nothing to do: each request waits for itself, whatever order they came in."""

    def release(self) -> None:
        """Nothing to do, as above."""

    @property
    def has_room(self) -> bool:
        """Nothing waits here."""
        return True

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` now."""
        callback()


def _value(answer: Message) -> Any:
    """Return what who asked wants of `answer`; raises `RequestError` for ERROR."""
    if isinstance(answer, Published):
        return answer.publication
    if isinstance(answer, Result):
        return answer.payload
    if isinstance(answer, Error):
        args, kwargs = answer.payload.decoded()
        raise RequestError(answer.error, *args, kwargs=kwargs)
    raise TypeError(f"a request was answered with {answer}")
