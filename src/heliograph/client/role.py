"""What the four roles of a session have in common: how they wait for answers and check URIs."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from heliograph.client.connection import Connection
from heliograph.client.errors import ApplicationError, ConnectionLost, RequestTimeout
from heliograph.client.payload import Result, encode_payload, read_payload
from heliograph.client.protocol import State
from heliograph.wamp.errors import INVALID_URI, RequestError
from heliograph.wamp.payload import Payload
from heliograph.wamp.uris import Match, UriCheck


class Role:
    """A session, seen from one of its roles."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._protocol = connection.protocol
        self._options = connection.options
        self._check_uri = UriCheck()

    @property
    def is_joined(self) -> bool:
        """Whether requests can be made now."""
        return self._protocol.state is State.JOINED

    async def _encoded(self, args: Any, kwargs: Any) -> Payload:
        """Wait until there is room to write, then return the arguments encoded for the present connection."""
        await self._connection.writable()
        return encode_payload(self._connection.serializer, args, kwargs)

    async def _answered(self, answer: asyncio.Future[Any], what: str, timeout_s: float | None) -> Any:
        """Return the answer; raises `RequestTimeout` when it does not come within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise RequestTimeout(f"{what}: no answer within {timeout_s:g} s") from None

    async def _call_router(self, procedure: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Result:
        """Call a procedure of the router's own, which answers within `request_timeout_s`."""
        answer = new_answer()
        request = self._protocol.calls.call(procedure, await self._encoded(args, kwargs), answer)
        try:
            result = await self._answered(answer, f"calling {procedure}", self._options.request_timeout_s)
        finally:
            self._protocol.calls.give_up(request, "skip")
        return Result(*read_payload(result))

    async def _held(self, answer: asyncio.Future[None], what: str) -> None:
        """Wait until the router holds a standing request, or no longer than `request_timeout_s`."""
        timeout_s = self._options.request_timeout_s
        try:
            await self._answered(answer, what, timeout_s)
        except RequestTimeout:
            if not self.is_joined:
                raise ConnectionLost(f"{what}: there was no session within {timeout_s:g} s") from None
            raise

    def _check(self, uri: str, match: Match = "exact") -> None:
        try:
            self._check_uri(uri, match)
            uri.encode()
        except RequestError as error:
            raise ApplicationError(error.uri, *error.arguments) from None
        except UnicodeEncodeError:
            raise ApplicationError(INVALID_URI, f"{uri!r} is not text that can be sent") from None


def new_answer() -> "asyncio.Future[Any]":
    """Return what an answer is awaited by."""
    return asyncio.get_running_loop().create_future()
