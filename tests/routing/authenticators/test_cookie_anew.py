"""What a cookie's bearer may do is asked anew each time: a cookie keeps no right that was taken away."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from heliograph.auth import cryptosign, wampcra
from heliograph.auth.facts import ClientCertificate, ConnectionFacts
from heliograph.auth.options import DynamicOptions, FunctionOptions
from heliograph.auth.scram import ClientExchange, Record
from heliograph.routing.options import AllowedActions, PermissionRule, RoleOptions
from heliograph.routing.outside import Outside
from heliograph.wamp.messages import Authenticate, Invocation, Message, Welcome, Yield, YieldOptions
from heliograph.wamp.payload import PlainPayload
from tests.support.door import DENIED, FAR_AWAY, Door, answers, refused, welcomed
from tests.support.recording import OPEN_ROLE, Bench, SessionPair, call

CERTIFICATE = ClientCertificate(sha1="ab" * 20, sha256="cd" * 32, subject="CN=joe", der=b"")
BROWSER = msgspec.structs.replace(FAR_AWAY, cookie="cookie-of-a-browser", certificate=CERTIFICATE)
ANOTHER = msgspec.structs.replace(FAR_AWAY, cookie="cookie-of-another", certificate=CERTIFICATE)
KEY, NEXT_KEY = b"\x01" * 32, b"\x02" * 32
PASSWORD = "p4ssword"


def record(salt: bytes) -> dict[str, Any]:
    made = Record.make(PASSWORD, kdf="pbkdf2", iterations=4096, salt=salt)
    return {
        "kdf": "pbkdf2",
        "iterations": 4096,
        "salt": made.salt.hex(),
        "stored-key": made.stored_key.hex(),
        "server-key": made.server_key.hex(),
    }


CREDENTIALS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ticket": ({"ticket": "s3cret"}, {"ticket": "n3xt"}),
    "wampcra": ({"secret": "s3cret"}, {"secret": "n3xt"}),
    "scram": (record(b"a" * 16), record(b"b" * 16)),
    "cryptosign": (
        {"authorized_keys": [cryptosign.public_key(KEY)]},
        {"authorized_keys": [cryptosign.public_key(NEXT_KEY)]},
    ),
    "tls": ({"certificate-sha256": "cd" * 32}, {"certificate-sha256": "ef" * 32}),
}
"""By method: those of today, and those that take their place."""

EACH_METHOD = pytest.mark.parametrize("method", CREDENTIALS)


def auth(method: str, **principals: dict[str, Any]) -> dict[str, Any]:
    key = "users" if method == "wampcra" else "principals"
    return {"cookie": {"type": "static"}, method: {"type": "static", key: principals}}


def joe(method: str, **changed: Any) -> dict[str, Any]:
    return {"role": "backend", **CREDENTIALS[method][0], **changed}


def log_in(door: Door, method: str, facts: ConnectionFacts = BROWSER) -> SessionPair:
    """Authenticate with the credentials of today."""
    exchange = ClientExchange("joe", nonce=b"n" * 18)
    authextra = {"scram": exchange.hello_extra, "cryptosign": cryptosign.hello_extra(KEY)}.get(method)
    pair, answer = door.knock(method, authid="joe", authextra=authextra, facts=facts)
    if method != "tls":
        answer = proof(pair, method, answer, exchange)
    assert isinstance(answer, Welcome), answer
    return pair


def proof(pair: SessionPair, method: str, challenge: Any, exchange: ClientExchange) -> Message:
    if method == "ticket":
        return answers(pair, "s3cret")
    if method == "wampcra":
        return answers(pair, wampcra.sign(wampcra.key_of("s3cret"), challenge.extra["challenge"]))
    if method == "cryptosign":
        return answers(pair, cryptosign.response(KEY, challenge.extra))
    signature, extra = exchange.respond(PASSWORD, challenge.method, challenge.extra)
    return answers(pair, signature, **extra)


def restarted(before: Door, changed: dict[str, Any]) -> Door:
    return Door(changed, cookies=True, before=before)


def shown(door: Door, facts: ConnectionFacts = BROWSER) -> Message:
    return door.knock("cookie", facts=facts)[1]


@EACH_METHOD
def test_it_counts_while_nothing_changes(method: str) -> None:
    door = Door(auth(method, joe=joe(method)), cookies=True)
    log_in(door, method)
    again = restarted(door, auth(method, joe=joe(method)))
    assert welcomed(shown(again)) == ("joe", "backend", "cookie", "static")


@EACH_METHOD
def test_the_role_is_that_of_the_configuration_now(method: str) -> None:
    door = Door(auth(method, joe=joe(method)), cookies=True)
    log_in(door, method)
    again = restarted(door, auth(method, joe=joe(method, role="frontend")))
    assert welcomed(shown(again))[:2] == ("joe", "frontend")


OTHER = dict(zip(CREDENTIALS, [*list(CREDENTIALS)[1:], "ticket"], strict=True))

Change = Callable[[str], dict[str, Any]]

CHANGES: dict[str, Change] = {
    "removed": lambda method: auth(method, ann=joe(method)),
    "other credentials": lambda method: auth(method, joe=joe(method) | CREDENTIALS[method][1]),
    "another realm": lambda method: auth(method, joe=joe(method, realm="elsewhere")),
    "the method is gone": lambda _method: {"cookie": {"type": "static"}},
    "another method": lambda method: auth(OTHER[method], joe=joe(OTHER[method])),
    "a procedure decides": lambda method: {
        "cookie": {"type": "static"},
        method: {"type": "dynamic", "authenticator": "com.example.authenticate"},
    },
}


@EACH_METHOD
@pytest.mark.parametrize("change", CHANGES)
def test_what_was_taken_away_is_borrowed_by_no_cookie(method: str, change: str) -> None:
    before = auth(method, joe=joe(method))
    door = Door(before, cookies=True)
    log_in(door, method)
    changed = restarted(door, CHANGES[change](method))
    assert not changed.authenticators.knows_cookie("cookie-of-a-browser"), (
        "so the browser is given another one"
    )
    assert refused(shown(changed)) == DENIED
    assert changed.cookies is not None
    assert changed.cookies.remembered == {}, "it does not come back with the credentials"
    assert refused(shown(restarted(changed, before))) == DENIED


def test_a_role_the_realm_has_no_more_lets_nobody_in() -> None:
    door = Door(auth("ticket", joe=joe("ticket")), cookies=True)
    log_in(door, "ticket")
    again = restarted(door, auth("ticket", joe=joe("ticket", role="gone")))
    assert refused(shown(again))[0] == "wamp.error.no_such_role"


@EACH_METHOD
def test_others_keep_what_they_have(method: str) -> None:
    door = Door(auth(method, joe=joe(method)), cookies=True)
    log_in(door, method)
    other = {"role": "boss", **CREDENTIALS[method][1]}
    again = restarted(door, auth(method, ann=other, joe=joe(method)))
    assert welcomed(shown(again))[0] == "joe"


DYNAMIC: dict[str, Any] = {"type": "dynamic", "authenticator": "com.example.authenticate"}
FUNCTION: dict[str, Any] = {
    "type": "function",
    "create": "doors.create",
    "config": {"tickets": {"joe": "s3cret"}},
}


def asking(options: dict[str, Any], before: Door | None = None) -> Door:
    """Return a door where a procedure decides about tickets, or the function behind one."""
    bench = Bench((OPEN_ROLE, RoleOptions(name="backend")))

    def ask_function(_options: FunctionOptions) -> tuple[DynamicOptions, Any]:
        return DynamicOptions(authenticator=DYNAMIC["authenticator"]), bench.router.caller("realm1")

    bench.router.outside = Outside(ask_function=ask_function)
    return Door({"cookie": {"type": "static"}, "ticket": options}, cookies=True, before=before, bench=bench)


def let_in(door: Door, role: str = "backend") -> None:
    authenticator = door.bench.join_as("authenticator")
    authenticator.register(DYNAMIC["authenticator"])
    pair, _ = door.challenge("ticket", authid="joe", facts=BROWSER)
    assert pair.says(Authenticate("s3cret", {})) == []
    (asked,) = authenticator.hears()
    assert isinstance(asked, Invocation)
    authenticator.says(Yield(asked.request, YieldOptions(), PlainPayload([role])))
    (answer,) = pair.hears()
    assert isinstance(answer, Welcome)


@pytest.mark.parametrize("options", [DYNAMIC, FUNCTION], ids=["procedure", "function"])
def test_where_nobody_can_be_asked_the_role_that_was_told_counts(options: dict[str, Any]) -> None:
    door = asking(options)
    let_in(door)
    again = asking({**options, "timeout_s": 1.0}, before=door)
    assert welcomed(shown(again)) == ("joe", "backend", "cookie", "dynamic")


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (DYNAMIC, {"authenticator": "com.example.another"}),
        (DYNAMIC, {"authenticator-realm": "realm1"}),
        (DYNAMIC, {"default-role": "frontend"}),
        (DYNAMIC, FUNCTION),
        (FUNCTION, {"create": "doors.another"}),
        (FUNCTION, {"config": {"tickets": {}}}),
        (FUNCTION, {"default-role": "frontend"}),
        (FUNCTION, DYNAMIC),
    ],
)
def test_another_authenticator_asks_again(options: dict[str, Any], changed: dict[str, Any]) -> None:
    door = asking(options)
    let_in(door)
    kind = {**options, **changed} if "type" not in changed else changed
    assert refused(shown(asking(kind, before=door))) == DENIED


OPERATOR = RoleOptions(
    name="operator",
    permissions=[PermissionRule(uri="wamp.session.kill_by_authid", allow=AllowedActions(call=True))],
)


class TestRevoking:
    """`wamp.session.kill_by_authid` logs out: who is killed does not come back by a cookie."""

    @pytest.fixture
    def door(self) -> Door:
        ann = {"ticket": "anns", "role": "backend"}
        return Door(
            auth("ticket", joe=joe("ticket"), ann=ann),
            cookies=True,
            roles=(RoleOptions(name="backend"), OPERATOR),
        )

    def kill(self, door: Door, *args: Any) -> list[Any]:
        operator = door.bench.join_as("root", "operator")
        (result,) = operator.says(call(1, "wamp.session.kill_by_authid", PlainPayload(list(args))))
        return list(result.payload.decoded()[0])  # type: ignore[attr-defined]

    def test_ends_the_sessions_and_forgets_the_cookies(self, door: Door) -> None:
        first = log_in(door, "ticket")
        second, _ = door.knock("cookie", facts=BROWSER)
        log_in(door, "ticket", ANOTHER).session.lost()
        assert self.kill(door, "joe") == [[first.id, second.id]]
        assert refused(shown(door)) == refused(shown(door, ANOTHER)) == DENIED
        assert door.cookies is not None
        assert door.cookies.remembered == {}

    def test_reaches_those_who_are_not_there(self, door: Door) -> None:
        log_in(door, "ticket").session.lost()
        assert self.kill(door, "joe") == [[]]
        assert refused(shown(door)) == DENIED

    def test_leaves_others_theirs(self, door: Door) -> None:
        log_in(door, "ticket")
        self.kill(door, "ann")
        assert welcomed(shown(door))[0] == "joe"

    def test_leaves_another_realm_its_own(self, door: Door) -> None:
        log_in(door, "ticket")
        assert door.cookies is not None
        door.cookies.forget("elsewhere", "joe")
        assert welcomed(shown(door))[0] == "joe"

    def test_lets_who_can_prove_it_in_again(self, door: Door) -> None:
        log_in(door, "ticket").session.lost()
        self.kill(door, "joe")
        # On a new connection: its cookie is a new one.
        log_in(door, "ticket", ANOTHER)
        assert welcomed(shown(door, ANOTHER))[0] == "joe"

    def test_with_a_bad_argument_changes_nothing(self, door: Door) -> None:
        log_in(door, "ticket")
        operator = door.bench.join_as("root", "operator")
        refusal = operator.says(
            call(1, "wamp.session.kill_by_authid", PlainPayload(["joe"], {"reason": "no uri"}))
        )
        assert refusal[0].error == "wamp.error.invalid_uri"  # type: ignore[attr-defined]
        assert welcomed(shown(door))[0] == "joe"


class TestDates:
    """When a cookie runs out is a date; whoever sets the clock gives nobody more than `max_age`."""

    @pytest.mark.parametrize("hours", [-1, -24 * 365])
    def test_set_back_give_no_more_than_max_age(self, hours: int) -> None:
        door = Door(auth("ticket", joe=joe("ticket")), cookies=True)
        log_in(door, "ticket")
        door.bench.clock.set_date(hours * 3600.0)
        assert welcomed(shown(door))[0] == "joe"
        door.bench.clock.advance(3599.0)
        assert welcomed(shown(door))[0] == "joe"
        door.bench.clock.advance(1.0)
        assert refused(shown(door)) == DENIED

    def test_further_away_than_max_age_in_a_file_are_no_more_than_that(self) -> None:
        door = Door(auth("ticket", joe=joe("ticket")), cookies=True)
        log_in(door, "ticket")
        assert door.cookies is not None
        door.cookies.remembered = {
            digest: msgspec.structs.replace(remembered, expires_s=1e12)
            for digest, remembered in door.cookies.remembered.items()
        }
        again = restarted(door, auth("ticket", joe=joe("ticket")))
        assert welcomed(shown(again))[0] == "joe"
        again.bench.clock.advance(3600.0)
        assert refused(shown(again)) == DENIED
