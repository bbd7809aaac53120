"""Tracebacks as text that holds nothing a peer could use."""

import traceback
from types import TracebackType

from heliograph.logs.visible import shortened, visible_lines

MAX_TRACEBACK_CHARACTERS = 16 * 1024
MAX_FRAMES = 32
"""Innermost frames that are shown."""


def traceback_text(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> str:
    """Return a traceback as visible, bounded text, indented so that no line of it looks like one of the log."""
    try:
        told = traceback.TracebackException(
            kind,
            error,  # type: ignore[arg-type]  # None for exceptions that were never made, which it takes
            trace,
            limit=-MAX_FRAMES,
        )
        text = "".join(told.format()).rstrip("\n")
    except Exception as failure:  # noqa: BLE001 - an exception that has no text must not cost a second one
        text = f"{kind.__name__} (its traceback cannot be shown: {type(failure).__name__})"
    return "  " + visible_lines(shortened(text, MAX_TRACEBACK_CHARACTERS)).replace("\n", "\n  ")
