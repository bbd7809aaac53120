"""The part of docs/performance.md that is written by the program: targets, figures, and where they come from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import targets
from benchmarks.questions import QUESTIONS

BEGIN = "<!-- from here on written by `python -m benchmarks show --write` -->"
END = "<!-- up to here -->"

QUIET_LOAD = 3.0
"""Load average up to which nobody else was at work: the load generator, the server and a site are three."""


def fill(path: Path, records: Mapping[str, dict[str, Any]]) -> Path:
    """Put the records' figures between the marks in the document, and return its path."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    body = "\n".join(_parts(records))
    path.write_text(f"{before}{BEGIN}\n\n{body}\n{END}{after}", encoding="utf-8")
    return path


def _parts(records: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    yield from _origin(records)
    yield targets.table({question: record["rounds"] for question, record in records.items()}) + "\n"
    yield "## Every figure\n"
    for question, record in records.items():
        module = QUESTIONS[question]
        yield f"### {question}\n"
        yield f"{(module.__doc__ or '').strip()}\n"
        yield f"{module.table(record['rounds'])}\n"


def _origin(records: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Say on what machine and when it was measured, and whether somebody else was at work there."""
    machines = sorted({record["machine"] for record in records.values()})
    days = sorted({record["when"][:10] for record in records.values()})
    yield f"Measured on {', '.join(machines)}, {' to '.join(dict.fromkeys((days[0], days[-1])))}.\n"
    busiest = max(record["load_average_1_min"] for record in records.values())
    if busiest > QUIET_LOAD:
        yield (
            f"**Preliminary:** others were at work on the machine meanwhile (load average up to {busiest:.0f}), "
            "which is in every figure.\n"
        )
