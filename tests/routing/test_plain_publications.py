"""Plain publications take a short way through the broker: nobody can tell, whatever stands around them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.routing.broker import Broker
from heliograph.routing.options import (
    AllowedActions,
    Disclosure,
    EventHistoryOptions,
    PermissionRule,
    RoleOptions,
    StoreOptions,
)
from heliograph.wamp.messages import PLAIN_PUBLISH, Publish
from heliograph.wamp.payload import PlainPayload
from tests.support.recording import EVERYTHING, OPEN_ROLE, Bench, SessionPair, publish, subscribe

SHOUT = PermissionRule(
    uri="", match="prefix", allow=EVERYTHING, disclose=Disclosure(caller=True, publisher=True)
)
HALF = PermissionRule(uri="com.a", match="prefix", allow=AllowedActions(publish=True, subscribe=True))
ROLES = [
    OPEN_ROLE,
    RoleOptions(name="told", permissions=[SHOUT]),
    RoleOptions(
        name="trusted",
        permissions=[PermissionRule(uri="", match="prefix", allow=EVERYTHING)],
        trustlevel=3,
        allow_disclose_me=False,
    ),
    RoleOptions(name="half", permissions=[HALF]),
]
SESSIONS = 5
TOPICS = st.sampled_from(["com.a", "com.a.b", "com.b", "com..b", "com", "wamp.x", ""])
OPTIONS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={
            "acknowledge": st.booleans(),
            "exclude_me": st.booleans(),
            "disclose_me": st.booleans(),
            "retain": st.booleans(),
            "eligible_authrole": st.sampled_from([[], ["told"]]),
            "exclude": st.sampled_from([[], [1001], [1002, 1003]]),
            "ppt_scheme": st.sampled_from(["", "x_own"]),
            "enc_algo": st.just("cryptobox"),
        },
    ),
)
NUMBERS = st.integers(0, SESSIONS - 1)
STEPS = st.one_of(
    st.tuples(st.just("publish"), NUMBERS, TOPICS, OPTIONS),
    st.tuples(st.just("publish"), NUMBERS, TOPICS, OPTIONS),
    st.tuples(st.just("publish plainly"), NUMBERS, TOPICS, st.just({})),
    st.tuples(
        st.just("subscribe"),
        NUMBERS,
        TOPICS,
        st.fixed_dictionaries({"match": st.sampled_from(["exact", "exact", "prefix", "wildcard"])}),
    ),
    st.tuples(st.just("leave"), NUMBERS, st.just(""), st.just({})),
)


def told(steps: list[Any], *, keeps_history: bool) -> list[Any]:
    """Return what all sessions hear, and what is counted."""
    history = [EventHistoryOptions(uri="com.b", match="exact", limit=5)] if keeps_history else []
    bench = Bench(ROLES, store=StoreOptions(event_history=history))

    def joined(number: int) -> SessionPair:
        return bench.join(role=("anonymous", "anonymous", "told", "trusted", "half")[number])

    pairs = [joined(number) for number in range(SESSIONS)]
    heard: list[Any] = []
    for request, (what, number, topic, options) in enumerate(steps, 1):
        pair = pairs[number]
        if what == "leave" or pair.is_closed:
            pair.session.lost()
            pairs[number] = joined(number)
        elif what == "publish":
            heard.append(pair.says(publish(request, topic, PlainPayload([request]), **options)))
        elif what == "publish plainly":
            heard.append(pair.says(Publish(request, PLAIN_PUBLISH, topic, PlainPayload([request]))))
        else:
            heard.append(pair.says(subscribe(request, topic, **options)))
        heard += [other.hears() for other in pairs]
    return [*heard, bench.router.counters]


@settings(deadline=None)
@given(steps=st.lists(STEPS, min_size=5, max_size=30), keeps_history=st.booleans())
def test_they_are_heard_counted_and_refused_as_on_the_general_way(
    steps: list[Any], keeps_history: bool
) -> None:
    short = told(steps, keeps_history=keeps_history)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Broker, "_only_subscription", lambda *_: None)
        assert told(steps, keeps_history=keeps_history) == short
