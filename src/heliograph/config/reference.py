"""`python -m heliograph.config.reference [FILE]`: the reference of the configuration, from the option structs."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_origin

import msgspec
from msgspec import NODEFAULT, inspect

from heliograph.config.crossbar import (
    UNCHECKED,
    Accepted,
    ForeignKey,
    ForeignType,
    Ignored,
    NotYet,
    Renamed,
    foreign_keys,
    foreign_types,
)
from heliograph.config.descriptions import field_descriptions, summary
from heliograph.config.leaves import expectation
from heliograph.config.options import NodeOptions

HEAD = """\
# Configuration reference

A node reads `config.yaml`, `config.yml` or `config.json` in its node directory: `--cbdir`, else `$HELIOGRAPH_DIR`,
else `$CROSSBAR_DIR`, else `./.heliograph`, else `./.crossbar`, else the working directory. Relative paths start from
the node directory. `heliograph check` prints every problem with its path and exits with 1 when there is an error.

The schema is Crossbar.io's, with keys of our own. Keys in **bold** are required. How files from Crossbar.io are read,
and what is different, is in [Crossbar.io compatibility](../crossbar-compatibility.md).

This page is made from the program: `python -m heliograph.config.reference docs/reference/configuration.md`.
"""


def reference() -> str:
    """Return the whole page as Markdown."""
    sections: dict[type, str] = {}
    _collect(inspect.type_info(NodeOptions), "", sections)
    return "\n".join([HEAD, *sections.values()])


def _collect(kind: inspect.Type, place: str, sections: dict[type, str]) -> None:
    """Add a section for each struct below a type, outer ones first."""
    for place_of, struct, union in _structs(kind, place):
        cls = _class_of(struct)
        if cls in sections:
            continue
        sections[cls] = "\n".join(_section(struct, place_of, union))
        inner = f"{_named_by_type(place_of, struct)}." if place_of else ""
        for field in struct.fields:
            _collect(field.type, f"{inner}{field.encode_name}", sections)


def _named_by_type(place: str, struct: inspect.StructType) -> str:
    return place if struct.tag is None else place.replace("<name>", f"<{struct.tag}>")


def _structs(
    kind: inspect.Type, place: str
) -> Iterator[tuple[str, inspect.StructType, Sequence[inspect.StructType]]]:
    if isinstance(kind, inspect.Metadata):
        yield from _structs(kind.type, place)
    elif isinstance(kind, inspect.ListType | inspect.VarTupleType):
        yield from _structs(kind.item_type, f"{place}[]")
    elif isinstance(kind, inspect.DictType):
        yield from _structs(kind.value_type, f"{place}.<name>")
    elif isinstance(kind, inspect.UnionType):
        members = [member for member in kind.types if isinstance(member, inspect.StructType)]
        for member in sorted(members, key=lambda member: str(member.tag)):
            yield place, member, members
    elif isinstance(kind, inspect.StructType):
        yield place, kind, [kind]


def _class_of(struct: inspect.StructType) -> type[msgspec.Struct]:
    return get_origin(struct.cls) or struct.cls


def _section(struct: inspect.StructType, place: str, union: Sequence[inspect.StructType]) -> Iterator[str]:
    cls = _class_of(struct)
    foreign = foreign_keys(cls)
    tag = f', `"type": "{struct.tag}"`' if struct.tag is not None else ""
    yield f"## {f'`{place}`' if place else 'The whole file'}{tag}\n"
    yield f"{summary(cls)}\n"
    yield "| key | takes | default | |"
    yield "|---|---|---|---|"
    descriptions = field_descriptions(cls)
    for field in struct.fields:
        if not isinstance(foreign.get(field.encode_name), Renamed | None):
            continue  # in the struct for Crossbar.io's sake only
        key = f"**`{field.encode_name}`**" if field.required else f"`{field.encode_name}`"
        takes = _cell(_takes(field.type))
        yield f"| {key} | {takes} | {_default(field)} | {_cell(descriptions.get(field.name, ''))} |"
    yield ""
    yield from _foreign_table("From Crossbar.io, here", _foreign_rows(struct, foreign))
    if struct is union[0]:
        types = foreign_types(tuple(_class_of(member) for member in union))
        yield from _foreign_table("Other values of `type` Crossbar.io knows", _type_rows(types))
    if cls in UNCHECKED:
        yield "Crossbar.io checks no keys here, so an unknown one is a warning.\n"


def _foreign_table(title: str, rows: Sequence[str]) -> Iterator[str]:
    if rows:
        yield f"{title}:\n"
        yield "| | |"
        yield "|---|---|"
        yield from rows
        yield ""


def _foreign_rows(struct: inspect.StructType, foreign: Mapping[str, ForeignKey]) -> list[str]:
    own = {field.name: field.encode_name for field in struct.fields}
    rows = []
    for key, known in foreign.items():
        if isinstance(known, Renamed):
            if own[known.field] != key:
                unit = ", in milliseconds" if known.in_milliseconds else ""
                off = f"; {known.said}" if known.said else ""
                rows.append(f"| `{key}` | says `{own[known.field]}`{unit}{off} |")
        elif isinstance(known, Ignored):
            rows.append(f"| `{key}` | ignored: {_cell(known.why)} |")
        elif isinstance(known, Accepted):
            rows.append(f"| `{key}` | accepted: {_cell(known.why)} |")
        else:
            rows.append(f"| `{key}` | {_support(known)} |")
    return rows


def _type_rows(types: Mapping[str, ForeignType]) -> list[str]:
    return [f"| `{name}` | {_support(known)} |" for name, known in sorted(types.items())]


def _support(known: ForeignType) -> str:
    if isinstance(known, NotYet):
        words = f"not supported yet ({known.severity}): {known.consequence}"
    else:
        words = f"not supported, and not planned ({known.severity}): {known.what}"
    return _cell(words)


def _takes(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        return (
            f"a list of {_takes(kind.item_type)}" if not _is_struct(kind.item_type) else "a list of objects"
        )
    if isinstance(kind, inspect.Metadata) and not (kind.extra_json_schema or {}).get("description"):
        return _takes(kind.type)
    if isinstance(kind, inspect.UnionType) and all(_is_struct(member) for member in kind.types):
        return "an object"
    if isinstance(kind, inspect.UnionType):
        return " or ".join(dict.fromkeys(_takes(member) for member in kind.types))
    return expectation(kind)


def _is_struct(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.UnionType):
        return all(_is_struct(member) for member in kind.types)
    return isinstance(kind, inspect.StructType)


def _default(field: inspect.Field) -> str:
    if field.required:
        return ""
    default: Any = field.default if field.default is not NODEFAULT else _made(field)
    if default is None:
        return "none"
    if isinstance(default, msgspec.Struct):
        return "as below"
    return f"`{msgspec.json.encode(default).decode()}`"


def _made(field: inspect.Field) -> object:
    factory: Any = field.default_factory
    return factory()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: Sequence[str]) -> int:
    """Write the page to the file named, or to standard output."""
    if arguments:
        Path(arguments[0]).write_text(reference(), encoding="utf-8")
    else:
        sys.stdout.write(reference())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
