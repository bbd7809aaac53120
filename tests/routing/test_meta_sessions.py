"""What the router tells about sessions, and how it ends them (specification, "Session Meta API")."""

from typing import Any

import pytest

from heliograph.routing import session as sessions
from heliograph.routing.options import AllowedActions, PermissionRule, RoleOptions
from heliograph.wamp.errors import CLOSE_NORMAL
from heliograph.wamp.messages import (
    Abort,
    CloseDetails,
    Error,
    Event,
    EventDetails,
    Goodbye,
    Message,
    Result,
    ResultDetails,
    Welcome,
)
from heliograph.wamp.payload import EncodedPayload, PlainPayload
from heliograph.wire.serializers import serializer
from tests.support.recording import EVERYTHING, Bench, SessionPair, call, hello, subscribe

ADMINISTRATOR = RoleOptions(
    name="administrator",
    permissions=[
        PermissionRule(uri="", match="prefix", allow=EVERYTHING),
        PermissionRule(uri="wamp.", match="prefix", allow=EVERYTHING),
    ],
)
OPEN = RoleOptions(name="anonymous", permissions=[PermissionRule(uri="", match="prefix", allow=EVERYTHING)])
SESSION_KEYS = {"session", "authid", "authrole", "authmethod", "authprovider"}


@pytest.fixture
def bench() -> Bench:
    return Bench([OPEN, ADMINISTRATOR])


@pytest.fixture
def asker(bench: Bench) -> SessionPair:
    return bench.join_as("root", "administrator")


def ask(pair: SessionPair, procedure: str, *args: Any, **kwargs: Any) -> Any:
    """Call `wamp.session.…` and return its results, or the URI of its error."""
    answer = pair.says(call(1, f"wamp.session.{procedure}", PlainPayload(args, kwargs)))[-1]
    if isinstance(answer, Error):
        return answer.error
    assert isinstance(answer, Result), answer
    values, named = answer.payload.decoded()
    assert named == {}
    return values


def told(pair: SessionPair) -> list[list[Any]]:
    """Return the arguments of each event."""
    return [message.payload.decoded()[0] for message in pair.hears() if isinstance(message, Event)]


class TestEvents:
    def test_tell_everything_about_who_has_joined(self, bench: Bench, asker: SessionPair) -> None:
        asker.subscribe("wamp.session.on_join")
        pair = bench.join()
        principal = pair.session.principal
        assert asker.hears() == [
            Event(
                1,
                1004,
                EventDetails(),
                PlainPayload(
                    [
                        {
                            "session": pair.session.id,
                            "authid": principal.authid,
                            "authrole": "anonymous",
                            "authmethod": "anonymous",
                            "authprovider": "static",
                        }
                    ]
                ),
            )
        ]

    def test_tell_of_a_session_once_it_was_welcomed(self, bench: Bench) -> None:
        listener = bench.join()
        listener.subscribe("wamp.session.on_join")
        pair = bench.connect()
        heard: list[type[Message]] = []
        pair.peer.send = lambda message: heard.append(type(message))  # type: ignore[method-assign]
        bench.deliverer.deliver = lambda _: heard.append(Event)  # type: ignore[method-assign,assignment]
        bench.realm.broker._deliver = bench.deliverer.deliver
        pair.session.receive(hello())
        assert heard == [Welcome, Event]

    @pytest.mark.parametrize("end", ["goodbye", "lost", "violation", "abort"])
    def test_tell_who_has_left_however_it_left(self, bench: Bench, asker: SessionPair, end: str) -> None:
        asker.subscribe("wamp.session.on_leave")
        pair = bench.join_as("joe")
        session_id = pair.session.id
        if end == "goodbye":
            pair.says(Goodbye(CloseDetails(), CLOSE_NORMAL))
        elif end == "lost":
            pair.session.lost()
        elif end == "violation":
            pair.says(hello())
        else:
            pair.says(Abort(CloseDetails(), "wamp.error.whatever"))
        pair.session.lost()
        assert told(asker) == [[session_id, "joe", "anonymous"]]

    def test_tell_nothing_of_hellos_that_were_refused(self, bench: Bench, asker: SessionPair) -> None:
        asker.subscribe("wamp.session.on_join")
        asker.subscribe("wamp.session.on_leave")
        for details in ({"authmethods": ["ticket"]}, {"roles": {}}):
            pair = bench.connect()
            pair.says(hello(**details))
        assert told(asker) == []

    def test_need_the_permission_to_subscribe(self) -> None:
        rule = PermissionRule(uri="com.", match="prefix", allow=EVERYTHING)
        bench = Bench([RoleOptions(name="anonymous", permissions=[rule])])
        (error,) = bench.join().says(subscribe(1, "wamp.session.on_join"))
        assert isinstance(error, Error)
        assert error.error == "wamp.error.not_authorized"


