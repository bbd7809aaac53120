"""A challenge signed with a secret from the configuration; who does not exist is challenged like who does."""

import json
from typing import Any

import pytest

from heliograph.auth import wampcra
from heliograph.wamp.messages import Challenge
from tests.support.door import DENIED, Door, answers, refused, welcomed

SALTED = {"salt": "salt123", "iterations": 100, "keylen": 16}
USERS: dict[str, Any] = {
    "joe": {"secret": "s3cret", "role": "frontend"},
    "ann": {"secret": "p4ssword", "role": "backend", **SALTED},
    "far": {"secret": "s3cret", "role": "frontend", "realm": "elsewhere"},
}
DERIVED = wampcra.derive_key("p4ssword", "salt123", iterations=100, keylen=16).decode()


def door_for(*authids: str, **other: Any) -> Door:
    users = {authid: USERS[authid] for authid in authids} | other
    return Door({"wampcra": {"type": "static", "users": users}})


@pytest.fixture
def door() -> Door:
    return door_for("joe", "ann", "far")


def told(challenge: Challenge) -> dict[str, Any]:
    text: dict[str, Any] = json.loads(challenge.extra["challenge"])
    return text


def test_the_challenge_says_who_the_session_will_be(door: Door) -> None:
    pair, challenge = door.challenge("wampcra", authid="joe")
    assert challenge.method == "wampcra"
    assert set(challenge.extra) == {"challenge"}
    text = told(challenge)
    assert len(text.pop("nonce")) >= 32
    session = text.pop("session")
    assert text == {
        "authid": "joe",
        "authrole": "frontend",
        "authmethod": "wampcra",
        "authprovider": "static",
        "timestamp": "2023-11-14T22:13:20.000Z",
    }

    answer = answers(pair, wampcra.response("s3cret", challenge.extra))
    assert welcomed(answer) == ("joe", "frontend", "wampcra", "static")
    assert pair.id == session
    assert door.bench.realm.reserved_ids == set()


def test_an_announced_id_is_nobody_elses(door: Door) -> None:
    pair, challenge = door.challenge("wampcra", authid="joe")
    announced = told(challenge)["session"]
    door.bench.random_ids = iter([announced, announced + 1])
    assert door.bench.join_as("other").id == announced + 1
    answers(pair, wampcra.response("s3cret", challenge.extra))
    assert pair.id == announced


@pytest.mark.parametrize("kept", ["p4ssword", DERIVED], ids=["the password", "the derived key"])
def test_a_salted_secret_may_be_kept_as_password_or_key(kept: str) -> None:
    door = door_for(ann={**USERS["ann"], "secret": kept})
    pair, challenge = door.challenge("wampcra", authid="ann")
    assert {key: challenge.extra[key] for key in SALTED} == SALTED
    assert welcomed(answers(pair, wampcra.response("p4ssword", challenge.extra)))[0] == "ann"


@pytest.mark.parametrize(
    ("authid", "secret"),
    [
        pytest.param("joe", "wrong", id="wrong secret"),
        pytest.param("joe", "", id="empty secret"),
        pytest.param("ann", "wrong", id="wrong salted secret"),
        pytest.param("far", "s3cret", id="right secret of another realm"),
        pytest.param("nobody", "s3cret", id="unknown principal"),
        pytest.param(None, "s3cret", id="no authid"),
    ],
)
def test_a_wrong_signature_is_refused(door: Door, authid: str | None, secret: str) -> None:
    pair, challenge = door.challenge("wampcra", authid=authid)
    assert refused(answers(pair, wampcra.response(secret, challenge.extra))) == DENIED
    assert door.bench.router.counters.authentications_failed == 1
    door.bench.assert_nothing_left()


@pytest.mark.parametrize("signature", ["", "x", "\ud800", "A" * 100_000, "=", "ä"])
def test_what_is_no_signature_is_refused(door: Door, signature: str) -> None:
    pair, _ = door.challenge("wampcra", authid="joe")
    assert refused(answers(pair, signature)) == DENIED


def test_an_old_signature_is_worth_nothing(door: Door) -> None:
    pair, challenge = door.challenge("wampcra", authid="joe")
    signature = wampcra.response("s3cret", challenge.extra)
    answers(pair, signature)

    again, _ = door.challenge("wampcra", authid="joe")
    assert refused(answers(again, signature)) == DENIED


class TestUnknown:
    def test_is_challenged_like_the_only_kind_there_is(self) -> None:
        _, challenge = door_for("joe").challenge("wampcra", authid="nobody")
        assert set(challenge.extra) == {"challenge"}
        assert told(challenge)["authrole"] == "frontend"

    def test_has_a_salt_that_looks_like_that_of_others_and_stays(self) -> None:
        door = door_for("ann")
        extras = [door.challenge("wampcra", authid="nobody")[1].extra for _ in range(2)]
        extras.append(door_for("ann").challenge("wampcra", authid="nobody")[1].extra)
        salts = {extra["salt"] for extra in extras}
        assert len(salts) == 1, "also after a restart"
        (salt,) = salts
        assert len(salt) == len("salt123")
        assert salt.isalnum()
        assert salt != door.challenge("wampcra", authid="no-one")[1].extra["salt"]
        assert {extra["keylen"] for extra in extras} == {16}
        assert {extra["iterations"] for extra in extras} == {100}

    def test_comes_in_every_kind_there_is(self, door: Door) -> None:
        kinds = {
            tuple(sorted(door.challenge("wampcra", authid=f"nobody{number}")[1].extra))
            for number in range(40)
        }
        assert kinds == {("challenge",), ("challenge", "iterations", "keylen", "salt")}

    def test_gets_an_announced_id_that_is_given_back(self, door: Door) -> None:
        pair, challenge = door.challenge("wampcra", authid="nobody")
        assert door.bench.realm.reserved_ids == {told(challenge)["session"]}
        pair.session.lost()
        door.bench.assert_nothing_left()
