"""`python -m benchmarks QUESTION`; `--help` behind a question tells its options."""

import argparse
import os
import resource
import sys
import time
from pathlib import Path

from benchmarks import document, plots, targets
from benchmarks.building import BuildFailed
from benchmarks.peers import PEERS
from benchmarks.peers.peer import NotReady
from benchmarks.questions import QUESTIONS
from benchmarks.results import read, write
from benchmarks.runs import LoadFailed

RESULTS = Path(__file__).parent / "results"
DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
PLOTS = DOCUMENT.with_suffix("")

# How each question is asked when all are: together they take about 20 minutes.
FULL: dict[str, list[str]] = {
    "fanout": ["--seconds", "2"],
    "formats": ["--seconds", "1.5"],
    "patterns": ["--seconds", "1"],
    "post": ["--seconds", "2"],
    "latency": ["--seconds", "4"],
    "rpc": ["--seconds", "2"],
    "connect": ["--seconds", "2"],
    "memory": [],
    "startup": [],
    "publish-api": ["--seconds", "2"],
    "busy-site": ["--seconds", "5"],
    "slow-reader": ["--rounds", "1", "--peers", "heliograph", "nchan"],
    "growth": ["--rounds", "1", "--seconds", "1"],
}

# Behind those above, for a look.
QUICK: dict[str, list[str]] = {
    **{question: ["--rounds", "1", "--seconds", "1"] for question in FULL},
    "slow-reader": ["--peers", "heliograph", "--before-seconds", "5", "--stalled-seconds", "15"],
    "growth": ["--rounds", "1", "--seconds", "0.5", "--subscribers", "10", "100", "1000"],
}

Failures = (BuildFailed, LoadFailed, NotReady)


def main() -> int:
    """Answer one question, or all, and return the exit code."""
    arguments = _parser().parse_args()
    _allow_many_connections()
    try:
        if arguments.question == "setup":
            return _set_up()
        if arguments.question == "all":
            return _ask_all(arguments)
        if arguments.question == "show":
            return _show(arguments)
        _ask(arguments)
    except Failures as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


def _ask(arguments: argparse.Namespace) -> None:
    question = QUESTIONS[arguments.question]
    result = question.measure(arguments)
    print(question.table(result))
    print(f"\nwritten to {write(arguments.question, result, arguments.results)}", flush=True)


def _ask_all(arguments: argparse.Namespace) -> int:
    """Ask every question, and go on to the next when one fails."""
    busy = os.getloadavg()[0]
    if busy > 1:
        print(
            f"others are at work on this machine (load {busy:.1f}): the figures are preliminary",
            file=sys.stderr,
        )
    failed = False
    begun = time.monotonic()
    for question, options in FULL.items():
        line = [question, "--rounds", str(arguments.rounds), "--results", str(arguments.results), *options]
        line += QUICK[question] if arguments.quick else []
        print(f"\n## {question}\n", flush=True)
        try:
            _ask(_parser().parse_args(line))
        except Failures as error:
            failed = True
            print(f"{question}: {error}", file=sys.stderr)
    print(f"\n## Targets (after {(time.monotonic() - begun) / 60:.0f} minutes)\n")
    _show(arguments)
    return int(failed)


def _show(arguments: argparse.Namespace) -> int:
    """Print the targets against what the results hold; draw the plots and fill the document in when told to."""
    records = read(QUESTIONS, arguments.results)
    results = {question: record["result"] for question, record in records.items()}
    print(targets.table(results))
    if arguments.write:
        for path in [*plots.draw(results, PLOTS), document.fill(DOCUMENT, records)]:
            print(f"written: {path}")
    return 0


def _allow_many_connections() -> None:
    """Raise the limit of open files, for the servers and the load generator alike, as far as we may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _set_up() -> int:
    failed = False
    for peer in PEERS.values():
        try:
            peer.set_up()
        except BuildFailed as error:
            failed = True
            print(f"{peer.title()}: {error}", file=sys.stderr)
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    questions = parser.add_subparsers(dest="question", required=True, metavar="QUESTION")
    for name, question in QUESTIONS.items():
        inner = questions.add_parser(name, help=question.HELP)
        _add_rounds(inner)
        inner.add_argument(
            "--seconds", type=float, default=3.0, help="seconds a measurement (default: %(default)s)"
        )
        inner.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="whom to measure")
        question.add_arguments(inner)
    everything = questions.add_parser("all", help="every question, then the targets: about 20 minutes")
    _add_rounds(everything)
    everything.add_argument("--quick", action="store_true", help="one short round each: a few minutes")
    shown = questions.add_parser("show", help="the targets against the results that are there")
    for inner in (everything, shown):
        inner.add_argument(
            "--write", action="store_true", help="into docs/performance.md and its plots as well"
        )
    for inner in questions.choices.values():
        inner.add_argument("--results", type=Path, default=RESULTS, help="where the JSON goes")
    questions.add_parser("setup", help="install the peers, those from Debian's packages where we are root")
    return parser


def _add_rounds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rounds", type=int, default=3, help="rounds; medians are shown (default: %(default)s)"
    )


if __name__ == "__main__":
    sys.exit(main())
