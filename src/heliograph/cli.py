"""The command line. A subcommand's room is imported only when that subcommand runs."""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, cast

from heliograph import open_standard_streams

OK = 0
PROBLEMS = 1
INTERRUPTED = 130  # what a shell reports for a process that Ctrl-C ended
UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h: an optional dependency is not installed

# The extra that brings each module, for those that are not there without it.
EXTRAS = {
    "aiohttp": "router",
    "argon2": "auth",
    "cbor2": "router",
    "django": "monitor",
    "gunicorn": "router",
    "httptools": "router",
    "nacl": "auth",
    "ormsgpack": "router",
    "psutil": "agent",
    "starlette": "router",
    "uvicorn": "router",
    "uvloop": "router",
    "yaml": "router",
}


class Command(Protocol):
    """What the module of a subcommand offers; `parser.get_default("command")` tells which one is meant."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


class Subcommand(NamedTuple):
    """A line of the help, and where the work is done: a module, or functions of this one."""

    help: str
    module: str | None = None


SUBCOMMANDS = {
    "init": Subcommand("write a small working configuration"),
    "check": Subcommand("check a configuration and print every problem"),
    "start": Subcommand("start a router node"),
    "publish": Subcommand("publish an event", "heliograph.client.cli"),
    "subscribe": Subcommand("print the events of a topic", "heliograph.client.cli"),
    "call": Subcommand("call a procedure", "heliograph.client.cli"),
    "agent": Subcommand("measure this machine and publish what is found", "heliograph.agent.cli"),
    "monitor": Subcommand("run the fleet monitor", "heliograph.monitor.cli"),
    "keygen": Subcommand("make a key pair for cryptosign", "heliograph.auth.cli"),
    "secret": Subcommand("make what a router keeps of a secret", "heliograph.auth.cli"),
    "version": Subcommand("print the versions of everything that matters"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Arguments:
        argv: the arguments after the program's name; by default those of the process

    Returns the exit code: 0, 1 for problems, 69 when an extra is missing, 130 after Ctrl-C; wrong usage exits with 2.
    """
    open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no text
    sys.excepthook = _print_traceback
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words and words[0] in SUBCOMMANDS else None
    try:
        parser, run = _parser_for(name)
        arguments = parser.parse_args(words)
        return run(arguments) if run is not None else _usage(parser)
    except ModuleNotFoundError as missing:
        extra = EXTRAS.get((missing.name or "").partition(".")[0])
        if extra is None:
            raise
        _print_error(f'heliograph {name} needs {missing.name}: pip install "heliograph[{extra}]"')
        return UNAVAILABLE
    except KeyboardInterrupt:
        return INTERRUPTED


def _print_error(*lines: object) -> None:
    from heliograph.logs.printing import print_error

    print_error(*lines)


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    from heliograph.logs.printing import print_traceback

    print_traceback(kind, error, trace)


def _usage(parser: argparse.ArgumentParser) -> int:
    parser.print_help(sys.stderr)
    return 2


def _parser_for(
    name: str | None,
) -> tuple[argparse.ArgumentParser, Callable[[argparse.Namespace], int] | None]:
    """Build the parser, with the arguments of one subcommand only: the others' rooms stay unimported."""
    parser = argparse.ArgumentParser(
        prog="heliograph",
        description="One message, flashed to everybody who is watching: WAMP router, HTTP bridge, fleet monitor.",
    )
    parser.add_argument("--version", action="version", version=f"heliograph {_version()}")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND")
    run: Callable[[argparse.Namespace], int] | None = None
    for other, subcommand in SUBCOMMANDS.items():
        inner = choices.add_parser(
            other, help=subcommand.help, description=f"{subcommand.help.capitalize()}."
        )
        inner.set_defaults(command=other)
        if other != name:
            continue
        if subcommand.module is None:
            add_arguments, run = _OWN[other]
            add_arguments(inner)
        else:
            module = cast(Command, importlib.import_module(subcommand.module))
            module.add_arguments(inner)
            run = module.run
    return parser, run


def _version() -> str:
    from heliograph import __version__

    return __version__


# --- where the configuration is -----------------------------------------------------------------------------------


def _add_location(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cbdir",
        metavar="DIR",
        help="node directory (default: $HELIOGRAPH_DIR, $CROSSBAR_DIR, ./.heliograph, ./.crossbar, .)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="configuration file in the node directory (default: config.yaml, config.yml, config.json)",
    )


