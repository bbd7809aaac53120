"""What publishers and subscribers do beyond the basic: patterns, filters, retention, history, testaments."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.links import Client, Link, linked_router
from tests.support.nodes import ALLOW_ALL, RouterProcess
from tests.support.websocket import ABLE_ROLES

REALM = {
    "name": "realm1",
    "roles": [
        {
            "name": "anonymous",
            "permissions": [
                {"uri": "", "match": "prefix", "allow": ALLOW_ALL},
                {"uri": "wamp.", "match": "prefix", "allow": ALLOW_ALL},
                {"uri": "com.secret.", "match": "prefix", "allow": {"publish": True}},
            ],
        }
    ],
    "store": {"type": "memory", "event-history": [{"uri": "com.kept.", "match": "prefix", "limit": 3}]},
}


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    with linked_router(tmp_path_factory.mktemp("router"), realm=REALM) as running:
        yield running


async def publish(client: Client, topic: str, *args: object, **options: object) -> int:
    """Publish, acknowledged; return the publication's id."""
    code, _, publication = await client.ask(16, 9, {"acknowledge": True, **options}, topic, list(args))
    assert code == 17
    return int(publication)


async def subscribe(client: Client, topic: str, **options: object) -> int:
    code, _, subscription = await client.ask(32, 8, options, topic)
    assert code == 33
    return int(subscription)


async def call(client: Client, procedure: str, *args: object, **kwargs: object) -> object:
    """Call one of the router's own procedures and return the only result."""
    result = await client.ask(48, 7, {}, procedure, list(args), kwargs)
    assert result[:2] == [50, 7], result
    return result[3][0] if len(result) > 3 and result[3] else None


async def test_one_event_comes_once_for_each_pattern_and_tells_its_topic(link: Link) -> None:
    publisher, subscriber = await link.join(), await link.join()
    exact = await subscribe(subscriber, "com.a.b.c")
    prefix = await subscribe(subscriber, "com.a", match="prefix")
    wildcard = await subscribe(subscriber, "com..b.", match="wildcard")
    await subscribe(subscriber, "com.other", match="prefix")

    publication = await publish(publisher, "com.a.b.c", "hello")

    heard = [await subscriber.receive() for _ in range(3)]
    assert sorted(heard, key=lambda event: event[1]) == [
        [36, exact, publication, {}, ["hello"]],
        [36, prefix, publication, {"topic": "com.a.b.c"}, ["hello"]],
        [36, wildcard, publication, {"topic": "com.a.b.c"}, ["hello"]],
    ]


async def test_a_pattern_does_not_hear_topics_its_subscriber_may_not_subscribe_to(link: Link) -> None:
    publisher, subscriber = await link.join(), await link.join()
    everything = await subscribe(subscriber, "com.", match="prefix")

    await publish(publisher, "com.secret.plans", "psst")
    publication = await publish(publisher, "com.public", "hello")

    assert await subscriber.receive() == [36, everything, publication, {"topic": "com.public"}, ["hello"]]


async def test_lists_of_a_publication_say_who_hears_it(link: Link) -> None:
    publisher, first, second = [await link.join() for _ in range(3)]
    for client in (first, second):
        await subscribe(client, "com.t")

    await publish(publisher, "com.t", "for the first", eligible=[first.session_id])
    await publish(publisher, "com.t", "not for the first", exclude=[first.session_id])
    await publish(publisher, "com.t", "for nobody", eligible=[])
    await publish(publisher, "com.t", "for a role", eligible_authrole=["anonymous"])
    await publish(publisher, "com.t", "for another role", eligible_authrole=["admin"])
    await publish(publisher, "com.t", "for all")

    assert [(await first.receive())[4] for _ in range(3)] == [["for the first"], ["for a role"], ["for all"]]
    assert [(await second.receive())[4] for _ in range(3)] == [
        ["not for the first"],
        ["for a role"],
        ["for all"],
    ]


async def test_a_publisher_that_discloses_itself_is_named(link: Link) -> None:
    publisher, subscriber = await link.join(), await link.join()
    await subscribe(subscriber, "com.t")

    await publish(publisher, "com.t", "it is me", disclose_me=True)

    details = (await subscriber.receive())[3]
    assert (details["publisher"], details["publisher_authrole"]) == (publisher.session_id, "anonymous")
    assert details["publisher_authid"]


async def test_a_retained_event_greets_who_comes_later_in_any_format(link: Link) -> None:
    publisher = await link.join()
    topic = f"com.state.s{publisher.session_id}"
    await publish(publisher, topic, "old", retain=True)
    publication = await publish(publisher, topic, "new", retain=True)
    await publish(publisher, topic, "passing")

    latecomer = await link.join()
    subscription = await subscribe(latecomer, topic, get_retained=True)
    assert await latecomer.receive() == [36, subscription, publication, {"retained": True}, ["new"]]

    by_pattern = await link.join()
    subscription = await subscribe(by_pattern, topic[:-1], match="prefix", get_retained=True)
    details = {"retained": True, "topic": topic}
    assert await by_pattern.receive() == [36, subscription, publication, details, ["new"]]


