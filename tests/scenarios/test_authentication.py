"""Clients prove who they are to a router as people run it; what they keep secret is in no log and no answer."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.client import connect
from heliograph.client.authentication import Credentials, Cryptosign, Scram, Ticket, WampCra
from heliograph.client.errors import JoinRefused
from tests.support.credentials import (
    CRA_SECRET,
    CRA_USER,
    CRYPTOSIGN_USER,
    HASHED_TICKET_USER,
    PRIVATE_KEY,
    SALTED_CRA_USER,
    SCRAM_PASSWORD,
    SCRAM_USERS,
    STRANGERS_KEY,
    TICKET,
    TICKET_USER,
    auth_config,
    scram_record,
)
from tests.support.nodes import ALLOW_ALL, RouterProcess, node_config, router_process, web_transport
from tests.support.websocket import (
    HELLO_ROLES,
    Connection,
    WampClient,
    WebSocket,
    connect_wamp,
    upgrade_request,
)

ROLE = {"name": "member", "permissions": [{"uri": "", "match": "prefix", "allow": ALLOW_ALL}]}
AUTHENTICATOR = "com.example.authenticate"
REALM = {"name": "realm1", "roles": [ROLE, {"name": "anonymous"}]}
DYNAMIC = {"type": "dynamic", "authenticator": AUTHENTICATOR, "timeout_s": 1.0}
PATHS: dict[str, Any] = {
    "ws": {"type": "websocket", "auth": auth_config("member")},
    "hurried": {"type": "websocket", "auth": auth_config("member"), "hello": {"hello_timeout_s": 0.5}},
    "asked": {
        "type": "websocket",
        "auth": {"ticket": DYNAMIC, "wampcra": DYNAMIC},
        "hello": {"hello_timeout_s": 0.5},
    },
    "throttled": {
        "type": "websocket",
        "auth": auth_config("member", anonymous_role="member"),
        "auth_backoff": {"max_failures": 3, "refusal_s": 1, "local": True},
    },
    "browser": {
        "type": "websocket",
        "auth": {**auth_config("member"), "cookie": {}},
        "cookie": {"store": {"type": "file", "filename": "cookies.json"}},
    },
    "metrics": {"type": "metrics"},
}
SECRETS = (TICKET, CRA_SECRET, SCRAM_PASSWORD, PRIVATE_KEY.hex(), "wr0ng-s3cret")
RIGHT: list[tuple[str, Credentials]] = [
    ("ticket", Ticket(TICKET_USER, TICKET)),
    ("hashed ticket", Ticket(HASHED_TICKET_USER, TICKET)),
    ("wampcra", WampCra(CRA_USER, CRA_SECRET)),
    ("salted wampcra", WampCra(SALTED_CRA_USER, CRA_SECRET)),
    *((f"scram {user.kdf}", Scram(user.authid, SCRAM_PASSWORD)) for user in SCRAM_USERS),
    ("cryptosign", Cryptosign(PRIVATE_KEY, authid=CRYPTOSIGN_USER)),
    ("cryptosign without a name", Cryptosign(PRIVATE_KEY)),
]
WRONG: list[tuple[str, Credentials]] = [
    *(
        (f"ticket of {name}", Ticket(name, "wr0ng-s3cret"))
        for name in (TICKET_USER, HASHED_TICKET_USER, "nobody")
    ),
    *(
        (f"wampcra of {name}", WampCra(name, "wr0ng-s3cret"))
        for name in (CRA_USER, SALTED_CRA_USER, "nobody")
    ),
    *((f"scram of {name}", Scram(name, "wr0ng-s3cret")) for name in (SCRAM_USERS[1].authid, "nobody")),
    *(
        (f"cryptosign of {name}", Cryptosign(STRANGERS_KEY, authid=name))
        for name in (CRYPTOSIGN_USER, "nobody", None)
    ),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("router")


@pytest.fixture(scope="module")
def router(directory: Path) -> Iterator[RouterProcess]:
    config = node_config(web_transport(PATHS), realm=REALM)
    with router_process(directory, config, loglevel="debug") as running:
        yield running
    log = running.errors.read_text()
    assert AUTHENTICATOR in log, "the log is the router's"
    records = [scram_record(user.kdf) for user in SCRAM_USERS]
    keys = [key.hex() for record in records for key in (record.stored_key, record.server_key)]
    for secret in (*SECRETS, *keys):
        assert secret not in log


def url(router: RouterProcess, path: str) -> str:
    host, port = router.address
    return f"ws://{host}:{port}/{path}"


async def refusal(router: RouterProcess, path: str, credentials: Credentials) -> JoinRefused:
    with pytest.raises(JoinRefused) as refused:
        async with connect(url(router, path), authentication=credentials, reconnect=False):
            pytest.fail("joined")
    return refused.value


def shown(value: JoinRefused) -> str:
    return f"{value!r} {value}"


@pytest.mark.parametrize("credentials", [c for _, c in RIGHT], ids=[name for name, _ in RIGHT])
async def test_who_proves_it_joins(router: RouterProcess, credentials: Credentials) -> None:
    async with connect(url(router, "ws"), authentication=credentials, reconnect=False) as session:
        told = await session.call("wamp.session.get", session.session_id)
    details = told.args[0] if hasattr(told, "args") else told
    assert details["authrole"] == "member"
    assert details["authid"] == (credentials.authid or CRYPTOSIGN_USER)


@pytest.mark.parametrize("credentials", [c for _, c in WRONG], ids=[name for name, _ in WRONG])
async def test_who_does_not_is_refused_without_a_hint(
    router: RouterProcess, credentials: Credentials
) -> None:
    refused = await refusal(router, "ws", credentials)
    assert refused.uri == "wamp.error.authentication_denied"
    assert "the credentials are not right" in str(refused)
    assert not any(secret in shown(refused) for secret in SECRETS)


async def hello(client: WampClient, **details: Any) -> list[Any]:
    return await client.ask(1, "realm1", {"roles": HELLO_ROLES, **details})


async def test_who_does_not_answer_in_time_is_dropped(router: RouterProcess) -> None:
    client = await connect_wamp(router.address, path="/hurried")
    assert await hello(client, authmethods=["ticket"], authid=TICKET_USER) == [4, "ticket", {}]
    assert await client.aborted() == ("wamp.error.protocol_violation", "no AUTHENTICATE within 0.5 seconds")


class TestAsked:
    """A procedure decides; the time for HELLO does not end a session that has joined meanwhile."""

    @contextlib.asynccontextmanager
    async def authenticator(self, router: RouterProcess) -> AsyncIterator[WampClient]:
        client = await connect_wamp(router.address)
        await hello(client, authmethods=["ticket"], authid=TICKET_USER)
        assert (await client.ask(5, TICKET, {}))[0] == 2
        assert (await client.ask(64, 1, {}, AUTHENTICATOR))[0] == 65
        yield client
        client.socket.abort()

    async def test_its_answer_lets_in_and_what_waits_follows(self, router: RouterProcess) -> None:
        async with self.authenticator(router) as authenticator:
            client = await connect_wamp(router.address, path="/asked")
            await hello(client, authmethods=["ticket"], authid="joe")
            await client.send([5, "wr0ng-s3cret", {}], [32, 1, {}, "com.example.t"])
            invocation = await authenticator.receive()
            assert invocation[4][2]["ticket"] == "wr0ng-s3cret"
            await authenticator.send([70, invocation[1], {}, ["member"]])
            welcome, subscribed = await client.receive(), await client.receive()
            assert (welcome[0], welcome[2]["authid"], subscribed[0]) == (2, "joe", 33)
            # Longer than HELLO may take; whoever was let in while nothing came is not ended by that.
            await asyncio.sleep(0.6)
            assert (await client.ask(34, 2, subscribed[2]))[0] == 35

    async def test_silence_refuses(self, router: RouterProcess) -> None:
        before = (await router.metrics())["authenticators_failed_total"]
        refused = await refusal(router, "asked", Ticket("joe", "wr0ng-s3cret"))
        assert refused.uri == "wamp.error.authentication_failed"
        assert (await router.metrics())["authenticators_failed_total"] == before + 1

    async def test_who_goes_while_it_is_asked_leaves_nothing(self, router: RouterProcess) -> None:
        async with self.authenticator(router) as authenticator:
            sessions = (await router.metrics())["sessions"]
            client = await connect_wamp(router.address, path="/asked")
            await client.send(
                [1, "realm1", {"roles": HELLO_ROLES, "authmethods": ["wampcra"], "authid": "joe"}]
            )
            invocation = await authenticator.receive()
            client.socket.abort()
            await authenticator.send([70, invocation[1], {}, [{"role": "member", "secret": "wr0ng-s3cret"}]])
            other = await connect_wamp(router.address)
            assert (await hello(other, authmethods=["ticket"], authid=TICKET_USER))[0] == 4
            assert (await router.metrics())["sessions"] == sessions


async def test_an_address_that_fails_too_often_waits_and_anonymous_clients_do_not(
    router: RouterProcess,
) -> None:
    for _ in range(3):
        assert (await refusal(router, "throttled", Ticket(TICKET_USER, "wr0ng-s3cret"))).uri.endswith(
            "denied"
        )
    refused = await refusal(router, "throttled", Ticket(TICKET_USER, TICKET))
    assert refused.uri == "heliograph.error.too_many_failures"
    assert "try again in 1 seconds" in str(refused)
    assert (await router.metrics())["authentications_throttled_total"] == 1
    async with connect(url(router, "throttled"), reconnect=False):
        pass


class TestCookie:
    async def handshake(self, router: RouterProcess, cookie: str | None = None) -> tuple[WampClient, str]:
        """Return a client and the cookie it has now."""
        plain = await Connection.open(router.address)
        headers = {} if cookie is None else {"Cookie": f"cbtid={cookie}"}
        await plain.send(upgrade_request("/browser", subprotocols="wamp.2.json", headers=headers))
        response = await plain.response()
        assert response.status == 101
        given = dict(response.headers).get("set-cookie") or ""
        value = given.partition("=")[2].partition(";")[0] or str(cookie)
        return WampClient(WebSocket(plain.reader, plain.writer), "json"), value

    async def log_in(self, router: RouterProcess) -> tuple[WampClient, str]:
        client, cookie = await self.handshake(router)
        await hello(client, authmethods=["ticket"], authid=TICKET_USER)
        assert (await client.ask(5, TICKET, {}))[0] == 2
        return client, cookie

    async def test_a_browser_is_known_again_until_it_logs_out(
        self, router: RouterProcess, directory: Path
    ) -> None:
        first, cookie = await self.log_in(router)
        second, again = await self.handshake(router, cookie)
        assert again == cookie
        welcome = await hello(second)
        assert welcome[2]["authid"] == TICKET_USER
        assert welcome[2]["authmethod"] == "cookie"

        assert (await first.ask(6, {}, "wamp.close.logout"))[0] == 6
        assert (await second.receive())[2] == "wamp.close.logout"
        third, fresh = await self.handshake(router, cookie)
        assert fresh != cookie
        assert (await hello(third, authmethods=["cookie"]))[0] == 3

    async def test_a_cookie_in_the_file_lends_nobody_the_rights_of_a_user_who_was_removed(
        self, tmp_path: Path
    ) -> None:
        def config(**principals: dict[str, str]) -> dict[str, Any]:
            path = {
                **PATHS["browser"],
                "auth": {"cookie": {}, "ticket": {"type": "static", "principals": principals}},
            }
            return node_config(web_transport({"browser": path}), realm=REALM)

        user = {"ticket": TICKET, "role": "member"}
        with router_process(tmp_path, config(**{TICKET_USER: user})) as router:
            _, cookie = await self.log_in(router)
        assert TICKET_USER in (tmp_path / "cookies.json").read_text()
        with router_process(tmp_path, config(**{TICKET_USER: user})) as router:
            client, same = await self.handshake(router, cookie)
            assert same == cookie
            assert (await hello(client))[2]["authid"] == TICKET_USER
        with router_process(tmp_path, config(ann=user)) as router:
            client, fresh = await self.handshake(router, cookie)
            assert fresh != cookie
            assert (await hello(client, authmethods=["cookie"]))[0] == 3

    async def test_a_cookie_the_router_has_not_given_is_replaced(self, router: RouterProcess) -> None:
        _, value = await self.handshake(router, "a" * 24)
        assert value != "a" * 24

    async def test_no_file_holds_a_cookie_that_can_be_used(
        self, router: RouterProcess, directory: Path
    ) -> None:
        _, cookie = await self.log_in(router)
        file = directory / "cookies.json"
        async with asyncio.timeout(10):
            while TICKET_USER not in file.read_text():  # noqa: ASYNC110 - nothing announces what is written
                await asyncio.sleep(0.01)
        assert json.loads(file.read_text())["version"] == 2
        assert cookie not in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
