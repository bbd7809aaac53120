"""Text from the operating system, made fit for every serializer."""

from __future__ import annotations

import re

MAX_ERROR_CHARACTERS = 200
_SURROGATES = re.compile("[\ud800-\udfff]")


def encodable(text: str, *, max_characters: int) -> str:
    """Return *text* cut to *max_characters*, with what is no Unicode text replaced by U+FFFD.

    Mount points and host names are bytes to the kernel; Python passes stray ones on as lone surrogates, which no
    serializer accepts.
    """
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text[:max_characters])


def error_text(error: BaseException) -> str:
    """Return *error* as one bounded line: `PermissionError: [Errno 13] …`."""
    name = type(error).__name__
    detail = " ".join(str(error).split())
    return encodable(f"{name}: {detail}" if detail else name, max_characters=MAX_ERROR_CHARACTERS)
