"""Secrets that stand elsewhere: in environment variables and in files."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from heliograph.auth.bearer import read_token
from heliograph.auth.options import SecretFile
from heliograph.auth.secret_files import SecretUnreadable, read_secret
from heliograph.config.problems import Path, Problem, error, quote_file, warning

SECRET_KEYS = frozenset({"ticket", "secret", "stored-key", "server-key", "token"})

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def secret_variables(path: Path, values: dict[str, Any], environment: Mapping[str, str]) -> Iterator[Problem]:
    """Put in the secrets that `"${NAME}"` stands for.

    Arguments:
        path: of `values`
        values: an `auth`, or the `options` of a path; plain values, changed in place
        environment: where names are looked up

    Returns: an error for each variable that is not set.
    """
    for key, value in values.items():
        where = (*path, key)
        if isinstance(value, dict) and key != "config":
            yield from secret_variables(where, value, environment)
        elif key in SECRET_KEYS and isinstance(value, str) and (named := _VARIABLE.fullmatch(value)):
            found = environment.get(named[1], "")
            if found:
                values[key] = found
            else:
                state = "is empty" if named[1] in environment else "is not set"
                yield error(
                    where,
                    f"the environment variable {named[1]} {state}: set it to the secret, or name a file",
                )


def find_file_problems(path: Path, secret: SecretFile, node_directory: FilePath) -> Iterator[Problem]:
    """Check a file that holds a secret."""
    try:
        read_secret(secret, node_directory)
        mode = os.stat(node_directory / secret.file).st_mode
    except (SecretUnreadable, OSError) as problem:
        yield error((*path, "file"), str(problem))
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        file = quote_file(node_directory / secret.file)
        yield warning((*path, "file"), f"others on this machine can read {file}: chmod 600")


def find_token_problems(
    path: Path, token: str | SecretFile | None, node_directory: FilePath
) -> Iterator[Problem]:
    """Check the token of a path."""
    if token is None:
        return
    if isinstance(token, SecretFile):
        file_problems = list(find_file_problems(path, token, node_directory))
        yield from file_problems
        if any(problem.severity == "error" for problem in file_problems):
            return
    try:
        read_token(token, node_directory)
    except SecretUnreadable as problem:
        yield error(path, str(problem))
