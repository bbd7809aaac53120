"""Python children: how each of them is started, and where it looks for modules.

What lies in the directory that a program is started in must not take the place of a module: `json.py` there would run
with the rights of who starts the program. So no child looks there before everywhere else.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path


def python_command(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a module with this interpreter.

    Args:
        module: the module's dotted name, which is looked for where this interpreter has its libraries.
        arguments: the module's.
    """
    # -P: Python puts the current directory first otherwise. Not the variable PYTHONSAFEPATH: what the child starts
    # itself, a script beside its modules for instance, is its own affair.
    return (sys.executable, "-P", "-m", module, *arguments)


def module_directories(pythonpath: Sequence[str | Path], node_directory: Path) -> list[str]:
    """Return the directories of a `pythonpath`, which is relative to the node directory, and last the current one."""
    return [*dict.fromkeys(os.path.abspath(node_directory / path) for path in pythonpath), os.getcwd()]


def look_for_modules(directories: Iterable[str]) -> None:
    """Look for modules in `directories` before Python's own, but in the last one only when no other has them."""
    *first, last = directories
    sys.path[:0] = first
    sys.path.append(last)
