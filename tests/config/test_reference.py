"""The reference and the tables of Crossbar.io's keys agree with the option structs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import inspect

from heliograph.config.crossbar import Renamed, foreign_keys
from heliograph.config.descriptions import field_descriptions, summary
from heliograph.config.options import NodeOptions
from heliograph.config.reference import main, reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def _structs(kind: inspect.Type) -> Iterator[inspect.StructType]:
    if isinstance(kind, inspect.Metadata):
        yield from _structs(kind.type)
    elif isinstance(kind, inspect.ListType | inspect.VarTupleType):
        yield from _structs(kind.item_type)
    elif isinstance(kind, inspect.DictType):
        yield from _structs(kind.value_type)
    elif isinstance(kind, inspect.UnionType):
        for member in kind.types:
            yield from _structs(member)
    elif isinstance(kind, inspect.StructType):
        yield kind
        for field in kind.fields:
            yield from _structs(field.type)


STRUCTS = {str(struct.cls): struct for struct in _structs(inspect.type_info(NodeOptions))}


def _class(struct: inspect.StructType) -> type:
    return getattr(struct.cls, "__origin__", struct.cls)


def test_the_page_in_the_repository_is_what_the_program_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m heliograph.config.reference docs/reference/configuration.md"
    )


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "page.md")]) == 0
    assert main([]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == capsys.readouterr().out


@pytest.mark.parametrize("name", STRUCTS)
def test_every_key_is_described(name: str) -> None:
    struct = STRUCTS[name]
    descriptions = field_descriptions(_class(struct))

    assert summary(_class(struct))
    assert {field.name for field in struct.fields} <= set(descriptions)


@pytest.mark.parametrize("name", STRUCTS)
def test_a_renamed_key_leads_to_a_field_of_its_struct(name: str) -> None:
    struct = STRUCTS[name]
    renamed = {known.field for known in foreign_keys(_class(struct)).values() if isinstance(known, Renamed)}

    assert renamed <= {field.name for field in struct.fields}
