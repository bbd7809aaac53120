"""The token of a publisher's or caller's path: found where it stands, checked, and never shown."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.config import Problem, check

TOKEN = "correct-horse-battery"
AT = "workers 0 transports 0 paths notify options token"
WHERE = "workers[0].transports[0].paths.notify.options.token"

Spoil = Callable[..., dict[str, Any]]
ProblemsOf = Callable[[object], list[Problem]]


def test_stands_in_the_configuration_a_variable_or_a_file(
    spoil: Spoil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_TOKEN", TOKEN)
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    for written in (TOKEN, "${NOTIFY_TOKEN}", {"file": "token"}):
        checked = check(spoil(AT, written), node_directory=tmp_path)
        assert checked.options is not None, checked.problems
        assert checked.problems == ()
        assert TOKEN not in repr(checked.options)


def test_of_a_universal_transport_stands_in_a_variable_too(
    spoil: Spoil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_TOKEN", TOKEN)
    web = {"paths": {"n": {"type": "caller", "realm": "realm1", "role": "anonymous"}}}
    web["paths"]["n"]["options"] = {"token": "${NOTIFY_TOKEN}"}  # type: ignore[assignment]
    endpoint = {"type": "tcp", "port": 0, "interface": "127.0.0.1"}
    transport = {"type": "universal", "endpoint": endpoint, "web": web, "websocket": {"ws": {}}}
    checked = check(spoil("workers 0 transports 0", transport), node_directory=tmp_path)
    assert checked.options is not None, checked.problems
    assert checked.options.workers[0].transports[0].web.paths["n"].options.token == TOKEN  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "token",
    [
        "",
        "too-short",
        "x" * 513,
        "with a blank in it",
        "with\na line break",
        "ünïcödé-ünïcödé",
        16 * 10**15,
        [],
    ],
)
def test_that_cannot_be_one_is_an_error_that_does_not_show_it(
    token: Any, spoil: Spoil, problems_of: ProblemsOf
) -> None:
    (problem,) = problems_of(spoil(AT, token))
    assert (problem.where, problem.severity) == (WHERE, "error")
    assert not token or str(token) not in problem.message


@pytest.mark.parametrize(
    ("content", "mode", "severity", "says"),
    [
        (None, 0o600, "error", "cannot be read"),
        ("\n", 0o600, "error", "is empty"),
        ("short\n", 0o600, "error", "must have 16 to 512 of the characters"),
        (f"{TOKEN}\n{TOKEN}\n", 0o600, "error", "must have 16 to 512 of the characters"),
        (TOKEN, 0o640, "warning", "others on this machine can read"),
    ],
)
def test_in_a_file_that_will_not_do_is_told(
    content: str | None,
    mode: int,
    severity: str,
    says: str,
    spoil: Spoil,
    problems_of: ProblemsOf,
    tmp_path: Path,
) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
        os.chmod(tmp_path / "token", mode)
    (problem,) = problems_of(spoil(AT, {"file": "token"}))
    assert problem.where.startswith(WHERE)
    assert problem.severity == severity
    assert says in problem.message


def test_of_a_variable_that_is_not_set_is_an_error(
    spoil: Spoil, problems_of: ProblemsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_TOKEN", raising=False)
    problems = problems_of(spoil(AT, "${NOTIFY_TOKEN}"))
    assert str(problems[0]).startswith(f"{WHERE}: the environment variable NOTIFY_TOKEN is not set")
