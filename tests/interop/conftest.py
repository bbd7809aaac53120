"""A router and one client of each kind, all in the same realm."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.interop.foreign import BrowserClient, Client, ProcessClient
from tests.support.browser import chromium
from tests.support.nodes import (
    ALLOW_ALL,
    USUAL_PATHS,
    RouterProcess,
    node_config,
    router_process,
    web_transport,
)

HERE = Path(__file__).resolve().parent
CLIENTS = HERE / "clients"
PACKAGES = HERE / "node_modules"
TOPIC = "com.example.news"
FORBIDDEN = "com.example.forbidden."
REALM_NAME = "realm1"
REALM = {
    "name": REALM_NAME,
    "roles": [
        {
            "name": "anonymous",
            "permissions": [
                {"uri": "", "match": "prefix", "allow": ALLOW_ALL},
                {"uri": FORBIDDEN, "match": "prefix", "allow": dict.fromkeys(ALLOW_ALL, False)},
            ],
        }
    ],
}
BROWSER = "autobahn-browser"


class Kind(NamedTuple):
    """A client library, the program that uses it, and its wire format."""

    program: str
    serializer: str

    @property
    def name(self) -> str:
        return f"{self.program.partition('.')[0]}-{self.serializer}"


KINDS = [
    Kind("autobahn_twisted.py", "any"),
    *(
        Kind(program, serializer)
        for program in ("autobahn_asyncio.py", "autobahn_node.mjs", "wampy_node.mjs", "heliograph_asyncio.py")
        for serializer in ("json", "msgpack", "cbor")
    ),
]
NAMES = [*(kind.name for kind in KINDS), BROWSER]


def missing(what: str) -> None:
    """Skip, or fail where everything must be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}; `make install` does it")
    pytest.skip(f"{what} (`make install` does it)")


def start(kind: Kind, url: str, directory: Path) -> ProcessClient:
    """Start a client; it has not joined yet."""
    prefix = f"com.example.{kind.name.replace('-', '_')}"
    interpreter = sys.executable if kind.program.endswith(".py") else shutil.which("node")
    if interpreter is None or not PACKAGES.is_dir():
        missing("Node or the packages of tests/interop are not installed")
    command: Sequence[str] = [
        str(interpreter), str(CLIENTS / kind.program), url, REALM_NAME, kind.serializer, TOPIC, prefix,
    ]  # fmt: skip
    return ProcessClient(kind.name, command, prefix, directory)


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """A router that serves the browser's page too."""
    directory = tmp_path_factory.mktemp("router")
    static = directory / "static"
    static.mkdir()
    for name in ("autobahn_browser.html", "autobahn_session.mjs"):
        shutil.copy(CLIENTS / name, static)
    bundle = PACKAGES / "autobahn-browser" / "autobahn.min.jgz"
    if not bundle.exists():
        missing("the packages of tests/interop are not installed")
    shutil.copy(bundle, static)
    paths = {**USUAL_PATHS, "static": {"type": "static", "directory": "static"}}
    with router_process(directory, node_config(web_transport(paths), realm=REALM)) as running:
        yield running


@pytest.fixture(scope="module")
def clients(router: RouterProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Client]]:
    """Every kind of client, joined, by name."""
    directory = tmp_path_factory.mktemp("clients")
    host, port = router.address
    running: dict[str, Client] = {}
    with ExitStack() as stack:
        started: list[ProcessClient] = []
        for kind in KINDS:
            client = start(kind, f"ws://{host}:{port}/ws", directory)
            stack.callback(client.stop)
            started.append(client)
        page = stack.enter_context(chromium()).new_page()
        page.goto(f"http://{host}:{port}/static/autobahn_browser.html")
        in_page = BrowserClient(BROWSER, page, realm=REALM_NAME, topic=TOPIC, prefix="com.example.browser")
        stack.callback(in_page.stop)
        for client in started:
            client.wait_ready()
            running[client.name] = client
        running[BROWSER] = in_page
        yield running
