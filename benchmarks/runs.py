"""Rounds: every peer in turn, several times."""

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

from benchmarks.building import program
from benchmarks.figures import Cases, Measurement, Result
from benchmarks.peers import PEERS
from benchmarks.peers.peer import NotReady, Server, Wants


class LoadFailed(Exception):  # noqa: N818 - says what happened
    """The load generator gave up; the text says why."""


def command(server: Server, question: str, options: dict[str, object]) -> list[str]:
    """Return the command line of the load generator."""
    told = {**server.options(), **options}
    return [str(program("load")), question, *(f"{name}={value}" for name, value in told.items())]


@contextlib.contextmanager
def generator(server: Server, question: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """Run the load generator; it is ended when what is done with it fails, however long it would go on.

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
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def tell(process: subprocess.Popen[str], line: str) -> None:
    """Write a line to the load generator."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> str:
    """Return the load generator's next line.

    Raises:
        LoadFailed: it gave up.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    if not line:
        raise LoadFailed(f"the load generator gave up: {process.stderr.read().strip()[-500:]}")
    return line.rstrip("\n")


@contextlib.contextmanager
def loading(server: Server, question: str, **options: object) -> Iterator[Callable[[], Measurement]]:
    """Prepare the load generator against `server`; what is yielded starts it and returns its figures.

    Raises:
        LoadFailed: it could not connect, or gave up.
    """
    with generator(server, question, **options) as process:
        answer(process)

        def go() -> Measurement:
            before = server.cpu_s()
            tell(process, "go")
            measurement: Measurement = json.loads(answer(process))
            # Taken while the connections are still open: closing them is no part of the question.
            measurement["server_cpu_s"] = server.cpu_s() - before
            measurement["server_cores"] = server.cores
            measurement["server_cpu_share"] = measurement["server_cpu_s"] / measurement["seconds"]
            measurement["load_cpu_share"] = measurement["cpu_seconds"] / measurement["seconds"]
            measurement["lost"] = measurement["expected"] - measurement["received"]
            return measurement

        yield go


def load(server: Server, question: str, **options: object) -> Measurement:
    """Run the load generator against `server` and return what it measured, with the server's own CPU seconds."""
    with loading(server, question, **options) as go:
        return go()


def rounds(
    arguments: argparse.Namespace,
    question: str,
    measure: Callable[[str, Server], Cases],
    wants: Wants = Wants(),  # noqa: B008 - immutable
) -> Result:
    """Return what `arguments.rounds` rounds gave, in each of which every peer has its turn.

    Args:
        arguments: `rounds`, and `peers`; one that is absent is left out with a line that says why.
        question: peers that cannot answer it are left out silently.
        measure: asked with a peer's name and its running server.
        wants: what the server must have.
    """
    result: Result = [{} for _ in range(arguments.rounds)]
    for number, name in _turns(arguments, question):
        with _attempt(name), PEERS[name].run(wants) as server:
            result[number][name] = measure(name, server)
    return result


def _turns(arguments: argparse.Namespace, question: str) -> Iterator[tuple[int, str]]:
    """Yield the number of the round and the peer's name of each turn.

    Every other round goes backwards: a machine that becomes slower and slower is then nobody's advantage.
    """
    present = []
    for name in arguments.peers:
        if question not in PEERS[name].answers:
            continue
        absent = PEERS[name].absent()
        if absent is None:
            present.append(name)
        else:
            print(f"{PEERS[name].title()}: {absent}", file=sys.stderr)
    for number in range(arguments.rounds):
        for name in reversed(present) if number % 2 else present:
            title = PEERS[name].title()
            print(f"{question}, round {number + 1} of {arguments.rounds}: {title}", file=sys.stderr)
            yield number, name


@contextlib.contextmanager
def _attempt(name: str) -> Iterator[None]:
    """Go on without a peer that fails, and say so; Heliograph's own failure is one."""
    try:
        yield
    except (LoadFailed, NotReady) as error:
        if name == "heliograph":
            raise
        print(f"{PEERS[name].title()} is left out of this round: {error}", file=sys.stderr)
