"""`heliograph monitor`: run the fleet monitor, or give its admin user a new password."""

import argparse
import os
from pathlib import Path

from heliograph.logs.printing import print_error

DEFAULT_PORT = 8080


def default_data_directory() -> Path:
    """Return where a monitor keeps its data unless told otherwise (XDG Base Directory specification)."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "heliograph-monitor"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `heliograph monitor`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run_parser = actions.add_parser(
        "run", help="run the dashboard, the admin, the router and an agent for this machine"
    )
    _add_data(run_parser)
    run_parser.add_argument(
        "--host", default="127.0.0.1", help="loopback address to listen on (default: %(default)s)"
    )
    run_parser.add_argument(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help="port to listen on, 0 for a free one (default: %(default)s)",
    )
    run_parser.add_argument("--no-agent", action="store_true", help="do not monitor this machine itself")
    _add_data(
        actions.add_parser("reset-password", help="give the user `admin` a new random password and print it")
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say and return the exit code."""
    from heliograph.monitor.run import MonitorError, reset_password, run_monitor

    try:
        if arguments.action == "reset-password":
            return reset_password(arguments.data)
        return run_monitor(
            arguments.data, host=arguments.host, port=arguments.port, with_agent=not arguments.no_agent
        )
    except MonitorError as error:
        print_error(f"heliograph monitor: {error}")
        return 1


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        default=default_data_directory(),
        metavar="DIR",
        help="directory for the database and everything else that is kept (default: %(default)s)",
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)
