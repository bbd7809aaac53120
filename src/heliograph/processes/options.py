"""Options of a supervised child process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

PositiveSeconds = Annotated[float, Meta(gt=0)]


class ChildOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One child process and how it is looked after.

    Attributes:
        name: what the child is called in logs and metrics.
        argv: program and arguments.
        cwd: directory it runs in; the parent's when absent.
        environment: its whole environment; the parent's when absent.
        stdin: bytes it reads on its standard input, then end of file.
        description: what it runs, for the message about a failure; its program when absent.
        niceness: added to the parent's niceness, and its session's to that of the parent's session, 0 to 19.
        ready_timeout_s: seconds it may take until it is ready.
        grace_s: seconds between SIGTERM and SIGKILL when it is stopped.
        backoff_initial_s: longest wait before the first restart, doubled for each further one.
        backoff_max_s: longest wait before any restart.
        stable_s: seconds it must have been ready for its failures to be forgotten.
        max_line_bytes: a longer line of output is cut.
        max_lines_per_s: lines of output logged in a second; more are dropped and counted.
        max_output_bytes_per_s: output read in a second; the child waits to write more.
    """

    name: str
    argv: tuple[str, ...]
    cwd: Path | None = None
    environment: Mapping[str, str] | None = None
    stdin: bytes = b""
    description: str = ""
    niceness: Annotated[int, Meta(ge=0, le=19)] = 5
    ready_timeout_s: PositiveSeconds = 60.0
    grace_s: PositiveSeconds = 10.0
    backoff_initial_s: PositiveSeconds = 0.5
    backoff_max_s: PositiveSeconds = 30.0
    stable_s: PositiveSeconds = 10.0
    max_line_bytes: Annotated[int, Meta(ge=1)] = 4096
    max_lines_per_s: Annotated[int, Meta(ge=1)] = 500
    max_output_bytes_per_s: Annotated[int, Meta(ge=1)] = 1024 * 1024
