import base64
import json

import pytest

from heliograph.auth import wampcra
from heliograph.auth.errors import ChallengeRefused

CHALLENGE = wampcra.challenge_text(
    authid="peter",
    authrole="user",
    authprovider="static",
    nonce="LHRTC9zeOIrt_9U3",
    timestamp="2014-06-22T16:36:25.448Z",
    session=3251278072152162,
)


def test_the_challenge_holds_what_the_specification_lists():
    assert json.loads(CHALLENGE) == {
        "authid": "peter",
        "authrole": "user",
        "authmethod": "wampcra",
        "authprovider": "static",
        "nonce": "LHRTC9zeOIrt_9U3",
        "timestamp": "2014-06-22T16:36:25.448Z",
        "session": 3251278072152162,
    }


class TestSignature:
    def test_is_right_when_made_with_the_secret(self):
        signature = wampcra.response("s3cret", {"challenge": CHALLENGE})
        assert wampcra.is_right(wampcra.key_of("s3cret"), CHALLENGE, signature)

    @pytest.mark.parametrize("signature", ["", "AAAA", "ÄÖÜ", "\ud800", "=" * 44])
    def test_is_wrong_when_it_is_nonsense(self, signature):
        assert not wampcra.is_right(wampcra.key_of("s3cret"), CHALLENGE, signature)

    def test_is_wrong_for_another_challenge(self):
        signature = wampcra.response("s3cret", {"challenge": CHALLENGE})
        assert not wampcra.is_right(wampcra.key_of("s3cret"), CHALLENGE.replace("peter", "petra"), signature)

    def test_is_wrong_with_another_secret(self):
        signature = wampcra.response("secret", {"challenge": CHALLENGE})
        assert not wampcra.is_right(wampcra.key_of("s3cret"), CHALLENGE, signature)

    def test_follows_from_the_derived_key_when_there_is_a_salt(self):
        extra = {"challenge": CHALLENGE, "salt": "salt123", "keylen": 32, "iterations": 100}
        key = wampcra.derive_key("s3cret", "salt123", iterations=100)
        assert wampcra.is_right(key, CHALLENGE, wampcra.response("s3cret", extra))
        assert not wampcra.is_right(wampcra.key_of("s3cret"), CHALLENGE, wampcra.response("s3cret", extra))

    def test_has_the_usual_costs_where_the_challenge_names_none(self):
        key = wampcra.derive_key("s3cret", "salt123", iterations=1000, keylen=32)
        extra = {"challenge": CHALLENGE, "salt": "salt123"}
        assert wampcra.is_right(key, CHALLENGE, wampcra.response("s3cret", extra))


def test_the_derived_key_is_base64_text():
    # PBKDF2-HMAC-SHA256 of ("password", "salt"), 1 iteration, 32 octets, as published for that function.
    known = bytes.fromhex("120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b")
    assert wampcra.derive_key("password", "salt", iterations=1) == base64.b64encode(known)


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({}, "no text to sign"),
        ({"challenge": 7}, "no text to sign"),
        ({"challenge": "{}", "salt": 7}, "salt"),
        ({"challenge": "{}", "salt": "x", "iterations": "1000"}, "iterations"),
        ({"challenge": "{}", "salt": "x", "iterations": 0}, "iterations"),
        ({"challenge": "{}", "salt": "x", "iterations": True}, "iterations"),
        ({"challenge": "{}", "salt": "x", "keylen": -1}, "keylen"),
        ({"challenge": "{}", "salt": "x", "iterations": 10**12}, "at most"),
        ({"challenge": "{}", "salt": "x", "keylen": 10**6}, "at most"),
        ({"challenge": "{}", "salt": "x", "keylen": 64, "iterations": wampcra.MAX_ITERATIONS}, "at most"),
    ],
)
def test_a_challenge_that_is_unreasonable_is_refused_at_once(extra, reason):
    with pytest.raises(ChallengeRefused, match=reason):
        wampcra.response("s3cret", extra)
