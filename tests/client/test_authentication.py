"""How a client proves who it is, and what it makes of routers that ask for too much or prove too little."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.auth import cryptosign, scram, wampcra
from heliograph.auth import ticket as tickets
from heliograph.auth.errors import AuthenticationFailed, KeyFileError
from heliograph.client import (
    Anonymous,
    ConnectionLost,
    Credentials,
    Cryptosign,
    JoinRefused,
    Scram,
    Ticket,
    TlsCertificate,
    WampCra,
    connect,
)
from heliograph.client.authentication import Authentication, Proof
from heliograph.client.protocol import ClientProtocol, State
from heliograph.wamp import messages as m
from heliograph.wamp.errors import ProtocolViolation
from tests.client.recorder import WELCOME, Recorder
from tests.client.scripted_router import InstantClock, Peer, ScriptedRouter, eventually, obedient, refusing
from tests.support.credentials import PRIVATE_KEY, SCRAM_PASSWORD, SCRAM_USERS, ScramUser, scram_record

ALL = (
    Scram("joe", "s3cret"),
    Cryptosign(PRIVATE_KEY, authid="joe"),
    WampCra("joe", "s3cret"),
    TlsCertificate("joe"),
    Ticket("joe", "s3cret"),
    Anonymous("joe"),
)


def asking(method: str, extra: dict[str, Any], check: Callable[[m.Authenticate], m.Message]) -> Any:
    """A router that asks by `method` and answers what `check` makes of the answer."""

    def script(peer: Peer, message: m.Message) -> None:
        match message:
            case m.Hello():
                peer.send(m.Challenge(method, extra))
            case m.Authenticate():
                peer.send(check(message))
            case _:
                obedient(peer, message)

    return script


def verdict(is_right: bool, authextra: dict[str, Any] | None = None) -> m.Message:
    if is_right:
        return m.Welcome(7, m.WelcomeDetails(roles={"broker": {}, "dealer": {}}, authextra=authextra))
    return m.Abort(
        m.CloseDetails(message="the credentials are not right"), "wamp.error.authentication_denied"
    )


def asking_by_scram(user: ScramUser, *, knows: bool = True) -> Any:
    """A router that asks by scram, and knows the user's keys or only pretends to."""
    exchanges: dict[Peer, scram.ServerExchange] = {}

    def script(peer: Peer, message: m.Message) -> None:
        match message:
            case m.Hello(details=details):
                exchanges[peer] = exchange = scram.ServerExchange(
                    user.method,
                    scram_record(user.kdf),
                    authid=details.authid or "",
                    hello_extra=details.authextra,
                    server_nonce=bytes(scram.NONCE_BYTES),
                )
                peer.send(m.Challenge(user.method, exchange.challenge_extra))
            case m.Authenticate(signature=signature, extra=extra):
                try:
                    proof = exchanges[peer].verify(signature, extra)
                except AuthenticationFailed:
                    peer.send(verdict(False))
                else:
                    peer.send(verdict(True, proof if knows else {"verifier": scram.to_base64(bytes(32))}))
            case _:
                obedient(peer, message)

    return script


def hello(router: ScriptedRouter) -> m.HelloDetails:
    message = router.peer.received[0]
    assert isinstance(message, m.Hello)
    return message.details


class TestHello:
    async def test_offers_everything_in_order(self, router: ScriptedRouter) -> None:
        async with connect(router.url, authentication=ALL):
            pass
        details = hello(router)
        assert details.authmethods == [
            "wamp-scram",
            "scram",
            "cryptosign",
            "wampcra",
            "tls",
            "ticket",
            "anonymous",
        ]
        assert details.authid == "joe"
        assert details.authextra is not None
        assert details.authextra["pubkey"] == cryptosign.public_key(PRIVATE_KEY)
        assert len(details.authextra["nonce"]) == 24

    async def test_says_nothing_where_nothing_is_offered(self, router: ScriptedRouter) -> None:
        async with connect(router.url):
            pass
        assert hello(router) == m.HelloDetails(roles=hello(router).roles, agent=hello(router).agent)

    async def test_names_the_role_and_what_else_is_wished(self, router: ScriptedRouter) -> None:
        wish = Ticket("joe", "s3cret", authrole="backend", authextra={"device": 7})
        async with connect(router.url, authentication=[wish, Anonymous()]):
            pass
        assert (hello(router).authrole, hello(router).authextra) == ("backend", {"device": 7})

    async def test_has_another_nonce_each_time(self, router: ScriptedRouter) -> None:
        router.script = asking_by_scram(SCRAM_USERS[0])
        credentials = Scram(SCRAM_USERS[0].authid, SCRAM_PASSWORD)
        nonces = set()
        for _ in range(2):
            async with connect(router.url, authentication=credentials):
                authextra = hello(router).authextra
                assert authextra is not None
                nonces.add(authextra["nonce"])
        assert len(nonces) == 2


