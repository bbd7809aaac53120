"""The child's side of the parent pipe: a child ends when its parent has, however that died.

The parent holds the pipe's only writing end and never writes. Standard library only, and little of it.
"""

import contextlib
import os
import select
import signal
import threading
import time

PARENT_FD_VARIABLE = "HELIOGRAPH_PARENT_FD"
"""Environment variable with the number of the pipe's reading end."""

GRACE_S = 5.0
"""Seconds between SIGTERM and SIGKILL to the child's process group."""


def take_parent_fd() -> int:
    """Take the reading end over from the environment, so that the child's own children do not inherit it.

    Returns:
        The file descriptor.

    Raises:
        RuntimeError: the process was not started by a supervisor.
    """
    text = os.environ.pop(PARENT_FD_VARIABLE, None)
    if text is None:
        raise RuntimeError("this program is started by Heliograph and cannot be started by hand")
    fd = int(text)
    os.set_inheritable(fd, False)  # noqa: FBT003 (the function's only form)
    return fd


def parent_is_gone(fd: int) -> bool:
    """Tell whether the pipe's writing end is closed."""
    # Not `select`, which takes no number above 1,023: a router with many connections hands on higher ones.
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def end_with_parent(fd: int) -> None:
    """Watch the pipe in a thread, and end this process group when the parent has ended."""
    threading.Thread(target=_watch, args=(fd,), name="parent-watch", daemon=True).start()


def _watch(fd: int) -> None:
    while os.read(fd, 64):
        pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(0, signal.SIGTERM)
        time.sleep(GRACE_S)
        os.killpg(0, signal.SIGKILL)
