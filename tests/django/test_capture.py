"""`capture_events()`: what would have been published, in each kind of test."""

import threading

import pytest
from django.db import connection, transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase

from heliograph.django import capture_events, publish, publish_event
from heliograph.django.backends import MemoryBackend
from heliograph.django.registry import backends


def _delivered() -> list[str]:
    backend = backends["default"]
    assert isinstance(backend, MemoryBackend)
    return [event.topic for event in backend.events]


def _publish_and_fail(topic: str) -> None:
    with transaction.atomic():
        publish(topic)
        raise ZeroDivisionError


class InATestCase(TestCase):
    """The transaction around the test never commits, and does not count."""

    def test_an_event_outside_atomic_shows_at_once(self) -> None:
        with capture_events() as events:
            publish("a", 1, k=2)
            assert events.topics == ["a"]
        assert (events[0].args, events[0].kwargs) == ([1], {"k": 2})

    def test_an_event_shows_when_the_outermost_block_of_the_test_ends(self) -> None:
        with capture_events() as events:
            with transaction.atomic():
                publish("a")
                with transaction.atomic():
                    publish("b")
                assert events.topics == []
            assert events.topics == ["a", "b"]

    def test_an_earlier_block_stays_visible_while_a_later_one_is_open(self) -> None:
        with capture_events() as events:
            with transaction.atomic():
                publish("a")
            with transaction.atomic():
                publish("b")
                assert events.topics == ["a"]
            assert events.topics == ["a", "b"]

    def test_blocks_without_savepoint_count_like_others(self) -> None:
        with capture_events() as events:
            with transaction.atomic(savepoint=False):
                publish("a")
                assert events.topics == []
            assert events.topics == ["a"]

    def test_a_durable_block_commits(self) -> None:
        with capture_events() as events, transaction.atomic(durable=True):
            publish("a")
        assert events.topics == ["a"]

    def test_a_block_that_is_rolled_back_never_shows(self) -> None:
        with capture_events() as events:
            with pytest.raises(ZeroDivisionError):
                _publish_and_fail("a")
            publish("b")
        assert events.topics == ["b"]

    def test_an_inner_rollback_takes_only_its_own_events_along(self) -> None:
        with capture_events() as events, transaction.atomic():
            publish("a")
            with pytest.raises(ZeroDivisionError):
                _publish_and_fail("b")
            publish("c")
        assert events.topics == ["a", "c"]

    def test_a_capture_inside_a_block_takes_that_block_for_the_tests_own(self) -> None:
        with transaction.atomic(), capture_events() as events:
            publish("a")
            assert events.topics == ["a"]

    def test_djangos_own_capture_of_commit_hooks_can_run_around_it(self) -> None:
        with capture_events() as events:
            with self.captureOnCommitCallbacks(execute=True), transaction.atomic():
                publish("a")
            publish("b")
        assert events.topics == ["a", "b"]

    def test_nothing_is_delivered_meanwhile_nor_afterwards(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            with capture_events():
                publish("captured.1")
            with transaction.atomic(), capture_events():
                publish("captured.2")
        assert "captured.1" not in _delivered()
        assert "captured.2" not in _delivered()

    def test_the_events_stay_readable_after_the_end_and_no_more_come(self) -> None:
        with capture_events() as events:
            publish("a")
        publish("b")
        assert events.topics == ["a"]

    def test_it_is_a_sequence_and_finds_events_by_topic(self) -> None:
        with capture_events() as events:
            publish("a", 1)
            publish("b", 2)
            publish("a", 3)
        assert len(events) == 3
        assert [event.args for event in events.on("a")] == [[1], [3]]
        assert [event.topic for event in events[1:]] == ["b", "a"]
        assert "topic='b'" in repr(events)

    def test_the_innermost_of_nested_contexts_captures(self) -> None:
        with capture_events() as outer:
            with capture_events() as inner:
                publish("a")
            publish("b")
        assert (inner.topics, outer.topics) == (["a"], ["b"])

    def test_an_exception_in_the_context_ends_it(self) -> None:
        with pytest.raises(ZeroDivisionError), capture_events():
            raise ZeroDivisionError
        with capture_events() as events:
            publish("a")
        assert events.topics == ["a"]

    def test_one_entry_can_be_chosen(self) -> None:
        memory = {"BACKEND": "heliograph.django.backends.MemoryBackend"}
        with (
            self.settings(HELIOGRAPH={"default": memory, "other": memory}),
            capture_events(backend="other") as events,
        ):
            publish("a")
            publish_event("b", backend="other")
        assert events.topics == ["b"]


class InATransactionTestCase(TransactionTestCase):
    """Here commits are real."""

    def test_an_event_shows_after_the_commit(self) -> None:
        with capture_events() as events:
            with transaction.atomic():
                publish("a")
                assert events.topics == []
            publish("b")
            with pytest.raises(ZeroDivisionError):
                _publish_and_fail("c")
        assert events.topics == ["a", "b"]

    def test_events_of_other_threads_are_captured(self) -> None:
        def in_a_thread() -> None:
            with transaction.atomic():
                publish("a")
            connection.close()

        with capture_events() as events:
            thread = threading.Thread(target=in_a_thread)
            thread.start()
            thread.join()
        assert events.topics == ["a"]


class WithoutADatabase(SimpleTestCase):
    """Publishing needs no database at all."""

    def test_an_event_shows_at_once(self) -> None:
        with capture_events() as events:
            publish("a")
        assert events.topics == ["a"]
