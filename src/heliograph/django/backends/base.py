"""What every backend is."""

import abc
from typing import ClassVar

import msgspec
from django.core.exceptions import ImproperlyConfigured

from heliograph.django.events import Event
from heliograph.django.options import BackendOptions, BackendSettings


class Backend(abc.ABC):
    """Takes events after the commit. One object serves every thread of the process.

    Text at `token` in `OPTIONS` comes as a `heliograph.auth.bearer.BearerToken`, which does not show it.

    Args:
        alias: the name in `HELIOGRAPH`.
        settings: the entry there.

    Raises:
        ImproperlyConfigured: the entry is wrong for this backend.
    """

    options_type: ClassVar[type[BackendOptions]] = BackendOptions

    def __init__(self, alias: str, settings: BackendSettings) -> None:
        self.alias = alias
        self.settings = settings
        try:
            self.options = msgspec.convert(settings.options, self.options_type)
        except msgspec.ValidationError as error:
            raise ImproperlyConfigured(f"HELIOGRAPH[{alias!r}]['OPTIONS']: {error}") from error

    @abc.abstractmethod
    def publish(self, event: Event) -> None:
        """Take one event; whatever is raised is logged or raised to the caller, as `ON_ERROR` says."""

    def flush(self, timeout_s: float) -> int:
        """Wait until what was taken is delivered or given up; return how many events are left after `timeout_s`."""
        del timeout_s  # nothing waits here
        return 0

    def close(self) -> None:  # noqa: B027 - most backends hold nothing, and need not say so
        """Let go of connections and threads."""
