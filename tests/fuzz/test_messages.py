"""Any messages in any order: answered, refused or aborted, never a defect, and nothing stays.

HELIOGRAPH_FUZZ sets the number of conversations of the long tests (10,000 by default).
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from heliograph.wamp.errors import PayloadError
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer
from tests.fuzz.conversation import SESSIONS, Conversation
from tests.fuzz.strategies import ABLE, ANSWERS, ANYTHING, META, SENSIBLE, SIMPLE, weighted
from tests.support.recording import Bench

LONG = int(os.environ.get("HELIOGRAPH_FUZZ", "10000"))

Step = Callable[[Conversation], None]

NUMBERS = st.integers(0, SESSIONS - 1)

STEPS: st.SearchStrategy[Step] = weighted(
    (40, st.builds(lambda number, said: lambda talk: talk.say(number, said), NUMBERS, SENSIBLE)),
    (10, st.builds(lambda said: lambda talk: talk.answer(said), ANSWERS)),
    (1, st.builds(lambda number, said: lambda talk: talk.say(number, said), NUMBERS, ANYTHING)),
    (
        2,
        st.builds(
            lambda number, roles: lambda talk: talk.lose(number, roles),
            NUMBERS,
            st.sampled_from([ABLE, ABLE, SIMPLE, None]),
        ),
    ),
    (1, st.builds(lambda number: lambda talk: talk.shut_down(number), NUMBERS)),
    (3, st.builds(lambda budget: lambda talk: talk.bound(budget), st.sampled_from([1, 1, 40, None]))),
    (2, st.builds(lambda seconds: lambda talk: talk.wait(seconds), st.sampled_from([0.002, 1, 5]))),
)
CONVERSATIONS = st.lists(STEPS, min_size=20, max_size=80)


@st.composite
def bytes_of(draw: st.DrawFn, name: str) -> bytes:
    """Return a message as one format writes it, with a few bytes wrong, or bytes that never were a message."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.binary(max_size=60))
    try:
        data = bytearray(serializer(name).encode(draw(weighted((5, SENSIBLE), (1, ANYTHING)))))
    except PayloadError:
        return b""
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place = draw(st.integers(0, len(data)))
        change = draw(st.sampled_from(["turn a bit", "cut", "insert", "double"]))
        if change == "turn a bit" and place < len(data):
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif change == "cut":
            del data[place : place + draw(st.integers(1, 8))]
        elif change == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=4))
        else:
            data[place:place] = data[place : place + 16]
    return bytes(data)


def _bytes_step(number: int) -> st.SearchStrategy[Step]:
    name = SERIALIZER_NAMES[number - 1]
    return bytes_of(name).map(lambda data: lambda talk: talk.say(number, data))


RAW_STEPS: st.SearchStrategy[Step] = st.one_of(
    *[_bytes_step(number) for number in range(1, SESSIONS)], STEPS, STEPS
)
RAW_CONVERSATIONS = st.lists(RAW_STEPS, min_size=10, max_size=60)

usual = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
long = settings(usual, max_examples=LONG, phases=[Phase.explicit, Phase.generate, Phase.shrink])


def _held_to_its_word(steps: Sequence[Step]) -> None:
    talk = Conversation()
    for step in steps:
        step(talk)
    talk.end()


@usual
@given(steps=CONVERSATIONS)
def test_any_messages_in_any_state_are_answered_and_leave_nothing(steps: Any) -> None:
    _held_to_its_word(steps)


@usual
@given(steps=RAW_CONVERSATIONS)
def test_any_bytes_in_any_state_are_answered_and_leave_nothing(steps: Any) -> None:
    _held_to_its_word(steps)


@pytest.mark.soak
@long
@given(steps=CONVERSATIONS)
def test_many_conversations_of_any_messages_are_answered_and_leave_nothing(steps: Any) -> None:
    _held_to_its_word(steps)


@pytest.mark.soak
@long
@given(steps=RAW_CONVERSATIONS)
def test_many_conversations_of_any_bytes_are_answered_and_leave_nothing(steps: Any) -> None:
    _held_to_its_word(steps)


def test_the_fuzzer_knows_every_procedure_of_the_router() -> None:
    assert set(META) == Bench().realm.dealer.meta.names
