"""Whose word counts about who a client is."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.auth.facts import ConnectionFacts
from heliograph.transports.forwarded import TrustedProxies
from tests.support.nodes import RunningNode, node_config, running_node, web_transport
from tests.support.websocket import (
    ABLE_ROLES,
    Connection,
    Door,
    WampClient,
    http_request,
    open_websocket,
    request,
)

PROXY, OTHER_PROXY, CLIENT = "10.0.0.1", "10.0.0.2", "192.0.2.7"
PROXIES = ("10.0.0.0/30", "2001:db8::1")


class Socket:
    """A connection as a transport tells of it."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self._peer, 4711) if name == "peername" else default


# Who connects, what it says the client is, and whom the client is taken for.
CHAINS = [
    ("a proxy", PROXY, CLIENT, CLIENT),
    ("a proxy by IPv6", "2001:db8::1", CLIENT, CLIENT),
    ("a proxy by IPv4 in IPv6", f"::ffff:{PROXY}", CLIENT, CLIENT),
    ("nobody who is trusted", "10.0.0.9", CLIENT, "10.0.0.9"),
    ("a client", CLIENT, "198.51.100.1", CLIENT),
    ("a client that claims to be a proxy's", CLIENT, f"198.51.100.1, {PROXY}", CLIENT),
    ("a proxy whose client claims another", PROXY, f"198.51.100.1, {CLIENT}", CLIENT),
    ("a proxy behind another", PROXY, f"{CLIENT}, {OTHER_PROXY}", CLIENT),
    ("a proxy behind another, and a claim", PROXY, f"127.0.0.1, {CLIENT},{OTHER_PROXY}", CLIENT),
    ("a proxy that asks by itself", PROXY, OTHER_PROXY, OTHER_PROXY),
    ("a proxy that says nothing", PROXY, None, PROXY),
    ("a proxy that says nothing sensible", PROXY, "unknown", PROXY),
    ("a proxy that hides its client", PROXY, f"{CLIENT}, _hidden, {OTHER_PROXY}", OTHER_PROXY),
    ("a proxy that tells the port", PROXY, f"{CLIENT}:5000", CLIENT),
    ("a proxy that tells an IPv6 client", PROXY, "2001:DB8::7", "2001:db8::7"),
    ("a proxy that tells it with its port", PROXY, "[2001:db8::7]:5000", "2001:db8::7"),
    ("a proxy that tells an IPv4 client by IPv6", PROXY, f"::ffff:{CLIENT}", CLIENT),
]


@pytest.mark.parametrize(
    ("peer", "chain", "client"), [row[1:] for row in CHAINS], ids=[row[0] for row in CHAINS]
)
def test_the_last_address_that_is_no_proxy_is_the_client(peer: str, chain: str | None, client: str) -> None:
    headers = {} if chain is None else {"x-forwarded-for": chain}
    assert TrustedProxies(PROXIES).facts(Socket(peer), headers).address == client
    assert TrustedProxies().facts(Socket(peer), headers).address == peer.removeprefix("::ffff:")


def test_no_other_header_counts() -> None:
    headers = {"forwarded": f"for={CLIENT};proto=https", "x-real-ip": CLIENT, "x-forwarded-host": "a"}
    assert TrustedProxies(PROXIES).facts(Socket(PROXY), headers) == ConnectionFacts(address=PROXY)


@pytest.mark.parametrize(
    ("proto", "is_encrypted"),
    [("https", True), ("HTTPS", True), ("http", False), ("http, https", True), ("wss", False), ("", False)],
)
def test_a_proxy_tells_whether_its_client_is_encrypted(proto: str, is_encrypted: bool) -> None:
    headers = {"x-forwarded-for": CLIENT, "x-forwarded-proto": proto}
    assert TrustedProxies(PROXIES).facts(Socket(PROXY), headers).is_encrypted is is_encrypted
    assert not TrustedProxies(PROXIES).facts(Socket(CLIENT), headers).is_encrypted


@pytest.mark.parametrize("peer", ["127.0.0.1", PROXY])
@pytest.mark.parametrize("client", ["127.0.0.1", "::1", CLIENT])
def test_nobody_becomes_local_by_a_header(peer: str, client: str) -> None:
    facts = TrustedProxies(("127.0.0.1", PROXY)).facts(Socket(peer), {"x-forwarded-for": client})
    assert facts == ConnectionFacts(address=client, is_local=False)


