"""What is to be reached, and whether it is: ratios within one round, and the medians of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.figures import AT_LIMIT, Measurement, Result, Round, is_at_limit, over, rate_at_limit
from benchmarks.questions import busy_site, connect, fanout, slow_reader
from benchmarks.tables import markdown

Results = Mapping[str, Result]
"""Question → its rounds."""

BY_CPU = "¹"
NOTE = (
    f"{BY_CPU} One of the two left more than {1 - AT_LIMIT:.0%} of its core idle: the load generator was at its limit, "
    "or the machine. What that server can do with a core is computed from its CPU an event."
)


class Goal(NamedTuple):
    """One ratio and its bound.

    Attributes:
        topic: what is compared.
        question: where its figures are.
        value: computes it for a round; raises `KeyError` or `ZeroDivisionError` where figures are missing.
        form: how it is shown, with `{}` for the value.
        bound: what it may be at most, or must be at least.
        is_most: which of the two.
        rates: returns those whose rates are compared by `rate_at_limit`, for a round.
    """

    topic: str
    question: str
    value: Callable[[Round], float]
    form: str
    bound: float
    is_most: bool
    rates: Callable[[Round], Sequence[Measurement]] = lambda _measured: ()


def _ratio(figure: str, ours: str, peer: str, theirs: str | None = None) -> Callable[[Round], float]:
    """Return what computes Heliograph's figure in one case against a peer's in the same or another."""
    return lambda measured: measured["heliograph"][ours][figure] / measured[peer][theirs or ours][figure]


def _faster(
    topic: str,
    question: str,
    form: str,
    bound: float,
    figure: str,
    ours: str,
    peer: str,
    theirs: str | None = None,
) -> Goal:
    """Return the goal to have `bound` times a peer's rate, or more.

    What a server with several cores would do if it had more of them is not known: the rates count as they are then.
    """

    def both(measured: Round) -> tuple[Measurement, Measurement]:
        return measured["heliograph"][ours], measured[peer][theirs or ours]

    def rates(measured: Round) -> Sequence[Measurement]:
        own, other = both(measured)
        return (own, other) if other["server_cores"] == 1 else ()

    def value(measured: Round) -> float:
        own, other = both(measured)
        if not rates(measured):
            return own[figure] / other[figure]
        return rate_at_limit(own, figure) / rate_at_limit(other, figure)

    return Goal(topic, question, value, form, bound, is_most=False, rates=rates)


def _slow_reader(measured: Round) -> float:
    """Return the others' p99 against the worse of the two runs, before and after, in which everybody reads."""
    cases = measured["heliograph"]
    without = max(cases[slow_reader.BEFORE]["p99_ms"], cases[slow_reader.AFTER]["p99_ms"])
    return cases[slow_reader.STALLED]["p99_ms"] / without


def _slow_reader_mib(measured: Round) -> float:
    cases = measured["heliograph"]
    return cases[slow_reader.STALLED]["most_memory_mib"] - cases[slow_reader.BEFORE]["most_memory_mib"]


def _batches(measured: Round) -> Sequence[Measurement]:
    """Return the better form of batch and single events."""
    cases = dict(measured["heliograph"])
    single = cases.pop(_BODY)
    if not cases:
        raise KeyError("batches")
    return max(cases.values(), key=lambda figures: rate_at_limit(figures, "events_per_s")), single


def _batched(measured: Round) -> float:
    batched, single = _batches(measured)
    return rate_at_limit(batched, "events_per_s") / rate_at_limit(single, "events_per_s")


def _worst(figure: str) -> Callable[[Round], float]:
    """Return what computes the worst of a figure over all cases of Heliograph."""
    return lambda measured: max(figures[figure] for figures in measured["heliograph"].values())


_ONE, _MANY = (f"{window} in flight" for window in fanout.IN_FLIGHT)
_FANOUT_1 = "fan-out, 1 event in flight: server CPU a delivery"
_FANOUT_64 = "fan-out, 64 in flight: deliveries/s"
_THE_SAME = "the same, 64 in flight"
_POST = "POST → event, one core"
_LATENCY = "POST → subscriber at 200 posts/s, 100 subscribers"
_RPC = "routed RPC, 64 in flight"
_CONNECT = "connect + join + subscribe"
_WEIGHT = "weight of a router"
_PUBLISH = "publish() seen by the caller"
_SLOW = "one subscriber stops reading for 60 s"
_HOSTILE = "one client attacks, the worst of all attacks"
_SEND = "async_to_sync(group_send)()"
_CPU = "server_us_per_delivery"
_RATE = "deliveries_per_s"
_BODY = "one event a body"
_OURS = "heliograph"

