"""A subscriber that stops reading: what others notice of it, and what it costs the server's memory."""

import argparse
import threading
from collections.abc import Callable

from benchmarks import tables
from benchmarks.figures import Cases, Measurement, Result
from benchmarks.peers import PEERS
from benchmarks.peers.peer import Server, Wants
from benchmarks.runs import loading, rounds

HELP = "one subscriber stops reading"
MOST_POLICY_S = 20.0
BEFORE, STALLED, AFTER = "all read", "one has stopped reading", "all read again"
POLICIES = ("drop-newest", "conflate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--subscribers", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=1000, help="events a second (default: %(default)s)")
    parser.add_argument("--payload-bytes", type=int, default=1000, help="default: %(default)s")
    parser.add_argument(
        "--stalled-seconds",
        type=float,
        default=60.0,
        help="how long one does not read, and how long all do before and after (default: %(default)s)",
    )


def measure(arguments: argparse.Namespace) -> Result:
    """Return the figures of each round.

    All read before and after, as long as one does not: what these two differ by is the machine's noise.
    """

    def cases(name: str, server: Server) -> Cases:
        seconds = arguments.stalled_seconds
        figures = {
            BEFORE: _case(server, arguments, seconds, stalled=0),
            STALLED: _case(server, arguments, seconds, stalled=1),
            AFTER: _case(server, arguments, seconds, stalled=0),
        }
        for policy in POLICIES if name == "heliograph" else ():
            with PEERS[name].run(Wants(policy=policy)) as other:
                figures[f"{STALLED}, {policy}"] = _case(
                    other, arguments, min(seconds, MOST_POLICY_S), stalled=1
                )
        return figures

    return rounds(arguments, "slow-reader", cases)


def _case(server: Server, arguments: argparse.Namespace, seconds: float, *, stalled: int) -> Measurement:
    with (
        loading(
            server,
            "fanout",
            subscribers=arguments.subscribers,
            stalled=stalled,
            rate=arguments.rate,
            payload=arguments.payload_bytes,
            seconds=seconds,
        ) as go,
        MemoryWatch(server.memory_mib) as memory,
    ):
        figures = go()
    return {**figures, "most_memory_mib": memory.most_mib}


class MemoryWatch:
    """Looks at a server's memory again and again.

    Args:
        memory_mib: returns what it has now.
        every_s: seconds between two looks.
    """

    def __init__(self, memory_mib: Callable[[], float], every_s: float = 0.5) -> None:
        self._memory_mib = memory_mib
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.most_mib = 0.0

    def _look(self) -> None:
        while not self._over.wait(self._every_s):
            self.most_mib = max(self.most_mib, self._memory_mib())

    def __enter__(self) -> "MemoryWatch":
        self.most_mib = self._memory_mib()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def table(result: Result) -> str:
    """Return the figures as a table."""
    columns = (
        ("others' p50 ms", "p50_ms", ".2f"),
        ("others' p99 ms", "p99_ms", ".2f"),
        ("most memory MiB", "most_memory_mib", ".1f"),
        ("ended by the server", "stalled_ended", ".0f"),
        *tables.LOAD,
    )
    return tables.comparison(result, "Case", columns, ())
