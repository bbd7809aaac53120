"""What a registered function may know of the call it answers."""

import asyncio
import inspect
import typing
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from heliograph.client.errors import ApplicationError, ConnectionLost
from heliograph.client.invocations import OpenInvocation
from heliograph.client.payload import Result, read_payload
from heliograph.wamp.errors import INVALID_ARGUMENT, RUNTIME_ERROR
from heliograph.wamp.payload import Payload


class Invocation:
    """One call of a registered function. A function gets it that has a parameter annotated with this class.

        async def copy(path: str, *, invocation: Invocation) -> int:
            await invocation.progress("begun")

    Attributes:
        procedure: the procedure that was called; with a pattern, not the pattern.
        caller: the caller's session id, where the router tells it.
        caller_authid: the caller's authid, where the router tells it.
        caller_authrole: the caller's role, where the router tells it.
        trustlevel: the router's trust in the caller, 0 is the lowest; where the router tells it.
        wants_progress: whether the caller takes progressive results.
    """

    def __init__(
        self,
        opened: OpenInvocation,
        *,
        send_progress: Callable[[OpenInvocation, Result], Awaitable[bool]],
        max_queued_pieces: int,
    ) -> None:
        details = opened.details
        self.procedure = opened.procedure
        self.caller: int | None = details.caller
        self.caller_authid: str | None = details.caller_authid
        self.caller_authrole: str | None = details.caller_authrole
        self.trustlevel: int | None = details.trustlevel
        self.wants_progress = bool(details.receive_progress)
        self._opened = opened
        self._send_progress = send_progress
        self._max_queued = max_queued_pieces
        self._pieces: deque[Payload] = deque()
        self._arrived = asyncio.Event()
        self._failure: Exception | None = None
        self._is_last = opened.is_last

    async def progress(self, /, *args: Any, **kwargs: Any) -> None:
        """Send a progressive result; nothing is sent to a caller that takes none.

        Waits while more than `write_high_water_bytes` are unsent.

        Raises:
            ConnectionLost: the caller cannot be reached any more.
            BadPayload: the values cannot be expressed in the session's serializer.
        """
        await self.send_progress(Result(args, kwargs))

    async def send_progress(self, part: Result) -> None:
        """Send a progressive result, as `progress` does."""
        if self.wants_progress and not await self._send_progress(self._opened, part):
            raise ConnectionLost(f"the caller of {self.procedure} is not there any more")

    @property
    def pieces(self) -> AsyncIterator[Any]:
        """What follows the arguments in a call that is sent in pieces: a value each, or a `Result` of several.

        Raises:
            ConnectionLost: the connection went before the last piece.
            BadPayload: a piece cannot be read.
        """
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Any]:
        while True:
            while self._pieces:
                is_end = self._is_last and len(self._pieces) == 1
                piece = Result(*read_payload(self._pieces.popleft()))
                # The last message may only say that there was no more.
                if piece.args or piece.kwargs or not is_end:
                    yield piece.value()
            if self._failure is not None:
                raise self._failure
            if self._is_last:
                return
            self._arrived.clear()
            await self._arrived.wait()

    def put(self, payload: Payload, *, is_last: bool) -> None:
        """Take a further piece.

        Raises:
            ApplicationError: too many wait already.
        """
        if len(self._pieces) >= self._max_queued:
            raise ApplicationError(RUNTIME_ERROR, f"{self._max_queued} pieces of this call wait already")
        self._pieces.append(payload)
        self._is_last = is_last
        self._arrived.set()

    def dropped(self) -> None:
        """Take note that no further piece will come, although the last has not."""
        self._failure = ConnectionLost("the connection went before the last piece of the call")
        self._arrived.set()


class Target:
    """A function and how it is given its invocation.

    Args:
        function: what was registered.
        kind: the class that annotates the parameter for it.

    Raises:
        TypeError: the parameter for the invocation is where it cannot be given.
    """

    __slots__ = ("_is_first", "_parameter", "function")

    def __init__(self, function: Callable[..., Any], kind: type = Invocation) -> None:
        self.function = function
        self._parameter, self._is_first = _invocation_parameter(function, kind)

    @property
    def wants_invocation(self) -> bool:
        """Whether the function has a parameter for the invocation."""
        return self._parameter is not None

    def __call__(self, invocation: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Call the function.

        Raises:
            ApplicationError: the arguments do not fit the function's parameters.
        """
        if self._parameter is not None:
            if self._parameter in kwargs:
                raise _refusal(f"{self._parameter!r} is no argument that a caller may give")
            if self._is_first:
                args = [invocation, *args]
            else:
                kwargs = {**kwargs, self._parameter: invocation}
        try:
            return self.function(*args, **kwargs)
        except TypeError as error:
            # Raised by the call itself, not inside the function.
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:
                raise _refusal(f"the arguments do not fit: {error}") from error
            raise


def _refusal(text: str) -> ApplicationError:
    return ApplicationError(INVALID_ARGUMENT, text)


def _invocation_parameter(function: Callable[..., Any], kind: type) -> tuple[str | None, bool]:
    """Return the name of the parameter annotated with `kind`, and whether it is the first one."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None, False  # a function written in C that does not tell
    hints = _hints(function)
    for number, parameter in enumerate(parameters):
        if not _is_invocation(hints.get(parameter.name, parameter.annotation), kind):
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"{parameter.name}: an invocation is one argument")
        if number == 0 and parameter.kind is not parameter.KEYWORD_ONLY:
            return parameter.name, True
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise TypeError(f"{parameter.name}: put the invocation first, or make it a keyword argument")
        return parameter.name, False
    return None, False


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target)
    except (NameError, TypeError, AttributeError):
        return {}  # some other annotation cannot be evaluated here; then the text decides


def _is_invocation(annotation: Any, kind: type) -> bool:
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == kind.__name__
    return annotation is kind