class TestEachMethod:
    async def test_ticket(self, router: ScriptedRouter) -> None:
        router.script = asking(
            "ticket", {}, lambda answer: verdict(tickets.is_right("s3cret", answer.signature))
        )
        async with connect(router.url, authentication=Ticket("joe", "s3cret")) as session:
            assert session.is_joined
        with pytest.raises(JoinRefused, match="authentication_denied"):
            async with connect(router.url, authentication=Ticket("joe", "secret")):
                pass

    @pytest.mark.parametrize("salting", [{}, {"salt": "s4lt", "iterations": 100, "keylen": 32}])
    async def test_wampcra(self, router: ScriptedRouter, salting: dict[str, Any]) -> None:
        key = wampcra.derive_key("s3cret", "s4lt", iterations=100) if salting else b"s3cret"
        router.script = asking(
            "wampcra",
            {"challenge": "{}", **salting},
            lambda answer: verdict(wampcra.is_right(key, "{}", answer.signature)),
        )
        async with connect(router.url, authentication=WampCra("joe", "s3cret")) as session:
            assert session.is_joined
        with pytest.raises(JoinRefused, match="authentication_denied"):
            async with connect(router.url, authentication=WampCra("joe", "secret")):
                pass

    @pytest.mark.parametrize("user", SCRAM_USERS, ids=lambda user: user.authid)
    async def test_scram(self, router: ScriptedRouter, user: ScramUser) -> None:
        router.script = asking_by_scram(user)
        async with connect(router.url, authentication=Scram(user.authid, SCRAM_PASSWORD)) as session:
            assert session.is_joined
        with pytest.raises(JoinRefused, match="authentication_denied"):
            async with connect(router.url, authentication=Scram(user.authid, "secret")):
                pass

    async def test_cryptosign(self, router: ScriptedRouter) -> None:
        challenge = bytes(range(32))
        public_key = cryptosign.public_key(PRIVATE_KEY)
        router.script = asking(
            "cryptosign",
            cryptosign.challenge_extra(challenge),
            lambda answer: verdict(cryptosign.is_right(public_key, challenge.hex(), answer.signature)),
        )
        async with connect(router.url, authentication=Cryptosign(PRIVATE_KEY.hex())) as session:
            assert session.is_joined

    async def test_one_of_your_own(self, router: ScriptedRouter) -> None:
        class Token(Credentials):
            methods = ("com.example.token",)

            def begin(self) -> Any:
                return self

            hello_extra = {"device": 7}

            def respond(self, method: str, extra: Any) -> Proof:
                return Proof(f"{method} {extra['number']}", {"more": True})

            def check_router(self, authextra: Any) -> None:
                assert authextra == {"seen": True}

        router.script = asking(
            "com.example.token",
            {"number": 5},
            lambda answer: verdict(answer.signature == "com.example.token 5", {"seen": answer.extra["more"]}),
        )
        async with connect(router.url, authentication=Token("joe")) as session:
            assert session.is_joined


async def test_the_session_says_who_it_is(router: ScriptedRouter) -> None:
    details = m.WelcomeDetails(roles={"broker": {}}, authid="joe", authrole="backend", authmethod="ticket")
    router.script = asking("ticket", {}, lambda answer: m.Welcome(7, details))
    async with connect(router.url, authentication=Ticket("joe", "s3cret")) as session:
        assert (session.authid, session.authrole, session.authmethod) == ("joe", "backend", "ticket")
    assert (session.authid, session.authrole, session.authmethod) == (None, None, None)


