"""One POST becomes one call."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heliograph.client import ApplicationError, connect
from tests.support.nodes import USUAL_PATHS, RunningNode, node_config, running_node, web_transport
from tests.support.websocket import Connection, WampClient, http_request, joined, post_json

PROCEDURE = "com.example.p"


def with_timeout(seconds: float) -> dict[str, Any]:
    caller = {"type": "caller", "realm": "realm1", "role": "anonymous", "options": {"timeout_s": seconds}}
    return node_config(web_transport({**USUAL_PATHS, "call": caller}))


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    async with running_node() as running:
        yield running


@pytest.fixture
async def callee(node: RunningNode) -> AsyncIterator[WampClient]:
    async with joined(node.address) as client:
        await client.ask(64, 1, {}, PROCEDURE)
        yield client


RESULTS: list[tuple[list[Any], Any]] = [
    ([], {"args": [None]}),
    ([[]], {"args": [None]}),
    ([["value"]], {"args": ["value"]}),
    ([[1, 2]], {"args": [1, 2]}),
    ([[1], {"a": 2}], {"args": [1], "kwargs": {"a": 2}}),
    ([[], {"a": 2}], {"kwargs": {"a": 2}}),
]


@pytest.mark.parametrize(("result", "answer"), RESULTS)
async def test_the_result_is_the_answer(
    node: RunningNode, callee: WampClient, result: list[Any], answer: Any
) -> None:
    body = {"procedure": PROCEDURE, "args": [1, "ü"], "kwargs": {"k": 1}}
    calling = asyncio.create_task(post_json(node.address, "/call", body))
    assert await callee.receive() == [68, 1, 1, {}, [1, "ü"], {"k": 1}]
    await callee.send([70, 1, {}, *result])
    response = await calling
    assert (response.status, response.json) == (200, answer)


@pytest.mark.parametrize("value", [10**5000, float("nan"), "\0text"], ids=["digits", "NaN", "NUL"])
async def test_an_error_that_json_cannot_express_says_so(node: RunningNode, value: Any) -> None:
    def fail() -> None:
        raise ApplicationError("com.example.error", value)

    url = f"ws://127.0.0.1:{node.address[1]}/ws"
    async with connect(url, serializers=("cbor",)) as session:
        await session.register(fail, PROCEDURE)
        response = await post_json(node.address, "/call", {"procedure": PROCEDURE})
    assert response.status == 200
    assert response.json["error"] == "com.example.error"
    assert response.json["args"][0].startswith("the error's arguments cannot reach the caller: ")


async def test_an_error_that_cannot_be_read_is_told_at_once(node: RunningNode, callee: WampClient) -> None:
    calling = asyncio.create_task(post_json(node.address, "/call", {"procedure": PROCEDURE}))
    await callee.receive()
    await callee.send([8, 68, 1, {}, "com.example.error", ["\0no base64"]])
    async with asyncio.timeout(5):
        response = await calling
    assert response.status == 200
    assert response.json["error"] == "com.example.error"
    assert "must be base64" in response.json["args"][0]


async def test_the_callees_error_is_the_answer(node: RunningNode, callee: WampClient) -> None:
    calling = asyncio.create_task(post_json(node.address, "/call", {"procedure": PROCEDURE}))
    await callee.receive()
    await callee.send([8, 68, 1, {}, "com.example.error", ["why"], {"how": 1}])
    response = await calling
    assert response.status == 200
    assert response.json == {"error": "com.example.error", "args": ["why"], "kwargs": {"how": 1}}


async def test_nobody_to_call_says_so(node: RunningNode) -> None:
    response = await post_json(node.address, "/call", {"procedure": "com.example.nobody"})
    assert response.status == 200
    assert response.json == {
        "error": "wamp.error.no_such_procedure",
        "args": ["no callee has registered 'com.example.nobody'"],
        "kwargs": {},
    }


async def test_a_callee_that_dies_says_so(node: RunningNode, callee: WampClient) -> None:
    calling = asyncio.create_task(post_json(node.address, "/call", {"procedure": PROCEDURE}))
    await callee.receive()
    callee.socket.abort()
    response = await calling
    assert (response.status, response.json["error"]) == (200, "wamp.error.canceled")


async def test_a_callee_that_does_not_answer_is_a_timeout_and_forgotten() -> None:
    async with running_node(with_timeout(0.1)) as node, joined(node.address) as callee:
        await callee.ask(64, 1, {}, PROCEDURE)
        response = await post_json(node.address, "/call", {"procedure": PROCEDURE})
        assert response.status == 504
        assert response.json == {
            "error": "wamp.error.timeout",
            "args": ["the callee did not answer in time"],
            "kwargs": {},
        }
        await callee.receive()
        # Too late, and no violation.
        await callee.send([70, 1, {}, ["late"]])
        assert (await callee.ask(32, 2, {}, "com.example.t"))[0] == 33
        assert node.counter("answers_dropped_total") == 1


@pytest.mark.parametrize("serializer", ["msgpack", "cbor"])
async def test_a_result_that_json_cannot_express_is_an_error_not_a_wait(
    node: RunningNode, serializer: str
) -> None:
    async with joined(node.address, serializer) as callee:
        await callee.ask(64, 1, {}, PROCEDURE)
        calling = asyncio.create_task(post_json(node.address, "/call", {"procedure": PROCEDURE}))
        await callee.receive()
        await callee.send([70, 1, {}, [float("nan")]])
        response = await calling
        assert (response.status, response.json["error"]) == (500, "wamp.error.invalid_argument")
        assert response.json["args"]


async def test_binary_results_are_text_as_json_says_binary(node: RunningNode) -> None:
    async with joined(node.address, "msgpack") as callee:
        await callee.ask(64, 1, {}, PROCEDURE)
        calling = asyncio.create_task(post_json(node.address, "/call", {"procedure": PROCEDURE}))
        await callee.receive()
        await callee.send([70, 1, {}, [b"\x00\x01"]])
        assert (await calling).json == {"args": ["\0AAE="]}


async def test_a_client_that_goes_leaves_no_call_behind(node: RunningNode, callee: WampClient) -> None:
    connection = await Connection.open(node.address)
    await connection.send(http_request("POST", "/call", b'{"procedure": "com.example.p"}'))
    await callee.receive()
    connection.abort()
    await callee.send([70, 1, {}, ["for nobody"]])
    response = asyncio.create_task(post_json(node.address, "/call", {"procedure": PROCEDURE}))
    assert (await callee.receive())[1] == 2
    await callee.send([70, 2, {}, ["for somebody"]])
    assert (await response).json == {"args": ["for somebody"]}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "the body is not as it should be: Object missing required field `procedure`"),
        ({"procedure": 1}, "the body is not as it should be: Expected `str`, got `int` - at `$.procedure`"),
        ({"procedure": "p", "args": {}}, "the body is not as it should be: `args` must be a list"),
    ],
)
async def test_a_wrong_body_is_told_what_is_wrong(node: RunningNode, body: Any, text: str) -> None:
    response = await post_json(node.address, "/call", body)
    assert response.status == 400
    assert response.json == {"error": text, "args": [], "kwargs": {}}
