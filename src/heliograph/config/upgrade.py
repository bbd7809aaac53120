"""Old forms of a configuration to today's, each with a warning that names the new form."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from heliograph.config.problems import Path, Problem, quote, warning

_ACTIONS = ("call", "register", "publish", "subscribe")
_SERIALIZERS = ("cbor", "msgpack", "json")
_EACH = object()


def upgrade(value: object) -> tuple[object, list[Problem]]:
    """Rewrite what version 1 of the format and its followers wrote otherwise.

    A value of the wrong kind is left as it is, for the validation to report.

    Arguments:
        value: plain values, as `parse_file` returns them; not changed

    Returns: the same in today's form, and a warning for each old form.
    """
    node = deepcopy(value)
    warnings: list[Problem] = []
    for _, top in _select(node):
        warnings.extend(_version(top))
    for path, rule in _select(node, "workers", _EACH, "realms", _EACH, "roles", _EACH, "permissions", _EACH):
        warnings.extend(_flat_permission(path, rule))
        warnings.extend(_starred_uri(path, rule))
    for path, service in _select(node, "workers", _EACH, "transports", _EACH, "paths", _EACH):
        warnings.extend(_pusher(path, service))
        if service.get("type") == "websocket":
            warnings.extend(_serializers(path, service))
    return node, warnings


def _select(value: object, *steps: object, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Find the objects at a place, where `_EACH` stands for every item of a list or object."""
    if not steps:
        if isinstance(value, dict):
            yield path, value
        return
    step, *rest = steps
    inner: list[tuple[str | int, object]] = []
    if step is _EACH and isinstance(value, list):
        inner = list(enumerate(value))
    elif step is _EACH and isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, dict) and isinstance(step, str) and step in value:
        inner = [(step, value[step])]
    for key, item in inner:
        yield from _select(item, *rest, path=(*path, key))


def _version(node: dict[str, Any]) -> Iterator[Problem]:
    if "version" not in node:
        yield warning(
            ("version",), 'is missing, which means version 1; read as version 2: write "version": 2'
        )
    elif type(node["version"]) is int and node["version"] == 1:
        yield warning(("version",), 'is 1; read as version 2: write "version": 2')
    else:
        return
    node["version"] = 2


def _flat_permission(path: Path, rule: dict[str, Any]) -> Iterator[Problem]:
    flat = [action for action in _ACTIONS if action in rule]
    allow = rule.get("allow", {})
    if not flat or not isinstance(allow, dict):
        return
    named = ", ".join(f'"{action}": {quote(rule[action])}' for action in flat)
    yield warning(path, f'an old form: actions belong into "allow": {{{named}}}')
    rule["allow"] = {**{action: rule.pop(action) for action in flat}, **allow}


def _starred_uri(path: Path, rule: dict[str, Any]) -> Iterator[Problem]:
    uri = rule.get("uri")
    if "match" in rule or not isinstance(uri, str):
        return
    if "*" not in uri:
        rule["match"] = "exact"
        return
    rule["match"] = "prefix" if uri.index("*") == len(uri) - 1 else "wildcard"
    rule["uri"] = uri.replace("*", "")
    new_form = f'write "uri": {quote(rule["uri"])}, "match": "{rule["match"]}"'
    yield warning((*path, "uri"), f"{quote(uri)} is an old form: {new_form}")


def _pusher(path: Path, service: dict[str, Any]) -> Iterator[Problem]:
    if service.get("type") == "pusher":
        service["type"] = "publisher"
        yield warning((*path, "type"), '"pusher" is an old name: write "type": "publisher"')


def _serializers(path: Path, service: dict[str, Any]) -> Iterator[Problem]:
    """Leave out the serializers of Crossbar.io that are not there, as long as one remains."""
    listed = service.get("serializers")
    if not isinstance(listed, list):
        return
    others = [name for name in listed if _is_crossbars(name)]
    remaining = [name for name in listed if name not in others]
    if others and remaining:
        service["serializers"] = remaining
        names = ", ".join(quote(name) for name in others)
        yield warning((*path, "serializers"), f"{names}: known, not supported yet, left out")


def _is_crossbars(name: object) -> bool:
    if not isinstance(name, str) or name in _SERIALIZERS:
        return False
    return name.removesuffix(".batched") in {*_SERIALIZERS, "ubjson", "flatbuffers"}
