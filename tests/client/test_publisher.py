"""Publishing from synchronous code: once, in time, and with an error that says what to do."""

import datetime
import decimal
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import heliograph
from heliograph import Publisher
from heliograph.client.errors import (
    ApplicationError,
    BadPayload,
    HeliographError,
    PublicationRefused,
    PublishError,
    WampError,
)
from heliograph.client.publisher import MAX_IDLE_CONNECTIONS, MAX_RESPONSE_BYTES
from tests.client.scripted_http import ScriptedHttp, http, says, says_json


@pytest.fixture
def server() -> Iterator[ScriptedHttp]:
    scripted = ScriptedHttp()
    yield scripted
    scripted.stop()


@pytest.fixture
def publisher(server: ScriptedHttp) -> Iterator[Publisher]:
    with Publisher(server.url) as made:
        yield made


# What is sent


def test_everything_after_the_topic_is_payload(server: ScriptedHttp, publisher: Publisher) -> None:
    assert publisher.publish("com.example.news", 1, "two", topic="mine", self=None, options=[]) == 4711
    assert server.bodies == [
        {
            "topic": "com.example.news",
            "args": [1, "two"],
            "kwargs": {"topic": "mine", "self": None, "options": []},
        }
    ]
    head = server.heads[0].decode()
    assert head.startswith("POST /notify HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n" in head
    assert "\r\nContent-Type: application/json\r\n" in head


def test_options_go_beside_the_payload(server: ScriptedHttp, publisher: Publisher) -> None:
    publisher.publish_event("a.b", [1], {"k": 2}, options={"exclude_authid": ["joe"]})
    publisher.publish_event("a.b")
    assert server.bodies == [
        {"topic": "a.b", "args": [1], "kwargs": {"k": 2}, "options": {"exclude_authid": ["joe"]}},
        {"topic": "a.b", "args": []},
    ]


def test_what_django_models_hold_is_sent_as_text(server: ScriptedHttp, publisher: Publisher) -> None:
    publisher.publish(
        "a.b",
        datetime.datetime(2026, 11, 23, 8, 28, tzinfo=datetime.UTC),
        datetime.date(2026, 11, 23),
        decimal.Decimal("1.10"),
        uuid.UUID(int=1),
        b"\x00\xff",
        {"nested": decimal.Decimal(2)},
    )
    assert server.bodies[0]["args"] == [
        "2026-11-23T08:28:00Z",
        "2026-11-23",
        "1.10",
        "00000000-0000-0000-0000-000000000001",
        "\x00AP8=",  # WAMP's form of binary in JSON
        {"nested": "2"},
    ]


@pytest.mark.parametrize("value", [object(), float("inf"), "\ud800", {(1,): 1}], ids=repr)
def test_what_json_has_no_form_for_is_refused_before_anything_is_sent(
    server: ScriptedHttp, publisher: Publisher, value: Any
) -> None:
    with pytest.raises(BadPayload):
        publisher.publish("a.b", value)
    assert server.bodies == []
    assert publisher.publish("a.b") == 4711


def test_a_topic_that_is_no_text_is_refused(publisher: Publisher) -> None:
    with pytest.raises(TypeError, match="topic must be a str, not int"):
        publisher.publish(5)  # type: ignore[arg-type]  # that is the point


def test_a_path_and_query_are_sent_as_they_are_and_a_query_is_never_shown(server: ScriptedHttp) -> None:
    server.answer = says_json({"error": "no"}, "403 Forbidden")
    url = f"http://127.0.0.1:{server.port}/a/ä b?ticket=s3cret&x=%20"
    with Publisher(url) as publisher, pytest.raises(PublishError) as caught:
        publisher.publish("a.b")
    assert server.heads[0].startswith(b"POST /a/%C3%A4%20b?ticket=s3cret&x=%20 HTTP/1.1\r\n")
    assert "s3cret" not in str(caught.value)


# Answers


def test_a_refusal_of_the_router_has_its_uri_and_payload(server: ScriptedHttp, publisher: Publisher) -> None:
    server.answer = says_json({"error": "wamp.error.not_authorized", "args": ["not you"], "kwargs": {"a": 1}})
    with pytest.raises(PublicationRefused) as caught:
        publisher.publish("a.b")
    assert (caught.value.uri, caught.value.args_, caught.value.kwargs_) == (
        "wamp.error.not_authorized",
        ["not you"],
        {"a": 1},
    )
    assert str(caught.value) == "wamp.error.not_authorized: not you, a=1"
    assert isinstance(caught.value, PublishError)
    assert not caught.value.may_have_arrived


@pytest.mark.parametrize(
    ("answer", "says_what", "may_have_arrived"),
    [
        (http("400 Bad Request", b'{"error":"no topic","args":[],"kwargs":{}}'), "400: no topic", False),
        (http("403 Forbidden", b'{"error":"origin"}'), "403: origin: the router refuses", False),
        (http("404 Not Found", b"<h1>nothing here</h1>"), "404: <h1>nothing here</h1>: is the path right", False),
        (http("405 Method Not Allowed", b""), "405: is the path right", False),
        (http("413 Too Large", b'{"error":"at most 1 MiB"}'), "413: at most 1 MiB", False),
        (http("301 Moved", b"", "Location: https://x/"), "301: it has moved to https://x/", False),
        (http("502 Bad Gateway", b"\xff\xfe"), "502", True),
        (http("200 OK", b"<html>"), "did not answer as a publisher does .*is the path right", True),
        (http("200 OK", b"{}"), "no publication id", True),
        (http("200 OK", b'{"id": "x"}'), "did not answer as a publisher does", True),
        (http("200 OK", b"[" * 100_000), "did not answer as a publisher does", True),
        (http("204 No Content", b""), "204", False),
        (b"SSH-2.0-OpenSSH\r\n", "without a whole answer", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "without a whole answer", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n{}", "no publication id", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "without a whole answer", True),
        (b"", "without a whole answer", True),
        (http("200 OK", b" " * (MAX_RESPONSE_BYTES + 1)), "more than 1048576 bytes", True),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500, "without a whole answer", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000, "more than 1048576 bytes", True),
    ],
    ids=[
        "bad body", "forbidden", "wrong path", "wrong method", "too large", "moved", "bad gateway", "a page", "no id",
        "wrong id", "deep", "no content", "not HTTP", "half a body", "bad length", "bad chunk", "nothing", "huge body",
        "many headers", "endless interim answers",
    ],
)  # fmt: skip
def test_each_wrong_answer_says_what_to_do_and_whether_the_event_may_be_out(
    server: ScriptedHttp, publisher: Publisher, answer: bytes, says_what: str, *, may_have_arrived: bool
) -> None:
    server.answer = says(answer, keep=False)
    with pytest.raises(PublishError, match=says_what) as caught:
        publisher.publish("a.b")
    assert caught.value.may_have_arrived is may_have_arrived
    server.close_connections()
    server.answer = says_json({"id": 1})
    assert publisher.publish("a.b") == 1
    assert len(server.bodies) == 2


def test_a_chunked_answer_is_read(server: ScriptedHttp, publisher: Publisher) -> None:
    server.answer = says(
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{"id":12\r\n2\r\n3}\r\n0\r\n\r\n'
    )
    assert [publisher.publish("a.b"), publisher.publish("a.b")] == [123, 123]
    assert len(server.connections) == 1


# Connections


def test_one_connection_serves_many_publications(server: ScriptedHttp, publisher: Publisher) -> None:
    for _ in range(20):
        publisher.publish("a.b")
    assert len(server.connections) == 1


def test_a_server_that_closes_after_each_answer_is_taken_at_its_word(
    server: ScriptedHttp, publisher: Publisher
) -> None:
    server.answer = says(http("200 OK", b'{"id": 1}', "Connection: close"), keep=False)
    assert [publisher.publish("a.b") for _ in range(3)] == [1, 1, 1]
    assert len(server.connections) == len(server.bodies) == 3


def test_a_connection_the_server_closed_meanwhile_is_replaced_before_anything_is_sent(
    server: ScriptedHttp, publisher: Publisher
) -> None:
    for number in range(1, 6):
        assert publisher.publish("a.b", number) == 4711
        server.close_connections()
    assert [body["args"] for body in server.bodies] == [[1], [2], [3], [4], [5]]  # each once


def test_bytes_that_nobody_asked_for_spoil_a_connection(server: ScriptedHttp, publisher: Publisher) -> None:
    """Else they would be taken for the answer to the next publication."""
    assert publisher.publish("a.b") == 4711
    server.connections[0].sendall(http("200 OK", b'{"id": 666}'))
    assert publisher.publish("a.b") == 4711
    assert len(server.connections) == 2


def test_an_event_is_never_sent_twice_when_the_server_dies_on_a_kept_connection(
    server: ScriptedHttp, publisher: Publisher
) -> None:
    publisher.publish("a.b", 1)
    server.answer = says(b"", keep=False)
    with pytest.raises(PublishError, match="may or may not have been published") as caught:
        publisher.publish("a.b", 2)
    assert caught.value.may_have_arrived
    assert [body["args"] for body in server.bodies] == [[1], [2]]


def test_a_kept_connection_that_is_reset_in_the_middle_of_a_request_did_not_publish_it() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(http("200 OK", b'{"id": 1}'))
        connection.recv(1000)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with Publisher(f"http://127.0.0.1:{listener.getsockname()[1]}/notify") as publisher:
        assert publisher.publish("a.b") == 1
        with pytest.raises(PublishError, match="was not published") as caught:
            publisher.publish("a.b", "x" * 50_000_000)
    assert not caught.value.may_have_arrived
    thread.join(10)
    with pytest.raises(TimeoutError):  # nor was it tried again
        listener.accept()
    listener.close()


def test_an_answer_that_does_not_come_is_given_up_in_time_and_its_connection_with_it(
    server: ScriptedHttp,
) -> None:
    release = threading.Event()

    def wait(connection: socket.socket, _: bytes) -> bool:
        return release.wait(10)

    server.answer = wait
    with Publisher(server.url, timeout_s=0.1) as publisher:
        began = time.monotonic()
        with pytest.raises(PublishError, match=r"did not answer within 0\.1 s: .* may or may not") as caught:
            publisher.publish("a.b")
        assert time.monotonic() - began < 1
        assert caught.value.may_have_arrived
        release.set()
        server.answer = says_json({"id": 2})
        assert publisher.publish("a.b") == 2
    assert len(server.connections) == 2


def test_a_server_that_drips_cannot_hold_the_caller(server: ScriptedHttp) -> None:
    stop = threading.Event()

    def drip(connection: socket.socket, _: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not stop.wait(0.01):
            connection.sendall(b"y")
        return False

    server.answer = drip
    with Publisher(server.url, timeout_s=0.2) as publisher:
        began = time.monotonic()
        with pytest.raises(PublishError, match="did not answer within"):
            publisher.publish("a.b")
        assert time.monotonic() - began < 1
    stop.set()


def test_a_refusal_before_the_body_was_read_is_told_and_the_event_was_not_published(
    server: ScriptedHttp,
) -> None:
    """What a router does with a body above its limit."""
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(http("413 Too Large", b'{"error":"at most 1 MiB"}', "Connection: close"))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
        connection.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/notify"
    with Publisher(url) as publisher, pytest.raises(PublishError, match="413: at most 1 MiB"):
        publisher.publish("a.b", "x" * 3_000_000)
    thread.join(10)
    listener.close()


def test_a_server_that_stops_reading_is_given_up_and_the_event_was_not_published() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/notify"
    with Publisher(url, timeout_s=0.2) as publisher:
        with pytest.raises(PublishError, match="was not published") as caught:
            publisher.publish("a.b", "x" * 50_000_000)
        assert not caught.value.may_have_arrived
    listener.close()


def test_nobody_listening_says_what_to_check() -> None:
    free = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{free.getsockname()[1]}/notify"
    free.close()
    with Publisher(url) as publisher, pytest.raises(PublishError) as caught:
        publisher.publish("a.b")
    assert str(caught.value).startswith(f"nobody listens at {url}: is the router running there?")
    assert not caught.value.may_have_arrived
    assert isinstance(caught.value, HeliographError)


def test_a_host_without_address_says_so() -> None:
    url = "http://host.invalid/notify"
    with Publisher(url) as publisher, pytest.raises(PublishError, match=f"cannot connect to {url}"):
        publisher.publish("a.b")


def test_many_threads_publish_at_once_and_few_connections_are_kept(
    server: ScriptedHttp, publisher: Publisher
) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(20)

    def work(number: int) -> None:
        try:
            start.wait(10)
            for each in range(20):
                assert publisher.publish("a.b", number, each) == 4711
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    sent = [tuple(body["args"]) for body in server.bodies]
    assert len(sent) == len(set(sent)) == 400
    assert len(publisher._idle) <= MAX_IDLE_CONNECTIONS


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_opens_a_connection_of_its_own(server: ScriptedHttp, publisher: Publisher) -> None:
    """As gunicorn's preloaded workers do. Two processes on one connection would read each other's answers."""
    program = """
import os, sys
from heliograph import Publisher
publisher = Publisher(sys.argv[1])
publisher.publish("a.b", "parent")
children = []
for number in range(3):
    child = os.fork()
    if child == 0:
        for _ in range(5):
            assert publisher.publish("a.b", "child") == 4711
        os._exit(0)
    children.append(child)
for _ in range(5):
    assert publisher.publish("a.b", "parent") == 4711
for child in children:
    assert os.waitpid(child, 0)[1] == 0
publisher.close()
"""
    subprocess.run([sys.executable, "-c", program, server.url], check=True, timeout=60)
    assert len(server.bodies) == 21
    assert len(server.connections) == 4


def test_a_closed_publisher_says_so_and_leaves_no_connection(server: ScriptedHttp) -> None:
    publisher = Publisher(server.url)
    publisher.publish("a.b")
    publisher.close()
    publisher.close()
    server.close_connections()  # ends only when the client's side is closed
    with pytest.raises(PublishError, match="closed"):
        publisher.publish("a.b")
    assert len(publisher._idle) == 0


@pytest.mark.parametrize(
    ("url", "says_what"),
    [
        ("ws://127.0.0.1/ws", "no HTTP URL; a router's publisher looks like"),
        ("127.0.0.1:8080/notify", "no HTTP URL"),
        ("http:///notify", "no HTTP URL"),
        ("http://joe:secret@127.0.0.1/notify", "not supported"),
        ("http://127.0.0.1:99999/", "[Pp]ort"),
    ],
)
def test_a_wrong_url_is_refused_at_once_and_no_secret_is_shown(url: str, says_what: str) -> None:
    with pytest.raises(ValueError, match=says_what) as caught:
        Publisher(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"timeout_s": 0}, {"connect_timeout_s": -1}, {"timeout_s": float("nan")}])
