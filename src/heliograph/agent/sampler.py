"""Runs the collectors: the one place where a collector's failure is caught, timed and told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from heliograph.agent.clock import Clock
from heliograph.agent.collectors.collector import Collector, Reading
from heliograph.agent.condition import Condition
from heliograph.agent.configuration import Configuration
from heliograph.agent.text import error_text

SLOW_S = 0.5
"""A collector that takes longer is worth a line in the log; all but disks run in the event loop."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What all collectors found together."""

    fields: dict[str, Any]
    errors: dict[str, str]
    """Collector, or collector and part (`disks /mnt/backup`) → reason."""
    durations_s: dict[str, float]
    """Collector → how long it took."""


class Sampler:
    """Asks every collector whose group is shown, one after another."""

    def __init__(self, collectors: Sequence[Collector], clock: Clock) -> None:
        """*collectors* are asked in their order."""
        self._collectors = collectors
        self._clock = clock
        self._conditions: dict[str, dict[str, Condition]] = {collector.name: {} for collector in collectors}

    async def sample(self, configuration: Configuration) -> Sample:
        """Return the figures *configuration* shows; a collector that fails leaves only its own out."""
        fields: dict[str, Any] = {}
        errors: dict[str, str] = {}
        durations_s: dict[str, float] = {}
        for collector in self._collectors:
            if collector.group is not None and not getattr(configuration, collector.group):
                continue
            began_s = self._clock.monotonic_s()
            reading = await _collect(collector)
            durations_s[collector.name] = self._clock.monotonic_s() - began_s
            fields.update(reading.fields)
            problems = {_filed_under(collector.name, part): why for part, why in reading.errors.items()}
            errors.update(problems)
            self._log_changes(collector.name, problems, durations_s[collector.name])
        return Sample(fields=fields, errors=errors, durations_s=durations_s)

    def _log_changes(self, name: str, problems: dict[str, str], duration_s: float) -> None:
        if duration_s > SLOW_S:
            problems = problems | {f"{name} (duration)": f"takes longer than {SLOW_S} s"}
        conditions = self._conditions[name]
        for subject, why in problems.items():
            conditions.setdefault(subject, Condition(f"collector {subject}")).failed(why)
        for subject in conditions.keys() - problems.keys():
            conditions.pop(subject).succeeded()


async def _collect(collector: Collector) -> Reading:
    try:
        return await collector.collect()
    except Exception as error:  # noqa: BLE001 - one collector hides nothing else: told in the sample and logged
        return Reading(fields={}, errors={collector.name: error_text(error)})


def _filed_under(name: str, part: str) -> str:
    return name if part == name else f"{name} {part}"
