"""Many events from synchronous code: together in one request, or soon, by a thread that sends what is queued."""

import gc
import logging
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from heliograph.client import pipeline
from heliograph.client.errors import BadPayload, PublicationRefused, PublishError
from heliograph.client.publisher import Publisher
from tests.client.scripted_http import Answer, ScriptedHttp, acknowledges, http, says, says_json


@pytest.fixture
def server() -> Iterator[ScriptedHttp]:
    running = ScriptedHttp()
    running.answer = acknowledges
    yield running
    running.stop()


@pytest.fixture
def publisher(server: ScriptedHttp) -> Iterator[Publisher]:
    with Publisher(server.url, timeout_s=10) as running:
        yield running


class Gate:
    """Holds the server's answers back until it is opened."""

    def __init__(self, then: Answer = acknowledges) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._then = then

    def __call__(self, connection: socket.socket, body: bytes) -> bool:
        self.reached.set()
        self.opened.wait(20)
        return self._then(connection, body)


def events(count: int, kind: str = "t") -> list[dict[str, Any]]:
    return [{"topic": f"{kind}.{number}", "args": [number]} for number in range(count)]


def texts(outcomes: list[int | PublishError]) -> list[str]:
    return [str(outcome) for outcome in outcomes if isinstance(outcome, PublishError)]


