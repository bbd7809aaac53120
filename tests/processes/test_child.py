"""One child: started, watched, restarted, stopped."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from heliograph.processes.child import ChildNotReadyError, ChildProcess, ChildState, backoff_s
from heliograph.processes.options import ChildOptions
from heliograph.processes.supervisor import Supervisor

Spawn = Callable[..., ChildProcess]
Lines = Callable[[], list[str]]
IsRunning = Callable[[int], bool]

WAITS_FOREVER = "import signal; print('up', flush=True); signal.pause()"
IGNORES_SIGTERM = """
    import os, signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("pid", os.getpid(), flush=True)
    while True:
        signal.pause()
"""
HAS_A_CHILD = """
    import os, signal
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("pid", os.getpid(), flush=True)
        while True:
            signal.pause()
    signal.pause()
"""


def pids(lines: list[str]) -> list[int]:
    return [int(line.split()[-1]) for line in lines if line.startswith("child: pid ")]


async def test_a_child_runs_as_described_in_a_group_of_its_own_and_niced(
    spawn: Spawn, lines: Lines, eventually: Any, tmp_path: Path
) -> None:
    spawn(
        """
        import json, os, sys, time
        grouped = os.getpgrp() == os.getpid() == os.getsid(0)
        while os.nice(0) < 5:
            time.sleep(0.001)  # the parent lowers the priority after the start
        print(json.dumps([os.getcwd(), os.environ["COLOUR"], len(sys.stdin.read()), grouped]), file=sys.stderr)
        """,
        cwd=tmp_path,
        environment={**os.environ, "COLOUR": "grün"},
        stdin=b"settings" * 100_000,
    )
    await eventually(lambda: any(line.startswith("child: [") for line in lines()))
    told = next(line.removeprefix("child: ") for line in lines() if line.startswith("child: ["))
    assert json.loads(told) == [str(tmp_path), "grün", 800_000, True]


async def test_a_child_that_ends_is_started_again_and_the_reason_logged_once(
    spawn: Spawn, lines: Lines, eventually: Any
) -> None:
    child = spawn("raise SystemExit(7)", backoff_initial_s=0.05, backoff_max_s=0.05, description="the reason")
    await eventually(lambda: child.snapshot().restarts >= 2)
    ends = [line for line in lines() if "exited" in line]
    assert ends[0].startswith("child (the reason) exited with code 7; starting it again in 0.")
    assert len(ends) in (2, 3)
    assert child.snapshot().last_exit == "exited with code 7"


async def test_a_child_killed_by_a_signal_says_which(spawn: Spawn, lines: Lines, eventually: Any) -> None:
    spawn("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    await eventually(lambda: any("was killed by SIGSEGV" in line for line in lines()))


async def test_a_program_that_does_not_exist_is_a_failure_that_says_so(spawn: Spawn, lines: Lines) -> None:
    child = spawn("", argv=("/no/such/program",))
    with pytest.raises(ChildNotReadyError, match=r"could not be started: .*No such file.*/no/such/program"):
        await child.wait_ready()
    assert child.state is ChildState.FAILED


async def test_a_child_that_ends_before_it_is_ready_fails_with_its_last_lines(spawn: Spawn) -> None:
    child = spawn("import sys; print('one'); sys.exit('cannot find it')", ready=asyncio.Event().wait)
    with pytest.raises(
        ChildNotReadyError, match=r"child is failed: exited with code 1\n  one\n  cannot find it"
    ):
        await child.wait_ready()


async def test_a_child_that_is_never_ready_is_given_up(
    spawn: Spawn, lines: Lines, is_running: IsRunning
) -> None:
    child = spawn(IGNORES_SIGTERM, ready=asyncio.Event().wait, ready_timeout_s=0.5, grace_s=0.1)
    with pytest.raises(ChildNotReadyError, match=r"was given up after 0\.5 s"):
        await child.wait_ready()
    assert not any(is_running(pid) for pid in pids(lines()))


async def test_a_readiness_check_that_raises_gives_the_child_up(spawn: Spawn) -> None:
    async def check() -> None:
        raise ValueError("wrong answer")

    child = spawn(WAITS_FOREVER, ready=check)
    with pytest.raises(ChildNotReadyError, match="was given up: ValueError: wrong answer"):
        await child.wait_ready()


async def test_waiting_goes_on_while_a_child_that_was_ready_is_started_again(
    spawn: Spawn, is_running: IsRunning
) -> None:
    child = spawn(WAITS_FOREVER, backoff_initial_s=0.05)
    await child.wait_ready()
    first = child.snapshot().pid
    assert first is not None
    os.kill(first, 9)
    async with asyncio.timeout(10):
        while child.state is ChildState.READY:  # noqa: ASYNC110 (the kernel says when it is dead)
            await asyncio.sleep(0.005)
        await child.wait_ready()
    assert child.snapshot().pid != first
    assert child.snapshot().last_exit == "was killed by SIGKILL"


async def test_a_stale_socket_is_removed_before_each_start(
    spawn: Spawn, eventually: Any, tmp_path: Path
) -> None:
    starts: list[str] = []
    child = spawn("", prepare=lambda: starts.append("prepared"), backoff_initial_s=0.01, backoff_max_s=0.01)
    await eventually(lambda: child.snapshot().restarts >= 2)
    assert len(starts) >= 2


async def test_stopping_asks_first_and_kills_what_does_not_listen(
    spawn: Spawn, lines: Lines, eventually: Any, is_running: IsRunning
) -> None:
    child = spawn(IGNORES_SIGTERM, grace_s=0.2)
    await eventually(lambda: bool(pids(lines())))
    await child.stop()
    assert not is_running(pids(lines())[0])
    assert child.state is ChildState.STOPPED
    assert child.snapshot().pid is None
    assert not any("starting it again" in line for line in lines())


async def test_a_child_may_clean_up_when_it_is_asked_to_stop(
    spawn: Spawn, lines: Lines, eventually: Any
) -> None:
    child = spawn("""
        import signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("cleaned up", flush=True)))
        print("up", flush=True)
        signal.pause()
    """)
    await eventually(lambda: "child: up" in lines())
    await child.stop()
    assert "child: cleaned up" in lines()


@pytest.mark.parametrize("how", ["stop", "crash"])
async def test_the_childs_own_children_end_with_it(
    spawn: Spawn, lines: Lines, eventually: Any, is_running: IsRunning, how: str
) -> None:
    child = spawn(HAS_A_CHILD, grace_s=1)
    await eventually(lambda: bool(pids(lines())))
    if how == "stop":
        await child.stop()
    else:
        os.kill(child.snapshot().pid or 0, 9)
    await eventually(lambda: not is_running(pids(lines())[0]))


async def test_a_flooding_child_leaves_the_loop_to_others_and_can_be_stopped(
    spawn: Spawn, eventually: Any
) -> None:
    child = spawn("while True: print('x' * 200)")
    await eventually(lambda: child.snapshot().dropped_lines > 1000)
    loop = asyncio.get_running_loop()
    slowest = 0.0
    for _ in range(100):
        before = loop.time()
        await asyncio.sleep(0.001)
        slowest = max(slowest, loop.time() - before)
    assert slowest < 1.0
    await asyncio.wait_for(child.stop(), 5)


async def test_stopping_while_it_starts_leaves_no_process(
    spawn: Spawn, lines: Lines, is_running: IsRunning
) -> None:
    for turns in range(12):
        child = spawn(
            "import os; print('pid', os.getpid(), flush=True)\nimport signal; signal.pause()", grace_s=1
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        await child.stop()
    assert not any(is_running(pid) for pid in pids(lines()))


async def test_a_stopped_child_is_not_ready_and_can_be_started_again(spawn: Spawn) -> None:
    child = spawn(WAITS_FOREVER)
    await child.wait_ready()
    await child.stop()
    await child.stop()
    with pytest.raises(ChildNotReadyError, match="child is stopped"):
        await child.wait_ready()
    child.start()
    await child.wait_ready()


async def test_starting_twice_is_refused(spawn: Spawn) -> None:
    child = spawn(WAITS_FOREVER)
    with pytest.raises(RuntimeError, match="already started"):
        child.start()


def test_waits_double_to_their_limit_and_vary_by_half() -> None:
    options = ChildOptions(name="x", argv=("x",), backoff_initial_s=0.5, backoff_max_s=3)
    assert [backoff_s(n, options, lambda: 1.0) for n in range(5)] == [0.5, 1, 2, 3, 3]
    assert [backoff_s(n, options, lambda: 0.0) for n in (0, 1, 10_000)] == [0.25, 0.5, 1.5]


async def test_failures_are_forgotten_after_a_stable_time(spawn: Spawn, eventually: Any) -> None:
    child = spawn("pass", stable_s=1e-9, backoff_initial_s=0.01, backoff_max_s=1000)
    await eventually(lambda: child.snapshot().restarts >= 20)


async def test_several_children_are_stopped_together(is_running: IsRunning) -> None:
    supervisor = Supervisor()
    options = [ChildOptions(name=f"child-{n}", argv=(sys.executable, "-c", WAITS_FOREVER)) for n in range(3)]
    children = [ChildProcess(each) for each in options]
    for child in children:
        supervisor.start(child)
    with pytest.raises(ValueError, match="already a child named 'child-0'"):
        supervisor.start(ChildProcess(options[0]))
    await asyncio.gather(*(child.wait_ready() for child in children))
    running = [snapshot.pid or 0 for snapshot in supervisor.snapshots()]
    assert len(running) == 3
    await supervisor.stop()
    assert not any(is_running(pid) for pid in running)


def test_the_same_holds_on_uvloop(is_running: IsRunning, lines: Lines) -> None:
    async def scenario() -> int:
        child = ChildProcess(
            ChildOptions(
                name="child",
                argv=(sys.executable, "-c", "print(input(), flush=True)\n" + WAITS_FOREVER),
                stdin=b"told",
            )
        )
        child.start()
        await asyncio.wait_for(child.wait_ready(), 10)
        async with asyncio.timeout(10):
            while "child: told" not in lines() or "child: up" not in lines():  # noqa: ASYNC110 (logging sets no event)
                await asyncio.sleep(0.01)
        pid = child.snapshot().pid or 0
        assert os.getpgid(pid) == pid
        await asyncio.wait_for(child.stop(), 10)
        return pid

    assert not is_running(uvloop.run(scenario()))
