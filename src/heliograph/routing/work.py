"""What may cost more than a turn has room for: it is done in steps, and others are served between them.

A function that loops over stored things spends a unit for about each microsecond it takes, and, where that can be much,
is a generator: it yields between its steps.
"""

from collections.abc import Generator
from typing import Protocol, TypeVar

from heliograph.routing.peer import Peer

T = TypeVar("T")

Steps = Generator[Peer | None, None, T]
"""Something done in steps. What it yields says when to go on: None, when a turn has room; a peer, when that has."""

LOOKED_AT_A_UNIT = 8
"""Stored things that are looked at for one unit of work."""


UNITS_A_MESSAGE = 8
"""Units of work that it takes to handle a message, or to make one and send it."""


READ_BYTES_A_UNIT = 64
"""Bytes of a payload that are read, or written, for one unit of work, whatever they stand for."""


class Work(Protocol):
    """The turns of the event loop, whose work is bounded."""

    def spend(self, units: int) -> None:
        """Count work that was done in this turn."""

    def go_on(self, steps: Steps[None]) -> None:
        """Do the first of `steps` at once, as many as this turn has room for, and the others in turns to come."""