@pytest.mark.parametrize(
    ("url", "is_warned"),
    [
        ("ws://192.0.2.1/ws", True),
        ("ws://router.example/ws", True),
        ("wss://router.example/ws", False),
        ("ws://localhost/ws", False),
        ("ws://127.0.0.7/ws", False),
        ("ws://[::1]/ws", False),
    ],
)
def test_a_ticket_that_anybody_on_the_way_can_read_is_warned_of(
    url: str, is_warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    connect(url, authentication=Ticket("joe", "s3cret"))
    assert ("unencrypted" in caplog.text) is is_warned
    assert "s3cret" not in caplog.text
    caplog.clear()
    connect(url, authentication=Scram("joe", "s3cret"))
    assert caplog.text == ""


class TestRouter:
    """What is refused, although the router would go on."""

    async def test_that_does_not_prove_itself_is_not_joined(self, router: ScriptedRouter) -> None:
        router.script = asking_by_scram(SCRAM_USERS[0], knows=False)
        with pytest.raises(JoinRefused, match="the router did not prove"):
            async with connect(router.url, authentication=Scram(SCRAM_USERS[0].authid, SCRAM_PASSWORD)):
                pass
        await router.until(lambda: router.peer.is_closed.is_set())
        assert router.peer.names() == ["Hello", "Authenticate", "Abort"]

    async def test_that_lets_in_without_asking_is_not_joined_where_it_owes_a_proof(
        self, router: ScriptedRouter
    ) -> None:
        with pytest.raises(JoinRefused, match="without proving"):
            async with connect(router.url, authentication=Scram("joe", "s3cret")):
                pass

    async def test_that_asks_for_something_else_gets_nothing(self, router: ScriptedRouter) -> None:
        router.script = asking("ticket", {}, lambda answer: verdict(True))
        with pytest.raises(JoinRefused, match="'ticket', which was not offered"):
            async with connect(router.url, authentication=Scram("joe", "s3cret")):
                pass
        await router.until(lambda: router.peer.is_closed.is_set())
        assert router.peer.names() == ["Hello", "Abort"]

    @pytest.mark.parametrize(
        ("method", "extra"),
        [
            ("anonymous", {}),
            ("tls", {}),
            ("wampcra", {}),
            ("wampcra", {"challenge": "{}", "salt": "x", "iterations": 10**12}),
            ("cryptosign", {"challenge": "?"}),
            ("wamp-scram", {"nonce": "its own"}),
        ],
    )
    async def test_that_asks_for_nonsense_is_told_off(
        self, router: ScriptedRouter, method: str, extra: dict[str, Any]
    ) -> None:
        router.script = asking(method, extra, lambda answer: verdict(True))
        with pytest.raises(JoinRefused, match="not answered") as caught:
            async with connect(router.url, authentication=ALL):
                pass
        assert caught.value.is_about_credentials
        await router.until(lambda: router.peer.is_closed.is_set())
        assert router.peer.names() == ["Hello", "Abort"]

    async def test_that_asks_twice_breaks_the_protocol(self, router: ScriptedRouter) -> None:
        router.script = asking("ticket", {}, lambda answer: m.Challenge("ticket", {}))
        with pytest.raises(ConnectionLost, match="CHALLENGE may not come while authenticating"):
            async with connect(router.url, authentication=Ticket("joe", "s3cret")):
                pass


class TestJoiningAgain:
    """The router accepted the credentials once."""

    async def test_ends_the_block_when_they_are_not_accepted_any_more(self, router: ScriptedRouter) -> None:
        async def work() -> None:
            async with connect(router.url, authentication=Ticket("joe", "s3cret"), clock=InstantClock()):
                router.script = refusing("wamp.error.authentication_denied")
                router.peer.drop()
                await asyncio.get_running_loop().create_future()

        with pytest.raises(JoinRefused, match="authentication_denied"):
            await eventually(work())
        assert len(router.peers) == 2

    async def test_goes_on_trying_when_the_router_cannot_say(self, router: ScriptedRouter) -> None:
        clock = InstantClock()
        async with connect(router.url, authentication=Ticket("joe", "s3cret"), clock=clock) as session:
            joined = asyncio.Event()
            session.on_join(joined.set)
            router.script = refusing("wamp.error.authentication_failed")
            router.peer.drop()
            await clock.until_pauses(3)
            router.script = obedient
            await eventually(joined.wait())

    async def test_waits_for_a_router_that_cannot_say_yet(self, router: ScriptedRouter) -> None:
        clock = InstantClock()
        router.script = refusing("wamp.error.authentication_failed")

        async def recover() -> None:
            await clock.until_pauses(2)
            router.script = obedient

        recovering = asyncio.ensure_future(recover())
        async with connect(router.url, retry_first=True, authentication=Anonymous(), clock=clock) as session:
            assert session.is_joined
        await recovering


class TestSecretThatIsFetched:
    async def test_is_fetched_for_each_join_in_a_thread(self, router: ScriptedRouter) -> None:
        seen: list[str] = []
        threads = []

        def fetch() -> str:
            threads.append(threading.current_thread())
            return f"ticket {len(threads)}"

        def check(answer: m.Authenticate) -> m.Message:
            seen.append(answer.signature)
            return verdict(True)

        router.script = asking("ticket", {}, check)
        credentials = Ticket("joe", fetch)
        for _ in range(2):
            async with connect(router.url, authentication=credentials):
                pass
        assert seen == ["ticket 1", "ticket 2"]
        assert threading.main_thread() not in threads

    async def test_that_cannot_be_fetched_loses_the_connection_and_is_not_told(
        self, router: ScriptedRouter, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fetch() -> str:
            raise OSError("the vault does not answer")

        router.script = asking("ticket", {}, lambda answer: verdict(True))
        with pytest.raises(ConnectionLost, match="could not be made: OSError"):
            async with connect(router.url, authentication=Ticket("joe", fetch)):
                pass
        await router.until(lambda: router.peer.is_closed.is_set())
        abort = router.peer.received[-1]
        assert isinstance(abort, m.Abort)
        assert "vault" not in repr(abort)
        assert "the vault does not answer" in caplog.text

    @pytest.mark.parametrize("nothing", ["", None, 7])
    async def test_that_is_none_is_not_shown(self, router: ScriptedRouter, nothing: Any) -> None:
        router.script = asking("ticket", {}, lambda answer: verdict(True))
        with pytest.raises(JoinRefused, match="returned none"):
            async with connect(router.url, authentication=Ticket("joe", lambda: nothing)):
                pass


class TestAnswerThatComesLate:
    """Making a proof takes time, and much can happen meanwhile."""

    @pytest.fixture
    def wire(self) -> Recorder:
        return Recorder()

    @pytest.fixture
    def protocol(self, wire: Recorder) -> ClientProtocol:
        authentication = Authentication([Ticket("joe", "s3cret")])
        protocol = ClientProtocol(realm="realm1", agent="test", observer=wire, authentication=authentication)
        protocol.connected(wire)
        protocol.receive(m.Challenge("ticket", {}))
        wire.taken()
        return protocol

    def test_is_sent_while_it_is_waited_for(self, protocol: ClientProtocol, wire: Recorder) -> None:
        [challenge] = wire.challenges
        proof = challenge.attempt.respond(challenge.method, challenge.extra)
        protocol.answer_challenge(challenge, proof)
        assert wire.taken() == [m.Authenticate("s3cret", {})]
        protocol.answer_challenge(challenge, proof)
        assert wire.taken() == []

    def test_goes_nowhere_when_the_connection_is_gone(self, protocol: ClientProtocol, wire: Recorder) -> None:
        [challenge] = wire.challenges
        protocol.lost("gone")
        protocol.connected(wire)
        protocol.receive(m.Challenge("ticket", {}))
        wire.taken()
        protocol.answer_challenge(challenge, Proof("s3cret", {}))
        protocol.refuse_challenge(challenge, ConnectionLost("no"))
        assert wire.taken() == []
        assert protocol.state is State.AUTHENTICATING

    def test_goes_nowhere_when_the_router_did_not_wait(
        self, protocol: ClientProtocol, wire: Recorder
    ) -> None:
        [challenge] = wire.challenges
        protocol.receive(WELCOME)
        protocol.answer_challenge(challenge, Proof("s3cret", {}))
        assert wire.taken() == []
        assert protocol.state is State.JOINED

    def test_is_not_waited_for_when_the_session_is_closed(
        self, protocol: ClientProtocol, wire: Recorder
    ) -> None:
        protocol.leave()
        assert protocol.state is State.CLOSED
        assert wire.closed == 1

    def test_is_the_only_thing_that_may_come(self, protocol: ClientProtocol) -> None:
        with pytest.raises(ProtocolViolation):
            protocol.receive(m.Challenge("ticket", {}))


class TestCredentials:
    def test_show_no_secret(self) -> None:
        for credentials in ALL:
            assert "s3cret" not in repr(credentials)
            assert PRIVATE_KEY.hex() not in repr(credentials)
            assert "joe" in repr(credentials)

    @pytest.mark.parametrize("make", [Ticket, WampCra, Scram])
    @pytest.mark.parametrize("secret", ["", None, b"s3cret"])
    def test_need_a_secret(self, make: Any, secret: Any) -> None:
        with pytest.raises(ValueError, match="must be text"):
            make("joe", secret)

    def test_need_a_name_that_is_not_empty(self) -> None:
        with pytest.raises(ValueError, match="authid"):
            Ticket("", "s3cret")

    def test_for_scram_want_the_name_in_its_normal_form(self) -> None:
        with pytest.raises(ValueError, match="has to be written as 'joé'"):
            Scram("joe\u0301", "s3cret")

    def test_of_two_people_cannot_be_offered_together(self) -> None:
        with pytest.raises(ValueError, match="one authid"):
            connect("ws://127.0.0.1/ws", authentication=[Ticket("joe", "s3cret"), WampCra("jane", "s3cret")])

    def test_of_one_method_cannot_be_offered_twice(self) -> None:
        with pytest.raises(ValueError, match="twice"):
            connect("ws://127.0.0.1/ws", authentication=[Ticket("joe", "s3cret"), Ticket("joe", "other")])

    def test_are_read_from_a_key_file(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.write_text(PRIVATE_KEY.hex() + "\n")
        assert Cryptosign.from_file(path).public_key == cryptosign.public_key(PRIVATE_KEY)

    def test_are_not_read_from_something_else(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.write_text("hunter2")
        with pytest.raises(KeyFileError, match="no Ed25519 private key") as caught:
            Cryptosign.from_file(path)
        assert str(path) in str(caught.value)
        assert "hunter2" not in str(caught.value)
