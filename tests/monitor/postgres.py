"""A private PostgreSQL server in a temporary directory, on a Unix socket alone."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class NoPostgreSQL(Exception):  # noqa: N818 - a reason to skip, no error
    """No server can be started here; the text says why."""


def _binaries() -> Path:
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3].split(".")[0])
    )
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    raise NoPostgreSQL("PostgreSQL's initdb is not installed (Debian: apt-get install postgresql)")


def _unprivileged_user() -> str | None:
    """The user to run the server as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise NoPostgreSQL("running as root, and there is no user to run PostgreSQL as")


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Run a server until the context ends; yields the URL of its database `postgres`."""
    binaries, user = _binaries(), _unprivileged_user()
    directory = Path(tempfile.mkdtemp(prefix="hg-pg-"))  # a socket's path has at most 107 bytes
    try:
        if user:
            shutil.chown(directory, user)
        data = directory / "data"
        # The working directory must be one the server's user may enter.
        common: dict[str, Any] = {
            "user": user,
            "cwd": directory,
            "timeout": 60,
            "check": True,
            "capture_output": True,
        }
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "heliograph", "-A", "trust", "-E", "UTF8", "--no-sync"],
            **common,
        )
        control: list[str | Path] = [binaries / "pg_ctl", "-D", data, "-w", "-t", "30"]
        options = f"-c listen_addresses='' -c unix_socket_directories='{directory}' -c fsync=off"
        with (directory / "log").open("wb") as log:
            started = subprocess.run(
                [*control, "-o", options, "start"],
                **common | {"capture_output": False, "stdout": log, "stderr": log, "check": False},
            )
        if started.returncode:
            raise NoPostgreSQL(f"PostgreSQL did not start: {(directory / 'log').read_text()}")
        try:
            yield f"postgres://heliograph@/postgres?host={directory}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **common)
    finally:
        shutil.rmtree(directory)
