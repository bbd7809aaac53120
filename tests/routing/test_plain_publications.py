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
TOPICS = st.sampled_from([*["com.a", "com.b"] * 4, "com.a.b", "com..b", "com", "wamp.x", ""])
ALL_OPTIONS: list[dict[str, Any]] = [
    *({}, {}, {"acknowledge": True}, {"exclude_me": False}, {"disclose_me": True}, {"retain": True}),
    *({"ppt_scheme": "x_own"}, {"ppt_scheme": ""}, {"enc_algo": "cryptobox"}),
    *({"eligible": []}, {"eligible_authid": []}, {"eligible_authrole": ["told"]}),
    *({"exclude": [1001, 1002]}, {"exclude_authid": ["x"]}, {"exclude_authrole": ["anonymous"]}),
]
OPTIONS = st.sampled_from(ALL_OPTIONS)
NUMBERS = st.integers(0, SESSIONS - 1)
STEPS = st.one_of(
    st.tuples(st.just("publish"), NUMBERS, TOPICS, OPTIONS),
    st.tuples(st.just("publish"), NUMBERS, TOPICS, OPTIONS),
    st.tuples(st.just("publish plainly"), NUMBERS, TOPICS, st.just({})),
    st.tuples(
        st.just("subscribe"),
        NUMBERS,
        TOPICS,
        st.fixed_dictionaries(
            {
                "match": st.sampled_from(["exact", "exact", "prefix", "wildcard"]),
                "get_retained": st.booleans(),
            }
        ),
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
    # Somebody listens, and what is open to whom was decided.
    opening: list[Any] = [("subscribe", 0, topic, {}) for topic in ("com.a", "com.b")]
    opening += [("publish", number, topic, {}) for number in range(SESSIONS) for topic in ("com.a", "com.b")]
    for request, (what, number, topic, options) in enumerate([*opening, *steps], 1):
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
    kept = [subscription.history for subscription in bench.realm.broker.subscriptions.values()]
    entries = [
        # All but the lists of receivers, which are not compared by value.
        [entry[:-2] for entry in history._entries]
        for history in kept
        if history is not None
    ]
    return [*heard, bench.router.counters, entries]


@pytest.mark.parametrize("options", ALL_OPTIONS, ids=repr)
def test_each_option_is_heeded(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    steps = [("publish", number, "com.a", options) for number in range(1, SESSIONS)]
    short = told(steps, keeps_history=False)
    monkeypatch.setattr(Broker, "_is_plain", lambda *_: False)
    assert told(steps, keeps_history=False) == short


@settings(deadline=None, max_examples=400)
@given(steps=st.lists(STEPS, min_size=5, max_size=30), keeps_history=st.booleans())
def test_they_are_heard_counted_and_refused_as_on_the_general_way(
    steps: list[Any], keeps_history: bool
) -> None:
    short = told(steps, keeps_history=keeps_history)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Broker, "_is_plain", lambda *_: False)
        assert told(steps, keeps_history=keeps_history) == short
