"""Autobahn's own functions and authenticators against ours, in both directions.

Its `scram` with `pbkdf2` is left out: it hands the salt to its own function as text, which that refuses.
"""

import warnings
from types import SimpleNamespace

import pytest

from heliograph.auth import cryptosign, scram, wampcra
from heliograph.auth.errors import AuthenticationFailed

SECRET = "p4ssw0rd"
PRIVATE_KEY = bytes.fromhex("4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510")


@pytest.fixture(scope="module")
def autobahn():
    """Autobahn's module of authentication methods."""
    with warnings.catch_warnings():
        # Python announces the end of a module that passlib imports.
        warnings.simplefilter("ignore", DeprecationWarning)
        import txaio

        txaio.use_asyncio()
        from autobahn.wamp import auth
    return auth


def challenge(method, extra):
    from autobahn.wamp.types import Challenge

    return Challenge(method, extra)


SESSION = SimpleNamespace(
    log=SimpleNamespace(error=lambda text: None, info=lambda text: None),
    _transport=SimpleNamespace(transport_details=SimpleNamespace(channel_id={})),
)


def test_ticket(autobahn):
    from heliograph.auth import ticket

    answer = autobahn.create_authenticator("ticket", authid="peter", ticket=SECRET).on_challenge(
        SESSION, challenge("ticket", {})
    )
    assert ticket.is_right(ticket.hash_ticket(SECRET), answer)


class TestWampCra:
    CHALLENGE = wampcra.challenge_text(
        authid="peter", authrole="user", authprovider="static", nonce="n", timestamp="t", session=1
    )
    EXTRAS = (
        {"challenge": CHALLENGE},
        {"challenge": CHALLENGE, "salt": "s4lt", "iterations": 77, "keylen": 40},
    )

    @pytest.mark.parametrize("extra", EXTRAS)
    def test_its_client_is_understood(self, autobahn, extra):
        key = wampcra.key_of(SECRET)
        if "salt" in extra:
            key = wampcra.derive_key(
                SECRET, extra["salt"], iterations=extra["iterations"], keylen=extra["keylen"]
            )
        theirs = autobahn.create_authenticator("wampcra", authid="peter", secret=SECRET)
        assert wampcra.is_right(
            key, self.CHALLENGE, theirs.on_challenge(SESSION, challenge("wampcra", extra))
        )
        stranger = autobahn.create_authenticator("wampcra", authid="peter", secret="other")
        assert not wampcra.is_right(
            key, self.CHALLENGE, stranger.on_challenge(SESSION, challenge("wampcra", extra))
        )

    @pytest.mark.parametrize("extra", EXTRAS)
    def test_our_client_signs_what_its_functions_expect(self, autobahn, extra):
        key = SECRET.encode()
        if "salt" in extra:
            key = autobahn.derive_key(SECRET, extra["salt"], extra["iterations"], extra["keylen"])
        expected = autobahn.compute_wcs(key, self.CHALLENGE).decode()
        assert wampcra.response(SECRET, extra) == expected


class TestScram:
    RECORD = scram.Record.make(SECRET, kdf="argon2id-13", iterations=1, memory_kib=scram.MIN_ARGON2_WORK_KIB)

    def exchange(self, autobahn, password, authid="peter"):
        theirs = autobahn.create_authenticator("scram", authid=authid, password=password)
        ours = scram.ServerExchange(
            "scram",
            self.RECORD,
            authid=authid,
            hello_extra=theirs.authextra,
            server_nonce=bytes(scram.NONCE_BYTES),
        )
        # It hands out bytes, which its session sends as text.
        return theirs, ours, theirs.on_challenge(SESSION, challenge("scram", ours.challenge_extra)).decode()

    @pytest.mark.parametrize("authid", ["peter", "peter@example.com", "a=b,c"])
    def test_its_client_is_understood_and_trusts_us(self, autobahn, authid):
        theirs, ours, signature = self.exchange(autobahn, SECRET, authid)
        assert theirs.on_welcome(SESSION, ours.verify(signature, {})) is None

    def test_its_client_with_another_password_is_refused(self, autobahn):
        _, ours, signature = self.exchange(autobahn, "other")
        with pytest.raises(AuthenticationFailed):
            ours.verify(signature, {})

    def test_its_client_does_not_trust_a_router_without_the_keys(self, autobahn):
        theirs, ours, signature = self.exchange(autobahn, SECRET)
        ours.verify(signature, {})
        wrong = {"scram_server_signature": "AAAA"}
        assert theirs.on_welcome(SESSION, wrong) is not None

    def test_its_credentials_are_the_same_as_ours(self, autobahn):
        theirs = autobahn.derive_scram_credential("peter@example.com", SECRET)
        ours = scram.Record.make(
            SECRET,
            kdf=theirs["kdf"],
            salt=bytes.fromhex(theirs["salt"]),
            iterations=theirs["iterations"],
            memory_kib=theirs["memory"],
        )
        assert (ours.stored_key.hex(), ours.server_key.hex()) == (theirs["stored-key"], theirs["server-key"])

    def test_our_client_says_what_its_client_says(self, autobahn):
        ours = scram.ClientExchange("peter", nonce=bytes(scram.NONCE_BYTES))
        theirs = autobahn.create_authenticator("scram", authid="peter", password=SECRET)
        theirs._client_nonce = ours.hello_extra["nonce"]
        router = scram.ServerExchange(
            "scram", self.RECORD, authid="peter", hello_extra=ours.hello_extra, server_nonce=b"\x01" * 18
        )
        signature, _ = ours.respond(SECRET, "scram", router.challenge_extra)
        assert signature == theirs.on_challenge(SESSION, challenge("scram", router.challenge_extra)).decode()


class TestCryptosign:
    async def test_its_client_is_understood(self, autobahn):
        theirs = autobahn.create_authenticator("cryptosign", authid="peter", privkey=PRIVATE_KEY.hex())
        sent = bytes(range(32))
        answer = await theirs.on_challenge(SESSION, challenge("cryptosign", cryptosign.challenge_extra(sent)))
        assert theirs.authextra["pubkey"] == cryptosign.public_key(PRIVATE_KEY)
        assert cryptosign.is_right(theirs.authextra["pubkey"], sent.hex(), answer)
        assert not cryptosign.is_right(theirs.authextra["pubkey"], bytes(32).hex(), answer)

    async def test_our_client_says_what_its_client_says(self, autobahn):
        theirs = autobahn.create_authenticator("cryptosign", authid="peter", privkey=PRIVATE_KEY.hex())
        extra = cryptosign.challenge_extra(bytes(range(32)))
        answer = await theirs.on_challenge(SESSION, challenge("cryptosign", extra))
        assert cryptosign.response(PRIVATE_KEY, extra) == answer
