"""One POST becomes one event."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.nodes import RunningNode, node_config, running_node
from tests.support.websocket import WampClient, joined, post_json, request

TOPIC = "com.example.t"


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    realm = {
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
            }
        ],
    }
    async with running_node(node_config(realm=realm)) as running:
        yield running


@pytest.fixture
async def subscriber(node: RunningNode) -> AsyncIterator[WampClient]:
    async with joined(node.address) as client:
        await client.ask(32, 1, {}, TOPIC)
        yield client


BODIES: list[tuple[dict[str, Any], list[Any]]] = [
    ({}, []),
    ({"args": [1, "ü", None]}, [[1, "ü", None]]),
    ({"args": []}, [[]]),
    ({"args": None, "kwargs": None, "options": None}, []),
    ({"kwargs": {"a": [1]}}, [[], {"a": [1]}]),
    ({"args": [1], "kwargs": {"topic": "t", "options": 1}}, [[1], {"topic": "t", "options": 1}]),
    ({"args": [1], "options": {"exclude_me": False, "acknowledge": False, "unknown": 1}}, [[1]]),
    ({"args": [1], "unknown": "ignored"}, [[1]]),
]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("body", "heard"), BODIES)
async def test_a_body_becomes_an_event(
    node: RunningNode, subscriber: WampClient, method: str, body: dict[str, Any], heard: list[Any]
) -> None:
    text = json.dumps({"topic": TOPIC, **body}).encode()
    response = await request(node.address, method, "/notify", text, {"Content-Type": "application/json"})
    assert response.status == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert list(response.json) == ["id"]
    assert 1 <= response.json["id"] <= 2**53
    assert await subscriber.receive() == [36, 1, response.json["id"], {}, *heard]


async def test_white_space_around_a_value_does_not_matter(node: RunningNode, subscriber: WampClient) -> None:
    body = b' {\n "topic" : "com.example.t" ,\t"args" :\n\n [ 1 , 2 ] , "kwargs" :  { } } \n'
    assert (await request(node.address, "POST", "/notify", body)).status == 200
    assert (await subscriber.receive())[4:] == [[1, 2], {}]


async def test_a_trailing_path_is_accepted(node: RunningNode, subscriber: WampClient) -> None:
    assert (await post_json(node.address, "/notify/x/y", {"topic": TOPIC})).status == 200
    await subscriber.receive()


@pytest.mark.parametrize("serializer", ["msgpack", "cbor"])
async def test_it_reaches_subscribers_of_every_format(node: RunningNode, serializer: str) -> None:
    async with joined(node.address, serializer) as client:
        await client.ask(32, 1, {}, TOPIC)
        await post_json(node.address, "/notify", {"topic": TOPIC, "args": [1, {"a": "ü"}]})
        assert (await client.receive())[4] == [1, {"a": "ü"}]


async def test_a_refused_publication_says_so(node: RunningNode) -> None:
    response = await post_json(node.address, "/notify", {"topic": "secret.t"})
    assert response.status == 200
    assert response.json == {
        "error": "wamp.error.not_authorized",
        "args": ["role 'anonymous' may not publish 'secret.t'"],
        "kwargs": {},
    }
    assert node.counter("publications_refused_total") == 1


@pytest.mark.parametrize("topic", ["", "two words", "a..b", "wamp.x", "x" * 1025])
async def test_a_topic_that_is_none_says_so(node: RunningNode, topic: str) -> None:
    response = await post_json(node.address, "/notify", {"topic": topic})
    assert response.status == 400
    assert response.json["error"] == "wamp.error.invalid_uri"
    assert response.json["args"]


async def test_a_payload_a_subscriber_cannot_be_given_says_so(
    node: RunningNode, subscriber: WampClient
) -> None:
    async with joined(node.address, "msgpack") as other:
        await other.ask(32, 1, {}, TOPIC)
        body = b'{"topic": "com.example.t", "args": [123456789012345678901234567890]}'
        response = await request(node.address, "POST", "/notify", body)
        assert response.status == 200
        assert response.json["error"] == "wamp.error.invalid_argument"
        await post_json(node.address, "/notify", {"topic": TOPIC, "args": ["next"]})
        for client in (subscriber, other):
            assert (await client.receive())[4] == ["next"]
