"""The agent as a process: its parts put together, connected, and ended by a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from types import FrameType

from heliograph.agent.agent import Agent
from heliograph.agent.clock import SystemClock
from heliograph.agent.collectors import local_collectors
from heliograph.agent.configuration import Configuration
from heliograph.agent.enrolment import HttpEnrolment
from heliograph.agent.errors import AgentError
from heliograph.agent.identity import read_host_name
from heliograph.agent.off_loop import OffLoop
from heliograph.agent.options import AgentOptions
from heliograph.agent.sampler import Sampler
from heliograph.client import connect
from heliograph.client.errors import HeliographError
from heliograph.client.reconnect import Backoff, system_random
from heliograph.client.session import Session

logger = logging.getLogger("heliograph.agent")


def run_until_signal(options: AgentOptions) -> str | None:
    """Run an agent in an event loop of its own; return `None` after a signal, else what stopped it for good."""
    try:
        asyncio.run(_serve(options))
    except (HeliographError, AgentError) as error:
        return str(error)
    return None


async def run_agent(options: AgentOptions) -> None:
    """Connect and run one agent until cancelled.

    Raises `HeliographError` when the router refuses it for good, `AgentError` when an option cannot be used.
    """
    connecting = _connecting(options)
    clock = SystemClock()
    # One thread more than disks: the list of disks must be had even when every one of them hangs.
    disk_calls = OffLoop(thread_name="heliograph-disks", max_running=options.max_disks + 1)
    server_calls = OffLoop(thread_name="heliograph-enrolment", max_running=2)
    sampler = Sampler(local_collectors(options, disk_calls), clock)
    try:
        # CPU figures are differences: the first reading is nobody's sample.
        await sampler.sample(Configuration())
        logger.info("agent %s connects to %s, realm %s", options.client, options.url, options.realm)
        async with connecting as session:
            agent = Agent(
                options,
                name=read_host_name(),
                session=session,
                sampler=sampler,
                enrolment=HttpEnrolment(options, server_calls),
                clock=clock,
                backoff=Backoff(options.retry_min_s, options.retry_max_s, system_random),
            )
            await agent.run()
    finally:
        disk_calls.close()
        server_calls.close()


def _connecting(options: AgentOptions) -> AbstractAsyncContextManager[Session]:
    try:
        return connect(options.url, realm=options.realm, retry_first=True)
    except ValueError as error:
        raise AgentError(str(error)) from error


async def _serve(options: AgentOptions) -> None:
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(run_agent(options))

    def stop() -> None:
        loop.call_soon_threadsafe(work.cancel)

    with _signals_calling(stop):
        await asyncio.wait({work})
    if not work.cancelled():
        work.result()


@contextmanager
def _signals_calling(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first SIGTERM or SIGINT call *stop*; a second one ends the process at once.

    Not `loop.add_signal_handler`: Windows has none.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def on_signal(number: int, _frame: FrameType | None) -> None:
        logger.info("%s: stopping", signal.Signals(number).name)
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        stop()

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
