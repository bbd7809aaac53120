"""Tools for other people's tests: a real router on a free port, and an echo server for WebSocket fuzzers.

with heliograph.testing.router() as router:
    router.publish("com.example.news", "hello")

With pytest the fixture `heliograph_router` is the same.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliograph.testing.configuration import open_configuration
    from heliograph.testing.process import RouterFailed
    from heliograph.testing.recording import Recording
    from heliograph.testing.running_router import RunningRouter, router

__all__ = ["Recording", "RouterFailed", "RunningRouter", "open_configuration", "router"]

_HOMES = {
    "Recording": "recording",
    "RouterFailed": "process",
    "RunningRouter": "running_router",
    "open_configuration": "configuration",
    "router": "running_router",
}


def __getattr__(name: str) -> Any:
    # Imported when asked for: pytest loads the plugin of this package in every run, whoever uses it or not.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
