"""The agent's options: what the command line sets, and the limits that are stated once, here."""

from __future__ import annotations

import msgspec

MIN_FREQUENCY_S = 1
MAX_FREQUENCY_S = 3600


class AgentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How one agent runs. Every time is in seconds, every size in bytes."""

    url: str
    """The router's WebSocket, `ws://host:port/ws` or `wss://…`."""
    clients_url: str
    """Where the agent enrols and fetches its configuration, `http(s)://host:port/clients/`."""
    client: str
    """This machine's name in the fleet, `[a-z0-9_-]{1,64}`."""
    realm: str = "realm1"
    min_interval_s: int = MIN_FREQUENCY_S
    """The host's own floor: no configuration makes the agent publish more often."""

    publish_timeout_s: float = 5.0
    first_fetch_patience_s: float = 2.0
    """How long the very first sample waits for a configuration, so that a disabled machine does not flash up."""
    fetch_timeout_s: float = 5.0
    max_configuration_bytes: int = 65_536
    retry_min_s: float = 1.0
    retry_max_s: float = 60.0

    disk_timeout_s: float = 0.25
    """One `disk_usage` call; a slower one counts as hanging until it returns."""
    disk_round_s: float = 1.0
    """All disks of one sample together."""
    max_disks: int = 64
    """How many are read; also the bound of the threads that hanging ones may keep."""
