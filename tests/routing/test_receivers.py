"""Black- and white-lists of a publication, each alone and all together."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.routing.options import PermissionRule, RoleOptions
from heliograph.wamp.messages import Event
from tests.support.recording import EVERYTHING, Bench, SessionPair, publish

TOPIC = "com.example.t"
ROLES = [
    RoleOptions(name=name, permissions=[PermissionRule(uri="", match="prefix", allow=EVERYTHING)])
    for name in ("staff", "boss")
]
# Who subscribes: authid and role; the publisher is the first.
PEOPLE = [("ann", "staff"), ("bob", "staff"), ("cleo", "boss"), ("bob", "boss")]


class Room:
    """Everybody subscribes, the first one publishes."""

    def __init__(self, match: str = "exact") -> None:
        self.bench = Bench(ROLES)
        self.pairs: list[SessionPair] = [self.bench.join_as(authid, role) for authid, role in PEOPLE]
        for pair in self.pairs:
            pair.subscribe(TOPIC, match=match)
        self.ids = [pair.session.id for pair in self.pairs]

    def receivers(self, **options: Any) -> set[int]:
        """Return the numbers of those who receive; lists of sessions are given as numbers, too."""
        for name in ("exclude", "eligible"):
            if name in options:
                options[name] = [self.ids[number] if number < 4 else 999_999 for number in options[name]]
        self.pairs[0].session.receive(publish(1, TOPIC, **options))
        heard = [pair.hears() for pair in self.pairs]
        assert all(isinstance(message, Event) for messages in heard for message in messages)
        assert all(len(messages) <= 1 for messages in heard)
        return {number for number, messages in enumerate(heard) if messages}


# The publisher is number 0 and hears itself only where exclude_me is off.
CASES: list[tuple[dict[str, Any], set[int]]] = [
    ({}, {1, 2, 3}),
    ({"exclude_me": False}, {0, 1, 2, 3}),
    ({"exclude": [1]}, {2, 3}),
    ({"exclude": [0]}, {1, 2, 3}),
    ({"exclude": []}, {1, 2, 3}),
    ({"exclude": [4]}, {1, 2, 3}),
    ({"exclude": [1, 2, 3]}, set()),
    ({"exclude_authid": ["bob"]}, {2}),
    ({"exclude_authid": []}, {1, 2, 3}),
    ({"exclude_authid": ["nobody"]}, {1, 2, 3}),
    ({"exclude_authrole": ["boss"]}, {1}),
    ({"exclude_authrole": ["boss", "staff"]}, set()),
    ({"exclude_authrole": []}, {1, 2, 3}),
    ({"eligible": [1, 2]}, {1, 2}),
    ({"eligible": []}, set()),
    ({"eligible": [4]}, set()),
    ({"eligible_authid": ["bob"]}, {1, 3}),
    ({"eligible_authid": []}, set()),
    ({"eligible_authrole": ["boss"]}, {2, 3}),
    ({"eligible_authrole": []}, set()),
    # No list overrides exclude_me.
    ({"eligible": [0, 1]}, {1}),
    ({"eligible_authid": ["ann"]}, set()),
    ({"eligible_authrole": ["staff"]}, {1}),
    ({"eligible": [0, 1], "exclude_me": False}, {0, 1}),
    ({"exclude": [0], "exclude_me": False}, {1, 2, 3}),
    # Together they all count.
    ({"eligible": [1, 2, 3], "exclude": [1]}, {2, 3}),
    ({"eligible": [1], "exclude": [1]}, set()),
    ({"eligible_authid": ["bob"], "eligible_authrole": ["boss"]}, {3}),
    ({"eligible_authid": ["bob"], "exclude_authrole": ["boss"]}, {1}),
    ({"eligible": [2], "eligible_authid": ["bob"]}, set()),
    ({"eligible": [1, 2, 3], "eligible_authrole": []}, set()),
    ({"exclude": [1], "exclude_authid": ["cleo"], "exclude_authrole": ["nobody"]}, {3}),
]


@pytest.mark.parametrize("match", ["exact", "prefix"])
@pytest.mark.parametrize(("options", "receivers"), CASES, ids=[str(options) for options, _ in CASES])
def test_lists_decide_who_receives(match: str, options: dict[str, Any], receivers: set[int]) -> None:
    assert Room(match).receivers(**options) == receivers


def subsets(items: list[Any]) -> st.SearchStrategy[list[Any] | None]:
    return st.one_of(st.none(), st.lists(st.sampled_from(items), unique=True))


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "eligible": subsets([0, 1, 2, 3, 4]),
            "eligible_authid": subsets(["ann", "bob", "cleo", "nobody"]),
            "eligible_authrole": subsets(["staff", "boss", "nobody"]),
            "exclude": subsets([0, 1, 2, 3, 4]),
            "exclude_authid": subsets(["ann", "bob", "cleo", "nobody"]),
            "exclude_authrole": subsets(["staff", "boss", "nobody"]),
        }
    ),
    st.booleans(),
)
def test_the_six_statements_of_the_specification_decide(
    lists: dict[str, list[Any] | None], exclude_me: bool
) -> None:
    present = {name: named for name, named in lists.items() if named is not None}
    expected = set()
    for number, (authid, authrole) in enumerate(PEOPLE):
        attributes = {"": number, "_authid": authid, "_authrole": authrole}
        admitted = all(
            (attributes[suffix] in present[kind + suffix]) == (kind == "eligible")
            for kind, suffix in product(("eligible", "exclude"), attributes)
            if kind + suffix in present
        )
        if admitted and not (exclude_me and number == 0):
            expected.add(number)
    assert Room().receivers(exclude_me=exclude_me, **present) == expected


def test_lists_are_honoured_whoever_joins_later() -> None:
    room = Room()
    late = room.bench.join_as("cleo", "staff")
    late.subscribe(TOPIC)
    assert room.receivers(eligible_authid=["cleo"]) == {2}
    assert [type(message) for message in late.hears()] == [Event]


def test_an_event_nobody_may_receive_is_still_published() -> None:
    room = Room()
    room.receivers(eligible=[])
    counters = room.bench.router.counters
    assert (counters.publications, counters.events) == (1, 0)
