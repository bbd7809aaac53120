"""Hypothesis strategies for WAMP messages, made from the message structs themselves."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from heliograph.wamp.ids import MAX_ID
from heliograph.wamp.messages import MESSAGE_TYPES, Message
from heliograph.wamp.payload import Payload, PlainPayload

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

# A text that begins with NUL means binary in JSON, so JSON cannot say it as text.
PLAIN_TEXT = TEXT.filter(lambda text: not text.startswith("\0"))

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    PLAIN_TEXT,
    st.binary(max_size=20),
)

VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_TEXT, inner, max_size=4),
    max_leaves=12,
)
"""What every serializer can say."""

# Details of free form are not payload: bytes have no form in them.
DETAIL_VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), PLAIN_TEXT)

PAYLOADS = st.builds(
    PlainPayload, st.lists(VALUES, max_size=4), st.dictionaries(PLAIN_TEXT, VALUES, max_size=4)
)


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of a type that stands in a message or its details."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _within(get_args(hint)[0], get_args(hint)[1])
    if origin in (Union, types.UnionType):
        return st.one_of([of_type(member) for member in get_args(hint)])
    if origin is Literal:
        return st.sampled_from(get_args(hint))
    if origin is list:
        return st.lists(of_type(get_args(hint)[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(PLAIN_TEXT, DETAIL_VALUES, max_size=3)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        type(None): st.none(),
        bool: st.booleans(),
        int: st.integers(0, MAX_ID),
        str: TEXT,
        Payload: PAYLOADS,
    }
    if hint in simple:
        return simple[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return struct(hint)
    raise TypeError(f"no strategy for {hint}")


def _within(hint: Any, meta: msgspec.Meta) -> st.SearchStrategy[Any]:
    if hint is str:
        assert meta.pattern is not None
        return st.from_regex(meta.pattern, alphabet=st.characters(codec="ascii"))
    assert hint is int
    return st.integers(meta.ge, MAX_ID if meta.le is None else meta.le)


def struct(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Return structs with every field chosen."""
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{name: of_type(hints[name]) for name in kind.__struct_fields__})


def messages() -> st.SearchStrategy[Message]:
    """Return any message."""
    return st.one_of([struct(kind) for kind in MESSAGE_TYPES])
