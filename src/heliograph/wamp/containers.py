"""How many lists and dictionaries a payload may have that is converted from one format to another.

A MiB may be a million empty lists: to make, look at and write them all takes most of a second, in one piece.
"""

from typing import Any

from heliograph.wamp.errors import PayloadError

MOST_CONTAINERS = 65_536

_CONTAINERS = frozenset({list, tuple, dict})


class ContainerCount:
    """Counts lists and dictionaries."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MOST_CONTAINERS

    def add(self, number: int = 1) -> None:
        """Count `number` more; raises `PayloadError` when they are too many."""
        self._left -= number
        if self._left < 0:
            raise PayloadError(
                f"a payload of more than {MOST_CONTAINERS} lists and dictionaries cannot be converted"
            )


def check_containers(value: Any, count: ContainerCount | None = None) -> None:
    """Raise `PayloadError` when there are too many lists and dictionaries in `value`, and in what `count` has seen."""
    count = count or ContainerCount()
    waiting = [value]
    while waiting:
        container = waiting.pop()
        items = container.values() if isinstance(container, dict) else container
        # Most hold none, which is told much faster than by looking at each item.
        if _CONTAINERS.isdisjoint(map(type, items)):
            continue
        inner = [item for item in items if type(item) in _CONTAINERS]
        count.add(len(inner))
        waiting += inner
