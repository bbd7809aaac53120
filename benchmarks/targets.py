"""What is to be reached, and whether it is: ratios within one run."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.questions import busy_site, fanout, slow_reader
from benchmarks.runs import Result, markdown

Results = Mapping[str, Result]
"""Question → its result."""


class Goal(NamedTuple):
    """One ratio and its bound.

    Attributes:
        topic: what is compared.
        question: where its figures are.
        value: computes it; raises `KeyError` or `ZeroDivisionError` where figures are missing.
        form: how it is shown, with `{}` for the value.
        bound: what it may be at most, or must be at least.
        is_most: which of the two.
    """

    topic: str
    question: str
    value: Callable[[Result], float]
    form: str
    bound: float
    is_most: bool


def _ratio(figure: str, ours: str, peer: str, theirs: str | None = None) -> Callable[[Result], float]:
    """Return what computes Heliograph's figure in one case against a peer's in the same or another."""
    return lambda result: result["heliograph"][ours][figure] / result[peer][theirs or ours][figure]


def _own(figure: str, ours: str, theirs: str) -> Callable[[Result], float]:
    return _ratio(figure, ours, "heliograph", theirs)


_ONE, _MANY = (f"{window} in flight" for window in fanout.IN_FLIGHT)
_FANOUT_1 = "fan-out, 1 event in flight: server CPU a delivery"
_FANOUT_64 = "fan-out, 64 in flight: deliveries/s"
_THE_SAME = "the same, 64 in flight"
_POST = "POST → event"
_LATENCY = "POST → subscriber at 200 posts/s, 100 subscribers"
_WEIGHT = "weight of a router"
_PUBLISH = "publish() seen by the caller"
_SEND = "async_to_sync(group_send)()"
_CPU = "server_us_per_delivery"
_RATE = "deliveries_per_s"
_BODY = "one event a body"

GOALS: Sequence[Goal] = (
    Goal(_FANOUT_1, "fanout", _ratio(_CPU, _ONE, "floor"), "{} × the C floor", 1.4, is_most=True),
    Goal(_FANOUT_1, "fanout", _ratio(_CPU, _ONE, "nchan"), "{} × nchan", 1.0, is_most=True),
    Goal(_FANOUT_1, "fanout", _ratio(_CPU, _ONE, "crossbar"), "{} × Crossbar", 0.25, is_most=True),
    Goal(_FANOUT_64, "fanout", _ratio(_RATE, _MANY, "crossbar"), "{} × Crossbar", 25, is_most=False),
    Goal(_FANOUT_64, "fanout", _ratio(_RATE, _MANY, "nchan"), "{} × nchan", 5, is_most=False),
    Goal(_FANOUT_64, "fanout", _ratio(_RATE, _MANY, "nexus"), "{} × nexus", 10, is_most=False),
    Goal(_THE_SAME, "formats", _own(_RATE, "JSON → cbor", "plain"), "JSON → CBOR: {} × plain", 0.6, is_most=False),
    Goal(_THE_SAME, "patterns", _own(_RATE, "prefix", "exact"), "through a prefix: {} × plain", 0.6, is_most=False),
    Goal(_THE_SAME, "formats", _own(_RATE, "TLS", "plain"), "over TLS: {} × plain", 0.6, is_most=False),
    Goal(_THE_SAME, "formats", _ratio(_RATE, "TLS", "floor"), "over TLS: {} × C with OpenSSL", 1.0, is_most=False),
    Goal(_POST, "post", _ratio("posts_per_s", _BODY, "nchan"), "posts/s: {} × nchan", 0.75, is_most=False),
    Goal(_POST, "post", _ratio("posts_per_s", _BODY, "crossbar"), "posts/s: {} × Crossbar", 20, is_most=False),
    Goal(
        _POST, "post", lambda result: _batched(result) / result["heliograph"][_BODY]["events_per_s"],
        "batched events/s: {} × single", 5, is_most=False,
    ),
    Goal(_LATENCY, "latency", _ratio("delivery_p50_ms", "", "nchan"), "p50: {} × nchan", 1.0, is_most=True),
    Goal(_LATENCY, "latency", _ratio("delivery_p99_ms", "", "crossbar"), "p99: {} × Crossbar", 1 / 3, is_most=True),
    Goal("routed RPC, 64 in flight", "rpc", _ratio("calls_per_s", _MANY, "crossbar"), "calls/s: {} × Crossbar", 15,
         is_most=False),
    Goal("routed RPC, 64 in flight", "rpc", _ratio("calls_per_s", _MANY, "nexus"), "calls/s: {} × nexus", 2,
         is_most=False),
    Goal("connect + join + subscribe", "connect", _ratio("connections_per_s", "", "crossbar"),
         "a second: {} × Crossbar", 6, is_most=False),
    Goal("idle subscribed connection", "memory", lambda result: result["heliograph"][""]["kib_per_connection"],
         "{} KiB", 8, is_most=True),
    Goal(_WEIGHT, "startup", _ratio("memory_mib", "", "crossbar"), "idle memory: {} × Crossbar", 1 / 4, is_most=True),
    Goal(_WEIGHT, "startup", _ratio("ready_s", "", "crossbar"), "time to ready: {} × Crossbar", 1 / 10, is_most=True),
    Goal(_WEIGHT, "startup", _ratio("installed_mib", "", "crossbar"), "installed: {} × Crossbar", 1 / 4, is_most=True),
    Goal(_PUBLISH, "publish-api", _ratio("mean_us", "Publisher.publish()", "channels", _SEND),
         "{} × Channels' group_send", 1 / 5, is_most=True),
    Goal(_PUBLISH, "publish-api", _ratio("mean_us", "Publisher, pipelined", "channels", _SEND),
         "pipelined: {} × Channels' group_send", 1 / 40, is_most=True),
    Goal("fan-out p99 while Django on the node computes", "busy-site", _own("p99_ms", busy_site.BUSY, busy_site.IDLE),
         "{} × idle", 2, is_most=True),
    # Noise between two identical runs on a quiet machine is about a tenth.
    Goal("one subscriber stops reading for 60 s", "slow-reader",
         _own("p99_ms", slow_reader.STALLED, slow_reader.BEFORE), "others' p99: {} × before", 1.2, is_most=True),
    Goal("one subscriber stops reading for 60 s", "slow-reader",
         lambda result: result["heliograph"][slow_reader.STALLED]["most_memory_mib"]
         - result["heliograph"][slow_reader.BEFORE]["most_memory_mib"],
         "memory: {} MiB more", 8, is_most=True),
)  # fmt: skip


def _batched(result: Result) -> float:
    """Return the events a second of the better form of batch; raises `KeyError` where there is none."""
    rates = [figures["events_per_s"] for case, figures in result["heliograph"].items() if case != _BODY]
    if not rates:
        raise KeyError("batches")
    return max(rates)


def table(results: Results) -> str:
    """Return every goal with what was measured, and whether it is reached."""
    return markdown(["Question", "measured", "target", ""], [_row(goal, results) for goal in GOALS])


def _row(goal: Goal, results: Results) -> list[str]:
    sign = "≤" if goal.is_most else "≥"
    target = f"{sign} {goal.bound:.3g}"
    try:
        value = goal.value(results[goal.question])
    except (KeyError, ZeroDivisionError):
        return [goal.topic, goal.form.format("?"), target, "not measured"]
    is_reached = value <= goal.bound if goal.is_most else value >= goal.bound
    shown = f"{value:.0f}" if value >= 100 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
    return [goal.topic, goal.form.format(shown), target, "reached" if is_reached else "**not reached**"]
