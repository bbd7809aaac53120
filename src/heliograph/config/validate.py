"""Plain values to option structs, collecting every problem.

msgspec stops at the first error; this walks the same types (`msgspec.inspect`), so there is no second schema.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final, TypeVar, cast, get_origin

import msgspec
from msgspec import inspect

from heliograph.config.crossbar import (
    UNCHECKED,
    Accepted,
    ForeignKey,
    Ignored,
    Never,
    NotYet,
    Renamed,
    foreign_keys,
    foreign_types,
)
from heliograph.config.descriptions import field_descriptions
from heliograph.config.leaves import expectation, fits, hint, is_allowed, kind_of, nearest, one_of, plural
from heliograph.config.problems import Path, Problem, Severity, error, quote, warning

StructT = TypeVar("StructT", bound=msgspec.Struct)

# Never shown in a message, even when they are wrong.
SECRET_KEYS = frozenset({"key", "secret", "ticket", "password", "token", "stored-key", "server-key"})


class _Invalid:
    """Stands for a value that could not be read; the reason is among the problems."""


_INVALID: Final = _Invalid()


def validate(struct: type[StructT], value: object) -> tuple[StructT | None, "Reader"]:
    """Read a plain value as a struct.

    Arguments:
        struct: the type of the whole
        value: dicts, lists, strings, numbers, booleans, None

    Returns: the struct, or None when something in it is wrong; and the reader, which holds the problems and every
    part that could be read.
    """
    reader = Reader()
    result = reader.read(_type_of(struct), value, ())
    return (None if result is _INVALID else cast(StructT, result)), reader


@cache
def _type_of(struct: type) -> inspect.Type:
    return inspect.type_info(struct)


class Reader:
    """Walks types and values side by side.

    Attributes:
        problems: what is wrong, in the order of the walk
        found: each struct that could be read, with its path, inner ones first
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.found: list[tuple[Path, msgspec.Struct]] = []

    def read(self, kind: inspect.Type, value: object, path: Path) -> object:
        """Read one value; adds to `problems` and returns a mark when it is wrong."""
        described, kind = kind, kind.type if isinstance(kind, inspect.Metadata) else kind
        if isinstance(kind, inspect.UnionType):
            return self._read_union(kind, value, path)
        if isinstance(kind, inspect.StructType):
            return self._read_tagged((kind,), value, path)
        if isinstance(kind, inspect.DictType):
            return self._read_dict(kind, value, path)
        if isinstance(
            kind, inspect.ListType | inspect.VarTupleType | inspect.SetType | inspect.FrozenSetType
        ):
            return self._read_list(kind, value, path)
        if isinstance(kind, inspect.AnyType):
            return value
        return self._read_leaf(kind, value, path, expectation(described))

    def _fail(self, path: Path, message: str) -> _Invalid:
        self.problems.append(error(path, message))
        return _INVALID

    # --- unions and structs -----------------------------------------------------------------------------------

    def _read_union(self, union: inspect.UnionType, value: object, path: Path) -> object:
        if isinstance(value, dict):
            structs = tuple(kind for kind in union.types if isinstance(kind, inspect.StructType))
            if structs:
                return self._read_tagged(structs, value, path)
        fitting = [kind for kind in union.types if fits(kind, value)]
        if fitting:
            return self.read(fitting[0], value, path)
        expected = " or ".join(expectation(kind) for kind in union.types)
        return self._fail(path, f"expected {expected}, got {kind_of(value)}{hint(union.types, value)}")

    def _read_tagged(self, structs: tuple[inspect.StructType, ...], value: object, path: Path) -> object:
        if not isinstance(value, dict):
            return self._fail(path, f"expected an object, got {kind_of(value)}")
        tag_field = structs[0].tag_field
        if tag_field is None:
            return self._read_struct(structs[0], value, path)
        by_tag = {str(kind.tag): kind for kind in structs}
        foreign = foreign_types(tuple(_class_of(kind) for kind in structs))
        if tag_field not in value:
            return self._fail((*path, tag_field), f"missing: write {one_of(sorted(by_tag))}")
        tag = value[tag_field]
        if isinstance(tag, str) and tag in by_tag:
            return self._read_struct(by_tag[tag], value, path)
        if isinstance(tag, str) and tag in foreign:
            return self._fail((*path, tag_field), _foreign_type_message(tag, foreign[tag]))
        near = nearest(tag, [*by_tag, *foreign]) or f"; known: {one_of(sorted(by_tag))}"
        return self._fail((*path, tag_field), f"no such type {quote(tag)}{near}")

    def _read_struct(self, kind: inspect.StructType, value: dict[str, object], path: Path) -> object:
        cls = _class_of(kind)
        foreign = foreign_keys(cls)
        by_key = {field.encode_name: field for field in kind.fields if field.encode_name not in foreign}
        by_name = {field.name: field for field in kind.fields}
        values: dict[str, object] = {}
        given: dict[str, str] = {}
        for key, item in value.items():
            where = (*path, key)
            if key in by_key:
                name = by_key[key].name
                values[name] = self.read(by_key[key].type, item, where)
            elif isinstance(renamed := foreign.get(key), Renamed):
                name = renamed.field
                values[name] = self._read_renamed(renamed, by_name[name].type, item, where)
            else:
                if key in foreign:
                    self._report_foreign(foreign[key], item, where)
                elif key != kind.tag_field:
                    self._report_unknown(cls, [*by_key, *foreign], where)
                continue
            if name in given:
                self._fail(
                    where, f"says the same as {quote(given[name])}, which is there too: keep one of them"
                )
            given[name] = key
        for field in kind.fields:
            if field.required and field.name not in given:
                values[field.name] = self._missing(cls, field, path)
        return self._build(cls, values, path)

    def _build(self, cls: type[msgspec.Struct], values: dict[str, object], path: Path) -> object:
        if any(item is _INVALID for item in values.values()):
            return _INVALID
        try:
            struct = cls(**values)
        except (ValueError, TypeError) as problem:  # from the struct's own __post_init__
            return self._fail(path, str(problem))
        self.found.append((path, struct))
        return struct

    def _missing(self, cls: type, field: inspect.Field, path: Path) -> _Invalid:
        description = field_descriptions(cls).get(field.name)
        return self._fail((*path, field.encode_name), f"missing: {description or expectation(field.type)}")

    # --- keys that are not ours -------------------------------------------------------------------------------

    def _report_unknown(self, cls: type, known: Sequence[str], path: Path) -> None:
        near = nearest(path[-1], known) or f"; known here: {', '.join(sorted(known))}"
        if cls in UNCHECKED:
            self.problems.append(warning(path, f"unknown key, ignored{near}"))
        else:
            self._fail(path, f"unknown key{near}")

    def _report_foreign(self, foreign: ForeignKey, value: object, path: Path) -> None:
        if isinstance(foreign, Accepted | Renamed):
            return
        if not isinstance(foreign, Never) and any(_same(value, item) for item in foreign.harmless):
            return
        if isinstance(foreign, Ignored):
            self.problems.append(warning(path, f"ignored: {foreign.why}"))
        elif isinstance(foreign, Never):
            self._report(foreign.severity, path, f"not supported, and not planned: {foreign.what}")
        else:
            ignored = ", ignored" if foreign.severity == "warning" else ""
            self._report(foreign.severity, path, f"known, not supported yet{ignored}: {foreign.consequence}")

    def _report(self, severity: Severity, path: Path, message: str) -> None:
        self.problems.append(error(path, message) if severity == "error" else warning(path, message))

    def _read_renamed(self, renamed: Renamed, kind: inspect.Type, value: object, path: Path) -> object:
        if value is None or _same(value, 0) or _same(value, 0.0):
            if renamed.said is not None:
                self.problems.append(warning(path, renamed.said))
            return renamed.off
        if not renamed.in_milliseconds:
            return self.read(kind, value, path)
        milliseconds = self.read(_in_milliseconds(kind), value, path)
        return milliseconds / 1000 if isinstance(milliseconds, float) else milliseconds

    # --- containers -------------------------------------------------------------------------------------------

    def _read_dict(self, kind: inspect.DictType, value: object, path: Path) -> object:
        if not isinstance(value, dict):
            return self._fail(path, f"expected an object, got {kind_of(value)}")
        keys = [self.read(kind.key_type, key, (*path, key)) for key in value]
        items = [self.read(kind.value_type, item, (*path, key)) for key, item in value.items()]
        return _all_or_none(dict(zip(value, items, strict=True)), [*keys, *items])

    def _read_list(
        self,
        kind: inspect.ListType | inspect.VarTupleType | inspect.SetType | inspect.FrozenSetType,
        value: object,
        path: Path,
    ) -> object:
        if not isinstance(value, list):
            return self._fail(path, f"expected a list, got {kind_of(value)}{hint([kind], value)}")
        if len(value) < (kind.min_length or 0):
            return self._fail(path, f"needs at least {kind.min_length} {plural('item', kind.min_length)}")
        if kind.max_length is not None and len(value) > kind.max_length:
            return self._fail(path, f"takes at most {kind.max_length} {plural('item', kind.max_length)}")
        items = [self.read(kind.item_type, item, (*path, index)) for index, item in enumerate(value)]
        if _all_or_none(items, items) is _INVALID:
            return _INVALID
        if isinstance(kind, inspect.VarTupleType):
            return tuple(items)
        if isinstance(kind, inspect.SetType):
            return set(items)
        return frozenset(items) if isinstance(kind, inspect.FrozenSetType) else items

    # --- leaves -----------------------------------------------------------------------------------------------

    def _read_leaf(self, kind: inspect.Type, value: object, path: Path, expected: str) -> object:
        if not fits(kind, value):
            return self._fail(path, f"expected {expected}, got {kind_of(value)}{hint([kind], value)}")
        if isinstance(kind, inspect.LiteralType):
            return self._read_choice(kind.values, value, path)
        if not is_allowed(kind, value):
            return self._fail(path, f"expected {expected}, got {self._shown(path, value)}")
        return float(cast(float, value)) if isinstance(kind, inspect.FloatType) else value

    def _read_choice(self, choices: Sequence[bool | str | int | None], value: object, path: Path) -> object:
        for choice in choices:
            if _same(choice, value):
                return choice
        near = nearest(value, [str(choice) for choice in choices])
        return self._fail(path, f"expected {one_of(choices)}, got {self._shown(path, value)}{near}")

    def _shown(self, path: Path, value: object) -> str:
        return "something else" if path and path[-1] in SECRET_KEYS else quote(value)


def _class_of(kind: inspect.StructType) -> type[msgspec.Struct]:
    return cast(type[msgspec.Struct], get_origin(kind.cls) or kind.cls)


def _in_milliseconds(kind: inspect.Type) -> inspect.Type:
    """The type in which Crossbar.io gives a field that is in seconds here."""
    members = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    seconds = next(member for member in members if isinstance(member, inspect.FloatType))
    low, high = seconds.ge, seconds.le
    milliseconds = inspect.FloatType(
        ge=None if low is None else low * 1000, le=None if high is None else high * 1000
    )
    description = expectation(milliseconds).replace("a number", "milliseconds")
    return inspect.Metadata(milliseconds, extra_json_schema={"description": description})


def _all_or_none(whole: object, parts: Iterable[object]) -> object:
    return _INVALID if any(part is _INVALID for part in parts) else whole


def _foreign_type_message(tag: str, foreign: NotYet | Never) -> str:
    if isinstance(foreign, NotYet):
        return f"{quote(tag)} is known, not supported yet: {foreign.consequence}"
    return f"{quote(tag)} is not supported, and not planned: {foreign.what}"


def _same(value: object, other: object) -> bool:
    return type(value) is type(other) and value == other
