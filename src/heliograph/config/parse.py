"""JSON or YAML text to plain values; bounded, and nothing lost silently on the way."""

import json
import math
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, NoReturn

from heliograph.config.problems import ConfigError, Path, Problem, error, quote

MAX_FILE_BYTES = 1024 * 1024
MAX_VALUES = 100_000
MAX_DEPTH = 40


def parse_file(file: FilePath) -> object:
    """Read a `.json`, `.yaml` or `.yml` file.

    Arguments:
        file: the file, at most 1 MiB

    Returns: dicts with string keys, lists, strings, numbers, booleans and None; checked to hold nothing else.

    Raises ConfigError when the file cannot be read, is too large, is not well-formed or repeats a key.
    """
    source = str(file)
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise ConfigError([Problem(source, f"cannot be read: {reason}")], source=source) from problem
    except ValueError as problem:  # a NUL character in the name
        raise ConfigError([Problem(quote(source), f"is no file name: {problem}")], source=source) from problem
    return parse(data, suffix=file.suffix, source=source)


def parse(data: bytes, *, suffix: str, source: str) -> object:
    """Parse a configuration's bytes.

    Arguments:
        data: UTF-8 text
        suffix: `.json`, `.yaml` or `.yml`
        source: its name in messages

    Returns and raises as `parse_file`.
    """
    if len(data) > MAX_FILE_BYTES:
        raise _failure(source, f"is larger than {MAX_FILE_BYTES} bytes, which no configuration is")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise _failure(source, f"is not UTF-8 text (byte {problem.start}): save it as UTF-8") from problem
    try:
        if suffix == ".json":
            value = _parse_json(text, source)
        elif suffix in {".yaml", ".yml"}:
            value = _parse_yaml(text, source)
        else:
            raise _failure(source, "must be named .json, .yaml or .yml, so that its format is known")
    except RecursionError as problem:
        raise _failure(source, f"is nested more than {MAX_DEPTH} levels deep") from problem
    problems = list(_not_plain(value))
    if problems:
        raise ConfigError(problems, source=source)
    return value


def require_plain(value: object, *, source: str) -> None:
    """Raise ConfigError unless a value is what a JSON file can hold, of a configuration's size."""
    problems = list(_not_plain(value))
    if problems:
        raise ConfigError(problems, source=source)


def _failure(source: str, message: str) -> ConfigError:
    return ConfigError([Problem(source, message)], source=source)


# --- JSON -----------------------------------------------------------------------------------------------------


class _Repeating(dict[str, Any]):
    """An object that names a key twice: kept apart until its path is known."""

    repeated: tuple[str, ...] = ()


def _read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    repeating = _Repeating(value)
    keys = [key for key, _ in pairs]
    repeating.repeated = tuple(sorted({key for key in keys if keys.count(key) > 1}))
    return repeating


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _parse_json(text: str, source: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_read_pairs, parse_constant=_refuse_constant)
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        hint = _json_hint(text, problem.pos)
        raise ConfigError([Problem(where, f"not JSON: {problem.msg}{hint}")], source=source) from problem
    except ValueError as problem:  # NaN, Infinity, or an integer of thousands of digits
        raise _failure(source, f"not JSON: {problem}") from problem


def _json_hint(text: str, position: int) -> str:
    rest = text[position : position + 2]
    if rest.startswith(("#", "//", "/*")):
        return " (JSON has no comments; a config.yaml may have them)"
    if rest.startswith("'"):
        return " (JSON wants double quotes)"
    if text[:position].rstrip().endswith(",") and rest[:1] in {"}", "]", '"'}:
        return " (is there a comma too many before it?)"
    return ""


# --- YAML -----------------------------------------------------------------------------------------------------


def _parse_yaml(text: str, source: str) -> object:
    try:
        import yaml
    except ImportError as problem:
        install = 'pip install "heliograph[router]"'
        raise _failure(source, f"is YAML, which needs PyYAML: {install}") from problem

    repeated: list[Problem] = []

    class Loader(yaml.SafeLoader):
        """Safe, and strict about keys: YAML says that they are unique."""

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            repeated.extend(_repeated_yaml_keys(node))
            super().flatten_mapping(node)
            # Merges of merges would otherwise multiply what they hold.
            last = {
                (key.tag, key.value) if isinstance(key.value, str) else id(key): (key, value)
                for key, value in node.value
            }
            node.value = list(last.values())

    try:
        value: object = yaml.load(text, Loader=Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else source
        message = " ".join(part for part in (problem.context, problem.problem) if part)
        raise ConfigError([Problem(where, f"not YAML: {message}")], source=source) from problem
    except (yaml.YAMLError, ValueError) as problem:  # a control character; a date that is none
        raise _failure(source, f"not YAML: {' '.join(str(problem).split())}") from problem
    if repeated:
        raise ConfigError(repeated, source=source)
    return value


def _repeated_yaml_keys(node: Any) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge" or not isinstance(key.value, str):
            continue
        line = key.start_mark.line + 1
        if key.value in seen:
            where = f"line {line}, column {key.start_mark.column + 1}"
            yield Problem(
                where, f"key {quote(key.value)} is already on line {seen[key.value]}: keep one of them"
            )
        seen.setdefault(key.value, line)


# --- both -----------------------------------------------------------------------------------------------------


def _not_plain(root: object) -> Iterator[Problem]:
    """Find what JSON cannot hold, repeated keys, and what is too deep or too much (a YAML alias can multiply)."""
    waiting: list[tuple[Path, object]] = [((), root)]
    visited = 0
    while waiting:
        path, value = waiting.pop()
        visited += 1
        if visited > MAX_VALUES:
            yield Problem(
                "(the whole file)", f"holds more than {MAX_VALUES} values, which no configuration does"
            )
            return
        if len(path) > MAX_DEPTH:
            yield Problem("(the whole file)", f"is nested more than {MAX_DEPTH} levels deep")
            return
        if isinstance(value, dict):
            if isinstance(value, _Repeating):
                for key in value.repeated:
                    yield error((*path, key), "is written twice in the same object: keep one of them")
            for key, item in reversed(value.items()):
                if not isinstance(key, str):
                    yield error(path, f"has a key that is not text: write {quote(str(key))} in quotes")
                else:
                    yield from _broken_text((*path, key), key)
                    waiting.append(((*path, key), item))
        elif isinstance(value, list):
            waiting.extend(((*path, index), value[index]) for index in range(len(value) - 1, -1, -1))
        else:
            yield from _not_plain_leaf(path, value)


def _not_plain_leaf(path: Path, value: object) -> Iterator[Problem]:
    if isinstance(value, str):
        yield from _broken_text(path, value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield error(path, "is not a finite number")
    elif value is not None and not isinstance(value, bool | int):
        yield error(path, f"is a {type(value).__name__}, which JSON does not have: write it in quotes")


def _broken_text(path: Path, text: str) -> Iterator[Problem]:
    try:
        text.encode()
    except UnicodeEncodeError:
        yield error(path, "holds half a surrogate pair, which is no text")
