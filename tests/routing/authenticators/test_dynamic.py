"""A WAMP procedure says who may join: clients wait for it, and everything but a clear answer refuses."""

import json
from typing import Any

import msgspec
import pytest

from heliograph.auth import cryptosign, wampcra
from heliograph.auth.facts import ClientCertificate
from heliograph.auth.options import BackoffOptions
from heliograph.auth.scram import ClientExchange, Record
from heliograph.routing.authenticators import principals
from heliograph.routing.calls import PendingCall
from heliograph.routing.dealer import Dealer
from heliograph.routing.session import State
from heliograph.wamp.messages import (
    Authenticate,
    Challenge,
    Error,
    Invocation,
    Message,
    Publish,
    PublishOptions,
    Yield,
    YieldOptions,
)
from heliograph.wamp.payload import PlainPayload
from tests.support.door import DENIED, FAR_AWAY, NEVER, Door, answers, refused, welcomed
from tests.support.recording import SessionPair, hello

PROCEDURE = "com.example.authenticate"
UNAVAILABLE = (
    "wamp.error.authentication_failed",
    "who decides about this method cannot be asked at the moment: try again later",
)
KEY = b"\x01" * 32
RECORD = Record.make("s3cret", kdf="pbkdf2", iterations=4096)
SCRAM_ANSWER = {
    "kdf": "pbkdf2",
    "iterations": 4096,
    "salt": RECORD.salt.hex(),
    "stored-key": RECORD.stored_key.hex(),
    "server-key": RECORD.server_key.hex(),
}


class Room:
    """A door behind which a session is asked."""

    def __init__(self, method: str = "ticket", *, backoff: BackoffOptions = NEVER, **options: Any) -> None:
        dynamic = {"type": "dynamic", "authenticator": PROCEDURE, "timeout_s": 3.0, **options}
        self.door = Door({method: dynamic}, backoff=backoff)
        self.authenticator = self.door.bench.join_as("authenticator", "anonymous")
        self.authenticator.register(PROCEDURE)
        self.invocations: list[Invocation] = []

    def asked(self) -> list[Any]:
        """Return the arguments of the only question since the last time."""
        (invocation,) = self.authenticator.hears()
        assert isinstance(invocation, Invocation)
        self.invocations.append(invocation)
        return invocation.payload.decoded()[0]

    def answer(self, answer: Any) -> None:
        invocation = self.invocations.pop(0)
        self.authenticator.says(Yield(invocation.request, YieldOptions(), PlainPayload([answer])))

    def fail(self) -> None:
        invocation = self.invocations.pop(0)
        self.authenticator.says(Error(68, invocation.request, {}, "com.example.no", PlainPayload(["s3cret"])))

    def show_ticket(self, shown: str = "s3cret", **details: Any) -> SessionPair:
        """Show a ticket, which has to be asked about."""
        pair, _ = self.door.challenge("ticket", **{"authid": "joe", **details})
        assert pair.says(Authenticate(shown, {})) == []
        assert pair.peer.is_held
        return pair


@pytest.fixture
def room() -> Room:
    return Room()


def pending_calls(dealer: Dealer) -> list[PendingCall]:
    return [pending for calls in dealer._of_session.values() for pending in calls.made.values()]


def only(pair: SessionPair) -> Message:
    (answer,) = pair.hears()
    return answer


class TestQuestion:
    def test_tells_who_knocks_and_what_it_showed(self, room: Room) -> None:
        room.show_ticket(authextra={"team": "a"})
        assert room.asked() == [
            "realm1",
            "joe",
            {
                "authmethod": "ticket",
                "authextra": {"team": "a"},
                "ticket": "s3cret",
                "transport": {"peer": "192.0.2.7", "is_secure": False, "is_local": False},
            },
        ]

    def test_tells_of_a_certificate_but_of_no_cookie(self) -> None:
        room = Room("tls")
        certificate = ClientCertificate(sha1="ab", sha256="cd", subject="CN=agent-7", der=b"\0")
        facts = msgspec.structs.replace(FAR_AWAY, certificate=certificate, cookie="c00kie")
        pair = room.door.connect(facts)
        assert pair.says(hello(authmethods=["tls"])) == []
        realm, authid, details = room.asked()
        assert (realm, authid) == ("realm1", None)
        assert details["transport"]["client_cert"] == {"sha1": "ab", "sha256": "cd", "subject": "CN=agent-7"}
        assert "c00kie" not in repr(details)
        room.answer({"role": "frontend", "authid": "agent-7"})
        assert welcomed(only(pair)) == ("agent-7", "frontend", "tls", "dynamic")

    def test_is_asked_in_the_realm_configured(self) -> None:
        room = Room(**{"authenticator-realm": "realm1"})
        room.show_ticket()
        assert room.asked()[0] == "realm1"


