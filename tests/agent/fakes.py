"""A session, a server and a clock that the tests of the agent's loop turn by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from heliograph.agent.agent import Agent
from heliograph.agent.collectors.collector import Group, Reading
from heliograph.agent.errors import AgentError
from heliograph.agent.options import AgentOptions
from heliograph.agent.sampler import Sampler
from heliograph.client.reconnect import Backoff

TURNS_UNTIL_IDLE = 60
"""More turns of the event loop than anything here needs to come to rest: nothing in it does I/O."""


async def until_idle() -> None:
    for _ in range(TURNS_UNTIL_IDLE):
        await asyncio.sleep(0)


class HandClock:
    """Time passes only when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic_s(self) -> float:
        return self.now_s

    def time_s(self) -> float:
        return 1_763_890_000.0 + self.now_s

    async def wait(self, event: asyncio.Event, until_s: float | None) -> bool:
        if event.is_set():
            return True
        if until_s is not None and until_s <= self.now_s:
            return False
        moment: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if until_s is not None:
            self._waiting.append((until_s, moment))
        happening = asyncio.ensure_future(event.wait())
        try:
            either: set[asyncio.Future[Any]] = {moment, happening}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return event.is_set()
        finally:
            moment.cancel()
            happening.cancel()

    async def pass_time(self, seconds: float) -> None:
        """Let *seconds* pass, stopping at every moment somebody waits for."""
        end_s = self.now_s + seconds
        await until_idle()
        while due := [until_s for until_s, moment in self._waiting if not moment.done() and until_s <= end_s]:
            self.now_s = max(self.now_s, min(due))
            self._wake()
            await until_idle()
        self.now_s = end_s
        await until_idle()

    async def jump(self, seconds: float) -> None:
        """Let *seconds* pass at a stroke, as after a suspend."""
        self.now_s += seconds
        self._wake()
        await until_idle()

    def _wake(self) -> None:
        for until_s, moment in self._waiting:
            if until_s <= self.now_s and not moment.done():
                moment.set_result(None)
        self._waiting = [(until_s, moment) for until_s, moment in self._waiting if not moment.done()]


class FakeEvent:
    def __init__(self, *args: Any) -> None:
        self.args = list(args)


class FakeSession:
    """Records what is published, with the moment; lets a test be the router."""

    def __init__(self, clock: HandClock, journal: list[str]) -> None:
        self._clock = clock
        self._journal = journal
        self._on_join: list[Callable[[], None]] = []
        self._handlers: dict[str, Callable[[Any], None]] = {}
        self.published: list[tuple[float, dict[str, Any]]] = []
        self.publish_failure: Exception | None = None
        self.publish_hangs = False
        self.subscribe_failures: list[Exception] = []

    async def publish(self, topic: str, /, *args: Any) -> None:
        if self.publish_hangs:
            await asyncio.get_running_loop().create_future()
        if self.publish_failure is not None:
            raise self.publish_failure
        assert topic == "clientstats"
        (sample,) = args
        self._journal.append("publish")
        self.published.append((self._clock.now_s, sample))

    async def subscribe(self, handler: Callable[[Any], None], topic: str) -> None:
        self._journal.append(f"subscribe {topic}")
        if self.subscribe_failures:
            raise self.subscribe_failures.pop(0)
        self._handlers[topic] = handler

    def on_join(self, callback: Callable[[], None]) -> None:
        self._on_join.append(callback)

    def configure(self, *args: Any) -> None:
        """Be the server that publishes a configuration."""
        self._handlers["clientconfig.web-1"](FakeEvent(*args))

    def join_again(self) -> None:
        for callback in self._on_join:
            callback()


class FakeServer:
    """`POST /clients/`: answers what the test put here."""

    def __init__(self, journal: list[str]) -> None:
        self._journal = journal
        self.answer: Mapping[str, Any] | AgentError = {}
        self.ip: str | AgentError = "192.0.2.7"
        self.fetches = 0
        self.hold: asyncio.Event | None = None

    async def address(self) -> str:
        if isinstance(self.ip, AgentError):
            raise self.ip
        return self.ip

    async def fetch(self, ip: str) -> Mapping[str, Any]:
        self._journal.append(f"fetch {ip}")
        self.fetches += 1
        answer = self.answer
        if self.hold is not None:
            await self.hold.wait()
        if isinstance(answer, AgentError):
            raise answer
        return answer


class FakeCollector:
    """Answers its fields, raises, or first does what the test wants done meanwhile."""

    def __init__(
        self, name: str, fields: dict[str, Any], *, group: Group | None = None, error: Exception | None = None
    ) -> None:
        self.name = name
        self.group: Group | None = group
        self.fields = fields
        self.error = error
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def collect(self) -> Reading:
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.error is not None:
            raise self.error
        return Reading(fields=self.fields)


class Machine:
    """One agent among fakes, not yet started."""

    def __init__(self, **options: Any) -> None:
        self.journal: list[str] = []
        self.clock = HandClock()
        self.session = FakeSession(self.clock, self.journal)
        self.server = FakeServer(self.journal)
        self.collectors = [
            FakeCollector("uptime", {"uptime_s": 5.0}),
            FakeCollector("cpus", {"cpu_percents": [3.0, 5.1]}, group="show_cpus"),
            FakeCollector("memory", {"memory_used_bytes": 1, "memory_total_bytes": 2}, group="show_memory"),
            FakeCollector("disks", {"disk_usages": []}, group="show_disk"),
        ]
        defaults = AgentOptions(
            url="ws://192.0.2.1:8080/ws", clients_url="http://192.0.2.1:8080/clients/", client="web-1"
        )
        self.agent = Agent(
            msgspec.structs.replace(defaults, **options),
            name="web-1.example.org",
            session=self.session,
            sampler=Sampler(self.collectors, self.clock),
            enrolment=self.server,
            clock=self.clock,
            backoff=Backoff(1.0, 60.0, lambda: 1.0),
        )

    @property
    def samples(self) -> list[dict[str, Any]]:
        return [sample for _, sample in self.session.published]

    @property
    def moments(self) -> list[float]:
        """When samples were published, in seconds since the agent started."""
        return [round(moment - 1000.0, 3) for moment, _ in self.session.published]

    async def configure(self, *args: Any) -> None:
        self.session.configure(*args)
        await until_idle()

    async def join_again(self) -> None:
        self.session.join_again()
        await until_idle()
