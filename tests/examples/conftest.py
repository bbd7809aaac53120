"""A copy of the tutorial's project, so that a test leaves nothing in the checkout."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.programs import environment

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "examples" / "django-tutorial"


@pytest.fixture
def tutorial(tmp_path: Path) -> Path:
    """The directory of a fresh copy, as git has it: without database, secret and static files."""
    copy = tmp_path / "django-tutorial"
    left_out = shutil.ignore_patterns("db.sqlite3", "secret_key", "static", "__pycache__")
    return shutil.copytree(TUTORIAL, copy, ignore=left_out)


@pytest.fixture
def run(tutorial: Path) -> Callable[..., str]:
    """Runs a command in the copy: `run("python", "manage.py", "check")`; returns what it said."""

    def run_to_the_end(*command: str, timeout_s: float = 60, **variables: str) -> str:
        done = subprocess.run(
            command,
            cwd=tutorial,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    return run_to_the_end
