"""Calls that this session makes, without I/O."""

from typing import Literal

from heliograph.client.requests import Answer, Progress, Requests
from heliograph.wamp import messages
from heliograph.wamp.messages import Call, CallOptions, Cancel, CancelOptions
from heliograph.wamp.payload import Payload

CancelMode = Literal["skip", "kill", "killnowait"]
"""What the router does with a call that is given up: `skip` lets the callee work on, `killnowait` interrupts it, `kill`
interrupts it and answers only when the callee has."""


class Calls:
    """The caller's side of remote procedure calls.

    Args:
        requests: what they are sent by.

    Attributes:
        can_cancel: whether the router has announced that it takes CANCEL.
    """

    def __init__(self, requests: Requests) -> None:
        self.can_cancel = False
        self._requests = requests

    def call(
        self,
        procedure: str,
        payload: Payload,
        answer: Answer,
        options: CallOptions | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Send CALL; `answer` becomes the final result's payload. Returns the request's id.

        Args:
            procedure: its URI.
            payload: the arguments.
            answer: takes the final result's payload, or an exception.
            options: of CALL.
            progress: takes the payload of each progressive result.
        """
        sent = options or CallOptions()
        return self._requests.ask(
            lambda request: Call(request, sent, procedure, payload),
            messages.Result,
            answer,
            lambda result: result.payload,
            progress,
        )

    def send_piece(self, request: int, procedure: str, payload: Payload, *, is_last: bool) -> bool:
        """Send a further piece of a progressive call; returns False when the call has its answer already."""
        if not self._requests.is_pending(request):
            return False
        self._requests.send(Call(request, CallOptions(progress=not is_last), procedure, payload))
        return True

    def give_up(self, request: int, mode: CancelMode) -> None:
        """Send CANCEL for a call that nobody waits for any more, unless it is answered or the router takes none."""
        if self._requests.is_pending(request):
            self._requests.forget(request)
            if self.can_cancel:
                self._requests.send(Cancel(request, CancelOptions(mode=mode)))
