"""Who relies on pages of other origins is told so, and what a port may be told to believe."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.config import check

Spoil = Callable[..., dict[str, Any]]

PAGE = {"type": "static", "directory": "."}
WEBSOCKET: dict[str, Any] = {"type": "websocket"}
POLL: dict[str, Any] = {"type": "longpoll"}
SELF = {"options": {"allowed_origins": ["self"]}}
ENDPOINT = {"type": "tcp", "port": 8080, "interface": "127.0.0.1"}


def web(**paths: Any) -> dict[str, Any]:
    return {"type": "web", "endpoint": ENDPOINT, "paths": paths}


AT = "workers[0].transports[0]"
UNIVERSAL = {"type": "universal", "endpoint": ENDPOINT, "websocket": {"ws": {}}}
TABLE: list[tuple[str, dict[str, Any], list[str]]] = [
    ("a page on the same port", web(ws=WEBSOCKET, page=PAGE), []),
    ("no page", web(ws=WEBSOCKET), ["paths.ws.options"]),
    ("no page, long-poll", web(poll=POLL), ["paths.poll.options"]),
    ("no page, other options", web(ws={**WEBSOCKET, "options": {"ping_interval_s": 5}}), ["paths.ws.options"]),
    ("no page, and no need for one", web(ws={**WEBSOCKET, **SELF}, poll={**POLL, **SELF}), []),
    ("a port for nothing but WebSocket", {"type": "websocket", "endpoint": ENDPOINT}, ["options"]),
    ("the same, which says so", {"type": "websocket", "endpoint": ENDPOINT, **SELF}, []),
    ("no browser", {"type": "rawsocket", "endpoint": ENDPOINT}, []),
    ("universal", UNIVERSAL, ["websocket.ws.options"]),
    ("universal with a page", {**UNIVERSAL, "web": {"paths": {"/": PAGE}}}, []),
]  # fmt: skip


@pytest.mark.parametrize("is_old", [True, False])
@pytest.mark.parametrize(("transport", "told"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_port_whose_pages_come_from_elsewhere_is_told_to_name_them(
    transport: dict[str, Any], told: list[str], is_old: bool, spoil: Spoil, tmp_path: Path
) -> None:
    value = spoil("workers 0 transports", [transport])
    if is_old:
        # Of version 1 or from Crossbar.io's own directory; otherwise another port of the node has the page.
        value["version"] = 1
    else:
        value["workers"][0]["transports"].append(web(page=PAGE) | {"endpoint": {**ENDPOINT, "port": 8081}})
    assert warned(value, tmp_path) == [f"{AT}.{where}.allowed_origins" for where in told]


def test_who_has_pages_nowhere_is_told_only_where_the_file_is_crossbars(spoil: Spoil, tmp_path: Path) -> None:
    value = spoil("workers 0 transports", [web(ws=WEBSOCKET)])
    assert warned(value, tmp_path) == []
    assert warned(value, tmp_path / ".crossbar") == [f"{AT}.paths.ws.options.allowed_origins"]


def warned(value: dict[str, Any], node_directory: Path) -> list[str]:
    node_directory.mkdir(exist_ok=True)
    problems = check(value, node_directory=node_directory).problems
    assert not [problem for problem in problems if problem.severity == "error"]
    return [problem.where for problem in problems if "Crossbar.io lets them all in" in problem.message]


@pytest.mark.parametrize("entry", ["127.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32", "unix"])
def test_a_proxy_is_an_address_a_network_or_a_socket(entry: str, spoil: Spoil, tmp_path: Path) -> None:
    value = spoil("workers 0 transports 0 options", {"trusted_proxies": [entry]})
    assert check(value, node_directory=tmp_path).options is not None


@pytest.mark.parametrize(
    ("option", "entry", "text"),
    [
        ("trusted_proxies", "proxy.example", "`trusted_proxies` takes IP addresses, networks such as 10.0.0.0/24"),
        ("trusted_proxies", "10.0.0.1/8", "has host bits set"),
        ("trusted_proxies", "unix:", "`trusted_proxies` takes IP addresses"),
        ("trusted_proxies", "0.0.0.0/0", "would let every client say who it is"),
        ("trusted_proxies", "::/0", "would let every client say who it is"),
        ("allowed_hosts", "router.lan:8080", '`allowed_hosts` takes names such as "router.lan", without port'),
        ("allowed_hosts", "http://router.lan", '`allowed_hosts` takes names such as "router.lan", without port'),
    ],
)  # fmt: skip
def test_what_names_none_is_an_error(
    option: str, entry: str, text: str, spoil: Spoil, tmp_path: Path
) -> None:
    checked = check(spoil("workers 0 transports 0 options", {option: [entry]}), node_directory=tmp_path)
    assert checked.options is None
    (problem,) = [problem for problem in checked.problems if problem.severity == "error"]
    assert problem.where == "workers[0].transports[0].options"
    assert text in problem.message
