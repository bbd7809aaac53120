"""A procedure decides who may do what: whoever asks waits, and so does all that stands behind the question."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.links import Client, Link, linked_router
from tests.support.nodes import ALLOW_ALL, RouterProcess
from tests.support.websocket import post_json

AUTHORIZER = "com.example.authorize"
REALM = {
    "name": "realm1",
    "roles": [
        {"name": "anonymous", "authorizer": AUTHORIZER, "authorizer_timeout_s": 5},
        {"name": "hurried", "authorizer": AUTHORIZER, "authorizer_timeout_s": 0.1},
        {"name": "backend", "permissions": [{"uri": "", "match": "prefix", "allow": ALLOW_ALL}]},
    ],
}
PATHS: dict[str, Any] = {
    "ws": {"type": "websocket"},
    "hurried": {"type": "websocket", "anonymous_role": "hurried"},
    "backend": {"type": "websocket", "anonymous_role": "backend"},
    "notify": {"type": "publisher", "realm": "realm1", "role": "anonymous"},
    "call": {"type": "caller", "realm": "realm1", "role": "anonymous"},
    "metrics": {"type": "metrics"},
}


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    with linked_router(tmp_path_factory.mktemp("router"), PATHS, realm=REALM) as running:
        yield running


class Authorizer:
    """The program that decides."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    async def join(cls, link: Link) -> "Authorizer":
        client = await link.join("/backend")
        assert (await client.ask(64, 1, {}, AUTHORIZER))[0] == 65
        return cls(client)

    async def asked(self) -> "Question":
        """Return the next question."""
        message = await self._client.receive()
        assert message[0] == 68, message
        details, uri, action, options = message[4]
        return Question(self._client, message[1], details, uri, action, options)


class Question:
    """One question, and how it is answered."""

    def __init__(
        self,
        client: Client,
        invocation: int,
        details: dict[str, Any],
        uri: str,
        action: str,
        options: Any,
    ) -> None:
        self.details = details
        self.what = (action, uri)
        self.options = options
        self._client = client
        self._invocation = invocation

    async def answer(self, decision: object) -> None:
        await self._client.send([70, self._invocation, {}, [decision]])


async def test_the_authorizer_is_told_who_asks_for_what(link: Link) -> None:
    authorizer, client = await Authorizer.join(link), await link.join()
    await client.send([32, 1, {"match": "prefix"}, "com.t"])
    question = await authorizer.asked()
    assert question.what == ("subscribe", "com.t")
    assert question.options == {"match": "prefix"}
    assert question.details["session"] == client.session_id
    assert question.details["authrole"] == "anonymous"
    await question.answer(True)
    assert (await client.receive())[:2] == [33, 1]


@pytest.mark.parametrize(
    ("decision", "is_allowed"),
    [
        (True, True),
        ({"allow": True}, True),
        (False, False),
        ({"allow": False}, False),
        (None, False),
        (1, False),
        ("yes", False),
        ({"allow": "yes"}, False),
        ({"allow": True, "validate": {}}, False),
        ([], False),
    ],
)
async def test_only_a_clear_permission_allows(link: Link, decision: object, is_allowed: bool) -> None:
    authorizer, client = await Authorizer.join(link), await link.join()
    await client.send([16, 1, {"acknowledge": True}, "com.t"])
    await (await authorizer.asked()).answer(decision)
    answer = await client.receive()
    assert answer[0] == 17 if is_allowed else answer[:5] == [8, 16, 1, {}, "wamp.error.not_authorized"]


async def test_what_stands_behind_a_question_waits_and_keeps_its_order(link: Link) -> None:
    authorizer, client, other = await Authorizer.join(link), await link.join(), await link.join()
    # All in one segment, so all of it has been read when the first is held back.
    await client.send(
        [32, 1, {}, "com.first"],
        [16, 2, {"acknowledge": True, "exclude_me": False}, "com.first", ["mine"]],
        [34, 3, 999],
        [49, 4, {}],
        [32, 5, {}, "com.second"],
    )
    first = await authorizer.asked()

    # Another session is not held up.
    await other.send([34, 9, 999])
    assert (await other.receive())[:3] == [8, 34, 9]

    await first.answer(True)
    second = await authorizer.asked()
    assert second.what == ("publish", "com.first")
    await second.answer(True)
    third = await authorizer.asked()
    assert third.what == ("subscribe", "com.second")
    await third.answer(False)

    codes = [(await client.receive())[:3] for _ in range(5)]
    assert [code[0] for code in codes] == [33, 36, 17, 8, 8]
    assert codes[3:] == [[8, 34, 3], [8, 32, 5]]


