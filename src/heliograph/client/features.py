"""What the client announces in HELLO: exactly what works."""

from typing import Any


def _features(*names: str) -> dict[str, Any]:
    return {"features": dict.fromkeys(names, True)}


ROLES: dict[str, Any] = {
    "publisher": _features(
        "publisher_exclusion",
        "publisher_identification",
        "subscriber_blackwhite_listing",
    ),
    "subscriber": _features(
        "pattern_based_subscription",
        "publisher_identification",
        "publication_trustlevels",
        "subscription_revocation",
    ),
    "caller": _features(
        "caller_identification",
        "call_canceling",
        "progressive_call_results",
        "progressive_call_invocations",
    ),
    "callee": _features(
        "caller_identification",
        "call_canceling",
        "call_trustlevels",
        "pattern_based_registration",
        "progressive_call_results",
        "progressive_call_invocations",
        "registration_revocation",
        "shared_registration",
    ),
}
"""`HELLO.Details.roles`: each role and its features."""


def has_announced(roles: dict[str, Any], role: str, *names: str) -> bool:
    """Return whether `WELCOME.Details.roles` announces one of the features `names` for `role`."""
    entry = roles.get(role)
    features = entry.get("features") if isinstance(entry, dict) else None
    return isinstance(features, dict) and any(features.get(name) is True for name in names)
