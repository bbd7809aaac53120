"""An index from URIs to what was entered under exact, prefix and wildcard patterns.

"exact": the URI itself. "prefix": every URI whose text begins with the pattern, whatever its components. "wildcard":
every URI with as many components, where an empty one of the pattern stands for any (specification, "Pattern-based
Subscriptions" and "Pattern-based Registrations").
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from heliograph.wamp.uris import Match

Entry = TypeVar("Entry")


class _Shape(Generic[Entry]):
    """All wildcard patterns whose gaps stand at the same places.

    A URI is looked up once for each shape, however many patterns have it: there are many patterns and few shapes.

    Args:
        gaps: for each component, 1 if it is empty and stands for any, else 0.
    """

    __slots__ = ("_literals", "entries", "gaps")

    def __init__(self, gaps: bytes) -> None:
        self.gaps = gaps
        self._literals = [position for position, is_gap in enumerate(gaps) if not is_gap]
        self.entries: dict[str, Entry] = {}

    def key(self, components: Sequence[str]) -> str:
        """Return what stands in `components` where this shape has no gap."""
        return ".".join([components[position] for position in self._literals])


class PatternIndex(Generic[Entry]):
    """Entries by pattern; one for each (pattern, match)."""

    __slots__ = ("_exact", "_prefix_counts", "_prefix_lengths", "_prefixes", "_shapes", "_wildcards")

    def __init__(self) -> None:
        self._exact: dict[str, Entry] = {}
        self._prefixes: dict[str, Entry] = {}
        # The distinct lengths of prefixes, in order: a URI is looked up once for each, however many there are.
        self._prefix_lengths: list[int] = []
        self._prefix_counts: dict[int, int] = {}
        self._wildcards: dict[str, Entry] = {}
        # By the number of components; of two shapes the one that has a gap later comes first.
        self._shapes: dict[int, list[_Shape[Entry]]] = {}

    def __len__(self) -> int:
        return len(self._exact) + len(self._prefixes) + len(self._wildcards)

    @property
    def has_patterns(self) -> bool:
        """Whether there is a pattern, so that a URI is looked up more than once."""
        return bool(self._prefixes or self._wildcards)

    def get(self, pattern: str, match: Match) -> Entry | None:
        """Return the entry of exactly this pattern."""
        return self._table(match).get(pattern)

    def exact(self, uri: str) -> Entry | None:
        """Return the exact entry of `uri`."""
        return self._exact.get(uri)

    def add(self, pattern: str, match: Match, entry: Entry) -> None:
        """Enter `entry`; there must be none of this pattern."""
        table = self._table(match)
        if pattern in table:
            raise ValueError(f"there is an entry for {match} {pattern!r}")
        table[pattern] = entry
        if match == "prefix":
            length = len(pattern)
            count = self._prefix_counts.get(length, 0)
            self._prefix_counts[length] = count + 1
            if not count:
                insort(self._prefix_lengths, length)
        elif match == "wildcard":
            components = pattern.split(".")
            shape = self._shape(components)
            shape.entries[shape.key(components)] = entry

    def remove(self, pattern: str, match: Match) -> None:
        """Take the entry of this pattern out; raises `KeyError` when there is none."""
        del self._table(match)[pattern]
        if match == "prefix":
            length = len(pattern)
            self._prefix_counts[length] -= 1
            if not self._prefix_counts[length]:
                del self._prefix_counts[length]
                self._prefix_lengths.remove(length)
        elif match == "wildcard":
            components = pattern.split(".")
            shape = self._shape(components)
            del shape.entries[shape.key(components)]
            if not shape.entries:
                self._forget(shape)

    def entries(self, match: Match) -> Iterator[Entry]:
        """Return the entries of one kind, in the order they came."""
        return iter(self._table(match).values())

    def look_ups(self, uri: str) -> int:
        """Return how often `uri` is looked up to find what matches it: the cost of `matching` and `best`."""
        return 1 + len(self._prefix_lengths) + len(self._shapes.get(uri.count(".") + 1, ()))

    def matching(self, uri: str) -> Sequence[Entry]:
        """Return every entry whose pattern matches `uri`: the exact one, prefixes from short to long, wildcards."""
        exact = self._exact.get(uri)
        found: tuple[Entry, ...] = () if exact is None else (exact,)
        if not self._prefixes and not self._wildcards:
            return found
        found += tuple(self._matching_prefixes(uri, self._prefix_lengths))
        if self._wildcards:
            found += tuple(self._matching_wildcards(uri))
        return found

    def best(self, uri: str) -> Entry | None:
        """Return the entry that wins for a procedure."""
        return next(self.best_first(uri), None)

    def best_first(self, uri: str) -> Iterator[Entry]:
        """Return what matches a procedure: exact, then prefixes from long to short, then the best wildcard first."""
        exact = self._exact.get(uri)
        if exact is not None:
            yield exact
        yield from self._matching_prefixes(uri, reversed(self._prefix_lengths))
        # "the longest portion of URI components matched before each wildcard": that of the first shape with a match.
        yield from self._matching_wildcards(uri)

    def _table(self, match: Match) -> dict[str, Entry]:
        if match == "exact":
            return self._exact
        return self._prefixes if match == "prefix" else self._wildcards

    def _matching_prefixes(self, uri: str, lengths: Iterator[int] | list[int]) -> Iterator[Entry]:
        longest = len(uri)
        for length in lengths:
            if length <= longest:
                entry = self._prefixes.get(uri[:length])
                if entry is not None:
                    yield entry

    def _matching_wildcards(self, uri: str) -> Iterator[Entry]:
        components = uri.split(".")
        for shape in self._shapes.get(len(components), ()):
            entry = shape.entries.get(shape.key(components))
            if entry is not None:
                yield entry

    def _shape(self, components: Sequence[str]) -> _Shape[Entry]:
        """Return the shape of a pattern, a new one if no other pattern has it."""
        gaps = bytes([not component for component in components])
        shapes = self._shapes.setdefault(len(gaps), [])
        position = bisect_left(shapes, gaps, key=_gaps)
        if position == len(shapes) or shapes[position].gaps != gaps:
            shapes.insert(position, _Shape(gaps))
        return shapes[position]

    def _forget(self, shape: _Shape[Entry]) -> None:
        shapes = self._shapes[len(shape.gaps)]
        del shapes[bisect_left(shapes, shape.gaps, key=_gaps)]
        if not shapes:
            del self._shapes[len(shape.gaps)]


_gaps: Callable[[Any], bytes] = attrgetter("gaps")


def pattern_matcher(pattern: str, match: Match) -> Callable[[str], bool]:
    """Return the function that tells whether a URI matches one pattern."""
    if match == "exact":
        return pattern.__eq__
    if match == "prefix":
        return lambda uri: uri.startswith(pattern)
    wanted = pattern.split(".")

    def matches(uri: str) -> bool:
        given = uri.split(".")
        return len(given) == len(wanted) and all(
            not component or component == actual for component, actual in zip(wanted, given, strict=True)
        )

    return matches
