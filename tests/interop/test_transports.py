"""Foreign clients over what is no plain WebSocket: compressed by themselves, and by HTTP requests alone."""

import re
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.interop.conftest import CLIENTS, PACKAGES, REALM, REALM_NAME, TOPIC, missing
from tests.interop.foreign import REFUSAL, BrowserClient, Client, ProcessClient, Refused
from tests.support.browser import chromium
from tests.support.nodes import RouterProcess, node_config, router_process, web_transport

KEEPING = {"no_context_takeover": False, "request_no_context_takeover": False}
PATHS = {
    "compressed": {"type": "websocket", "options": {"compression": {"deflate": {}}}},
    "contexts": {"type": "websocket", "options": {"compression": {"deflate": KEEPING}}},
    "narrow": {
        "type": "websocket",
        "options": {"compression": {"deflate": {"max_window_bits": 9, "request_max_window_bits": 9}}},
    },
    "lp": {"type": "longpoll"},
    "static": {"type": "static", "directory": "static"},
    "metrics": {"type": "metrics"},
}
COMPRESSED = ["compressed", "contexts", "narrow"]
TEXT = "light " * 4000
"""24,000 bytes that compress to a few hundred."""


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    directory = tmp_path_factory.mktemp("router")
    (directory / "static").mkdir()
    bundle = PACKAGES / "autobahn-browser" / "autobahn.min.jgz"
    if not bundle.exists():
        missing("the packages of tests/interop are not installed")
    for file in (CLIENTS / "autobahn_browser.html", CLIENTS / "autobahn_session.mjs", bundle):
        shutil.copy(file, directory / "static")
    with router_process(directory, node_config(web_transport(PATHS), realm=REALM)) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def clients(
    router: RouterProcess, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Client]]:
    """Autobahn for Python and in a browser at each compressed path, and in a browser by long-poll."""
    directory = tmp_path_factory.mktemp("clients")
    host, port = router.address
    running: dict[str, Client] = {}
    with ExitStack() as stack:
        for path in COMPRESSED:
            name, prefix = f"python-{path}", f"com.example.python_{path}"
            program = [sys.executable, str(CLIENTS / "autobahn_asyncio.py"), f"ws://{host}:{port}/{path}"]
            client = ProcessClient(name, [*program, REALM_NAME, "json", TOPIC, prefix], prefix, directory)
            stack.callback(client.stop)
            client.wait_ready()
            running[name] = client
        asked = {
            **{f"browser-{path}": f"websocket=/{path}" for path in COMPRESSED},
            "long-poll": "longpoll=/lp",
        }
        for name, query in asked.items():
            page = browser.new_page()
            page.goto(f"http://{host}:{port}/static/autobahn_browser.html?{query}")
            prefix = f"com.example.{name.replace('-', '_')}"
            client_there = BrowserClient(name, page, realm=REALM_NAME, topic=TOPIC, prefix=prefix)
            stack.callback(client_there.stop)
            running[name] = client_there
        yield running


NAMES = [*(f"{kind}-{path}" for kind in ("python", "browser") for path in COMPRESSED), "long-poll"]


@pytest.mark.parametrize("name", NAMES)
def test_what_one_publishes_all_others_receive(clients: dict[str, Client], name: str) -> None:
    for number in range(3):
        clients[name].do("publish", TOPIC, args=[name, number, TEXT], kwargs={"a": ["ä", None]})
    for other, client in clients.items():
        if other != name:
            events = [client.next_event() for _ in range(3)]
            assert [event["args"] for event in events] == [[name, number, TEXT] for number in range(3)], other
            assert {str(event["kwargs"]) for event in events} == {str({"a": ["ä", None]})}


@pytest.mark.parametrize("name", NAMES)
def test_each_calls_the_procedures_of_all(clients: dict[str, Client], name: str) -> None:
    for other, callee in clients.items():
        result = clients[name].do("call", f"{callee.prefix}.echo", args=[TEXT, 1], kwargs={})
        assert result == {"args": [TEXT, 1], "kwargs": {}}, other
        with pytest.raises(Refused) as refused:
            clients[name].do("call", f"{callee.prefix}.refuse", args=[], kwargs={})
        assert refused.value.error == REFUSAL


def bytes_sent(router: RouterProcess) -> int:
    host, port = router.address
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as response:
        found = re.search(
            r"^heliograph_transport_bytes_sent_total\S* (\d+)", response.read().decode(), re.MULTILINE
        )
    assert found is not None
    return int(found[1])


def test_what_they_are_sent_is_compressed(clients: dict[str, Client], router: RouterProcess) -> None:
    before = bytes_sent(router)
    clients["long-poll"].do("publish", TOPIC, args=[TEXT], kwargs={})
    for name in NAMES[:-1]:
        assert clients[name].next_event()["args"] == [TEXT]
    # All of them together got less than one of them would have without compression.
    assert len(NAMES) * 10 < bytes_sent(router) - before < len(TEXT) / 2


def test_a_long_poll_client_is_told_when_the_router_stops(
    tmp_path: Path, router: RouterProcess, browser: Browser
) -> None:
    shutil.copytree(router.errors.parent / "static", tmp_path / "static")
    with router_process(tmp_path, node_config(web_transport(PATHS), realm=REALM)) as stopping:
        host, port = stopping.address
        page = browser.new_page()
        page.goto(f"http://{host}:{port}/static/autobahn_browser.html?longpoll=/lp")
        client = BrowserClient("long-poll", page, realm=REALM_NAME, topic=TOPIC, prefix="com.example.p")
        assert stopping.terminate() == 0
        assert client.left()["reason"] == "wamp.close.system_shutdown"
