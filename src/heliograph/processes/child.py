"""One supervised child process: started, watched, restarted, stopped."""

import asyncio
import contextlib
import enum
import logging
import os
import random
import signal
import tempfile
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import IO, Any

import msgspec

from heliograph.processes.descriptors import give_back_descriptor_limit
from heliograph.processes.options import ChildOptions
from heliograph.processes.output import OutputForwarder
from heliograph.processes.parent import PARENT_FD_VARIABLE
from heliograph.processes.priority import lower_priority

logger = logging.getLogger("heliograph.processes")

OUTPUT_LINGER_S = 1.0
"""Seconds for the rest of the output after the process and its group have ended."""


class ChildState(enum.StrEnum):
    """Where a child is in its life."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    """Ended after it was ready; waits to be started again."""
    FAILED = "failed"
    """Ended before it was ready; waits to be started again."""
    STOPPING = "stopping"


class ChildSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a child at one moment.

    Attributes:
        name: the child's name.
        state: where it is in its life.
        pid: process id, None while there is no process.
        restarts: times it was started again.
        last_exit: why it ended last, None when it never did.
        dropped_lines: lines of output that were not logged.
    """

    name: str
    state: ChildState
    pid: int | None
    restarts: int
    last_exit: str | None
    dropped_lines: int


class ChildNotReadyError(Exception):
    """The child is not ready; the message says why and ends with its last lines of output."""


class _StartError(Exception):
    """The process could not be started, or did not become ready; the message is the reason."""


def backoff_s(failures: int, options: ChildOptions, jitter: Callable[[], float]) -> float:
    """Return seconds to wait before a restart.

    Args:
        failures: failures in a row before this one.
        options: the child's limits.
        jitter: a random number from 0 to 1.
    """
    longest = min(options.backoff_max_s, options.backoff_initial_s * 2.0 ** min(failures, 32))
    return longest * (0.5 + 0.5 * jitter())