class TestLooking:
    def test_counts_and_lists_sessions(self, bench: Bench, asker: SessionPair) -> None:
        others = [bench.join() for _ in range(3)]
        ids = [pair.session.id for pair in (asker, *others)]
        assert ask(asker, "count") == [4]
        (listed,) = ask(asker, "list")
        assert sorted(listed) == sorted(ids)
        others[0].session.lost()
        assert ask(asker, "count") == [3]

    @pytest.mark.parametrize(
        ("authroles", "count"),
        [
            (["administrator"], 1),
            (["anonymous"], 2),
            (["anonymous", "administrator"], 3),
            ([], 0),
            (["nobody"], 0),
            (None, 3),
        ],
    )
    def test_may_be_about_some_roles(
        self, bench: Bench, asker: SessionPair, authroles: list[str] | None, count: int
    ) -> None:
        bench.join()
        bench.join()
        assert ask(asker, "count", authroles) == [count]
        assert len(ask(asker, "list", authroles)[0]) == count

    def test_tells_of_one_session_what_on_join_told(self, bench: Bench, asker: SessionPair) -> None:
        asker.subscribe("wamp.session.on_join")
        pair = bench.join()
        ((joined,),) = told(asker)
        assert ask(asker, "get", pair.session.id) == [joined]
        assert set(joined) == SESSION_KEYS

    def test_does_not_know_the_routers_own_sessions(self, bench: Bench, asker: SessionPair) -> None:
        assert ask(asker, "list") == [[asker.session.id]]

    @pytest.mark.parametrize("session_id", [0, -1, 99, 2**53, 2**70])
    def test_knows_no_other_session(self, asker: SessionPair, session_id: int) -> None:
        assert ask(asker, "get", session_id) in ("wamp.error.no_such_session", "wamp.error.invalid_argument")
        if session_id < 2**63:
            assert ask(asker, "get", session_id) == "wamp.error.no_such_session"

    @pytest.mark.parametrize("name", ["json", "msgpack", "cbor"])
    def test_reads_and_answers_in_every_format(self, bench: Bench, name: str) -> None:
        codec = serializer(name)
        pair = bench.join(codec)
        args = codec.encode_value([["anonymous"]])
        (result,) = pair.says(call(1, "wamp.session.count", EncodedPayload(codec, args, b"")))
        assert result == Result(1, ResultDetails(), PlainPayload([1]))

    def test_needs_the_permission_to_call(self) -> None:
        bench = Bench([RoleOptions(name="anonymous")])
        assert ask(bench.join(), "count") == "wamp.error.not_authorized"

    def test_of_what_the_router_does_not_offer_is_an_error(self, asker: SessionPair) -> None:
        assert ask(asker, "reincarnate") == "wamp.error.no_such_procedure"


