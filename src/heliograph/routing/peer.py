"""The seam between routing and everything that carries messages.

Routing sends one message to one `Peer`, or one event to many through a `Deliverer`, which encodes it once for each
wire format. Transports, cluster links and the recorders of tests stand behind these two.
"""

from collections.abc import Collection
from typing import Protocol

from heliograph.wamp.messages import Event, Message


class Peer(Protocol):
    """The other side of a session."""

    def send(self, message: Message) -> None:
        """Send `message` after all sent before; raises `PayloadError` when this peer's format cannot express it."""

    def close(self) -> None:
        """Close the transport when all that was sent before has gone out."""

    def left(self) -> None:
        """Take note that the session ended and the transport may serve another one."""


class Deliverer(Protocol):
    """Hands one event to many peers."""

    def deliver(self, event: Event, peers: Collection[Peer]) -> None:
        """Send `event` to each of `peers`, encoded once a format.

        Raises `PayloadError`, before anybody has received anything, when one of the formats cannot express it.
        """
