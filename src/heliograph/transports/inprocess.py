"""A session inside this process: how the HTTP bridge publishes and calls without a socket."""

import asyncio
from collections.abc import Mapping
from typing import Any

from msgspec import convert
from msgspec.structs import replace

from heliograph.auth.principal import Principal
from heliograph.routing.router import Router
from heliograph.routing.session import Session
from heliograph.wamp.errors import CANCELED, RequestError
from heliograph.wamp.features import CALLER_PASSTHRU, PUBLISHER_PASSTHRU
from heliograph.wamp.ids import SequentialIds
from heliograph.wamp.messages import (
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
        self._requests = SequentialIds()
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._session = Session(router, self)
        where = router.realm(realm)
        principal = Principal(authid=role, authrole=role, authmethod="internal", authprovider="static")
        self._session.attach(where, principal, where.role(role))
        # Who stands behind a POST packs its payload as it likes.
        self._session.features = PUBLISHER_PASSTHRU | CALLER_PASSTHRU

    async def publish(self, topic: str, payload: Payload, options: Mapping[str, Any]) -> int:
        """Publish with acknowledgement and return the publication's id.

        Args:
            topic: where to.
            payload: the event's arguments.
            options: of PUBLISH; unknown ones are ignored, `acknowledge` is always on.

        Raises:
            RequestError: the router refuses.
            msgspec.ValidationError: an option has the wrong type.
        """
        checked = convert({**options, "acknowledge": True}, PublishOptions)
        request = self._requests.next()
        answer = await self._ask(request, Publish(request, checked, topic, payload))
        if not isinstance(answer, Published):
            raise TypeError(f"PUBLISH was answered with {answer}")
        return answer.publication

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
                answer = await self._ask(request, Call(request, checked, procedure, payload))
        finally:
            # After a timeout, or when the client has gone; an answered call is off the books already.
            self._session.abandon(request)
        if not isinstance(answer, Result):
            raise TypeError(f"CALL was answered with {answer}")
        return answer.payload

    async def _ask(self, request: int, message: Message) -> Message:
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[request] = future
        try:
            self._session.receive(message)
            answer = await future
        finally:
            del self._waiting[request]
        if isinstance(answer, Error):
            args, kwargs = answer.payload.decoded()
            raise RequestError(answer.error, *args, kwargs=kwargs)
        return answer

    # What routing asks of a peer.

    def send(self, message: Message) -> None:
        """Give an answer to who waits for it."""
        request = getattr(message, "request", None)
        future = self._waiting.get(request) if request is not None else None
        if future is not None and not future.done():
            future.set_result(message)

    def close(self) -> None:
        """End every request that waits: the router stops."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(RequestError(CANCELED, "the router is stopping"))

    def left(self) -> None:
        """Nothing to do: this session never says GOODBYE."""

    def hold(self) -> None:
        """Nothing to do: each request waits for itself, whatever order they came in."""

    def release(self) -> None:
        """Nothing to do, as above."""
