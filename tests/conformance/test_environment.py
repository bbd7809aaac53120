"""Where the conformance suite's interpreter is looked for."""

from pathlib import Path

import pytest

from tests.conformance import autobahn_testsuite
from tests.conformance.autobahn_testsuite import Unavailable


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_an_interpreter_that_starts_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = program(tmp_path / "a" / "python2.7", "echo 3.11")
    right = program(tmp_path / "b" / "python2.7", "echo 2.7")
    monkeypatch.setenv("PATH", f"{tmp_path / 'empty'}:{other.parent}:{right.parent}")

    assert autobahn_testsuite.find_python() == right


def test_behind_a_shim_that_does_not_start_the_version_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = program(tmp_path / "shims" / "python2.7", "echo 'python2.7: command not found' >&2; exit 127")
    behind = program(tmp_path / "versions" / "2.7.18" / "bin" / "python2.7", "echo 2.7")
    monkeypatch.setenv("PATH", str(shim.parent))

    assert autobahn_testsuite.find_python() == behind


@pytest.mark.parametrize("has_shim", [False, True])
def test_without_one_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_shim: bool
) -> None:
    if has_shim:
        program(tmp_path / "python2.7", "exit 127")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Unavailable, match=r"needs Python 2\.7: there is no python2\.7 on PATH"):
        autobahn_testsuite.find_python()
