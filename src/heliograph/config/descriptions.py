"""The text of the option structs' docstrings, for messages and for the reference."""

import inspect
import re
from functools import cache

_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*)$")


def summary(struct: type) -> str:
    """The part of a docstring before `Attributes:`, as one line."""
    return " ".join(inspect.cleandoc(struct.__doc__ or "").split("\nAttributes:")[0].split())


@cache
def field_descriptions(struct: type) -> dict[str, str]:
    """What a struct's docstring says about each field, inherited fields included, each as one line."""
    known: dict[str, str] = {}
    for ancestor in reversed(struct.__mro__):
        known.update(_own_descriptions(ancestor.__dict__.get("__doc__") or ""))
    return known


def _own_descriptions(docstring: str) -> dict[str, str]:
    known: dict[str, str] = {}
    name = ""
    _, _, attributes = inspect.cleandoc(docstring).partition("\nAttributes:\n")
    for line in attributes.splitlines():
        if match := _ATTRIBUTE.match(line):
            name = match[1]
            known[name] = match[2]
        elif name and line.startswith("     "):
            known[name] += f" {line.strip()}"
        else:
            break
    return known
