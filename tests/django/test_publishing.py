"""When an event leaves: after the commit, at once without a transaction, never after a rollback."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, transaction
from pytest_django import Settings

from heliograph.client.errors import PublishError
from heliograph.django import InvalidEvent, publish, publish_event
from heliograph.django.backends import Backend, HttpBackend, MemoryBackend
from heliograph.django.events import Event
from tests.django.routers import RecordingRouter, free_port

real_transactions = pytest.mark.django_db(transaction=True)


def _topics(memory: MemoryBackend) -> list[str]:
    return [event.topic for event in memory.events]


def _publish_in_one_transaction(
    *events: tuple[Any, ...], before: Callable[[], object] = lambda: None
) -> None:
    with transaction.atomic():
        transaction.on_commit(before)
        for event in events:
            publish(*event)


def _publish_and_fail(topic: str) -> None:
    with transaction.atomic():
        publish(topic)
        raise ZeroDivisionError


@real_transactions
def test_an_event_in_a_transaction_leaves_after_its_commit(memory: MemoryBackend) -> None:
    with transaction.atomic():
        publish("a")
        with transaction.atomic():
            publish("b")
        assert memory.events == []
    assert _topics(memory) == ["a", "b"]


@real_transactions
def test_an_event_outside_a_transaction_leaves_at_once(memory: MemoryBackend) -> None:
    connection.ensure_connection()
    publish("a")
    assert _topics(memory) == ["a"]


def test_publishing_without_a_transaction_opens_no_database_connection(memory: MemoryBackend) -> None:
    opened: list[object] = []

    def in_a_fresh_thread() -> None:
        publish("a")
        opened.append(connections["default"].connection)

    thread = threading.Thread(target=in_a_fresh_thread)
    thread.start()
    thread.join()
    assert _topics(memory) == ["a"]
    assert opened == [None]


@real_transactions
def test_a_rollback_publishes_nothing(memory: MemoryBackend) -> None:
    with pytest.raises(ZeroDivisionError):
        _publish_and_fail("a")
    assert memory.events == []


@real_transactions
def test_a_savepoint_that_is_rolled_back_takes_only_its_own_events_along(memory: MemoryBackend) -> None:
    with transaction.atomic():
        publish("a")
        with pytest.raises(ZeroDivisionError):
            _publish_and_fail("b")
        publish("c")
    assert _topics(memory) == ["a", "c"]


@real_transactions
def test_a_wrong_event_raises_inside_the_transaction_so_that_it_rolls_back(memory: MemoryBackend) -> None:
    with pytest.raises(InvalidEvent):
        _publish_in_one_transaction(("a",), ("b", object()))
    assert memory.events == []


@real_transactions
def test_a_thousand_events_of_one_transaction_arrive_in_order(
    use_http: Callable[..., HttpBackend], router: RecordingRouter
) -> None:
    use_http(router.url)
    with transaction.atomic():
        for number in range(1000):
            publish("count", number)
    router.wait_for(1000)
    assert [event["args"] for event in router.received] == [[number] for number in range(1000)]


def test_an_unknown_entry_is_named(memory: MemoryBackend) -> None:
    with pytest.raises(ImproperlyConfigured, match="HELIOGRAPH has no entry 'other'; it has default"):
        publish_event("a", backend="other")


def test_backend_chooses_the_entry(settings: Settings) -> None:
    from heliograph.django.registry import backends

    memory = {"BACKEND": "heliograph.django.backends.MemoryBackend"}
    settings.HELIOGRAPH = {"default": memory, "other": memory}
    publish_event("a", backend="other")
    assert isinstance(backends["other"], MemoryBackend)
    assert _topics(backends["other"]) == ["a"]
    assert isinstance(backends["default"], MemoryBackend)
    assert _topics(backends["default"]) == []


class BrokenBackend(Backend):
    def publish(self, event: Event) -> None:
        raise LookupError(event.topic)


@real_transactions
def test_a_backend_that_fails_is_logged_and_the_commit_stands(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.HELIOGRAPH = {"default": {"BACKEND": f"{__name__}.BrokenBackend"}}
    reached = []
    with caplog.at_level(logging.ERROR, "heliograph.django"), transaction.atomic():
        publish("a")
        transaction.on_commit(lambda: reached.append("the next hook"))
    assert reached == ["the next hook"]
    assert "publishing to 'a' failed" in caplog.text
    assert "LookupError" in caplog.text


@real_transactions
def test_on_error_raise_raises_after_the_commit(use_http: Callable[..., HttpBackend]) -> None:
    backend = use_http(f"http://127.0.0.1:{free_port()}/notify", ON_ERROR="raise")
    committed = []
    with pytest.raises(PublishError):
        _publish_in_one_transaction(("a",), before=lambda: committed.append("hook"))
    assert committed == ["hook"]
    assert backend.statistics().failed == 1
