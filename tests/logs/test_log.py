"""The log never makes the program wait, and what it leaves out is counted and told."""

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from heliograph.logs import flood
from heliograph.logs.handler import BoundedHandler, LineFormatter, LogCounters
from heliograph.logs.setup import set_up_logging
from heliograph.logs.visible import MAX_TEXT_CHARACTERS
from tests.support.pipes import Pipe, full_pipe, open_pipe

DEADLINE_S = 20.0


class Log:
    """A logger whose lines go into a pipe."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.counters = LogCounters()
        self.stream = os.fdopen(os.dup(pipe.writing), "w", encoding="utf-8")
        self.handler = BoundedHandler(self.stream, LineFormatter(has_head=False), self.counters)
        # Apart from the others: pytest's own handlers cannot show what these tests log.
        self.logger = logging.Logger("test.log", logging.DEBUG)  # noqa: LOG001
        self.logger.addHandler(self.handler)

    def lines(self) -> list[str]:
        """Return what was written so far; the pipe must have room for it."""
        self.handler.flush()
        os.write(self.pipe.writing, b"\f")
        return self.pipe.drained(b"\f").decode().removesuffix("\f").splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    with open_pipe() as made:
        yield made


@pytest.fixture
def log(pipe: Pipe) -> Iterator[Log]:
    made = Log(pipe)
    yield made
    made.handler.close()
    made.stream.close()


class Unshowable:
    """A value of a client of which no text can be made."""

    def __str__(self) -> str:
        raise ValueError("Exceeds the limit (4300 digits) for integer string conversion")

    __repr__ = __str__


HOSTILE: dict[str, tuple[str, tuple[Any, ...]]] = {
    "line breaks": ("said %s", ("a\r\nERROR root: forged\n",)),
    "escapes": ("said %s", ("\x1b[2J\x9b2J\u202e\u2028",)),
    "more digits than Python writes": ("got %d", (10**5000,)),
    "no text at all": ("got %s", (Unshowable(),)),
    "too few arguments": ("%s and %s", ("one",)),
    "another type": ("%d", ("x",)),
    "lone surrogates": ("%s", ("\ud800",)),
    "a message with a percent sign": ("100 %", (1,)),
}


@pytest.mark.parametrize(("message", "args"), HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_is_logged_is_one_visible_line(
    log: Log, message: str, args: tuple[Any, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    log.logger.warning(message, *args)

    (line,) = log.lines()
    assert line.isprintable()
    assert line
    assert capfd.readouterr() == ("", ""), "nothing went round the handler"


def test_a_message_is_cut(log: Log) -> None:
    log.logger.warning("a client said %s", "x" * 1_000_000)

    (line,) = log.lines()
    assert len(line) < MAX_TEXT_CHARACTERS + 100
    assert "characters left out" in line


def raised(error: Exception) -> Exception:
    try:
        raise error
    except (TypeError, ValueError) as caught:
        return caught


def deep(levels: int) -> None:
    if levels:
        deep(levels - 1)
    raise ValueError("deep")


EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "a forged line": lambda: raised(ValueError("x\n2026-01-01 INFO root: forged")),
    "escapes": lambda: raised(ValueError("\x1b[2J\u202e")),
    "a megabyte": lambda: raised(ValueError("x" * 1_000_000)),
    "many lines": lambda: raised(ValueError("\n" * 1_000_000)),
    "no text": lambda: raised(ValueError(Unshowable())),
    "never raised": lambda: ValueError("fresh"),
}


@pytest.mark.parametrize("make", EXCEPTIONS.values(), ids=EXCEPTIONS.keys())
def test_a_traceback_is_bounded_visible_and_looks_like_no_record(
    log: Log, make: Callable[[], BaseException]
) -> None:
    log.logger.error("failed", exc_info=make())

    first, *rest = log.lines()
    assert first == "failed"
    assert rest
    assert all(line.startswith("  ") and line.isprintable() for line in rest)
    assert sum(map(len, rest)) < 60_000


def test_of_a_deep_traceback_the_innermost_frames_are_shown(log: Log) -> None:
    try:
        deep(500)
    except ValueError:
        log.logger.exception("failed")

    lines = log.lines()
    assert len(lines) < 150
    assert lines[-1] == "  ValueError: deep"


def test_where_the_stack_is_too_deep_to_make_text_the_caller_goes_on(log: Log) -> None:
    reached = 0

    def dig() -> None:
        nonlocal reached
        try:
            dig()
        finally:
            # At the bottom nothing can be called any more; a little above it, logging works again.
            with contextlib.suppress(RecursionError):
                log.handler.emit(logging.LogRecord("x", logging.DEBUG, "", 0, "deep", None, None))
                reached += 1

    with pytest.raises(RecursionError):
        dig()
    assert reached == log.lines().count("deep") + log.counters.dropped > 0


def test_when_nobody_reads_it_the_caller_goes_on_and_what_does_not_fit_is_counted_and_told() -> None:
    with full_pipe() as pipe:
        log = Log(pipe)
        records = 2000
        for number in range(records):
            log.logger.info("%d %s", number, "x" * 2000, extra={"has_own_limit": True})
        assert 0 < log.counters.dropped < records
        kept = records - log.counters.dropped

        text = pipe.drained(b"log records dropped").lstrip(b"\0").decode()
        assert [line.split()[0] for line in text.splitlines()[:-1]] == [str(number) for number in range(kept)]
        assert text.splitlines()[-1].startswith(f"{log.counters.dropped} log records dropped")
        log.handler.close()
        log.stream.close()


def test_a_reader_that_has_gone_costs_the_records_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    counters = LogCounters()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        handler = BoundedHandler(stream, LineFormatter(), counters)
        for _ in range(3):
            handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "lost", None, None))
            handler.flush()
        handler.close()
    assert (counters.dropped, counters.unwritten) == (0, 3)


def test_a_pipe_that_somebody_made_non_blocking_gets_every_line(log: Log, pipe: Pipe) -> None:
    os.set_blocking(pipe.writing, False)
    for number in range(15):
        log.logger.info("%d %s", number, "x" * 8000)
    log.logger.info("the end")
    text = pipe.drained(b"the end\n")
    assert len(text) > 65536, "more than a pipe holds"
    assert re.findall(r"^(\d+) ", text.decode(), re.MULTILINE) == [str(number) for number in range(15)]


# What one client may provoke


def fail_here(log: Log, error: Exception) -> None:
    try:
        raise error
    except Exception:
        log.logger.exception("a session ends because the router failed")


def test_one_place_logs_a_bounded_number_of_records_in_a_period_and_says_how_many_more(log: Log) -> None:
    for _ in range(1000):
        fail_here(log, ValueError("again"))
    log.logger.info("another place")

    text = "\n".join(log.lines())
    assert text.count("ValueError: again") == flood.MOST_ALIKE
    assert log.counters.suppressed == 1000 - flood.MOST_ALIKE
    assert text.count("another place") == 1
    told = (
        f"{1000 - flood.MOST_ALIKE} more records like 'a session ends because the router failed' of test.log"
    )
    assert told in text


def test_another_exception_at_the_same_place_is_not_hidden(log: Log) -> None:
    for _ in range(1000):
        fail_here(log, ValueError("again"))
    fail_here(log, KeyError("another"))

    assert "another" in "\n".join(log.lines())


def test_what_differs_only_in_what_the_client_said_is_alike(log: Log) -> None:
    for number in range(1000):
        log.logger.warning("a client said %s", number)
        log.logger.warning(f"a client said {number}")  # noqa: G004 - as somebody else's code may do

    assert sum(line.startswith("a client said") for line in log.lines()) == 2 * flood.MOST_ALIKE


def test_a_place_with_a_limit_of_its_own_and_debugging_are_left_alone(log: Log) -> None:
    for number in range(100):
        log.logger.info("a child's line %d", number, extra={"has_own_limit": True})
        log.logger.debug("detail %d", number)

    assert len(log.lines()) == 200
    assert log.counters.suppressed == 0


def test_the_next_period_begins_anew_and_tells_of_the_last() -> None:
    now = [0.0]
    limit = flood.FloodLimit(lambda: now[0])
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "text", None, None)

    assert [limit.lets_through(record) for _ in range(flood.MOST_ALIKE + 5)].count(False) == 5
    assert (limit.take_suppressed(), limit.has_suppressed) == ([], True)
    now[0] = flood.PERIOD_S
    assert limit.take_suppressed() == [flood.Suppressed("x", "text", 5)]
    assert (limit.take_suppressed(), limit.has_suppressed) == ([], False)
    assert limit.lets_through(record)


def test_it_is_told_without_another_record(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood, "PERIOD_S", 0.2)
    log = Log(pipe)
    for _ in range(100):
        log.logger.warning("alike")
    assert b"more records like 'alike'" in pipe.drained(b"left out")
    log.handler.close()
    log.stream.close()


# Setting it up


def test_records_go_to_stderr_a_line_each_with_the_time_in_iso_8601(
    capfd: pytest.CaptureFixture[str], logging_as_it_was: None
) -> None:
    set_up_logging("info")
    logging.getLogger("heliograph.node").info("said\nby %s", "a peer\r\nERROR root: forged")
    logging.getLogger("heliograph.node").debug("not shown")
    logging.getLogger().handlers[0].flush()

    printed = capfd.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    time, rest = line.split(" ", 1)
    assert rest == r"INFO heliograph.node: said\nby a peer\r\nERROR root: forged"
    assert time[10] == "T"
    assert time.endswith("+00:00")


def test_what_python_itself_would_print_goes_the_same_way(
    capfd: pytest.CaptureFixture[str], logging_as_it_was: None
) -> None:
    class Fails:
        def __del__(self) -> None:
            raise ValueError("\x1b in a finalizer")

    def fail() -> None:
        raise ValueError("\x1b in a thread")

    set_up_logging("info")
    Fails()
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join(DEADLINE_S)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("\x1b in a warning", stacklevel=1)
    sys.excepthook(ValueError, ValueError("\x1b at the end"), None)
    logging.getLogger().handlers[0].flush()

    printed = capfd.readouterr().err
    for where in ("in a finalizer", "in a thread", "in a warning", "at the end"):
        assert f"\\x1b {where}" in printed
    assert "\x1b" not in printed


ENDS = {
    "by itself": "",
    "with an exception": "raise ValueError('the end')",
    "with an exit code": "raise SystemExit(3)",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_a_process_ends_in_bounded_time_though_nobody_reads_its_log(end: str) -> None:
    program = f"""
import logging
from heliograph.logs.setup import set_up_logging
set_up_logging("info")
for number in range(100):
    logging.getLogger("x").info("%d %s", number, "x" * 2000)
print("logged", flush=True)
{end}
"""
    with full_pipe() as pipe:
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=pipe.writing
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"logged\n"
            began = time.monotonic()
            process.wait(DEADLINE_S)
            assert time.monotonic() - began < 10
        finally:
            _kill(process)


def test_what_was_logged_before_the_end_is_written() -> None:
    program = """
import logging
from heliograph.logs.setup import set_up_logging
set_up_logging("info", has_head=False)
logging.getLogger("x").info("the last word")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    assert done.stderr == "the last word\n"


def test_a_process_without_standard_streams_logs_to_nowhere() -> None:
    program = """
import logging, os
from heliograph.logs.setup import set_up_logging
from heliograph.logs.writer import say
taken = os.open(os.devnull, os.O_RDWR), os.open(os.devnull, os.O_RDWR)
assert taken == (1, 2), taken
set_up_logging("info")
logging.getLogger("x").info("lost")
say("lost")
"""
    command = '"$0" -c "$1" >&- 2>&-'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, program], timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 0


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE_S)
    if process.stdout is not None:
        process.stdout.close()
