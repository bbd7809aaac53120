"""How busy each core was since the sample before.

psutil's own `cpu_percent` keeps the previous reading per thread and answers 0.0 the first time; here the previous
reading is the collector's own, the arithmetic is a function of two readings, and the first call, which has nothing
to compare with, answers nothing at all (the agent makes it before it connects).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
import psutil

from heliograph.agent.collectors.collector import Group, Reading

SHORTEST_SPAN_S = 0.09
"""Kernels count in ticks of 4 to 16 ms: over a shorter span the result would be noise."""


class CoreTimes(msgspec.Struct, frozen=True):
    """Seconds since boot of one core."""

    total_s: float
    idle_s: float


class CpuCollector:
    """Percent per core, over the span between two calls."""

    name = "cpus"
    group: Group | None = "show_cpus"

    def __init__(
        self,
        read: Callable[[], list[CoreTimes]] | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """*read* returns the cores' times, by default this machine's."""
        self._read = read or read_core_times
        self._monotonic_s = monotonic_s
        self._before: list[CoreTimes] = []
        self._before_s = 0.0
        self._percents: list[float] = []

    async def collect(self) -> Reading:
        """Read the cores' times and compare them with the ones before."""
        after, after_s = self._read(), self._monotonic_s()
        if not self._percents or after_s - self._before_s >= SHORTEST_SPAN_S:
            self._percents = busy_percents(self._before, after)
            self._before, self._before_s = after, after_s
        return Reading(fields={"cpu_percents": self._percents} if self._percents else {})


def read_core_times() -> list[CoreTimes]:
    """Read this machine's cores."""
    return [shape_core_times(core._asdict()) for core in psutil.cpu_times(percpu=True)]


def shape_core_times(seconds: Mapping[str, float]) -> CoreTimes:
    """Return total and idle time of one core from its times by kind.

    Linux counts guest time in `user` too; waiting for a disk is idling, as `top` has it.
    """
    counted_twice_s = seconds.get("guest", 0.0) + seconds.get("guest_nice", 0.0)
    return CoreTimes(
        total_s=sum(seconds.values()) - counted_twice_s,
        idle_s=seconds["idle"] + seconds.get("iowait", 0.0),
    )


def busy_percents(before: Sequence[CoreTimes], after: Sequence[CoreTimes]) -> list[float]:
    """Return how busy each core was between two readings, 0.0 to 100.0; nothing when cores came or went."""
    if len(before) != len(after):
        return []
    return [_busy_percent(earlier, later) for earlier, later in zip(before, after, strict=True)]


def _busy_percent(before: CoreTimes, after: CoreTimes) -> float:
    total_s = after.total_s - before.total_s
    if total_s <= 0:
        return 0.0
    # Some kernels let iowait run backwards.
    idle_s = min(max(after.idle_s - before.idle_s, 0.0), total_s)
    return round(100.0 * (total_s - idle_s) / total_s, 1)