class TestAnswer:
    def test_may_be_a_role(self, room: Room) -> None:
        pair = room.show_ticket()
        room.asked()
        room.answer("frontend")
        assert welcomed(only(pair)) == ("joe", "frontend", "ticket", "dynamic")
        assert not pair.peer.is_held

    def test_may_tell_more(self, room: Room) -> None:
        pair = room.show_ticket()
        room.asked()
        room.answer({"role": "backend", "authid": "joe-1", "realm": "realm1", "extra": {"team": "a"}})
        welcome = only(pair)
        assert welcomed(welcome) == ("joe-1", "backend", "ticket", "dynamic")
        assert welcome.details.authextra == {"team": "a"}  # type: ignore[attr-defined]

    def test_gets_the_default_role_where_it_names_none(self) -> None:
        room = Room(**{"default-role": "frontend"})
        pair = room.show_ticket()
        room.asked()
        room.answer({})
        assert welcomed(only(pair))[1] == "frontend"

    def test_that_is_an_error_denies(self, room: Room) -> None:
        pair = room.show_ticket()
        room.asked()
        room.fail()
        assert refused(only(pair)) == DENIED
        assert room.door.bench.router.counters.authentications_failed == 1
        assert room.door.reports == []

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            ({"role": "frontend", "s3cret": 1}, "unknown field"),
            ({"role": 7}, "Expected `str | null`, got `int`"),
            (None, "Expected `object`, got `null`"),
            (True, "Expected `object`, got `bool`"),
            ([], "Expected `object`, got `array`"),
            ({}, "named no role"),
            ("", "named no role"),
        ],
    )
    def test_that_is_unclear_refuses_and_is_reported_once_in_a_while(
        self, room: Room, answer: Any, why: str
    ) -> None:
        for _ in range(3):
            pair = room.show_ticket()
            room.asked()
            room.answer(answer)
            assert refused(only(pair)) == UNAVAILABLE
        assert room.door.bench.router.counters.authenticators_failed == 3
        assert room.door.bench.router.counters.authentications_failed == 0
        (report,) = room.door.reports
        assert f"the authenticator {PROCEDURE} for ticket" in report
        assert why in report

    @pytest.mark.parametrize("set_ahead_s", [-3600.0, 0.0, 3600.0])
    def test_is_reported_again_when_time_has_passed_not_when_the_date_is_set(
        self, room: Room, set_ahead_s: float
    ) -> None:
        def answer_nonsense() -> int:
            room.show_ticket()
            room.asked()
            room.answer(None)
            return len(room.door.reports)

        clock = room.door.bench.clock
        assert answer_nonsense() == 1
        clock.set_date(set_ahead_s)
        assert answer_nonsense() == 1
        clock.advance(principals.REPORT_INTERVAL_S)
        assert answer_nonsense() == 2

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            ({"role": "frontend", "realm": "nowhere"}, "wamp.error.no_such_realm"),
            ({"role": "nobody"}, "wamp.error.no_such_role"),
        ],
    )
    def test_that_names_what_is_not_there_refuses(self, room: Room, answer: Any, reason: str) -> None:
        pair = room.show_ticket()
        room.asked()
        room.answer(answer)
        assert refused(only(pair))[0] == reason

    def test_without_an_authid_needs_one(self, room: Room) -> None:
        pair = room.show_ticket(authid=None)
        assert room.asked()[1] is None
        room.answer("frontend")
        assert refused(only(pair)) == UNAVAILABLE
        assert "authid" in room.door.reports[0]


