from __future__ import annotations

import pytest

from heliograph.agent.collectors.cpu import (
    CoreTimes,
    CpuCollector,
    busy_percents,
    read_core_times,
    shape_core_times,
)


@pytest.mark.parametrize(
    ("seconds", "times"),
    [
        ({"user": 3.0, "system": 1.0, "idle": 6.0}, CoreTimes(10.0, 6.0)),
        ({"user": 3.0, "system": 1.0, "idle": 4.0, "iowait": 2.0}, CoreTimes(10.0, 6.0)),
        ({"user": 3.0, "nice": 1.0, "idle": 6.0, "guest": 2.0, "guest_nice": 1.0}, CoreTimes(10.0, 6.0)),
    ],
    ids=["plain", "waiting for a disk is idling", "guest time is counted in user already"],
)
def test_times_by_kind_become_total_and_idle(seconds: dict[str, float], times: CoreTimes) -> None:
    assert shape_core_times({"guest": 0.0, **seconds}) == times


@pytest.mark.parametrize(
    ("before", "after", "percents"),
    [
        ([(10.0, 5.0)], [(20.0, 10.0)], [50.0]),
        ([(10.0, 5.0), (10.0, 5.0)], [(11.0, 6.0), (11.0, 5.0)], [0.0, 100.0]),
        ([(10.0, 5.0)], [(13.0, 7.0)], [33.3]),
        ([(10.0, 5.0)], [(10.0, 5.0)], [0.0]),
        ([(10.0, 5.0)], [(9.0, 4.0)], [0.0]),
        ([(10.0, 5.0)], [(11.0, 4.0)], [100.0]),
        ([(10.0, 5.0)], [(11.0, 7.0)], [0.0]),
        ([], [(11.0, 7.0)], []),
        ([(1.0, 1.0)], [(2.0, 2.0), (2.0, 2.0)], []),
    ],
    ids=[
        "half",
        "idle and full",
        "rounded",
        "no time passed",
        "the clock went backwards",
        "idle time went backwards",
        "more idle than time",
        "nothing to compare with",
        "a core was added",
    ],
)
def test_two_readings_give_percents(
    before: list[tuple[float, float]], after: list[tuple[float, float]], percents: list[float]
) -> None:
    assert (
        busy_percents([CoreTimes(*core) for core in before], [CoreTimes(*core) for core in after]) == percents
    )


class Cores:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.busy_s = 0.0
        self.count = 1

    def pass_time(self, seconds: float, *, busy_s: float) -> None:
        self.now_s += seconds
        self.busy_s += busy_s

    def read(self) -> list[CoreTimes]:
        return [CoreTimes(self.now_s, self.now_s - self.busy_s)] * self.count

    def monotonic_s(self) -> float:
        return self.now_s


@pytest.fixture
def cores() -> Cores:
    return Cores()


@pytest.fixture
def collector(cores: Cores) -> CpuCollector:
    return CpuCollector(cores.read, cores.monotonic_s)


async def test_the_first_reading_claims_nothing_instead_of_zero(collector: CpuCollector) -> None:
    assert (await collector.collect()).fields == {}


async def test_each_reading_covers_the_time_since_the_one_before(
    cores: Cores, collector: CpuCollector
) -> None:
    await collector.collect()
    cores.pass_time(1.0, busy_s=0.25)
    assert (await collector.collect()).fields == {"cpu_percents": [25.0]}
    cores.pass_time(10.0, busy_s=7.5)
    assert (await collector.collect()).fields == {"cpu_percents": [75.0]}


async def test_a_reading_right_after_another_repeats_it_and_loses_no_time(
    cores: Cores, collector: CpuCollector
) -> None:
    await collector.collect()
    cores.pass_time(1.0, busy_s=0.25)
    await collector.collect()
    cores.pass_time(0.01, busy_s=0.01)
    assert (await collector.collect()).fields == {"cpu_percents": [25.0]}
    cores.pass_time(0.99, busy_s=0.74)
    assert (await collector.collect()).fields == {"cpu_percents": [75.0]}


async def test_when_cores_come_or_go_one_sample_is_without(cores: Cores, collector: CpuCollector) -> None:
    await collector.collect()
    cores.pass_time(1.0, busy_s=0.0)
    await collector.collect()
    cores.count = 2
    cores.pass_time(1.0, busy_s=0.5)
    assert (await collector.collect()).fields == {}
    cores.pass_time(1.0, busy_s=0.5)
    assert (await collector.collect()).fields == {"cpu_percents": [50.0, 50.0]}


def test_this_machines_cores_can_be_read() -> None:
    cores = read_core_times()
    assert cores
    assert all(core.total_s >= core.idle_s > 0 for core in cores)