GOALS: Sequence[Goal] = (
    Goal(_FANOUT_1, "fanout", _ratio(_CPU, _ONE, "floor"), "{} × the C floor", 1.4, is_most=True),
    Goal(_FANOUT_1, "fanout", _ratio(_CPU, _ONE, "nchan"), "{} × nchan", 1.0, is_most=True),
    Goal(_FANOUT_1, "fanout", _ratio(_CPU, _ONE, "crossbar"), "{} × Crossbar", 0.25, is_most=True),
    _faster(_FANOUT_64, "fanout", "{} × Crossbar", 25, _RATE, _MANY, "crossbar"),
    _faster(_FANOUT_64, "fanout", "{} × nchan", 5, _RATE, _MANY, "nchan"),
    _faster(_FANOUT_64, "fanout", "{} × nexus", 10, _RATE, _MANY, "nexus"),
    _faster(_THE_SAME, "formats", "JSON → CBOR: {} × plain", 0.6, _RATE, "JSON → cbor", _OURS, "plain"),
    _faster(_THE_SAME, "patterns", "through a prefix: {} × plain", 0.6, _RATE, "prefix", _OURS, "exact"),
    _faster(_THE_SAME, "formats", "over TLS: {} × plain", 0.6, _RATE, "TLS", _OURS, "plain"),
    _faster(_THE_SAME, "formats", "over TLS: {} × C with OpenSSL", 1.0, _RATE, "TLS", "floor"),
    _faster(_POST, "post", "posts/s: {} × nchan", 0.75, "events_per_s", _BODY, "nchan"),
    _faster(_POST, "post", "posts/s: {} × Crossbar", 20, "events_per_s", _BODY, "crossbar"),
    Goal(_POST, "post", _batched, "batched events/s: {} × single", 5, is_most=False, rates=_batches),
    Goal(_LATENCY, "latency", _ratio("delivery_p50_ms", "", "nchan"), "p50: {} × nchan", 1.0, is_most=True),
    Goal(_LATENCY, "latency", _ratio("delivery_p99_ms", "", "crossbar"), "p99: {} × Crossbar", 1 / 3, is_most=True),
    _faster(_RPC, "rpc", "calls/s: {} × Crossbar", 15, "calls_per_s", _MANY, "crossbar"),
    _faster(_RPC, "rpc", "calls/s: {} × nexus on two cores", 2, "calls_per_s", _MANY, "nexus"),
    _faster(_CONNECT, "connect", "a second: {} × Crossbar", 6, "connections_per_s", connect.ALIKE, "crossbar"),
    _faster(_CONNECT, "connect", "no two handshakes alike: {} × Crossbar", 6, "connections_per_s", connect.DIFFERENT,
            "crossbar"),
    Goal("idle subscribed connection", "memory", lambda measured: measured[_OURS][""]["kib_per_connection"],
         "{} KiB", 8, is_most=True),
    Goal(_WEIGHT, "startup", _ratio("memory_mib", "", "crossbar"), "idle memory: {} × Crossbar", 1 / 4, is_most=True),
    Goal(_WEIGHT, "startup", _ratio("ready_s", "", "crossbar"), "time to ready: {} × Crossbar", 1 / 10, is_most=True),
    Goal(_WEIGHT, "startup", _ratio("installed_mib", "", "crossbar"), "installed: {} × Crossbar", 1 / 4, is_most=True),
    Goal(_PUBLISH, "publish-api", _ratio("mean_us", "Publisher.publish()", "channels", _SEND),
         "{} × Channels' group_send", 1 / 5, is_most=True),
    Goal(_PUBLISH, "publish-api", _ratio("mean_us", "Publisher, pipelined", "channels", _SEND),
         "pipelined: {} × Channels' group_send", 1 / 40, is_most=True),
    Goal("fan-out p99 while Django on the node computes", "busy-site",
         _ratio("p99_ms", busy_site.BUSY, _OURS, busy_site.IDLE), "{} × idle", 2, is_most=True),
    # Two identical runs on a quiet machine differ by about a tenth.
    Goal(_SLOW, "slow-reader", _slow_reader, "others' p99: {} × where all read", 1.2, is_most=True),
    Goal(_SLOW, "slow-reader", _slow_reader_mib, "memory: {} MiB more", 8, is_most=True),
    Goal(_HOSTILE, "hostile", _worst("others_wait_ms"), "others' longest wait: {} ms", 100, is_most=True),
    Goal(_HOSTILE, "hostile", _worst("held_over_limit"), "held: {} × a stated limit", 3, is_most=True),
)  # fmt: skip


def table(results: Results) -> str:
    """Return every goal with what was measured, and whether it is reached."""
    rows = [_row(goal, results.get(goal.question, [])) for goal in GOALS]
    lines = markdown(["Question", "measured", "target", ""], rows)
    return f"{lines}\n\n{NOTE}" if BY_CPU in lines else lines


def _row(goal: Goal, result: Result) -> list[str]:
    sign = "≤" if goal.is_most else "≥"
    target = f"{sign} {goal.bound:.3g}"
    found = over(result, goal.value)
    if found is None:
        return [goal.topic, goal.form.format("?"), target, "not measured"]
    is_reached = found.median <= goal.bound if goal.is_most else found.median >= goal.bound
    shown = goal.form.format(found.text(_short)) + (BY_CPU if _is_by_cpu(goal, result) else "")
    return [goal.topic, shown, target, "reached" if is_reached else "**not reached**"]


def _is_by_cpu(goal: Goal, result: Result) -> bool:
    """Whether in any round a rate stands for more than the server was asked for."""
    idle = over(result, lambda measured: sum(not is_at_limit(figures) for figures in goal.rates(measured)))
    return idle is not None and idle.most > 0


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
