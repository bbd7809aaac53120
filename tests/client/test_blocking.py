"""The session that blocks, against the real router, as scripts use it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from heliograph.client import (
    ApplicationError,
    ClientOptions,
    ConnectFailed,
    ConnectionLost,
    Event,
    Gap,
    RequestTimeout,
    Result,
    blocking,
    procedure,
    topic,
)
from heliograph.client.blocking import Invocation, Session
from tests.support.nodes import RouterProcess, node_config, router_process

TIMEOUT_S = 20.0

ADMIN = {
    "name": "realm1",
    "roles": [
        {
            "name": "anonymous",
            "allow-by-default": True,
            "permissions": [{"uri": "wamp.session.kill", "allow": {"call": True}}],
        }
    ],
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    with router_process(tmp_path_factory.mktemp("router"), node_config(realm=ADMIN)) as running:
        yield running


@pytest.fixture
def url(real: RouterProcess) -> str:
    return f"ws://127.0.0.1:{real.address[1]}/ws"


@pytest.fixture
def session(url: str) -> Iterator[Session]:
    with blocking.connect(url, options=ClientOptions(backoff_max_s=0.2)) as joined:
        yield joined


@pytest.fixture
def other(url: str) -> Iterator[Session]:
    with blocking.connect(url) as joined:
        yield joined


def clients() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "heliograph-client"]


# The four roles


def test_events_are_read_in_a_loop(session: Session, other: Session) -> None:
    with session.events("b.topic", max_queued_events=2) as events:
        other.publish("b.topic", "one", k=1)
        other.publish_event("b.topic", ["two"], acknowledge=True)
        first = events.next(TIMEOUT_S)
        assert first is not None
        assert (first.args, first.kwargs) == (["one"], {"k": 1})
        for event in events:
            assert event.args == ["two"]
            break
        with pytest.raises(RequestTimeout, match=r"b\.topic within 0\.01 s"):
            events.next(0.01)
        assert events.dropped == 0
    # A loop of its own ends when nothing has come for a while.
    assert list(session.events("b.topic", timeout_s=0.05)) == []
    assert other.call("wamp.subscription.lookup", "b.topic") is None


def test_a_loop_that_is_left_unsubscribes(session: Session, other: Session) -> None:
    with ThreadPoolExecutor(1) as pool:

        def read() -> Any:
            for event in session.events("b.left", timeout_s=TIMEOUT_S):
                return event.args
            return None

        reading = pool.submit(read)
        until_subscribed(other, "b.left")
        other.publish("b.left", 5)
        assert reading.result(TIMEOUT_S) == [5]
    assert other.call("wamp.subscription.lookup", "b.left") is None


def test_handlers_run_in_threads_in_order_and_may_use_the_session(session: Session, other: Session) -> None:
    heard: list[Any] = []
    done = threading.Event()

    def handler(event: Event) -> None:
        assert threading.current_thread().name.startswith("heliograph-handler")
        heard.append(session.call("b.double", event.args[0]))
        if len(heard) == 50:
            done.set()

    other.register(lambda number: 2 * number, "b.double")
    subscription = session.subscribe(handler, "b.numbers")
    for number in range(50):
        other.publish("b.numbers", number)
    assert done.wait(TIMEOUT_S)
    assert heard == [2 * number for number in range(50)]
    assert (subscription.dropped, subscription.failed) == (0, 0)
    subscription.unsubscribe()
    assert other.call("wamp.subscription.lookup", "b.numbers") is None


def test_calls_return_and_raise(session: Session, other: Session) -> None:
    def divide(dividend: float, divisor: float) -> Any:
        if divisor == 0:
            raise ApplicationError("com.example.undefined", "by zero", dividend=dividend)
        return Result([dividend / divisor], {"rest": 0})

    registration = other.register(divide, "b.divide")
    assert session.call("b.divide", 6, 3) == Result([2], {"rest": 0})
    with pytest.raises(ApplicationError, match="by zero"):
        session.call("b.divide", 1, 0)
    with pytest.raises(ApplicationError, match="invalid_argument"):
        session.call("b.divide")
    assert registration.is_active
    registration.unregister()
    with pytest.raises(ApplicationError, match="no_such_procedure"):
        session.call("b.divide", 1, 1)


def test_a_function_may_block_and_calls_run_side_by_side(session: Session, other: Session) -> None:
    both = threading.Barrier(2, timeout=TIMEOUT_S)
    other.register(both.wait, "b.meet")
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(session.call, "b.meet") for _ in range(2)]
        assert sorted(call.result(TIMEOUT_S) for call in calls) == [0, 1]


def test_progressive_results_and_pieces(session: Session, other: Session) -> None:
    def total(start: int, *, invocation: Invocation) -> int:
        for piece in invocation.pieces:
            start += piece
            invocation.progress(start)
        return start

    def count(until: int) -> Iterator[int]:
        yield from range(until)

    other.register(total, "b.total")
    other.register(count, "b.count")
    call = session.call_progressive("b.total", [100], pieces=range(1, 4), timeout_s=TIMEOUT_S)
    assert list(call) == [101, 103, 106]
    assert call.result == 106
    assert list(session.call_progressive("b.count", [3])) == [0, 1, 2]
    assert session.call("b.count", 3) == Result([0, 1, 2])


def test_a_function_learns_who_calls_and_that_it_gave_up(session: Session, other: Session) -> None:
    begun, gave_up = threading.Event(), threading.Event()
    learned: list[Any] = []

    def slow(invocation: Invocation) -> None:
        learned.append((invocation.procedure, invocation.caller))
        begun.set()
        deadline = time.monotonic() + TIMEOUT_S
        while not invocation.is_canceled and time.monotonic() < deadline:
            time.sleep(0.001)
        with pytest.raises(ConnectionLost):
            invocation.progress("nobody hears this")
        gave_up.set()

    other.register(slow, "b.slow.", "prefix", disclose_caller=True)
    with pytest.raises(RequestTimeout):
        session.call_procedure("b.slow.call", timeout_s=0.2)
    assert begun.wait(TIMEOUT_S)
    assert gave_up.wait(TIMEOUT_S)
    assert learned == [("b.slow.call", session.session_id)]


def test_an_objects_methods_are_added(session: Session, other: Session) -> None:
    heard = threading.Event()

    class Lamp:
        @procedure("brightness")
        def brightness(self) -> int:
            return 7

        @topic("switched")
        def on_switched(self, event: Event) -> None:
            heard.set()

    added = other.add(Lamp(), prefix="b.lamp.")
    assert session.call("b.lamp.brightness") == 7
    session.publish("b.lamp.switched")
    assert heard.wait(TIMEOUT_S)
    added.remove()
    with pytest.raises(ApplicationError, match="no_such_procedure"):
        session.call("b.lamp.brightness")


# Connections


def test_a_connection_that_is_lost_is_joined_again_and_told(session: Session, other: Session) -> None:
    told: list[str] = []
    back = threading.Event()
    session.on_leave(lambda _: told.append("left"))
    session.on_join(lambda: told.append("joined"))
    session.on_rejoin(lambda rejoin: back.set() if rejoin.subscriptions == ("b.again",) else None)
    with session.events("b.again", with_gaps=True) as events:
        other.call("wamp.session.kill", session.session_id)
        assert back.wait(TIMEOUT_S)
        other.publish("b.again", 1)
        assert isinstance(events.next(TIMEOUT_S), Gap)
        event = events.next(TIMEOUT_S)
        assert isinstance(event, Event)
        assert event.args == [1]
        assert events.last_gap is not None
    assert set(told) == {"left", "joined"}
    assert session.joins == 2


def test_what_is_wrong_is_raised_on_entering(url: str) -> None:
    with pytest.raises(ConnectFailed, match="426"):
        blocking.connect(url + "/elsewhere").__enter__()
    with pytest.raises(ValueError, match="is for a Publisher"):
        blocking.connect("http://example.com")
    with pytest.raises(ValueError, match="handler_threads"):
        blocking.connect(url, handler_threads=0)
    assert clients() == []


def test_an_event_loop_that_cannot_be_made_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("too many open files")

    monkeypatch.setattr("asyncio.new_event_loop", fail)
    monkeypatch.setattr("asyncio.events.new_event_loop", fail)
    with pytest.raises(OSError, match="too many open files"):
        blocking.connect(url).__enter__()
    assert clients() == []


def test_an_exception_in_the_block_passes_unchanged_and_nothing_is_left(url: str) -> None:
    with pytest.raises(LookupError, match="in the block"):  # noqa: PT012, SIM117 - the block is what is tested
        with blocking.connect(url) as session:
            assert session.is_joined
            raise LookupError("in the block")
    assert clients() == []
    with pytest.raises(ConnectionLost, match="closed"):
        session.call("b.any")
    with pytest.raises(ConnectionLost, match="closed"):
        session.publish("b.any")


def test_who_waits_in_another_thread_when_the_session_closes_is_told(url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        with blocking.connect(url) as session:
            entered = session.events("b.never")
            entered.__enter__()
            reading = pool.submit(entered.next)
            session.register(threading.Event().wait, "b.forever.", "prefix", concurrency=1)
            calling = pool.submit(session.call, "wamp.session.count")
            assert calling.result(TIMEOUT_S) >= 1
        assert reading.result(TIMEOUT_S) is None


def test_many_threads_use_one_session(session: Session, other: Session) -> None:
    other.register(lambda number: number, "b.echo")

    def call(number: int) -> bool:
        return bool(session.call("b.echo", number) == number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(200)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_is_told_to_connect_for_itself(url: str) -> None:
    program = f"""
