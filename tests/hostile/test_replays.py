"""What was overheard of one session opens no other."""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from nacl.signing import SigningKey

from tests.support.credentials import CRA_SECRET, CRA_USER, CRYPTOSIGN_USER, PRIVATE_KEY, auth_config
from tests.support.links import Client, linked_router
from tests.support.nodes import ALLOW_ALL, RouterProcess
from tests.support.websocket import HELLO_ROLES, abort_all_connections

REALM = {
    "name": "realm1",
    "roles": [{"name": "member", "permissions": [{"uri": "", "match": "prefix", "allow": ALLOW_ALL}]}],
}
PATHS: dict[str, Any] = {
    "ws": {"type": "websocket", "auth": auth_config("member"), "auth_backoff": {"max_failures": 1000}},
    "metrics": {"type": "metrics"},
}
DENIED = "wamp.error.authentication_denied"


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    with linked_router(tmp_path_factory.mktemp("router"), PATHS, realm=REALM) as running:
        yield running


@pytest.fixture(autouse=True)
async def connections_end() -> AsyncIterator[None]:
    yield
    await abort_all_connections()


def hello(method: str, authid: str, **extra: Any) -> list[Any]:
    details = {"roles": HELLO_ROLES, "authmethods": [method], "authid": authid, "authextra": extra}
    return [1, "realm1", details]


def wampcra(challenge: dict[str, Any]) -> str:
    digest = hmac.new(CRA_SECRET.encode(), challenge["challenge"].encode(), hashlib.sha256).digest()
    return b64encode(digest).decode()


def cryptosign(challenge: dict[str, Any]) -> str:
    return SigningKey(PRIVATE_KEY).sign(bytes.fromhex(challenge["challenge"])).hex()


METHODS = {
    "wampcra": (hello("wampcra", CRA_USER), wampcra),
    "cryptosign": (
        hello("cryptosign", CRYPTOSIGN_USER, pubkey=SigningKey(PRIVATE_KEY).verify_key.encode().hex()),
        cryptosign,
    ),
}


async def challenged(router: RouterProcess, transport: str, said: list[Any]) -> tuple[Client, dict[str, Any]]:
    client: Client = await router.doors.connect(transport, "json", "ws")
    code, _, extra = await client.ask(*said)
    assert code == 4
    return client, extra


@pytest.mark.parametrize("transport", ["ws", "rawsocket", "longpoll"])
@pytest.mark.parametrize("method", METHODS)
async def test_a_signature_opens_one_session_only(router: RouterProcess, transport: str, method: str) -> None:
    said, sign = METHODS[method]
    first, extra = await challenged(router, transport, said)
    signature = sign(extra)
    assert (await first.ask(5, signature, {}))[0] == 2

    # The same words, over the same transport, while the first session is there.
    second, other = await challenged(router, transport, said)
    assert other["challenge"] != extra["challenge"]
    await second.send([5, signature, {}])
    reason, text = await second.aborted()
    assert reason == DENIED
    assert signature[:16] not in text

    # The first session goes on, and who signs anew is let in.
    assert (await first.ask(32, 1, {}, "com.example.t"))[0] == 33
    third, extra = await challenged(router, transport, said)
    assert (await third.ask(5, sign(extra), {}))[0] == 2
    for client in (first, third):
        await client.break_off()


@pytest.mark.parametrize("method", METHODS)
async def test_a_second_answer_to_a_challenge_ends_the_session(router: RouterProcess, method: str) -> None:
    said, sign = METHODS[method]
    client, extra = await challenged(router, "ws", said)
    signature = sign(extra)
    assert (await client.ask(5, signature, {}))[0] == 2

    await client.send([5, signature, {}])

    assert (await client.aborted())[0] == "wamp.error.protocol_violation"


@pytest.mark.parametrize("method", METHODS)
async def test_a_signature_sent_instead_of_hello_is_a_violation(router: RouterProcess, method: str) -> None:
    client: Client = await router.doors.connect("ws", "json", "ws")
    await client.send([5, "00" * 96, {}])

    assert (await client.aborted())[0] == "wamp.error.protocol_violation"
