"""From a file to the options of a node, or to everything that is wrong with it."""

import os
from pathlib import Path

from msgspec import Struct

from heliograph.config.consistency import find_inconsistencies
from heliograph.config.listen import with_listen
from heliograph.config.options import NodeOptions
from heliograph.config.origins import find_missing_origins
from heliograph.config.parse import parse_file, require_plain
from heliograph.config.problems import ConfigError, Problem
from heliograph.config.upgrade import upgrade
from heliograph.config.validate import validate


class CheckedConfig(Struct, frozen=True, kw_only=True):
    """What `check` found.

    Attributes:
        options: the node's options, or None when there are errors
        problems: errors and warnings, in the order of the checks
    """

    options: NodeOptions | None
    problems: tuple[Problem, ...]


class LoadedConfig(Struct, frozen=True, kw_only=True):
    """A configuration that can be started.

    Attributes:
        options: the node's options, every `match` explicit, every old form rewritten
        warnings: what deserves a look
    """

    options: NodeOptions
    warnings: tuple[Problem, ...]


def check(
    value: object,
    *,
    node_directory: Path,
    listen: tuple[str, int] | None = None,
    source: str = "configuration",
) -> CheckedConfig:
    """Check a configuration that is a value already, for example one built by a program.

    Arguments:
        value: dicts, lists, strings, numbers, booleans, None
        node_directory: what relative paths in it start from
        listen: host and port to listen on instead of the first web transport's endpoint
        source: its name in messages

    Raises ConfigError when it is no plain value at all, or `listen` finds no web transport.
    """
    require_plain(value, source=source)
    node, problems = upgrade(value, os.environ)
    if listen is not None:
        node = with_listen(node, *listen, source=source)
    options, reader = validate(NodeOptions, node)
    problems += reader.problems
    problems += find_inconsistencies(node, reader.found, node_directory=node_directory)
    problems += find_missing_origins(value, reader.found, node_directory=node_directory)
    failed = any(problem.severity == "error" for problem in problems)
    return CheckedConfig(options=None if failed else options, problems=tuple(problems))


def load(file: Path, *, node_directory: Path, listen: tuple[str, int] | None = None) -> LoadedConfig:
    """Load a configuration file.

    Arguments:
        file: JSON or YAML, told by its name
        node_directory: what relative paths in it start from
        listen: host and port to listen on instead of the first web transport's endpoint

    Raises ConfigError with every problem when there is an error among them.
    """
    checked = check(parse_file(file), node_directory=node_directory, listen=listen, source=str(file))
    if checked.options is None:
        raise ConfigError(checked.problems, source=str(file))
    return LoadedConfig(options=checked.options, warnings=checked.problems)
