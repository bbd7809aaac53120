"""What holds for the whole suite."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator

import pytest

REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"
"""Whether a test that is skipped has failed: where everything is there that one may need."""


def pytest_configure() -> None:
    # A shell that starts the suite in the background lets it ignore Ctrl-C, and all programs it starts with it; what is
    # handled here is what it was for them.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _require(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_ALL=1, and this was left out: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _require(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _require(report)
    return report


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
