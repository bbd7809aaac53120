"""`publish()`: after the commit of the current transaction, at once outside one."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from django.db import DEFAULT_DB_ALIAS, connections

from heliograph.django.events import Event, make_event
from heliograph.django.options import DEFAULT_ALIAS
from heliograph.django.registry import backends

logger = logging.getLogger("heliograph.django")


class Recorder(Protocol):
    """Takes events in place of the backends, while it is the last of `recorders`."""

    def record(self, event: Event, *, backend: str, using: str) -> None:
        """Take one event, published in the current transaction of database `using` if there is one."""


recorders: list[Recorder] = []


def publish(topic: str, /, *args: Any, **kwargs: Any) -> None:
    """Publish an event once the current transaction has committed; at once outside a transaction.

    Args:
        topic: where it goes.
        args: positional payload; every argument is payload.
        kwargs: keyword payload.

    Raises:
        InvalidEvent: at once, before any commit: a wrong topic, or a payload JSON cannot express.
    """
    publish_event(topic, args, kwargs)


def publish_event(
    topic: str,
    args: list[Any] | tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    using: str = DEFAULT_DB_ALIAS,
    backend: str = DEFAULT_ALIAS,
) -> None:
    """Publish an event with options once the current transaction has committed; at once outside a transaction.

    Args:
        topic: where it goes.
        args: positional payload.
        kwargs: keyword payload.
        options: WAMP publish options, such as `{"eligible_authrole": ["staff"]}`.
        using: the database whose transaction it waits for.
        backend: the entry of `HELIOGRAPH` that delivers it.

    Raises:
        InvalidEvent: at once, before any commit: a wrong topic, or a payload JSON cannot express.
        ImproperlyConfigured: `HELIOGRAPH` has no such entry, or a wrong one.
    """
    event = make_event(
        topic, args, kwargs, options, max_event_bytes=backends[backend].options.max_event_bytes
    )
    if recorders:
        recorders[-1].record(event, backend=backend, using=using)
    else:
        after_commit(lambda: _hand_over(event, backend), using=using)


def flush(timeout_s: float = 2.0) -> int:
    """Wait until the events published so far are delivered or given up.

    Commands and shells need not call it: their end waits by itself. Workers that end with `os._exit()` do.

    Args:
        timeout_s: how long to wait at most, in seconds.

    Returns:
        How many events are still pending.
    """
    deadline_s = time.monotonic() + timeout_s
    return sum(backend.flush(max(0.0, deadline_s - time.monotonic())) for backend in backends.built())


def after_commit(function: Callable[[], object], *, using: str) -> None:
    """Call `function` after the commit of the current transaction, or now when there is none."""
    connection = connections[using]
    # Without a connection there is no transaction, and asking would open one.
    if connection.in_atomic_block or connection.connection is not None:
        connection.on_commit(function)
    else:
        function()


def _hand_over(event: Event, alias: str) -> None:
    """Give the event to its backend; the one place where `ON_ERROR` is obeyed."""
    backend = backends[alias]
    try:
        backend.publish(event)
    except Exception:
        if backend.settings.on_error == "raise":
            raise
        logger.exception("publishing to %r failed", event.topic)
