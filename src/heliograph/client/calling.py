"""A session as caller."""

import math
from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any

from heliograph.client.calls import CancelMode
from heliograph.client.errors import ApplicationError, RequestTimeout
from heliograph.client.payload import Result, read_payload
from heliograph.client.progressive_call import ProgressiveCall
from heliograph.client.role import Role, new_answer
from heliograph.wamp.errors import TIMEOUT
from heliograph.wamp.messages import CallOptions


class CallerRole(Role):
    """Calls procedures."""

    async def call(self, procedure: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a procedure; everything after `procedure` is payload.

        A task that is cancelled while it waits cancels the call, so that the procedure stops.

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
        disclose_me: bool = False,
        cancel_mode: CancelMode = "killnowait",
    ) -> Result:
        """Call a procedure with options.

        Args:
            procedure: its URI.
            args: positional payload.
            kwargs: keyword payload.
            timeout_s: seconds for the result; the router is told, too. `None` waits as long as the connection lives.
            disclose_me: let the router tell the callee who calls.
            cancel_mode: what becomes of the call when nobody waits for it any more, by timeout or cancellation:
                `killnowait` and `kill` interrupt the procedure, `skip` lets it work on.

        Returns:
            everything it returned.

        Raises:
            what `call` raises.
        """
        self._check(procedure)
        options = CallOptions(timeout=milliseconds(timeout_s), disclose_me=disclose_me)
        payload = await self._encoded(args, kwargs)
        answer = new_answer()
        request = self._protocol.calls.call(procedure, payload, answer, options)
        try:
            result = await self._answered(answer, f"calling {procedure}", timeout_s)
        except ApplicationError as error:
            if timeout_s is not None and error.uri == TIMEOUT:  # the router's clock was faster
                raise RequestTimeout(f"calling {procedure}: no answer within {timeout_s:g} s") from error
            raise
        finally:
            self._protocol.calls.give_up(request, cancel_mode)
        return Result(*read_payload(result))

    def call_progressive(
        self,
        procedure: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        pieces: AsyncIterable[Any] | None = None,
        timeout_s: float | None = None,
        disclose_me: bool = False,
        cancel_mode: CancelMode = "killnowait",
    ) -> ProgressiveCall:
        """Return a call whose progressive results are read by `async for`; its final value is `result`.

            call = session.call_progressive("com.example.count", [10])
            async for part in call:
                print(part)
            print(call.result)

        The call is made when the loop begins, and cancelled when the loop is left early.

        Args:
            procedure: its URI.
            args: positional payload.
            kwargs: keyword payload.
            pieces: what follows the arguments, one message each: a value, or a `Result` of several. They are sent while
                results are read, until the final result is there.
            timeout_s: seconds from the call to the first result and between results; the router is told, too.
            disclose_me: let the router tell the callee who calls.
            cancel_mode: what becomes of the call when nobody reads its results any more; see `call_procedure`.

        Raises:
            what `call` raises, when the loop begins or in it.
            ResultsOverrun: in the loop: more than `max_queued_results` waited to be read.
        """
        self._check(procedure)
        options = CallOptions(
            timeout=milliseconds(timeout_s),
            receive_progress=True,
            progress=pieces is not None,
            disclose_me=disclose_me,
        )
        return ProgressiveCall(
            self._connection,
            procedure,
            Result(args, kwargs or {}),
            options=options,
            pieces=pieces,
            timeout_s=timeout_s,
            cancel_mode=cancel_mode,
        )


def milliseconds(seconds: float | None) -> int:
    """Return what `CALL.Options.timeout` says of a time limit: 0 is none."""
    if seconds is None:
        return 0
    if not seconds > 0:
        raise ValueError(f"timeout_s must be above 0, not {seconds!r}")
    return math.ceil(seconds * 1000)