@pytest.mark.parametrize(
    "said", ["unknown", "_hidden", "junk", "127.0.0.1, junk", ",", "for=127.0.0.1", "unix"]
)
def test_a_client_that_a_local_proxy_cannot_name_is_not_local(said: str) -> None:
    """Guesses from this machine are not counted unless asked for."""
    proxies = TrustedProxies(("127.0.0.1",))
    assert not proxies.facts(Socket("127.0.0.1"), {"x-forwarded-for": said}).is_local
    assert proxies.facts(Socket("127.0.0.1"), {}).is_local


# --- where it counts ----------------------------------------------------------------------------------------------

REALM = {
    "name": "realm1",
    "roles": [
        {"name": "anonymous", "permissions": [{"uri": "", "match": "prefix", "allow": {"call": True}}]}
    ],
}
TICKET = {
    "auth": {"ticket": {"type": "static", "principals": {"joe": {"ticket": "secret", "role": "anonymous"}}}},
    "auth_backoff": {"max_failures": 2, "refusal_s": 60},
}
PATHS: dict[str, Any] = {
    "ws": {"type": "websocket", **TICKET},
    "poll": {"type": "longpoll", **TICKET},
    "site": {"type": "wsgi", "module": "sample", "object": "application"},
}
WSGI_APPLICATIONS = Path(__file__).parents[1] / "http" / "wsgi_applications"


def config(*trusted: str, endpoint: dict[str, Any] | None = None) -> dict[str, Any]:
    transport = web_transport(PATHS, trusted_proxies=list(trusted))
    transport["endpoint"] = endpoint or transport["endpoint"]
    whole = node_config(transport, realm=REALM)
    whole["workers"][0]["options"] = {"pythonpath": [str(WSGI_APPLICATIONS)]}
    return whole


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    async with running_node(config("127.0.0.1"), directory=WSGI_APPLICATIONS) as running:
        yield running


async def guess(door: Door, client: str) -> str:
    """Try a wrong ticket as a client of the proxy; return why it is refused."""
    socket = await open_websocket(door, headers={"X-Forwarded-For": client})
    wamp = WampClient(socket, "json")
    hello = {"roles": ABLE_ROLES, "authmethods": ["ticket"], "authid": "joe"}
    answer = await wamp.ask(1, "realm1", hello)
    if answer[0] == 4:
        answer = await wamp.ask(5, "wrong", {})
    assert answer[0] == 3
    socket.abort()
    return str(answer[2])


async def poll_guess(node: RunningNode, client: str) -> str:
    headers = {"X-Forwarded-For": client}

    async def post(path: str, body: Any) -> Any:
        sent = http_request("POST", f"/poll/{path}", json.dumps(body).encode(), headers)
        connection = await Connection.open(node.address)
        await connection.send(sent)
        response = await connection.response()
        connection.abort()
        return json.loads(response.body) if response.body else None

    opened = await post("open", {"protocols": ["wamp.2.json"]})
    await post(
        f"{opened['transport']}/send",
        [1, "realm1", {"roles": ABLE_ROLES, "authmethods": ["ticket"], "authid": "joe"}],
    )
    answer = await post(f"{opened['transport']}/receive", "")
    if answer[0] == 4:
        await post(f"{opened['transport']}/send", [5, "wrong", {}])
        answer = await post(f"{opened['transport']}/receive", "")
    return str(answer[2])


DENIED = "wamp.error.authentication_denied"


async def test_guessing_is_bounded_for_each_client_of_a_proxy(node: RunningNode) -> None:
    reasons = [await guess(node.address, "192.0.2.7") for _ in range(3)]
    assert reasons[:2] == [DENIED, DENIED]
    assert reasons[2] != DENIED
    assert await guess(node.address, f"198.51.100.1, {CLIENT}") == reasons[2]
    assert await guess(node.address, "192.0.2.8") == DENIED
    # Each path counts for itself.
    assert [await poll_guess(node, CLIENT) for _ in range(3)] == reasons
    assert await poll_guess(node, "192.0.2.9") == DENIED


