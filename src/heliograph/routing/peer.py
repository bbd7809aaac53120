"""The seams between routing and everything outside.

Routing sends one message to one `Peer`, or events to many through a `Deliverer`, which encodes each once for each wire
format; it learns the time, and is woken, by a `Clock`. Transports, cluster links and the recorders of tests stand
behind them.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from heliograph.wamp.messages import Event, Message
from heliograph.wamp.payload import Payload


class Peer(Protocol):
    """The other side of a session."""

    def send(self, message: Message) -> None:
        """Send `message` after all sent before; raises `PayloadError` when this peer's format cannot express it."""

    def close(self) -> None:
        """Close the transport when all that was sent before has gone out."""

    def left(self) -> None:
        """Take note that the session ended and the transport may serve another one."""

    def hold(self) -> None:
        """Hand over no further message until `release`: the last one waits for a decision."""

    def release(self) -> None:
        """Hand over messages again."""

    @property
    def has_room(self) -> bool:
        """Whether it makes sense to send more now: little waits to go out, or nobody is there any more."""

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when there is room, or the connection ends; where there is room always, at once."""


class Gone:
    """The peer of a session whose connection is gone: there is nobody to hear anything."""

    __slots__ = ()

    def send(self, message: Message) -> None:
        """Forget it."""

    def close(self) -> None:
        """It is closed."""

    def left(self) -> None:
        """Nobody joins again."""

    def hold(self) -> None:
        """Nothing comes."""

    def release(self) -> None:
        """Nothing has come."""

    @property
    def has_room(self) -> bool:
        """Nothing waits."""
        return True

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` now."""
        callback()


GONE = Gone()

Delivery = tuple[Event, Collection[Peer]]
"""An event and who receives it."""


class Deliverer(Protocol):
    """Hands events to many peers."""

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Send each event to each of its peers, encoded once a format.

        Raises `PayloadError`, before anybody has received anything, when one of the formats cannot express it.
        """

    def prepare(self, payload: Payload, peers: Iterable[Peer]) -> Payload:
        """Return `payload` converted for the formats of all `peers`: events with it are made without failing.

        Raises `PayloadError` when one of the formats cannot express it.
        """


class Timer(Protocol):
    """Something that will be done later."""

    def cancel(self) -> None:
        """Do not do it; nothing happens when it was done."""


class Clock(Protocol):
    """The time, which routing does not have itself."""

    def now_s(self) -> float:
        """Return seconds since 1970: a date, which jumps when somebody sets it."""

    def monotonic_s(self) -> float:
        """Return seconds on a clock that never jumps: what a duration is measured by."""

    def later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` in `delay_s` seconds."""
