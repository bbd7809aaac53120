"""Any HELLOs, answers and accidents while clients join: answered, never a defect, nobody in without a secret.

HELIOGRAPH_FUZZ sets the number of conversations of the long test (10,000 by default).
"""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.auth.facts import ClientCertificate, ConnectionFacts
from heliograph.auth.options import BackoffOptions
from heliograph.auth.scram import METHODS
from heliograph.routing.session import State
from heliograph.wamp.messages import (
    Abort,
    Authenticate,
    Challenge,
    CloseDetails,
    Error,
    Goodbye,
    Invocation,
    Message,
    Welcome,
    Yield,
    YieldOptions,
)
from heliograph.wamp.payload import PlainPayload
from tests.support.credentials import (
    CRYPTOSIGN_USER,
    HASHED_TICKET_USER,
    SCRAM_USERS,
    TICKET,
    TICKET_USER,
    auth_config,
)
from tests.support.door import Door
from tests.support.recording import SessionPair, hello

LONG = int(os.environ.get("HELIOGRAPH_FUZZ", "10000"))
PROCEDURE = "com.example.authenticate"
DYNAMIC = {"type": "dynamic", "authenticator": PROCEDURE, "timeout_s": 3.0}
CLIENTS = 3

STATIC = auth_config("frontend", anonymous_role="anonymous") | {
    "cookie": {"type": "static"},
    "tls": {"type": "static", "principals": {"agent": {"certificate-sha1": "ab" * 20, "role": "backend"}}},
}
ASKED = dict.fromkeys(("anonymous", "ticket", "wampcra", "scram", "cryptosign", "tls"), DYNAMIC)

names = st.sampled_from(
    ["anonymous", "ticket", "wampcra", *METHODS, "cryptosign", "tls", "cookie", "anonymous-proxy", ""]
)
authids = st.sampled_from(
    [
        None,
        "",
        "nobody",
        TICKET_USER,
        HASHED_TICKET_USER,
        CRYPTOSIGN_USER,
        *(user.authid for user in SCRAM_USERS),
    ]
) | st.text(max_size=5)
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
extras = (
    st.sampled_from(
        [
            {"nonce": "bm5ubm5ubm5ubm5ubm5u"},
            {"nonce": "bm5ubm5ubm5ubm5ubm5u", "channel_binding": "tls-unique"},
            {"pubkey": "ab" * 32},
            {"pubkey": "ab" * 32, "channel_binding": "tls-unique"},
        ]
    )
    | st.dictionaries(
        st.sampled_from(["nonce", "pubkey", "channel_binding", "cbind_data"]),
        scalars | st.lists(scalars, max_size=2),
        max_size=3,
    )
    | st.none()
)
hellos = st.builds(
    lambda methods, authid, extra: hello(authmethods=methods, authid=authid, authextra=extra),
    st.none() | st.lists(names, max_size=5),
    authids,
    extras,
)
signatures = st.sampled_from(["", TICKET, "ab" * 96, "A" * 44]) | st.text(max_size=10)
others = st.sampled_from(
    [Goodbye(CloseDetails(), "wamp.close.logout"), Abort(CloseDetails(), "wamp.close.normal")]
)
said = st.one_of(
    hellos, hellos, st.builds(lambda text, extra: Authenticate(text, extra or {}), signatures, extras), others
)
facts = st.builds(
    ConnectionFacts,
    address=st.sampled_from([None, "192.0.2.7", "2001:db8::1", "127.0.0.1"]),
    certificate=st.sampled_from([None, ClientCertificate("ab" * 20, "cd" * 32, "CN=x", b"")]),
    channel_ids=st.sampled_from([{}, {"tls-unique": b"channel"}]),
    cookie=st.sampled_from([None, "one", "two"]),
)
verdicts = st.one_of(
    st.just("frontend"),
    scalars,
    st.dictionaries(
        st.sampled_from(
            ["role", "realm", "authid", "extra", "secret", "salt", "iterations", "pubkey", "kdf", "x"]
        ),
        st.sampled_from(["frontend", "realm1", "s3cret", "ab" * 32, "pbkdf2", 10, None, {}]),
        max_size=5,
    ),
)


