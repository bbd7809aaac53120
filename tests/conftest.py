"""What holds for the whole suite."""

import logging
import signal
import sys
import threading
from collections.abc import Iterator

import pytest


def pytest_configure() -> None:
    # A shell that starts the suite in the background lets it ignore Ctrl-C, and all programs it starts with it; what is
    # handled here is what it was for them.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """Give the process back its logging, and the hooks that setting it up replaces."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
