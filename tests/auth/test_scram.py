import pytest

from heliograph.auth import scram
from heliograph.auth.encoding import from_base64, to_base64
from heliograph.auth.errors import AuthenticationFailed, ChallengeRefused, RouterNotProven
from heliograph.auth.scram import ClientExchange, Record, ServerExchange, fake_record

CLIENT_NONCE = bytes(range(scram.NONCE_BYTES))
SERVER_NONCE = bytes(range(100, 100 + scram.NONCE_BYTES))

# As little work as a client agrees to.
ARGON2 = {"iterations": 1, "memory_kib": scram.MIN_ARGON2_WORK_KIB}
PBKDF2 = {"iterations": scram.MIN_PBKDF2_ITERATIONS}

DIALECTS = [
    ("wamp-scram", Record.make("pencil", kdf="argon2id13", **ARGON2)),
    ("wamp-scram", Record.make("pencil", kdf="pbkdf2", **PBKDF2)),
    ("scram", Record.make("pencil", kdf="argon2id-13", **ARGON2)),
    ("scram", Record.make("pencil", kdf="pbkdf2", **PBKDF2)),
]
WAMP_SCRAM = DIALECTS[0][1]


def client(password="pencil", authid="user"):
    return Client(password, authid, nonce=CLIENT_NONCE)


class Client(ClientExchange):
    """One that remembers the password."""

    def __init__(self, password, authid, *, nonce):
        super().__init__(authid, nonce=nonce)
        self.password = password

    def answer(self, method, extra):
        return self.respond(self.password, method, extra)


def server(method="wamp-scram", record=WAMP_SCRAM, *, authid="user", hello_extra=None, **more):
    hello_extra = client().hello_extra if hello_extra is None else hello_extra
    return ServerExchange(
        method, record, authid=authid, hello_extra=hello_extra, server_nonce=SERVER_NONCE, **more
    )


def test_the_example_of_rfc_7677_which_the_specification_takes_over():
    exchange = Client("pencil", "user", nonce=from_base64("rOprNGfwEbeRWgbNEkqO"))
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    challenge = {
        "nonce": nonce,
        "salt": "W22ZaJ0SNY7soEsUEjb6gQ==",
        "kdf": "pbkdf2",
        "iterations": 4096,
        "memory": None,
    }
    signature, extra = exchange.answer("wamp-scram", challenge)
    assert signature == "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert extra == {"nonce": nonce, "channel_binding": None, "cbind_data": None}
    exchange.check_router({"verifier": "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="})
    exchange.check_router({"verifier": "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="})


@pytest.mark.parametrize(("method", "record"), DIALECTS)
class TestEachDialect:
    def test_proves_both_ends_to_each_other(self, method, record):
        ours = client()
        theirs = server(method, record, hello_extra=ours.hello_extra)
        ours.check_router(theirs.verify(*ours.answer(method, theirs.challenge_extra)))

    def test_refuses_another_password(self, method, record):
        theirs = server(method, record)
        with pytest.raises(AuthenticationFailed):
            theirs.verify(*client("pencils").answer(method, theirs.challenge_extra))

    def test_refuses_another_name(self, method, record):
        theirs = server(method, record)
        with pytest.raises(AuthenticationFailed):
            theirs.verify(*client(authid="resu").answer(method, theirs.challenge_extra))

    def test_refuses_an_answer_to_another_challenge(self, method, record):
        replayed = client().answer(method, server(method, record).challenge_extra)
        fresh = ServerExchange(
            method,
            record,
            authid="user",
            hello_extra=client().hello_extra,
            server_nonce=bytes(scram.NONCE_BYTES),
        )
        with pytest.raises(AuthenticationFailed):
            fresh.verify(*replayed)

    @pytest.mark.parametrize(
        "signature", ["", "AAAA", "====", "ÄÖ", "\ud800", to_base64(bytes(32)), "A" * 10_000]
    )
    def test_refuses_nonsense(self, method, record, signature):
        theirs = server(method, record)
        _, extra = client().answer(method, theirs.challenge_extra)
        with pytest.raises(AuthenticationFailed):
            theirs.verify(signature, extra)

    def test_refuses_a_router_without_the_keys(self, method, record):
        ours = client()
        ours.answer(method, server(method, record).challenge_extra)
        for claimed in (None, {}, {"verifier": None}, {"verifier": "v="}, {"verifier": to_base64(bytes(32))}):
            with pytest.raises(RouterNotProven):
                ours.check_router(claimed)


class TestHello:
    @pytest.mark.parametrize(
        "extra",
        [{}, {"nonce": 7}, {"nonce": ""}, {"nonce": "AAAA"}, {"nonce": "A" * 4000}, {"nonce": "ab c"}],
    )
    def test_without_a_usable_nonce_is_refused(self, extra):
        with pytest.raises(AuthenticationFailed, match=r"authextra\.nonce"):
            server(hello_extra=extra)

    @pytest.mark.parametrize("method", scram.METHODS)
    @pytest.mark.parametrize("binding", ["tls-unique", "", 7])
    def test_that_wants_a_channel_binding_that_is_not_there_is_refused(self, method, binding):
        with pytest.raises(AuthenticationFailed, match="channel binding"):
            server(method, hello_extra={**client().hello_extra, "channel_binding": binding})


