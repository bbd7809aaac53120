"""The `HELIOGRAPH` setting as typed structs; one entry is shaped like one of `CACHES`."""

from typing import Annotated, Any, Literal

import msgspec

from heliograph.auth.bearer import BearerToken

DEFAULT_ALIAS = "default"
DEFAULT_LOCATION = "http://127.0.0.1:8080/notify"

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=60)]
_Count = Annotated[int, msgspec.Meta(ge=1)]


class BackendSettings(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={
        "backend": "BACKEND",
        "location": "LOCATION",
        "timeout_s": "TIMEOUT",
        "on_error": "ON_ERROR",
        "options": "OPTIONS",
    },
):
    """One entry of `HELIOGRAPH`.

    Args:
        backend: dotted path of the backend's class.
        location: URL of the router's publisher service.
        timeout_s: how long one publication may take, in seconds.
        on_error: `log` never raises after the commit; `raise` delivers in the calling thread and raises there.
        options: more options, of the backend's own `options_type`.
    """

    backend: str
    location: str = DEFAULT_LOCATION
    timeout_s: _Seconds = 2.0
    on_error: Literal["log", "raise"] = "log"
    options: dict[str, Any] = {}


class BackendOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`OPTIONS` every backend has.

    Args:
        max_event_bytes: longest payload with options, as JSON; the router's own limit for a message is 1 MiB.
    """

    max_event_bytes: _Count = 1024 * 1024 - 4096


class MemoryOptions(BackendOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`OPTIONS` of the in-memory backend.

    Args:
        max_events: how many events are kept; the oldest are forgotten.
    """

    max_events: _Count = 10_000


class HttpOptions(BackendOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`OPTIONS` of the HTTP backend.

    Args:
        token: what the router's publisher path asks for (its `options.token`).
        token_file: the file that holds it, read when the backend is built; in place of `token`.
        connect_timeout_s: how long the connection to the router may take, in seconds.
        cool_down_s: how long after a failure events are dropped before one is tried again, in seconds.
        max_pending_events: how many events wait for delivery; more are dropped.
        max_pending_bytes: how many bytes of payload wait for delivery; more are dropped.
        flush_timeout_s: how long the end of the process waits for pending events, in seconds.
    """

    token: BearerToken | None = None
    token_file: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    connect_timeout_s: _Seconds = 1.0
    cool_down_s: _Seconds = 1.0
    max_pending_events: _Count = 10_000
    max_pending_bytes: _Count = 16 * 1024 * 1024
    flush_timeout_s: _Seconds = 2.0
