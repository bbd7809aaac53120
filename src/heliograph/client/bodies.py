"""How many events go into one request."""

from collections.abc import Iterator, Sequence

MOST_EVENTS = 500
"""A router's publisher takes 1,000 events in a body unless it is told otherwise."""

MOST_BYTES = 64 * 1024
"""A router's publisher takes bodies of as many bytes unless it is told otherwise. A larger event goes alone."""


def batches(events: Sequence[bytes], most_events: int) -> Iterator[Sequence[bytes]]:
    """Return `events`, each one line without its end, in pieces that make one body each.

    Args:
        events: in their order.
        most_events: a piece may have.
    """
    start = size = 0
    for index, event in enumerate(events):
        size += len(event) + 1
        if index > start and (index - start == most_events or size > MOST_BYTES):
            yield events[start:index]
            start, size = index, len(event) + 1
    if start < len(events):
        yield events[start:]