async def test_goodbye_behind_a_question_waits_for_it_too(link: Link) -> None:
    authorizer, client = await Authorizer.join(link), await link.join()
    await client.send([16, 1, {"acknowledge": True}, "com.t"], [6, {}, "wamp.close.normal"])
    await (await authorizer.asked()).answer(True)
    assert [(await client.receive())[0] for _ in range(2)] == [17, 6]


# Who polls is missed when it does not come back, in `session_timeout`.
@pytest.mark.not_over("longpoll")
async def test_whoever_leaves_while_it_waits_is_missed_at_once_and_leaves_nothing(
    link: Link, router: RouterProcess
) -> None:
    authorizer, client = await Authorizer.join(link), await link.join()
    await client.send([32, 1, {}, "com.t"], [32, 2, {}, "com.u"])
    question = await authorizer.asked()
    await client.break_off()
    async with asyncio.timeout(3):  # less than the authorizer may take
        while (await router.metrics())["sessions"] > 1:
            pass

    await question.answer(True)

    late = await link.join("/backend")
    assert (await late.ask(48, 1, {}, "wamp.subscription.lookup", ["com.t"]))[3] == [None]


# RawSocket has no word for it: GOODBYE is the end, as above.
@pytest.mark.not_over("rawsocket", "unix", "universal_rawsocket")
async def test_whoever_says_close_behind_a_question_has_its_say_first(link: Link) -> None:
    authorizer, client, subscriber = (
        await Authorizer.join(link),
        await link.join(),
        await link.join("/backend"),
    )
    await subscriber.ask(32, 1, {}, "com.t")
    await client.send([16, 1, {}, "com.t", ["a"]], [16, 2, {}, "com.t", ["b"]])
    await client.finish()

    for argument in ("a", "b"):
        await (await authorizer.asked()).answer(True)
        assert (await subscriber.receive())[4] == [argument]

    await client.finished()


async def test_a_flood_behind_a_question_is_not_read(link: Link, router: RouterProcess) -> None:
    authorizer, client = await Authorizer.join(link), await link.join()
    before = await _bytes_read(router)
    flood = [[16, number, {}, "com.t", ["x" * 10_000]] for number in range(1, 2001)]
    sending = asyncio.create_task(client.send(*flood))
    first = await authorizer.asked()
    read, last = await _bytes_read(router), 0
    while read != last:
        read, last = await _bytes_read(router), read
    assert read - before < 1024 * 1024
    # With TLS the client's own library takes it all.
    assert "wss" in link.transports or not sending.done()

    await first.answer({"allow": True, "cache": True})

    await sending
    assert (await client.ask(34, 9, 999))[:3] == [8, 34, 9]


async def _bytes_read(router: RouterProcess) -> float:
    return (await router.metrics())["transport_bytes_received_total"]


async def test_an_answer_that_may_be_remembered_is_not_asked_for_again(link: Link) -> None:
    authorizer, client = await Authorizer.join(link), await link.join()
    await client.send([16, 1, {"acknowledge": True}, "com.t"])
    await (await authorizer.asked()).answer({"allow": True, "cache": True})
    assert (await client.receive())[0] == 17
    assert (await client.ask(16, 2, {"acknowledge": True}, "com.t"))[0] == 17

    # Another action, and another session, are other questions.
    await client.send([32, 3, {}, "com.t"])
    assert (await authorizer.asked()).what == ("subscribe", "com.t")
    other = await link.join()
    await other.send([16, 1, {"acknowledge": True}, "com.t"])
    assert (await authorizer.asked()).details["session"] == other.session_id


async def test_an_authorizer_may_have_the_publisher_disclosed(link: Link) -> None:
    authorizer = await Authorizer.join(link)
    publisher, subscriber = await link.join(), await link.join("/backend")
    await subscriber.ask(32, 1, {}, "com.t")
    await publisher.send([16, 1, {}, "com.t"])
    await (await authorizer.asked()).answer({"allow": True, "disclose": True})
    assert (await subscriber.receive())[3]["publisher"] == publisher.session_id


