"""What a collector is."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec

Group = Literal["show_cpus", "show_memory", "show_disk"]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one collector found: fields of the sample, and what of its work failed (part → reason)."""

    fields: dict[str, Any]
    errors: dict[str, str] = {}


class Collector(Protocol):
    """Reads one kind of figure."""

    @property
    def name(self) -> str:
        """What its errors are filed under."""
        ...

    @property
    def group(self) -> Group | None:
        """The setting that shows it; `None` for a figure that is always sent."""
        ...

    async def collect(self) -> Reading:
        """Read now. May raise anything: one collector's failure is caught in one place, the sampler."""
        ...
