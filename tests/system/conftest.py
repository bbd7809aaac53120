"""The tutorial's project in a directory of its own, with its configuration as it is, run by `heliograph start`."""

import gzip
import http.client
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.programs import environment
from tests.support.websocket import Address

HERE = Path(__file__).resolve().parent
TUTORIAL = HERE.parents[1] / "examples" / "django-tutorial"
SCRIPT = b"console.log('the same in a file that is not compressed');\n" * 50
SECRET = "nobody may read this over HTTP"
DEADLINE_S = 20.0
OLD = 1_600_000_000
"""When the static files were last changed, seconds since 1970."""


class Site:
    """The tutorial, running.

    Args:
        process: `heliograph start`.
        address: where it listens.
        errors: the file with its standard error.
    """

    def __init__(self, process: "subprocess.Popen[str]", address: Address, errors: Path) -> None:
        self.process = process
        self.address = address
        self.errors = errors

    def connection(self) -> http.client.HTTPConnection:
        """Return a connection that has not been opened yet."""
        return http.client.HTTPConnection(*self.address, timeout=DEADLINE_S)

    def get(self, target: str, **headers: str) -> "Answer":
        """Send a GET, with `_` for `-` in headers' names."""
        return self.request("GET", target, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def request(self, method: str, target: str, **how: object) -> "Answer":
        """Send a request on a connection of its own, and read the answer."""
        connection = self.connection()
        try:
            connection.request(method, target, **how)  # type: ignore[arg-type]  # as http.client takes them
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    def family(self) -> list[psutil.Process]:
        """Return all processes below the router, parents before children."""
        return psutil.Process(self.process.pid).children(recursive=True)


class Answer:
    """An HTTP answer with its body."""

    def __init__(self, response: http.client.HTTPResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = body

    def __repr__(self) -> str:
        return f"{self.status}\n{self.headers}{self.body[:2000]!r}"


def copy_of_the_tutorial(directory: Path) -> Path:
    """Copy the project as git has it, make its database, add views and static files for the tests."""
    left_out = shutil.ignore_patterns("db.sqlite3", "secret_key", "static", "__pycache__")
    project = shutil.copytree(TUTORIAL, directory / "project", ignore=left_out)
    shutil.copytree(HERE / "probe", project, dirs_exist_ok=True, ignore=left_out)
    (project / "secret.txt").write_text(SECRET)
    static = project / "static"
    static.mkdir()
    (static / "script.js").write_bytes(SCRIPT)
    (static / "script.jgz").write_bytes(gzip.compress(SCRIPT))
    for file in static.iterdir():
        os.utime(file, (OLD, OLD))
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(migrate, cwd=project, env=environment(), check=True, timeout=60)
    return project


@contextmanager
def running_site(project: Path) -> Iterator[Site]:
    """Start the tutorial on a free port; whatever is left of it is killed at the end."""
    errors = project / "stderr.txt"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "heliograph", "start", "--cbdir", ".crossbar", "--listen", "127.0.0.1:0"],
            cwd=project,
            env=environment(DJANGO_SETTINGS_MODULE="probe_settings"),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    watchdog = threading.Timer(DEADLINE_S, process.kill)
    watchdog.start()
    family: list[psutil.Process] = []
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        watchdog.cancel()
        assert line.startswith("Heliograph ready: http://"), f"{line!r}\n{errors.read_text()}"
        host, _, port = line.split()[2].removeprefix("http://").rstrip("/").rpartition(":")
        site = Site(process, (host, int(port)), errors)
        assert site.get("/").status == 200, errors.read_text()
        family = site.family()
        yield site
    finally:
        watchdog.cancel()
        process.terminate()
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in family:
            if child.is_running():
                child.kill()
        if process.stdout is not None:
            process.stdout.close()
        print(f"--- the router complained:\n{errors.read_text()}---")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The tutorial, running for the tests of a module."""
    with running_site(copy_of_the_tutorial(tmp_path_factory.mktemp("tutorial"))) as running:
        yield running


@pytest.fixture
def mortal_site(tmp_path: Path) -> Iterator[Site]:
    """The tutorial, running for a test that kills part of it."""
    with running_site(copy_of_the_tutorial(tmp_path)) as running:
        yield running
