"""The small collectors: what they make of numbers, and that this machine's can be read."""

from __future__ import annotations

import psutil
import pytest

from heliograph.agent.collectors.collector import Reading
from heliograph.agent.collectors.load import LoadCollector, shape_load
from heliograph.agent.collectors.memory import MemoryCollector, shape_memory
from heliograph.agent.collectors.swap import SwapCollector, shape_swap
from heliograph.agent.collectors.uptime import UptimeCollector, shape_uptime


@pytest.mark.parametrize(
    ("reading", "fields"),
    [
        (shape_load((0.1, 0.123456, 12.0)), {"load_averages": [0.1, 0.12, 12.0]}),
        (
            shape_memory(used_bytes=2**40, total_bytes=2**41),
            {"memory_used_bytes": 2**40, "memory_total_bytes": 2**41},
        ),
        (shape_swap(used_bytes=0, total_bytes=0), {"swap_used_bytes": 0, "swap_total_bytes": 0}),
        (shape_uptime(boot_time_s=1000.0, time_s=87400.54), {"uptime_s": 86400.5}),
        (shape_uptime(boot_time_s=1000.0, time_s=999.0), {"uptime_s": 0.0}),
    ],
)
def test_numbers_become_fields(reading: Reading, fields: dict[str, object]) -> None:
    assert reading == Reading(fields=fields)


async def test_this_machines_memory_is_what_psutil_says() -> None:
    fields = (await MemoryCollector().collect()).fields
    assert fields["memory_total_bytes"] == psutil.virtual_memory().total
    assert 0 < fields["memory_used_bytes"] <= fields["memory_total_bytes"]


async def test_this_machines_swap_load_and_uptime_can_be_read() -> None:
    swap = (await SwapCollector().collect()).fields
    assert 0 <= swap["swap_used_bytes"] <= swap["swap_total_bytes"]
    load = (await LoadCollector().collect()).fields["load_averages"]
    assert len(load) == 3
    assert min(load) >= 0
    assert (await UptimeCollector().collect()).fields["uptime_s"] > 0
