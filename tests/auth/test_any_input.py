"""Whatever a peer sends as proof or challenge, there is an answer, and it is one of two."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.auth import cryptosign, scram, ticket, wampcra
from heliograph.auth.errors import AuthenticationFailed, ChallengeRefused, KeyFileError, RouterNotProven
from heliograph.auth.key_files import read_private_key, read_public_key
from heliograph.auth.scram import ClientExchange, ServerExchange, fake_record

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NONCE = bytes(scram.NONCE_BYTES)
GOOD = ClientExchange("joe", nonce=NONCE).hello_extra


# The first text takes seconds: Hypothesis looks at all of Unicode before it.
patient = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


def extras(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    """Dictionaries that have some of the keys that matter."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, values))


@patient
@given(extras("nonce", "channel_binding"), st.sampled_from(scram.METHODS))
def test_hello_of_scram_begins_an_exchange_or_is_refused(hello_extra: dict[str, Any], method: Any) -> None:
    record = fake_record("joe", b"x", method=method)
    with suppress(AuthenticationFailed):
        exchange = ServerExchange(method, record, authid="joe", hello_extra=hello_extra, server_nonce=NONCE)
        assert exchange.challenge_extra["nonce"]


@patient
@given(st.text(), extras("nonce", "channel_binding", "cbind_data"), st.text(), st.sampled_from(scram.METHODS))
def test_an_answer_nobody_could_know_is_refused(
    signature: str, extra: dict[str, Any], authid: str, method: Any
) -> None:
    record = fake_record(authid, b"x", method=method)
    exchange = ServerExchange(method, record, authid=authid, hello_extra=GOOD, server_nonce=NONCE)
    with pytest.raises(AuthenticationFailed):
        exchange.verify(signature, extra)


@patient
@given(
    extras("salt", "kdf", "iterations", "memory", "channel_binding"),
    st.booleans(),
    st.sampled_from(scram.METHODS),
)
def test_a_challenge_of_scram_that_is_nonsense_is_refused(
    extra: dict[str, Any], continues: bool, method: Any
) -> None:
    if continues:
        extra["nonce"] = f"{GOOD['nonce']}AAAA"
    with pytest.raises(ChallengeRefused):
        ClientExchange("joe", nonce=NONCE).respond("s3cret", method, extra)


@patient
@given(values)
def test_a_router_proves_nothing_with_nonsense(proof: Any) -> None:
    exchange = ClientExchange("joe", nonce=NONCE)
    for key in ("verifier", "scram_server_signature"):
        with pytest.raises(RouterNotProven):
            exchange.check_router({key: proof})


@patient
@given(extras("challenge", "salt", "keylen"), extras("challenge", "channel_binding"))
def test_other_challenges_are_answered_or_refused(cra: dict[str, Any], cryptosigned: dict[str, Any]) -> None:
    for respond, extra in ((wampcra.response, cra), (cryptosign.response, cryptosigned)):
        secret: Any = "s3cret" if respond is wampcra.response else bytes(range(32))
        with suppress(ChallengeRefused):
            assert isinstance(respond(secret, extra), str)


@patient
@given(st.text())
def test_other_answers_nobody_could_know_are_wrong(answer: str) -> None:
    assert not ticket.is_right("s3cret-that-is-not-drawn", answer)
    assert not wampcra.is_right(b"key", "{}", answer)
    assert not cryptosign.is_right("11" * 32, "00" * 32, answer)


@patient
@given(st.binary(max_size=200))
def test_key_files_are_read_or_refused(content: bytes) -> None:
    for read, length in ((read_private_key, 32), (read_public_key, 64)):
        for text in (content, b"ssh-ed25519 " + content, b"-----BEGIN OPENSSH PRIVATE KEY-----" + content):
            with suppress(KeyFileError):
                assert len(read(text)) == length
