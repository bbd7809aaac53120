"""A subscriber that stops reading: what others notice of it, and what it costs the server's memory."""

import argparse
import threading

from benchmarks.peers.peer import Server, Wants
from benchmarks.runs import LOAD_COLUMNS, Measurement, Result, comparison, loading, rounds

HELP = "one subscriber stops reading"
MOST_POLICY_S = 20.0
BEFORE, STALLED = "all read", "one has stopped reading"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.add_argument("--subscribers", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=1000, help="events a second (default: %(default)s)")
    parser.add_argument("--payload-bytes", type=int, default=1000, help="default: %(default)s")
    parser.add_argument(
        "--before-seconds", type=float, default=20.0, help="how long all read (default: %(default)s)"
    )
    parser.add_argument(
        "--stalled-seconds", type=float, default=60.0, help="how long one does not (default: %(default)s)"
    )
    parser.add_argument(
        "--policies",
        nargs="*",
        default=["drop-newest", "conflate"],
        help="of Heliograph's outbox beside the usual one, each for 20 s at most (default: %(default)s)",
    )


def measure(arguments: argparse.Namespace) -> Result:
    """Return peer → case → medians."""

    def cases(_name: str, server: Server) -> dict[str, Measurement]:
        return {
            BEFORE: _case(server, arguments, arguments.before_seconds, stalled=0),
            STALLED: _case(server, arguments, arguments.stalled_seconds, stalled=1),
        }

    result = rounds(arguments, "slow-reader", cases)
    if "heliograph" in arguments.peers:
        for policy in arguments.policies:
            result["heliograph"] |= _with_policy(arguments, policy)
    return result


def _with_policy(arguments: argparse.Namespace, policy: str) -> dict[str, Measurement]:
    """Return the figures where a receiver that is behind loses events instead of its connection."""
    alone = argparse.Namespace(**{**vars(arguments), "peers": ["heliograph"]})
    seconds = min(arguments.stalled_seconds, MOST_POLICY_S)

    def cases(_name: str, server: Server) -> dict[str, Measurement]:
        return {f"{STALLED}, {policy}": _case(server, arguments, seconds, stalled=1)}

    return rounds(alone, "slow-reader", cases, Wants(policy=policy))["heliograph"]


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
        MemoryWatch(server) as memory,
    ):
        figures = go()
    return {**figures, "most_memory_mib": memory.most_mib}


class MemoryWatch:
    """Looks at a server's memory twice a second.

    Args:
        server: whose.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.most_mib = 0.0

    def _look(self) -> None:
        while not self._over.wait(0.5):
            self.most_mib = max(self.most_mib, self._server.memory_mib())

    def __enter__(self) -> "MemoryWatch":
        self.most_mib = self._server.memory_mib()
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
        *LOAD_COLUMNS,
    )
    return comparison(result, "Case", columns, ())
