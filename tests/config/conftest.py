"""A small correct configuration, and ways to spoil it."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from heliograph.config import ConfigError, Problem, check

CORRECT: dict[str, Any] = {
    "version": 2,
    "workers": [
        {
            "type": "router",
            "realms": [
                {
                    "name": "realm1",
                    "roles": [
                        {
                            "name": "anonymous",
                            "permissions": [{"uri": "", "match": "prefix", "allow": {"publish": True}}],
                        }
                    ],
                }
            ],
            "transports": [
                {
                    "type": "web",
                    "endpoint": {"type": "tcp", "port": 8080, "interface": "127.0.0.1"},
                    "paths": {
                        "ws": {"type": "websocket"},
                        "notify": {
                            "type": "publisher",
                            "realm": "realm1",
                            "role": "anonymous",
                            "options": {"token": "correct-horse-battery"},
                        },
                    },
                }
            ],
        }
    ],
}


@pytest.fixture
def correct() -> dict[str, Any]:
    return deepcopy(CORRECT)


@pytest.fixture
def spoil() -> Callable[..., dict[str, Any]]:
    """Return a copy of the correct configuration with one value put in, or removed.

    `at` is the way there, its steps separated by blanks; objects that are not there are made.
    """

    def spoiled(at: str, put: object = None, *, remove: bool = False, says: str = "") -> dict[str, Any]:
        node = deepcopy(CORRECT)
        inner: Any = node
        *steps, last = (int(step) if step.isdigit() else step for step in at.split())
        for step in steps:
            inner = inner.setdefault(step, {}) if isinstance(inner, dict) else inner[step]
        if remove:
            del inner[last]
        elif isinstance(inner, list) and last == len(inner):
            inner.append(put)
        elif last == "paths":
            inner[last].update(put)
        else:
            inner[last] = put
        return node

    return spoiled


@pytest.fixture
def problems_of(tmp_path: Path) -> Callable[[object], list[Problem]]:
    """Check a value in an empty node directory and return what is found."""

    def found(value: object) -> list[Problem]:
        try:
            return list(check(value, node_directory=tmp_path).problems)
        except ConfigError as failure:
            return list(failure.problems)

    return found
