"""Whatever values a client sends, it gets a short answer that every format can express."""

from collections.abc import Callable
from typing import Any

import pytest

from heliograph.wamp.errors import TEXT_LIMIT
from heliograph.wamp.messages import Abort, Error, Message
from heliograph.wamp.payload import PlainPayload
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer
from tests.fuzz.strategies import META
from tests.support.recording import Bench, call, hello, publish, register, subscribe

LIMIT_BYTES = 8 * TEXT_LIMIT
"""A text of the limit, written with escapes, and what stands around it."""


def deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


VALUES: dict[str, Any] = {
    "a number of 5,000 digits": 10**5000,
    "a negative one": -(10**5000),
    "a number beyond 64 bits": 2**70,
    "a text of a megabyte": "x" * 1_000_000,
    "control characters": "\x1b\0" * 5000,
    "a binary": b"\xff" * 100_000,
    "a deep list": deep(50_000),
    "infinity": float("inf"),
    "a large dictionary": {"x" * 1000: None} | {f"{number}": number for number in range(10_000)},
}
PLACES: dict[str, Callable[[Any], tuple[list[Any], dict[str, Any]]]] = {
    "first": lambda value: ([value], {}),
    "second": lambda value: ([1, value], {}),
    "second, after a topic": lambda value: (["com.a", value], {}),
    "fourth": lambda value: (["com.a", [], {}, value], {}),
    "in a list": lambda value: ([[value]], {}),
    "match": lambda value: (["com.a", {"match": value}], {}),
    "scope": lambda value: (["com.a"], {"scope": value}),
    "publish_options": lambda value: (
        ["com.a"],
        {"publish_options": {"eligible": [value], "ppt_scheme": value}},
    ),
    "limit": lambda value: ([1], {"limit": value}),
    "from_time": lambda value: ([1], {"from_time": value}),
    "after_publication": lambda value: ([1], {"after_publication": value}),
    "reason": lambda value: ([1], {"reason": value}),
    "an unknown name": lambda _value: ([], {"x" * 100_000: 1}),
}


def assert_short(answers: list[Message]) -> None:
    for answer in answers:
        for name in SERIALIZER_NAMES:
            assert len(serializer(name).encode(answer)) <= LIMIT_BYTES, answer


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("procedure", META)
def test_meta_procedures_answer_in_short(bench: Bench, procedure: str, value: str) -> None:
    for place in PLACES.values():
        session = bench.join()
        session.says(subscribe(1, "com.a"))
        session.hears()
        args, kwargs = place(VALUES[value])
        assert_short(session.says(call(2, procedure, PlainPayload(args, kwargs))))


LONG = "x" * 1_000_000
REFUSED: dict[str, Message] = {
    "a topic": publish(1, LONG, acknowledge=True),
    "a topic to subscribe to": subscribe(1, LONG),
    "a procedure": call(1, LONG),
    "a procedure to register": register(1, LONG),
    "a procedure of ours": call(1, f"wamp.{'x' * 1000}"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_quoted_in_short(bench: Bench, case: str) -> None:
    answers = bench.join().says(REFUSED[case])
    assert isinstance(answers[0], Error)
    assert_short(answers)


HELLOS: dict[str, Message] = {
    "a realm": hello(LONG),
    "a realm of escapes": hello("\x1b" * 100_000),
    "a role": hello(roles={LONG: {}}),
    "methods": hello(authmethods=[LONG, "\0" * 1000]),
    "a role to act in": hello(authrole=LONG),
}


@pytest.mark.parametrize("case", HELLOS)
def test_hello_is_quoted_in_short(bench: Bench, case: str) -> None:
    answers = bench.connect().says(HELLOS[case])
    assert_short(answers)


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
@pytest.mark.parametrize("number", [2**70, 10**5000], ids=["70 bits", "5,000 digits"])
def test_numbers_in_options_are_the_senders_error_at_worst(bench: Bench, name: str, number: int) -> None:
    """Whoever is to receive them, and whatever its format."""
    callee, caller = bench.join(serializer(name), features={"callee": ["call_timeout"]}), bench.join()
    callee.says(register(1, "com.a", forward_timeout=True), register(2, "com.b", concurrency=number))
    caller.says(call(1, "com.a", timeout=number), call(2, "com.b", PlainPayload([number])))
    answers = [*caller.hears(), *caller.says(call(3, "wamp.registration.get", PlainPayload([2])))]
    assert all(not isinstance(answer, Abort) for answer in answers)
    assert_short([answer for answer in answers if isinstance(answer, Error)])
