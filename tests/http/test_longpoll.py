"""Long-poll: sessions whose messages are posted and fetched."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heliograph.http.protocol import GuardedHttpProtocol
from heliograph.transports.longpoll import LongPollConnection
from heliograph.wamp.messages import PublishOptions
from heliograph.wamp.payload import PlainPayload
from tests.support.longpoll import LongPollClient, polling
from tests.support.nodes import USUAL_PATHS, RunningNode, node_config, running_node, web_transport
from tests.support.websocket import (
    HELLO_ROLES,
    Connection,
    Response,
    encode,
    http_request,
    joined,
    post_json,
    request,
)

TOPIC = "com.example.t"
FORMS = ["json", "msgpack", "cbor", "json.batched", "msgpack.batched", "cbor.batched"]

PATHS = {
    "ws": {"type": "websocket"},
    "lp": {"type": "longpoll", "serializers": FORMS, "options": {"request_timeout": 5}},
    "hasty": {
        "type": "longpoll",
        "options": {"request_timeout": 0.1, "session_timeout": 0.3},
        "hello": {"hello_timeout_s": 0.2},
    },
    "small": {
        "type": "longpoll",
        "options": {
            "queue_limit_messages": 5,
            "queue_limit_bytes": 2048,
            "max_message_size": 1024,
            "max_sessions": 2,
        },
    },
    "batches": {
        "type": "longpoll",
        "serializers": ["json.batched"],
        "options": {"queue_limit_messages": 5},
    },
    "tracking": {"type": "longpoll", "cookie": {}},
    "anybody": {"type": "longpoll", "options": {"allowed_origins": ["*"]}},
}


@pytest.fixture
async def node() -> AsyncIterator[RunningNode]:
    async with running_node(node_config(web_transport(PATHS))) as running:
        yield running


def publish(node: RunningNode, *events: Any) -> None:
    """Publish within the turn at hand."""
    (session,) = node.router.realms["realm1"].sessions.values()
    for event in events:
        session.publish(TOPIC, PublishOptions(exclude_me=False), PlainPayload([event]))


async def open_session(node: RunningNode, path: str = "/lp", **headers: str) -> Response:
    return await post_json(node.address, f"{path}/open", {"protocols": ["wamp.2.json"]}, **headers)


@pytest.mark.parametrize("form", FORMS)
async def test_a_session_publishes_subscribes_calls_and_leaves(node: RunningNode, form: str) -> None:
    async with polling(node.address, form) as client, joined(node.address) as other:
        assert client.protocol == f"wamp.2.{form}"
        assert (await client.ask(32, 1, {}, TOPIC))[0] == 33
        await other.send([16, 1, {}, TOPIC, ["ä", {"a": [1, None]}]])
        assert (await client.receive())[4] == ["ä", {"a": [1, None]}]
        await other.ask(64, 2, {}, "com.example.add")
        await client.send([48, 2, {}, "com.example.add", [1, 2]])
        invocation = await other.receive()
        await other.send([70, invocation[1], {}, [3]])
        assert await client.receive() == [50, 2, {}, [3]]
        assert await client.ask(6, {}, "wamp.close.close_realm") == [6, {}, "wamp.close.goodbye_and_out"]
        closed = await client.post("close")
        assert closed.status == 204
        assert "content-length" not in closed.headers
        assert (await client.post("receive")).status == 404


async def test_the_client_is_told_its_protocol_and_an_id_nobody_guesses(node: RunningNode) -> None:
    protocols = ["wamp.2.ubjson", "wamp.2.msgpack.batched", "wamp.2.json"]
    first = (await post_json(node.address, "/lp/open", {"protocols": protocols})).json
    second = (await post_json(node.address, "/lp/open?x=1", {"protocols": protocols})).json
    assert first["protocol"] == second["protocol"] == "wamp.2.msgpack.batched"
    assert first["transport"] != second["transport"]
    assert len(first["transport"]) >= 43  # 32 bytes in base64


async def test_messages_wait_until_they_are_fetched_one_by_one(node: RunningNode) -> None:
    async with polling(node.address) as client, joined(node.address) as publisher:
        await client.ask(32, 1, {}, TOPIC)
        for number in range(1, 11):
            await publisher.ask(16, number, {"acknowledge": True}, TOPIC, [number])
        assert [(await client.receive())[4][0] for _ in range(10)] == list(range(1, 11))
        assert set(client.batches) == {1}


@pytest.mark.parametrize("serializer", ["json", "cbor"])
async def test_batched_messages_are_fetched_together(node: RunningNode, serializer: str) -> None:
    async with polling(node.address, f"{serializer}.batched") as client, joined(node.address) as publisher:
        await client.ask(32, 1, {}, TOPIC)
        for number in range(1, 11):
            await publisher.ask(16, number, {"acknowledge": True}, TOPIC, [number])
        assert [(await client.receive())[4][0] for _ in range(10)] == list(range(1, 11))
        assert client.batches[-1] == 10
        await client.send(*([16, number, {"acknowledge": True}, TOPIC] for number in range(2, 5)))
        assert [(await client.receive())[1] for _ in range(3)] == [2, 3, 4]


async def test_a_request_for_messages_hangs_until_there_is_one(node: RunningNode) -> None:
    async with polling(node.address) as client, joined(node.address) as publisher:
        await client.ask(32, 1, {}, TOPIC)
        waiting = asyncio.ensure_future(client.post("receive"))
        # By the time another request was answered, this one waits.
        assert (await client.post("send", encode("json", [16, 2, {}, "com.example.other"]))).status == 204
        assert not waiting.done()
        await publisher.send([16, 1, {}, TOPIC, ["now"]])
        response = await waiting
        assert response.status == 200
        assert response.headers["content-type"].startswith("application/json")
        assert response.json[4] == ["now"]


async def test_a_request_for_messages_ends_without_one_after_a_while(node: RunningNode) -> None:
    async with polling(node.address, path="/hasty") as client:
        for _ in range(5):  # the session lives as long as somebody asks
            assert (await client.post("receive")).status == 204
        assert (await client.ask(32, 1, {}, TOPIC))[0] == 33


async def test_one_request_for_messages_waits_at_a_time(node: RunningNode) -> None:
    async with polling(node.address) as client:
        await client.send([32, 1, {}, TOPIC])
        await client.receive()
        waiting = asyncio.ensure_future(client.post("receive"))
        await client.send([16, 2, {}, "com.example.other"])
        second = await request(node.address, "POST", f"{client.base}/receive")
        assert second.status == 409
        await client.send([16, 3, {"acknowledge": True}, "com.example.other"])
        assert (await waiting).json[0] == 17


@pytest.mark.parametrize("behind", ["/nowhere", "/notify"])
async def test_a_client_that_goes_is_noticed_whatever_it_has_asked_behind(behind: str) -> None:
    paths = {**USUAL_PATHS, "lp": {"type": "longpoll", "options": {"request_timeout": 3600}}}
    async with running_node(node_config(web_transport(paths))) as node, polling(node.address) as client:
        (session,) = [each for each in node.connections if isinstance(each, LongPollConnection)]
        waiting = await Connection.open(node.address)
        target = f"{client.base}/receive"
        await waiting.send(http_request("POST", target) + http_request("GET", behind))
        await node.until(lambda: session._is_receiving)
        (protocol,) = [
            each
            for each in node.http.state.connections
            if isinstance(each, GuardedHttpProtocol) and each.pipeline
        ]
        protocol.transport.abort()
        await node.until(lambda: not session._is_receiving)


async def test_nothing_is_lost_when_the_client_goes_while_it_waits(node: RunningNode) -> None:
    async with polling(node.address) as client, joined(node.address) as publisher:
        await client.ask(32, 1, {}, TOPIC)
        waiting = await Connection.open(node.address)
        await waiting.send(http_request("POST", f"{client.base}/receive"))
        # Another one is refused as soon as the first waits.
        while (await client.post("receive")).status != 409:
            pass
        waiting.abort()
        await publisher.ask(16, 1, {"acknowledge": True}, TOPIC, ["kept"])
        async with asyncio.timeout(10):
            while (response := await client.post("receive")).status != 200:
                assert response.status == 409
        assert response.json[4] == ["kept"]


async def test_messages_are_handled_in_the_order_of_the_requests(node: RunningNode) -> None:
    node.node._turn.work_budget = 2
    async with polling(node.address, "json.batched") as client:
        for start in range(1, 101, 10):
            await client.send(
                *([16, number, {"acknowledge": True}, TOPIC] for number in range(start, start + 10))
            )
        assert [(await client.receive())[1] for _ in range(100)] == list(range(1, 101))


class TestTheEnd:
    async def test_of_a_session_nobody_asks_for(self, node: RunningNode) -> None:
        async with polling(node.address, path="/hasty") as client, joined(node.address) as watcher:
            await watcher.ask(32, 1, {}, "wamp.session.on_leave")
            assert (await watcher.receive())[4][0] == client.session_id
            assert (await client.post("receive")).status == 404
            assert node.counter("transport_polling_sessions_timed_out_total") == 1
            assert node.counter("transport_polling_sessions") == 0

    async def test_of_one_that_says_no_hello(self, node: RunningNode) -> None:
        client = await LongPollClient.open(node.address, path="/hasty")
        abort = await client.receive()
        assert abort[0] == 3
        assert "no HELLO within" in abort[1]["message"]
        assert "was closed" in await client.over()
        assert node.counter("transport_hello_timeouts_total") == 1

    async def test_by_a_violation_is_told(self, node: RunningNode) -> None:
        async with polling(node.address) as client:
            assert (await client.post("send", b"[7]")).status == 204
            assert (await client.receive())[:1] == [3]
            assert "was closed" in await client.over()
            assert (await client.post("send", b"[7]")).status == 404

    async def test_what_was_said_last_survives_what_the_client_sends_meanwhile(
        self, node: RunningNode
    ) -> None:
        async with polling(node.address) as client:
            await client.post("send", b"[7]")
            assert (await client.post("send", b"[7]")).status == 410
            assert (await client.receive())[:1] == [3]

    async def test_by_a_batch_that_is_none_is_told(self, node: RunningNode) -> None:
        async with polling(node.address, "json.batched") as client:
            assert (await client.post("send", b"\x1e")).status == 204
            abort = await client.receive()
            assert (abort[0], abort[2]) == (3, "wamp.error.protocol_violation")
            assert "batch" in abort[1]["message"]

    @pytest.mark.parametrize("size", [1, 1500], ids=["messages", "bytes"])
    async def test_of_a_client_for_which_too_much_waits(self, node: RunningNode, size: int) -> None:
        async with polling(node.address, path="/small") as client, joined(node.address) as publisher:
            await client.ask(32, 1, {}, TOPIC)
            for number in range(1, 11):
                await publisher.ask(16, number, {"acknowledge": True}, TOPIC, ["x" * size])
            assert "read faster" in await client.over()
            assert node.counter("transport_slow_receivers_total") == 1
            assert node.counter("transport_frames_dropped_total") >= 1
            assert (await client.post("receive")).status == 404

    async def test_of_the_router_is_told_to_who_waits(self) -> None:
        async with running_node(node_config(web_transport(PATHS))) as node:
            client = await LongPollClient.join(node.address)
            waiting = asyncio.ensure_future(client.receive())
            # Refused: the other one waits.
            while (await request(node.address, "POST", f"{client.base}/receive")).status != 409:
                pass
            idle = await LongPollClient.join(node.address)
            stopping = asyncio.ensure_future(node.node.stop())
            assert (await waiting)[2] == "wamp.close.system_shutdown"
            async with asyncio.timeout(3):
                await stopping
            idle.drop()
            client.drop()


class TestLimits:
    async def test_of_a_body(self, node: RunningNode) -> None:
        async with polling(node.address, path="/small") as client:
            assert (await client.post("send", b"x" * 1025)).status == 413
            assert (await client.post("send", b"")).status == 400
            assert (await client.ask(32, 1, {}, TOPIC))[0] == 33  # nothing was lost by it

    async def test_of_sessions(self, node: RunningNode) -> None:
        async with polling(node.address, path="/small") as first, polling(node.address, path="/small"):
            refused = await open_session(node, "/small")
            assert refused.status == 503
            assert refused.headers["retry-after"]
            assert node.counter("transport_polling_sessions_refused_total") == 1
            await first.post("close")
            assert (await open_session(node, "/small")).status == 200

    async def test_of_sessions_gives_way_to_who_comes_to_join(self, node: RunningNode) -> None:
        """Who opens sessions without end and joins with none keeps nobody out."""
        idle = [await LongPollClient.open(node.address, path="/small") for _ in range(2)]
        async with polling(node.address, path="/small"):
            assert (await idle[0].post("receive")).status == 404
            async with polling(node.address, path="/small"):
                assert (await idle[1].post("receive")).status == 404
                assert (await open_session(node, "/small")).status == 503
        assert node.counter("transport_polling_sessions_refused_total") == 3
        for client in idle:
            client.drop()

    async def test_who_sends_faster_than_is_decided_waits(self) -> None:
        """Its messages are held at the router's door, not within it."""
        realm = {
            "name": "realm1",
            "roles": [
                {
                    "name": "anonymous",
                    "permissions": [
                        {"uri": "com.decider", "allow": {"register": True}},
                        {"uri": "", "match": "prefix", "allow": {"subscribe": True}},
                    ],
                },
                {"name": "asking", "authorizer": "com.decider"},
            ],
        }
        paths = {
            "ws": {"type": "websocket"},
            "lp": {"type": "longpoll", "anonymous_role": "asking", "options": {"request_timeout": 5}},
        }
        config = node_config(web_transport(paths), realm=realm)
        async with running_node(config) as node, joined(node.address) as decider:
            await decider.ask(64, 1, {}, "com.decider")
            async with polling(node.address) as client:
                text = "x" * 40_000
                await client.send([16, 1, {"acknowledge": True}, TOPIC, [text]])
                invocation = await decider.receive()
                await client.send([16, 2, {"acknowledge": True}, TOPIC, [text]])
                await client.send([16, 3, {"acknowledge": True}, TOPIC, [text]])
                waiting = asyncio.ensure_future(client.send([16, 4, {"acknowledge": True}, TOPIC]))
                assert await decider.ask(32, 2, {}, TOPIC)
                assert not waiting.done()
                for number in range(1, 5):
                    await decider.send([70, invocation[1], {}, [True]])
                    assert (await client.receive())[1] == number
                    if number < 4:
                        invocation = await decider.receive()
                        while invocation[0] != 68:
                            invocation = await decider.receive()
                await waiting


