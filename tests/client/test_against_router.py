"""The client, the publisher and the command line together with the real router, as people run them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph import Publisher
from heliograph.client import (
    Anonymous,
    ApplicationError,
    BadPayload,
    ClientOptions,
    ConnectFailed,
    ConnectionLost,
    Event,
    JoinRefused,
    PublicationRefused,
    PublishError,
    Result,
    Session,
    connect,
)
from tests.client.scripted_router import TIMEOUT_S, eventually
from tests.support.nodes import ALLOW_ALL, RouterProcess, node_config, router_process

READ_ONLY = {
    "name": "realm1",
    "roles": [
        {
            "name": "anonymous",
            "permissions": [
                {"uri": "open", "match": "prefix", "allow": ALLOW_ALL},
                {"uri": "seen", "match": "prefix", "allow": {"subscribe": True}},
            ],
        }
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    with router_process(tmp_path_factory.mktemp("router"), node_config(realm=READ_ONLY)) as running:
        yield running


def websocket_url(router: RouterProcess) -> str:
    host, port = router.address
    return f"ws://{host}:{port}/ws"


def notify_url(router: RouterProcess) -> str:
    host, port = router.address
    return f"http://{host}:{port}/notify"


@pytest.mark.parametrize("name", ["json", "msgpack", "cbor"])
async def test_keys_that_are_no_text_are_refused_before_anything_is_sent(
    real: RouterProcess, name: str
) -> None:
    async with connect(websocket_url(real), serializers=(name,)) as session:
        for value in ({1: 2}, [{"a": {b"b": 1}}], {None: 1}):
            with pytest.raises(BadPayload, match="keys of dictionaries must be texts"):
                await session.publish("open.keys", value)
            with pytest.raises(BadPayload, match="keys of dictionaries must be texts"):
                await session.call("open.keys", value)
        await session.register(lambda: {1: 2}, "open.keys")
        with pytest.raises(ApplicationError, match="keys of dictionaries must be texts"):
            await session.call("open.keys")


@pytest.mark.parametrize("name", ["json", "msgpack", "cbor"])
async def test_so_they_are_in_what_hello_says(real: RouterProcess, name: str) -> None:
    who = Anonymous(authextra={"a": [{1: 2}]})
    with pytest.raises(ConnectFailed, match="keys of dictionaries must be texts"):
        async with (
            asyncio.timeout(TIMEOUT_S),
            connect(websocket_url(real), serializers=(name,), authentication=who),
        ):
            pass


@pytest.mark.parametrize("name", ["json", "msgpack", "cbor"])
async def test_two_sessions_talk_through_the_router(real: RouterProcess, name: str) -> None:
    events: asyncio.Queue[Event] = asyncio.Queue()

    async def divide(dividend: float, divisor: float, *, digits: int = 2) -> Any:
        if divisor == 0:
            raise ApplicationError("com.example.undefined", "by zero", dividend=dividend)
        return Result([round(dividend / divisor, digits)], {"digits": digits})

    url = websocket_url(real)
    async with connect(url, serializers=(name,)) as one, connect(url) as other:
        subscription = await one.subscribe(events.put_nowait, "open.news")
        await one.subscribe(events.put_nowait, "open.weather.berlin")
        publication = await other.publish_event(
            "open.news", ["ä", b"\x00\xff"], {"k": [1, None]}, acknowledge=True
        )
        event = await eventually(events.get())
        assert (event.topic, event.publication, event.args, event.kwargs) == (
            "open.news",
            publication,
            ["ä", b"\x00\xff"],
            {"k": [1, None]},
        )
        await other.publish("open.weather.berlin", 3)
        event = await eventually(events.get())
        assert (event.topic, event.args) == ("open.weather.berlin", [3])
        await subscription.unsubscribe()
        assert await other.publish_event("open.news", acknowledge=True)
        registration = await one.register(divide, "open.divide")
        assert await other.call("open.divide", 1, 3) == Result([0.33], {"digits": 2})
        with pytest.raises(ApplicationError) as caught:
            await other.call("open.divide", 1, 0)
        assert (caught.value.uri, caught.value.kwargs_) == ("com.example.undefined", {"dividend": 1})
        with pytest.raises(ApplicationError, match="procedure_already_exists"):
            await other.register(divide, "open.divide")
        await registration.unregister()
        with pytest.raises(ApplicationError, match="no_such_procedure"):
            await other.call("open.divide", 1, 3)
    assert events.empty()


async def test_a_session_hears_itself_only_when_it_asks_to(real: RouterProcess) -> None:
    events: asyncio.Queue[Event] = asyncio.Queue()
    async with connect(websocket_url(real)) as session:
        await session.subscribe(events.put_nowait, "open.echo")
        await session.publish("open.echo", "not heard")
        await session.publish_event("open.echo", ["heard"], exclude_me=False)
        assert (await eventually(events.get())).args == ["heard"]
    assert events.empty()


async def test_what_the_role_may_not_do_is_refused(real: RouterProcess) -> None:
    async with connect(websocket_url(real)) as session:
        await session.subscribe(print, "seen.topic")
        for refused in (
            session.publish_event("seen.topic", acknowledge=True),
            session.subscribe(print, "secret"),
            session.register(print, "secret"),
            session.call("secret"),
        ):
            with pytest.raises(ApplicationError, match="not_authorized"):
                await refused


async def test_a_realm_and_a_path_that_do_not_exist_are_told_apart(real: RouterProcess) -> None:
    with pytest.raises(JoinRefused, match="no_such_realm"):
        async with connect(websocket_url(real), realm="nowhere"):
            pass
    host, port = real.address
    with pytest.raises(ConnectFailed, match="404"):
        async with connect(f"ws://{host}:{port}/elsewhere"):
            pass


async def test_a_message_above_the_routers_limit_ends_the_session_and_says_so(real: RouterProcess) -> None:
    left: asyncio.Queue[Exception] = asyncio.Queue()
    async with connect(websocket_url(real), reconnect=False) as session:
        session.on_leave(left.put_nowait)
        with pytest.raises(ConnectionLost, match="1009"):
            await session.publish_event("open.large", ["x" * 2_000_000], acknowledge=True)
        assert "1009" in str(await eventually(left.get()))


async def test_ten_thousand_events_arrive_in_order(real: RouterProcess) -> None:
    count, seen, done = 10_000, [], asyncio.Event()

    def handler(event: Event) -> None:
        seen.append(event.args[0])
        if len(seen) == count:
            done.set()

    options = ClientOptions(max_queued_events=count)
    url = websocket_url(real)
    async with connect(url, options=options) as receiver, connect(url) as sender:
        await receiver.subscribe(handler, "open.many")
        for number in range(count):
            await sender.publish("open.many", number)
        async with asyncio.timeout(3 * TIMEOUT_S):
            await done.wait()
    assert seen == list(range(count))


# A router that dies


async def answer_of(session: Session, procedure: str) -> Any:
    """Return what `procedure` returns, or `None` while there is none."""
    try:
        return await session.call(procedure)
    except ApplicationError as error:
        if error.uri != "wamp.error.no_such_procedure":
            raise
        return None


async def test_a_killed_router_is_noticed_and_joined_again_when_it_is_back(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    events: asyncio.Queue[Event] = asyncio.Queue()
    left: asyncio.Queue[Exception] = asyncio.Queue()
    joined = asyncio.Event()
    with router_process(tmp_path, port=port) as first:
        context = connect(websocket_url(first), options=ClientOptions(backoff_max_s=0.2))
        session = await context.__aenter__()
        session.on_join(joined.set)
        session.on_leave(left.put_nowait)
        await session.subscribe(events.put_nowait, "a.topic")
        await session.register(lambda: "at your service", "a.service")
        first.process.send_signal(signal.SIGKILL)
        await eventually(left.get())
        with pytest.raises(ConnectionLost):
            await session.publish("a.topic")
        await asyncio.to_thread(first.process.wait)
    with router_process(tmp_path, port=port) as second:
        await eventually(joined.wait())
        async with connect(websocket_url(second)) as other:
            async with asyncio.timeout(TIMEOUT_S):
                while await answer_of(other, "a.service") is None:
                    continue  # REGISTER was sent at the join; its answer may be on the way
            await other.publish("a.topic", "again")
            assert (await eventually(events.get())).args == ["again"]
        await context.__aexit__(None, None, None)


# The publisher


async def test_a_publication_over_http_reaches_a_session(real: RouterProcess) -> None:
    events: asyncio.Queue[Event] = asyncio.Queue()
    async with connect(websocket_url(real), serializers=("msgpack",)) as session:
        await session.subscribe(events.put_nowait, "open.http")
        with Publisher(notify_url(real)) as publisher:
            publication = await asyncio.to_thread(publisher.publish, "open.http", "ä", b"\x01", k={"v": 1.5})
        event = await eventually(events.get())
    assert (event.publication, event.args, event.kwargs) == (publication, ["ä", b"\x01"], {"k": {"v": 1.5}})


def test_the_routers_refusals_reach_the_publisher(real: RouterProcess) -> None:
    with Publisher(notify_url(real)) as publisher:
        with pytest.raises(PublicationRefused) as caught:
            publisher.publish("secret")
        assert caught.value.uri == "wamp.error.not_authorized"
        with pytest.raises(PublishError) as invalid:
            publisher.publish("not a uri")
        assert "invalid_uri" in str(invalid.value)
        with pytest.raises(PublishError, match="413"):
            publisher.publish("open.large", "x" * 20_000_000)
        assert publisher.publish("open.small") > 0
    with pytest.raises(PublishError, match=r"404.*is the path right"):
        Publisher(notify_url(real) + "x").publish("open.small")


def test_threads_publish_at_once_through_the_router(real: RouterProcess) -> None:
    ids: list[int] = []
    with Publisher(notify_url(real), timeout_s=10) as publisher:

        def work() -> None:
            ids.extend(publisher.publish("open.small") for _ in range(50))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(ids) == len(set(ids)) == 400


# The command line


def heliograph(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "heliograph", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


class Subscriber:
    """`heliograph subscribe` as a process."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "heliograph", "subscribe", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.watchdog = threading.Timer(60, self.process.kill)
        self.watchdog.start()

    def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return json.loads(line)  # type: ignore[no-any-return]  # one object a line

    def end(self) -> int:
        self.process.communicate(timeout=60)
        self.watchdog.cancel()
        return self.process.returncode