import os
from heliograph.client import blocking
with blocking.connect({url!r}) as session:
    child = os.fork()
    try:
        said = str(session.call("wamp.session.count") > 0)
    except RuntimeError as error:
        said = str(error)
    os.write(1, (said + "\\n").encode())  # in one piece, for two processes write
    if child:
        os.waitpid(child, 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = sorted(done.stdout.splitlines())
    assert len(lines) == 2, done.stdout
    assert lines[0] == "True"
    assert "connect in this one, too" in lines[1]


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself Ctrl-C there")
@pytest.mark.parametrize(
    ("waiting", "prints"),
    [
        ("session.call('b.wait')", ["begun", "stopped"]),
        ("next(iter(session.events('b.none')))", []),
        ("session.events('b.none').__enter__().next()", []),
    ],
)
def test_ctrl_c_ends_what_waits_and_then_the_program(
    other: Session, url: str, waiting: str, prints: list[str]
) -> None:
    program = f"""
import time
from heliograph.client import blocking

def wait(*, invocation: blocking.Invocation):
    print("begun", flush=True)
    while not invocation.is_canceled:
        time.sleep(0.001)
    print("stopped", flush=True)

with blocking.connect({url!r}) as session:
    session.register(wait, "b.wait", force_reregister=True)
    print("ready", flush=True)
    {waiting}
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if prints:
            assert process.stdout.readline() == "begun\n"
        else:
            until_subscribed(other, "b.none")
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=TIMEOUT_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert errors.rstrip().endswith("KeyboardInterrupt"), errors
    assert out.split() == prints[1:]


def until_subscribed(session: Session, subject: str) -> None:
    """Wait until somebody is subscribed, which the router tells only who asks."""
    deadline = time.monotonic() + TIMEOUT_S
    while session.call("wamp.subscription.lookup", subject) is None:
        assert time.monotonic() < deadline
