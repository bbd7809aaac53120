"""An address that fails too often waits, longer each time; nobody else does."""

import msgspec
import pytest

from heliograph.auth.facts import ConnectionFacts
from heliograph.auth.options import BackoffOptions
from heliograph.routing.authenticators import backoff
from tests.support.door import DENIED, Door, answers, refused, welcomed

THREE = BackoffOptions(max_failures=3, window_s=60.0, refusal_s=10.0)
AUTH = {
    "ticket": {
        "type": "static",
        "principals": {
            "joe": {"ticket": "s3cret", "role": "frontend"},
            "mallory": {"ticket": "known", "role": "frontend"},
        },
    },
    "anonymous": {"type": "static"},
}
THERE = ConnectionFacts(address="192.0.2.7")


def door_with(options: BackoffOptions = THREE) -> Door:
    return Door(AUTH, backoff=options)


def fail(door: Door, facts: ConnectionFacts = THERE, times: int = 1) -> None:
    for _ in range(times):
        pair, _ = door.challenge("ticket", authid="joe", facts=facts)
        assert refused(answers(pair, "wrong")) == DENIED


def is_let_in(door: Door, facts: ConnectionFacts = THERE) -> bool:
    pair, answer = door.knock("ticket", authid="joe", facts=facts)
    if pair.is_closed:
        assert refused(answer)[0] == "heliograph.error.too_many_failures"
        return False
    assert welcomed(answers(pair, "s3cret"))[0] == "joe"
    return True


def test_the_last_of_too_many_failures_closes_the_door_for_a_while() -> None:
    door = door_with()
    fail(door, times=3)
    _, answer = door.knock("ticket", authid="joe", facts=THERE)
    assert refused(answer) == (
        "heliograph.error.too_many_failures",
        "too many from this address have failed to authenticate: try again in 10 seconds",
    )
    assert door.bench.router.counters.authentications_throttled == 1
    door.bench.clock.advance(10.0)
    assert is_let_in(door)


def test_one_less_closes_nothing() -> None:
    door = door_with()
    fail(door, times=2)
    assert is_let_in(door)


def test_success_is_a_new_start() -> None:
    door = door_with()
    fail(door, times=2)
    assert is_let_in(door)
    fail(door, times=2)
    assert is_let_in(door)


def test_success_of_one_is_no_new_start_for_guesses_at_another() -> None:
    door = door_with()
    for _ in range(2):
        fail(door)
        pair, _ = door.challenge("ticket", authid="mallory", facts=THERE)
        assert welcomed(answers(pair, "known"))[0] == "mallory"
    fail(door)
    assert not is_let_in(door)


def test_success_does_not_shorten_the_next_refusal() -> None:
    door = door_with()
    fail(door, times=3)
    door.bench.clock.advance(10.0)
    assert is_let_in(door)
    fail(door, times=3)
    assert door.authenticators.backoff.refused_for_s(THERE) == 20.0


def test_old_failures_count_no_more() -> None:
    door = door_with()
    fail(door, times=2)
    door.bench.clock.advance(61.0)
    fail(door, times=2)
    assert is_let_in(door)


def test_who_goes_on_waits_longer_each_time_up_to_a_limit() -> None:
    door = door_with()
    waits = []
    for _ in range(8):
        fail(door, times=3)
        seconds = door.authenticators.backoff.refused_for_s(THERE)
        waits.append(seconds)
        door.bench.clock.advance(seconds)
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 320.0, 320.0]
    door.bench.clock.advance(121.0)
    fail(door, times=3)
    assert door.authenticators.backoff.refused_for_s(THERE) == 10.0


def test_challenges_asked_before_are_not_judged_any_more() -> None:
    door = door_with()
    asked = [door.challenge("ticket", authid="joe", facts=THERE)[0] for _ in range(5)]
    reasons = [refused(answers(pair, "wrong"))[0] for pair in asked]
    assert reasons == ["wamp.error.authentication_denied"] * 3 + ["heliograph.error.too_many_failures"] * 2
    door.bench.assert_nothing_left()


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_setting_the_date_neither_lengthens_nor_shortens_a_refusal(seconds: float) -> None:
    door = door_with()
    fail(door, times=3)
    door.bench.clock.set_date(seconds)
    assert door.authenticators.backoff.refused_for_s(THERE) == 10.0
    assert not is_let_in(door)
    door.bench.clock.advance(10.0)
    assert is_let_in(door)


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_setting_the_date_forgets_no_failures(seconds: float) -> None:
    door = door_with()
    fail(door, times=2)
    door.bench.clock.set_date(seconds)
    fail(door)
    assert not is_let_in(door)


@pytest.mark.parametrize("address", ["192.0.2.8", "2001:db8::7"])
def test_others_keep_their_service(address: str) -> None:
    door = door_with()
    fail(door, times=3)
    assert is_let_in(door, ConnectionFacts(address=address))
    assert not is_let_in(door)


def test_anonymous_clients_are_let_in_all_the_same() -> None:
    door = door_with()
    fail(door, times=3)
    assert welcomed(door.knock(facts=THERE)[1])[2] == "anonymous"


def test_a_network_of_ipv6_is_one_address() -> None:
    door = door_with()
    for number in range(3):
        fail(door, ConnectionFacts(address=f"2001:db8:0:1::{number}"))
    assert not is_let_in(door, ConnectionFacts(address="2001:db8:0:1:ffff::"))
    assert is_let_in(door, ConnectionFacts(address="2001:db8:0:2::"))


LOCAL = ConnectionFacts(address="127.0.0.1", is_local=True)


@pytest.mark.parametrize(
    ("options", "facts", "closes"),
    [
        pytest.param(THREE, LOCAL, False, id="loopback"),
        pytest.param(msgspec.structs.replace(THREE, local=True), LOCAL, True, id="loopback, when asked to"),
        pytest.param(THREE, ConnectionFacts(is_local=True), False, id="Unix socket"),
        pytest.param(BackoffOptions(max_failures=0), THERE, False, id="switched off"),
    ],
)
def test_whose_failures_count(options: BackoffOptions, facts: ConnectionFacts, *, closes: bool) -> None:
    door = door_with(options)
    fail(door, facts, times=3)
    assert is_let_in(door, facts) is not closes


def test_a_client_that_cannot_be_asked_has_not_failed() -> None:
    door = door_with()
    for _ in range(5):
        assert refused(door.knock("cryptosign", facts=THERE)[1])[0] == "wamp.error.no_matching_auth_method"
    assert is_let_in(door)


def test_the_address_that_failed_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "ADDRESSES_LIMIT", 10)
    door = door_with()
    fail(door, times=3)
    for number in range(10):
        fail(door, ConnectionFacts(address=f"198.51.100.{number}"))
    assert len(door.authenticators.backoff._records) == 10
    assert is_let_in(door)
