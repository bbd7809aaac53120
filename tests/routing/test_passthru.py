"""Arguments only the two ends can read: the specified form, and the older one of Autobahn and Crossbar.io."""

import base64
from typing import Any

import cbor2
import msgspec
import pytest
from autobahn.wamp import message as words
from autobahn.wamp.serializer import CBORObjectSerializer, JsonObjectSerializer, MsgPackObjectSerializer

from heliograph.wamp.messages import (
    Error,
    Event,
    Invocation,
    Message,
    Subscribe,
    SubscribeOptions,
)
from heliograph.wamp.payload import BarePayload, PlainPayload
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer
from tests.support.calling import (
    CANCELING,
    PASSTHRU,
    PROCEDURE,
    PROGRESSIVE_RESULTS,
    REROUTE,
    call_error,
    errors,
    failure,
    interrupt,
    invocation,
    refusal,
    result,
    unavailable,
    violation,
    yield_,
)
from tests.support.recording import Bench, SessionPair, call, publish

TOPIC = "com.example.t"
PACKED = PlainPayload([b"\x00\xffpacked"])
WORDS = {
    "ppt_scheme": "wamp",
    "ppt_serializer": "cbor",
    "ppt_cipher": "xsalsa20poly1305",
    "ppt_keyid": "GTtQ37XGJO2O4R8Dvx4AUo8pe61D9evIWpKGQAPdOh0=",
}
ALL = {
    "publisher": [PASSTHRU],
    "subscriber": [PASSTHRU],
    "caller": [PASSTHRU],
    "callee": [PASSTHRU, CANCELING, PROGRESSIVE_RESULTS, REROUTE],
}
NOT_ANNOUNCED = violation("payload passthru was not announced in HELLO (payload_passthru_mode)")
NO_CALLEE = "the callee does not support payload passthru"
NO_CALLER = "the caller does not support payload passthru"


@pytest.fixture
def callee(bench: Bench) -> SessionPair:
    pair = bench.join(features=ALL)
    pair.register(PROCEDURE)
    return pair


@pytest.fixture
def caller(bench: Bench) -> SessionPair:
    return bench.join(features=ALL)


