"""The configuration of a router node: its typed shape, loading, older forms, and `check`.

`load` reads a file into `NodeOptions` and raises `ConfigError`, which holds every problem with its path.
"""

from heliograph.config.load import CheckedConfig, LoadedConfig, check, load
from heliograph.config.locate import ConfigLocation, locate
from heliograph.config.options import NodeOptions, PathService, RouterWorker, Transport
from heliograph.config.problems import ConfigError, Problem

__all__ = [
    "CheckedConfig",
    "ConfigError",
    "ConfigLocation",
    "LoadedConfig",
    "NodeOptions",
    "PathService",
    "Problem",
    "RouterWorker",
    "Transport",
    "check",
    "load",
    "locate",
]
