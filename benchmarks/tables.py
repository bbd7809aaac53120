"""Tables of what was measured, in Markdown."""

from collections.abc import Sequence
from typing import Any

from benchmarks.figures import Result, Round, medians, over
from benchmarks.peers import PEERS

Column = tuple[str, str, str]
"""Head, the figure's key, format specification."""

LATENCY: Sequence[Column] = (("p50 ms", "p50_ms", ".2f"), ("p99 ms", "p99_ms", ".2f"))
LOAD: Sequence[Column] = (
    ("server CPU", "server_cpu_share", ".0%"),
    ("load CPU", "load_cpu_share", ".0%"),
    ("lost", "lost", ",.0f"),
)


def markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def comparison(result: Result, label: str, columns: Sequence[Column], compared: Sequence[str]) -> str:
    """Return a table with a row for each case and peer: medians, and ratios within a round with their spread.

    Args:
        result: what was measured.
        label: the first column's head.
        columns: what is shown.
        compared: keys of figures behind which Heliograph's ratio to the peer stands.
    """
    head = [label]
    for title, key, _ in columns:
        head += [title, "ours"] if key in compared else [title]
    shown = medians(result)
    rows = []
    for case in dict.fromkeys(case for cases in shown.values() for case in cases):
        for name, cases in shown.items():
            if case not in cases:
                continue
            row = [f"{case}: {PEERS[name].title()}" if case else PEERS[name].title()]
            for _, key, form in columns:
                row.append(format(cases[case][key], form) if key in cases[case] else "-")
                if key in compared:
                    row.append(_ours(result, name, case, key))
            rows.append(row)
    return markdown(head, rows)


def _ours(result: Result, peer: str, case: str, key: str) -> str:
    """Return how many times the peer's figure goes into Heliograph's."""

    def ratio(measured: Round) -> float:
        return measured["heliograph"][case][key] / measured[peer][case][key]

    found = over(result, ratio)
    return f"{found.text('{:.2f}'.format)} x" if found else "-"
