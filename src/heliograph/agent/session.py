"""The little the agent needs of a WAMP session, so that its loop is tested without sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Event(Protocol):
    """One event of a subscription."""

    @property
    def args(self) -> list[Any]:
        """The event's positional payload."""
        ...


class Session(Protocol):
    """A session that reconnects and subscribes again by itself."""

    async def publish(self, topic: str, /, *args: Any) -> Any:
        """Publish *args* to *topic*, unacknowledged."""
        ...

    async def subscribe(self, handler: Callable[[Any], None], topic: str) -> Any:
        """Call *handler* with each `Event` of *topic*."""
        ...

    def on_join(self, callback: Callable[[], None]) -> Any:
        """Call *callback* after each join that follows."""
        ...
