"""One event to many subscribers: what a delivery costs the server, and how many there are in a second."""

import argparse
from typing import Any

from benchmarks.peers import PEERS, Server
from benchmarks.runs import Measurement, load, markdown, ratio, rounds

HELP = "one event to many subscribers"
IN_FLIGHT = (1, 64)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--subscribers", type=int, default=500, help="default: %(default)s")
    parser.add_argument("--payload-bytes", type=int, default=250, help="default: %(default)s")


def measure(arguments: argparse.Namespace) -> dict[str, dict[str, Measurement]]:
    """Return peer → case → medians."""

    def cases(server: Server) -> dict[str, Measurement]:
        return {f"{window} in flight": _case(server, arguments, window) for window in IN_FLIGHT}

    return rounds(arguments.peers, arguments.rounds, cases)


def _case(server: Server, arguments: argparse.Namespace, window: int) -> Measurement:
    where = ("127.0.0.1", server.port, "/ws")
    measured = load(
        server,
        ("fanout", *where, arguments.subscribers, window, arguments.payload_bytes, arguments.seconds),
    )
    received = measured["received"]
    return {
        **measured,
        "deliveries_per_s": received / measured["seconds"],
        "server_us_per_delivery": measured["server_cpu_s"] / received * 1e6,
        "load_cpu_share": measured["cpu_seconds"] / measured["seconds"],
        "lost": measured["published"] * arguments.subscribers - received,
    }


def table(result: dict[str, dict[str, Measurement]]) -> str:
    """Return the figures as a table, with Heliograph's ratio to each peer."""
    rows: list[list[Any]] = []
    for window in IN_FLIGHT:
        case = f"{window} in flight"
        ours = result.get("heliograph", {}).get(case)
        for name, cases in result.items():
            theirs = cases[case]
            rows.append(
                [
                    f"{case}: {PEERS[name].title}",
                    f"{theirs['deliveries_per_s']:,.0f}",
                    ratio(ours["deliveries_per_s"], theirs["deliveries_per_s"]) if ours else "-",
                    f"{theirs['server_us_per_delivery']:.2f}",
                    ratio(ours["server_us_per_delivery"], theirs["server_us_per_delivery"]) if ours else "-",
                    f"{theirs['p50_ms']:.2f} / {theirs['p99_ms']:.2f}",
                    f"{theirs['load_cpu_share']:.0%}",
                    f"{theirs['lost']:,.0f}",
                ]
            )
    head = [
        "Case", "deliveries/s", "ours", "server CPU µs/delivery", "ours", "p50 / p99 ms", "load CPU", "lost",
    ]  # fmt: skip
    return markdown(head, rows)
