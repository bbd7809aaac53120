"""Problems found in a configuration, each with the path of what it is about."""

import json
import re
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from heliograph.logs.visible import visible

Path = tuple[str | int, ...]
Severity = Literal["error", "warning"]

_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_LONGEST_VALUE = 60
_LONGEST_FILE = 500


def render(path: Path) -> str:
    """Write a path as people do: `workers[0].transports[0].paths["/"].type`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{quote(step)}]"
    return text or "(the whole file)"


def quote_file(file: object) -> str:
    """Show a file's path on one line."""
    return quote(str(file), longest=_LONGEST_FILE)


def quote(value: object, *, longest: int = _LONGEST_VALUE) -> str:
    """Show a value on one line, shortened, whatever characters it holds."""
    text = visible(json.dumps(value, ensure_ascii=False, default=repr))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def inside(value: object, *steps: str | int) -> object:
    """What is at a place in plain values, or None."""
    for step in steps:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step]
        else:
            return None
    return value


class Problem(Struct, frozen=True):
    """One thing that is wrong (error) or deserves a look (warning).

    Attributes:
        where: path of the value, or line and column
        message: what is wrong and what to do
        severity: an error keeps the node from starting
        loud: a warning nobody should overlook
    """

    where: str
    message: str
    severity: Severity = "error"
    loud: bool = False

    def __str__(self) -> str:
        kind = "" if self.severity == "error" else "warning: "
        return f"{self.where}: {kind}{self.message}"


def error(path: Path, message: str) -> Problem:
    return Problem(where=render(path), message=message)


def warning(path: Path, message: str, *, loud: bool = False) -> Problem:
    return Problem(where=render(path), message=message, severity="warning", loud=loud)


class ConfigError(Exception):
    """A configuration cannot be used.

    Attributes:
        problems: everything that was found, warnings included, in the order of the file
        source: what was read, for example a file name
    """

    def __init__(self, problems: Iterable[Problem], *, source: str = "configuration") -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__(source, self.problems)

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

    def __str__(self) -> str:
        return "\n".join([f"{self.source} cannot be used:", *(f"  {problem}" for problem in self.problems)])
