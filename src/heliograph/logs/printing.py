"""What a command says to the person who runs it, on standard error."""

import sys
from types import TracebackType

from heliograph.logs.visible import shortened, visible


def print_error(*lines: object) -> None:
    """Print lines to standard error, each as visible text and cut to a length."""
    for line in lines:
        sys.stderr.write(visible(shortened(str(line))) + "\n")


def print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None, /) -> None:
    """Print what ended the process; stands in for `sys.excepthook`, which prints a peer's text as it came."""
    from heliograph.logs.tracebacks import traceback_text

    sys.stderr.write(traceback_text(kind, error, trace) + "\n")