class ChildProcess:
    """Keeps one child process running until it is stopped.

    The child is the leader of a process group of its own; the group ends with it. It inherits the reading
    end of a pipe (`heliograph.processes.parent`) whose end tells it that this process has ended.

    Args:
        options: the child and its limits.
        ready: returns when the child answers, or raises when it never will; the child is ready as soon as
            it runs when absent.
        prepare: called before each start, for instance to remove a stale socket.
    """

    def __init__(
        self,
        options: ChildOptions,
        *,
        ready: Callable[[], Awaitable[None]] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._options = options
        self._ready = ready
        self._prepare = prepare
        self._state = ChildState.STOPPED
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._ready_at: float | None = None
        self._output = OutputForwarder(options)
        self._starts = 0
        self._dropped_lines = 0
        self._last_exit: str | None = None

    @property
    def state(self) -> ChildState:
        """Where the child is in its life."""
        return self._state

    @property
    def name(self) -> str:
        """The child's name."""
        return self._options.name

    def start(self) -> None:
        """Begin to keep the child running; call within a running event loop.

        Raises:
            RuntimeError: it was started before.
        """
        if self._task is not None:
            raise RuntimeError(f"{self.name} is already started")
        self._set_state(ChildState.STARTING)
        self._task = asyncio.create_task(self._keep_running(), name=f"supervise {self.name}")
        self._task.add_done_callback(self._report_defect)

    async def stop(self) -> None:
        """End the child: SIGTERM to its group, SIGKILL after the grace period. Safe to call twice."""
        task, self._task = self._task, None
        if task is None:
            return
        self._set_state(ChildState.STOPPING)
        task.cancel()
        await asyncio.wait([task])
        self._set_state(ChildState.STOPPED)

    async def wait_ready(self) -> None:
        """Wait until the child is ready.

        Raises:
            ChildNotReadyError: it failed to start, or is stopped.
        """
        while self._state is not ChildState.READY:
            if self._state not in (ChildState.STARTING, ChildState.RESTARTING):
                raise ChildNotReadyError(self._failure())
            await self._changed.wait()

    def snapshot(self) -> ChildSnapshot:
        """Return what is known of the child now."""
        return ChildSnapshot(
            name=self.name,
            state=self._state,
            pid=self._process.pid if self._process is not None else None,
            restarts=max(0, self._starts - 1),
            last_exit=self._last_exit,
            dropped_lines=self._dropped_lines + self._output.dropped_lines,
        )

    def _set_state(self, state: ChildState) -> None:
        self._state = state
        self._changed.set()
        self._changed = asyncio.Event()

    def _failure(self) -> str:
        lines = "".join(f"\n  {line}" for line in self._output.tail)
        return f"{self.name} is {self._state}: {self._last_exit or 'not started'}{lines}"

    async def _keep_running(self) -> None:
        failures = 0
        while True:
            self._set_state(ChildState.STARTING)
            self._ready_at = None
            self._starts += 1
            try:
                self._last_exit = await self._run()
            except _StartError as error:
                self._last_exit = str(error)
            except OSError as error:
                self._last_exit = f"could not be started: {error}"
            if self._state is ChildState.STOPPING:
                # An error while it was being stopped took the place of the cancellation.
                return
            if self._ready_at is not None and time.monotonic() - self._ready_at >= self._options.stable_s:
                failures = 0
            delay_s = backoff_s(failures, self._options, random.random)
            failures += 1
            self._report_end(delay_s)
            self._set_state(ChildState.FAILED if self._ready_at is None else ChildState.RESTARTING)
            await asyncio.sleep(delay_s)

    def _report_defect(self, task: asyncio.Task[None]) -> None:
        """Log what ended the supervision, which nothing but `stop` should."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._last_exit = f"is no longer looked after: {error}"
            self._set_state(ChildState.FAILED)
            logger.error("%s %s", self.name, self._last_exit, exc_info=error)

    def _report_end(self, delay_s: float) -> None:
        what = self._options.description or self._options.argv[0]
        before = " before it was ready" if self._ready_at is None else ""
        logger.error(
            "%s (%s) %s%s; starting it again in %.1f s", self.name, what, self._last_exit, before, delay_s
        )

    async def _run(self) -> str:
        """Run the process once and return how it ended."""
        if self._prepare is not None:
            self._prepare()
        parent_reader, parent_writer = os.pipe()
        try:
            process = await self._whole(self._spawn(parent_reader))
            try:
                await self._until_ready(process)
                await process.wait()
                return _how_it_ended(process)
            finally:
                await self._end(process)
        finally:
            os.close(parent_writer)
            self._output.close()

    async def _whole(self, spawning: Coroutine[Any, Any, Process]) -> Process:
        """Await a start to its end even when cancelled: the process of half a start would be nobody's."""
        task = asyncio.ensure_future(spawning)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                await self._end(await task)
            raise

    async def _spawn(self, parent_reader: int) -> Process:
        environment = dict(os.environ if self._options.environment is None else self._options.environment)
        environment[PARENT_FD_VARIABLE] = str(parent_reader)
        output_writer = -1
        try:
            output_writer = await self._open_output()
            with _readable(self._options.stdin) as stdin:
                self._process = await asyncio.create_subprocess_exec(
                    *self._options.argv,
                    stdin=stdin,
                    stdout=output_writer,
                    stderr=STDOUT,
                    cwd=self._options.cwd,
                    env=environment,
                    pass_fds=(parent_reader,),
                    start_new_session=True,
                )
        finally:
            os.close(parent_reader)
            if output_writer >= 0:
                os.close(output_writer)
        give_back_descriptor_limit(self._process.pid)
        lower_priority(self._process, self._options.niceness)
        return self._process

    async def _open_output(self) -> int:
        """Begin a new log of output and return the end to write to."""
        self._dropped_lines += self._output.dropped_lines
        self._output = OutputForwarder(self._options)
        reader, writer = os.pipe()
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_read_pipe(lambda: self._output, os.fdopen(reader, "rb", buffering=0))
        except BaseException:
            os.close(writer)
            raise
        return writer

    async def _until_ready(self, process: Process) -> None:
        """Return when the child is ready or has ended."""
        if self._ready is not None:
            ready = asyncio.ensure_future(self._ready())
            ended = asyncio.ensure_future(process.wait())
            try:
                await asyncio.wait(
                    (ready, ended), timeout=self._options.ready_timeout_s, return_when=asyncio.FIRST_COMPLETED
                )
                if not ready.done():
                    if ended.done():
                        return
                    raise _StartError(f"was given up after {self._options.ready_timeout_s:g} s")
                if (error := ready.exception()) is not None:
                    raise _StartError(f"was given up: {type(error).__name__}: {error}") from error
            finally:
                ready.cancel()
                ended.cancel()
                await asyncio.wait((ready, ended))
        self._ready_at = time.monotonic()
        self._set_state(ChildState.READY)

    async def _end(self, process: Process) -> None:
        """Stop the process when it still runs, and whatever is left of its group."""
        try:
            if process.returncode is None:
                _signal_group(process.pid, signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), self._options.grace_s)
        finally:
            # The group's number stays taken while it has a member, so this hits its rest or nothing.
            _signal_group(process.pid, signal.SIGKILL)
            await process.wait()
            self._process = None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._output.closed.wait(), OUTPUT_LINGER_S)


def _how_it_ended(process: Process) -> str:
    code = process.returncode or 0
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _signal_group(pid: int, number: signal.Signals) -> None:
    # A group that has ended is no error: its leader may have been its last process.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


@contextlib.contextmanager
def _readable(content: bytes) -> Iterator[IO[bytes] | int]:
    """Give a standard input with that content; a file, since a pipe could fill up before the child reads."""
    if not content:
        yield DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file
