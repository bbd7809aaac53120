"""By which names a server is known, and what only those who use one are told."""

import socket
from typing import Any

import pytest

from heliograph.transports.hosts import KnownHosts
from tests.support.nodes import USUAL_PATHS, RunningNode, node_config, running_node, web_transport
from tests.support.websocket import Connection, post_json, request, upgrade_request

OWN = socket.gethostname()

# What is named, the host that is asked for, whether it is known on loopback, and elsewhere.
TABLE = [
    ("loopback", (), "127.0.0.1:8080", True, True),
    ("all of loopback", (), "127.9.9.9", True, True),
    ("loopback of IPv6", (), "[::1]:8080", True, True),
    ("localhost", (), "localhost:8080", True, True),
    ("in capitals", (), "LOCALHOST", True, True),
    ("below localhost", (), "app.localhost", True, True),
    ("the machine's own name", (), f"{OWN}:9090", True, True),
    ("no host, as of HTTP/1.0", (), "", True, True),
    ("an address of a network", (), "192.168.1.5:8080", False, True),
    ("an address of a network, IPv6", (), "[2001:db8::1]:8080", False, True),
    ("every address", (), "0.0.0.0:8080", False, True),
    ("a name that was made to lead here", (), "evil.example:8080", False, False),
    ("one that begins as we do", (), "localhost.evil.example", False, False),
    ("one that begins as an address", (), "127.0.0.1.evil.example", False, False),
    ("one that ends as we do", (), "evillocalhost", False, False),
    ("a named host", ("router.lan",), "router.lan:8080", True, True),
    ("a named host in capitals", ("Router.LAN",), "ROUTER.lan", True, True),
    ("another one", ("router.lan",), "evil.example", False, False),
    ("one below a named host", ("router.lan",), "evil.router.lan", False, False),
    ("one that ends like a named host", ("router.lan",), "evilrouter.lan", False, False),
    ("one that a wildcard covers", ("*.lan",), "a.b.lan", True, True),
    ("one that it does not", ("*.lan",), "lan.evil.example", False, False),
    ("any", ("*",), "evil.example", True, True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("named", "host", "on_loopback", "elsewhere"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_a_host(named: tuple[str, ...], host: str, on_loopback: bool, elsewhere: bool) -> None:
    hosts = KnownHosts(named)
    assert hosts.knows(host, is_loopback=True) is on_loopback
    assert hosts.knows(host, is_loopback=False) is elsewhere


async def test_metrics_are_told_to_who_knows_the_server_by_name() -> None:
    async with running_node(node_config(web_transport(allowed_hosts=["router.lan"]))) as node:
        for host in ("localhost", "127.0.0.1:1", "router.lan:8080"):
            assert (await request(node.address, "GET", "/metrics", headers={"Host": host})).status == 200
        answer = await request(node.address, "GET", "/metrics", headers={"Host": "Evil.example:8080"})
        assert (answer.status, answer.body.decode()) == (
            421,
            'evil.example is no known name of this server: add "evil.example" to allowed_hosts in the transport\'s '
            "options\n",
        )


async def pages_that_may(node: RunningNode, host: str) -> list[int]:
    """Return what a page at `host` hears from the bridge, from long-poll and from WebSocket."""
    headers = {"Origin": f"https://{host}", "Host": host}
    event, protocols = {"topic": "com.example.t"}, {"protocols": ["wamp.2.json"]}
    posted = await post_json(node.address, "/notify", event, **headers)
    called = await post_json(node.address, "/call", {"procedure": "com.example.none"}, **headers)
    opened = await post_json(node.address, "/poll/open", protocols, **headers)
    connection = await Connection.open(node.address)
    await connection.send(upgrade_request(headers=dict(headers)))
    shaken = await connection.response()
    connection.abort()
    return [posted.status, called.status, opened.status, shaken.status]


PATHS: dict[str, Any] = {**USUAL_PATHS, "poll": {"type": "longpoll"}}


@pytest.mark.parametrize("host", ["evil.example", "fleet.example"])
async def test_no_page_of_another_site_may_do_anything_unless_it_is_named(host: str) -> None:
    async with running_node(node_config(web_transport(PATHS))) as node:
        assert await pages_that_may(node, host) == [403, 403, 403, 403]
        assert await pages_that_may(node, "localhost:8080") == [200, 200, 200, 101]
    async with running_node(node_config(web_transport(PATHS, allowed_hosts=["fleet.example"]))) as node:
        # As by a proxy on this machine, which keeps the name a site is known by.
        may = host == "fleet.example"
        assert await pages_that_may(node, host) == ([200, 200, 200, 101] if may else [403, 403, 403, 403])
