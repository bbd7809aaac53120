"""The head that a client sends again and again: read by the parser once, then known by its bytes.

The parser calls eight functions for a request, and they cost more than all else that the bridge does for a small POST.
But a client sends the same head each time, except for the number in `Content-Length`. So the bytes on either side of
that number are kept with the verdict about them, and a request that begins with the same bytes needs no parser.

Nothing is left unchecked by that. The parser, `head.py` and the service judge a head by its bytes and by the connection
it comes on, and both are the same. Between the two parts stand digits and nothing else, so the head has the same lines
again, and it has one `Content-Length`, no `Transfer-Encoding`: what the digits say is the length of the body, for the
parser as here. They are few, so that no limit of a head is passed by them; the limit of the body is the caller's to
hold. A head of which any of this is not known is not kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliograph.http.head import Head
    from heliograph.http.lane import Begin, LaneRequest, LaneService

HEAD_BYTES = 2048
"""Longer heads are not kept: each connection has one."""

MOST_DIGITS = 7

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,%d})\r\n" % MOST_DIGITS, re.IGNORECASE)
_SINGULAR = (b"transfer-encoding", b"expect")


class RepeatedHead:
    """What was let in once.

    Args:
        before: the bytes up to the body's length.
        after: the bytes behind it, with the empty line.
        request: that they were the head of; it was admitted.
    """

    __slots__ = (
        "_after_bytes", "_before_bytes", "after", "before", "begin", "head", "header_lines", "limit_bytes", "service",
    )  # fmt: skip

    def __init__(self, before: bytes, after: bytes, request: LaneRequest) -> None:
        self.before = before
        self.after = after
        self._before_bytes = len(before)
        self._after_bytes = len(after)
        self.head: Head = request.head
        self.service: LaneService = request.service
        self.limit_bytes: int = request.service.limit_bytes
        self.begin: Begin = request.begin
        self.header_lines: bytes = request.header_lines

    def body_in(self, data: bytes, at: int) -> tuple[int, int] | None:
        """Return where the body of a request that begins at `at` begins and ends.

        None if there is no such request, or not all of it, or if its body is longer than allowed.
        """
        # Slices are compared in two thirds of the time that `startswith` takes.
        digits_at = at + self._before_bytes
        if data[at:digits_at] != self.before:
            return None
        digits_end = data.find(b"\r", digits_at, digits_at + MOST_DIGITS + 1)
        begin = digits_end + self._after_bytes
        digits = data[digits_at:digits_end]
        if digits_end < 0 or data[digits_end:begin] != self.after or not digits.isdigit():
            return None
        length = int(digits)
        end = begin + length
        return None if end > len(data) or length > self.limit_bytes else (begin, end)


def repeated_head(data: bytes, request: LaneRequest, *, most_bytes: int) -> RepeatedHead | None:
    """Return the head at the start of `data` as one to know again, None if that cannot be.

    Args:
        data: begins where the parser expected a request.
        request: the first in `data`; it was admitted.
        most_bytes: that a head may have on this connection.
    """
    lines, end, _ = data[:HEAD_BYTES].partition(b"\r\n\r\n")
    head = lines + end
    names = [name for name, _ in request.head.headers]
    if (
        not request.keep_alive
        or names.count(b"content-length") != 1
        or any(name in names for name in _SINGULAR)
        or not end
        # The request line, one line for each header, the empty line: nothing the parser has read otherwise.
        or head.count(b"\n") != len(names) + 2
        or len(head) + MOST_DIGITS > most_bytes
    ):
        return None
    length = _LENGTH.search(head)
    return None if length is None else RepeatedHead(head[: length.start(1)], head[length.end(1) :], request)
