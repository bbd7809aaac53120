"""How long the machine has been up."""

from __future__ import annotations

import time

import psutil

from heliograph.agent.collectors.collector import Group, Reading


class UptimeCollector:
    """Seconds since boot; always sent."""

    name = "uptime"
    group: Group | None = None

    async def collect(self) -> Reading:
        """Read when the machine was booted."""
        return shape_uptime(boot_time_s=psutil.boot_time(), time_s=time.time())


def shape_uptime(*, boot_time_s: float, time_s: float) -> Reading:
    """Return seconds since boot; a wall clock set back gives 0, not a negative time."""
    return Reading(fields={"uptime_s": round(max(0.0, time_s - boot_time_s), 1)})