class TestSpecifiedForm:
    @pytest.mark.parametrize("words", [WORDS, {"ppt_scheme": "mqtt"}, {"ppt_scheme": "x_my_ppt"}], ids=str)
    def test_goes_with_the_call_and_its_answers(
        self, callee: SessionPair, caller: SessionPair, words: dict[str, str]
    ) -> None:
        caller.says(call(7, PROCEDURE, PACKED, **words), call(8, PROCEDURE, PACKED, **words))
        assert callee.hears() == [
            invocation(1, 1, PACKED, **words),
            invocation(2, 1, PACKED, **words),
        ]
        callee.says(yield_(1, PACKED, **words), failure(2, "com.example.no", PACKED, **words))
        assert caller.hears() == [
            result(7, PACKED, **words),
            Error(48, 8, words, "com.example.no", PACKED),
        ]

    def test_goes_with_progressive_results(self, callee: SessionPair, caller: SessionPair) -> None:
        caller.says(call(7, PROCEDURE, receive_progress=True))
        callee.says(yield_(1, PACKED, progress=True, **WORDS), yield_(1))
        assert caller.hears() == [result(7, PACKED, progress=True, **WORDS), result(7)]

    def test_goes_with_an_event(self, bench: Bench) -> None:
        publisher, exact, pattern = (bench.join(features=ALL) for _ in range(3))
        exact.subscribe(TOPIC)
        pattern.subscribe("com", match="prefix")
        publisher.says(publish(1, TOPIC, PACKED, **WORDS))
        for pair, expected in ((exact, WORDS), (pattern, {**WORDS, "topic": TOPIC})):
            (event,) = pair.hears()
            assert isinstance(event, Event)
            assert known(event) == expected
            assert event.payload == PACKED

    def test_goes_with_a_retained_event(self, bench: Bench) -> None:
        publisher, late = bench.join(features=ALL), bench.join(features=ALL)
        publisher.says(publish(1, TOPIC, PACKED, retain=True, **WORDS))
        late.session.receive(Subscribe(1, SubscribeOptions(get_retained=True), TOPIC))
        event = late.peer.sent[-1]
        assert isinstance(event, Event)
        assert known(event) == {**WORDS, "retained": True}

    def test_goes_to_subscribers_that_did_not_announce_it(self, bench: Bench) -> None:
        """ "cannot be recognized at the protocol level … and must be covered at the *Subscriber* side"."""
        publisher, subscriber = bench.join(features=ALL), bench.join()
        subscriber.subscribe(TOPIC)
        publisher.says(publish(1, TOPIC, PACKED, **WORDS))
        (event,) = subscriber.hears()
        assert isinstance(event, Event)
        assert known(event) == WORDS

    @pytest.mark.parametrize(
        "message",
        [call(7, PROCEDURE, PACKED, **WORDS), publish(7, TOPIC, PACKED, **WORDS)],
        ids=["CALL", "PUBLISH"],
    )
    def test_that_was_not_announced_is_a_violation(self, bench: Bench, message: Message) -> None:
        others = {role: features for role, features in ALL.items() if role in ("callee", "subscriber")}
        callee, pair = bench.join(features=ALL), bench.join(features=others)
        callee.register(PROCEDURE)
        callee.subscribe(TOPIC)
        assert pair.says(message) == [NOT_ANNOUNCED]
        assert callee.hears() == []

    @pytest.mark.parametrize("progress", [False, True])
    def test_of_a_result_that_was_not_announced_is_a_violation(
        self, bench: Bench, caller: SessionPair, progress: bool
    ) -> None:
        features = {"callee": [CANCELING, PROGRESSIVE_RESULTS], "caller": [PASSTHRU]}
        callee = bench.join(features=features)
        callee.register(PROCEDURE)
        caller.says(call(7, PROCEDURE, receive_progress=True))
        callee.hears()
        assert callee.says(yield_(1, PACKED, progress=progress, **WORDS)) == [NOT_ANNOUNCED]
        assert errors(caller.hears()) == [(7, "wamp.error.canceled")]

    def test_is_refused_for_a_callee_that_did_not_announce_it(
        self, bench: Bench, caller: SessionPair
    ) -> None:
        callee = bench.join(features={"caller": [PASSTHRU]})
        callee.register(PROCEDURE)
        assert caller.says(call(7, PROCEDURE, PACKED, **WORDS)) == [
            call_error(7, "wamp.error.feature_not_supported", NO_CALLEE)
        ]
        assert callee.hears() == []
        caller.says(call(7, PROCEDURE))
        assert callee.hears() == [invocation(1, 1)]

    def test_of_a_result_for_a_caller_that_did_not_announce_it_is_refused_to_both(
        self, callee: SessionPair, bench: Bench
    ) -> None:
        caller = bench.join(features={"callee": [PASSTHRU]})
        caller.says(call(7, PROCEDURE))
        callee.hears()
        assert callee.says(yield_(1, PACKED, **WORDS)) == [
            refusal(70, 1, "wamp.error.feature_not_supported", NO_CALLER)
        ]
        assert caller.hears() == [call_error(7, "wamp.error.feature_not_supported", NO_CALLER)]
        assert bench.router.counters.calls_failed == 1
        assert callee.says(yield_(1)) == []
        assert caller.hears() == []

    def test_of_a_progressive_result_for_such_a_caller_ends_the_call(
        self, callee: SessionPair, bench: Bench
    ) -> None:
        caller = bench.join()
        caller.says(call(7, PROCEDURE, receive_progress=True))
        callee.hears()
        assert callee.says(yield_(1, PACKED, progress=True, **WORDS)) == [
            interrupt(1, "killnowait", "wamp.error.feature_not_supported"),
            refusal(70, 1, "wamp.error.feature_not_supported", NO_CALLER),
        ]
        assert errors(caller.hears()) == [(7, "wamp.error.feature_not_supported")]
        assert callee.says(yield_(1)) == []

    @pytest.mark.parametrize("words", [{"ppt_scheme": ""}, {"ppt_serializer": "cbor"}, {}], ids=str)
    def test_is_told_by_a_scheme_that_is_not_empty(self, bench: Bench, words: dict[str, str]) -> None:
        plain, caller = bench.join(), bench.join()
        plain.register(PROCEDURE)
        assert caller.says(call(7, PROCEDURE, **words)) == []
        assert plain.hears() == [invocation(1, 1)]

    def test_survives_rerouting(self, bench: Bench, caller: SessionPair) -> None:
        first, plain, second = bench.join(features=ALL), bench.join(), bench.join(features=ALL)
        for pair in (first, plain, second):
            pair.register(PROCEDURE, invoke="first")
        caller.says(call(7, PROCEDURE, PACKED, **WORDS))
        first.says(unavailable(1))
        assert plain.hears() == []
        assert second.hears() == [invocation(1, 1, PACKED, **WORDS)]

    def test_takes_only_words_from_an_errors_details(self, callee: SessionPair, caller: SessionPair) -> None:
        caller.says(call(7, PROCEDURE))
        callee.says(Error(68, 1, {"ppt_scheme": 5, "ppt_keyid": "k", "x_own": 1}, "com.example.no"))
        assert caller.hears() == [Error(48, 7, {"ppt_keyid": "k"}, "com.example.no")]

    @pytest.mark.parametrize("source", SERIALIZER_NAMES)
    @pytest.mark.parametrize("target", SERIALIZER_NAMES)
    def test_stays_one_binary_from_every_format_to_every_other(self, source: str, target: str) -> None:
        bench, written = Bench(), serializer(source)
        callee = bench.join(serializer(target), features=ALL)
        caller = bench.join(written, features=ALL)
        callee.register(PROCEDURE)
        raw = written.encode(call(7, PROCEDURE, PACKED, **WORDS))
        caller.says(written.decode(raw))
        (asked,) = callee.hears()
        assert isinstance(asked, Invocation)
        again = callee.peer.serializer
        assert again is not None
        arrived = again.decode(again.encode(asked))
        assert isinstance(arrived, Invocation)
        assert arrived.payload == PACKED