class TestAnswer:
    @pytest.mark.parametrize(
        "changed",
        [{"nonce": "x"}, {"nonce": None}, {"channel_binding": "tls-unique"}, {"cbind_data": "AAAA"}],
    )
    def test_must_repeat_what_was_agreed(self, changed):
        theirs = server()
        signature, extra = client().answer("wamp-scram", theirs.challenge_extra)
        with pytest.raises(AuthenticationFailed):
            theirs.verify(signature, {**extra, **changed})

    def test_counts_the_channel_when_it_is_bound(self):
        hello_extra = {**client().hello_extra, "channel_binding": "tls-unique"}
        channel_ids = {"tls-unique": b"\x01" * 12}
        theirs = server(hello_extra=hello_extra, channel_ids=channel_ids)
        signature, extra = client().answer("wamp-scram", theirs.challenge_extra)
        bound = {**extra, "channel_binding": "tls-unique", "cbind_data": to_base64(channel_ids["tls-unique"])}
        # The right channel, but a proof that does not cover it.
        with pytest.raises(AuthenticationFailed):
            theirs.verify(signature, bound)

    def test_may_name_users_with_signs_that_mean_something(self):
        ours = client(authid="a=b,c")
        theirs = server(authid="a=b,c", hello_extra=ours.hello_extra)
        ours.check_router(theirs.verify(*ours.answer("wamp-scram", theirs.challenge_extra)))

    def test_takes_what_looks_the_same_for_the_same_password(self):
        record = Record.make("pässword\u00a0x", kdf="pbkdf2", **PBKDF2)
        ours = client("pa\u0308ssword x")
        theirs = server(record=record, hello_extra=ours.hello_extra)
        ours.check_router(theirs.verify(*ours.answer("wamp-scram", theirs.challenge_extra)))


class TestChallenge:
    def challenge(self, **changed):
        return {**server().challenge_extra, **changed}

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"nonce": None}, "nonce"),
            ({"nonce": "AAAA"}, "nonce"),
            ({"nonce": to_base64(CLIENT_NONCE)}, "nonce"),
            ({"salt": None}, "salt"),
            ({"salt": "%%%"}, "salt"),
            ({"salt": "AAAA"}, "argon2"),
            ({"kdf": None}, "kdf"),
            ({"kdf": "md5"}, "kdf"),
            ({"iterations": None}, "iterations"),
            ({"iterations": "4096"}, "iterations"),
            ({"iterations": 0}, "iterations"),
            ({"iterations": True}, "iterations"),
            ({"memory": None}, "memory"),
            ({"memory": -1}, "memory"),
            ({"iterations": 10**9}, "more work"),
            ({"memory": scram.MAX_MEMORY_KIB + 1}, "more work"),
            ({"kdf": "pbkdf2", "iterations": 10**9}, "more work"),
            ({"iterations": 1, "memory": 8}, "so little work"),
            ({"kdf": "pbkdf2", "iterations": 1}, "so little work"),
        ],
    )
    def test_that_is_unreasonable_is_refused_at_once(self, changed, reason):
        with pytest.raises(ChallengeRefused, match=reason):
            client().answer("wamp-scram", self.challenge(**changed))

    def test_has_no_null_for_autobahn(self):
        for method, record in DIALECTS[2:]:
            assert None not in server(method, record).challenge_extra.values()

    def test_is_not_answered_with_a_password_that_cannot_be(self):
        with pytest.raises(ChallengeRefused, match="password"):
            client("pen\u0007cil").answer("wamp-scram", self.challenge())


class TestFakeRecord:
    SECRET = b"the router's own"

    def test_is_the_same_for_a_name_each_time_and_another_for_another(self):
        assert fake_record("nobody", self.SECRET) == fake_record("nobody", self.SECRET)
        assert fake_record("nobody", self.SECRET).salt != fake_record("nobody2", self.SECRET).salt
        assert fake_record("nobody", self.SECRET).salt != fake_record("nobody", b"another router's").salt

    @pytest.mark.parametrize("method", scram.METHODS)
    def test_looks_like_the_records_there_are(self, method):
        records = [record for _, record in DIALECTS]
        for number in range(20):
            fake = fake_record(f"nobody{number}", self.SECRET, records, method=method)
            models = [record for record in records if record.serves(method)]
            shapes = [(r.kdf, r.iterations, r.memory_kib, len(r.salt)) for r in models]
            assert (fake.kdf, fake.iterations, fake.memory_kib, len(fake.salt)) in shapes

    @pytest.mark.parametrize("method", scram.METHODS)
    def test_serves_its_method_without_a_model_and_lets_nobody_in(self, method):
        theirs = server(method, fake_record("user", self.SECRET, method=method))
        with pytest.raises(AuthenticationFailed):
            theirs.verify(*client().answer(method, theirs.challenge_extra))


class TestRecord:
    def test_has_another_salt_each_time(self):
        assert Record.make("x", kdf="pbkdf2", **PBKDF2).salt != Record.make("x", kdf="pbkdf2", **PBKDF2).salt

    def test_serves_the_dialect_of_its_function(self):
        assert [(record.serves("wamp-scram"), record.serves("scram")) for _, record in DIALECTS] == [
            (True, False),
            (True, True),
            (False, True),
            (True, True),
        ]

    def test_of_a_password_that_cannot_be_typed_is_not_made(self):
        with pytest.raises(ValueError, match="password cannot be used"):
            Record.make("a\u0007", kdf="pbkdf2", **PBKDF2)
