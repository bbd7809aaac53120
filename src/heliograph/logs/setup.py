"""Where the log of a program goes: one place for every command and every child."""

import logging
import sys
import threading
from types import TracebackType

from heliograph.logs.handler import BoundedHandler, LineFormatter

LOG_LEVELS = {
    "none": logging.CRITICAL + 1,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}

_LOG = logging.getLogger("heliograph")


def set_up_logging(level: str, *, has_head: bool = True) -> None:
    """Log to standard error, a line a record, without ever waiting for who reads it.

    What Python itself would print there goes the same way: warnings, exceptions that nobody can catch, and the one that
    ends the process.

    Args:
        level: one of LOG_LEVELS.
        has_head: whether time, level and logger stand before each message.
    """
    root = logging.getLogger()
    for handler in root.handlers:
        handler.flush()
    # Python has no such stream when the descriptor was closed at its start.
    root.handlers[:] = (
        [logging.NullHandler()]
        if sys.__stderr__ is None
        else [BoundedHandler(sys.__stderr__, LineFormatter(has_head=has_head))]
    )
    root.setLevel(LOG_LEVELS[level])
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_the_end
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_of_thread


def _log_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _LOG.critical("the process ends because of a defect", exc_info=(kind, error, trace))


def _log_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    error = unraisable.exc_value
    told = None if error is None else (unraisable.exc_type, error, unraisable.exc_traceback)
    _LOG.error("%s: %r", unraisable.err_msg or "exception ignored in", unraisable.object, exc_info=told)


def _log_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None:
        return
    name = "?" if args.thread is None else args.thread.name
    _LOG.error("thread %s ended", name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))
