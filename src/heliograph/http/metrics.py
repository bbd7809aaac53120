"""`metrics`: the node's counters as Prometheus text (exposition format 0.0.4)."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from heliograph.http.exchange import Receive, Scope, Send, answer, answer_text
from heliograph.transports.hosts import KnownHosts, name_of
from heliograph.transports.origins import is_loopback_address

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

    A page may send a GET without its origin, so a page whose name was made to lead here (DNS rebinding) is told by the
    name it asks for.

    Args:
        collect: returns them; those of one name follow each other.
        hosts: by which this server is known.
    """

    def __init__(self, collect: Callable[[], Iterable[Metric]], hosts: KnownHosts) -> None:
        self._collect = collect
        self._hosts = hosts

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] not in ("GET", "HEAD"):
            await answer_text(send, 405, "metrics are read with GET", {"Allow": "GET, HEAD"})
            return
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if not self._hosts.knows(host, is_loopback=is_loopback_address(scope.get("server"))):
            # "the request was directed at a server that is unable or unwilling to produce an authoritative response
            # for the target URI" (RFC 9110, section 15.5.20)
            name = name_of(host)
            text = f'{name} is no known name of this server: add "{name}" to allowed_hosts in the transport\'s options'
            await answer_text(send, 421, text)
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