def _add_nothing(parser: argparse.ArgumentParser) -> None:
    """`version` takes no arguments."""


# --- init ---------------------------------------------------------------------------------------------------------


def _init(arguments: argparse.Namespace) -> int:
    from heliograph.config.locate import named_directory
    from heliograph.config.starter import write_starter

    directory = named_directory(arguments.cbdir, os.environ) or ".heliograph"
    try:
        written = write_starter(Path(directory), arguments.config or "config.yaml")
    except (OSError, ValueError) as problem:
        _print_error(f"heliograph init: {problem}")
        return PROBLEMS
    for file in written:
        print(f"wrote {file}")
    where = f" --cbdir {arguments.cbdir}" if arguments.cbdir else ""
    which = f" --config {arguments.config}" if arguments.config else ""
    print(f"now: heliograph start{where}{which}")
    return OK


# --- check --------------------------------------------------------------------------------------------------------


def _check(arguments: argparse.Namespace) -> int:
    from heliograph.config import ConfigError, load, locate

    try:
        place = locate(
            arguments.cbdir, arguments.config, environment=os.environ, working_directory=Path.cwd()
        )
        warnings = load(place.file, node_directory=place.node_directory).warnings
    except ConfigError as failure:
        _print_lines(failure.problems)
        _summarise(failure.source, failure.problems)
        return PROBLEMS
    _print_lines([*place.warnings, *warnings])
    _summarise(str(place.file), [*place.warnings, *warnings])
    return OK


def _print_lines(problems: Sequence[object]) -> None:
    from heliograph.logs.visible import visible

    for problem in problems:
        print(visible(str(problem)))


def _summarise(source: str, problems: Sequence[object]) -> None:
    errors = sum(getattr(problem, "severity", "") == "error" for problem in problems)
    warnings = len(problems) - errors
    verdict = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}" if problems else "no problems"
    _print_error(f"{source}: {verdict}")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


# --- start --------------------------------------------------------------------------------------------------------


def _add_start_arguments(parser: argparse.ArgumentParser) -> None:
    _add_location(parser)
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        type=_listen,
        help="listen here instead of at the first web transport's endpoint; port 0 takes a free one",
    )
    from heliograph.logs.setup import LOG_LEVELS

    parser.add_argument("--loglevel", choices=LOG_LEVELS, default="info", help="default: info")


def _listen(text: str) -> tuple[str, int]:
    from heliograph.config.listen import parse_listen

    try:
        return parse_listen(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def _start(arguments: argparse.Namespace) -> int:
    from heliograph.config import ConfigError, load, locate
    from heliograph.logs.setup import set_up_logging

    try:
        place = locate(
            arguments.cbdir, arguments.config, environment=os.environ, working_directory=Path.cwd()
        )
        loaded = load(place.file, node_directory=place.node_directory, listen=arguments.listen)
    except ConfigError as failure:
        _print_error(*f"heliograph start: {failure}".split("\n"))
        return PROBLEMS
    for problem in [*place.warnings, *loaded.warnings]:
        _print_error(*_warning_lines(str(problem), loud=problem.loud))
    set_up_logging(arguments.loglevel)
    node = importlib.import_module("heliograph.node")
    code: int = node.run(loaded.options, node_directory=place.node_directory)
    return code


def _warning_lines(text: str, *, loud: bool) -> list[str]:
    bar = ["!" * 72] if loud else []
    return [*bar, f"heliograph: {text}", *bar]


# --- version ------------------------------------------------------------------------------------------------------


def _print_versions(arguments: argparse.Namespace) -> int:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    print(f"heliograph {_version()}")
    print(
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    )
    for name in (
        "msgspec",
        "picows",
        "uvloop",
        "uvicorn",
        "httptools",
        "starlette",
        "cbor2",
        "Django",
        "psutil",
        "PyNaCl",
        "argon2-cffi",
    ):
        try:
            print(f"{name} {version(name)}")
        except PackageNotFoundError:
            print(f"{name} not installed")
    return OK


_OWN: dict[str, tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]] = {
    "init": (_add_location, _init),
    "check": (_add_location, _check),
    "start": (_add_start_arguments, _start),
    "version": (_add_nothing, _print_versions),
}
