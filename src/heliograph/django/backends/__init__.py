"""Where events go: to a router over HTTP, into a list, or to standard output."""

from heliograph.django.backends.base import Backend
from heliograph.django.backends.console import ConsoleBackend
from heliograph.django.backends.http import HttpBackend
from heliograph.django.backends.memory import MemoryBackend

__all__ = ["Backend", "ConsoleBackend", "HttpBackend", "MemoryBackend"]