async def test_history_is_there_for_who_was_not_in_any_format(link: Link) -> None:
    publisher = await link.join()
    topic = f"com.kept.s{publisher.session_id}"
    binary = {"json": "\0AP8=", "msgpack": b"\x00\xff", "cbor": b"\x00\xff"}
    published = [await publish(publisher, topic, number, binary[publisher.serializer]) for number in range(5)]

    reader = await link.join()
    subscription = await call(reader, "wamp.subscription.lookup", "com.kept.", {"match": "prefix"})
    kept = await _events(reader, subscription, topic=topic)

    assert [event["publication"] for event in kept] == published[2:]
    assert [event["args"] for event in kept] == [[number, binary[reader.serializer]] for number in (2, 3, 4)]
    assert all(event["details"] == {"topic": topic} for event in kept)
    assert await _events(reader, subscription, topic=topic, reverse=True, limit=1) == kept[-1:]


async def _events(client: Client, subscription: object, **conditions: object) -> list[dict[str, Any]]:
    result = await client.ask(48, 7, {}, "wamp.subscription.get_events", [subscription], conditions)
    assert result[:2] == [50, 7], result
    return list(result[3])


async def test_a_testament_is_read_when_its_connection_breaks(link: Link) -> None:
    heir, testator = await link.join(), await link.join()
    subscription = await subscribe(heir, "com.last.words")
    assert (
        await call(testator, "wamp.session.add_testament", "com.last.words", ["farewell"], {"to": "you"})
        is None
    )
    assert (
        await call(testator, "wamp.session.add_testament", "com.last.words", ["gone"], {}, scope="detached")
        is None
    )

    await testator.break_off()

    heard = [await heir.receive(), await heir.receive()]
    assert [event[:2] for event in heard] == [[36, subscription]] * 2
    # Sessions are not resumed, so what is for detaching comes first.
    assert [event[4:] for event in heard] == [[["gone"]], [["farewell"], {"to": "you"}]]


async def test_a_testament_that_was_taken_back_is_not_read(link: Link) -> None:
    heir, testator = await link.join(), await link.join()
    await subscribe(heir, "com.last.words")
    await call(testator, "wamp.session.add_testament", "com.last.words", ["farewell"], {})
    assert await call(testator, "wamp.session.flush_testaments") is None

    assert await testator.ask(6, {}, "wamp.close.normal") == [6, {}, "wamp.close.goodbye_and_out"]

    await publish(await link.join(), "com.last.words", "of another")
    assert (await heir.receive())[4] == ["of another"]


async def test_who_joins_and_leaves_is_told_without_what_is_private(link: Link) -> None:
    observer = await link.join()
    joined = await subscribe(observer, "wamp.session.on_join")
    left = await subscribe(observer, "wamp.session.on_leave")

    client = await link.join()
    event = await observer.receive()
    assert event[1] == joined
    (details,) = event[4]
    assert details.keys() == {"session", "authid", "authrole", "authmethod", "authprovider"}
    assert details["session"] == client.session_id

    await client.break_off()
    event = await observer.receive()
    assert (event[1], event[4]) == (left, [client.session_id, details["authid"], "anonymous"])


async def test_the_life_of_a_subscription_is_told_in_order(link: Link) -> None:
    observer, subscriber = await link.join(), await link.join()
    topics = {
        await subscribe(observer, f"wamp.subscription.{name}"): name
        for name in ("on_create", "on_subscribe", "on_unsubscribe", "on_delete")
    }
    subscription = await subscribe(subscriber, "com.t", match="prefix")
    assert await subscriber.ask(34, 2, subscription) == [35, 2]

    heard = [await observer.receive() for _ in range(4)]

    assert [topics[event[1]] for event in heard] == [
        "on_create",
        "on_subscribe",
        "on_unsubscribe",
        "on_delete",
    ]
    assert all(event[4][0] == subscriber.session_id for event in heard)
    created = heard[0][4][1]
    assert (created["id"], created["uri"], created["match"]) == (subscription, "com.t", "prefix")
    assert [event[4][1] for event in heard[1:]] == [subscription] * 3


async def test_the_router_tells_of_its_sessions_and_subscriptions(link: Link) -> None:
    client, other = await link.join(), await link.join()
    subscription = await subscribe(other, "com.t..x", match="wildcard")

    sessions = await call(client, "wamp.session.list")
    assert isinstance(sessions, list)
    assert sorted(sessions) == sorted([client.session_id, other.session_id])
    assert await call(client, "wamp.session.count") == 2
    listed = await call(client, "wamp.subscription.list")
    assert isinstance(listed, dict)
    assert (listed["exact"], listed["wildcard"]) == ([], [subscription])
    assert await call(client, "wamp.subscription.match", "com.t.1.x") == [subscription]
    assert await call(client, "wamp.subscription.list_subscribers", subscription) == [other.session_id]
    error = await client.ask(48, 1, {}, "wamp.session.get", [1])
    assert error[:5] == [8, 48, 1, {}, "wamp.error.no_such_session"]


@pytest.mark.parametrize("roles", [ABLE_ROLES, None], ids=["told", "not told"])
async def test_a_subscription_that_is_taken_away_hears_nothing_more(link: Link, roles: object) -> None:
    admin = await link.join()
    subscriber = await link.join(roles=ABLE_ROLES) if roles else await link.join()
    subscription = await subscribe(subscriber, "com.t")

    await call(
        admin, "wamp.subscription.remove_subscriber", subscription, subscriber.session_id, reason="com.why"
    )
    await publish(admin, "com.t", "too late")

    if roles:
        assert await subscriber.receive() == [35, 0, {"subscription": subscription, "reason": "com.why"}]
    error = await subscriber.ask(34, 3, subscription)
    assert error[:5] == [8, 34, 3, {}, "wamp.error.no_such_subscription"]
