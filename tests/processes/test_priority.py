"""A child's priority is below its parent's, also where the processor is shared among sessions first."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from heliograph.processes import priority
from heliograph.processes.child import ChildProcess

Spawn = Callable[..., ChildProcess]

NICENESS = 7


def as_process(**attributes: Any) -> asyncio.subprocess.Process:
    return cast(asyncio.subprocess.Process, SimpleNamespace(**attributes))


@pytest.mark.skipif(priority.group_niceness(os.getpid()) is None, reason="this system has no such groups")
async def test_a_childs_session_yields_to_its_parents(spawn: Spawn, eventually: Any) -> None:
    child = spawn("import signal; signal.pause()", niceness=NICENESS)

    await eventually(lambda: child.snapshot().pid is not None)
    pid = child.snapshot().pid
    assert pid is not None

    own = priority.group_niceness(os.getpid())
    assert own is not None
    await eventually(lambda: priority.group_niceness(pid) == min(max(own + NICENESS, 0), priority.LOWEST))


class Groups:
    """Stands for /proc/PID/autogroup: this process's is at 0; each write raises the next of `answers` or is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, text: str, *answers: OSError) -> None:
        self.answers = list(answers)
        self.written: list[str] = []
        monkeypatch.setattr(os, "setpriority", lambda *_: None)
        monkeypatch.setattr(Path, "read_text", lambda _path: text)
        monkeypatch.setattr(Path, "write_text", self.write)

    def write(self, niceness: str) -> None:
        if self.answers:
            raise self.answers.pop(0)
        self.written.append(niceness)


class TestGroup:
    async def test_it_is_tried_again_when_another_was_changed_just_before(
        self, monkeypatch: pytest.MonkeyPatch, eventually: Any
    ) -> None:
        busy = [OSError(errno.EAGAIN, "try again") for _ in range(2)]
        groups = Groups(monkeypatch, "/autogroup-7 nice 0\n", *busy)
        monkeypatch.setattr(priority, "GROUP_RETRY_S", 0.0)

        priority.lower_priority(as_process(pid=4711, returncode=None), NICENESS)
        assert groups.written == []

        await eventually(lambda: groups.written == ["7"])

    async def test_nothing_is_tried_again_for_a_child_that_has_ended(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        groups = Groups(monkeypatch, "/autogroup-7 nice 0\n", OSError(errno.EAGAIN, "try again"))
        monkeypatch.setattr(priority, "GROUP_RETRY_S", 0.0)
        process = SimpleNamespace(pid=4711, returncode=None)
        retried = asyncio.Event()

        priority.lower_priority(cast(asyncio.subprocess.Process, process), NICENESS)
        process.returncode = 0
        asyncio.get_running_loop().call_later(priority.GROUP_RETRY_S, retried.set)
        await retried.wait()

        assert groups.answers == []
        assert groups.written == []

    async def test_a_system_that_refuses_is_no_reason_not_to_start(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        Groups(monkeypatch, "/autogroup-7 nice 0\n", OSError(errno.EROFS, "read-only"))

        priority.lower_priority(as_process(pid=4711, returncode=None), NICENESS)

        assert "process 4711 computes at the same priority as the node" in caplog.text

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            pytest.param("/autogroup-7 nice 3\n", ["10"], id="below a parent that is nice itself"),
            pytest.param("/autogroup-7 nice -15\n", ["0"], id="not above what a new session has"),
            pytest.param("/autogroup-7 nice 15\n", ["19"], id="not below the lowest"),
            pytest.param("", [], id="the system shares the processor in another way"),
        ],
    )
    async def test_it_is_set_below_the_parents(
        self, monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str]
    ) -> None:
        groups = Groups(monkeypatch, text)

        priority.lower_priority(as_process(pid=4711, returncode=None), NICENESS)

        assert groups.written == expected

    @pytest.mark.parametrize("code", [errno.ENOENT, errno.ESRCH])
    async def test_a_child_that_ends_meanwhile_is_no_error(
        self, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        groups = Groups(monkeypatch, "/autogroup-7 nice 0\n", OSError(code, "gone"))

        priority.lower_priority(as_process(pid=4711, returncode=None), NICENESS)

        assert groups.written == []
