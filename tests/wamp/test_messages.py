"""Messages, ids, errors and payload: what they are without any wire."""

import re
from typing import Any

import pytest

from heliograph.wamp import codes, messages
from heliograph.wamp.errors import PayloadError, ProtocolViolation, RequestError
from heliograph.wamp.ids import MAX_ID, SequentialIds
from heliograph.wamp.messages import MESSAGE_TYPES, Message, Publish, PublishOptions, code_of
from heliograph.wamp.payload import EMPTY, EncodedPayload, Payload, PlainPayload


class Spelled:
    """A format for tests: values are Python literals, and every reading and writing is counted."""

    name = "spelled"

    def __init__(self) -> None:
        self.read = 0
        self.written = 0

    def encode_value(self, value: Any) -> bytes:
        self.written += 1
        return repr(value).encode()

    def decode_value(self, data: bytes) -> Any:
        self.read += 1
        return eval(data)


def test_there_is_a_message_for_every_code() -> None:
    named = {name: value for name, value in vars(codes).items() if name.isupper()}
    assert {kind.__name__.upper(): code_of(kind) for kind in MESSAGE_TYPES} == named
    assert len(set(named.values())) == len(named)


def test_only_a_message_has_a_code() -> None:
    with pytest.raises(TypeError, match="no message code"):
        code_of(Message)


@pytest.mark.parametrize("kind", MESSAGE_TYPES, ids=lambda kind: kind.__name__)
def test_the_docstring_is_the_shape_on_the_wire(kind: type[Message]) -> None:
    """One element for the code and one a field, a payload being two."""
    assert kind.__doc__ is not None
    shapes = re.findall(r"\[([A-Z]+(?:, [^\]]+)?)\]", kind.__doc__)
    assert shapes
    longest = max((shape.split(", ") for shape in shapes), key=len)
    assert longest[0] == kind.__name__.upper()
    fields = kind.__struct_fields__
    assert len(longest) == 1 + len(fields) + ("payload" in fields)


def test_messages_do_not_change() -> None:
    message = Publish(1, PublishOptions(), "a.b")
    with pytest.raises(AttributeError):
        message.topic = "c.d"  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize("name", [name for name in dir(messages) if name.endswith(("Options", "Details"))])
def test_every_option_may_be_absent(name: str) -> None:
    getattr(messages, name)()


# Ids


def test_sequential_ids_count_from_one_and_wrap_after_2_to_the_53() -> None:
    ids = SequentialIds()
    assert [ids.next(), ids.next(), ids.next()] == [1, 2, 3]
    ids.last = MAX_ID - 1
    assert [ids.next(), ids.next()] == [2**53, 1]


# Errors


def test_errors_carry_what_the_answer_needs() -> None:
    refusal = RequestError("wamp.error.not_authorized", "not you", kwargs={"action": "call"})
    assert (refusal.uri, refusal.arguments, refusal.keyword_arguments) == (
        "wamp.error.not_authorized",
        ("not you",),
        {"action": "call"},
    )
    violation = ProtocolViolation("no")
    assert (violation.message, violation.reason) == ("no", "wamp.error.protocol_violation")


# Payload


def test_an_encoded_payload_passes_through_its_own_format_unread() -> None:
    spelled = Spelled()
    payload = EncodedPayload(spelled, b"[1]", b"{'k': 2}")
    assert payload.encoded(spelled) == (b"[1]", b"{'k': 2}")
    assert (spelled.read, spelled.written) == (0, 0)


def test_an_encoded_payload_is_translated_for_another_format() -> None:
    source, target = Spelled(), Spelled()
    assert EncodedPayload(source, b"[1]", b"{'k':2}").encoded(target) == (b"[1]", b"{'k': 2}")
    assert EncodedPayload(source, b"[1]", b"").encoded(target) == (b"[1]", b"")
    assert (source.read, target.written) == (3, 3)


@pytest.mark.parametrize(
    ("args", "kwargs", "encoded"),
    [([], None, (b"", b"")), ([1], None, (b"[1]", b"")), ([], {"k": 1}, (b"[]", b"{'k': 1}"))],
)
def test_an_empty_part_of_a_plain_payload_is_left_out_unless_it_must_fill_a_place(
    args: list[Any], kwargs: dict[str, Any] | None, encoded: tuple[bytes, bytes]
) -> None:
    assert PlainPayload(args, kwargs).encoded(Spelled()) == encoded


def test_payloads_are_equal_by_what_they_say() -> None:
    spelled = Spelled()
    assert EncodedPayload(spelled, b"[ 1 ]", b"") == PlainPayload([1])
    assert PlainPayload([1]) == EncodedPayload(spelled, b"[1]", b"{}")
    assert EncodedPayload(spelled, b"", b"") == EMPTY
    assert PlainPayload([1]) != PlainPayload([1], {"k": 1})
    assert PlainPayload([1]) != [1]


@pytest.mark.parametrize("payload", [PlainPayload([1]), EncodedPayload(Spelled(), b"[1]", b"")])
def test_payloads_are_no_keys_and_show_what_they_hold(payload: Payload) -> None:
    with pytest.raises(TypeError):
        hash(payload)
    assert "[1]" in repr(payload)


@pytest.mark.parametrize(("args", "kwargs"), [(b"{}", b""), (b"5", b""), (b"[]", b"[]")])
def test_a_payload_that_is_no_list_and_map_is_refused(args: bytes, kwargs: bytes) -> None:
    with pytest.raises(PayloadError):
        EncodedPayload(Spelled(), args, kwargs).decoded()


def test_a_plain_payload_holds_a_list_of_its_own() -> None:
    args = [1]
    payload = PlainPayload(args)
    args.append(2)
    assert payload.decoded() == ([1], {})
