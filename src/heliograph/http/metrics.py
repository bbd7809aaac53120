"""`metrics`: the node's counters as Prometheus text (exposition format 0.0.4)."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from heliograph.http.exchange import Receive, Scope, Send, answer, answer_text

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metric(NamedTuple):
    """One number.

    Attributes:
        name: without the prefix `heliograph_`; ends in `_total` when it only grows.
        help: what it counts.
        value: now.
        labels: what tells it from others of its name.
    """

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = {}


class MetricsPath:
    """An ASGI application that answers GET with all metrics.

    Args:
        collect: returns them; those of one name follow each other.
    """

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] not in ("GET", "HEAD"):
            await answer_text(send, 405, "metrics are read with GET", {"Allow": "GET, HEAD"})
            return
        await answer(
            send, 200, exposition(self._collect()).encode(), CONTENT_TYPE, {"Cache-Control": "no-store"}
        )


def exposition(metrics: Iterable[Metric]) -> str:
    """Return `metrics` as Prometheus reads them."""
    lines: list[str] = []
    previous = ""
    for metric in metrics:
        name = f"heliograph_{metric.name}"
        if name != previous:
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {kind}"]
            previous = name
        labels = ",".join(f'{label}="{_escape(value)}"' for label, value in metric.labels.items())
        lines.append(
            f"{name}{{{labels}}} {_number(metric.value)}" if labels else f"{name} {_number(metric.value)}"
        )
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