async def test_nobody_who_decides_denies(link: Link) -> None:
    client = await link.join()
    answer = await client.ask(16, 1, {"acknowledge": True}, "com.t")
    assert answer[:5] == [8, 16, 1, {}, "wamp.error.not_authorized"]


async def test_an_authorizer_that_does_not_answer_denies(link: Link) -> None:
    authorizer, client = await Authorizer.join(link), await link.join("/hurried")
    await client.send([16, 1, {"acknowledge": True}, "com.t"])
    question = await authorizer.asked()
    assert (await client.receive())[:5] == [8, 16, 1, {}, "wamp.error.not_authorized"]
    # Its answer comes too late for anything.
    await question.answer(True)
    await client.send([16, 2, {"acknowledge": True}, "com.t"])
    await (await authorizer.asked()).answer(True)
    assert (await client.receive())[:2] == [17, 2]


async def test_an_authorizer_that_dies_denies_at_once(link: Link) -> None:
    authorizer, client = await Authorizer.join(link), await link.join()
    await client.send([16, 1, {"acknowledge": True}, "com.t"])
    await authorizer.asked()
    await authorizer._client.break_off()
    assert (await client.receive())[:5] == [8, 16, 1, {}, "wamp.error.not_authorized"]


@pytest.mark.parametrize("is_allowed", [True, False])
async def test_a_callee_of_a_pattern_is_asked_about_when_it_would_be_called(
    link: Link, is_allowed: bool
) -> None:
    authorizer, callee, caller = await Authorizer.join(link), await link.join(), await link.join("/backend")
    await callee.send([64, 1, {"match": "prefix"}, "com.example."])
    await (await authorizer.asked()).answer(True)
    assert (await callee.receive())[:2] == [65, 1]

    # What stands behind the call waits with it.
    await caller.send([48, 1, {}, "com.example.secret"], [34, 2, 999])
    question = await authorizer.asked()
    assert question.what == ("register", "com.example.secret")
    assert question.options == {"match": "exact"}
    assert question.details["session"] == callee.session_id
    await question.answer(is_allowed)

    if is_allowed:
        assert (await caller.receive())[:3] == [8, 34, 2]
        invocation = await callee.receive()
        await callee.send([70, invocation[1], {}, ["done"]])
        assert (await caller.receive())[:4] == [50, 1, {}, ["done"]]
    else:
        assert (await caller.receive())[:5] == [8, 48, 1, {}, "wamp.error.no_such_procedure"]
        assert (await caller.receive())[:3] == [8, 34, 2]


async def test_the_bridge_asks_as_well_and_each_request_waits_for_itself(
    link: Link, router: RouterProcess
) -> None:
    authorizer = await Authorizer.join(link)
    subscriber = await link.join("/backend")
    await subscriber.ask(32, 1, {}, "com.second")

    first = asyncio.create_task(post_json(router.address, "/notify", {"topic": "com.first"}))
    held = await authorizer.asked()
    second = asyncio.create_task(post_json(router.address, "/notify", {"topic": "com.second", "args": [2]}))
    # The first is not answered yet; the second is asked for and served all the same.
    question = await authorizer.asked()
    assert question.what == ("publish", "com.second")
    await question.answer(True)
    response = await second
    assert response.json == {"id": (await subscriber.receive())[2]}
    assert not first.done()

    await held.answer(False)
    assert (await first).json["error"] == "wamp.error.not_authorized"


async def test_a_call_of_the_bridge_is_asked_for_as_well(link: Link, router: RouterProcess) -> None:
    authorizer = await Authorizer.join(link)
    callee = await link.join("/backend")
    await callee.ask(64, 1, {}, "com.example.p")
    calling = asyncio.create_task(
        post_json(router.address, "/call", {"procedure": "com.example.p", "args": [1]})
    )
    question = await authorizer.asked()
    assert question.what == ("call", "com.example.p")
    await question.answer(True)
    invocation = await callee.receive()
    await callee.send([70, invocation[1], {}, [2]])
    assert (await calling).json == {"args": [2]}
