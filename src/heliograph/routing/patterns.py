"""An index from URIs to what was entered under exact, prefix and wildcard patterns.

"exact": the URI itself. "prefix": every URI whose text begins with the pattern, whatever its components. "wildcard":
every URI with as many components, where an empty one of the pattern stands for any (specification, "Pattern-based
Subscriptions" and "Pattern-based Registrations").
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from heliograph.wamp.uris import Match

Entry = TypeVar("Entry")

_ANY = ""


class _Node(Generic[Entry]):
    """A node of the wildcard trie: one component of a pattern."""

    __slots__ = ("children", "entry")

    def __init__(self) -> None:
        self.children: dict[str, _Node[Entry]] = {}
        self.entry: Entry | None = None


class PatternIndex(Generic[Entry]):
    """Entries by pattern; one for each (pattern, match)."""

    __slots__ = ("_exact", "_prefix_counts", "_prefix_lengths", "_prefixes", "_root", "_wildcards")

    def __init__(self) -> None:
        self._exact: dict[str, Entry] = {}
        self._prefixes: dict[str, Entry] = {}
        # The distinct lengths of prefixes, in order: a URI is looked up once for each, however many there are.
        self._prefix_lengths: list[int] = []
        self._prefix_counts: dict[int, int] = {}
        self._wildcards: dict[str, Entry] = {}
        self._root: _Node[Entry] = _Node()

    def __len__(self) -> int:
        return len(self._exact) + len(self._prefixes) + len(self._wildcards)

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
            node = self._root
            for component in pattern.split("."):
                node = node.children.setdefault(component, _Node())
            node.entry = entry

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
            self._prune(pattern.split("."))

    def entries(self, match: Match) -> Iterator[Entry]:
        """Return the entries of one kind, in the order they came."""
        return iter(self._table(match).values())

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
        """Return the entry that wins for a procedure: exact, then the longest prefix, then the best wildcard."""
        exact = self._exact.get(uri)
        if exact is not None:
            return exact
        for entry in self._matching_prefixes(uri, reversed(self._prefix_lengths)):
            return entry
        if self._wildcards:
            # "the longest portion of URI components matched before each wildcard" is what a walk finds first that
            # tries a component itself before the gap that stands for any.
            for entry in self._matching_wildcards(uri):
                return entry
        return None

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
        depth = len(components)
        # A stack in place of recursion: the gap's branch waits while the component's own is walked.
        waiting = [(self._root, 0)]
        while waiting:
            node, position = waiting.pop()
            if position == depth:
                if node.entry is not None:
                    yield node.entry
                continue
            gap = node.children.get(_ANY)
            if gap is not None:
                waiting.append((gap, position + 1))
            literal = node.children.get(components[position])
            if literal is not None and literal is not gap:
                waiting.append((literal, position + 1))

    def _prune(self, components: list[str]) -> None:
        path = [self._root]
        for component in components:
            path.append(path[-1].children[component])
        path[-1].entry = None
        for component, parent, node in reversed(list(zip(components, path, path[1:], strict=False))):
            if node.children or node.entry is not None:
                return
            del parent.children[component]


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