class TestWaiting:
    def test_keeps_what_comes_behind_in_order(self, room: Room) -> None:
        pair, _ = room.door.challenge("ticket", authid="joe")
        publish = Publish(1, PublishOptions(acknowledge=True), "com.example.t")
        assert pair.says(Authenticate("s3cret", {}), publish) == []
        room.asked()
        room.answer("anonymous")
        welcome, published = pair.hears()
        assert type(welcome).__name__ == "Welcome"
        assert type(published).__name__ == "Published"

    def test_ends_after_its_time(self, room: Room) -> None:
        pair = room.show_ticket()
        room.asked()
        room.door.bench.clock.advance(3.0)
        assert refused(only(pair)) == UNAVAILABLE
        assert "did not answer in time" in room.door.reports[0]
        room.answer("frontend")
        assert pair.hears() == []

    def test_ends_when_the_authenticator_goes(self, room: Room) -> None:
        pair = room.show_ticket()
        room.asked()
        room.authenticator.session.lost()
        assert refused(only(pair)) == UNAVAILABLE

    def test_an_authenticator_that_is_not_there_refuses_at_once(self, room: Room) -> None:
        room.authenticator.session.lost()
        pair, _ = room.door.challenge("ticket", authid="joe")
        assert refused(answers(pair, "s3cret")) == UNAVAILABLE
        assert "is not registered" in room.door.reports[0]

    def test_a_realm_that_is_not_there_refuses(self) -> None:
        room = Room(**{"authenticator-realm": "nowhere"})
        pair, _ = room.door.challenge("ticket", authid="joe")
        assert refused(answers(pair, "s3cret")) == UNAVAILABLE
        assert "nowhere" in room.door.reports[0]

    def test_who_goes_meanwhile_is_not_let_in(self, room: Room) -> None:
        pair = room.show_ticket()
        room.asked()
        pair.session.lost()
        room.answer("frontend")
        assert pair.hears() == []
        assert pair.session.state is State.ABORTED
        assert list(room.door.bench.realm.sessions) == [room.authenticator.id]
        assert room.door.bench.realm.reserved_ids == set()

    def test_who_goes_meanwhile_leaves_no_question_behind(self, room: Room) -> None:
        dealer = room.door.bench.realm.dealer
        for _ in range(3):
            pair = room.show_ticket()
            room.asked()
            assert len(pending_calls(dealer)) == 1
            pair.session.lost()
            assert pending_calls(dealer) == []
        pair = room.show_ticket()
        room.asked()
        room.invocations = room.invocations[-1:]
        room.answer("frontend")
        assert welcomed(only(pair))[0] == "joe"

    def test_too_many_who_wait_are_told_so_and_the_others_go_on(
        self, room: Room, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(principals, "QUESTIONS_LIMIT", 2)
        waiting = [room.show_ticket() for _ in range(2)]
        pair, _ = room.door.challenge("ticket", authid="joe")
        assert refused(answers(pair, "s3cret")) == UNAVAILABLE
        assert "as many clients as it may be" in room.door.reports[0]
        waiting.pop().session.lost()
        waiting.append(room.show_ticket())
        room.door.bench.clock.advance(3.0)
        assert [refused(only(pair)) for pair in waiting] == [UNAVAILABLE] * 2
        room.show_ticket()

    def test_before_a_challenge_a_second_hello_is_a_violation(self) -> None:
        room = Room("wampcra")
        pair = room.door.connect()
        pair.says(hello(authmethods=["wampcra"], authid="joe"))
        room.asked()
        # A transport would keep it; whoever does not is told.
        pair.session.receive(hello(authmethods=["wampcra"], authid="joe"))
        assert refused(only(pair)) == ("wamp.error.protocol_violation", "HELLO is not allowed twice")
        room.answer({"role": "frontend", "secret": "s3cret"})
        assert pair.hears() == []

    def test_an_over_long_ticket_is_not_even_shown(self, room: Room) -> None:
        pair, _ = room.door.challenge("ticket", authid="joe")
        assert refused(answers(pair, "x" * 20_000)) == DENIED
        assert room.authenticator.hears() == []

    def test_of_guesses_made_at_once_none_is_told_after_too_many_have_failed(self) -> None:
        backoff = BackoffOptions(max_failures=3, window_s=60.0, refusal_s=10.0)
        room = Room(backoff=backoff)
        pairs = [room.show_ticket(f"guess {number}") for number in range(6)]
        for invocation in room.authenticator.hears():
            assert isinstance(invocation, Invocation)
            room.invocations.append(invocation)
        for _ in range(4):
            room.fail()
        room.answer("frontend")
        room.answer("frontend")
        told = [refused(only(pair))[0] for pair in pairs]
        assert told == [DENIED[0]] * 3 + ["heliograph.error.too_many_failures"] * 3
        room.door.bench.clock.advance(10.0)
        pair = room.show_ticket()
        room.asked()
        room.answer("frontend")
        assert welcomed(only(pair))[0] == "joe"


def shape_of(challenge: Message) -> tuple[str, str, tuple[int, int]]:
    """Return what a wampcra challenge tells of its principal: its role, its salt and its costs."""
    assert isinstance(challenge, Challenge)
    extra = challenge.extra
    role: str = json.loads(extra["challenge"])["authrole"]
    return role, extra["salt"], (extra["iterations"], extra["keylen"])


class TestWampcra:
    def ask(self, answer: Any) -> tuple[Room, SessionPair, Message]:
        room = Room("wampcra")
        pair = room.door.connect()
        assert pair.says(hello(authmethods=["wampcra"], authid="joe")) == []
        assert room.asked()[1] == "joe"
        if answer is None:
            room.fail()
        else:
            room.answer(answer)
        return room, pair, only(pair)

    @pytest.mark.parametrize(
        "salted", [{}, {"salt": "salt", "iterations": 10}, {"salt": "s", "iterations": 20_000}]
    )
    def test_challenges_with_the_secret_answered(self, salted: dict[str, Any]) -> None:
        secret = "s3cret"
        if salted.get("iterations") == 20_000:
            # Too much work for the router: it has to be the derived key.
            secret = wampcra.derive_key("s3cret", "s", iterations=20_000).decode()
        _, pair, challenge = self.ask({"role": "frontend", "secret": secret, **salted})
        answer = answers(pair, wampcra.response("s3cret", challenge.extra))  # type: ignore[attr-defined]
        assert welcomed(answer) == ("joe", "frontend", "wampcra", "dynamic")

    def test_challenges_an_unknown_principal_all_the_same(self) -> None:
        room, pair, challenge = self.ask(None)
        answer = answers(pair, wampcra.response("s3cret", challenge.extra))  # type: ignore[attr-defined]
        assert refused(answer) == DENIED
        assert room.door.bench.router.counters.authentications_failed == 1

    def test_challenges_an_unknown_principal_as_it_does_a_known_one(self) -> None:
        salted = {"salt": "0123456789abcdef", "iterations": 500, "keylen": 16}
        room, _, known = self.ask({"role": "frontend", "secret": "s3cret", **salted})
        shapes = [shape_of(known)]
        for _ in range(2):
            pair = room.door.connect()
            pair.says(hello(authmethods=["wampcra"], authid="nobody"))
            room.asked()
            room.fail()
            shapes.append(shape_of(only(pair)))
        (role, salt, costs), fake, again = shapes
        assert fake == again, "the same each time"
        assert (fake[0], len(fake[1]), fake[2]) == (role, len(salt), costs)
        assert fake[1] != salt

    def test_derives_a_key_once_however_often_somebody_knocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        derived: list[str] = []
        derive_key = wampcra.derive_key

        def counted(secret: str, salt: str, **costs: int) -> bytes:
            derived.append(salt)
            return derive_key(secret, salt, **costs)

        monkeypatch.setattr(wampcra, "derive_key", counted)
        room = Room("wampcra")
        for _ in range(3):
            pair = room.door.connect()
            pair.says(hello(authmethods=["wampcra"], authid="joe"))
            room.asked()
            room.answer({"role": "frontend", "secret": "s3cret", "salt": "of this test alone"})
            challenge = only(pair)
        assert derived == ["of this test alone"]
        answer = answers(pair, wampcra.response("s3cret", challenge.extra))  # type: ignore[attr-defined]
        assert welcomed(answer)[0] == "joe"

    @pytest.mark.parametrize(
        "answer",
        [
            "frontend",
            {"role": "frontend"},
            {"role": "frontend", "secret": ""},
            {"role": "frontend", "secret": "s3cret", "salt": "s", "iterations": 0},
            {"role": "frontend", "secret": "s3cret", "salt": "s", "keylen": 10**9},
        ],
    )
    def test_refuses_what_cannot_be_used(self, answer: Any) -> None:
        room, _, abort = self.ask(answer)
        assert refused(abort) == UNAVAILABLE
        assert "s3cret" not in repr(room.door.reports)


class TestScram:
    def ask(self, answer: Any) -> tuple[Room, SessionPair, Message, ClientExchange]:
        room, client = Room("scram"), ClientExchange("joe", nonce=b"n" * 18)
        pair = room.door.connect()
        assert pair.says(hello(authmethods=["wamp-scram"], authid="joe", authextra=client.hello_extra)) == []
        assert room.asked()[2]["authextra"] == client.hello_extra
        if answer is None:
            room.fail()
        else:
            room.answer(answer)
        return room, pair, only(pair), client

    @pytest.mark.parametrize("is_known", [True, False])
    def test_challenges_whoever_it_is(self, is_known: bool) -> None:
        _, pair, challenge, client = self.ask({"role": "frontend", **SCRAM_ANSWER} if is_known else None)
        extra = challenge.extra  # type: ignore[attr-defined]
        if not is_known:
            assert extra["kdf"] == "argon2id13"
            return
        signature, more = client.respond("s3cret", "wamp-scram", extra)
        answer = answers(pair, signature, **more)
        assert welcomed(answer) == ("joe", "frontend", "wamp-scram", "dynamic")
        client.check_router(answer.details.authextra)  # type: ignore[attr-defined]

    def test_challenges_an_unknown_principal_as_it_does_a_known_one(self) -> None:
        room, _, known, client = self.ask({"role": "frontend", **SCRAM_ANSWER})
        pair = room.door.connect()
        pair.says(hello(authmethods=["wamp-scram"], authid="nobody", authextra=client.hello_extra))
        room.asked()
        room.fail()
        told = [message.extra for message in (known, only(pair)) if isinstance(message, Challenge)]
        real, fake = [(extra["kdf"], extra["iterations"], len(extra["salt"])) for extra in told]
        assert fake == real
        assert told[0]["salt"] != told[1]["salt"]

    @pytest.mark.parametrize(
        "changed", [{"kdf": "md5"}, {"salt": "zz"}, {"salt": ""}, {"stored-key": "00"}, {"iterations": 0}]
    )
    def test_refuses_what_cannot_be_used(self, changed: dict[str, Any]) -> None:
        _, _, abort, _ = self.ask({"role": "frontend", **SCRAM_ANSWER, **changed})
        assert refused(abort) == UNAVAILABLE


class TestCryptosign:
    def ask(self, answer: Any, authid: str | None = "joe") -> tuple[SessionPair, Message]:
        room = Room("cryptosign")
        pair = room.door.connect()
        extra = cryptosign.hello_extra(KEY)
        assert pair.says(hello(authmethods=["cryptosign"], authid=authid, authextra=extra)) == []
        asked = room.asked()
        assert asked[1] == authid
        assert asked[2]["pubkey"] == cryptosign.public_key(KEY)
        if answer is None:
            room.fail()
        else:
            room.answer(answer)
        return pair, only(pair)

    @pytest.mark.parametrize("authid", ["joe", None])
    def test_challenges_with_the_key_answered(self, authid: str | None) -> None:
        answer = {"role": "frontend", "authid": "joe", "pubkey": cryptosign.public_key(KEY)}
        pair, challenge = self.ask(answer, authid)
        signature = cryptosign.response(KEY, challenge.extra)  # type: ignore[attr-defined]
        assert welcomed(answers(pair, signature)) == ("joe", "frontend", "cryptosign", "dynamic")

    @pytest.mark.parametrize("answer", [None, {"role": "frontend", "pubkey": "ab" * 32}])
    def test_refuses_another_key_after_the_challenge(self, answer: Any) -> None:
        pair, challenge = self.ask(answer)
        signature = cryptosign.response(KEY, challenge.extra)  # type: ignore[attr-defined]
        assert refused(answers(pair, signature)) == DENIED

    def test_refuses_what_is_no_key(self) -> None:
        _, abort = self.ask({"role": "frontend", "pubkey": "s3cret"})
        assert refused(abort) == UNAVAILABLE


class TestAnonymous:
    def test_asks_with_an_authid_of_its_own(self) -> None:
        room = Room("anonymous")
        pair = room.door.connect()
        assert pair.says(hello(authid="admin")) == []
        assert room.asked()[1].startswith("anonymous-")
        room.answer({"role": "frontend", "authid": "guest"})
        assert welcomed(only(pair)) == ("guest", "frontend", "anonymous", "dynamic")
        assert not pair.session.principal.is_authenticated
