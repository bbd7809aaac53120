"""One HTTP POST becomes one event: how many a second, and what each costs the server."""

import argparse
from typing import Any

from benchmarks.peers import PEERS, Server
from benchmarks.runs import Measurement, load, markdown, ratio, rounds

HELP = "HTTP POSTs that become events"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--connections", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--payload-bytes", type=int, default=50, help="default: %(default)s")


def measure(arguments: argparse.Namespace) -> dict[str, dict[str, Measurement]]:
    """Return peer → case → medians."""

    def cases(server: Server) -> dict[str, Measurement]:
        where = ("127.0.0.1", server.port, "/ws", "/notify")
        measured = load(
            server, ("post", *where, arguments.connections, arguments.payload_bytes, arguments.seconds)
        )
        return {
            "post": {
                **measured,
                "posts_per_s": measured["accepted"] / measured["seconds"],
                "server_us_per_post": measured["server_cpu_s"] / measured["accepted"] * 1e6,
                "load_cpu_share": measured["cpu_seconds"] / measured["seconds"],
                "lost": measured["accepted"] - measured["received"],
            }
        }

    with_bridge = [name for name in arguments.peers if PEERS[name].has_bridge]
    return rounds(with_bridge, arguments.rounds, cases)


def table(result: dict[str, dict[str, Measurement]]) -> str:
    """Return the figures as a table, with Heliograph's ratio to each peer."""
    ours = result.get("heliograph", {}).get("post")
    rows: list[list[Any]] = []
    for name, cases in result.items():
        theirs = cases["post"]
        rows.append(
            [
                PEERS[name].title,
                f"{theirs['posts_per_s']:,.0f}",
                ratio(ours["posts_per_s"], theirs["posts_per_s"]) if ours else "-",
                f"{theirs['server_us_per_post']:.1f}",
                ratio(ours["server_us_per_post"], theirs["server_us_per_post"]) if ours else "-",
                f"{theirs['p50_ms']:.2f} / {theirs['p99_ms']:.2f}",
                f"{theirs['load_cpu_share']:.0%}",
                f"{theirs['lost']:,.0f}",
            ]
        )
    return markdown(
        ["Bridge", "posts/s", "ours", "server CPU µs/post", "ours", "p50 / p99 ms", "load CPU", "lost"], rows
    )
