"""Figures of rounds: their medians, and ratios that are taken within a round."""

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

Measurement = dict[str, float]
Cases = dict[str, Measurement]
Round = dict[str, Cases]
"""Peer → case → figures."""

Result = list[Round]
"""What was measured in each round; a peer is missing where it failed."""

AT_LIMIT = 0.9
"""Share of a core from which on a server was at its limit; below, the load generator or the machine was."""


class Spread(NamedTuple):
    """A figure of several rounds.

    Attributes:
        median: of all.
        least: of all.
        most: of all.
    """

    median: float
    least: float
    most: float

    def text(self, form: Callable[[float], str]) -> str:
        """Return the median, with the least and the most behind it where they look different."""
        texts = [form(value) for value in self]
        return texts[0] if texts[1] == texts[2] else f"{texts[0]} ({texts[1]}–{texts[2]})"


def spread(values: Sequence[float]) -> Spread:
    """Return what `values`, one a round, come to."""
    return Spread(statistics.median(values), min(values), max(values))


def over(result: Result, value: Callable[[Round], float]) -> Spread | None:
    """Return what `value` comes to over the rounds; None where no round has it.

    The machine's speed changes from minute to minute: a ratio within a round is of figures that are near each other in
    time, so the median of ratios is sturdier than the ratio of medians.

    Args:
        result: the rounds.
        value: raises `KeyError` or `ZeroDivisionError` where figures are missing.
    """
    values = []
    for measured in result:
        try:
            values.append(value(measured))
        except (KeyError, ZeroDivisionError):
            continue
    return spread(values) if values else None


def medians(result: Result) -> Round:
    """Return the medians of each peer's cases, over the rounds that have them."""
    collected: dict[str, dict[str, list[Measurement]]] = {}
    for measured in result:
        for name, cases in measured.items():
            for case, figures in cases.items():
                collected.setdefault(name, {}).setdefault(case, []).append(figures)
    return {
        name: {case: median(measurements) for case, measurements in cases.items()}
        for name, cases in collected.items()
    }


def median(measurements: Sequence[Measurement]) -> Measurement:
    """Return the median of each figure, over the measurements that have it."""
    keys = dict.fromkeys(key for figures in measurements for key in figures)
    return {
        key: statistics.median(figures[key] for figures in measurements if key in figures) for key in keys
    }


def is_at_limit(figures: Measurement) -> bool:
    """Whether the server used up its core, so that its rate is what it can do."""
    return figures["server_cpu_share"] >= AT_LIMIT


def rate_at_limit(figures: Measurement, key: str) -> float:
    """Return the rate `key` where the server was at its limit, and else what its CPU an event comes to."""
    return figures[key] if is_at_limit(figures) else figures[key] / figures["server_cpu_share"]
