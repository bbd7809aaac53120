"""Features a client announces in HELLO, as bits: a session keeps one integer, not the dictionary it came from.

Only those are known that the router decides something by.
"""

from collections.abc import Mapping
from typing import Any

PUBLISHER_PASSTHRU = 1 << 0
CALLER_PASSTHRU = 1 << 1
CALLEE_PASSTHRU = 1 << 2
CALLER_PROGRESSIVE_INVOCATIONS = 1 << 3
CALLEE_PROGRESSIVE_INVOCATIONS = 1 << 4
CALLEE_PROGRESSIVE_RESULTS = 1 << 5
CALLEE_CANCELING = 1 << 6
CALLEE_TIMEOUT = 1 << 7
CALLEE_REROUTE = 1 << 8
SUBSCRIBER_REVOCATION = 1 << 9
CALLEE_REVOCATION = 1 << 10

_BITS = {
    "publisher": {"payload_passthru_mode": PUBLISHER_PASSTHRU},
    "caller": {
        "payload_passthru_mode": CALLER_PASSTHRU,
        "progressive_call_invocations": CALLER_PROGRESSIVE_INVOCATIONS,
    },
    "callee": {
        "payload_passthru_mode": CALLEE_PASSTHRU,
        "progressive_call_invocations": CALLEE_PROGRESSIVE_INVOCATIONS,
        "progressive_call_results": CALLEE_PROGRESSIVE_RESULTS,
        "call_canceling": CALLEE_CANCELING,
        # The specification spells it both ways.
        "call_cancelling": CALLEE_CANCELING,
        "call_timeout": CALLEE_TIMEOUT,
        "call_reroute": CALLEE_REROUTE,
        "registration_revocation": CALLEE_REVOCATION,
    },
    "subscriber": {"subscription_revocation": SUBSCRIBER_REVOCATION},
}


def announced(roles: Mapping[str, Any]) -> int:
    """Return the bits of the features that `HELLO.Details.roles` announces."""
    bits = 0
    for role, known in _BITS.items():
        features = roles[role].get("features") if role in roles else None
        if features and isinstance(features, dict):
            for feature, bit in known.items():
                if features.get(feature) is True:
                    bits |= bit
    # "If a *Callee* supports Progressive Call Results, but not Call Canceling, then the *Dealer* disregards the
    # *Callees* Progressive Call Results feature"; for progressive invocations likewise (specification, both sections).
    if not bits & CALLEE_CANCELING:
        bits &= ~(CALLEE_PROGRESSIVE_RESULTS | CALLEE_PROGRESSIVE_INVOCATIONS)
    return bits
