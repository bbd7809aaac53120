"""WAMP identifiers: integers from 1 to 2^53 (specification, "IDs")."""

import secrets
import sys
from collections.abc import Callable
from typing import Annotated

from msgspec import Meta

MAX_ID = 2**53

Id = Annotated[int, Meta(ge=1, le=MAX_ID)]
"""An id on the wire."""

GivenId = Annotated[int, Meta(ge=-MAX_ID, le=MAX_ID)]
"""What a client gives as an id, though there may be none like it; short enough to be written out."""

RandomId = Callable[[], int]
"""Returns an id of the global scope: uniformly random over 1..2^53. Injected, so that tests can fix it."""


_FACTOR = secrets.randbelow(sys.hash_info.modulus - 2**32) + 2**32


def scattered(number: int) -> int:
    """Return what stands for `number`, which somebody else chose, as the key of a table.

    CPython puts a whole number into a table by its remainder, so numbers can be chosen to meet in one place: each of
    16,384 calls on their way made a message take longer. Times a factor nobody knows, they cannot.
    """
    return number * _FACTOR


class SequentialIds:
    """Ids of the session or router scope: 1, 2, 3 … and after 2^53 again 1."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0

    @property
    def following(self) -> int:
        """The id that comes next; it is not drawn yet."""
        # "IDs in the *session scope* MUST be incremented by 1 beginning with 1 and wrapping to 1 after it reached
        # 2^53" (specification, "IDs")
        return self.last + 1 if self.last < MAX_ID else 1

    def next(self) -> int:
        """Return the next id of the sequence."""
        self.last = self.following
        return self.last
