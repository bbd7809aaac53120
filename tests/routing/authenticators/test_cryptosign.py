"""A challenge signed with a private key; the key may tell who it is."""

import hashlib
from typing import Any

import msgspec
import pytest

from heliograph.auth import cryptosign
from heliograph.auth.facts import ConnectionFacts
from tests.support.door import DENIED, FAR_AWAY, Door, answers, refused, welcomed

JOES, ANNS, SHARED, STRANGERS = (bytes([number]) * 32 for number in (1, 2, 3, 4))


def public(*keys: bytes) -> list[str]:
    return [cryptosign.public_key(key) for key in keys]


AUTH = {
    "cryptosign": {
        "type": "static",
        "principals": {
            "joe": {"authorized_keys": [public(JOES)[0].upper(), *public(SHARED)], "role": "frontend"},
            "ann": {"authorized_keys": public(ANNS, SHARED), "role": "backend"},
            "far": {"authorized_keys": public(JOES), "role": "backend", "realm": "elsewhere"},
        },
    }
}


@pytest.fixture
def door() -> Door:
    return Door(AUTH)


def signed(door: Door, key: bytes, authid: str | None, *, signer: bytes | None = None) -> Any:
    pair, challenge = door.challenge("cryptosign", authid=authid, authextra=cryptosign.hello_extra(key))
    return answers(pair, cryptosign.response(signer or key, challenge.extra))


@pytest.mark.parametrize(
    ("key", "authid", "role"),
    [(JOES, "joe", "frontend"), (SHARED, "joe", "frontend"), (SHARED, "ann", "backend")],
)
def test_a_key_of_the_principal_is_welcome(door: Door, key: bytes, authid: str, role: str) -> None:
    assert welcomed(signed(door, key, authid)) == (authid, role, "cryptosign", "static")


def test_without_an_authid_the_key_tells_who_it_is(door: Door) -> None:
    # far has the key too, but may not join this realm.
    assert welcomed(signed(door, JOES, None))[0] == "joe"


@pytest.mark.parametrize(
    ("key", "authid", "signer"),
    [
        pytest.param(ANNS, "joe", None, id="another's key"),
        pytest.param(STRANGERS, "joe", None, id="a stranger's key"),
        pytest.param(STRANGERS, None, None, id="a stranger without a name"),
        pytest.param(SHARED, None, None, id="a key of two without a name"),
        pytest.param(JOES, "joe", STRANGERS, id="the right key, signed with another"),
        pytest.param(JOES, "nobody", None, id="unknown principal"),
        pytest.param(JOES, "far", None, id="right key of another realm"),
    ],
)
def test_everything_else_is_refused_alike(
    door: Door, key: bytes, authid: str | None, signer: bytes | None
) -> None:
    assert refused(signed(door, key, authid, signer=signer)) == DENIED
    door.bench.assert_nothing_left()


@pytest.mark.parametrize("signature", ["", "zz", "\ud800", "00" * 96, "00" * 64, "0" * 100_000])
def test_what_is_no_signature_is_refused(door: Door, signature: str) -> None:
    pair, _ = door.challenge("cryptosign", authid="joe", authextra=cryptosign.hello_extra(JOES))
    assert refused(answers(pair, signature)) == DENIED


def test_an_old_signature_is_worth_nothing(door: Door) -> None:
    pair, challenge = door.challenge("cryptosign", authid="joe", authextra=cryptosign.hello_extra(JOES))
    signature = cryptosign.response(JOES, challenge.extra)
    answers(pair, signature)
    again, _ = door.challenge("cryptosign", authid="joe", authextra=cryptosign.hello_extra(JOES))
    assert refused(answers(again, signature)) == DENIED


@pytest.mark.parametrize("authextra", [None, {}, {"pubkey": 7}, {"pubkey": "00"}, {"pubkey": "x" * 64}])
@pytest.mark.parametrize("authid", ["joe", "nobody"])
def test_a_hello_without_a_key_is_told_so(door: Door, authid: str, authextra: dict[str, Any] | None) -> None:
    _, answer = door.knock("cryptosign", authid=authid, authextra=authextra)
    reason, text = refused(answer)
    assert reason == "wamp.error.authentication_denied"
    assert "authextra.pubkey" in str(text)


class TestChannelBinding:
    FACTS: ConnectionFacts = msgspec.structs.replace(FAR_AWAY, channel_ids={"tls-unique": b"channel"})
    EXTRA = {**cryptosign.hello_extra(JOES), "channel_binding": "tls-unique"}

    def test_binds_the_signature_to_the_channel(self, door: Door) -> None:
        pair, challenge = door.challenge("cryptosign", authid="joe", authextra=self.EXTRA, facts=self.FACTS)
        assert challenge.extra["channel_binding"] == "tls-unique"
        channel_id = hashlib.sha256(b"channel").digest()
        signature = cryptosign.sign_challenge(JOES, challenge.extra["challenge"], channel_id)
        assert welcomed(answers(pair, signature))[0] == "joe"

    def test_a_signature_for_another_channel_is_refused(self, door: Door) -> None:
        pair, challenge = door.challenge("cryptosign", authid="joe", authextra=self.EXTRA, facts=self.FACTS)
        signature = cryptosign.sign_challenge(JOES, challenge.extra["challenge"], b"x" * 32)
        assert refused(answers(pair, signature)) == DENIED

    @pytest.mark.parametrize("binding", ["tls-unique", "tls-exporter", 7, []])
    def test_what_the_connection_does_not_have_is_refused(self, door: Door, binding: object) -> None:
        _, answer = door.knock(
            "cryptosign", authid="joe", authextra={**self.EXTRA, "channel_binding": binding}
        )
        assert "channel binding" in str(refused(answer)[1])
