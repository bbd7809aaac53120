"""The client's reference is what its docstrings say, and they say something about everything."""

import inspect
from pathlib import Path

import pytest

from heliograph import client
from heliograph.client import blocking
from tools.client_reference import SECTIONS, main, reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "client.md"


def test_the_page_in_the_repository_is_what_the_program_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python tools/client_reference.py docs/reference/client.md"
    )


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "page.md")]) == 0
    assert main([]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == capsys.readouterr().out


def test_everything_that_is_offered_has_its_entry() -> None:
    entries = {line.removeprefix("### ") for line in reference().splitlines() if line.startswith("### ")}
    assert entries == set(client.__all__) | {f"blocking.{name}" for name in blocking.__all__}
    assert {name for names in SECTIONS.values() for name in names} <= set(client.__all__)


@pytest.mark.parametrize("name", client.__all__)
def test_everything_that_is_offered_is_described(name: str) -> None:
    found = getattr(client, name)
    assert found.__doc__
    if inspect.isclass(found):
        undescribed = [
            each
            for each, member in inspect.getmembers(found)
            if not each.startswith("_") and inspect.isfunction(member) and not member.__doc__
        ]
        assert undescribed == []