BAD_ARGUMENTS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("count", ["anonymous"], {}),
    ("count", [[1]], {}),
    ("count", [{}], {}),
    ("count", [[], []], {}),
    ("count", [], {"unknown": 1}),
    ("list", ["anonymous"], {}),
    ("list", [], {"self": 1}),
    ("get", [], {}),
    ("get", ["1"], {}),
    ("get", [None], {}),
    ("get", [True], {}),
    ("get", [1.5], {}),
    ("get", [[1]], {}),
    ("get", [1, 2], {}),
    ("get", [], {"session": 1}),
    ("kill", [], {}),
    ("kill", ["x"], {}),
    ("kill", [1, "reason"], {}),
    ("kill", [1], {"reason": 5}),
    ("kill", [1], {"reason": None}),
    ("kill", [1], {"message": 5}),
    ("kill", [1], {"why": "x"}),
    ("kill_by_authid", [], {}),
    ("kill_by_authid", [5], {}),
    ("kill_by_authid", [["x"]], {}),
    ("kill_by_authrole", [5], {}),
    ("kill_all", ["x"], {}),
    ("kill_all", [], {"message": []}),
    ("modify_details", [1], {}),
    ("modify_details", [1, []], {}),
    ("modify_details", ["x", {}], {}),
]


@pytest.mark.parametrize(("procedure", "args", "kwargs"), BAD_ARGUMENTS, ids=str)
def test_bad_arguments_are_refused_and_change_nothing(
    bench: Bench, asker: SessionPair, procedure: str, args: list[Any], kwargs: dict[str, Any]
) -> None:
    bench.join()
    assert ask(asker, procedure, *args, **kwargs) == "wamp.error.invalid_argument"
    assert ask(asker, "count") == [2]
    assert not asker.is_closed


@pytest.mark.parametrize(
    "payload",
    [
        EncodedPayload(serializer("json"), b'["\\u0000no base64"]', b""),
        EncodedPayload(serializer("msgpack"), b"\x91\xc1", b""),
    ],
    ids=["no base64", "no MessagePack"],
)
def test_arguments_nobody_can_read_are_refused(asker: SessionPair, payload: EncodedPayload) -> None:
    (error,) = asker.says(call(1, "wamp.session.count", payload))
    assert isinstance(error, Error)
    assert error.error == "wamp.error.invalid_argument"


class TestKill:
    def test_says_goodbye_with_the_default_reason_and_no_message(
        self, bench: Bench, asker: SessionPair
    ) -> None:
        pair = bench.join()
        assert ask(asker, "kill", pair.session.id) == []
        assert pair.hears() == [Goodbye(CloseDetails(), "wamp.close.killed")]
        assert ask(asker, "count") == [1]
        assert not pair.is_closed
        pair.says(Goodbye(CloseDetails(), "wamp.close.goodbye_and_out"))
        assert pair.is_closed

    def test_says_why_when_it_is_told(self, bench: Bench, asker: SessionPair) -> None:
        pair = bench.join()
        ask(asker, "kill", pair.session.id, reason="com.example.maintenance", message="back at nine")
        assert pair.hears() == [Goodbye(CloseDetails(message="back at nine"), "com.example.maintenance")]

    def test_takes_everything_the_session_had(self, bench: Bench, asker: SessionPair) -> None:
        pair = bench.join()
        pair.subscribe("com.example.t")
        pair.register("com.example.p")
        asker.subscribe("wamp.session.on_leave")
        ask(asker, "add_testament", "com.example.x")
        pair.says(call(1, "wamp.session.add_testament", PlainPayload(["com.example.last", [1]])))
        asker.subscribe("com.example.last")
        session_id, authid = pair.session.id, pair.session.principal.authid
        asker.session.receive(call(1, "wamp.session.kill", PlainPayload([session_id])))
        assert told(asker) == [[1], [session_id, authid, "anonymous"]]
        assert bench.realm.broker._of_session.keys() == {asker.session}
        assert bench.realm.dealer.procedures.registrations == {}

    def test_does_not_wait_for_ever_for_an_answer(self, bench: Bench, asker: SessionPair) -> None:
        pair = bench.join()
        ask(asker, "kill", pair.session.id)
        bench.clock.advance(5)
        assert pair.is_closed

    @pytest.mark.parametrize("which", ["own", "unknown", "gone"])
    def test_of_no_other_session_is_an_error(self, bench: Bench, asker: SessionPair, which: str) -> None:
        gone = bench.join()
        gone.session.lost()
        session_id = {"own": asker.session.id, "unknown": 99, "gone": gone.session.id}[which]
        assert ask(asker, "kill", session_id) == "wamp.error.no_such_session"
        assert ask(asker, "count") == [1]

    @pytest.mark.parametrize("reason", ["", "two words", "a..b", "a.", "#", "x\n"])
    @pytest.mark.parametrize(
        ("procedure", "args"),
        [
            ("kill", [1003]),
            ("kill_by_authid", ["joe"]),
            ("kill_by_authrole", ["anonymous"]),
            ("kill_all", []),
        ],
    )
    def test_with_a_reason_that_is_no_uri_is_refused(
        self, bench: Bench, asker: SessionPair, procedure: str, args: list[Any], reason: str
    ) -> None:
        bench.join_as("joe")
        assert ask(asker, procedure, *args, reason=reason) == "wamp.error.invalid_uri"
        assert ask(asker, "count") == [2]


