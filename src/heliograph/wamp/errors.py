"""Error URIs of WAMP and the two ways in which a peer can be wrong.

`RequestError`
    one request cannot be served; it is answered with ERROR and the session goes on.
`ProtocolViolation`
    the peer broke the protocol; the session is aborted and the transport closed.

Any other exception is a defect of ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

AUTHENTICATION_DENIED = "wamp.error.authentication_denied"
AUTHENTICATION_FAILED = "wamp.error.authentication_failed"
AUTHENTICATION_REQUIRED = "wamp.error.authentication_required"
CANCELED = "wamp.error.canceled"
DISCLOSE_ME_DISALLOWED = "wamp.error.option_disallowed.disclose_me"
FEATURE_NOT_SUPPORTED = "wamp.error.feature_not_supported"
INVALID_ARGUMENT = "wamp.error.invalid_argument"
INVALID_URI = "wamp.error.invalid_uri"
NO_AVAILABLE_CALLEE = "wamp.error.no_available_callee"
NO_MATCHING_AUTH_METHOD = "wamp.error.no_matching_auth_method"
NO_SUCH_PRINCIPAL = "wamp.error.no_such_principal"
NO_SUCH_PROCEDURE = "wamp.error.no_such_procedure"
NO_SUCH_REALM = "wamp.error.no_such_realm"
NO_SUCH_REGISTRATION = "wamp.error.no_such_registration"
NO_SUCH_ROLE = "wamp.error.no_such_role"
NO_SUCH_SESSION = "wamp.error.no_such_session"
NO_SUCH_SUBSCRIPTION = "wamp.error.no_such_subscription"
NOT_AUTHORIZED = "wamp.error.not_authorized"
PAYLOAD_SIZE_EXCEEDED = "wamp.error.payload_size_exceeded"
PROCEDURE_ALREADY_EXISTS = "wamp.error.procedure_already_exists"
PROTOCOL_VIOLATION = "wamp.error.protocol_violation"
RUNTIME_ERROR = "wamp.error.runtime_error"
TIMEOUT = "wamp.error.timeout"
UNAVAILABLE = "wamp.error.unavailable"

MAX_CONCURRENCY_REACHED = "crossbar.error.max_concurrency_reached"
"""Crossbar.io's; the specification has none for it."""

SLOW_RECEIVER = "heliograph.error.slow_receiver"
TOO_MANY_CALLS = "heliograph.error.too_many_calls"
TOO_MANY_REGISTRATIONS = "heliograph.error.too_many_registrations"
TOO_MANY_SUBSCRIPTIONS = "heliograph.error.too_many_subscriptions"
TOO_MANY_FAILURES = "heliograph.error.too_many_failures"

CLOSE_GOODBYE_AND_OUT = "wamp.close.goodbye_and_out"
CLOSE_KILLED = "wamp.close.killed"
CLOSE_LOGOUT = "wamp.close.logout"
CLOSE_NORMAL = "wamp.close.normal"
CLOSE_SYSTEM_SHUTDOWN = "wamp.close.system_shutdown"


TEXT_LIMIT = 500
"""Characters of a text that speaks of what a peer has sent; what it quotes may be as long as a message."""


def shortened(error: object) -> str:
    """Return the text of `error`, cut where it is too long."""
    text = str(error)
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…"


class RequestError(Exception):
    """A request that cannot be served.

    Args:
        uri: the error URI of the answer.
        args: positional payload of the answer; by convention one text that says what to do.
        kwargs: keyword payload of the answer.
    """

    def __init__(self, uri: str, *args: Any, kwargs: Mapping[str, Any] | None = None) -> None:
        super().__init__(uri, *args)
        self.uri = uri
        self.arguments: Sequence[Any] = args
        self.keyword_arguments = dict(kwargs or {})


class ProtocolViolation(Exception):  # noqa: N818 - the specification's own term
    """The peer broke the protocol; the text says how.

    Args:
        message: what was wrong, for the peer's developer; it is cut where it is too long.
        reason: the URI for ABORT.
    """

    def __init__(self, message: str, *, reason: str = PROTOCOL_VIOLATION) -> None:
        self.message = shortened(message)
        super().__init__(self.message)
        self.reason = reason


class PayloadError(Exception):
    """A payload that cannot be read, or cannot be expressed in another serializer.

    Args:
        message: why not. A long one is cut.
    """

    uri = INVALID_ARGUMENT
    """What whoever sent it is answered."""

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message))


class PayloadTooLong(PayloadError):  # noqa: N818 - says what it is
    """A message that is longer than its receiver has announced to take."""

    uri = PAYLOAD_SIZE_EXCEEDED
