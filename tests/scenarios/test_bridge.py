"""The bridge with options: one session behind each path, which no request may break for the others."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.nodes import OPEN_REALM, RouterProcess, node_config, router_process, web_transport
from tests.support.websocket import ABLE_ROLES, Response, connect_wamp, joined, post_json

TOPIC, PROCEDURE = "com.example.t", "com.example.p"
PATHS: dict[str, Any] = {
    "ws": {"type": "websocket"},
    "notify": {"type": "publisher", "realm": "realm1", "role": "anonymous"},
    "call": {"type": "caller", "realm": "realm1", "role": "anonymous"},
    "hurried": {"type": "caller", "realm": "realm1", "role": "anonymous", "options": {"timeout_s": 0.2}},
    "metrics": {"type": "metrics"},
}


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    config = node_config(web_transport(PATHS), realm=OPEN_REALM)
    with router_process(tmp_path_factory.mktemp("router"), config) as running:
        yield running


async def notify(router: RouterProcess, *args: object, topic: str = TOPIC, **options: object) -> Response:
    return await post_json(router.address, "/notify", {"topic": topic, "args": args, "options": options})


async def call(
    router: RouterProcess, *args: object, path: str = "/call", procedure: str = PROCEDURE, **options: object
) -> Response:
    body = {"procedure": procedure, "args": args, "options": options}
    return await post_json(router.address, path, body)


async def test_lists_say_who_hears_what_was_posted(router: RouterProcess) -> None:
    async with joined(router.address) as first, joined(router.address, "msgpack") as second:
        for client in (first, second):
            await client.ask(32, 1, {}, TOPIC)
        await notify(router, "for the first", eligible=[first.session_id])
        await notify(router, "not for the first", exclude=[first.session_id])
        await notify(router, "for nobody", eligible=[])
        await notify(router, "not for this role", exclude_authrole=["anonymous"])
        await notify(router, "for all")
        assert [(await first.receive())[4] for _ in range(2)] == [["for the first"], ["for all"]]
        assert [(await second.receive())[4] for _ in range(2)] == [["not for the first"], ["for all"]]


async def test_what_was_posted_is_retained(router: RouterProcess) -> None:
    response = await notify(router, "state", topic="com.example.state", retain=True)
    async with joined(router.address, "cbor") as client:
        _, _, subscription = await client.ask(32, 1, {"get_retained": True}, "com.example.state")
        event = await client.receive()
        assert event == [36, subscription, response.json["id"], {"retained": True}, ["state"]]


async def test_a_subscriber_of_a_pattern_hears_the_topic_of_what_was_posted(router: RouterProcess) -> None:
    async with joined(router.address) as client:
        await client.ask(32, 1, {"match": "wildcard"}, "com..t")
        await notify(router, 1)
        assert (await client.receive())[3:] == [{"topic": TOPIC}, [1]]


@pytest.mark.parametrize(
    "options",
    [{"eligible": "x"}, {"eligible": ["x"]}, {"retain": 1}, {"exclude_authid": [1]}, {"enc_algo": "what"}],
    ids=repr,
)
async def test_an_option_of_the_wrong_type_is_the_senders_mistake_alone(
    router: RouterProcess, options: dict[str, Any]
) -> None:
    response = await notify(router, **options)
    assert response.status == 400
    assert next(iter(options)) in response.json["error"]
    assert (await notify(router)).status == 200


async def test_progress_is_not_for_the_bridge_and_breaks_nothing(router: RouterProcess) -> None:
    client = await connect_wamp(router.address)
    await client.join(roles=ABLE_ROLES)
    await client.ask(64, 1, {}, PROCEDURE)
    calling = asyncio.create_task(call(router, "a", progress=True, receive_progress=True))
    invocation = await client.receive()
    assert (invocation[3], invocation[4]) == ({}, ["a"])
    # Progress nobody asked for is dropped.
    await client.send([70, invocation[1], {"progress": True}, ["half"]], [70, invocation[1], {}, ["whole"]])
    assert (await calling).json == {"args": ["whole"]}

    calling = asyncio.create_task(call(router, "b"))
    invocation = await client.receive()
    await client.send([70, invocation[1], {}, ["again"]])
    assert (await calling).json == {"args": ["again"]}


async def test_a_time_limit_of_the_request_is_kept_by_the_router(router: RouterProcess) -> None:
    client = await connect_wamp(router.address)
    await client.join(roles=ABLE_ROLES)
    await client.ask(64, 1, {}, PROCEDURE)

    response = await call(router, timeout=50)

    assert (response.status, response.json["error"]) == (200, "wamp.error.timeout")
    invocation = await client.receive()
    assert (await client.receive())[:2] == [69, invocation[1]]


async def test_a_time_limit_of_the_path_stops_the_callee_too(router: RouterProcess) -> None:
    client = await connect_wamp(router.address)
    await client.join(roles=ABLE_ROLES)
    await client.ask(64, 1, {}, PROCEDURE)

    response = await call(router, path="/hurried")

    assert (response.status, response.json["error"]) == (504, "wamp.error.timeout")
    invocation = await client.receive()
    assert (await client.receive())[:2] == [69, invocation[1]]
    # Its answer is dropped, and the next call has its own.
    await client.send([70, invocation[1], {}, ["late"]])
    calling = asyncio.create_task(call(router, path="/hurried"))
    second = await client.receive()
    await client.send([70, second[1], {}, ["in time"]])
    assert (await calling).json == {"args": ["in time"]}


async def test_a_request_given_up_stops_its_callee(router: RouterProcess) -> None:
    client = await connect_wamp(router.address)
    await client.join(roles=ABLE_ROLES)
    await client.ask(64, 1, {}, PROCEDURE)
    calling = asyncio.create_task(call(router))
    invocation = await client.receive()

    calling.cancel()

    assert (await client.receive())[:2] == [69, invocation[1]]


async def test_a_packed_result_is_one_binary_argument(router: RouterProcess) -> None:
    async with joined(router.address, "cbor") as client:
        await client.ask(64, 1, {}, PROCEDURE)
        calling = asyncio.create_task(call(router))
        invocation = await client.receive()
        await client.send([70, invocation[1], {"enc_algo": "cryptobox"}, b"\x00\xff"])
        assert (await calling).json == {"args": ["\0AP8="]}


async def test_calls_of_one_path_do_not_mix(router: RouterProcess) -> None:
    async with joined(router.address, "msgpack") as client:
        await client.ask(64, 1, {}, PROCEDURE)
        callings = [asyncio.create_task(call(router, number)) for number in range(20)]
        invocations = [await client.receive() for _ in callings]
        await client.send(*([70, message[1], {}, message[4]] for message in reversed(invocations)))
        assert [(await calling).json for calling in callings] == [{"args": [number]} for number in range(20)]


async def test_the_bridge_is_in_no_list_of_sessions(router: RouterProcess) -> None:
    async with joined(router.address) as client:
        sessions = (await client.ask(48, 1, {}, "wamp.session.list"))[3][0]
        assert sessions == [client.session_id]
        response = await call(router, procedure="wamp.session.count")
        assert response.json == {"args": [1]}


async def test_a_packed_payload_is_posted_as_it_is(router: RouterProcess) -> None:
    async with joined(router.address, "msgpack") as client:
        await client.ask(32, 1, {}, TOPIC)
        await notify(router, "\0AP8=", ppt_scheme="wamp", ppt_serializer="cbor")
        details = {"ppt_scheme": "wamp", "ppt_serializer": "cbor"}
        assert (await client.receive())[3:] == [details, [b"\x00\xff"]]
