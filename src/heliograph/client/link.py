"""A connection that carries WAMP messages, whatever its transport."""

import ssl
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast

from heliograph.client.address import Address
from heliograph.client.options import ClientOptions
from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Message
from heliograph.wire.serializers.serializer import Serializer


class Receiver(Protocol):
    """Who takes what comes over a connection."""

    def receive(self, message: Message) -> None:
        """Take a message; raises `ProtocolViolation`."""

    def violated(self, violation: ProtocolViolation) -> None:
        """The other side broke the protocol: say so and close."""

    def lost(self, reason: str) -> None:
        """The connection is gone."""


class Link(Protocol):
    """One connection to a router.

    Attributes:
        serializer: the serializer that was agreed upon.
    """

    serializer: Serializer

    def send(self, message: Message) -> None:
        """Send `message`.

        Raises:
            PayloadError: it cannot be expressed.
            BadPayload: the router does not take so much.
        """

    async def writable(self) -> None:
        """Wait until what is unsent is below the high-water mark, or the connection is gone."""

    @property
    def is_writable(self) -> bool:
        """Whether what is unsent is below the high-water mark."""

    def close(self) -> None:
        """Send what waits, then close; cut the connection when the other side does not finish in time."""

    def abort(self) -> None:
        """Cut the connection at once; what is unsent is lost."""

    async def wait_closed(self) -> None:
        """Wait until the connection is gone; raises what a defect in receiving raised, if anything."""


class Opener(Protocol):
    """What each transport has to open a connection by."""

    async def __call__(
        self,
        address: Address,
        *,
        serializers: Sequence[Serializer],
        receiver: Receiver,
        options: ClientOptions,
        ssl_context: ssl.SSLContext | None,
        headers: Mapping[str, str],
    ) -> Link:
        """Open a connection that speaks one of `serializers`; raises `ConnectFailed`."""


def opener(address: Address) -> Opener:
    """Return what opens connections to `address`; only the transport that is used is loaded."""
    if address.is_websocket:
        return cast(Opener, import_module("heliograph.client.websocket").open_websocket)
    return cast(Opener, import_module("heliograph.client.rawsocket").open_rawsocket)
