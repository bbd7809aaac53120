from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from heliograph.agent.errors import StillRunningError, TooManyRunningError
from heliograph.agent.off_loop import OffLoop

AMPLE_S = 10.0
SHORT_S = 0.02


class Hanging:
    """A call that returns when the test lets it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        self.entered.set()
        assert self.release.wait(AMPLE_S)
        return "at last"


@pytest.fixture
def calls(request: pytest.FixtureRequest) -> Iterator[OffLoop]:
    off_loop = OffLoop(thread_name=request.node.name, max_running=3)
    yield off_loop
    off_loop.close()


def threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


async def until_returned(calls: OffLoop) -> None:
    async with asyncio.timeout(AMPLE_S):
        while calls.running:  # noqa: ASYNC110 - a thread returns; there is no event to wait for
            await asyncio.sleep(0.001)


async def test_a_call_returns_what_its_function_returns_from_another_thread(calls: OffLoop) -> None:
    assert await calls.call("ident", threading.get_ident, timeout_s=AMPLE_S) != threading.get_ident()


async def test_a_call_raises_what_its_function_raises(calls: OffLoop) -> None:
    def fail() -> None:
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        await calls.call("fail", fail, timeout_s=AMPLE_S)


async def test_calls_one_after_another_share_one_thread(calls: OffLoop) -> None:
    idents = {await calls.call("ident", threading.get_ident, timeout_s=AMPLE_S) for _ in range(20)}
    assert len(idents) == 1


async def test_a_call_that_hangs_is_given_up_and_not_made_again_until_it_returns(calls: OffLoop) -> None:
    hanging = Hanging()
    with pytest.raises(TimeoutError):
        await calls.call("disk", hanging, timeout_s=SHORT_S)
    with pytest.raises(StillRunningError, match="disk"):
        await calls.call("disk", hanging, timeout_s=SHORT_S)
    assert hanging.entered.wait(AMPLE_S)
    assert hanging.calls == 1
    assert await calls.call("other", lambda: 5, timeout_s=AMPLE_S) == 5
    hanging.release.set()
    await until_returned(calls)
    assert await calls.call("disk", hanging, timeout_s=AMPLE_S) == "at last"


async def test_hanging_calls_keep_one_thread_each_up_to_a_bound(
    calls: OffLoop, request: pytest.FixtureRequest
) -> None:
    hanging = [Hanging() for _ in range(4)]
    for number, call in enumerate(hanging[:3]):
        with pytest.raises(TimeoutError):
            await calls.call(f"disk {number}", call, timeout_s=SHORT_S)
    with pytest.raises(TooManyRunningError, match="3 calls hang already"):
        await calls.call("disk 3", hanging[3], timeout_s=SHORT_S)
    assert len(threads(request.node.name)) == 3
    assert hanging[3].calls == 0
    for call in hanging:
        call.release.set()
    await until_returned(calls)
    assert await calls.call("disk 3", hanging[3], timeout_s=AMPLE_S) == "at last"


async def test_a_failure_after_the_call_was_given_up_bothers_nobody(calls: OffLoop) -> None:
    release = threading.Event()

    def fail_late() -> None:
        release.wait(AMPLE_S)
        raise OSError("stale")

    with pytest.raises(TimeoutError):
        await calls.call("disk", fail_late, timeout_s=SHORT_S)
    release.set()
    await until_returned(calls)


async def test_a_cancelled_caller_leaves_the_call_to_its_thread(calls: OffLoop) -> None:
    hanging = Hanging()
    caller = asyncio.create_task(calls.call("disk", hanging, timeout_s=AMPLE_S))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert calls.running == {"disk"}
    hanging.release.set()
    await until_returned(calls)


def test_a_call_that_hangs_neither_keeps_the_loop_from_closing_nor_fails_when_it_returns_later() -> None:
    hanging = Hanging()
    calls = OffLoop(thread_name="outlives-its-loop", max_running=1)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await calls.call("disk", hanging, timeout_s=SHORT_S)

    asyncio.run(give_up())
    calls.close()
    (thread,) = threads("outlives-its-loop")
    assert thread.daemon
    hanging.release.set()
    thread.join(AMPLE_S)
    assert not thread.is_alive()


async def test_after_closing_no_thread_is_left() -> None:
    calls = OffLoop(thread_name="ends-when-closed", max_running=1)
    await calls.call("ident", threading.get_ident, timeout_s=AMPLE_S)
    (thread,) = threads("ends-when-closed")
    calls.close()
    thread.join(AMPLE_S)
    assert not thread.is_alive()
