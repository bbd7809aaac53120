"""The client where there is no uvloop, and on a system that has less than this one.

A Windows machine is not at hand: what it lacks is taken away from the Python that runs these programs. Its proactor
event loop cannot be run here.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nodes import RouterProcess, node_config, router_process

CLIENT = Path(__file__).parents[2] / "src" / "heliograph" / "client"
MODULES = sorted(
    ".".join(["heliograph.client", *path.relative_to(CLIENT).with_suffix("").parts]).removesuffix(".__init__")
    for path in CLIENT.rglob("*.py")
)

WINDOWS = """
import asyncio, os, signal, socket, sys
for name in ("uvloop", "fcntl", "pwd", "grp", "resource", "termios", "cbor2"):
    sys.modules[name] = None
pair, family = socket.socketpair, socket.AF_UNIX
socket.socketpair = lambda: pair(family)  # what event loops wake themselves up by is something else there
for name in ("AF_UNIX", "SO_REUSEPORT"):
    if hasattr(socket, name):
        delattr(socket, name)
for name in ("fork", "getuid", "register_at_fork"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGUSR1"):
    if hasattr(signal, name):
        delattr(signal, name)

class Loop(asyncio.SelectorEventLoop):
    def add_signal_handler(self, *_):
        raise NotImplementedError
    remove_signal_handler = add_signal_handler
    create_unix_connection = create_unix_server = add_signal_handler

class Policy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = Loop

asyncio.set_event_loop_policy(Policy())
"""

SESSION = """
from heliograph.client import connect

async def count(until):
    for number in range(until):
        yield number

async def main():
    assert type(asyncio.get_running_loop()) is Loop
    async with connect(URL, serializers=("msgpack",)) as session:
        async with session.events("a.topic") as events:
            await session.publish_event("a.topic", ["heard"], exclude_me=False)
            print((await events.next()).args)
        await session.register(count, "a.count")
        print([part async for part in session.call_progressive("a.count", [3])])

asyncio.run(main())
"""

BLOCKING = """
from heliograph.client import blocking

with blocking.connect(URL) as session:
    session.register(lambda number: 2 * number, "a.double")
    print(session.call("a.double", 21))
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    with router_process(tmp_path_factory.mktemp("router"), node_config()) as running:
        yield running


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WINDOWS + program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_module_can_be_imported() -> None:
    imports = "\n".join(f"import {module}" for module in MODULES)
    assert run(f"{imports}\nprint('done')") == "done\n"


@pytest.mark.parametrize(
    ("program", "prints"),
    [(SESSION, "['heard']\n[0, 1, 2]\n"), (BLOCKING, "42\n")],
    ids=["asyncio", "blocking"],
)
def test_sessions_work(real: RouterProcess, program: str, prints: str) -> None:
    url = f"ws://127.0.0.1:{real.address[1]}/ws"
    assert run(f"URL = {url!r}\n{program}") == prints


@pytest.mark.parametrize(
    ("name", "library"), [("cbor", "cbor2"), ("cbor", "ormsgpack"), ("msgpack", "ormsgpack")]
)
def test_a_serializer_without_its_library_says_what_to_install(name: str, library: str) -> None:
    program = f"""
import sys
sys.modules["{library}"] = None
from heliograph.client import connect
connect("ws://127.0.0.1:1/ws", serializers=("{name}",))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    told = f"ModuleNotFoundError: the serializer {name} needs {library}: pip install {library}\n"
    assert ended.stderr.endswith(told)


def test_a_plain_session_loads_neither_the_router_nor_what_it_does_not_use() -> None:
    program = """
import heliograph.client.connecting, heliograph.client.session, heliograph.client.websocket, sys
print(sorted(name for name in sys.modules if name in (
    "heliograph.routing", "heliograph.transports", "heliograph.client.blocking", "heliograph.client.rawsocket",
    "uvloop", "cbor2", "argon2", "nacl", "click", "concurrent.futures.thread",
)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
