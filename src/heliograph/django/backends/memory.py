"""Events kept in memory, for tests."""

import collections

from heliograph.django.backends.base import Backend
from heliograph.django.events import Event
from heliograph.django.options import BackendSettings, MemoryOptions


class MemoryBackend(Backend):
    """Records events in `events`."""

    options_type = MemoryOptions
    options: MemoryOptions

    def __init__(self, alias: str, settings: BackendSettings) -> None:
        super().__init__(alias, settings)
        self._events: collections.deque[Event] = collections.deque(maxlen=self.options.max_events)

    @property
    def events(self) -> list[Event]:
        """The events so far, oldest first; a copy."""
        return list(self._events)

    def publish(self, event: Event) -> None:
        """Record the event."""
        self._events.append(event)

    def clear(self) -> None:
        """Forget all events."""
        self._events.clear()
