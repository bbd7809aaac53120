"""Bytes that are almost right, from a seeded source."""

import random
from collections.abc import Callable


def mutated(source: random.Random, data: bytes) -> bytes:
    """Return `data` with one to four things done to it."""
    for _ in range(source.randint(1, 4)):
        data = source.choice(MUTATIONS)(source, data)
    return data


def garbage(source: random.Random, _data: bytes = b"") -> bytes:
    """Return up to 300 bytes of nothing in particular."""
    return source.randbytes(source.randint(1, 300))


def _flip(source: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(source.randint(1, 8)):
        if changed:
            changed[source.randrange(len(changed))] ^= 1 << source.randrange(8)
    return bytes(changed)


def _set(source: random.Random, data: bytes) -> bytes:
    """Put an extreme value somewhere, where it may be a length."""
    at = source.randint(0, len(data))
    value = source.choice([b"\x00", b"\x7f", b"\x80", b"\xff", b"\xff\xff", b"\x00\x00\x00\x00", b"\xff" * 8])
    return data[:at] + value + data[at + len(value) :]


def _insert(source: random.Random, data: bytes) -> bytes:
    at = source.randint(0, len(data))
    return data[:at] + source.randbytes(source.randint(1, 16)) + data[at:]


def _span(source: random.Random, data: bytes) -> tuple[int, int]:
    start = source.randint(0, len(data))
    return start, min(len(data), start + source.randint(1, 40))


def _delete(source: random.Random, data: bytes) -> bytes:
    start, end = _span(source, data)
    return data[:start] + data[end:]


def _repeat(source: random.Random, data: bytes) -> bytes:
    start, end = _span(source, data)
    return data[:end] + data[start:end] * source.randint(1, 20) + data[end:]


def _cut(source: random.Random, data: bytes) -> bytes:
    return data[: source.randint(0, len(data))]


MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _flip, _set, _insert, _delete, _repeat, _cut, garbage,
)  # fmt: skip
