"""Bodies of many events: arrays and lines, one acknowledgement an event, in turns."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from heliograph.routing.work import UNITS_A_MESSAGE
from tests.http.test_lane import let_turns_do
from tests.support.nodes import USUAL_PATHS, RunningNode, node_config, running_node, web_transport
from tests.support.websocket import Connection, Response, WampClient, http_request, joined, request

TOPIC = "com.example.t"
JSON, NDJSON = "application/json", "application/x-ndjson"
REALM = {
    "name": "realm1",
    "roles": [
        {
            "name": "anonymous",
            "permissions": [
                {
                    "uri": "",
                    "match": "prefix",
                    "allow": {"publish": True, "subscribe": True, "call": True, "register": True},
                },
                {"uri": "secret.", "match": "prefix", "allow": {"subscribe": True}},
            ],
        },
        {"name": "asked", "authorizer": "com.example.authorize"},
    ],
}


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    limited = {**USUAL_PATHS["notify"], "options": {"events_limit": 3}}
    asked = {**USUAL_PATHS["notify"], "role": "asked"}
    paths = {**USUAL_PATHS, "limited": limited, "asked": asked}
    async with running_node(node_config(web_transport(paths), realm=REALM)) as running:
        yield running


@pytest.fixture
async def subscriber(node: RunningNode) -> AsyncIterator[WampClient]:
    async with joined(node.address) as client:
        await client.ask(32, 1, {}, TOPIC)
        yield client


def event(*args: Any, topic: str = TOPIC, **options: Any) -> dict[str, Any]:
    return {"topic": topic, "args": args, "options": options}


def body_of(media_type: str, events: Sequence[Any]) -> bytes:
    if media_type == JSON:
        return json.dumps(events).encode()
    return b"\r\n".join(json.dumps(each).encode() for each in events)


async def send(
    node: RunningNode, media_type: str, events: Sequence[Any] | bytes, target: str = "/notify"
) -> Response:
    body = events if isinstance(events, bytes) else body_of(media_type, events)
    return await request(node.address, "POST", target, body, {"Content-Type": media_type})


both = pytest.mark.parametrize("media_type", [JSON, NDJSON])


@both
async def test_all_are_published_in_their_order_and_acknowledged_in_one_list(
    node: RunningNode, subscriber: WampClient, media_type: str
) -> None:
    response = await send(node, media_type, [event(number) for number in range(100)])
    assert (response.status, response.headers["content-type"]) == (200, "application/json; charset=utf-8")
    events = [await subscriber.receive() for _ in range(100)]
    assert [each[4] for each in events] == [[number] for number in range(100)]
    assert response.json == [{"id": each[2]} for each in events]
    assert node.counter("bridge_batches_total") == 1
    assert node.counter("bridge_events_total") == 100


@both
async def test_one_that_is_refused_is_told_in_its_place_and_the_others_are_published(
    node: RunningNode, subscriber: WampClient, media_type: str
) -> None:
    wrong = [
        event("first"),
        {"args": [1]},
        event("x", topic="secret.t"),
        event("x", topic="two words"),
        {"topic": TOPIC, "args": {}},
        event("x", exclude_me="no"),
        17,
        event("last"),
    ]
    response = await send(node, media_type, wrong)
    assert response.status == 200
    first, *errors, last = response.json
    assert list(first) == list(last) == ["id"]
    assert [error["error"] for error in errors] == [
        "the body is not as it should be: Object missing required field `topic`",
        "wamp.error.not_authorized",
        "wamp.error.invalid_uri",
        "the body is not as it should be: `args` must be a list",
        "the body is not as it should be: Expected `bool`, got `str` - at `$.exclude_me`",
        "the body is not as it should be: Expected `object`, got `int`",
    ]
    assert all(list(error) == ["error", "args", "kwargs"] for error in errors)
    assert [(await subscriber.receive())[4] for _ in range(2)] == [["first"], ["last"]]
    assert node.counter("bridge_events_total") == 2
    assert node.counter("bridge_events_refused_total") == 6


async def test_a_line_that_is_not_json_is_told_in_its_place(
    node: RunningNode, subscriber: WampClient
) -> None:
    good = json.dumps(event(1)).encode()
    response = await send(node, NDJSON, b"\n".join([b"", good, b'{"topic', b"  ", good, b""]))
    assert [next(iter(entry)) for entry in response.json] == ["id", "error", "id"]
    assert response.json[1]["error"].startswith("the body is not JSON: ")
    assert [(await subscriber.receive())[4] for _ in range(2)] == [[1], [1]]


async def test_an_array_that_is_not_json_is_refused_as_a_whole(
    node: RunningNode, subscriber: WampClient
) -> None:
    response = await send(node, JSON, json.dumps([event(1), event(2)]).encode()[:-1])
    assert response.status == 400
    assert response.json["error"].startswith("the body is not JSON: ")
    await send(node, JSON, [event("next")])
    assert (await subscriber.receive())[4] == ["next"]


@both
async def test_none_at_all_are_acknowledged_with_an_empty_list(node: RunningNode, media_type: str) -> None:
    response = await send(node, media_type, [])
    assert (response.status, response.json) == (200, [])


async def test_white_space_before_an_array_does_not_matter(node: RunningNode) -> None:
    assert (await send(node, JSON, b'\r\n\t [{"topic": "com.example.t"}]')).json[0]["id"]


@both
@pytest.mark.parametrize("is_wrong", [False, True])
async def test_more_than_the_limit_are_refused_and_nothing_is_published(
    node: RunningNode, media_type: str, *, is_wrong: bool
) -> None:
    events: list[Any] = [event(number) for number in range(3)]
    assert len((await send(node, media_type, events, "/limited")).json) == 3
    response = await send(node, media_type, [*events, 17 if is_wrong else event(3)], "/limited")
    assert response.status == 413
    assert response.json["error"] == "a body may have at most 3 events, not 4"
    assert node.counter("publications_total") == 3


@both
async def test_calls_come_one_by_one(node: RunningNode, media_type: str) -> None:
    response = await send(node, media_type, [{"procedure": "com.example.p"}], "/call")
    assert response.status == (400 if media_type == JSON else 415)


@both
async def test_what_waits_for_a_decision_keeps_its_place(
    node: RunningNode, subscriber: WampClient, media_type: str
) -> None:
    async with joined(node.address) as authorizer:
        await authorizer.ask(64, 1, {}, "com.example.authorize")
        sending = asyncio.create_task(send(node, media_type, [event(n) for n in range(3)], "/asked"))
        for answer in (True, False, True):
            question = await authorizer.receive()
            await authorizer.send([70, question[1], {}, [answer]])
        response = await sending
        assert [next(iter(entry)) for entry in response.json] == ["id", "error", "id"]
        assert response.json[1]["error"] == "wamp.error.not_authorized"
        assert [(await subscriber.receive())[4] for _ in range(2)] == [[0], [2]]


@both
async def test_others_are_served_meanwhile(
    node: RunningNode, subscriber: WampClient, media_type: str
) -> None:
    the_turn = let_turns_do(0, node)
    many, one = await Connection.open(node.address), await Connection.open(node.address)
    body = body_of(media_type, [event(number) for number in range(200)])
    await many.send(http_request("POST", "/notify", body, {"Content-Type": media_type}))
    await node.until(lambda: len(the_turn._waiting) == 1)
    await one.send(http_request("POST", "/notify", body_of(JSON, [event("bystander")])))
    await node.until(lambda: len(the_turn._waiting) == 2)
    let_turns_do(4 * UNITS_A_MESSAGE, node)
    assert (await one.response()).status == 200
    assert len((await many.response()).json) == 200
    order = [(await subscriber.receive())[4][0] for _ in range(201)]
    assert [number for number in order if number != "bystander"] == list(range(200))
    assert order.index("bystander") < 10, "nobody waits until a large body is over"


async def test_what_is_left_when_the_client_goes_is_not_published(
    node: RunningNode, subscriber: WampClient
) -> None:
    let_turns_do(4 * UNITS_A_MESSAGE, node)
    connection = await Connection.open(node.address)
    body = body_of(JSON, [event(number) for number in range(900)])
    await connection.send(http_request("POST", "/notify", body))
    await node.until(lambda: node.counter("publications_total") > 0)
    let_turns_do(0, node)
    published = node.counter("publications_total")
    assert published < 900
    connection.abort()
    await node.until(lambda: node.counter("transport_connections") == 1)
    let_turns_do(100, node)
    await send(node, JSON, [event("next")])
    heard = [(await subscriber.receive())[4][0] for _ in range(published + 1)]
    assert heard == [*range(published), "next"]
