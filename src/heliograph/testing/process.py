"""A router in a process of its own, which ends with the process that started it."""

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from typing import IO, cast

from heliograph.processes.parent import PARENT_FD_VARIABLE
from heliograph.processes.python import python_command

READY = "Heliograph ready: "
STOP_TIMEOUT_S = 20.0
"""Seconds from SIGTERM to SIGKILL; the router itself takes at most about five to say goodbye."""

LOG_LINES = 5000
"""Lines of log that are kept, the newest."""


class RouterFailed(Exception):  # noqa: N818 - says what happened
    """The router did not start, ended by itself or did not stop; the text has the end of its log."""


class RouterProcess:
    """`heliograph start`, run by this interpreter.

    Args:
        arguments: of `heliograph start`.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._ready_line: str | None = None
        self._decided = threading.Event()
        reading, self._lifeline = os.pipe()
        try:
            # The runner watches the pipe: it closes with this process, however that ends.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                python_command("heliograph.processes.module_runner", "heliograph", "start", *arguments),
                env={**os.environ, PARENT_FD_VARIABLE: str(reading), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                pass_fds=[reading],
                start_new_session=True,
            )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(reading)
        self._output = cast("IO[str]", self._process.stdout)  # a pipe, as asked for
        self._reader = threading.Thread(target=self._read, name="heliograph-router-log", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has said, up to `LOG_LINES` lines."""
        return "".join(list(self._log))

    def wait_ready(self, timeout_s: float) -> list[str]:
        """Wait until it serves and return its addresses as URLs, one for each transport, in their order.

        Raises:
            RouterFailed: it ended, or did not become ready in `timeout_s` seconds; it is stopped then.
        """
        is_decided = self._decided.wait(timeout_s)
        if self._ready_line is None:
            self._kill()
            what = "ended while it started" if is_decided else f"was not ready within {timeout_s:g} s"
            raise self._failed(what)
        return self._ready_line.removeprefix(READY).split()

    def stop(self) -> None:
        """End it.

        Raises:
            RouterFailed: it had ended by itself, did not end in time, or ended with an error.
        """
        ended = self._process.poll()
        if ended is not None:
            self._release()
            raise self._failed(f"had ended by itself with exit code {ended}")
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._kill()
            raise self._failed(f"did not stop within {STOP_TIMEOUT_S:g} s and was killed") from None
        self._release()
        if code != 0:
            raise self._failed(f"ended with exit code {code}")

    def _kill(self) -> None:
        # The whole group: applications it has started are in groups of their own and end with their parent.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._release()

    def _release(self) -> None:
        """Give back what an ended process has left."""
        os.close(self._lifeline)
        self._reader.join(STOP_TIMEOUT_S)
        self._output.close()

    def _failed(self, what: str) -> RouterFailed:
        return RouterFailed(f"the router {what}. Its log:\n{self.log or '(empty)'}")

    def _read(self) -> None:
        for line in self._output:
            self._log.append(line)
            if self._ready_line is None and line.startswith(READY):
                self._ready_line = line.rstrip("\n")
                self._decided.set()
        self._decided.set()  # it has closed its output
