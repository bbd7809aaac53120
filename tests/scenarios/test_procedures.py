"""What callers and callees do beyond the basic: progress, cancelling, time limits, sharing, passthru."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.links import Client, Link, linked_router
from tests.support.nodes import ALLOW_ALL, RouterProcess
from tests.support.websocket import ABLE_ROLES

PROCEDURE = "com.example.p"
REALM = {
    "name": "realm1",
    "roles": [
        {
            "name": "anonymous",
            "permissions": [
                {"uri": "", "match": "prefix", "allow": ALLOW_ALL},
                {"uri": "wamp.", "match": "prefix", "allow": ALLOW_ALL},
            ],
        }
    ],
    "store": {"type": "memory", "call-queue": [{"uri": "com.example.queued", "limit": 1}]},
}


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    with linked_router(tmp_path_factory.mktemp("router"), realm=REALM) as running:
        yield running


async def register(client: Client, procedure: str = PROCEDURE, **options: object) -> int:
    code, _, registration = await client.ask(64, 1, options, procedure)
    assert code == 65
    return int(registration)


async def invoked(client: Client) -> tuple[int, dict[str, Any]]:
    """Return id and details of the invocation that must come next."""
    message = await client.receive()
    assert message[0] == 68, message
    return message[1], message[3]


async def pair(link: Link, **options: object) -> tuple[Client, Client]:
    """Return a caller and a callee of the procedure that can do everything."""
    caller, callee = await link.join(roles=ABLE_ROLES), await link.join(roles=ABLE_ROLES)
    await register(callee, **options)
    return caller, callee


async def test_results_come_as_they_are_made(link: Link) -> None:
    caller, callee = await pair(link)
    await caller.send([48, 5, {"receive_progress": True}, PROCEDURE])
    invocation, details = await invoked(callee)
    assert details == {"receive_progress": True}

    for part in range(3):
        await callee.send([70, invocation, {"progress": True}, [part]])
        assert await caller.receive() == [50, 5, {"progress": True}, [part]]
    await callee.send([70, invocation, {}, ["all"]])
    assert await caller.receive() == [50, 5, {}, ["all"]]


async def test_a_call_may_come_in_pieces_while_results_go_back(link: Link) -> None:
    caller, callee = await pair(link)
    await caller.send([48, 5, {"progress": True, "receive_progress": True}, PROCEDURE, ["first"]])
    message = await callee.receive()
    invocation = message[1]
    assert message[3:] == [{"receive_progress": True, "progress": True}, ["first"]]
    await callee.send([70, invocation, {"progress": True}, ["heard first"]])
    assert await caller.receive() == [50, 5, {"progress": True}, ["heard first"]]

    await caller.send([48, 5, {"progress": True}, PROCEDURE, ["second"]], [48, 5, {}, PROCEDURE, ["last"]])
    second, last = await callee.receive(), await callee.receive()
    assert (second[1], second[3].get("progress"), second[4]) == (invocation, True, ["second"])
    assert (last[1], last[3].get("progress"), last[4]) == (invocation, None, ["last"])
    await callee.send([70, invocation, {}, ["done"]])
    assert await caller.receive() == [50, 5, {}, ["done"]]


async def test_a_cancelled_call_is_answered_at_once_and_its_callee_told(link: Link) -> None:
    caller, callee = await pair(link)
    await caller.send([48, 5, {}, PROCEDURE])
    invocation, _ = await invoked(callee)

    await caller.send([49, 5, {"mode": "killnowait"}])

    assert (await caller.receive())[:5] == [8, 48, 5, {}, "wamp.error.canceled"]
    interrupt = await callee.receive()
    assert (interrupt[:2], interrupt[2]["mode"]) == ([69, invocation], "killnowait")
    # What the callee answers all the same is dropped, and breaks nothing.
    await callee.send([70, invocation, {}, ["late"]])
    await caller.send([48, 6, {}, PROCEDURE])
    second, _ = await invoked(callee)
    await callee.send([70, second, {}, ["in time"]])
    assert await caller.receive() == [50, 6, {}, ["in time"]]


async def test_a_killed_call_ends_with_what_its_callee_says(link: Link) -> None:
    caller, callee = await pair(link)
    await caller.send([48, 5, {}, PROCEDURE])
    invocation, _ = await invoked(callee)
    await caller.send([49, 5, {"mode": "kill"}])
    interrupt = await callee.receive()
    assert (interrupt[:2], interrupt[2]["mode"]) == ([69, invocation], "kill")

    await callee.send([8, 68, invocation, {}, "com.example.stopped", ["half way"]])

    assert await caller.receive() == [8, 48, 5, {}, "com.example.stopped", ["half way"]]


async def test_a_call_that_takes_too_long_ends_with_an_error(link: Link) -> None:
    caller, callee = await pair(link)
    await caller.send([48, 5, {"timeout": 50}, PROCEDURE])
    invocation, details = await invoked(callee)
    assert details == {}

    assert (await caller.receive())[:5] == [8, 48, 5, {}, "wamp.error.timeout"]
    assert (await callee.receive())[:2] == [69, invocation]


async def test_a_callee_may_keep_the_time_itself(link: Link) -> None:
    caller, callee = await pair(link, forward_timeout=True)
    await caller.send([48, 5, {"timeout": 1}, PROCEDURE])
    invocation, details = await invoked(callee)
    assert details == {"timeout": 1}
    await callee.send([70, invocation, {}, ["late, and welcome"]])
    assert await caller.receive() == [50, 5, {}, ["late, and welcome"]]


async def test_a_caller_that_dies_stops_its_callee(link: Link) -> None:
    caller, callee = await pair(link)
    await caller.send([48, 5, {}, PROCEDURE])
    invocation, _ = await invoked(callee)

    await caller.break_off()

    interrupt = await callee.receive()
    assert (interrupt[:2], interrupt[2]["mode"]) == ([69, invocation], "killnowait")
    await callee.send([70, invocation, {}, ["too late"]])
    assert await callee.ask(66, 2, await _registration(callee)) == [67, 2]


async def _registration(client: Client) -> int:
    result = await client.ask(48, 99, {}, "wamp.registration.lookup", [PROCEDURE])
    return int(result[3][0])


async def test_calls_go_round_those_who_share_a_procedure(link: Link) -> None:
    caller, *callees = [await link.join() for _ in range(4)]
    registrations = {await register(callee, invoke="roundrobin") for callee in callees}
    assert len(registrations) == 1

    for number, callee in enumerate(callees * 2):
        await caller.send([48, number + 1, {}, PROCEDURE])
        invocation, _ = await invoked(callee)
        await callee.send([70, invocation, {}, [number]])
        assert await caller.receive() == [50, number + 1, {}, [number]]

    error = await caller.ask(64, 9, {"invoke": "first"}, PROCEDURE)
    assert error[:5] == [8, 64, 9, {}, "wamp.error.procedure_already_exists"]


async def test_a_callee_that_is_unavailable_leaves_the_call_to_the_next(link: Link) -> None:
    caller, first, second = [await link.join(roles=ABLE_ROLES) for _ in range(3)]
    for callee in (first, second):
        await register(callee, invoke="first")
    await caller.send([48, 5, {}, PROCEDURE, ["work"]])
    invocation, _ = await invoked(first)

    await first.send([8, 68, invocation, {}, "wamp.error.unavailable"])

    message = await second.receive()
    assert message[4] == ["work"]
    await second.send([70, message[1], {}, ["done"]])
    assert await caller.receive() == [50, 5, {}, ["done"]]


async def test_the_best_pattern_takes_the_call_and_is_told_what_was_called(link: Link) -> None:
    caller, by_prefix, by_wildcard, longer = [await link.join() for _ in range(4)]
    await register(by_prefix, "com.example", match="prefix")
    await register(by_wildcard, "com..p.x", match="wildcard")
    await register(longer, "com.example.p", match="prefix")

    await caller.send([48, 5, {}, "com.example.p.x"])
    invocation, details = await invoked(longer)
    assert details == {"procedure": "com.example.p.x"}
    await longer.send([70, invocation, {}])
    assert await caller.receive() == [50, 5, {}]

    await caller.send([48, 6, {}, "com.other.p.x"])
    _, details = await invoked(by_wildcard)
    assert details == {"procedure": "com.other.p.x"}


async def test_a_callee_takes_as_many_calls_as_it_said_and_one_more_may_wait(link: Link) -> None:
    caller, callee = await link.join(), await link.join()
    await register(callee, "com.example.queued", concurrency=1)
    await caller.send(*([48, number, {}, "com.example.queued", [number]] for number in (1, 2, 3)))
    first = await callee.receive()

    # One works, one waits, one is too many.
    assert (await caller.receive())[:5] == [8, 48, 3, {}, "crossbar.error.max_concurrency_reached"]
    await callee.send([70, first[1], {}, ["one"]])
    second = await callee.receive()
    assert (first[4], second[4]) == ([1], [2])
    await callee.send([70, second[1], {}, ["two"]])
    assert [(await caller.receive())[1:4:2] for _ in range(2)] == [[1, ["one"]], [2, ["two"]]]


async def test_a_registration_that_is_taken_away_is_told_and_free_for_another(link: Link) -> None:
    admin, callee = await link.join(), await link.join(roles=ABLE_ROLES)
    registration = await register(callee)
    removal = [48, 7, {}, "wamp.registration.remove_callee", [registration, callee.session_id]]
    assert (await admin.ask(*removal, {"reason": "com.why"}))[:2] == [50, 7]

    assert await callee.receive() == [67, 0, {"registration": registration, "reason": "com.why"}]
    await register(admin)


async def test_a_caller_that_discloses_itself_is_named(link: Link) -> None:
    caller, callee = await pair(link)
    await caller.send([48, 5, {"disclose_me": True}, PROCEDURE])
    _, details = await invoked(callee)
    assert (details["caller"], details["caller_authrole"]) == (caller.session_id, "anonymous")


def _binary(client: Client, data: bytes) -> Any:
    return "\0" + base64.b64encode(data).decode() if client.serializer == "json" else data


async def test_a_packed_payload_passes_in_the_form_of_the_specification(link: Link) -> None:
    caller, callee = await pair(link)
    packed = {"ppt_scheme": "wamp", "ppt_serializer": "cbor", "ppt_cipher": "aes256gcm", "ppt_keyid": "k"}
    await caller.send([48, 5, packed, PROCEDURE, [_binary(caller, b"\xa1question")]])
    message = await callee.receive()
    assert message[3:] == [packed, [_binary(callee, b"\xa1question")]]
    await callee.send([70, message[1], packed, [_binary(callee, b"\xa1answer")]])
    assert await caller.receive() == [50, 5, packed, [_binary(caller, b"\xa1answer")]]


async def test_a_packed_payload_passes_in_the_form_of_autobahn(link: Link) -> None:
    caller, callee = await pair(link)
    packed = {"enc_algo": "cryptobox", "enc_key": "k", "enc_serializer": "json"}
    await caller.send([48, 5, packed, PROCEDURE, _binary(caller, b"\xa1question")])
    message = await callee.receive()
    assert message[3:] == [packed, _binary(callee, b"\xa1question")]
    await callee.send([70, message[1], packed, _binary(callee, b"\xa1answer")])
    assert await caller.receive() == [50, 5, packed, _binary(caller, b"\xa1answer")]
