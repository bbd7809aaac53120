"""A call that is answered piece by piece, as an iterator that blocks."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from heliograph.client import progressive_call as asynchronous
from heliograph.client.blocking.portal import Portal
from heliograph.client.errors import ConnectionLost


class ProgressiveCall:
    """A call under way; made by `session.call_progressive`.

        for part in session.call_progressive("com.example.count", [10]):
            ...

    The call is made when the loop begins, and cancelled when the loop is left before its end; `with` does so at once
    and at the end of the block.
    """

    def __init__(self, call: asynchronous.ProgressiveCall, portal: Portal) -> None:
        self._call = call
        self._portal = portal
        self._was_entered = False

    @property
    def result(self) -> Any:
        """The final value, as `session.call` returns it.

        Raises:
            RuntimeError: it is not there yet: read the results to their end.
        """
        return self._call.result

    def __enter__(self) -> Self:
        self._was_entered = True
        self._portal.run(self._call.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._portal.run(lambda: self._call.__aexit__(None, None, None))
        except ConnectionLost:
            return  # and the call with it

    def __iter__(self) -> Iterator[Any]:
        if self._was_entered:
            yield from self._read()
            return
        with self:
            yield from self._read()

    def _read(self) -> Iterator[Any]:
        while (part := self._portal.run(self._call.next)) is not None:
            yield part.value()
