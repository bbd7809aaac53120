"""Events written to standard output, for development without a router."""

import sys

import msgspec

from heliograph.django.backends.base import Backend
from heliograph.django.events import Event
from heliograph.logs.visible import visible, visible_json


class ConsoleBackend(Backend):
    """Writes one line an event."""

    def publish(self, event: Event) -> None:
        """Write the event."""
        payload = msgspec.json.encode([event.args, event.kwargs]).decode()
        sys.stdout.write(f"heliograph event: {visible(event.topic)} {visible_json(payload)}\n")
        sys.stdout.flush()
