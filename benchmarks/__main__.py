"""`python -m benchmarks fanout|post|setup`; `--help` tells the options."""

import argparse
import sys
from pathlib import Path

from benchmarks import fanout, post
from benchmarks.building import BuildFailed, install_crossbar
from benchmarks.peers import PEERS
from benchmarks.results import write

QUESTIONS = {"fanout": fanout, "post": post}


def main() -> int:
    """Answer one question and return the exit code."""
    arguments = _parser().parse_args()
    try:
        if arguments.question == "setup":
            install_crossbar()
            return 0
        question = QUESTIONS[arguments.question]
        result = question.measure(arguments)
    except BuildFailed as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(question.table(result))
    print(f"\nwritten to {write(arguments.question, result, arguments.results)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    questions = parser.add_subparsers(dest="question", required=True, metavar="QUESTION")
    for name, question in QUESTIONS.items():
        inner = questions.add_parser(name, help=question.HELP)
        inner.add_argument(
            "--rounds", type=int, default=3, help="rounds; medians are shown (default: %(default)s)"
        )
        inner.add_argument(
            "--seconds", type=float, default=3.0, help="seconds a measurement (default: %(default)s)"
        )
        inner.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="whom to measure")
        inner.add_argument(
            "--results", type=Path, default=Path(__file__).parent / "results", help="where the JSON goes"
        )
        question.add_arguments(inner)
    questions.add_parser("setup", help="install Crossbar.io into a virtual environment of its own")
    return parser


if __name__ == "__main__":
    sys.exit(main())
