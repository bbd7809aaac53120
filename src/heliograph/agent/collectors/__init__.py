"""One collector a file: *reading* touches psutil, *shaping* is a function of what was read.

A new figure is a new file here and a line in `local_collectors`.
"""

from __future__ import annotations

from heliograph.agent.collectors.collector import Collector
from heliograph.agent.collectors.cpu import CpuCollector
from heliograph.agent.collectors.disks import DisksCollector
from heliograph.agent.collectors.load import LoadCollector
from heliograph.agent.collectors.memory import MemoryCollector
from heliograph.agent.collectors.swap import SwapCollector
from heliograph.agent.collectors.uptime import UptimeCollector
from heliograph.agent.off_loop import OffLoop
from heliograph.agent.options import AgentOptions

__all__ = ["Collector", "local_collectors"]


def local_collectors(options: AgentOptions, disk_calls: OffLoop) -> list[Collector]:
    """Return the collectors of this machine. Disks come last: they alone may take their time."""
    return [
        UptimeCollector(),
        CpuCollector(),
        LoadCollector(),
        MemoryCollector(),
        SwapCollector(),
        DisksCollector(
            disk_calls,
            timeout_s=options.disk_timeout_s,
            round_s=options.disk_round_s,
            max_disks=options.max_disks,
        ),
    ]
