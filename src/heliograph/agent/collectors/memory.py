"""Physical memory."""

from __future__ import annotations

import psutil

from heliograph.agent.collectors.collector import Group, Reading


class MemoryCollector:
    """Physical memory."""

    name = "memory"
    group: Group | None = "show_memory"

    async def collect(self) -> Reading:
        """Read how much there is, and how much is in use."""
        memory = psutil.virtual_memory()
        return shape_memory(used_bytes=memory.used, total_bytes=memory.total)


def shape_memory(*, used_bytes: int, total_bytes: int) -> Reading:
    """Return memory as fields of the sample."""
    return Reading(fields={"memory_used_bytes": used_bytes, "memory_total_bytes": total_bytes})
