"""Swap space: apart from memory, because it cannot be read in every container."""

from __future__ import annotations

import psutil

from heliograph.agent.collectors.collector import Group, Reading


class SwapCollector:
    """Swap space."""

    name = "swap"
    group: Group | None = "show_memory"

    async def collect(self) -> Reading:
        """Read how much there is, and how much is in use."""
        swap = psutil.swap_memory()
        return shape_swap(used_bytes=swap.used, total_bytes=swap.total)


def shape_swap(*, used_bytes: int, total_bytes: int) -> Reading:
    """Return swap as fields of the sample; a machine without any says 0 of 0."""
    return Reading(fields={"swap_used_bytes": used_bytes, "swap_total_bytes": total_bytes})
