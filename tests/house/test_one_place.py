"""Rules that hold everywhere because one place keeps them: nobody goes round it."""

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "heliograph"

RULES = {
    "a Python child is started by one function": (r"\bsys\.executable\b", {"processes/python.py"}),
    "errors are printed by one function": (
        r"\bsys\.(?:stderr|__stderr__)",
        {"logs/printing.py", "logs/setup.py", "cli.py"},  # argparse's help is ours alone
    ),
    "logging is set up in one place": (r"\bbasicConfig\b|\bStreamHandler\(", set()),
    "directories are put before Python's own in one place": (
        r"\bsys\.path(?:\[[^\]]*\])? =|\bsys\.path\.(?:append|insert|extend)\(|del sys\.path",
        {"processes/python.py", "__init__.py"},
    ),
}


@pytest.mark.parametrize(("pattern", "places"), RULES.values(), ids=RULES.keys())
def test_there_is_one_place(pattern: str, places: set[str]) -> None:
    sources = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}

    assert {name for name, source in sources.items() if re.search(pattern, source)} == places
