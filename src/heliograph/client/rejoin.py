"""What a session tells when it has joined again."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from heliograph.client.errors import ApplicationError, HeliographError


class Rejoin(msgspec.Struct, frozen=True):
    """How joining again went. Events published while the session was away have not come.

    Attributes:
        away_s: seconds from the loss of the connection until the session had joined again.
        cause: why the connection was lost.
        subscriptions: topics and patterns that are subscribed to again.
        registrations: procedures that are registered again.
        failed: what the router refuses now, by topic or procedure. It is asked for again with the next connection,
            and a procedure that somebody else holds already again in a few seconds: it may be this session's own
            past.
        has_history: whether the router keeps events of some topics; then `subscription.missed()` may fetch them.
    """

    away_s: float
    cause: HeliographError
    subscriptions: tuple[str, ...]
    registrations: tuple[str, ...]
    failed: Mapping[str, ApplicationError]
    has_history: bool


RejoinCallback = Callable[[Rejoin], Awaitable[object] | object]
"""Takes the report; may be a coroutine function."""
