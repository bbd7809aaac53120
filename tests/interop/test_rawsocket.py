"""Foreign clients over RawSocket, by TCP and by Unix socket, with one that came by WebSocket among them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.interop.conftest import (
    ERROR_KWARGS,
    REALM,
    SEND_PROGRESS,
    TAKE_PROGRESS,
    TOPIC,
    Kind,
    start,
    why_not,
)
from tests.interop.foreign import REFUSAL, ProcessClient, Refused
from tests.support.nodes import RouterProcess, node_config, rawsocket_transport, router_process, web_transport

SERIALIZERS = ("json", "msgpack", "cbor")
PROGRAMS = ("autobahn_asyncio.py", "xconn_sync.py", "xconn_async.py")
OVER_TCP = [
    Kind("autobahn_twisted.py", "any"),
    *(Kind(program, serializer) for program in PROGRAMS for serializer in SERIALIZERS),
]
OVER_UNIX = [Kind("xconn_sync.py", "cbor"), Kind("xconn_async.py", "json")]
OVER_WEBSOCKET = [Kind("autobahn_asyncio.py", "json")]
NAMES = [
    *(f"{kind.name}-tcp" for kind in OVER_TCP),
    *(f"{kind.name}-unix" for kind in OVER_UNIX),
    *(f"{kind.name}-ws" for kind in OVER_WEBSOCKET),
]
KWARGS = {"text": "ä", "nothing": None}


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    # xconn's blocking client keeps its socket, after GOODBYE, until the router gives up waiting for another HELLO.
    soon = {"hello": {"hello_timeout_s": 3}}
    unix = {"type": "rawsocket", "endpoint": {"type": "unix", "path": "raw.sock"}, **soon}
    config = node_config(web_transport(), rawsocket_transport(**soon), unix, realm=REALM)
    with router_process(tmp_path_factory.mktemp("router"), config) as running:
        yield running


@pytest.fixture(scope="module")
def clients(
    router: RouterProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, ProcessClient]]:
    """Every kind of client, joined, by name."""
    (host, port), (_, raw_port) = router.addresses
    socket = router.errors.parent / "raw.sock"
    urls = {
        "tcp": (f"rs://{host}:{raw_port}", OVER_TCP),
        "unix": (f"unix://{socket}", OVER_UNIX),
        "ws": (f"ws://{host}:{port}/ws", OVER_WEBSOCKET),
    }
    running: dict[str, ProcessClient] = {}
    with ThreadPoolExecutor(len(NAMES)) as pool:
        for transport, (url, kinds) in urls.items():
            directory: Path = tmp_path_factory.mktemp(transport)
            for kind in kinds:
                client = start(kind, url, directory, prefix=f"com.example.{transport}")
                running[f"{kind.name}-{transport}"] = client
        try:
            for client in running.values():
                client.wait_ready()
            yield running
        finally:
            list(pool.map(ProcessClient.stop, running.values()))


@pytest.mark.parametrize("name", NAMES)
def test_what_one_publishes_all_others_receive(clients: dict[str, ProcessClient], name: str) -> None:
    clients[name].do("publish", TOPIC, args=[name, 2**53 - 1], kwargs=KWARGS)

    expected = {"topic": TOPIC, "args": [name, 2**53 - 1], "kwargs": KWARGS}
    received = {other: client.next_event() for other, client in clients.items() if other != name}
    assert received == dict.fromkeys(received, expected)


@pytest.mark.parametrize("name", NAMES)
def test_each_calls_the_procedures_of_all_and_hears_their_errors(
    clients: dict[str, ProcessClient], name: str
) -> None:
    for other, callee in clients.items():
        result = clients[name].do("call", f"{callee.prefix}.echo", args=[name, "x" * 70_000], kwargs=KWARGS)
        assert result == {"args": [name, "x" * 70_000], "kwargs": KWARGS}, other
        with pytest.raises(Refused) as refused:
            clients[name].do("call", f"{callee.prefix}.refuse", args=[], kwargs={})
        left_out = {"kwargs": {}} if why_not(other, ERROR_KWARGS) else {}
        assert refused.value.error == {**REFUSAL, **left_out}, other


@pytest.mark.parametrize("name", [name for name in NAMES if not why_not(name, TAKE_PROGRESS)])
def test_progressive_results_come_one_by_one(clients: dict[str, ProcessClient], name: str) -> None:
    for other, callee in clients.items():
        if not why_not(other, SEND_PROGRESS):
            callee.do("register", f"{callee.prefix}.count", procedure="count")
            counted = clients[name].do("call", f"{callee.prefix}.count", args=[3], kwargs={}, progress=True)
            assert counted == {"args": [3], "kwargs": {}, "progress": [[0], [1], [2]]}, other
            callee.do("undo", f"{callee.prefix}.count")
