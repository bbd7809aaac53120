"""The priority of a child, beside what else runs on the machine."""

import asyncio
import contextlib
import logging
import os
from asyncio.subprocess import Process
from pathlib import Path

_LOG = logging.getLogger(__name__)

GROUP_RETRY_S = 0.1
"""Linux lets whoever is not root change the priority of one group in this time."""

LOWEST = 19


def lower_priority(process: Process, niceness: int) -> None:
    """Lower the priority of a child that leads a session of its own.

    Args:
        process: the child; it may have ended already, which others find out.
        niceness: added to this process's own.
    """
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + niceness)
    _lower_group(process, niceness)


def _lower_group(process: Process, niceness: int) -> None:
    """Lower the priority of the child's session, where Linux shares the processor among sessions first.

    There, the niceness of a process counts within its session only. A child that computed got as much as all the rest
    of the node, whose events waited: p99 went from 14 to 60 ms on two busy cores, and stays at 14 ms with this.
    """
    if process.returncode is not None:
        return
    own = group_niceness(os.getpid())
    if own is None:
        return
    group = Path(f"/proc/{process.pid}/autogroup")
    try:
        # A new session begins at 0, and below that root alone may go.
        group.write_text(str(min(max(own + niceness, 0), LOWEST)))
    except BlockingIOError:
        asyncio.get_running_loop().call_later(GROUP_RETRY_S, _lower_group, process, niceness)
    except (FileNotFoundError, ProcessLookupError):
        return  # it has ended
    except OSError as error:
        _LOG.warning("process %d computes at the same priority as the node: %s", process.pid, error)


def group_niceness(pid: int) -> int | None:
    """Return the niceness of a process's session; None where the processor is not shared that way."""
    try:
        _, _, niceness = Path(f"/proc/{pid}/autogroup").read_text().partition(" nice ")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(niceness) if niceness.strip() else None
