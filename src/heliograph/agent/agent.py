"""The agent's loop: join, enrol, sample, publish, and obey each configuration at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import heliograph
from heliograph.agent.clock import Clock
from heliograph.agent.condition import Condition
from heliograph.agent.configuration import Configuration
from heliograph.agent.enrolment import Enrolment
from heliograph.agent.errors import AgentError
from heliograph.agent.options import AgentOptions
from heliograph.agent.sampler import Sample, Sampler
from heliograph.agent.schedule import Schedule
from heliograph.agent.session import Event, Session
from heliograph.agent.text import error_text
from heliograph.client.errors import ConnectionLost, RequestTimeout
from heliograph.client.reconnect import Backoff

STATISTICS_TOPIC = "clientstats"
CONFIGURATION_TOPIC_PREFIX = "clientconfig."

logger = logging.getLogger("heliograph.agent")


class Agent:
    """One machine's agent on one session.

    Two tasks share `configuration`: one enrols after each join until it succeeds, the other publishes. Handlers of the
    session only change state and set an event; they run in the same loop, between the tasks' awaits.
    """

    def __init__(
        self,
        options: AgentOptions,
        *,
        name: str,
        session: Session,
        sampler: Sampler,
        enrolment: Enrolment,
        clock: Clock,
        backoff: Backoff,
    ) -> None:
        """*name* is the host name shown to people; *session* has joined already."""
        self._options = options
        self._name = name
        self._session = session
        self._sampler = sampler
        self._enrolment = enrolment
        self._clock = clock
        self._backoff = backoff

        self._configuration = Configuration()
        self._ip: str | None = None
        self._sequence = 0
        self._configurations_received = 0
        self._deleted = False
        self._enrolment_due = asyncio.Event()
        self._first_attempt_over = asyncio.Event()
        self._hurry = asyncio.Event()

        self._enrolling = Condition(f"enrolment at {options.clients_url}")
        self._addressing = Condition("this machine's address")
        self._listening = Condition("listening for configurations")
        self._publishing = Condition("publishing")
        self._obeying = Condition("configuration")

    @property
    def configuration(self) -> Configuration:
        """What the agent obeys now."""
        return self._configuration

    async def run(self) -> None:
        """Work until cancelled. Raises `ApplicationError` when the router refuses the subscription."""
        self._session.on_join(self._on_join)
        # Subscribed before anything is fetched: what changes in between is heard.
        while not await self._subscribed():
            continue
        self._enrolment_due.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._enrol_after_each_join())
            tasks.create_task(self._publish_on_schedule())

    async def _subscribed(self) -> bool:
        """Subscribe to the configuration; whether it worked, or the router went away and comes back."""
        topic = CONFIGURATION_TOPIC_PREFIX + self._options.client
        try:
            await self._session.subscribe(self._on_configuration, topic)
        except (ConnectionLost, RequestTimeout) as error:
            # Not in a tight loop: the session has waited its own time for the router before it raised this.
            self._listening.failed(error_text(error))
            return False
        self._listening.succeeded()
        return True

    # From the session.

    def _on_join(self) -> None:
        self._deleted = False
        self._enrolment_due.set()
        self._hurry.set()

    def _on_configuration(self, event: Event) -> None:
        new = event.args[0] if event.args else None
        if not isinstance(new, Mapping):
            self._obeying.failed("an event without a configuration object as its first argument was ignored")
            return
        self._configurations_received += 1
        self._deleted = new.get("deleted") is True
        self._obey(new)
        self._first_attempt_over.set()

    def _obey(self, new: Mapping[str, Any]) -> None:
        obeyed = self._configuration.obey(new)
        if obeyed.refusals:
            self._obeying.failed("; ".join(f"{key} {reason}" for key, reason in obeyed.refusals.items()))
        else:
            self._obeying.succeeded()
        if obeyed.configuration != self._configuration:
            self._configuration = obeyed.configuration
            self._hurry.set()
            logger.info("obeying %s, a sample every %d s", obeyed.configuration, self._interval_s())

    # Enrolment.

    async def _enrol_after_each_join(self) -> None:
        while True:
            await self._enrolment_due.wait()
            self._enrolment_due.clear()
            self._backoff.reset()
            while not await self._enrol():
                retry_s = self._clock.monotonic_s() + self._backoff.next()
                if await self._clock.wait(self._enrolment_due, retry_s) or self._deleted:
                    # Joined anew, which starts over; or deleted: asking again would create the machine again.
                    break

    async def _enrol(self) -> bool:
        """Ask for the configuration once; obey it unless a newer one arrived as an event meanwhile."""
        received_before = self._configurations_received
        try:
            ip = await self._look_up_address()
            fetched = await self._enrolment.fetch(ip)
        except (AgentError, OSError) as error:
            self._enrolling.failed(error_text(error))
            return False
        finally:
            self._first_attempt_over.set()
        self._enrolling.succeeded()
        if self._configurations_received == received_before:
            self._obey(fetched)
        return True

    async def _look_up_address(self) -> str:
        """Return the current address towards the router, or the last one known; raises when there never was one."""
        try:
            self._ip = await self._enrolment.address()
        except (AgentError, OSError) as error:
            self._addressing.failed(error_text(error))
            if self._ip is None:
                raise
        else:
            self._addressing.succeeded()
        return self._ip

    # Samples.

    async def _publish_on_schedule(self) -> None:
        patience_s = self._clock.monotonic_s() + self._options.first_fetch_patience_s
        await self._clock.wait(self._first_attempt_over, patience_s)
        schedule = Schedule(self._clock.monotonic_s())
        self._hurry.clear()
        while True:
            due_s = None if self._configuration.disabled else schedule.due_s
            if await self._clock.wait(self._hurry, due_s):
                self._hurry.clear()
                now_s = self._clock.monotonic_s()
                schedule.hasten(now_s)
                if self._configuration.disabled or schedule.due_s > now_s:
                    continue
            await self._publish_sample()
            schedule.sampled(self._clock.monotonic_s(), self._interval_s())

    async def _publish_sample(self) -> None:
        configuration = self._configuration
        sample = await self._sampler.sample(configuration)
        if configuration != self._configuration:
            # It may hold what must no longer be shown; the change has ordered another one.
            return
        self._sequence += 1
        try:
            async with asyncio.timeout(self._options.publish_timeout_s):
                await self._session.publish(STATISTICS_TOPIC, self._payload(sample))
        except Exception as error:  # noqa: BLE001 - whatever the session raises, the next sample is tried; logged
            self._publishing.failed(error_text(error))
        else:
            self._publishing.succeeded()

    def _interval_s(self) -> int:
        return self._configuration.interval_s(self._options.min_interval_s)

    def _payload(self, sample: Sample) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "client": self._options.client,
            "name": self._name,
            "version": heliograph.__version__,
            "sequence": self._sequence,
            "time_s": round(self._clock.time_s(), 3),
            "interval_s": self._interval_s(),
            **sample.fields,
        }
        if self._ip is not None:
            payload["ip"] = self._ip
        if sample.errors:
            payload["errors"] = sample.errors
        return payload