async def test_without_trust_a_client_cannot_be_somebody_else() -> None:
    without = config()
    for path in ("ws", "poll"):
        service = without["workers"][0]["transports"][0]["paths"][path]
        service["auth_backoff"] = {**service["auth_backoff"], "local": True}
    async with running_node(without, directory=WSGI_APPLICATIONS) as node:
        reasons = [await guess(node.address, f"192.0.2.{number}") for number in range(3)]
        assert reasons[:2] == [DENIED, DENIED]
        assert reasons[2] != DENIED


async def test_a_handshake_that_names_its_client_is_not_known_by_its_bytes(node: RunningNode) -> None:
    for _ in range(2):
        for client in ("192.0.2.7", "192.0.2.8"):
            await open_websocket(node.address, headers={"X-Forwarded-For": client})
    addresses = [connection._session.facts.address for connection in node.connections]
    assert sorted(str(address) for address in addresses) == 2 * ["192.0.2.7"] + 2 * ["192.0.2.8"]
    assert not node.http.known_handshakes._openings


@pytest.mark.parametrize(
    ("trusted", "address", "scheme"),
    [(("127.0.0.1",), CLIENT, "https"), ((), "127.0.0.1", "http"), (("10.0.0.1",), "127.0.0.1", "http")],
)
async def test_an_application_hears_of_the_client_and_not_of_headers(
    trusted: tuple[str, ...], address: str, scheme: str
) -> None:
    headers = {
        "X-Forwarded-For": f"198.51.100.1, {CLIENT}",
        "X-Forwarded-Proto": "https",
        "Forwarded": "for=a",
    }
    async with running_node(config(*trusted), directory=WSGI_APPLICATIONS) as node:
        seen = (await request(node.address, "GET", "/site/", headers=headers)).json
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"], "HTTPS" in seen) == (
        address,
        scheme,
        scheme == "https",
    )
    assert ("REMOTE_PORT" in seen) is (address != CLIENT)
    assert not [key for key in seen if "FORWARDED" in key]


@pytest.mark.parametrize(("trusted", "address"), [(("unix",), CLIENT), ((), ""), (("127.0.0.1",), "")])
async def test_who_connects_by_a_unix_socket_may_be_a_proxy(
    trusted: tuple[str, ...], address: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "heliograph.sock")
    endpoint = {"type": "unix", "path": path}
    headers = {"X-Forwarded-For": CLIENT}
    async with running_node(config(*trusted, endpoint=endpoint), directory=WSGI_APPLICATIONS) as node:
        seen = (await request(path, "GET", "/site/", headers=headers)).json
        assert seen["REMOTE_ADDR"] == address
        await open_websocket(path, headers=headers)
        (connection,) = node.connections
        facts = connection._session.facts
        assert (facts.address, facts.is_local) == (address or None, not address)


@pytest.mark.parametrize(("scheme", "is_let_in"), [("https", True), ("http", False)])
async def test_a_page_without_tls_is_none_of_a_site_whose_proxy_speaks_it(
    scheme: str, is_let_in: bool
) -> None:
    paths = {
        "ws": {"type": "websocket"},
        "poll": {"type": "longpoll"},
        "notify": {"type": "publisher", "realm": "realm1", "role": "anonymous"},
    }
    transport = web_transport(paths, trusted_proxies=["127.0.0.1"], allowed_hosts=["site.example"])
    lines = f"Host: site.example\r\nOrigin: {scheme}://site.example\r\nX-Forwarded-Proto: https\r\n"
    handshake = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n"
    )
    statuses: list[int] = []
    async with running_node(node_config(transport)) as node:
        for request_line, more, body in (
            ("GET /ws", handshake, ""),
            ("POST /poll/open", "Content-Length: 29\r\n", '{"protocols":["wamp.2.json"]}'),
            ("POST /notify", "Content-Length: 19\r\n", '{"topic":"com.a.b"}'),
        ):
            connection = await Connection.open(node.address)
            await connection.send(f"{request_line} HTTP/1.1\r\n{lines}{more}\r\n{body}".encode())
            statuses.append((await connection.response()).status)
            connection.abort()
    assert statuses == ([101, 200, 200] if is_let_in else [403, 403, 403])
