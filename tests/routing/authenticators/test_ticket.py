"""A ticket from the configuration: plain or hashed, and nobody learns who exists."""

import pytest

from heliograph.auth import ticket
from heliograph.routing.session import State
from heliograph.wamp.messages import Abort, Authenticate, Challenge, CloseDetails, Goodbye
from tests.support.door import DENIED, Door, answers, refused, welcomed
from tests.support.recording import hello

TICKET = "s3cret-ticket"
AUTH = {
    "ticket": {
        "type": "static",
        "principals": {
            "joe": {"ticket": TICKET, "role": "frontend"},
            "ann": {"ticket": ticket.hash_ticket("hashed-ticket"), "role": "backend", "realm": "realm1"},
            "far": {"ticket": TICKET, "role": "frontend", "realm": "elsewhere"},
        },
    }
}


@pytest.fixture
def door() -> Door:
    return Door(AUTH)


@pytest.mark.parametrize(
    ("authid", "shown", "role"), [("joe", TICKET, "frontend"), ("ann", "hashed-ticket", "backend")]
)
def test_the_right_ticket_is_welcome(door: Door, authid: str, shown: str, role: str) -> None:
    pair, challenge = door.challenge("ticket", authid=authid)
    assert challenge == Challenge("ticket", {})
    assert pair.session.state is State.CHALLENGING

    assert welcomed(answers(pair, shown)) == (authid, role, "ticket", "static")
    assert pair.session.state is State.ESTABLISHED
    assert pair.session.details()["authid"] == authid
    assert door.bench.router.counters.authentications_failed == 0


@pytest.mark.parametrize(
    ("authid", "shown"),
    [
        pytest.param("joe", "wrong", id="wrong ticket"),
        pytest.param("joe", "", id="empty ticket"),
        pytest.param("joe", TICKET[:-1], id="truncated ticket"),
        pytest.param("joe", f"{TICKET} ", id="longer ticket"),
        pytest.param("joe", "x" * 100_000, id="over-long ticket"),
        pytest.param("joe", "\ud800", id="no text"),
        pytest.param("ann", ticket.hash_ticket("hashed-ticket"), id="the hash itself"),
        pytest.param("ann", AUTH["ticket"]["principals"]["ann"]["ticket"], id="the stored hash"),
        pytest.param("far", TICKET, id="right ticket of another realm"),
        pytest.param("nobody", TICKET, id="unknown principal"),
        pytest.param("nobody", "", id="unknown principal without a ticket"),
        pytest.param("\ud800", TICKET, id="authid that is no text"),
        pytest.param("", TICKET, id="empty authid"),
        pytest.param(None, TICKET, id="no authid"),
    ],
)
def test_everything_else_is_refused_alike(door: Door, authid: str | None, shown: str) -> None:
    pair, challenge = door.challenge("ticket", authid=authid)
    assert challenge == Challenge("ticket", {})

    assert refused(answers(pair, shown)) == DENIED
    assert pair.is_closed
    assert door.bench.router.counters.authentications_failed == 1
    assert door.bench.router.counters.sessions_refused == 1
    door.bench.assert_nothing_left()


def test_a_second_answer_is_a_violation(door: Door) -> None:
    pair, _ = door.challenge("ticket", authid="joe")
    answers(pair, TICKET)
    reason, text = refused(answers(pair, TICKET))
    assert reason == "wamp.error.protocol_violation"
    assert text == "AUTHENTICATE is not allowed in an established session"


def test_an_answer_after_a_wrong_one_gets_none(door: Door) -> None:
    pair, _ = door.challenge("ticket", authid="joe")
    answers(pair, "wrong")
    assert pair.says(Authenticate(TICKET, {})) == []


def test_hello_while_challenged_is_a_violation(door: Door) -> None:
    pair, _ = door.challenge("ticket", authid="joe")
    (answer,) = pair.says(hello(authmethods=["ticket"], authid="joe"))
    assert refused(answer) == (
        "wamp.error.protocol_violation",
        "HELLO is not allowed while CHALLENGE waits for AUTHENTICATE",
    )
    door.bench.assert_nothing_left()


def test_the_client_may_give_up(door: Door) -> None:
    pair, _ = door.challenge("ticket", authid="joe")
    assert pair.says(Abort(CloseDetails(), "wamp.error.cannot_authenticate")) == []
    assert pair.is_closed
    door.bench.assert_nothing_left()


@pytest.mark.parametrize("methods", [(), ("anonymous",), ("wampcra", "x" * 1000)])
def test_a_client_that_offers_no_method_that_is_configured_is_told(
    door: Door, methods: tuple[str, ...]
) -> None:
    _, answer = door.knock(*methods, authid="joe")
    reason, text = refused(answer)
    assert reason == "wamp.error.no_matching_auth_method"
    assert text is not None
    assert text.endswith("none is configured here, only ticket")
    assert len(text) < 200
    assert door.bench.router.counters.authentications_failed == 0


def test_methods_that_are_not_configured_are_passed_over(door: Door) -> None:
    pair, _ = door.challenge("cryptosign", "ticket", "anonymous", authid="joe")
    assert welcomed(answers(pair, TICKET))[0] == "joe"


def test_a_role_the_realm_does_not_have_is_told_after_the_ticket_only() -> None:
    door = Door({"ticket": {"type": "static", "principals": {"joe": {"ticket": TICKET, "role": "lost"}}}})
    pair, _ = door.challenge("ticket", authid="joe")
    assert refused(answers(pair, TICKET))[0] == "wamp.error.no_such_role"
    door.bench.assert_nothing_left()


def test_after_goodbye_another_may_join_on_the_same_connection(door: Door) -> None:
    pair, _ = door.challenge("ticket", authid="joe")
    answers(pair, TICKET)
    pair.says(Goodbye(CloseDetails(), "wamp.close.normal"))
    pair.says(hello(authmethods=["ticket"], authid="ann"))
    assert welcomed(answers(pair, "hashed-ticket"))[0] == "ann"
