"""The features of HELLO, as the bits a session keeps of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.wamp import features
from heliograph.wamp.features import announced

CANCELING = features.CALLEE_CANCELING

KNOWN = {
    ("publisher", "payload_passthru_mode"): features.PUBLISHER_PASSTHRU,
    ("caller", "payload_passthru_mode"): features.CALLER_PASSTHRU,
    ("callee", "payload_passthru_mode"): features.CALLEE_PASSTHRU,
    ("caller", "progressive_call_invocations"): features.CALLER_PROGRESSIVE_INVOCATIONS,
    ("callee", "call_canceling"): CANCELING,
    ("callee", "call_timeout"): features.CALLEE_TIMEOUT,
    ("callee", "call_reroute"): features.CALLEE_REROUTE,
    ("callee", "registration_revocation"): features.CALLEE_REVOCATION,
    ("subscriber", "subscription_revocation"): features.SUBSCRIBER_REVOCATION,
}


def roles(*named: tuple[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for role, feature in named:
        found.setdefault(role, {"features": {}})["features"][feature] = True
    return found


@pytest.mark.parametrize("named", KNOWN, ids=" ".join)
def test_each_is_known_by_its_role_and_name(named: tuple[str, str]) -> None:
    assert announced(roles(named)) == KNOWN[named]


def test_no_two_share_a_bit() -> None:
    assert len(set(KNOWN.values())) == len(KNOWN)
    everything = announced(roles(*KNOWN))
    assert everything == sum(KNOWN.values())


@pytest.mark.parametrize("role", ["publisher", "subscriber", "caller"])
def test_a_feature_counts_only_for_the_role_that_announces_it(role: str) -> None:
    assert announced(roles((role, "call_canceling"), (role, "call_reroute"))) == 0


@pytest.mark.parametrize("spelling", ["call_canceling", "call_cancelling"])
def test_canceling_is_known_in_both_spellings_of_the_specification(spelling: str) -> None:
    assert announced(roles(("callee", spelling))) == CANCELING


@pytest.mark.parametrize(
    ("feature", "bit"),
    [
        ("progressive_call_results", features.CALLEE_PROGRESSIVE_RESULTS),
        ("progressive_call_invocations", features.CALLEE_PROGRESSIVE_INVOCATIONS),
    ],
)
def test_a_callee_that_cannot_be_canceled_is_not_progressive(feature: str, bit: int) -> None:
    assert announced(roles(("callee", feature))) == 0
    assert announced(roles(("callee", feature), ("callee", "call_canceling"))) == bit | CANCELING
    # The caller's own announcement is another matter.
    assert announced(roles(("callee", feature), ("caller", "call_canceling"))) == 0


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"callee": {}},
        {"callee": {"features": {}}},
        {"callee": {"features": {"call_canceling": False}}},
        {"callee": {"features": {"call_canceling": 1}}},
        {"callee": {"features": {"call_canceling": "true"}}},
        {"callee": {"features": {"call_canceling": None}}},
        {"callee": {"features": ["call_canceling"]}},
        {"callee": {"features": "call_canceling"}},
        {"callee": {"features": None}},
        {"callee": {"call_canceling": True}},
        {"callee": {"features": {"x_own": True}}},
    ],
    ids=str,
)
def test_everything_else_announces_nothing(said: dict[str, Any]) -> None:
    assert announced(said) == 0


@given(
    st.dictionaries(
        st.sampled_from(["publisher", "subscriber", "caller", "callee"]),
        st.dictionaries(
            st.sampled_from(["features", "other"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("call_reroute"), inner),
                max_leaves=5,
            ),
        ),
    )
)
def test_whatever_stands_in_a_role_is_read_without_a_fault(said: dict[str, Any]) -> None:
    assert announced(said) >= 0
