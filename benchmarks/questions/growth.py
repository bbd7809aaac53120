"""How costs grow: a delivery with the number of subscribers, memory with the number of idle connections."""

import argparse

from benchmarks import tables
from benchmarks.figures import Cases, Result
from benchmarks.peers.peer import Server
from benchmarks.questions import fanout
from benchmarks.questions.memory import memory_at
from benchmarks.runs import rounds

HELP = "cost a delivery from 10 to 10,000 subscribers, memory up to 10,000 idle connections"

MOST_SUBSCRIBERS = {"crossbar": 1_000}
"""Where more would take minutes to connect."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument(
        "--subscribers", type=int, nargs="+", default=[10, 100, 1_000, 10_000], help="default: %(default)s"
    )
    parser.add_argument(
        "--connections",
        type=int,
        nargs="+",
        default=[100, 2_500, 5_000, 7_500, 10_000],
        help="default: %(default)s",
    )
    parser.add_argument("--payload-bytes", type=int, default=250, help="default: %(default)s")


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round."""

    def cases(name: str, server: Server) -> Cases:
        most = MOST_SUBSCRIBERS.get(name, max(arguments.subscribers))
        # A server that has had 10,000 subscribers keeps some of their memory: the idle ones come first.
        figures = _idle(server, arguments.connections) if name == "heliograph" else {}
        for count in arguments.subscribers:
            if count <= most:
                chosen = argparse.Namespace(**{**vars(arguments), "subscribers": count})
                figures[f"{count:,} subscribers"] = {
                    **fanout.case(server, chosen, in_flight=1),
                    "subscribers": count,
                }
        return figures

    return rounds(arguments, "growth", cases)


def _idle(server: Server, counts: list[int]) -> Cases:
    return {
        f"{count:,} idle connections": {"connections": count, "memory_mib": memory_mib}
        for count, memory_mib in zip(counts, memory_at(server, counts), strict=True)
    }


def table(result: Result) -> str:
    """Return the figures as a table."""
    columns = (*fanout.COLUMNS, ("memory MiB", "memory_mib", ".1f"))
    return tables.comparison(result, "Case", columns, ("server_us_per_delivery",))
