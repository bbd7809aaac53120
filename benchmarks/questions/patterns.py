"""Fan-out through patterns, and what a publication costs beside many subscriptions it does not concern."""

import argparse

from benchmarks import tables
from benchmarks.figures import Cases, Measurement, Result
from benchmarks.peers.peer import Server
from benchmarks.questions import fanout
from benchmarks.runs import answer, generator, rounds

HELP = "fan-out through patterns, and matching beside many subscriptions"
TOPIC = "com.example.web-1.figures"
WAYS = {"exact": TOPIC, "prefix": "com.example.web-1.", "wildcard": "com..web-1.figures"}
WINDOW = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    fanout.add_arguments(parser)
    parser.add_argument(
        "--crowds", type=int, nargs="+", default=[0, 1_000, 10_000, 100_000],
        help="exact subscriptions beside those measured, with a tenth as many patterns (default: %(default)s)",
    )  # fmt: skip


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round."""

    def cases(name: str, server: Server) -> Cases:
        figures = {
            match: fanout.case(
                server, arguments, in_flight=WINDOW, topic=TOPIC, subscribe=pattern, match=match
            )
            for match, pattern in WAYS.items()
        }
        if name == "heliograph":
            for size in arguments.crowds:
                figures[crowd_title(size)] = _beside(server, arguments, size)
        return figures

    return rounds(arguments, "patterns", cases)


def crowd_title(size: int) -> str:
    """Return the name of the case with `size` exact subscriptions."""
    return f"1 subscriber beside {size:,} exact and {size // 10:,} patterns"


def _beside(server: Server, arguments: argparse.Namespace, size: int) -> Measurement:
    alone = argparse.Namespace(**{**vars(arguments), "subscribers": 1})
    with generator(server, "crowd", exact=size, patterns=size // 10) as process:
        answer(process)
        return {**fanout.case(server, alone, in_flight=WINDOW, topic=TOPIC), "crowd": size}


def table(result: Result) -> str:
    """Return the figures as a table."""
    return tables.comparison(result, "Case", fanout.COLUMNS, ("deliveries_per_s",))
