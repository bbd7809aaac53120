"""A password proven on both sides; both dialects, and a salt for who does not exist."""

from typing import Any

import pytest

from heliograph.auth.scram import ClientExchange, Record
from heliograph.routing.session import State
from heliograph.wamp.messages import Challenge, Message, Welcome
from tests.support.door import DENIED, Door, answers, refused, welcomed
from tests.support.recording import SessionPair

CHEAP = {"kdf": "pbkdf2", "iterations": 4096}


def principal(password: str, *, role: str = "frontend", **options: Any) -> dict[str, Any]:
    record = Record.make(password, **{**CHEAP, **options})
    return {
        "kdf": record.kdf,
        "iterations": record.iterations,
        "memory": record.memory_kib,
        "salt": record.salt.hex(),
        "stored-key": record.stored_key.hex(),
        "server-key": record.server_key.hex(),
        "role": role,
    }


PRINCIPALS = {"joe": principal("p4ssword"), "far": principal("p4ssword") | {"realm": "elsewhere"}}


@pytest.fixture
def door() -> Door:
    return Door({"scram": {"type": "static", "principals": PRINCIPALS}})


def exchange(
    door: Door, authid: str = "joe", method: str = "wamp-scram"
) -> tuple[SessionPair, ClientExchange, Challenge]:
    client = ClientExchange(authid, nonce=b"n" * 18)
    pair, challenge = door.challenge(method, authid=authid, authextra=client.hello_extra)
    return pair, client, challenge


def answered(
    pair: SessionPair, client: ClientExchange, challenge: Challenge, password: str = "p4ssword"
) -> Message:
    signature, extra = client.respond(password, challenge.method, challenge.extra)
    return answers(pair, signature, **extra)


@pytest.mark.parametrize("method", ["wamp-scram", "scram"])
def test_both_ends_prove_to_know_the_password(door: Door, method: str) -> None:
    pair, client, challenge = exchange(door, method=method)
    assert challenge.method == method
    answer = answered(pair, client, challenge)
    assert welcomed(answer) == ("joe", "frontend", method, "static")
    assert isinstance(answer, Welcome)
    client.check_router(answer.details.authextra)


@pytest.mark.parametrize(
    ("authid", "password"),
    [
        pytest.param("joe", "wrong", id="wrong password"),
        pytest.param("far", "p4ssword", id="right password of another realm"),
        pytest.param("nobody", "p4ssword", id="unknown principal"),
    ],
)
def test_a_wrong_proof_is_refused(door: Door, authid: str, password: str) -> None:
    pair, client, challenge = exchange(door, authid)
    assert refused(answered(pair, client, challenge, password)) == DENIED
    assert door.bench.router.counters.authentications_failed == 1
    door.bench.assert_nothing_left()


@pytest.mark.parametrize("signature", ["", "AAAA", "\ud800", "=" * 44, "A" * 100_000])
def test_what_is_no_proof_is_refused(door: Door, signature: str) -> None:
    pair, _, challenge = exchange(door)
    assert refused(answers(pair, signature, nonce=challenge.extra["nonce"])) == DENIED


def test_an_old_proof_is_worth_nothing(door: Door) -> None:
    pair, client, challenge = exchange(door)
    signature, extra = client.respond("p4ssword", challenge.method, challenge.extra)
    assert pair.session.state is State.CHALLENGING
    answers(pair, signature, **extra)

    again, _, _ = exchange(door)
    assert refused(answers(again, signature, **extra)) == DENIED


@pytest.mark.parametrize("authid", ["joe", "nobody"])
@pytest.mark.parametrize(
    "authextra",
    [
        None,
        {},
        {"nonce": 7},
        {"nonce": ""},
        {"nonce": "A" * 1000},
        {"nonce": "AAAAAAAAAAAA", "channel_binding": "tls-x"},
    ],
)
def test_a_hello_that_cannot_begin_is_refused_whoever_it_is(
    door: Door, authid: str, authextra: dict[str, Any] | None
) -> None:
    _, answer = door.knock("wamp-scram", authid=authid, authextra=authextra)
    assert refused(answer)[0] == "wamp.error.authentication_denied"


class TestUnknown:
    def test_has_the_same_salt_each_time(self, door: Door) -> None:
        _, _, challenge = exchange(door, authid="nobody")
        restarted = Door({"scram": {"type": "static", "principals": PRINCIPALS}})
        assert exchange(restarted, authid="nobody")[2].extra["salt"] == challenge.extra["salt"]
        assert exchange(door, authid="no-one")[2].extra["salt"] != challenge.extra["salt"]

    def test_is_challenged_with_the_cost_of_others(self, door: Door) -> None:
        real, fake = (exchange(door, authid=authid)[2].extra for authid in ("joe", "nobody"))
        varying = {"nonce", "salt"}
        assert {k: v for k, v in real.items() if k not in varying} == {
            k: v for k, v in fake.items() if k not in varying
        }
        assert len(real["salt"]) == len(fake["salt"])


class TestDialects:
    """argon2 is written two ways; a record of one cannot serve a client that speaks the other."""

    @pytest.fixture
    def door(self) -> Door:
        autobahns = principal("p4ssword", kdf="argon2id-13", iterations=1, memory_kib=8 * 1024)
        return Door({"scram": {"type": "static", "principals": {"joe": autobahns}}})

    @pytest.mark.parametrize("authid", ["joe", "nobody"])
    def test_the_one_that_fits_is_taken(self, door: Door, authid: str) -> None:
        client = ClientExchange(authid, nonce=b"n" * 18)
        _, challenge = door.challenge("wamp-scram", "scram", authid=authid, authextra=client.hello_extra)
        assert challenge.method == "scram"
        assert challenge.extra["kdf"] == "argon2id-13"

    @pytest.mark.parametrize("authid", ["joe", "nobody"])
    def test_without_it_nobody_gets_in(self, door: Door, authid: str) -> None:
        client = ClientExchange(authid, nonce=b"n" * 18)
        _, answer = door.knock("wamp-scram", authid=authid, authextra=client.hello_extra)
        assert refused(answer) == DENIED


def test_a_name_that_takes_long_to_read_is_not_even_challenged(door: Door) -> None:
    """Each character that is not ASCII takes ten microseconds to bring into its normal form."""
    extra = ClientExchange("joe", nonce=b"n" * 18).hello_extra
    for length, is_asked in ((1024, True), (1025, False)):
        _, answer = door.knock("scram", authid="é" * length, authextra=extra)
        assert isinstance(answer, Challenge) is is_asked
    assert refused(answer) == (
        "wamp.error.invalid_argument",
        "HELLO.Details.authid may have at most 1024 characters",
    )