def known(message: Event) -> dict[str, Any]:
    values = {name: getattr(message.details, name) for name in message.details.__struct_fields__}
    return {name: value for name, value in values.items() if value is not None}


# The older form: `enc_algo` in the options, and the binary bare where the list of arguments would be.

BINARY = b"\x82\xa5color\xa6orange\x00\xff"
OLD_WORDS = {"enc_algo": "cryptobox", "enc_key": "k1", "enc_serializer": "msgpack"}


def raw(name: str, elements: list[Any]) -> bytes:
    """Return what a client of format `name` sends, written without our serializers."""
    if name == "json":
        text = [
            "\0" + base64.b64encode(item).decode() if isinstance(item, bytes) else item for item in elements
        ]
        return msgspec.json.encode(text)
    return msgspec.msgpack.encode(elements) if name == "msgpack" else cbor2.dumps(elements)


def read(name: str, data: bytes) -> list[Any]:
    if name == "json":
        text = msgspec.json.decode(data)
        return [
            base64.b64decode(item[1:]) if isinstance(item, str) and item.startswith("\0") else item
            for item in text
        ]
    return msgspec.msgpack.decode(data) if name == "msgpack" else cbor2.loads(data)  # type: ignore[no-any-return]


class Ends:
    """Two sessions that speak in bytes.

    Args:
        source: the format of the one that begins.
        target: the format of the other.
    """

    def __init__(self, source: str, target: str) -> None:
        bench = Bench()
        self.source, self.target = source, target
        self.near, self.far = bench.join(serializer(source)), bench.join(serializer(target))

    def near_says(self, elements: list[Any]) -> list[list[Any]]:
        """Let the first send; return what the other receives."""
        self.near.session.receive(serializer(self.source).decode(raw(self.source, elements)))
        return [read(self.target, serializer(self.target).encode(heard)) for heard in self.far.hears()]

    def far_says(self, elements: list[Any]) -> list[list[Any]]:
        self.far.session.receive(serializer(self.target).decode(raw(self.target, elements)))
        return [read(self.source, serializer(self.source).encode(heard)) for heard in self.near.hears()]


