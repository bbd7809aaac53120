"""The specification's matrix: its tests exist, and what it says to work is what the router announces and offers."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from heliograph.routing.router import BROKER_FEATURES, DEALER_FEATURES
from heliograph.wamp import codes
from tests.support.recording import Bench

ROOT = Path(__file__).resolve().parents[2]
MATRIX = ROOT / "docs" / "spec-matrix.md"
STATUSES = ("works", "later issue", "not planned")
NODE = re.compile(r"`([\w/]+\.py)::([\w:]+)`")
GIVEN_BY_HYPOTHESIS = "runTest"
"""The only test of a state machine's `TestCase`."""


class Row(NamedTuple):
    subject: str
    flags: tuple[str, ...]
    status: str
    decision: str
    tests: str


def _rows() -> list[Row]:
    rows = []
    for line in MATRIX.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("| ") else []
        if cells and cells[0] != "subject":
            assert len(cells) == 5, line
            subject, flags, status, decision, tests = cells
            rows.append(Row(subject, tuple(re.findall(r"`([\w.]+)`", flags)), status, decision, tests))
    return rows


ROWS = _rows()


def _tests_of(file: Path) -> set[str]:
    """Return what a file holds, as the last parts of node ids; state machines' test cases among them."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}::{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        elif isinstance(node, ast.Assign) and ast.unparse(node.value).endswith(".TestCase"):
            names |= {f"{ast.unparse(target)}::{GIVEN_BY_HYPOTHESIS}" for target in node.targets}
    return names


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.subject)
def test_a_row_that_works_names_tests_that_exist_and_any_other_its_reason(row: Row) -> None:
    assert row.status in STATUSES
    named = NODE.findall(row.tests)
    assert "<br>".join(f"`{file}::{name}`" for file, name in named) == row.tests
    assert named if row.status == "works" else row.decision
    missing = [name for file, name in named if name not in _tests_of(ROOT / "tests" / file)]
    assert missing == []


def test_the_features_that_work_are_those_that_are_announced() -> None:
    announced = {f"broker.{name}" for name in BROKER_FEATURES} | {
        f"dealer.{name}" for name in DEALER_FEATURES
    }
    flagged = [flag for row in ROWS if row.status == "works" for flag in row.flags]
    assert sorted(flagged) == sorted(announced)


def test_no_row_that_does_not_work_has_a_flag() -> None:
    assert [row.subject for row in ROWS if row.flags and row.status != "works"] == []


def test_every_procedure_of_the_router_has_a_row_that_works() -> None:
    working = {
        name for row in ROWS if row.status == "works" for name in re.findall(r"`([\w.]+)`", row.subject)
    }
    assert Bench().realm.dealer.meta.names - working == set()
    events = {name for name in working if ".on_" in name}
    assert len(events) == 10


def test_every_message_has_a_row() -> None:
    named = {name for row in ROWS for name in re.findall(r"\b([A-Z]+) \(\d+\)", row.subject)}
    assert {name for name in vars(codes) if name.isupper()} <= named
