"""How many lists and dictionaries a payload may have where each of them has to be looked at in Python."""

from heliograph.wamp.errors import PayloadError

MOST_CONTAINERS = 65_536
"""A MiB may be a million empty lists, and to go through those takes half a second."""


class ContainerCount:
    """Counts lists and dictionaries."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MOST_CONTAINERS

    def add(self) -> None:
        """Count one more; raises `PayloadError` when that is one too many."""
        self._left -= 1
        if self._left < 0:
            raise PayloadError(
                f"a payload of more than {MOST_CONTAINERS} lists and dictionaries cannot be converted"
            )
