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


PROGRAMS = (
    "autobahn_asyncio.py",
    "autobahn_node.mjs",
    "wampy_node.mjs",
    "xconn_sync.py",
    "xconn_async.py",
    "heliograph_asyncio.py",
)
KINDS = [
    Kind("autobahn_twisted.py", "any"),
    *(Kind(program, serializer) for program in PROGRAMS for serializer in ("json", "msgpack", "cbor")),
]
NAMES = [*(kind.name for kind in KINDS), BROWSER]

PUBLICATION_IDS = "learn the id of a publication"
ERROR_KWARGS = "send errors with keyword arguments"
UNSUBSCRIBE_PATTERN = "unsubscribe from a pattern"
UNREGISTER_WILDCARD = "unregister a wildcard"
TAKE_PROGRESS = "take progressive results"
SEND_PROGRESS = "send progressive results"

_NOT_CANCELED = (
    "it announces no call_canceling as a callee; then the specification has the router disregard its "
    "progressive results"
)
_XCONN = {
    PUBLICATION_IDS: "its `publish` returns nothing",
    ERROR_KWARGS: "its callee's ERROR leaves the keyword payload out",
    TAKE_PROGRESS: "its session takes the first RESULT for the last",
    SEND_PROGRESS: "its callee sends one YIELD",
}
CANNOT = {
    "autobahn_node": {SEND_PROGRESS: _NOT_CANCELED},
    BROWSER: {SEND_PROGRESS: _NOT_CANCELED},
    "wampy_node": {
        SEND_PROGRESS: "it announces no progressive_call_results as a callee",
        UNSUBSCRIBE_PATTERN: "it looks its subscription up without the pattern's kind, and fails",
        UNREGISTER_WILDCARD: "it takes the pattern for a URI that is wrong",
    },
    "xconn_sync": _XCONN,
    "xconn_async": _XCONN,
}
"""What a client library cannot do, and why."""


def why_not(name: str, ability: str) -> str | None:
    """Return why the client of that name cannot do something, None when it can."""
    library = name if name == BROWSER else name.partition("-")[0]
    return CANNOT.get(library, {}).get(ability)


def missing(what: str) -> None:
    """Skip, or fail where everything must be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}; `make install` does it")
    pytest.skip(f"{what} (`make install` does it)")


def start(kind: Kind, url: str, directory: Path, *, prefix: str = "com.example") -> ProcessClient:
    """Start a client; it has not joined yet."""
    prefix = f"{prefix}.{kind.name.replace('-', '_')}"
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
