"""Whether a Python module is there, without importing anything."""

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path


def find_module(name: str, directories: Sequence[Path]) -> bool:
    """Tell whether a dotted module name leads to a file.

    Arguments:
        name: such as `project.wsgi`
        directories: looked in before the installed modules; the current one is the last, as for the processes
    """
    importlib.invalidate_caches()  # directories may have changed since this process looked
    first, *inner = name.split(".")
    spec = _find_first(first, [str(directory) for directory in directories])
    full = first
    for part in inner:
        if spec is None or spec.submodule_search_locations is None:
            return False
        full = f"{full}.{part}"
        spec = PathFinder.find_spec(full, list(spec.submodule_search_locations))
    return spec is not None


def _find_first(name: str, directories: list[str]) -> ModuleSpec | None:
    spec = PathFinder.find_spec(name, [*directories, *sys.path, os.getcwd()])
    if spec is not None:
        return spec
    try:
        return find_spec(name)  # import hooks of editable installations; a name without a dot imports nothing
    except ValueError:  # a running program's __main__
        return None
