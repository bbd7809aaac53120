"""Load averages over 1, 5 and 15 minutes."""

from __future__ import annotations

from collections.abc import Sequence

import psutil

from heliograph.agent.collectors.collector import Group, Reading


class LoadCollector:
    """Load averages."""

    name = "load"
    group: Group | None = "show_cpus"

    async def collect(self) -> Reading:
        """Read the three averages."""
        return shape_load(psutil.getloadavg())


def shape_load(averages: Sequence[float]) -> Reading:
    """Return the averages over 1, 5 and 15 minutes as fields of the sample."""
    return Reading(fields={"load_averages": [round(average, 2) for average in averages]})
