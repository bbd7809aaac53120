"""Single values against their types: what fits, and how to say what does not."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import inspect

from heliograph.config.problems import quote

_PLAIN_TYPES: tuple[tuple[Any, Any], ...] = (
    (inspect.NoneType, type(None)),
    (inspect.BoolType, bool),
    (inspect.IntType, int),
    (inspect.FloatType, (int, float)),
    (inspect.StrType, str),
    ((inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType), list),
    ((inspect.DictType, inspect.StructType), dict),
    (inspect.AnyType, object),
)


def fits(kind: inspect.Type, value: object) -> bool:
    """Whether a value is of the right JSON kind, whatever the bounds."""
    if isinstance(kind, inspect.Metadata):
        return fits(kind.type, value)
    if isinstance(kind, inspect.LiteralType):
        return any(type(choice) is type(value) for choice in kind.values)
    for types, plain in _PLAIN_TYPES:
        if isinstance(kind, types):
            numeric = isinstance(kind, inspect.IntType | inspect.FloatType)
            return isinstance(value, plain) and not (numeric and isinstance(value, bool))
    raise TypeError(f"option structs must not use {type(kind).__name__}: nothing here reads it")


def is_allowed(kind: inspect.Type, value: Any) -> bool:
    """Whether a value that fits keeps the bounds of its type."""
    if isinstance(kind, inspect.FloatType):
        try:
            value = float(value)
        except OverflowError:
            return False
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return not (
            (kind.ge is not None and value < kind.ge)
            or (kind.gt is not None and value <= kind.gt)
            or (kind.le is not None and value > kind.le)
            or (kind.lt is not None and value >= kind.lt)
            or (kind.multiple_of is not None and value % kind.multiple_of != 0)
        )
    if isinstance(kind, inspect.StrType):
        return (
            (kind.min_length or 0) <= len(value)
            and (kind.max_length is None or len(value) <= kind.max_length)
            and (kind.pattern is None or re.search(kind.pattern, value) is not None)
        )
    return True


def expectation(kind: inspect.Type) -> str:
    """Say what a type takes: `a whole number from 0 to 65535`."""
    if isinstance(kind, inspect.Metadata):
        return (kind.extra_json_schema or {}).get("description") or expectation(kind.type)
    if isinstance(kind, inspect.UnionType):
        return " or ".join(expectation(member) for member in kind.types)
    if isinstance(kind, inspect.LiteralType):
        return one_of(kind.values)
    if isinstance(kind, inspect.IntType):
        return f"a whole number{_bounds(kind)}"
    if isinstance(kind, inspect.FloatType):
        return f"a number{_bounds(kind)}"
    if isinstance(kind, inspect.StrType):
        return _text(kind)
    return _SIMPLE.get(type(kind), "a value")


_SIMPLE: dict[type[inspect.Type], str] = {
    inspect.NoneType: "null",
    inspect.BoolType: "true or false",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
    inspect.SetType: "a list",
    inspect.FrozenSetType: "a list",
    inspect.DictType: "an object",
    inspect.StructType: "an object",
}


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    low, high = kind.ge, kind.le
    words = ""
    if kind.gt is not None:
        words += f" above {number(kind.gt)}"
    if low is not None and high is not None:
        words += f" from {number(low)} to {number(high)}"
    elif low is not None:
        words += f" of at least {number(low)}"
    elif high is not None:
        words += f" of at most {number(high)}" if not words else f" up to {number(high)}"
    if kind.lt is not None:
        words += f" below {number(kind.lt)}"
    return words


def number(value: float) -> str:
    """Write a number without a needless `.0`."""
    return str(int(value)) if value == int(value) else str(value)


def _text(kind: inspect.StrType) -> str:
    if kind.pattern is not None:
        return f"text like {kind.pattern.removesuffix(chr(92) + 'Z').removeprefix('^')}"
    if kind.max_length is not None:
        return f"text of {kind.min_length or 0} to {kind.max_length} characters"
    return "text that is not empty" if kind.min_length else "text"


def kind_of(value: object) -> str:
    """Say what a plain value is, without showing it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def hint(kinds: Iterable[inspect.Type], value: object) -> str:
    """Say how to mend a value of the wrong kind, when that can be guessed."""
    plain = [kind.type if isinstance(kind, inspect.Metadata) else kind for kind in kinds]
    if isinstance(value, str):
        wants_number = any(isinstance(kind, inspect.IntType | inspect.FloatType) for kind in plain)
        if wants_number and re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", value):
            return ": write it without quotes"
        if any(isinstance(kind, inspect.BoolType) for kind in plain) and value.lower() in _BOOLEAN_WORDS:
            return f": write {_BOOLEAN_WORDS[value.lower()]} without quotes"
    listed = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)
    if isinstance(value, str | int | float | dict) and any(isinstance(kind, listed) for kind in plain):
        return ": put it in [ ]"
    if isinstance(value, int | float) and any(isinstance(kind, inspect.StrType) for kind in plain):
        return ": put it in quotes"
    return ""


_BOOLEAN_WORDS = {
    "true": "true",
    "yes": "true",
    "on": "true",
    "false": "false",
    "no": "false",
    "off": "false",
}


def one_of(choices: Iterable[bool | str | int | None]) -> str:
    """List what may be written: `"exact", "prefix" or "wildcard"`."""
    shown = [quote(choice) for choice in choices]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def nearest(given: object, known: Sequence[str]) -> str:
    """Name the known word a misspelt one was probably meant to be, as the end of a sentence."""
    if not isinstance(given, str):
        return ""
    folded = {word.lower(): word for word in reversed(known)}
    near = difflib.get_close_matches(given.lower()[:100], folded, n=1, cutoff=0.6)
    return f"; did you mean {quote(folded[near[0]])}?" if near else ""


def plural(word: str, count: int | None) -> str:
    return word if count == 1 else f"{word}s"
