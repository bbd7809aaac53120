"""The HTTP backend against routers that answer, refuse, hang, die and come back."""

import logging
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.test import RequestFactory, override_settings
from django.views.debug import technical_500_response
from pytest_django import Settings

import heliograph
from heliograph.client.errors import PublicationRefused, PublishError
from heliograph.django import flush, publish, publish_event
from heliograph.django.backends import HttpBackend, MemoryBackend
from heliograph.django.registry import backends
from heliograph.django.router_link import RouterUnavailable
from tests.django.conftest import HTTP
from tests.django.routers import RecordingRouter, free_port, recording_router

UseHttp = Callable[..., HttpBackend]


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_event_arrives_with_payload_and_options(use_http: UseHttp, router: RecordingRouter) -> None:
    backend = use_http(router.url)
    publish_event("a.b", ["é", 1.5, None], {"k": [True]}, options={"exclude_me": False})
    router.wait_for(1)
    (event,) = router.received
    assert (event["topic"], event["args"], event["kwargs"]) == ("a.b", ["é", 1.5, None], {"k": [True]})
    assert event["options"] == {"exclude_me": False}
    assert flush(5) == 0
    assert backend.statistics().delivered == 1


def test_events_of_one_thread_arrive_in_order_while_others_publish(
    use_http: UseHttp, router: RecordingRouter
) -> None:
    use_http(router.url)

    def many(name: str) -> None:
        for number in range(100):
            publish(f"t.{name}", number)

    threads = [threading.Thread(target=many, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    router.wait_for(400)
    for name in "abcd":
        numbers = [event["args"][0] for event in router.received if event["topic"] == f"t.{name}"]
        assert numbers == list(range(100))


def test_events_that_wait_travel_together(use_http: UseHttp, router: RecordingRouter) -> None:
    router.open.clear()
    backend = use_http(router.url, TIMEOUT=20)
    publish("t", 0)
    assert router.arrived.wait(10)
    for number in range(1, 1001):
        publish("t", number)
    router.open.set()
    assert flush(10) == 0
    assert [event["args"][0] for event in router.received] == list(range(1001))
    assert router.bodies == 3, "one event, then 500 and 500"
    assert backend.statistics().delivered == 1001


@pytest.mark.django_db(transaction=True)
def test_a_hanging_router_does_not_slow_a_thousand_publications(use_http: UseHttp, hanging_url: str) -> None:
    backend = use_http(hanging_url, TIMEOUT=0.5, cool_down_s=60)
    started_s = time.monotonic()
    with transaction.atomic():
        for number in range(1000):
            publish("t", number)
    publishing_s = time.monotonic() - started_s
    assert publishing_s < 0.5, "the caller waited for the router"
    assert flush(10) == 0
    whole_s = time.monotonic() - started_s
    assert whole_s < 2 * 0.5 + 1, "more than one timeout was paid"
    counted = backend.statistics()
    assert (counted.delivered, counted.failed + counted.dropped) == (0, 1000)
    assert 1 <= counted.failed <= 500, "one request was tried"


@pytest.mark.django_db(transaction=True)
def test_with_on_error_raise_a_hanging_router_costs_one_timeout(use_http: UseHttp, hanging_url: str) -> None:
    backend = use_http(hanging_url, TIMEOUT=0.5, ON_ERROR="raise", cool_down_s=60)
    started_s = time.monotonic()
    raised: list[Exception] = []
    for number in range(1000):
        try:
            publish("t", number)
        except PublishError as error:
            raised.append(error)
    assert time.monotonic() - started_s < 2
    assert len(raised) == 1000
    assert isinstance(raised[1], RouterUnavailable)
    assert (backend.statistics().failed, backend.statistics().dropped) == (1, 999)


def test_a_dead_router_is_logged_once_and_once_more_when_it_is_back(
    use_http: UseHttp, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    backend = use_http(f"http://127.0.0.1:{port}/notify", cool_down_s=0.05)
    with caplog.at_level(logging.WARNING, "heliograph.django"):
        for number in range(50):
            publish("lost", number)
        assert flush(10) == 0
        assert len(_lines(caplog)) == 1
        assert "events are dropped until it answers" in _lines(caplog)[0]
        with recording_router(port) as router:
            deadline_s = time.monotonic() + 10
            while not router.received and time.monotonic() < deadline_s:
                publish("back")
                flush(1)
            router.wait_for(1)
            publish("and.on")
            router.wait_for(2)
            assert flush(5) == 0
            backends.close()
    lost = backend.statistics().failed + backend.statistics().dropped
    assert lost >= 50
    assert _lines(caplog)[1:] == [
        f"the router at http://127.0.0.1:{port}/notify answers again; {lost} events were lost"
    ]
    assert set(router.topics) == {"back", "and.on"}


def test_a_refusal_is_logged_and_closes_nothing(
    use_http: UseHttp, router: RecordingRouter, caplog: pytest.LogCaptureFixture
) -> None:
    backend = use_http(router.url)
    router.refused.add("secret")
    with caplog.at_level(logging.WARNING, "heliograph.django"):
        for _ in range(100):
            publish("secret")
        publish("public")
        assert flush(10) == 0
    counted = backend.statistics()
    assert (counted.delivered, counted.refused, counted.failed, counted.dropped) == (1, 100, 0, 0)
    assert router.topics[-1] == "public"
    assert len(_lines(caplog)) == 7, "refusals 1, 2, 4 … 64 are logged"
    assert "wamp.error.not_authorized" in _lines(caplog)[0]


def test_a_request_the_router_finds_fault_with_costs_no_other_event(
    use_http: UseHttp, router: RecordingRouter, caplog: pytest.LogCaptureFixture
) -> None:
    backend = use_http(router.url)
    router.faulty.add("faulty")
    with caplog.at_level(logging.WARNING, "heliograph.django"):
        publish("faulty")
        publish("public")
        assert flush(10) == 0
    counted = backend.statistics()
    assert (counted.delivered, counted.refused, counted.failed, counted.dropped) == (1, 1, 0, 0)
    (line,) = _lines(caplog)
    assert "'faulty'" in line
    assert re.search(r"HTTP 400|wamp\.error\.invalid_uri", line), "alone in its body, or with the other"


def test_with_on_error_raise_a_refusal_is_raised(use_http: UseHttp, router: RecordingRouter) -> None:
    use_http(router.url, ON_ERROR="raise")
    router.refused.add("secret")
    with pytest.raises(PublicationRefused, match=r"wamp\.error\.not_authorized"):
        publish("secret")
    publish("public")
    assert router.topics == ["secret", "public"]


def test_what_does_not_fit_the_queue_is_dropped_counted_and_logged_once(
    use_http: UseHttp, router: RecordingRouter, caplog: pytest.LogCaptureFixture
) -> None:
    router.open.clear()
    backend = use_http(router.url, TIMEOUT=20, max_pending_events=10)
    with caplog.at_level(logging.ERROR, "heliograph.django"):
        publish("t", 0)
        assert router.arrived.wait(10)
        for number in range(1, 100):
            publish("t", number)
    counted = backend.statistics()
    assert (counted.pending, counted.dropped) == (11, 89), "one is on its way, ten wait"
    assert _lines(caplog) == [f"events to {router.url} are dropped: too many events are waiting"]
    router.open.set()
    assert flush(10) == 0
    assert [event["args"][0] for event in router.received] == list(range(counted.pending))


def test_the_queue_is_bounded_in_bytes_too(use_http: UseHttp, router: RecordingRouter) -> None:
    router.open.clear()
    backend = use_http(router.url, TIMEOUT=20, max_pending_bytes=10_000)
    publish("t", "x" * 1000)
    assert router.arrived.wait(10)
    for _ in range(99):
        publish("t", "x" * 1000)
    assert backend.statistics().pending <= 10
    assert backend.statistics().dropped >= 90
    router.open.set()
    assert flush(10) == 0


def test_a_changed_setting_delivers_what_waits_and_builds_a_new_backend(router: RecordingRouter) -> None:
    http = {"default": {"BACKEND": "heliograph.django.backends.HttpBackend", "LOCATION": router.url}}
    with override_settings(HELIOGRAPH=http):
        former = backends["default"]
        publish("a")
    assert router.topics == ["a"]
    assert isinstance(backends["default"], MemoryBackend)
    with override_settings(HELIOGRAPH=http):
        assert backends["default"] is not former


def test_closing_leaves_no_thread_behind(use_http: UseHttp, router: RecordingRouter) -> None:
    before = set(threading.enumerate())
    use_http(router.url)
    publish("a")
    router.wait_for(1)
    assert [thread.name for thread in set(threading.enumerate()) - before if "heliograph" in thread.name]
    backends.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name == "heliograph-delivery"]


_SETUP = """
import os, sys, threading, time
import django
from django.conf import settings
settings.configure(
    DATABASES={{}}, INSTALLED_APPS=["heliograph.django"],
    HELIOGRAPH={{"default": {{"BACKEND": "heliograph.django.backends.HttpBackend", "LOCATION": {url!r},
                           "TIMEOUT": 30, "OPTIONS": {{"flush_timeout_s": {flush_timeout_s}}}}}}},
)
django.setup()
from heliograph.django import flush, publish
"""


def _run(script: str, url: str, *, flush_timeout_s: float = 5.0) -> subprocess.CompletedProcess[str]:
    setup = _SETUP.format(url=url, flush_timeout_s=flush_timeout_s)
    return subprocess.run(
        # Python 3.12 warns of any fork beside a thread; that it works here is what the test is for.
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore:This process:DeprecationWarning",
            "-c",
            setup + textwrap.dedent(script),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"},
    )


def test_the_end_of_a_command_waits_for_its_events(router: RecordingRouter) -> None:
    done = _run("for number in range(200): publish('t', number)", router.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert [event["args"][0] for event in router.received] == list(range(200))


def test_the_end_of_a_command_waits_no_longer_than_it_may(hanging_url: str) -> None:
    started_s = time.monotonic()
    done = _run("publish('t'); publish('t')", hanging_url, flush_timeout_s=0.3)
    assert done.returncode == 0
    assert "2 events to" in done.stderr
    assert "were not delivered at exit" in done.stderr
    assert time.monotonic() - started_s < 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_worker_delivers_its_own_events_and_not_its_parents(router: RecordingRouter) -> None:
    done = _run(
        """
        publish("parent.before"); assert flush(5) == 0
        publish("parent.pending")
        children = []
        for number in range(2):
            pid = os.fork()
            if pid == 0:
                publish("child", number)
                os._exit(flush(5))
            children.append(pid)
        sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children))
        """,
        router.url,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(router.topics) == ["child", "child", "parent.before", "parent.pending"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_while_the_parents_thread_hangs_does_not_hang_the_child(
    hanging_url: str,
) -> None:
    done = _run(
        """
        publish("hangs")
        pid = os.fork()
        if pid == 0:
            publish("child")
            from heliograph.django.registry import backends
            os._exit(0 if backends["default"].statistics().pending == 1 else 1)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os._exit(status)
        """,
        hanging_url,
    )
    assert (done.returncode, done.stderr) == (0, "")


TOKEN = "correct-horse-battery"
OURS = str(Path(heliograph.__file__).parent)


@pytest.mark.parametrize("stands_in", ["token", "token_file"])
def test_the_token_of_the_path_is_sent(
    use_http: UseHttp, router: RecordingRouter, tmp_path: Path, stands_in: str
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    use_http(router.url, **{stands_in: TOKEN if stands_in == "token" else str(file)})
    publish("t")
    router.wait_for(1)
    assert router.authorizations == [f"Bearer {TOKEN}"]


def test_a_token_is_shown_by_no_object_and_no_variable_of_a_traceback(use_http: UseHttp) -> None:
    backend = use_http(f"http://127.0.0.1:{free_port()}/notify", ON_ERROR="raise", token=TOKEN)
    assert TOKEN not in repr((backend.settings, backend.options))
    with pytest.raises(PublishError) as raised:
        publish("t")
    error: BaseException | None = raised.value
    while error is not None:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert TOKEN not in str([frame.locals for frame in shown.stack if frame.filename.startswith(OURS)])
        error = error.__cause__


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"LOCATION": "nonsense"},
        {"NO_SUCH_KEY": 1},
        {"OPTIONS": {"token": TOKEN, "no_such_option": 1}},
        {"OPTIONS": {"token": TOKEN, "token_file": "x"}},
        {"OPTIONS": {"token": f"{TOKEN}\n"}},
    ],
    ids=str,
)
def test_djangos_page_for_errors_does_not_show_the_token(settings: Settings, change: dict[str, Any]) -> None:
    settings.DEBUG = True
    location = f"http://127.0.0.1:{free_port()}/notify"
    entry = {"BACKEND": HTTP, "LOCATION": location, "ON_ERROR": "raise", "OPTIONS": {"token": TOKEN}}
    settings.HELIOGRAPH = {"default": {**entry, **change}}
    with pytest.raises((PublishError, ImproperlyConfigured)) as raised:
        publish("t")
    below_this_test = raised.tb.tb_next
    error = raised.value.with_traceback(below_this_test)
    page = technical_500_response(RequestFactory().get("/"), raised.type, error, below_this_test)
    assert "heliograph/django" in page.content.decode()
    assert TOKEN not in page.content.decode()