@pytest.mark.parametrize("source", SERIALIZER_NAMES)
@pytest.mark.parametrize("target", SERIALIZER_NAMES)
class TestOlderForm:
    def test_goes_with_the_call_and_its_answers(self, source: str, target: str) -> None:
        ends = Ends(source, target)
        ends.far.register(PROCEDURE)
        for number in (1, 2):
            assert ends.near_says([48, number, OLD_WORDS, PROCEDURE, BINARY]) == [
                [68, number, 1, OLD_WORDS, BINARY]
            ]
        assert ends.far_says([70, 1, OLD_WORDS, BINARY]) == [[50, 1, OLD_WORDS, BINARY]]
        assert ends.far_says([8, 68, 2, OLD_WORDS, "com.example.no", BINARY]) == [
            [8, 48, 2, OLD_WORDS, "com.example.no", BINARY]
        ]

    def test_goes_with_an_event(self, source: str, target: str) -> None:
        ends = Ends(source, target)
        subscription = ends.far.subscribe(TOPIC)
        ((code, told, _publication, details, payload),) = ends.near_says([16, 1, OLD_WORDS, TOPIC, BINARY])
        assert (code, told, details, payload) == (36, subscription, OLD_WORDS, BINARY)

    def test_of_ordinary_arguments_is_passed_on_too(self, source: str, target: str) -> None:
        ends = Ends(source, target)
        ends.far.register(PROCEDURE)
        assert ends.near_says([48, 1, OLD_WORDS, PROCEDURE, [BINARY.hex()]]) == [
            [68, 1, 1, OLD_WORDS, [BINARY.hex()]]
        ]


class TestOlderFormInTheRouter:
    def test_needs_no_announcement(self, bench: Bench) -> None:
        """Each client announces it under other names."""
        callee, caller = bench.join(), bench.join()
        callee.register(PROCEDURE)
        caller.says(call(7, PROCEDURE, BarePayload(BINARY), **OLD_WORDS))
        assert callee.hears() == [invocation(1, 1, BarePayload(BINARY), **OLD_WORDS)]
        callee.says(yield_(1, BarePayload(BINARY), **OLD_WORDS))
        assert caller.hears() == [result(7, BarePayload(BINARY), **OLD_WORDS)]

    def test_is_no_argument_of_the_routers_own_procedures(self, bench: Bench) -> None:
        caller = bench.join()
        (answer,) = caller.says(call(7, "wamp.session.get", BarePayload(BINARY), **OLD_WORDS))
        assert isinstance(answer, Error)
        assert answer.error == "wamp.error.invalid_argument"

    def test_is_kept_for_the_next_callee(self, bench: Bench) -> None:
        first, second, caller = bench.join(features=ALL), bench.join(), bench.join()
        for pair in (first, second):
            pair.register(PROCEDURE, invoke="first")
        caller.says(call(7, PROCEDURE, BarePayload(BINARY), **OLD_WORDS))
        first.says(unavailable(1))
        assert second.hears() == [invocation(1, 1, BarePayload(BINARY), **OLD_WORDS)]


AUTOBAHN = {"json": JsonObjectSerializer, "msgpack": MsgPackObjectSerializer, "cbor": CBORObjectSerializer}


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
def test_autobahn_reads_and_writes_the_older_form_as_we_do(name: str, bench: Bench) -> None:
    theirs, ours = AUTOBAHN[name](), serializer(name)
    callee, caller = bench.join(ours), bench.join(ours)
    callee.register(PROCEDURE)
    callee.subscribe(TOPIC)

    def says(pair: SessionPair, message: Any) -> None:
        pair.session.receive(ours.decode(theirs.serialize(message.marshal())))

    def hears(pair: SessionPair, kind: Any) -> Any:
        (elements,) = theirs.unserialize(ours.encode(pair.hears()[-1]))
        read = kind.parse(elements)
        assert (read.payload, read.enc_algo, read.enc_key, read.enc_serializer) == (
            BINARY,
            *OLD_WORDS.values(),
        )
        return read

    says(caller, words.Call(7, PROCEDURE, payload=BINARY, **OLD_WORDS))
    asked = hears(callee, words.Invocation)
    says(callee, words.Yield(asked.request, payload=BINARY, **OLD_WORDS))
    assert hears(caller, words.Result).request == 7
    says(caller, words.Publish(8, TOPIC, payload=BINARY, **OLD_WORDS))
    hears(callee, words.Event)
