"""The benchmarks work: each question gives its figures, and what was sent has arrived. How fast is not asked here."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import document
from benchmarks.figures import Cases
from benchmarks.plots import draw
from benchmarks.questions import QUESTIONS, patterns

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None and shutil.which("gcc") is None, reason="the load generator needs a C compiler"
)

SMALL = {
    "fanout": "--subscribers 5",
    "formats": "--subscribers 5",
    "patterns": "--subscribers 5 --crowds 0 50",
    "post": "--connections 3 --topics 2 --batch 3",
    "latency": "--subscribers 3 --rate 50",
    "rpc": "",
    "connect": "--concurrency 2",
    "memory": "--connections 20",
    "startup": "",
    "publish-api": "",
    "busy-site": "--subscribers 3 --visitors 1 --stretches 1",
    "slow-reader": "--subscribers 3 --stalled-seconds 0.3 --rate 50",
    "growth": "--subscribers 2 4 --connections 5 10",
    "hostile": "--scale 0.01 --only wildcards",
}
"""Each question with options that make it short."""

KEPT_FIGURES = {
    "fanout": "server_us_per_delivery",
    "formats": "deliveries_per_s",
    "patterns": "server_us_per_delivery",
    "post": "posts_per_s",
    "latency": "delivery_p99_ms",
    "rpc": "calls_per_s",
    "connect": "connections_per_s",
    "memory": "memory_mib",
    "startup": "installed_mib",
    "publish-api": "mean_us",
    "busy-site": "p99_ms",
    "slow-reader": "most_memory_mib",
    "growth": "server_us_per_delivery",
    "hostile": "others_wait_ms",
}


def ask(question: str, results: Path) -> Cases:
    """Ask one question of Heliograph and the floor alone, and return Heliograph's figures."""
    command = [sys.executable, "-m", "benchmarks", question, "--rounds", "1", "--seconds", "0.3"]
    command += ["--peers", "heliograph", "floor", "--results", str(results), *SMALL[question].split()]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    (measured,) = json.loads((results / f"{question}.json").read_text())["rounds"]
    cases: Cases = measured["heliograph"]
    return cases


def test_every_question_has_a_short_form_here() -> None:
    assert SMALL.keys() == QUESTIONS.keys()


@pytest.mark.parametrize("question", SMALL)
def test_a_question_gives_its_figures_and_nothing_is_lost(question: str, tmp_path: Path) -> None:
    cases = ask(question, tmp_path)

    assert any(KEPT_FIGURES[question] in figures for figures in cases.values())
    for case, figures in cases.items():
        assert figures.get("lost", 0) == 0, case
        assert figures.get("received", 1) > 0, case
        assert all(value >= 0 for value in figures.values() if isinstance(value, (int, float))), case


def test_plots_are_drawn_of_what_is_there(tmp_path: Path) -> None:
    cases = {
        patterns.crowd_title(size): {"crowd": size, "server_us_per_delivery": 9.0 + size / 100}
        for size in (0, 100, 1000)
    }

    drawn = list(draw({"patterns": [{"heliograph": cases}]}, tmp_path))

    assert [path.name for path in drawn] == ["matching.svg"]
    assert drawn[0].read_text().count("<circle") == len(cases)


@pytest.mark.parametrize(("load", "is_preliminary"), [(0.9, False), (9.0, True)])
def test_the_page_gets_the_figures_between_its_marks_and_says_when_others_were_at_work(
    tmp_path: Path,
    load: float,
    is_preliminary: bool,
) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n")
    figures = {"ready_s": 0.5, "memory_mib": 30.0, "installed_mib": 40.0, "distributions": 25}
    record = {
        "machine": "a machine",
        "when": "2026-11-27T20:00:00+00:00",
        "load_average_1_min": load,
        "rounds": [{"heliograph": {"": figures}}],
    }

    document.fill(page, {"startup": record})

    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "Measured on a machine, 2026-11-27." in text
    assert "| 0.50 |" in text
    assert ("Preliminary" in text) is is_preliminary
