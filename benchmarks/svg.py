"""A line chart as SVG, by hand: a plotting library would be our largest dependency."""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 52, 56
LABEL_GAP = 16

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #57606a }
  .title { font-size: 16px; font-weight: 600; fill: #1f2328 }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round }
  .accent { stroke: #b35900; fill: #b35900 } .warm { stroke: #8250df; fill: #8250df }
  .cool { stroke: #0969da; fill: #0969da } .muted { stroke: #8c959f; fill: #8c959f }
  text.accent, text.warm, text.cool, text.muted { stroke: none; font-weight: 600 }
  path.line { fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 } .title { fill: #f0f6fc } .grid { stroke: #3d444d }
    .accent { stroke: #f0883e; fill: #f0883e } .warm { stroke: #ab7df8; fill: #ab7df8 }
    .cool { stroke: #4493f8; fill: #4493f8 } .muted { stroke: #7d8590; fill: #7d8590 }
    path.line { fill: none }
  }
"""


class Series(NamedTuple):
    """One line.

    Attributes:
        title: written at its end.
        colour: a class of the style: accent, warm, cool, muted.
        points: x and y, in the order of x.
    """

    title: str
    colour: str
    points: Sequence[tuple[float, float]]


class Axis(NamedTuple):
    """One direction.

    Attributes:
        place: returns the position of a value in pixels.
        ticks: the values that are written.
    """

    place: Callable[[float], float]
    ticks: Sequence[float]


class Chart(NamedTuple):
    """A line chart.

    Attributes:
        title: above it.
        x_title: below the axis.
        y_title: above the axis, with the unit.
        series: its lines.
        is_log_x: whether equal distances are equal ratios.
        is_log_y: the same upwards.
    """

    title: str
    x_title: str
    y_title: str
    series: Sequence[Series]
    is_log_x: bool = False
    is_log_y: bool = False

    def svg(self) -> str:
        """Return the chart as an SVG document."""
        x_values = [x for line in self.series for x, _ in line.points]
        y_values = [y for line in self.series for _, y in line.points]
        x_axis = _axis(x_values, LEFT, WIDTH - RIGHT, is_log=self.is_log_x)
        y_axis = _axis(y_values, HEIGHT - BOTTOM, TOP, is_log=self.is_log_y)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(self.title)}">',
            f"<style>{STYLE}</style>",
            f'<text class="title" x="{LEFT}" y="20">{escape(self.title)}</text>',
            f'<text x="{LEFT}" y="{TOP - 12}">{escape(self.y_title)}</text>',
            f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">'
            f"{escape(self.x_title)}</text>",
            *_grid(x_axis, y_axis),
            *(_line(line, x_axis, y_axis) for line in self.series),
            *_labels(self.series, y_axis),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"


def _axis(values: Sequence[float], start: float, end: float, *, is_log: bool) -> Axis:
    """Return an axis from `start` to `end`; a logarithmic one has zero a decade below the smallest other value."""
    if not is_log:
        ticks = _round_ticks(max(values))
        return Axis(lambda value: start + (end - start) * value / ticks[-1], ticks)
    positive = [value for value in values if value > 0]
    low = math.floor(math.log10(min(positive)) + 1e-9) - (min(values) <= 0)
    high = max(math.ceil(math.log10(max(positive)) - 1e-9), low + 1)

    def place(value: float) -> float:
        exponent = math.log10(value) if value > 0 else low
        return start + (end - start) * (exponent - low) / (high - low)

    ticks = [0.0 if min(values) <= 0 and power == low else 10.0**power for power in range(low, high + 1)]
    return Axis(place, ticks)


def _round_ticks(largest: float) -> list[float]:
    """Return about five round values from zero to above `largest`."""
    step = 10.0 ** math.floor(math.log10(largest / 5))
    step = next(step * factor for factor in (1, 2, 2.5, 5, 10) if largest / (step * factor) <= 5)
    return [step * index for index in range(math.ceil(largest / step) + 1)]


def _grid(x_axis: Axis, y_axis: Axis) -> list[str]:
    parts = []
    for value in y_axis.ticks:
        y = y_axis.place(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,g}</text>')
    for value in x_axis.ticks:
        x = x_axis.place(value)
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{value:,.12g}</text>'
        )
    return parts


def _line(line: Series, x_axis: Axis, y_axis: Axis) -> str:
    points = [(x_axis.place(x), y_axis.place(y)) for x, y in line.points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dots = "".join(f'<circle class="{line.colour}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points)
    return f'<path class="line {line.colour}" d="M{path}"/>{dots}'


def _labels(series: Sequence[Series], y_axis: Axis) -> list[str]:
    """Return the lines' titles beside their ends, moved apart where they would cover each other."""
    parts = []
    lowest = -math.inf
    for line in sorted(series, key=lambda one: y_axis.place(one.points[-1][1])):
        lowest = max(y_axis.place(line.points[-1][1]), lowest + LABEL_GAP)
        parts.append(
            f'<text class="{line.colour}" x="{WIDTH - RIGHT + 10}" y="{lowest + 4:.1f}">{escape(line.title)}</text>'
        )
    return parts
