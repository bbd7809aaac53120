"""Single messages of the specification's vectors, in our three serializers, and what must be refused of them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import structs, to_builtins

from heliograph.wamp.errors import ProtocolViolation
from heliograph.wamp.messages import Message, code_of
from heliograph.wamp.payload import BarePayload
from heliograph.wire.serializers import SERIALIZER_NAMES, serializer
from tests.vectors.conftest import Sample, samples

ODDITIES: Mapping[str, str] = {
    "eventreceived-1": "EVENT_RECEIVED (337) is in the vectors only, not in the specification's text",
    "event-3": "forward_for is Crossbar.io's: an unknown key of details, which is dropped",
    "event-4": "forward_for is Crossbar.io's: an unknown key of details, which is dropped",
    "publish-3": "forward_for is Crossbar.io's: an unknown key of options, which is dropped",
    "publish-4": "forward_for is Crossbar.io's: an unknown key of options, which is dropped",
    "publish-36": "transaction_hash is Crossbar.io's: an unknown key of options, which is ignored",
    "event-17": "transaction_hash is Crossbar.io's: an unknown key of details, which is ignored",
    "event-19": "x_acknowledged_delivery is Crossbar.io's: an unknown key of details, which is ignored",
    "publish-39": "forward_for is Crossbar.io's: an unknown key of options, which is ignored",
    "event-22": "forward_for is Crossbar.io's: an unknown key of details, which is ignored",
    "subscribe-12": "forward_for is Crossbar.io's: an unknown key of options, which is ignored",
    "publish-40": "writes the packed payload as hexadecimal text, where it is binary on the wire",
    "publish-42": "writes the packed payload as hexadecimal text, where it is binary on the wire",
    "event-23": "writes the packed payload as hexadecimal text, where it is binary on the wire",
    "event-25": "writes the packed payload as hexadecimal text, where it is binary on the wire",
}
"""Samples that we answer otherwise, each with its reason."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "request": ("request_id",),
    "session": ("session_id",),
    "subscription": ("subscription", "subscription_id"),
    "publication": ("publication", "publication_id"),
    "registration": ("registration_id",),
    "details": ("details", "roles"),
}
"""Field of our messages to what the vectors call it; where there is nothing here they call it the same."""

ALL = list(samples())


def _parameters(chosen: list[Sample]) -> list[Any]:
    return [
        pytest.param(
            sample.data,
            id=sample.id,
            marks=[pytest.mark.xfail(reason=ODDITIES[sample.id], strict=True)]
            if sample.id in ODDITIES
            else [],
        )
        for sample in chosen
    ] or [pytest.param({}, id="absent")]


SERIALIZED = _parameters([sample for sample in ALL if "serializers" in sample.data])
VALIDATED = _parameters([sample for sample in ALL if "wmsg" in sample.data])


def _attributes(message: Message) -> dict[str, Any]:
    """Return what `message` says, under the names of our fields."""
    said = {"message_type": code_of(type(message))}
    for name, value in structs.asdict(message).items():
        if name != "payload":
            said[name] = to_builtins(value)
        elif isinstance(value, BarePayload):
            said |= {"args": None, "kwargs": None, "payload": value.data.hex()}
        else:
            args, kwargs = value.decoded()
            said |= {"args": args or None, "kwargs": kwargs or None, "payload": None}
    return said


def _assert_says(message: Message, expected: Mapping[str, Any]) -> None:
    said = _attributes(message)
    known = {name: name for name in said}
    known.update({other: name for name, others in NAMES.items() if name in said for other in others})
    assert set(expected) <= set(known), "an attribute without a field"
    for name, value in expected.items():
        ours = said[known[name]]
        assert (ours["roles"] if name == "roles" else ours) == value, name


def _normal(name: str, data: bytes) -> Any:
    """Return `data` without what JSON leaves to the writer's taste: blanks and escapes; the order of keys counts."""
    return json.dumps(json.loads(data)).encode() if name == "json" else data


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
@pytest.mark.parametrize("sample", SERIALIZED)
def test_a_message_is_read_as_the_specification_says_and_written_as_it_was(
    name: str, sample: dict[str, Any]
) -> None:
    codec = serializer(name)
    variants = [bytes.fromhex(variant["bytes_hex"]) for variant in sample["serializers"][name]]
    for variant in variants:
        message = codec.decode(variant)
        _assert_says(message, sample["expected_attributes"])
        assert _normal(name, codec.encode(message)) in {_normal(name, other) for other in variants}


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
@pytest.mark.parametrize("sample", SERIALIZED)
def test_a_message_read_in_one_format_is_written_in_the_others_as_the_specification_says(
    name: str, sample: dict[str, Any]
) -> None:
    message = serializer(name).decode(bytes.fromhex(sample["serializers"][name][0]["bytes_hex"]))
    for other in SERIALIZER_NAMES:
        variants = {
            _normal(other, bytes.fromhex(variant["bytes_hex"])) for variant in sample["serializers"][other]
        }
        assert _normal(other, serializer(other).encode(message)) in variants


@pytest.mark.parametrize("name", SERIALIZER_NAMES)
@pytest.mark.parametrize("sample", VALIDATED)
def test_options_and_details_are_accepted_or_refused_as_the_specification_says(
    name: str, sample: dict[str, Any]
) -> None:
    written = serializer(name).encode_value(sample["wmsg"])
    error = sample.get("expected_error")
    if error is None:
        message = serializer(name).decode(written)
        said = to_builtins(getattr(message, "options", None) or getattr(message, "details", None))
        # A default may be left out; whatever is said is what was sent.
        for key, value in said.items():
            assert sample["wmsg"][-2 if isinstance(sample["wmsg"][-1], list) else 2][key] == value
    else:
        assert error["type"] == "protocol_violation"
        with pytest.raises(ProtocolViolation) as caught:
            serializer(name).decode(written)
        assert error["contains"] in caught.value.message


def test_all_vectors_are_there() -> None:
    """A loader that finds nothing would pass; the counts are those of the specification's repository."""
    refused = [sample for sample in ALL if "expected_error" in sample.data]
    assert (len(SERIALIZED), len(VALIDATED), len(refused)) == (35, 67, 28)
    assert set(ODDITIES) <= {sample.id for sample in ALL}