class TestRequests:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/lp/open", 405),
            ("POST", "/lp", 404),
            ("POST", "/lp/nobody/receive", 404),
            ("POST", "/lp/nobody/send", 404),
            ("POST", "/lp/nobody/close", 404),
            ("POST", "/lp/nobody", 404),
            ("POST", "/lp/a/b/c", 404),
        ],
    )
    async def test_to_nowhere_are_told_so(
        self, node: RunningNode, method: str, path: str, status: int
    ) -> None:
        response = await request(node.address, method, path, b"x")
        assert response.status == status
        assert response.body

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{}",
            b"[]",
            b'{"protocols": "wamp.2.json"}',
            b"{",
            b'{"protocols": []}',
            b'{"protocols": ["x"]}',
            b'{"protocols": ["\xff"]}',
            b'{"x": ' + b"[" * 5000,
        ],
        ids=lambda body: repr(body[:30]),
    )
    async def test_to_open_that_are_wrong_are_told_what_is_right(
        self, node: RunningNode, body: bytes
    ) -> None:
        response = await request(node.address, "POST", "/lp/open", body)
        assert response.status == 400
        assert b"protocols" in response.body

    async def test_of_foreign_pages_are_refused(self, node: RunningNode) -> None:
        assert (await open_session(node, Origin="https://evil.example")).status == 403
        assert (await open_session(node, Origin="http://127.0.0.1")).status == 200
        client = await LongPollClient.join(node.address)
        headers = {"Origin": "https://evil.example"}
        assert (await client.post("receive", headers=headers)).status == 403
        assert (await client.post("close", headers=headers)).status == 403
        assert (await client.ask(32, 1, {}, TOPIC))[0] == 33

    async def test_of_allowed_pages_are_told_that_they_may(self, node: RunningNode) -> None:
        own = await open_session(node, Origin="http://127.0.0.1")
        assert own.headers["access-control-allow-origin"] == "http://127.0.0.1"
        assert own.headers["access-control-allow-credentials"] == "true"
        # Where every page may ask, none may use the cookies of whoever looks at it.
        anybody = await open_session(node, "/anybody", Origin="https://any.example")
        assert anybody.headers["access-control-allow-origin"] == "https://any.example"
        assert "access-control-allow-credentials" not in anybody.headers

    async def test_of_browsers_beforehand_are_answered(self, node: RunningNode) -> None:
        headers = {
            "Origin": "https://any.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        response = await request(node.address, "OPTIONS", "/anybody/open", headers=headers)
        assert response.status == 204
        assert "content-length" not in response.headers
        assert response.headers["access-control-allow-methods"] == "POST, OPTIONS"
        assert response.headers["access-control-allow-headers"] == "content-type"

    async def test_are_never_cached(self, node: RunningNode) -> None:
        assert (await open_session(node)).headers["cache-control"] == "no-store"


async def test_a_browser_is_followed_by_its_cookie(node: RunningNode) -> None:
    given = (await open_session(node, "/tracking")).headers["set-cookie"]
    name, _, value = given.partition(";")[0].partition("=")
    again = await open_session(node, "/tracking", Cookie=f"{name}={value}")
    assert again.status == 200
    assert "set-cookie" not in again.headers
    assert {
        connection._session.facts.cookie
        for port in node.node._ports
        for service in port.services
        for connection in service._connections
    } == {value}


async def test_who_has_authenticated_is_known_again_by_cookie() -> None:
    secret = {"joe": {"ticket": "a ticket nobody guesses", "role": "anonymous"}}
    auth = {
        "ticket": {"type": "static", "principals": secret},
        "cookie": {"type": "static"},
    }
    path = {"type": "longpoll", "auth": auth, "cookie": {"store": {"type": "memory"}}}
    async with running_node(node_config(web_transport({"lp": path}))) as node:
        opened = await open_session(node)
        cookie = opened.headers["set-cookie"].partition(";")[0]
        client = LongPollClient(node.address, "/lp", opened.json)
        hello = {"roles": HELLO_ROLES, "authid": "joe", "authmethods": ["cookie", "ticket"]}
        assert (await client.ask(1, "realm1", hello))[:2] == [4, "ticket"]
        assert (await client.ask(5, "a ticket nobody guesses", {}))[0] == 2
        again = LongPollClient(node.address, "/lp", (await open_session(node, Cookie=cookie)).json)
        welcome = await again.ask(1, "realm1", hello)
        assert (welcome[0], welcome[2]["authmethod"], welcome[2]["authid"]) == (2, "cookie", "joe")
        stranger = LongPollClient(node.address, "/lp", (await open_session(node)).json)
        assert (await stranger.ask(1, "realm1", hello))[:2] == [4, "ticket"]
        for each in (client, again, stranger):
            each.drop()


async def test_the_router_knows_where_a_session_comes_from(node: RunningNode) -> None:
    client = await LongPollClient.join(node.address)
    (facts,) = [
        connection._session.facts
        for port in node.node._ports
        for service in port.services
        for connection in service._connections
        if connection._session.id == client.session_id
    ]
    assert (facts.address, facts.is_local, facts.is_encrypted) == ("127.0.0.1", True, False)


@pytest.mark.parametrize("body", [b"\xff", b"[", b"{}", b"[1]" * 100])
async def test_nonsense_ends_one_session_and_no_other(node: RunningNode, body: bytes) -> None:
    async with polling(node.address) as client, polling(node.address, "msgpack") as other:
        assert (await client.post("send", body)).status == 204
        assert (await client.receive())[0] == 3
        assert (await other.ask(32, 1, {}, TOPIC))[0] == 33
        assert node.counter("transport_defects_total") == 0


async def test_a_session_may_be_joined_again_after_goodbye(node: RunningNode) -> None:
    async with polling(node.address) as client:
        await client.ask(6, {}, "wamp.close.close_realm")
        assert (await client.ask(1, "realm1", {"roles": HELLO_ROLES}))[0] == 2


async def test_at_the_root_of_a_port() -> None:
    config = node_config(web_transport({"/": {"type": "longpoll"}}))
    async with running_node(config) as node, polling(node.address, path="") as client:
        assert (await client.ask(32, 1, {}, TOPIC))[0] == 33


class TestQueueLimit:
    """Of a session that nobody fetches for; nothing waits from earlier turns."""

    @pytest.mark.parametrize(("count", "size"), [(6, 10), (3, 1000)], ids=["messages", "bytes"])
    async def test_counts_in_the_first_turn(self, node: RunningNode, count: int, size: int) -> None:
        async with polling(node.address, "json", path="/small") as client:
            await client.ask(32, 1, {}, TOPIC)
            publish(node, *("x" * size for _ in range(count)))
            await node.until(lambda: node.counter("transport_slow_receivers_total") == 1)
            assert node.counter("transport_frames_dropped_total") == count
            assert (await client.post("receive")).status == 410

    async def test_does_not_keep_one_longer_message_back(self, node: RunningNode) -> None:
        async with polling(node.address, "json", path="/small") as client:
            await client.ask(32, 1, {}, TOPIC)
            publish(node, "x" * 5000)
            assert (await client.receive())[4] == ["x" * 5000]

    async def test_leaves_alone_what_a_request_fetches_at_once(self, node: RunningNode) -> None:
        async with polling(node.address, "json.batched", path="/batches") as client:
            await client.ask(32, 1, {}, TOPIC)
            fetching = asyncio.create_task(client.receive())
            (end,) = [each for service in node.node._ports[0].services for each in service._connections]
            await node.until(lambda: end._is_receiving)
            publish(node, *range(20))
            assert (await fetching)[4] == [0]
            assert [(await client.receive())[4] for _ in range(19)] == [[number] for number in range(1, 20)]


async def test_there_is_room_again_when_messages_are_fetched(node: RunningNode) -> None:
    async with polling(node.address, "json", path="/small") as client:
        await client.ask(32, 1, {}, TOPIC)
        (end,) = [each for service in node.node._ports[0].services for each in service._connections]
        assert end.has_room
        publish(node, 1, 2)
        called: list[bool] = []
        end.when_room(lambda: called.append(end.has_room))
        assert not end.has_room
        await client.receive()
        await node.until(lambda: bool(called))
        assert called == [True]
        publish(node, 1, 2, 3)
        end.when_room(lambda: called.append(end.has_room))
        await client.post("close")
        await node.until(lambda: len(called) == 2)
        assert called == [True, True], "nobody is told of what is sent to it"
