"""A path with a token: who has it is served, nobody else, and nothing happens for those."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.nodes import USUAL_PATHS, RunningNode, node_config, running_node, web_transport
from tests.support.websocket import post_json, request

TOKEN = "correct-horse-battery"
BODIES: dict[str, Any] = {
    "/notify": {"topic": "com.example.t"},
    "/many": [{"topic": "com.example.t"}, {"topic": "com.example.u"}],
    "/call": {"procedure": "wamp.session.count"},
}


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    options = {"options": {"token": TOKEN, "allowed_origins": ["https://app.example"]}}
    notify, call = {**USUAL_PATHS["notify"], **options}, {**USUAL_PATHS["call"], **options}
    paths = {**USUAL_PATHS, "notify": notify, "many": notify, "call": call, "open": USUAL_PATHS["notify"]}
    async with running_node(node_config(web_transport(paths))) as running:
        yield running


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
async def test_who_has_the_token_is_served(node: RunningNode, path: str, authorization: str) -> None:
    response = await post_json(node.address, path, BODIES[path], Authorization=authorization)
    assert response.status == 200
    assert node.counter("bridge_requests_unauthorized_total") == 0


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        f"Bearer x, Bearer {TOKEN}",
        f"Bearer {TOKEN}, Bearer x",
        f"Basic {TOKEN}",
        f"Bearer\t{TOKEN}",
        "Bearer \xe9\xe9",
    ],
)
async def test_who_has_not_is_told_what_is_asked_and_nothing_happens(
    node: RunningNode, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = await post_json(node.address, path, BODIES[path], **headers)
    assert response.status == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "token" in response.json["error"]
    assert TOKEN not in response.body.decode()
    assert node.counter("publications_total") == node.counter("bridge_requests_total") == 0
    assert node.counter("calls_total") == 0
    assert node.counter("bridge_requests_unauthorized_total") == 1
    assert node.counter("bridge_requests_refused_total") == 1


async def test_a_page_may_ask_beforehand_and_read_the_refusal(node: RunningNode) -> None:
    page = {"Origin": "https://app.example"}
    headers = {**page, "Access-Control-Request-Headers": "authorization"}
    asked = await request(node.address, "OPTIONS", "/notify", headers=headers)
    assert (asked.status, asked.headers["access-control-allow-headers"]) == (204, "authorization")
    refused = await post_json(node.address, "/notify", BODIES["/notify"], **page)
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, "https://app.example")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
async def test_a_method_is_not_told_to_who_has_no_token(node: RunningNode, method: str) -> None:
    assert (await request(node.address, method, "/notify")).status == 401


async def test_each_head_of_a_connection_is_judged_by_its_own_proof(node: RunningNode) -> None:
    """Heads that repeat are known by their bytes: those of another path or without the token are other bytes."""
    good = _head("/notify", f"Authorization: Bearer {TOKEN}\r\n")
    others = [_head("/notify", ""), _head("/notify", f"Authorization: Bearer {TOKEN[::-1]}\r\n")]
    reader, writer = await asyncio.open_connection(*node.address)
    statuses = []
    for head in [others[0], good, good, others[0], good, others[1], others[1], good, good, others[0]]:
        writer.write(head)
        statuses.append((await reader.readuntil(b"\r\n"))[9:12])
        rest = await reader.readuntil(b"\r\n\r\n")
        (length,) = [int(line[15:]) for line in rest.split(b"\r\n") if line.startswith(b"content-length:")]
        await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()
    assert statuses == [b"401", b"200", b"200", b"401", b"200", b"401", b"401", b"200", b"200", b"401"]
    assert node.counter("publications_total") == 5
    assert node.counter("bridge_requests_unauthorized_total") == 5


def _head(path: str, lines: str) -> bytes:
    body = b'{"topic":"com.example.t"}'
    return (
        f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{lines}"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