class TestKillMany:
    @pytest.fixture
    def people(self, bench: Bench, asker: SessionPair) -> list[SessionPair]:
        """Four more sessions; two have the asker's authid, one its role."""
        return [
            bench.join_as("root"),
            bench.join_as("joe"),
            bench.join_as("joe", "administrator"),
            bench.join_as("root"),
        ]

    @pytest.mark.parametrize(
        ("procedure", "args", "killed"),
        [
            ("kill_by_authid", ["root"], [0, 3]),
            ("kill_by_authid", ["joe"], [1, 2]),
            ("kill_by_authid", ["nobody"], []),
            ("kill_by_authrole", ["administrator"], [2]),
            ("kill_by_authrole", ["anonymous"], [0, 1, 3]),
            ("kill_by_authrole", ["nobody"], []),
            ("kill_all", [], [0, 1, 2, 3]),
        ],
    )
    def test_never_ends_the_caller(
        self,
        asker: SessionPair,
        people: list[SessionPair],
        procedure: str,
        args: list[Any],
        killed: list[int],
    ) -> None:
        ids = [pair.session.id for pair in people]
        (answer,) = ask(asker, procedure, *args, reason="com.example.why", message="sorry")
        if procedure == "kill_by_authid":
            assert answer == [ids[number] for number in killed]
        else:
            assert answer == len(killed)
        goodbye = Goodbye(CloseDetails(message="sorry"), "com.example.why")
        assert [pair.hears() for pair in people] == [
            [goodbye] if number in killed else [] for number in range(4)
        ]
        assert ask(asker, "count") == [5 - len(killed)]

    @pytest.mark.parametrize(
        ("procedure", "args"),
        [("kill_by_authid", ["joe"]), ("kill_by_authrole", ["anonymous"]), ("kill_all", [])],
    )
    def test_has_the_same_default_reason(
        self, asker: SessionPair, people: list[SessionPair], procedure: str, args: list[Any]
    ) -> None:
        ask(asker, procedure, *args)
        assert people[1].hears() == [Goodbye(CloseDetails(), "wamp.close.killed")]

    def test_all_is_silent_about_it(self, bench: Bench, asker: SessionPair) -> None:
        pair = bench.join()
        pair.subscribe("com.example.t")
        pair.register("com.example.p")
        pair.says(call(1, "wamp.session.add_testament", PlainPayload(["com.example.last", [1]])))
        asker.subscribe("com.example.last")
        asker.subscribe("wamp.", match="prefix")
        asker.hears()
        assert asker.says(call(1, "wamp.session.kill_all")) == [Result(1, ResultDetails(), PlainPayload([1]))]
        assert bench.realm.testaments == {}
        # And only about that.
        bench.join()
        assert [event[0]["authrole"] for event in told(asker)] == ["anonymous"]

    def test_by_authid_tells_of_each(self, asker: SessionPair, people: list[SessionPair]) -> None:
        asker.subscribe("wamp.session.on_leave")
        ids = [people[1].session.id, people[2].session.id]
        asker.session.receive(call(1, "wamp.session.kill_by_authid", PlainPayload(["joe"])))
        assert [event[0] for event in told(asker)] == ids


