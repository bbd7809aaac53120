"""Events sent to a router's publisher service by HTTP."""

import atexit
import logging
import os
import weakref
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from heliograph.auth.bearer import TOKEN_RULE, BearerToken, read_token
from heliograph.auth.options import SecretFile
from heliograph.auth.secret_files import SecretUnreadable
from heliograph.client.delivery_thread import DeliveryThread
from heliograph.client.errors import PublishError
from heliograph.client.publisher import Publisher
from heliograph.django.backends.base import Backend
from heliograph.django.breaker import CircuitBreaker
from heliograph.django.events import Event
from heliograph.django.options import BackendSettings, HttpOptions
from heliograph.django.router_link import RouterLink, Statistics, is_refusal

logger = logging.getLogger("heliograph.django")

_backends: "weakref.WeakSet[HttpBackend]" = weakref.WeakSet()


class HttpBackend(Backend):
    """Sends events to `LOCATION`, each at most once.

    With `ON_ERROR` "log" a thread of its own delivers: a save costs a queue's append, whatever the router does. With
    "raise" the calling thread delivers, waits at most `TIMEOUT`, and hears of a failure.
    """

    options_type = HttpOptions
    options: HttpOptions

    def __init__(self, alias: str, settings: BackendSettings) -> None:
        super().__init__(alias, settings)
        self._token = _token(alias, self.options)
        try:
            self._open_publisher().close()
        except ValueError as error:
            raise ImproperlyConfigured(f"HELIOGRAPH[{alias!r}]['LOCATION']: {error}") from error
        self._begin()
        _backends.add(self)

    def _begin(self) -> None:
        self._link = RouterLink(
            self.settings.location, self._open_publisher, CircuitBreaker(self.options.cool_down_s)
        )
        self._thread = DeliveryThread(
            self._deliver,
            self._link.close,
            max_events=self.options.max_pending_events,
            max_bytes=self.options.max_pending_bytes,
        )
        self._refused = 0
        self._overflowing = False

    def _open_publisher(self) -> Publisher:
        return Publisher(
            self.settings.location,
            timeout_s=self.settings.timeout_s,
            connect_timeout_s=min(self.options.connect_timeout_s, self.settings.timeout_s),
            token=self._token,
        )

    def publish(self, event: Event) -> None:
        """Queue the event, or with `ON_ERROR` "raise" deliver it now.

        Raises:
            PublishError: with "raise": it was not delivered.
        """
        if self.settings.on_error == "raise":
            self._link.send(event)
            return
        reason = self._thread.put(event)
        if reason is not None:
            self._link.count_dropped()
            if not self._overflowing:
                logger.error("events to %s are dropped: %s", self.settings.location, reason)
        self._overflowing = reason is not None

    def flush(self, timeout_s: float) -> int:
        """Wait until the queue is empty; return how many events are left in it after `timeout_s`."""
        return self._thread.flush(timeout_s)

    def close(self) -> None:
        """Flush for at most `flush_timeout_s`, then end the thread and close the connections."""
        dropped = self._thread.stop(self.options.flush_timeout_s)
        if dropped:
            self._link.count_dropped(dropped)
            logger.error("%d events to %s were not delivered", dropped, self.settings.location)

    def statistics(self) -> Statistics:
        """Return what became of this process's events."""
        return self._link.statistics(pending=self._thread.unfinished)

    def forget_after_fork(self) -> None:
        """In a forked child: start anew, since thread, queue, locks and connections are the parent's."""
        self._begin()

    def _deliver(self, events: list[Event]) -> None:
        for event, error in zip(events, self._link.send_many(events), strict=True):
            if error is None:
                continue
            if isinstance(error, PublishError) and is_refusal(error):
                self._report_refusal(event, error)
            else:
                # The link counted it, and logs when the router fails and when it answers again.
                logger.debug("an event to %r was lost: %s", event.topic, error)

    def _report_refusal(self, event: Event, error: PublishError) -> None:
        """Log the 1st, 2nd, 4th, 8th … refusal: a wrong permission refuses every event of a bulk save."""
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:
            logger.error(
                "the router refused an event to %r: %s (refusal %d)", event.topic, error, self._refused
            )


def _token(alias: str, options: HttpOptions) -> BearerToken | None:
    """Return what the router's path asks for; raises `ImproperlyConfigured`."""
    where = f"HELIOGRAPH[{alias!r}]['OPTIONS']"
    if options.token is not None and options.token_file is not None:
        raise ImproperlyConfigured(f"{where}: give token or token_file, not both")
    if options.token_file is not None:
        try:
            return read_token(SecretFile(file=options.token_file), Path())
        except SecretUnreadable as error:
            raise ImproperlyConfigured(f"{where}['token_file']: {error}") from error
    if options.token is not None and not options.token.is_usable:
        raise ImproperlyConfigured(f"{where}['token'] must have {TOKEN_RULE}")
    return options.token


@atexit.register
def _flush_at_exit() -> None:
    """Give pending events of a command or a shell a bounded time to leave."""
    for backend in list(_backends):
        left = backend.flush(backend.options.flush_timeout_s)
        if left:
            logger.error("%d events to %s were not delivered at exit", left, backend.settings.location)


def _forget_after_fork() -> None:
    for backend in list(_backends):
        backend.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
