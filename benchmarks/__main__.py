"""`python -m benchmarks QUESTION`; `--help` behind a question tells its options."""

import argparse
import os
import resource
import signal
import sys
from pathlib import Path
from types import FrameType

from benchmarks import document, plots, targets
from benchmarks.building import BuildFailed
from benchmarks.peers import PEERS
from benchmarks.peers.peer import NotReady
from benchmarks.plan import FULL, QUICK, Progress
from benchmarks.questions import QUESTIONS
from benchmarks.results import read, write
from benchmarks.runs import LoadFailed

RESULTS = Path(__file__).parent / "results"
DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
PLOTS = DOCUMENT.with_suffix("")

Failures = (BuildFailed, LoadFailed, NotReady)


def main() -> int:
    """Answer one question, or all, and return the exit code."""
    arguments = _parser().parse_args()
    _allow_many_connections()
    signal.signal(signal.SIGTERM, _stop)
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
    except KeyboardInterrupt:
        print("benchmarks: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def _stop(number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does: what runs is stopped on the way out, which a second signal must not cut short."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


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
    progress = Progress(QUICK if arguments.quick else FULL)
    for question, (_, options) in FULL.items():
        line = [question, "--rounds", str(arguments.rounds), "--results", str(arguments.results), *options]
        line += QUICK[question].options if arguments.quick else []
        print(f"\n## {question}\n", flush=True)
        print(progress.next(question), file=sys.stderr)
        try:
            _ask(_parser().parse_args(line))
        except Failures as error:
            failed = True
            print(f"{question}: {error}", file=sys.stderr)
    print(f"\n## Targets (after {progress.minutes():.0f} minutes)\n")
    _show(arguments)
    return int(failed)


def _show(arguments: argparse.Namespace) -> int:
    """Print the targets against what the results hold; draw the plots and fill the document in when told to."""
    records = read(QUESTIONS, arguments.results)
    results = {question: record["rounds"] for question, record in records.items()}
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
    everything = questions.add_parser("all", help="every question, then the targets: about 25 minutes")
    _add_rounds(everything)
    everything.add_argument("--quick", action="store_true", help="one short round each: about 6 minutes")
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