def test_wrong_timeouts_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Publisher("http://127.0.0.1/notify", **wrong)


# The package


def test_importing_the_package_loads_nothing_and_a_publisher_no_asyncio() -> None:
    program = """
import sys
import heliograph
assert not [name for name in sys.modules if name.startswith(("heliograph.", "msgspec", "picows"))]
heliograph.Publisher
loaded = [name for name in ("asyncio", "picows", "cbor2", "uvloop", "django") if name in sys.modules]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_session_needs_neither_cbor2_nor_uvloop() -> None:
    program = """
import sys
for absent in ("cbor2", "uvloop", "uvicorn", "starlette", "django", "psutil"):
    sys.modules[absent] = None
from heliograph.client import connect
connect("ws://127.0.0.1/ws", serializers=("json", "msgpack"))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("module", [heliograph, heliograph.client])
def test_every_exported_name_is_there_and_no_other(module: Any) -> None:
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = module.Nothing


@pytest.mark.parametrize(
    "error",
    [
        ApplicationError("a.b", 1, k=2),
        PublicationRefused("a.b", [1], {"k": 2}),
        PublishError("no", may_have_arrived=True),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error: Exception) -> None:
    """Task queues send them from one process to another."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    if isinstance(error, WampError):
        assert isinstance(copy, WampError)
        assert (copy.uri, copy.args_, copy.kwargs_) == ("a.b", [1], {"k": 2})


# The token


TOKEN = "correct-horse-battery"
OURS = str(Path(heliograph.__file__).parent)


def test_a_token_is_sent_with_each_request(server: ScriptedHttp) -> None:
    with Publisher(server.url, token=TOKEN) as publisher:
        publisher.publish("com.example.t")
        publisher.publish("com.example.t", "again")
    assert len(server.heads) == 2
    for head in server.heads:
        assert head.decode().count(f"\r\nAuthorization: Bearer {TOKEN}\r\n") == 1


def test_without_a_token_nothing_is_sent_in_its_place(server: ScriptedHttp, publisher: Publisher) -> None:
    publisher.publish("com.example.t")
    assert b"authorization" not in server.heads[0].lower()


@pytest.mark.parametrize(
    "token", ["", "too-short", "x" * 513, f"{TOKEN}\n", f"{TOKEN}\r\nHost: evil", "é" * 20, "\udc80" * 20]
)
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValueError, match="the token must have 16 to 512") as raised:
        Publisher("http://127.0.0.1:1/notify", token=token)
    assert not token or token not in str(raised.value)


@pytest.mark.parametrize("answer", [http("401 Unauthorized", b"no"), b"", b"nonsense"])
def test_no_error_shows_the_token_nor_does_a_variable_of_its_traceback(
    server: ScriptedHttp, answer: bytes
) -> None:
    server.answer = says(answer, keep=False)
    publisher = Publisher(server.url, token=TOKEN)
    with pytest.raises(PublishError) as raised:
        publisher.publish("com.example.t")
    error: BaseException | None = raised.value
    while error is not None:
        assert TOKEN not in str(error)
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        ours = [frame for frame in shown.stack if frame.filename.startswith(OURS)]
        assert ours
        assert not [frame for frame in ours if TOKEN in str(frame.locals)]
        error = error.__cause__
