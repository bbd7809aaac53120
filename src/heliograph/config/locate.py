"""Where the configuration is: Crossbar.io's rules, with our own names before its."""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from heliograph.config.problems import ConfigError, Problem, quote_file

FILE_NAMES = ("config.yaml", "config.yml", "config.json")
DIRECTORY_NAMES = (".heliograph", ".crossbar")
DIRECTORY_VARIABLES = ("HELIOGRAPH_DIR", "CROSSBAR_DIR")


class ConfigLocation(Struct, frozen=True, kw_only=True):
    """A configuration file and the directory its relative paths start from.

    Attributes:
        node_directory: absolute
        file: absolute
        unread: files beside it that would be read if it were not there
    """

    node_directory: Path
    file: Path
    unread: tuple[Path, ...] = ()

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """A warning for each file that is not read."""
        return tuple(
            Problem(
                str(file), f"is not read, because {self.file.name} is there; remove one of them", "warning"
            )
            for file in self.unread
        )


def node_directory(cbdir: str | None, *, environment: Mapping[str, str], working_directory: Path) -> Path:
    """Find the node directory.

    Arguments:
        cbdir: what the command line says
        environment: may say it in HELIOGRAPH_DIR or CROSSBAR_DIR
        working_directory: where .heliograph and .crossbar are looked for, and what is taken without them
    """
    named = named_directory(cbdir, environment)
    if named is not None:
        return working_directory / named
    for name in DIRECTORY_NAMES:
        if os.path.isdir(working_directory / name):
            return working_directory / name
    return working_directory


def locate(
    cbdir: str | None, config: str | None, *, environment: Mapping[str, str], working_directory: Path
) -> ConfigLocation:
    """Find the configuration file.

    Arguments:
        cbdir: node directory, when the command line says so
        config: file, relative to the node directory or else to the working directory; without it config.yaml,
            config.yml or config.json
        environment: see `node_directory`
        working_directory: absolute

    Returns: the place. When no node directory is named, and the file is in neither .heliograph nor .crossbar,
    the file's own directory is the node directory.

    Raises ConfigError when there is none; it says where was looked.
    """
    directory = node_directory(cbdir, environment=environment, working_directory=working_directory)
    if config is None:
        return _default_file(directory)
    candidates = list(dict.fromkeys([directory / config, working_directory / config]))
    found = [file for file in candidates if os.path.isfile(file)]
    if not found:
        tried = " or ".join(quote_file(file) for file in candidates)
        raise ConfigError([Problem("--config", f"no such file: {tried}")], source=config)
    file = found[0]
    chosen = named_directory(cbdir, environment) is not None
    usual = directory != working_directory and file.is_relative_to(directory)
    return ConfigLocation(node_directory=directory if chosen or usual else file.parent, file=file)


def named_directory(cbdir: str | None, environment: Mapping[str, str]) -> str | None:
    """The node directory the command line or else the environment names."""
    return cbdir or next((environment[name] for name in DIRECTORY_VARIABLES if environment.get(name)), None)


def _default_file(directory: Path) -> ConfigLocation:
    present = [directory / name for name in FILE_NAMES if os.path.isfile(directory / name)]
    if not present:
        names = ", ".join(FILE_NAMES)
        message = f"no {names} in it: write one with `heliograph init`, or name it with --cbdir or --config"
        raise ConfigError([Problem(str(directory), message)], source=str(directory))
    return ConfigLocation(node_directory=directory, file=present[0], unread=tuple(present[1:]))
