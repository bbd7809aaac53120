"""The tracking cookie: read from the handshake, or set by it."""

import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heliograph.transports.cookies import CookieTracking
from heliograph.transports.options import CookieOptions
from tests.support.nodes import RunningNode, node_config, running_node, web_transport
from tests.support.websocket import Connection, Response, upgrade_request

VALUE = "abcdefghijklmnopqrstuvwx"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        (f"cbtid={VALUE}", VALUE),
        (f'cbtid="{VALUE}"', VALUE),
        (f'cbtid="{VALUE}', None),
        ('cbtid="', None),
        (f"a=b; cbtid={VALUE}; c", VALUE),
        (f"a=b;cbtid = {VALUE} ", VALUE),
        (f"xcbtid={VALUE}", None),
        (f"CBTID={VALUE}", None),
        ("cbtid=short", None),
        (f"cbtid={VALUE}x", None),
        (f"cbtid={VALUE[:-1]}=", None),
        (f"cbtid={VALUE[:-1]}\n", None),
        (f"cbtid=short; cbtid={VALUE}", VALUE),
        ("cbtid", None),
        (";;;=;=", None),
    ],
)
def test_a_cookie_is_read(header: str, expected: str | None) -> None:
    assert CookieTracking(CookieOptions()).read(header) == expected


def test_a_cookie_as_long_as_headers_may_be_is_read_at_once() -> None:
    began = time.thread_time()
    assert CookieTracking(CookieOptions()).read("cbtid=" + '"' * 60_000 + "x") is None
    assert time.thread_time() - began < 1.0


def test_values_are_long_random_and_read_again() -> None:
    for length in (16, 24, 64):
        tracking = CookieTracking(CookieOptions(length=length))
        values = {tracking.new_value() for _ in range(100)}
        assert len(values) == 100
        assert all(len(value) == length for value in values)
        assert all(tracking.read(f"cbtid={value}") == value for value in values)


def test_a_value_that_is_not_known_is_replaced() -> None:
    """Else somebody could have chosen it for somebody else, and be let in later."""
    tracking = CookieTracking(CookieOptions(), is_known={VALUE}.__contains__)
    assert tracking.recognise(f"cbtid={VALUE}", is_encrypted=False) == (VALUE, None)
    value, set_cookie = tracking.recognise("cbtid=" + "y" * 24, is_encrypted=False)
    assert value != "y" * 24
    assert set_cookie is not None
    assert value in set_cookie


@pytest.mark.parametrize(
    ("options", "is_encrypted", "expected"),
    [
        ({}, False, "cbtid=v; Path=/; Max-Age=604800; SameSite=Lax; HttpOnly"),
        ({}, True, "cbtid=v; Path=/; Max-Age=604800; SameSite=Lax; HttpOnly; Secure"),
        ({"secure": False}, True, "cbtid=v; Path=/; Max-Age=604800; SameSite=Lax; HttpOnly"),
        (
            {"secure": True, "http_strict": False, "name": "who", "max_age_s": 60, "same_site": "None"},
            False,
            "who=v; Path=/; Max-Age=60; SameSite=None; Secure",
        ),
    ],
)
def test_a_cookie_is_set_as_the_configuration_says(
    options: dict[str, Any],
    is_encrypted: bool,
    expected: str,
) -> None:
    assert CookieTracking(CookieOptions(**options)).set_cookie("v", is_encrypted=is_encrypted) == expected


def test_a_cookie_for_all_sites_must_be_secure() -> None:
    with pytest.raises(ValueError, match="browsers drop a cookie"):
        CookieOptions(same_site="None")


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    paths = {"ws": {"type": "websocket", "cookie": {}}, "plain": {"type": "websocket"}}
    async with running_node(node_config(web_transport(paths))) as running:
        yield running


async def handshake(node: RunningNode, cookie: str | None = None, path: str = "/ws") -> Response:
    plain = await Connection.open(node.address)
    await plain.send(upgrade_request(path, headers={"Cookie": cookie}))
    response = await plain.response()
    assert response.status == 101
    return response


async def test_a_browser_without_a_cookie_is_given_one_and_known_by_it(node: RunningNode) -> None:
    given = (await handshake(node)).headers["set-cookie"]
    match = re.match(r"cbtid=([A-Za-z0-9_-]{24}); Path=/; Max-Age=604800; SameSite=Lax; HttpOnly\Z", given)
    assert match
    assert "set-cookie" not in (await handshake(node, f"cbtid={match[1]}")).headers
    # Both are still open.
    assert {connection._session.facts.cookie for connection in node.connections} == {match[1]}


async def test_what_is_no_cookie_of_ours_is_replaced(node: RunningNode) -> None:
    response = await handshake(node, "cbtid=x<y>; other=1")
    assert response.headers["set-cookie"].startswith("cbtid=")
    assert "x<y>" not in str(response.headers)


async def test_without_a_cookie_block_none_is_set(node: RunningNode) -> None:
    assert "set-cookie" not in (await handshake(node, path="/plain")).headers
    assert [connection._session.facts.cookie for connection in node.connections] == [None]
