"""Realtime for synchronous Django: `publish()` reaches every browser and device once the transaction commits."""

from heliograph.django.events import Event, InvalidEvent
from heliograph.django.publishing import flush, publish, publish_event
from heliograph.django.testing import capture_events
from heliograph.logs.library import show_records_of

show_records_of("heliograph.django")

__all__ = ["Event", "InvalidEvent", "capture_events", "flush", "publish", "publish_event"]