def subscribed(real: RouterProcess, topic: str, *arguments: str) -> tuple[Subscriber, dict[str, Any]]:
    """Start a subscriber, publish until it hears the first event, return both."""
    subscriber = Subscriber("--url", websocket_url(real), *arguments)
    heard = threading.Event()

    def knock() -> None:
        with Publisher(notify_url(real)) as publisher:
            while not heard.wait(0.05) and subscriber.process.poll() is None:
                publisher.publish(topic, "knock")

    knocking = threading.Thread(target=knock)
    knocking.start()
    try:
        return subscriber, subscriber.line()
    finally:
        heard.set()
        knocking.join(60)


def test_subscribe_prints_one_json_line_an_event_at_once(real: RouterProcess) -> None:
    subscriber, first = subscribed(real, "open.cli.a", "open.cli.a", "open.cli.b")
    assert (first["topic"], first["args"], first["kwargs"]) == ("open.cli.a", ["knock"], {})
    done = heliograph(
        "publish", "--url", websocket_url(real), "open.cli.b", "text", "5", '"5"', "null", '{"a": [1]}', "1e999", "NaN",
        "--kw", "k=v", "--kw", "n=1", "--kw", "empty=", "--acknowledge",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    while (line := subscriber.line())["args"] == ["knock"]:
        pass
    assert line == {
        "topic": "open.cli.b",
        "publication": int(done.stdout),
        "args": ["text", 5, "5", None, {"a": [1]}, "1e999", "NaN"],
        "kwargs": {"k": "v", "n": 1, "empty": ""},
    }
    subscriber.process.send_signal(signal.SIGINT)
    assert subscriber.end() == 130


def test_subscribe_ends_after_the_events_it_was_to_count(real: RouterProcess) -> None:
    subscriber, _ = subscribed(real, "open.counted", "open.counted", "--count", "1")
    assert subscriber.end() == 0


def test_subscribe_ends_quietly_when_its_reader_goes(real: RouterProcess) -> None:
    """`heliograph subscribe … | head -1`"""
    subscriber, _ = subscribed(real, "open.headed", "open.headed")
    assert subscriber.process.stdout is not None
    subscriber.process.stdout.close()
    subscriber.process.stdout = None
    with Publisher(notify_url(real)) as publisher:
        publisher.publish("open.headed")
    _, errors = subscriber.process.communicate(timeout=60)
    subscriber.watchdog.cancel()
    assert (subscriber.process.returncode, errors) == (1, "")


@pytest.mark.parametrize("url_of", [websocket_url, notify_url])
def test_publish_says_what_the_router_says(
    real: RouterProcess, url_of: Callable[[RouterProcess], str]
) -> None:
    done = heliograph("publish", "--url", url_of(real), "open.http", "1", "--kw", "a=2", "--acknowledge")
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 0
    silent = heliograph("publish", "--url", url_of(real), "open.http")
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")
    refused = heliograph("publish", "--url", url_of(real), "secret")
    assert refused.returncode == 1
    assert refused.stderr.startswith("wamp.error.not_authorized")


async def test_call_prints_the_result_and_fails_with_the_error(real: RouterProcess) -> None:
    def fail() -> None:
        raise ApplicationError("com.example.no", "not today")

    async with connect(websocket_url(real)) as session:
        await session.register(lambda *args, **kwargs: {"args": args, "kwargs": kwargs}, "open.echo")
        await session.register(lambda: Result([1, 2], {"k": 3}), "open.several")
        await session.register(fail, "open.fail")

        async def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
            return await asyncio.to_thread(heliograph, "call", "--url", websocket_url(real), *arguments)

        done = await call("open.echo", "ä", "[1]", "--kw", "k=true", "--serializer", "msgpack")
        assert (done.returncode, json.loads(done.stdout)) == (0, {"args": ["ä", [1]], "kwargs": {"k": True}})
        done = await call("open.several")
        assert json.loads(done.stdout) == {"args": [1, 2], "kwargs": {"k": 3}}
        failed = await call("open.fail")
        assert (failed.returncode, failed.stdout, failed.stderr) == (1, "", "com.example.no: not today\n")
        failed = await call("open.nothing")
        assert (failed.returncode, failed.stdout) == (1, "")
        assert failed.stderr.startswith("wamp.error.no_such_procedure")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["publish", "--url", "ws://127.0.0.1:1/ws", "a.b"], 1, "nobody listens at ws://127.0.0.1:1/ws"),
        (["publish", "--url", "http://127.0.0.1:1/notify", "a.b"], 1, "nobody listens at http://127.0.0.1:1/notify"),
        (["call", "--url", "http://127.0.0.1/ws", "a.b"], 2, "is for a Publisher"),
        (["publish", "--url", "http://", "a.b"], 2, "no HTTP URL"),
        (["publish", "--url", "http://127.0.0.1:1/notify", "--realm", "x", "a.b"], 2, "--realm is for ws:// URLs"),
        (["publish", "a.b", "--kw", "novalue"], 2, "'novalue' is not KEY=VALUE"),
        (["call", "a.b", "--timeout", "0"], 2, "'0' is not a number of seconds"),
        (["subscribe", "a.b", "--count", "0"], 2, "'0' is not a whole number above 0"),
        (["subscribe"], 2, "TOPIC"),
        (["call", "--realm", "my realm", "a.b"], 2, "realm"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_wrong_usage_and_failures_say_what_to_do(arguments: list[str], code: int, says: str) -> None:
    done = heliograph(*arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_the_commands_run_without_the_routers_libraries(real: RouterProcess, tmp_path: Path) -> None:
    """With `pip install heliograph` alone: no uvloop, no cbor2, no uvicorn."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfor absent in ('uvloop', 'cbor2', 'uvicorn', 'starlette', 'yaml', 'psutil', 'django'):\n"
        "    sys.modules[absent] = None\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = heliograph("publish", "--url", websocket_url(real), "open.bare", "--acknowledge", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 0
