"""The words of remote procedure calls, short enough for tables of messages in and messages out."""

from typing import Any

from heliograph.wamp.messages import (
    Abort,
    Cancel,
    CancelOptions,
    CloseDetails,
    Error,
    Interrupt,
    InterruptOptions,
    Invocation,
    InvocationDetails,
    Message,
    Result,
    ResultDetails,
    Yield,
    YieldOptions,
)
from heliograph.wamp.payload import EMPTY, Payload, PlainPayload

PROCEDURE = "com.example.p"

CANCELING = "call_canceling"
PROGRESSIVE_RESULTS = "progressive_call_results"
PROGRESSIVE_INVOCATIONS = "progressive_call_invocations"
TIMEOUT = "call_timeout"
REROUTE = "call_reroute"
PASSTHRU = "payload_passthru_mode"
REVOCATION = "registration_revocation"


def text(*words: object) -> PlainPayload:
    """Return a payload of positional arguments."""
    return PlainPayload(words)


def invocation(request: int, registration: int, payload: Payload = EMPTY, **details: Any) -> Invocation:
    return Invocation(request, registration, InvocationDetails(**details), payload)


def yield_(request: int, payload: Payload = EMPTY, **options: Any) -> Yield:
    return Yield(request, YieldOptions(**options), payload)


def result(request: int, payload: Payload = EMPTY, **details: Any) -> Result:
    return Result(request, ResultDetails(**details), payload)


def failure(request: int, uri: str = "com.example.error", payload: Payload = EMPTY, **details: Any) -> Error:
    """Return what a callee answers when it fails."""
    return Error(68, request, details, uri, payload)


def unavailable(request: int) -> Error:
    return failure(request, "wamp.error.unavailable")


def call_error(request: int, uri: str, words: str | None = None) -> Error:
    """Return what a caller hears from the router."""
    return Error(48, request, {}, uri, EMPTY if words is None else PlainPayload([words]))


def refusal(request_type: int, request: int, uri: str, words: str) -> Error:
    return Error(request_type, request, {}, uri, PlainPayload([words]))


def cancel(request: int, mode: str | None = None) -> Cancel:
    return Cancel(request, CancelOptions(mode=mode))  # type: ignore[arg-type]  # one of its words


def interrupt(request: int, mode: str, reason: str | None = None) -> Interrupt:
    return Interrupt(request, InterruptOptions(mode=mode, reason=reason))  # type: ignore[arg-type]  # as above


def violation(words: str) -> Abort:
    return Abort(CloseDetails(message=words), "wamp.error.protocol_violation")


def errors(messages: list[Message]) -> list[tuple[int, str]]:
    """Return request and URI of each of `messages`, all of them errors."""
    assert all(isinstance(message, Error) for message in messages), messages
    return [(message.request, message.error) for message in messages if isinstance(message, Error)]