class TestMany:
    @pytest.mark.parametrize(
        ("event", "says"),
        [
            ({"topc": "a.b"}, "needs a topic"),
            ({"topic": "a.b", "arg": [1]}, "has no 'arg', only topic, args"),
        ],
    )
    def test_with_a_key_that_is_none_is_refused_as_a_whole(
        self, server: ScriptedHttp, publisher: Publisher, event: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(TypeError, match=says):
            publisher.publish_many([*events(2), event])
        assert server.bodies == []

    def test_travel_in_one_request_and_have_each_its_id(
        self, server: ScriptedHttp, publisher: Publisher
    ) -> None:
        assert publisher.publish_many(events(3)) == [1, 2, 3]
        assert server.bodies == [events(3)]

    def test_of_one_is_an_event_like_any_other(self, server: ScriptedHttp, publisher: Publisher) -> None:
        assert publisher.publish_many(
            [{"topic": "t.0", "kwargs": {"a": 1}, "options": {"retain": True}}]
        ) == [1]
        assert server.bodies == [
            {"topic": "t.0", "args": [], "kwargs": {"a": 1}, "options": {"retain": True}}
        ]

    def test_of_none_asks_nobody(self, server: ScriptedHttp, publisher: Publisher) -> None:
        assert publisher.publish_many([]) == []
        assert server.bodies == []

    def test_are_cut_to_what_a_router_takes(self, server: ScriptedHttp, publisher: Publisher) -> None:
        large = [{"topic": f"t.{number}", "args": ["x" * 30_000]} for number in range(5)]
        assert publisher.publish_many([*events(501), *large]) == [*range(1, 502), *range(1, 6)]
        sizes = [1 if isinstance(body, dict) else len(body) for body in server.bodies]
        assert sizes == [500, 3, 2, 1]

    def test_one_that_is_refused_leaves_the_others(self, publisher: Publisher) -> None:
        first, refused, last = publisher.publish_many([*events(1), *events(1, "refused"), *events(1)])
        assert (first, last) == (1, 1)
        assert isinstance(refused, PublicationRefused)
        assert refused.uri == "wamp.error.not_authorized"

    def test_nothing_is_sent_when_one_cannot_be_expressed(
        self, server: ScriptedHttp, publisher: Publisher
    ) -> None:
        with pytest.raises(BadPayload):
            publisher.publish_many([*events(2), {"topic": "t.2", "args": [object()]}])
        assert server.bodies == []

    @pytest.mark.parametrize("status", ["400 Bad Request", "415 Unsupported Media Type"])
    def test_go_one_by_one_to_a_bridge_that_takes_no_more(
        self, server: ScriptedHttp, publisher: Publisher, status: str
    ) -> None:
        def single_only(connection: socket.socket, body: bytes) -> bool:
            return (acknowledges if b"\n" not in body else says(http(status, b"{}")))(connection, body)

        server.answer = single_only
        for _ in range(2):
            assert publisher.publish_many(events(3)) == [1, 2, 3]
        sizes = [1 if isinstance(body, dict) else len(body) for body in server.bodies]
        assert sizes == [3, 1, 1, 1, 1, 1, 1], "once told, it is not asked again"

    def test_go_in_smaller_bodies_to_a_router_that_says_so(
        self, server: ScriptedHttp, publisher: Publisher
    ) -> None:
        def few_only(connection: socket.socket, body: bytes) -> bool:
            is_small = body.count(b"\n") < 3
            return (acknowledges if is_small else says(http("413 Content Too Large", b"{}")))(
                connection, body
            )

        server.answer = few_only
        assert publisher.publish_many(events(10)) == list(range(1, 11))
        assert publisher.publish_many(events(4)) == list(range(1, 5))
        sizes = [1 if isinstance(body, dict) else len(body) for body in server.bodies]
        assert sizes == [10, 5, 2, 2, 1, 5, 2, 2, 1, 2, 2], "and remembers it"

    def test_that_a_dead_server_does_not_take_cost_one_attempt(self, server: ScriptedHttp) -> None:
        server.answer = lambda connection, _body: connection.close() or False  # type: ignore[func-returns-value]
        with Publisher(server.url) as publisher:
            outcomes = publisher.publish_many(events(1200))
        assert len(server.bodies) == 1
        assert len(texts(outcomes)) == 1200
        assert outcomes[0].may_have_arrived  # type: ignore[union-attr]
        assert not outcomes[-1].may_have_arrived  # type: ignore[union-attr]
        assert texts(outcomes)[-1].endswith("what was behind that was not sent")

    @pytest.mark.parametrize("answer", [[{"id": 1}], {"id": 1}, "x", [{}, {}]])
    def test_that_are_not_all_answered_may_have_arrived(
        self, server: ScriptedHttp, publisher: Publisher, answer: Any
    ) -> None:
        server.answer = says_json(answer)
        outcomes = publisher.publish_many(events(2))
        assert all(isinstance(outcome, PublishError) and outcome.may_have_arrived for outcome in outcomes)
        assert len(outcomes) == 2


class TestSoon:
    def test_waits_for_nothing_and_what_waits_travels_together(self, server: ScriptedHttp) -> None:
        gate = server.answer = Gate()
        with Publisher(server.url, timeout_s=20) as publisher:
            publisher.publish_soon("t.0", 0)
            assert gate.reached.wait(10)
            for event in events(100)[1:]:
                publisher.publish_event_soon(event["topic"], event["args"])
            assert publisher.flush(0.01) == 100
            gate.opened.set()
            assert publisher.flush(10) == 0
        assert server.bodies == [events(1)[0], events(100)[1:]]

    def test_is_flushed_at_the_end_of_the_block(self, server: ScriptedHttp) -> None:
        with Publisher(server.url) as publisher:
            for number in range(1000):
                publisher.publish_soon(f"t.{number}", number)
        arrived = [event for body in server.bodies for event in (body if isinstance(body, list) else [body])]
        assert [event["args"][0] for event in arrived] == list(range(1000)), "in their order"

    def test_a_payload_that_cannot_be_sent_is_told_at_once(self, publisher: Publisher) -> None:
        with pytest.raises(BadPayload):
            publisher.publish_soon("t.1", object())

    def test_a_later_change_of_what_was_queued_does_not_show(
        self, server: ScriptedHttp, publisher: Publisher
    ) -> None:
        payload = {"a": 1}
        publisher.publish_soon("t.1", payload)
        payload["a"] = 2
        assert publisher.flush(10) == 0
        assert server.bodies[0]["args"] == [{"a": 1}]

    def test_the_flush_tells_how_many_failed_and_why_the_first_did(self, server: ScriptedHttp) -> None:
        with Publisher(server.url) as publisher:
            for event in [*events(2), *events(3, "refused")]:
                publisher.publish_soon(event["topic"])
            with pytest.raises(
                PublishError, match=r"^3 events to .* were not published; the first: .*: 0$"
            ) as caught:
                publisher.flush(10)
            assert isinstance(caught.value.__cause__, PublicationRefused)
            assert publisher.flush(10) == 0, "told once"

    def test_the_end_of_the_block_tells_it_too(self, server: ScriptedHttp) -> None:
        with pytest.raises(PublishError, match="1 events to"), Publisher(server.url) as publisher:
            publisher.publish_soon("refused.1")

    def test_an_error_of_the_block_comes_first(self, server: ScriptedHttp) -> None:
        def fail(publisher: Publisher) -> None:
            publisher.publish_soon("refused.1")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError) as caught, Publisher(server.url) as publisher:
            fail(publisher)
        assert "1 events to" in caught.value.__notes__[0]

    def test_each_failure_is_told_to_who_asks_for_it(
        self, server: ScriptedHttp, caplog: pytest.LogCaptureFixture
    ) -> None:
        told: list[tuple[str, PublishError]] = []

        def on_error(topic: str, error: PublishError) -> None:
            told.append((topic, error))
            raise ValueError("of its own")

        with Publisher(server.url, on_error=on_error) as publisher:
            for event in [*events(2), *events(2, "refused")]:
                publisher.publish_soon(event["topic"])
            assert publisher.flush(10) == 0
        assert [topic for topic, _ in told] == ["refused.0", "refused.1"]
        assert all(isinstance(error, PublicationRefused) for _, error in told)
        assert caplog.text.count("on_error failed") == 2

    @pytest.mark.parametrize("limit", [{"max_pending_events": 5}, {"max_pending_bytes": 200}])
    def test_a_full_queue_makes_the_caller_wait_and_then_says_so(
        self, server: ScriptedHttp, limit: dict[str, int]
    ) -> None:
        gate = server.answer = Gate()
        with Publisher(server.url, timeout_s=0.3, **limit) as publisher:  # type: ignore[arg-type]
            publisher.publish_soon("t.0")
            assert gate.reached.wait(10)

            def overfill() -> None:
                for number in range(100):
                    publisher.publish_soon(f"t.{number}", "x" * 20)

            before = time.monotonic()
            with pytest.raises(PublishError, match="was not queued: too many events are waiting"):
                overfill()
            assert time.monotonic() - before >= 0.3
            gate.opened.set()
            with pytest.raises(PublishError, match="did not answer within"):
                publisher.flush(10)

    def test_a_caller_that_waits_goes_on_when_there_is_room(self, server: ScriptedHttp) -> None:
        with Publisher(server.url, timeout_s=20, max_pending_events=3) as publisher:
            for number in range(500):
                publisher.publish_soon(f"t.{number}", number)
        arrived = [event for body in server.bodies for event in (body if isinstance(body, list) else [body])]
        assert len(arrived) == 500

    def test_what_is_left_when_it_is_closed_is_told(self, server: ScriptedHttp) -> None:
        gate = server.answer = Gate()
        publisher = Publisher(server.url, timeout_s=5, flush_timeout_s=0.05)
        publisher.publish_soon("t.0")
        assert gate.reached.wait(10)
        publisher.publish_soon("t.1")
        with pytest.raises(PublishError, match=r"1 events to .* were still queued"):
            publisher.close()
        with pytest.raises(PublishError, match="this publisher is closed"):
            publisher.publish_soon("t.2")
        gate.opened.set()
        publisher.close()

    def test_many_threads_lose_nothing(self, server: ScriptedHttp, publisher: Publisher) -> None:
        def many(start: int) -> None:
            for number in range(200):
                publisher.publish_soon(f"t.{start}", number)

        threads = [threading.Thread(target=many, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert publisher.flush(10) == 0
        arrived = [event for body in server.bodies for event in (body if isinstance(body, list) else [body])]
        for start in range(4):
            assert [each["args"][0] for each in arrived if each["topic"] == f"t.{start}"] == list(range(200))

    def test_its_thread_ends_when_nothing_comes_and_begins_again(
        self, server: ScriptedHttp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pipeline, "IDLE_S", 0.01)
        publisher = Publisher(server.url)
        for number in range(2):
            publisher.publish_soon(f"t.{number}")
            assert publisher.flush(10) == 0
            for thread in threading.enumerate():
                if thread.name == "heliograph-delivery":
                    thread.join(10)
                    assert not thread.is_alive()
        assert len(server.bodies) == 2
        gone = weakref.ref(publisher)
        del publisher
        gc.collect()
        assert gone() is None


RUN = """
import sys
from heliograph import Publisher
publisher = Publisher(sys.argv[1], timeout_s=10, flush_timeout_s=float(sys.argv[2]))
for number in range(100):
    publisher.publish_soon(f"{sys.argv[3]}.{number}", number)
"""


def run(program: str, *arguments: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", program, *arguments], check=True, timeout=60, capture_output=True, text=True
    )
    return finished.stderr


def arrived(server: ScriptedHttp) -> int:
    return sum(len(body) if isinstance(body, list) else 1 for body in server.bodies)


def test_a_defect_is_told_like_any_failure(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("of ours")

    monkeypatch.setattr(publisher, "_posted", broken)
    publisher.publish_soon("t.1")
    with pytest.raises(PublishError, match=r"1 events to .*LookupError\('of ours'\)"):
        publisher.flush(10)
    assert "failed unexpectedly" in caplog.text


class TestProcess:
    def test_that_ends_waits_for_what_is_queued(self, server: ScriptedHttp) -> None:
        assert run(RUN, server.url, "10", "t") == ""
        assert arrived(server) == 100

    def test_that_ends_waits_no_longer_than_it_may_and_says_what_is_lost(self, server: ScriptedHttp) -> None:
        gate = server.answer = Gate()
        assert "100 events to" in run(RUN, server.url, "0.1", "t")
        gate.opened.set()

    def test_that_ends_says_what_was_refused(self, server: ScriptedHttp) -> None:
        assert "100 events to" in run(RUN, server.url, "10", "refused")

    @pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system does not fork")
    def test_that_is_forked_sends_its_own_events_and_not_its_parents(self, server: ScriptedHttp) -> None:
        program = """
import os, sys
from heliograph import Publisher
publisher = Publisher(sys.argv[1], timeout_s=10, flush_timeout_s=10)
for number in range(50):
    publisher.publish_soon(f"t.{number}", "parent")
child = os.fork()
for number in range(50):
    publisher.publish_soon(f"t.{number}", "child" if child == 0 else "parent")
assert publisher.flush(10) == 0
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
        assert run(program, server.url) == ""
        said = [
            event["args"][0]
            for body in server.bodies
            for event in (body if isinstance(body, list) else [body])
        ]
        assert (said.count("parent"), said.count("child")) == (100, 50)


def test_the_log_is_quiet_when_all_is_well(publisher: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        publisher.publish_soon("t.1")
        assert publisher.flush(10) == 0
    assert caplog.text == ""


@pytest.mark.parametrize(
    "wrong", [{"max_pending_events": 0}, {"max_pending_bytes": 0}, {"flush_timeout_s": -1}]
)
def test_wrong_limits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        Publisher("http://127.0.0.1/notify", **wrong)
