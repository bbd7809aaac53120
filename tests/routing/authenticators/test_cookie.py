"""Who authenticated on an earlier connection of the same browser is known again, until it logs out."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from heliograph.routing.authenticators import cookie
from heliograph.wamp.messages import CloseDetails, Goodbye
from tests.support.door import DENIED, FAR_AWAY, Door, answers, refused, welcomed
from tests.support.recording import SessionPair

AUTH: dict[str, Any] = {
    "cookie": {"type": "static"},
    "ticket": {
        "type": "static",
        "principals": {
            "joe": {"ticket": "s3cret", "role": "backend"},
            "ann": {"ticket": "anns", "role": "frontend"},
        },
    },
    "anonymous": {"type": "static"},
}
BROWSER = msgspec.structs.replace(FAR_AWAY, cookie="cookie-of-a-browser")
ANOTHER = msgspec.structs.replace(FAR_AWAY, cookie="cookie-of-another")
LOGOUT = Goodbye(CloseDetails(), "wamp.close.logout")


@pytest.fixture
def door() -> Door:
    return Door(AUTH, cookies=True)


def log_in(door: Door) -> SessionPair:
    pair, _ = door.challenge("ticket", authid="joe", facts=BROWSER)
    assert welcomed(answers(pair, "s3cret"))[0] == "joe"
    return pair


@pytest.mark.parametrize("methods", [(), ("cookie",), ("cookie", "ticket")])
def test_a_browser_that_logged_in_is_known_again(door: Door, methods: tuple[str, ...]) -> None:
    log_in(door).session.lost()
    assert welcomed(door.knock(*methods, facts=BROWSER)[1]) == ("joe", "backend", "cookie", "static")


def test_being_known_again_is_remembered_no_longer(door: Door) -> None:
    log_in(door)
    door.bench.clock.advance(3000.0)
    assert welcomed(door.knock("cookie", facts=BROWSER)[1])[0] == "joe"
    door.bench.clock.advance(601.0)
    assert refused(door.knock("cookie", facts=BROWSER)[1]) == DENIED
    assert door.cookies is not None
    assert door.cookies.remembered == {}


@pytest.mark.parametrize("facts", [ANOTHER, FAR_AWAY], ids=["another cookie", "no cookie"])
def test_others_are_not(door: Door, facts: Any) -> None:
    log_in(door)
    assert refused(door.knock("cookie", facts=facts)[1]) == DENIED
    assert door.challenge("cookie", "ticket", facts=facts, authid="joe")[1].method == "ticket"
    assert welcomed(door.knock(facts=facts)[1])[2] == "anonymous"


def test_a_cookie_is_that_of_one_authid_and_one_realm(door: Door) -> None:
    log_in(door)
    assert refused(door.knock("cookie", facts=BROWSER, authid="ann")[1]) == DENIED
    assert door.cookies is not None
    (remembered,) = door.cookies.remembered.values()
    assert remembered.realm == "realm1"
    door.cookies.remembered = {
        digest: msgspec.structs.replace(remembered, realm="elsewhere") for digest in door.cookies.remembered
    }
    assert refused(door.knock("cookie", facts=BROWSER)[1]) == DENIED


def test_an_anonymous_session_is_not_remembered(door: Door) -> None:
    assert welcomed(door.knock("anonymous", facts=BROWSER)[1])[2] == "anonymous"
    assert refused(door.knock("cookie", facts=BROWSER)[1]) == DENIED


def test_a_failure_is_not_remembered(door: Door) -> None:
    pair, _ = door.challenge("ticket", authid="joe", facts=BROWSER)
    answers(pair, "wrong")
    assert refused(door.knock("cookie", facts=BROWSER)[1]) == DENIED


def test_no_cookie_is_kept_as_it_is(door: Door) -> None:
    log_in(door)
    assert door.cookies is not None
    assert "cookie-of-a-browser" not in repr(door.cookies.remembered)
    assert "cookie-of-a-browser" not in repr(vars(door.cookies))


def test_a_cookie_that_stood_for_another_is_forgotten(door: Door) -> None:
    log_in(door)
    pair, _ = door.challenge("ticket", authid="ann", facts=BROWSER)
    assert welcomed(answers(pair, "anns"))[0] == "ann"
    assert refused(door.knock("cookie", facts=BROWSER)[1]) == DENIED


def spend_by_logging_out(door: Door) -> None:
    log_in(door).says(LOGOUT)


def spend_by_another_authid(door: Door) -> None:
    log_in(door)
    pair, _ = door.challenge("ticket", authid="ann", facts=BROWSER)
    answers(pair, "anns")


def spend_by_revoking(door: Door) -> None:
    log_in(door)
    assert door.cookies is not None
    door.cookies.forget("realm1", "joe")


def spend_by_age(door: Door) -> None:
    log_in(door)
    door.bench.clock.advance(3601.0)
    assert refused(door.knock("cookie", facts=BROWSER)[1]) == DENIED


@pytest.mark.parametrize(
    "spend", [spend_by_logging_out, spend_by_another_authid, spend_by_revoking, spend_by_age]
)
@pytest.mark.parametrize(("authid", "secret"), [("joe", "s3cret"), ("ann", "anns")])
def test_a_cookie_that_is_spent_never_stands_for_anybody_again(
    door: Door, spend: Callable[[Door], None], authid: str, secret: str
) -> None:
    """The connection it came on may still be open, and somebody else may know its value by now."""
    spend(door)
    pair, _ = door.challenge("ticket", authid=authid, facts=BROWSER)
    assert welcomed(answers(pair, secret))[0] == authid
    assert refused(door.knock("cookie", facts=BROWSER)[1]) == DENIED


class TestLogout:
    def test_forgets_the_cookie_and_ends_the_other_sessions_of_the_browser(self, door: Door) -> None:
        first = log_in(door)
        second, _ = door.knock("cookie", facts=BROWSER)
        anonymous, _ = door.knock("anonymous", facts=BROWSER)
        stranger, _ = door.knock("anonymous", facts=ANOTHER)

        (farewell,) = first.says(LOGOUT)
        assert farewell == Goodbye(CloseDetails(), "wamp.close.goodbye_and_out")
        ended = Goodbye(CloseDetails(message="logged out on another connection"), "wamp.close.logout")
        assert second.hears() == anonymous.hears() == [ended]
        assert stranger.hears() == []
        assert refused(door.knock("cookie", facts=BROWSER)[1]) == DENIED

    def test_is_more_than_another_goodbye(self, door: Door) -> None:
        first = log_in(door)
        second, _ = door.knock("cookie", facts=BROWSER)
        first.says(Goodbye(CloseDetails(), "wamp.close.normal"))
        assert second.hears() == []
        assert welcomed(door.knock("cookie", facts=BROWSER)[1])[0] == "joe"

    def test_without_a_cookie_is_a_goodbye(self, door: Door) -> None:
        pair, _ = door.challenge("ticket", authid="joe")
        answers(pair, "s3cret")
        assert len(pair.says(LOGOUT)) == 1

    def test_sessions_that_left_are_forgotten(self, door: Door) -> None:
        pair = log_in(door)
        pair.session.lost()
        assert door.cookies is not None
        assert door.cookies._sessions == {}


def test_the_cookie_remembered_longest_makes_room(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cookie, "COOKIES_LIMIT", 1)
    log_in(door)
    pair, _ = door.challenge("ticket", authid="joe", facts=ANOTHER)
    answers(pair, "s3cret")
    assert refused(door.knock("cookie", facts=BROWSER)[1]) == DENIED
    assert welcomed(door.knock("cookie", facts=ANOTHER)[1])[0] == "joe"
