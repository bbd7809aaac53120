"""Calls that are routed to a callee: how many a second, and what each costs the router."""

import argparse

from benchmarks import tables
from benchmarks.figures import Cases, Measurement, Result
from benchmarks.peers.peer import Server
from benchmarks.runs import load, rounds

HELP = "calls through the router to a callee"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 64], help="default: %(default)s")
    parser.add_argument("--payload-bytes", type=int, default=50, help="default: %(default)s")


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round."""

    def cases(_name: str, server: Server) -> Cases:
        return {f"{window} in flight": _case(server, arguments, window) for window in arguments.in_flight}

    return rounds(arguments, "rpc", cases)


def _case(server: Server, arguments: argparse.Namespace, window: int) -> Measurement:
    measured = load(
        server, "rpc", in_flight=window, payload=arguments.payload_bytes, seconds=arguments.seconds
    )
    received = measured["received"]
    return {
        **measured,
        "calls_per_s": received / measured["seconds"],
        "server_us_per_call": measured["server_cpu_s"] / received * 1e6,
    }


def table(result: Result) -> str:
    """Return the figures as a table, with Heliograph's ratio to each peer."""
    columns = (
        ("calls/s", "calls_per_s", ",.0f"),
        ("server CPU µs/call", "server_us_per_call", ".1f"),
        *tables.LATENCY,
        *tables.LOAD,
    )
    return tables.comparison(result, "Case", columns, ("calls_per_s", "server_us_per_call"))
