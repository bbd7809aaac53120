"""Test tools: what would be published, seen from a plain `TestCase`."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, overload

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from heliograph.django.events import Event
from heliograph.django.publishing import after_commit, recorders


class _Publication:
    """One event on its way to its commit; it is itself the commit hook."""

    def __init__(self, event: Event, connection: BaseDatabaseWrapper, order: Iterator[int]) -> None:
        self.event = event
        self.connection = connection
        self.blocks: tuple[Any, ...] = tuple(connection.atomic_blocks)
        self.order = order
        self.position = next(order)
        self.committed = False

    def __call__(self) -> None:
        self.committed = True
        self.position = next(self.order)

    def is_visible(self, outer_blocks: int, waiting_hooks: set[int]) -> bool:
        """Return whether it counts as committed.

        Args:
            outer_blocks: how many of the outermost blocks belong to the test itself.
            waiting_hooks: the `id()` of each hook that waits for a commit.
        """
        if self.committed:
            return True
        if self.connection.needs_rollback or id(self) not in waiting_hooks:
            return False  # rolled back, or about to be
        if len(self.blocks) <= outer_blocks:
            return True
        still_open = self.connection.atomic_blocks
        return len(still_open) <= outer_blocks or still_open[outer_blocks] is not self.blocks[outer_blocks]


class CapturedEvents(Sequence[Event]):
    """The events committed so far, in order: a sequence that grows while the context is open."""

    def __init__(self, backend: str | None) -> None:
        self._backend = backend
        self._order = itertools.count()
        self._publications: list[_Publication] = []
        self._outer_blocks = {
            connection: len(connection.atomic_blocks) for connection in connections.all(initialized_only=True)
        }
        self._final: list[Event] | None = None

    def record(self, event: Event, *, backend: str, using: str) -> None:
        """Take one event from `publish()`."""
        if self._backend not in (None, backend):
            return
        publication = _Publication(event, connections[using], self._order)
        self._publications.append(publication)
        after_commit(publication, using=using)

    def close(self) -> None:
        """Keep what is committed now; what commits later is no longer captured."""
        self._final = self._visible()

    def _visible(self) -> list[Event]:
        if self._final is not None:
            return self._final
        connections_used = {publication.connection for publication in self._publications}
        waiting = {id(entry[1]) for connection in connections_used for entry in connection.run_on_commit}
        visible = [
            publication
            for publication in self._publications
            if publication.is_visible(self._outer_blocks.get(publication.connection, 0), waiting)
        ]
        return [publication.event for publication in sorted(visible, key=lambda each: each.position)]

    @property
    def topics(self) -> list[str]:
        """The topics, in order, one an event."""
        return [event.topic for event in self._visible()]

    def on(self, topic: str) -> list[Event]:
        """Return the events of one topic, in order."""
        return [event for event in self._visible() if event.topic == topic]

    def __len__(self) -> int:
        return len(self._visible())

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        return self._visible()[index]

    def __iter__(self) -> Iterator[Event]:
        return iter(self._visible())

    def __repr__(self) -> str:
        return f"<CapturedEvents {self._visible()!r}>"


@contextmanager
def capture_events(*, backend: str | None = None) -> Iterator[CapturedEvents]:
    """Capture events instead of delivering them, in every thread, until the context ends.

    An event shows once the transaction *of the code under test* has committed. The transaction around a `TestCase`
    does not count: an event published outside `atomic()` shows at once, one published in an `atomic()` block shows when
    the outermost block that was opened inside this context ends, and one whose block was rolled back never shows. In a
    `TransactionTestCase` the real commit decides. The innermost of nested contexts captures.

    Args:
        backend: capture only what goes to this entry of `HELIOGRAPH`, and drop the rest; by default all.

    Returns:
        The events, as a sequence of `Event`.
    """
    captured = CapturedEvents(backend)
    recorders.append(captured)
    try:
        yield captured
    finally:
        recorders.remove(captured)
        captured.close()
