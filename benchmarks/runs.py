"""Rounds: every peer in turn, several times, and the medians of what came out."""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.building import program
from benchmarks.peers import PEERS
from benchmarks.peers.peer import NotReady, Server, Wants

Measurement = dict[str, float]
Result = dict[str, dict[str, Measurement]]
"""Peer → case → figures."""


class LoadFailed(Exception):  # noqa: N818 - says what happened
    """The load generator gave up; the text says why."""


def command(server: Server, question: str, options: dict[str, object]) -> list[str]:
    """Return the command line of the load generator."""
    told = {**server.options(), **options}
    return [str(program("load")), question, *(f"{name}={value}" for name, value in told.items())]


@contextlib.contextmanager
def loading(server: Server, question: str, **options: object) -> Iterator[Callable[[], Measurement]]:
    """Prepare the load generator against `server`; what is yielded starts it and returns its figures.

    Raises:
        LoadFailed: it could not connect, or gave up.
    """
    with subprocess.Popen(
        command(server, question, options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise _failure(process)

        def go() -> Measurement:
            assert process.stdin is not None
            assert process.stdout is not None
            before = server.cpu_s()
            process.stdin.write("go\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise _failure(process)
            measurement: Measurement = json.loads(line)
            # Taken while the connections are still open: closing them is no part of the question.
            measurement["server_cpu_s"] = server.cpu_s() - before
            measurement["load_cpu_share"] = measurement["cpu_seconds"] / measurement["seconds"]
            measurement["lost"] = measurement["expected"] - measurement["received"]
            return measurement

        yield go


def _failure(process: subprocess.Popen[str]) -> LoadFailed:
    assert process.stderr is not None
    return LoadFailed(f"the load generator gave up: {process.stderr.read().strip()[-500:]}")


def load(server: Server, question: str, **options: object) -> Measurement:
    """Run the load generator against `server` and return what it measured, with the server's own CPU seconds."""
    with loading(server, question, **options) as go:
        return go()


def rounds(
    arguments: argparse.Namespace,
    question: str,
    measure: Callable[[str, Server], dict[str, Measurement]],
    wants: Wants = Wants(),  # noqa: B008 - immutable
) -> Result:
    """Return the medians of `arguments.rounds` rounds, in each of which every peer has its turn.

    Args:
        arguments: `rounds`, and `peers`; one that is absent is left out with a line that says why.
        question: peers that cannot answer it are left out silently.
        measure: asked with a peer's name and its running server.
        wants: what the server must have.
    """
    collected: dict[str, list[dict[str, Measurement]]] = {}
    for name in turns(arguments, question):
        with attempt(name), PEERS[name].run(wants) as server:
            collected.setdefault(name, []).append(measure(name, server))
    return {name: medians(results) for name, results in collected.items()}


def turns(arguments: argparse.Namespace, question: str) -> Iterator[str]:
    """Yield the peers' names in the order of their turns."""
    present = []
    for name in arguments.peers:
        if question not in PEERS[name].answers:
            continue
        absent = PEERS[name].absent()
        if absent is None:
            present.append(name)
        else:
            print(f"{PEERS[name].title()}: {absent}", file=sys.stderr)
    for number in range(1, arguments.rounds + 1):
        for name in present:
            print(f"{question}, round {number} of {arguments.rounds}: {PEERS[name].title()}", file=sys.stderr)
            yield name


@contextlib.contextmanager
def attempt(name: str) -> Iterator[None]:
    """Go on without a peer that fails, and say so; Heliograph's own failure is one."""
    try:
        yield
    except (LoadFailed, NotReady) as error:
        if name == "heliograph":
            raise
        print(f"{PEERS[name].title()} is left out of this round: {error}", file=sys.stderr)


def medians(results: Sequence[dict[str, Measurement]]) -> dict[str, Measurement]:
    """Return the median of each figure of each case."""
    cases = {
        case: [result[case] for result in results if case in result] for result in results for case in result
    }
    return {
        case: {key: statistics.median(figures[key] for figures in measured) for key in measured[0]}
        for case, measured in cases.items()
    }


def ratio(ours: float, theirs: float) -> str:
    """Return how many times `theirs` goes into `ours`."""
    return f"{ours / theirs:.2f} x" if theirs else "-"


def markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def comparison(
    result: Result, label: str, columns: Sequence[tuple[str, str, str]], compared: Sequence[str]
) -> str:
    """Return a table with a row for each case and peer.

    Args:
        result: what was measured.
        label: the first column's head.
        columns: head, figure's key and format specification of each column.
        compared: keys of figures behind which Heliograph's ratio to the peer stands.
    """
    head = [label]
    for title, key, _ in columns:
        head += [title, "ours"] if key in compared else [title]
    cases = list(dict.fromkeys(case for peer in result.values() for case in peer))
    rows = []
    for case in cases:
        ours = result.get("heliograph", {}).get(case)
        for name, peer in result.items():
            theirs = peer.get(case)
            if theirs is None:
                continue
            row = [f"{case}: {PEERS[name].title()}" if case else PEERS[name].title()]
            for _, key, form in columns:
                row.append(format(theirs[key], form) if key in theirs else "-")
                if key in compared:
                    row.append(
                        ratio(ours[key], theirs[key]) if ours and key in ours and key in theirs else "-"
                    )
            rows.append(row)
    return markdown(head, rows)


LATENCY_COLUMNS = (("p50 ms", "p50_ms", ".2f"), ("p99 ms", "p99_ms", ".2f"))
LOAD_COLUMNS = (("load CPU", "load_cpu_share", ".0%"), ("lost", "lost", ",.0f"))