class TestModifyDetails:
    def test_adds_to_what_is_told(self, bench: Bench, asker: SessionPair) -> None:
        pair = bench.join()
        assert ask(asker, "modify_details", pair.session.id, {"team": "blue", "shift": 2}) == []
        (details,) = ask(asker, "get", pair.session.id)
        assert details["team"] == "blue"
        ask(asker, "modify_details", pair.session.id, {"team": None, "shift": 3})
        (details,) = ask(asker, "get", pair.session.id)
        assert set(details) == SESSION_KEYS | {"shift"}
        assert details["shift"] == 3

    def test_leaves_what_the_router_says(self, bench: Bench, asker: SessionPair) -> None:
        pair = bench.join()
        (before,) = ask(asker, "get", pair.session.id)
        ask(asker, "modify_details", pair.session.id, {"authid": "root", "authrole": "x", "session": 1})
        assert ask(asker, "get", pair.session.id) == [before]

    def test_of_nobody_is_an_error(self, asker: SessionPair) -> None:
        assert ask(asker, "modify_details", 99, {}) == "wamp.error.no_such_session"

    def test_is_bounded_and_a_refusal_changes_nothing(self, bench: Bench, asker: SessionPair) -> None:
        pair = bench.join()
        ask(asker, "modify_details", pair.session.id, {"kept": 1})
        many = {f"key{number}": 1 for number in range(sessions.MODIFIED_DETAILS_LIMIT)}
        assert ask(asker, "modify_details", pair.session.id, many) == "wamp.error.invalid_argument"
        (details,) = ask(asker, "get", pair.session.id)
        assert set(details) == SESSION_KEYS | {"kept"}


PRIVILEGED: list[tuple[str, list[Any]]] = [
    ("kill", [99]),
    ("kill_by_authid", ["nobody"]),
    ("kill_by_authrole", ["nobody"]),
    ("kill_all", []),
    ("modify_details", [99, {}]),
]


class TestPermission:
    """A rule for everything does not let anybody end the sessions of others."""

    @staticmethod
    def outcome(procedure: str, args: list[Any], *rules: PermissionRule, **options: Any) -> Any:
        bench = Bench([RoleOptions(name="anonymous", permissions=list(rules), **options)])
        return ask(bench.join(), procedure, *args)

    @pytest.mark.parametrize(("procedure", "args"), PRIVILEGED)
    @pytest.mark.parametrize("by_default", [False, True])
    def test_for_everything_is_not_enough(self, procedure: str, args: list[Any], by_default: bool) -> None:
        rules = [] if by_default else [PermissionRule(uri="", match="prefix", allow=EVERYTHING)]
        options = {"allow_by_default": by_default}
        assert self.outcome(procedure, args, *rules, **options) == "wamp.error.not_authorized"

    @pytest.mark.parametrize(("procedure", "args"), PRIVILEGED)
    @pytest.mark.parametrize(
        ("uri", "match"),
        [("wamp.session.{}", "exact"), ("wamp.session.", "prefix"), ("wamp..{}", "wildcard")],
    )
    def test_that_names_it_is(self, procedure: str, args: list[Any], uri: str, match: Any) -> None:
        rule = PermissionRule(uri=uri.format(procedure), match=match, allow=AllowedActions(call=True))
        assert self.outcome(procedure, args, rule) != "wamp.error.not_authorized"

    @pytest.mark.parametrize(("procedure", "args"), PRIVILEGED)
    def test_that_names_it_and_denies_is_not(self, procedure: str, args: list[Any]) -> None:
        rules = [
            PermissionRule(uri="", match="prefix", allow=EVERYTHING),
            PermissionRule(uri=f"wamp.session.{procedure}"),
        ]
        assert self.outcome(procedure, args, *rules) == "wamp.error.not_authorized"

    @pytest.mark.parametrize("procedure", ["count", "list", "flush_testaments"])
    def test_for_everything_is_enough_to_look(self, procedure: str) -> None:
        rule = PermissionRule(uri="", match="prefix", allow=EVERYTHING)
        assert isinstance(self.outcome(procedure, [], rule), list)
