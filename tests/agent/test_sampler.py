from __future__ import annotations

import logging

import pytest

from heliograph.agent.collectors.collector import Group, Reading
from heliograph.agent.configuration import Configuration
from heliograph.agent.sampler import Sampler
from tests.agent.fakes import FakeCollector, HandClock

ALL = Configuration()


class PartlyFailing:
    name = "disks"
    group: Group | None = "show_disk"

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}

    async def collect(self) -> Reading:
        return Reading(fields={"disk_usages": ["/"]}, errors=self.errors)


async def test_the_fields_of_all_collectors_come_together() -> None:
    sampler = Sampler([FakeCollector("a", {"x": 1}), FakeCollector("b", {"y": 2, "z": 3})], HandClock())
    sample = await sampler.sample(ALL)
    assert sample.fields == {"x": 1, "y": 2, "z": 3}
    assert sample.errors == {}


@pytest.mark.parametrize("group", ["show_cpus", "show_memory", "show_disk"])
async def test_a_collector_of_a_hidden_group_is_not_even_asked(group: Group) -> None:
    hidden = FakeCollector("hidden", {"x": 1}, group=group, error=AssertionError("asked"))
    sampler = Sampler([hidden, FakeCollector("always", {"y": 2})], HandClock())
    sample = await sampler.sample(Configuration(**{group: False}))
    assert (sample.fields, sample.errors) == ({"y": 2}, {})
    assert (await sampler.sample(ALL)).errors == {"hidden": "AssertionError: asked"}


async def test_failures_are_filed_under_the_collector_and_its_part() -> None:
    partly = PartlyFailing()
    partly.errors = {"/mnt/usb": "OSError: gone", "disks": "70 disks are mounted"}
    sampler = Sampler([FakeCollector("memory", {}, error=RuntimeError("no")), partly], HandClock())
    sample = await sampler.sample(ALL)
    assert sample.fields == {"disk_usages": ["/"]}
    assert sample.errors == {
        "memory": "RuntimeError: no",
        "disks /mnt/usb": "OSError: gone",
        "disks": "70 disks are mounted",
    }


async def test_a_failure_is_logged_when_it_begins_and_ends_not_with_each_sample(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="heliograph.agent")
    partly = PartlyFailing()
    sampler = Sampler([partly], HandClock())
    for errors in (
        {"/a": "gone"},
        {"/a": "gone"},
        {"/a": "gone", "/b": "gone"},
        {"/b": "gone"},
        {"/b": "gone"},
    ):
        partly.errors = errors
        await sampler.sample(ALL)
    assert [record.message for record in caplog.records] == [
        "collector disks /a: gone",
        "collector disks /b: gone",
        "collector disks /a: well again",
    ]


async def test_each_collector_is_timed_and_a_slow_one_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = HandClock()
    slow = FakeCollector("slow", {"x": 1})

    async def take_a_while() -> None:
        clock.now_s += 0.6

    slow.meanwhile = take_a_while
    sampler = Sampler([slow, FakeCollector("quick", {})], clock)
    for _ in range(3):
        sample = await sampler.sample(ALL)
    assert sample.durations_s == {"slow": pytest.approx(0.6), "quick": 0.0}
    assert sample.errors == {}
    assert [record.message for record in caplog.records] == [
        "collector slow (duration): takes longer than 0.5 s"
    ]
