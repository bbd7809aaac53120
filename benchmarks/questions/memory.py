"""What an idle subscribed connection keeps in the server's memory."""

import argparse

from benchmarks import tables
from benchmarks.figures import Cases, Result
from benchmarks.peers.peer import Server
from benchmarks.runs import answer, generator, rounds, tell

HELP = "memory of idle subscribed connections"

WARMING = 100
"""Connections opened before the first look, so that what is loaded with the first of them does not count."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--connections", type=int, default=2500, help="default: %(default)s")


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round."""

    def cases(_name: str, server: Server) -> Cases:
        before, after = memory_at(server, [WARMING, WARMING + arguments.connections])
        return {
            "": {"memory_mib": after, "kib_per_connection": (after - before) * 1024 / arguments.connections}
        }

    return rounds(arguments, "memory", cases)


def memory_at(server: Server, counts: list[int]) -> list[float]:
    """Return the server's memory in MiB at each number of idle subscribed connections."""
    figures = []
    with generator(server, "idle") as process:
        for count in counts:
            tell(process, str(count))
            answer(process)
            figures.append(server.memory_mib())
    return figures


def table(result: Result) -> str:
    """Return the figures as a table, with Heliograph's ratio to each peer."""
    columns = (
        ("KiB/connection", "kib_per_connection", ".1f"),
        ("with all of them, MiB", "memory_mib", ".1f"),
    )
    return tables.comparison(result, "Server", columns, ("kib_per_connection",))