class Conversation:
    """Some clients at one door, and the session that is asked about them."""

    def __init__(self, auth: dict[str, Any]) -> None:
        self.door = Door(auth, backoff=BackoffOptions(max_failures=4, local=True), cookies=True)
        self.authenticator = self.door.bench.join_as("authenticator", "anonymous")
        self.authenticator.register(PROCEDURE)
        self.clients: list[SessionPair] = [self.door.connect() for _ in range(CLIENTS)]
        self.invocations: list[Invocation] = []
        self.has_shown_a_ticket = False

    def say(self, number: int, message: Message) -> None:
        self.has_shown_a_ticket |= isinstance(message, Authenticate) and message.signature == TICKET
        client = self.clients[number]
        before = client.session.state
        answers = client.says(message)
        if before is State.CHALLENGING and not client.peer.is_held:
            assert isinstance(message, Abort) or any(
                isinstance(answer, Welcome | Abort) for answer in answers
            )
        self.look_at(client)

    def look_at(self, client: SessionPair) -> None:
        if client.session.state is State.ESTABLISHED:
            principal = client.session.principal
            is_free = principal.authmethod in ("anonymous", "tls") or principal.authprovider == "dynamic"
            assert is_free or (self.has_shown_a_ticket and principal.authid.endswith("ticket-user"))

    def renew(self, number: int, known: ConnectionFacts) -> None:
        self.clients[number].session.lost()
        self.clients[number] = self.door.connect(known)

    def answer(self, verdict: Any, *, is_error: bool) -> None:
        self.invocations += [item for item in self.authenticator.hears() if isinstance(item, Invocation)]
        if not self.invocations:
            return
        request = self.invocations.pop(0).request
        payload = PlainPayload([verdict])
        answer: Message = Yield(request, YieldOptions(), payload)
        if is_error:
            answer = Error(68, request, {}, "com.example.no", payload)
        heard = self.authenticator.says(answer)
        self.invocations += [item for item in heard if isinstance(item, Invocation)]
        assert self.authenticator.session.state is State.ESTABLISHED
        for client in self.clients:
            client.hears()
            self.look_at(client)

    def wait(self, seconds: float) -> None:
        self.door.bench.clock.advance(seconds)

    def end(self) -> None:
        self.wait(10.0)
        for client in self.clients:
            client.hears()
            assert not client.peer.is_held
            challenges = [message for message in client.peer.sent if isinstance(message, Challenge)]
            assert all(set(challenge.extra).isdisjoint({"secret", "ticket"}) for challenge in challenges)
            client.session.lost()
        self.authenticator.session.lost()
        caller = self.door.bench.router.caller("realm1")
        assert caller._waiting == {}
        # The router itself is a caller that stays.
        self.door.bench.realm.dealer._of_session.pop(caller._session, None)
        self.door.bench.assert_nothing_left()
        assert self.door.cookies is not None
        assert self.door.cookies._sessions == {}


Step = Callable[[Conversation], None]
numbers = st.integers(0, CLIENTS - 1)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(lambda number, message: lambda talk: talk.say(number, message), numbers, said),
    st.builds(lambda number, message: lambda talk: talk.say(number, message), numbers, said),
    st.builds(
        lambda verdict, is_error: lambda talk: talk.answer(verdict, is_error=is_error),
        verdicts,
        st.booleans(),
    ),
    st.builds(lambda number, known: lambda talk: talk.renew(number, known), numbers, facts),
    st.builds(lambda seconds: lambda talk: talk.wait(seconds), st.sampled_from([0.5, 3.0, 40.0, 4000.0])),
)
conversations = st.tuples(st.sampled_from([STATIC, ASKED]), st.lists(steps, min_size=5, max_size=40))

usual = settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def _held_to_its_word(auth: dict[str, Any], talked: list[Step]) -> None:
    conversation = Conversation(auth)
    for step in talked:
        step(conversation)
    conversation.end()


@usual
@given(conversation=conversations)
def test_whoever_joins_however_is_answered_and_leaves_nothing(conversation: Any) -> None:
    _held_to_its_word(*conversation)


@pytest.mark.soak
@settings(usual, max_examples=LONG)
@given(conversation=conversations)
def test_many_who_join_however_are_answered_and_leave_nothing(conversation: Any) -> None:
    _held_to_its_word(*conversation)


def test_the_fuzzer_can_join() -> None:
    conversation = Conversation(STATIC)
    conversation.say(0, hello(authmethods=["ticket"], authid=TICKET_USER))
    conversation.say(0, Authenticate(TICKET, {}))
    assert conversation.clients[0].session.state is State.ESTABLISHED
    conversation.end()
