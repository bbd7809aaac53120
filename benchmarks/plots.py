"""Plots of how costs grow, as SVG that fits light and dark pages."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Result, medians
from benchmarks.svg import Chart, Series

LINES = {
    "heliograph": ("Heliograph", "accent"),
    "crossbar": ("Crossbar.io", "warm"),
    "nchan": ("nchan", "cool"),
    "floor": ("C, one send() each", "muted"),
}
"""What is drawn, with its label and its colour."""


def draw(results: dict[str, Result], directory: Path) -> Iterator[Path]:
    """Draw what `results` allow into `directory`, and yield the files."""
    growth = results.get("growth", [])
    deliveries = _series(growth, "subscribers", "server_us_per_delivery")
    memory = _series(growth, "connections", "memory_mib")
    crowds = _series(results.get("patterns", []), "crowd", "server_us_per_delivery")
    charts = {
        "delivery-cost": Chart(
            "Cost of a delivery", "subscribers", "server CPU, µs a delivery", deliveries, is_log_x=True, is_log_y=True
        ),
        "idle-connections": Chart("Memory with idle subscribed connections", "connections", "MiB", memory),
        "matching": Chart(
            "Cost of an event beside subscriptions it does not concern",
            "exact subscriptions (a tenth as many patterns)", "server CPU, µs an event", crowds, is_log_x=True,
        ),
    }  # fmt: skip
    for name, chart in charts.items():
        if not chart.series:
            continue
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{name}.svg"
        path.write_text(chart.svg(), encoding="utf-8")
        yield path


def _series(result: Result, x: str, y: str) -> list[Series]:
    """Return a line for each peer with the points of the cases that have both figures."""
    found = []
    shown = medians(result)
    for name, (title, colour) in LINES.items():
        cases = shown.get(name, {})
        points = sorted(
            (figures[x], figures[y]) for figures in cases.values() if x in figures and y in figures
        )
        if len(points) > 1:
            found.append(Series(title, colour, points))
    return found
