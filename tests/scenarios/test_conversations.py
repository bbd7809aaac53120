"""What WAMP clients do with each other, over every link."""

import asyncio

from heliograph.routing.router import ROLES
from tests.support.links import Link
from tests.support.websocket import HELLO_ROLES

TOPIC, PROCEDURE = "com.example.t", "com.example.p"
VALUES = [1, -1, 2**53, 0.5, "ü€😀", None, True, False, [], {}, [1, [2, {"deep": [3]}]], {"clé": ["a"]}]


async def test_a_session_joins_and_leaves(link: Link) -> None:
    client = await link.connect()
    code, session, details = await client.ask(1, "realm1", {"roles": HELLO_ROLES})
    assert code == 2
    assert 1 <= session <= 2**53
    assert details["authrole"] == details["authmethod"] == "anonymous"
    assert details["roles"] == ROLES
    assert details["agent"].startswith("Heliograph-")
    await client.leave()


async def test_an_event_reaches_its_subscribers_with_its_arguments(link: Link) -> None:
    publisher, first, second = [await link.join() for _ in range(3)]
    code, _, subscription = await first.ask(32, 1, {}, TOPIC)
    assert code == 33
    assert await second.ask(32, 9, {}, TOPIC) == [33, 9, subscription]

    arguments = {"key": VALUES}
    code, request, publication = await publisher.ask(16, 5, {"acknowledge": True}, TOPIC, VALUES, arguments)
    assert (code, request) == (17, 5)
    for subscriber in (first, second):
        assert await subscriber.receive() == [36, subscription, publication, {}, VALUES, arguments]


async def test_an_event_without_arguments_has_none(link: Link) -> None:
    publisher, subscriber = await link.join(), await link.join()
    _, _, subscription = await subscriber.ask(32, 1, {}, TOPIC)
    for arguments in ([], [[]], [[], {}]):
        _, _, publication = await publisher.ask(16, 1, {"acknowledge": True}, TOPIC, *arguments)
        event = await subscriber.receive()
        assert event[:4] == [36, subscription, publication, {}]
        assert not any(event[4:])


async def test_keyword_arguments_alone_arrive_alone(link: Link) -> None:
    publisher, subscriber = await link.join(), await link.join()
    await subscriber.ask(32, 1, {}, TOPIC)
    await publisher.send([16, 1, {}, TOPIC, [], {"a": 1}])
    assert (await subscriber.receive())[4:] == [[], {"a": 1}]


async def test_binary_values_cross_every_format(link: Link) -> None:
    publisher, subscriber = await link.join(), await link.join()
    await subscriber.ask(32, 1, {}, TOPIC)
    # "\0" + base64 is how JSON says binary.
    in_json, in_others = "\0AAH/", b"\x00\x01\xff"
    await publisher.send([16, 1, {}, TOPIC, [in_json if publisher.serializer == "json" else in_others]])
    (value,) = (await subscriber.receive())[4]
    assert value == (in_json if subscriber.serializer == "json" else in_others)


async def test_a_thousand_events_arrive_in_the_order_of_their_publisher(link: Link) -> None:
    publisher, subscriber = await link.join(), await link.join()
    await subscriber.ask(32, 1, {}, TOPIC)
    await subscriber.ask(32, 2, {}, f"{TOPIC}.other")
    await publisher.send(*([16, n, {}, TOPIC if n % 3 else f"{TOPIC}.other", [n]] for n in range(1, 1001)))
    heard = [(await subscriber.receive())[4] for _ in range(1000)]
    assert heard == [[n] for n in range(1, 1001)]


async def test_a_publisher_hears_its_own_event_only_when_it_asks_to(link: Link) -> None:
    client = await link.join()
    _, _, subscription = await client.ask(32, 1, {}, TOPIC)
    await client.send([16, 2, {}, TOPIC, ["no"]], [16, 3, {"exclude_me": False}, TOPIC, ["yes"]])
    assert (await client.receive())[4] == ["yes"]
    assert await client.ask(34, 4, subscription) == [35, 4]


async def test_an_unsubscribed_topic_is_silent(link: Link) -> None:
    publisher, subscriber = await link.join(), await link.join()
    _, _, subscription = await subscriber.ask(32, 1, {}, TOPIC)
    assert await subscriber.ask(34, 2, subscription) == [35, 2]
    await publisher.ask(16, 1, {"acknowledge": True}, TOPIC)
    # Had there been an event, it would stand before this answer.
    error = await subscriber.ask(34, 3, subscription)
    assert error[:5] == [8, 34, 3, {}, "wamp.error.no_such_subscription"]


async def test_a_call_is_answered_by_its_callee(link: Link) -> None:
    caller, callee = await link.join(), await link.join()
    code, _, registration = await callee.ask(64, 1, {}, PROCEDURE)
    assert code == 65
    await caller.send([48, 7, {}, PROCEDURE, VALUES, {"k": 1}])
    invocation = await callee.receive()
    assert invocation == [68, 1, registration, {}, VALUES, {"k": 1}]
    await callee.send([70, 1, {}, ["result"], {"more": 2}])
    assert await caller.receive() == [50, 7, {}, ["result"], {"more": 2}]

    await caller.send([48, 8, {}, PROCEDURE])
    assert await callee.receive() == [68, 2, registration, {}]
    await callee.send([8, 68, 2, {}, "com.example.error", ["why"], {"how": 1}])
    assert await caller.receive() == [8, 48, 8, {}, "com.example.error", ["why"], {"how": 1}]

    assert await callee.ask(66, 2, registration) == [67, 2]
    assert (await caller.ask(48, 9, {}, PROCEDURE))[4] == "wamp.error.no_such_procedure"


async def test_a_callee_that_dies_leaves_no_caller_waiting(link: Link) -> None:
    caller, callee = await link.join(), await link.join()
    await callee.ask(64, 1, {}, PROCEDURE)
    await caller.send([48, 7, {}, PROCEDURE])
    await callee.receive()
    await callee.break_off()
    assert (await caller.receive())[:5] == [8, 48, 7, {}, "wamp.error.canceled"]
    # The procedure is free again.
    assert (await caller.ask(64, 8, {}, PROCEDURE))[0] == 65


async def test_a_session_may_be_followed_by_another_on_the_same_connection(link: Link) -> None:
    client = await link.join()
    first = client.session_id
    assert await client.ask(6, {}, "wamp.close.normal") == [6, {}, "wamp.close.goodbye_and_out"]
    await client.join()
    assert client.session_id != first
    assert (await client.ask(32, 1, {}, TOPIC))[0] == 33


async def test_a_reserved_topic_is_refused_and_the_session_goes_on(link: Link) -> None:
    client = await link.join()
    error = await client.ask(16, 1, {"acknowledge": True}, "wamp.session.on_join")
    assert error[:5] == [8, 16, 1, {}, "wamp.error.invalid_uri"]
    assert (await client.ask(32, 2, {}, TOPIC))[0] == 33


async def test_many_sessions_hear_one_event(link: Link) -> None:
    publisher, *subscribers = [await link.join() for _ in range(12)]
    for subscriber in subscribers:
        await subscriber.ask(32, 1, {}, TOPIC)
    await publisher.send([16, 1, {}, TOPIC, ["all"]])
    heard = await asyncio.gather(*(subscriber.receive() for subscriber in subscribers))
    assert [event[4] for event in heard] == [["all"]] * 11
