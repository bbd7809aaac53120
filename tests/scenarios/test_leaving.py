"""Sessions the router ends: GOODBYE, its answer or a time limit, and then the socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.links import Client, Link, linked_router
from tests.support.nodes import ALLOW_ALL, RouterProcess

GOODBYE_TIMEOUT_S = 0.3
REALM = {
    "name": "realm1",
    "roles": [
        {
            "name": "anonymous",
            "permissions": [
                {"uri": "", "match": "prefix", "allow": ALLOW_ALL},
                {"uri": "wamp.", "match": "prefix", "allow": ALLOW_ALL},
            ],
        },
        {"name": "everything", "permissions": [{"uri": "", "match": "prefix", "allow": ALLOW_ALL}]},
    ],
}
PATHS: dict[str, Any] = {
    "ws": {"type": "websocket", "goodbye_timeout_s": GOODBYE_TIMEOUT_S},
    "everything": {"type": "websocket", "anonymous_role": "everything"},
    "strict": {"type": "websocket", "strict_ids": True},
    "hasty": {"type": "websocket", "hello": {"hello_timeout_s": 0.2}},
    "metrics": {"type": "metrics"},
}


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    with linked_router(tmp_path_factory.mktemp("router"), PATHS, realm=REALM) as running:
        yield running


@contextlib.asynccontextmanager
async def at_most(seconds: float) -> AsyncIterator[None]:
    async with asyncio.timeout(seconds):
        yield


async def _kill(admin: Client, victim: Client, **how: object) -> None:
    result = await admin.ask(48, 1, {}, "wamp.session.kill", [victim.session_id], how)
    assert result[:2] == [50, 1], result


async def test_a_killed_session_hears_why_and_its_socket_closes_when_it_has_answered(link: Link) -> None:
    admin, victim = await link.join(), await link.join()
    await _kill(admin, victim, reason="com.example.enough", message="enough")

    assert await victim.receive() == [6, {"message": "enough"}, "com.example.enough"]
    await victim.send([6, {}, "wamp.close.goodbye_and_out"])

    await victim.closed()


async def test_a_killed_session_that_does_not_answer_is_closed_in_time(
    link: Link, router: RouterProcess
) -> None:
    admin, victim = await link.join(), await link.join()
    before = (await router.metrics())["sessions"]
    await _kill(admin, victim)
    assert (await victim.receive())[0] == 6
    assert (await router.metrics())["sessions"] == before - 1

    # Whatever else it says is not heard any more.
    await victim.send([16, 1, {"acknowledge": True}, "com.t"], [32, 2, {}, "com.t"])

    async with at_most(GOODBYE_TIMEOUT_S + 2):
        await victim.closed()


async def test_a_rule_for_everything_does_not_open_the_procedures_that_kill(link: Link) -> None:
    client, victim = await link.join("/everything"), await link.join()
    error = await client.ask(48, 1, {}, "wamp.session.kill", [victim.session_id])
    assert error[:5] == [8, 48, 1, {}, "wamp.error.not_authorized"]
    assert (await client.ask(48, 2, {}, "wamp.session.count"))[3] == [2]


async def test_all_others_are_killed_at_once(link: Link) -> None:
    admin, *victims = [await link.join() for _ in range(4)]
    observer = await link.join("/everything")
    await observer.ask(32, 1, {}, "wamp.session.on_leave")

    result = await admin.ask(48, 1, {}, "wamp.session.kill_all")

    assert result[3] == [4]
    for victim in (*victims, observer):
        assert await victim.receive() == [6, {}, "wamp.close.killed"]
    assert (await admin.ask(48, 2, {}, "wamp.session.count"))[3] == [1]


async def test_ids_that_do_not_count_up_end_a_strict_session(link: Link) -> None:
    client = await link.join("/strict")
    for request in (1, 2):
        assert (await client.ask(32, request, {}, f"com.t{request}"))[0] == 33
    await client.send([32, 4, {}, "com.t"])
    reason, text = await client.aborted()
    assert reason == "wamp.error.protocol_violation"
    assert "3" in text


async def test_whoever_does_not_say_hello_in_time_is_aborted(link: Link) -> None:
    client = await link.connect("/hasty")
    assert await client.aborted() == ("wamp.error.protocol_violation", "no HELLO within 0.2 seconds")
