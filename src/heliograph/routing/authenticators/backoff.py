"""Who fails to authenticate too often waits; others do not notice."""

from __future__ import annotations

import ipaddress

from msgspec import Struct

from heliograph.auth.facts import ConnectionFacts
from heliograph.auth.options import BackoffOptions
from heliograph.routing.peer import Clock

ADDRESSES_LIMIT = 10_000
"""Addresses that are remembered; the one that failed longest ago makes room."""

LONGEST_DOUBLINGS = 5


class _Record(Struct):
    """What one address did.

    Attributes:
        since_s: when the window began.
        failures: within it, by the hash of the authid that was claimed.
        refusals: how often it was refused for a while.
        refused_until_s: when the last of these ends.
    """

    since_s: float
    failures: dict[int, int] = {}
    refusals: int = 0
    refused_until_s: float = 0.0


class Backoff:
    """Remembers the failures of addresses.

    Args:
        options: how many are too many.
        clock: tells how much time has passed, whatever the date is set to.
    """

    def __init__(self, options: BackoffOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._records: dict[str, _Record] = {}

    def refused_for_s(self, facts: ConnectionFacts) -> float:
        """Return how many seconds an applicant from there still has to wait, 0.0 if none."""
        record = self._records.get(self._key(facts) or "")
        return 0.0 if record is None else max(0.0, record.refused_until_s - self._clock.monotonic_s())

    def failed(self, facts: ConnectionFacts, authid: str | None) -> None:
        """Take note that somebody there has not proven to be `authid`."""
        key = self._key(facts)
        if key is None:
            return
        now = self._clock.monotonic_s()
        record = self._records.pop(key, None) or _Record(now)
        if len(self._records) >= ADDRESSES_LIMIT:
            del self._records[next(iter(self._records))]
        # The dictionary's order is that of the last failures.
        self._records[key] = record
        if now - record.since_s > self._options.window_s:
            if now - record.refused_until_s > self._options.window_s:
                record.refusals = 0
            record.since_s, record.failures = now, {}
        # An authid may be as long as a message, so its hash stands for it.
        claimed = hash(authid)
        record.failures[claimed] = record.failures.get(claimed, 0) + 1
        if sum(record.failures.values()) >= self._options.max_failures:
            factor: int = 2 ** min(record.refusals, LONGEST_DOUBLINGS)
            record.refused_until_s = now + self._options.refusal_s * factor
            record.refusals += 1
            record.since_s, record.failures = record.refused_until_s, {}

    def succeeded(self, facts: ConnectionFacts, authid: str) -> None:
        """Forget the failures of somebody who has proven to be `authid`, after all.

        Those of others count on: whoever has a name of their own must not guess at theirs for ever.
        """
        record = self._records.get(self._key(facts) or "")
        if record is not None:
            record.failures.pop(hash(authid), None)

    def _key(self, facts: ConnectionFacts) -> str | None:
        """Return what the failures of `facts` are counted under, None where they are not."""
        if not self._options.max_failures or facts.address is None:
            return None
        if facts.is_local and not self._options.local:
            return None
        if ":" not in facts.address:
            return facts.address
        # Whoever has one address of IPv6 has 2^64 of them.
        return str(ipaddress.IPv6Network((facts.address, 64), strict=False).network_address)
