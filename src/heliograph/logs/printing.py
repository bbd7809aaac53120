"""What a command says to the person who runs it, on standard error."""

import sys
from types import TracebackType

from heliograph.logs.visible import shortened, visible


def print_error(*lines: object) -> None:
    """Print lines to standard error, each as visible text and cut to a length."""
    for line in lines:
        _write(visible(shortened(str(line))))


def print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None, /) -> None:
    """Print what ended the process; stands in for `sys.excepthook`, which prints a peer's text as it came."""
    from heliograph.logs.tracebacks import traceback_text

    _write(traceback_text(kind, error, trace))


def _write(text: str) -> None:
    if sys.stderr is not None:  # it was closed when the process started
        sys.stderr.write(text + "\n")
