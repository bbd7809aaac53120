"""No dictionary and no set is made of numbers a client chose: thousands of them can have the same hash."""

import gc
import types
from collections.abc import Iterator
from typing import Any

import pytest

from heliograph.routing.options import CallQueueOptions, EventHistoryOptions, StoreOptions
from heliograph.wamp.messages import Cancel, CancelOptions, Unregister, Unsubscribe
from heliograph.wamp.payload import PlainPayload
from tests.support.recording import Bench, call, publish, register, subscribe

CHOSEN = range(2**40 + 1, 2**40 + 101)
_CODE = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.CodeType,
    types.FrameType,
)


def tables(root: object) -> Iterator[dict[Any, Any] | set[Any] | frozenset[Any]]:
    """Return every dictionary and set that can be reached from `root`, leaving code out."""
    seen = {id(root)}
    waiting = [root]
    while waiting:
        reached = waiting.pop()
        if isinstance(reached, dict | set | frozenset):
            yield reached
        for each in gc.get_referents(reached):
            if id(each) not in seen and not isinstance(each, _CODE):
                seen.add(id(each))
                waiting.append(each)


def chosen_keys(bench: Bench) -> set[int]:
    chosen = set(CHOSEN)
    return {key for table in tables(bench.router) for key in table if isinstance(key, int) and key in chosen}


@pytest.fixture
def bench() -> Bench:
    return Bench(
        store=StoreOptions(
            event_history=[EventHistoryOptions(uri="com.", match="prefix", limit=1000)],
            call_queue=[CallQueueOptions(uri="com.", match="prefix", limit=1000)],
        )
    )


def test_the_tables_of_a_router_are_found(bench: Bench) -> None:
    session = bench.join()
    assert any(session.session.id in table for table in tables(bench.router))


def test_calls_are_not_known_by_the_numbers_of_their_requests(bench: Bench) -> None:
    names = ("progressive_call_invocations", "progressive_call_results")
    callee, caller = (bench.join(features={"caller": names, "callee": names}) for _ in range(2))
    callee.says(register(1, "com.slow"), register(2, "com.busy", concurrency=1))
    for number in CHOSEN:
        procedure = ("com.slow", "com.busy", "com.nobody", "wamp.session.count")[number % 4]
        caller.says(call(number, procedure, progress=number % 3 == 0))
    caller.says(*(Cancel(number, CancelOptions()) for number in CHOSEN[::5]))
    books = bench.realm.dealer._of_session[caller.session]
    assert books.made, "some wait"
    assert books.ended, "some have ended while pieces of them may come"
    assert chosen_keys(bench) == set()


def test_lists_of_receivers_keep_sessions_of_the_realm_and_no_other_numbers(bench: Bench) -> None:
    publisher, subscriber = bench.join(), bench.join()
    subscriber.says(subscribe(1, "com.a"))
    subscriber.hears()
    numbers = [*CHOSEN, subscriber.session.id]
    for lists in (
        {"eligible": numbers},
        {"exclude": list(CHOSEN)},
        {"eligible": numbers, "exclude": list(CHOSEN)},
    ):
        publisher.says(publish(1, "com.a", retain=True, **lists))
        assert len(subscriber.hears()) == 1
    assert len(subscriber.says(subscribe(2, "com.a", get_retained=True))) == 2
    assert chosen_keys(bench) == set()


def test_nor_is_anything_else_known_by_them(bench: Bench) -> None:
    session = bench.join()
    session.says(subscribe(CHOSEN[0], "com.a"), register(CHOSEN[1], "com.a"))
    session.says(Unsubscribe(CHOSEN[2], CHOSEN[3]), Unregister(CHOSEN[4], CHOSEN[5]))
    for number in CHOSEN:
        for name in ("session.get", "session.kill", "subscription.get", "registration.list_callees"):
            session.says(call(number, f"wamp.{name}", PlainPayload([number])))
        kwargs = {"after_publication": number, "limit": number}
        session.says(call(number, "wamp.subscription.get_events", PlainPayload([number], kwargs)))
    assert chosen_keys(bench) == set()
