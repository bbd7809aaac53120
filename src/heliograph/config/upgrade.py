"""Old forms of a configuration to today's, each with a warning that names the new form."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from heliograph.config.problems import Path, Problem, error, quote, warning
from heliograph.config.secret_values import secret_variables

_ACTIONS = ("call", "register", "publish", "subscribe")
_LONGEST_PORT = 5
_EACH = object()
_TRANSPORTS = ("workers", _EACH, "transports", _EACH)
_WEB_PATHS = ((*_TRANSPORTS, "paths"), (*_TRANSPORTS, "web", "paths"))


def upgrade(value: object, environment: Mapping[str, str]) -> tuple[object, list[Problem]]:
    """Rewrite what version 1 of the format and its followers wrote otherwise, and put in the ports they name.

    A value of the wrong kind is left as it is, for the validation to report.

    Arguments:
        value: plain values, as `parse_file` returns them; not changed
        environment: where `"port": "$NAME"` is looked up

    Returns: the same in today's form; a warning for each old form, an error for each port that is none.
    """
    node = deepcopy(value)
    problems: list[Problem] = []
    for _, top in _select(node):
        problems.extend(_version(top))
    for path, rule in _select(node, "workers", _EACH, "realms", _EACH, "roles", _EACH, "permissions", _EACH):
        problems.extend(_flat_permission(path, rule))
        problems.extend(_starred_uri(path, rule))
    for path, store in _select(node, "workers", _EACH, "realms", _EACH, "store"):
        problems.extend(_store_limit(path, store))
    for path, endpoint in _select(node, "workers", _EACH, "transports", _EACH, "endpoint"):
        problems.extend(_port_variable(path, endpoint, environment))
    for path, service in _select(node, "workers", _EACH, "transports", _EACH, "paths", _EACH):
        problems.extend(_pusher(path, service))
        if service.get("type") == "websocket":
            problems.extend(_serializers(path, service))
    for steps in _WEB_PATHS:
        for path, options in _select(node, *steps, _EACH, "options"):
            problems.extend(secret_variables(path, options, environment))
    for path, transport in _select(node, "workers", _EACH, "transports", _EACH):
        for inner, auth in _auth_blocks(path, transport):
            problems.extend(secret_variables(inner, auth, environment))
            if auth.get("cookie") == {}:
                # All that Crossbar.io asks for.
                auth["cookie"] = {"type": "static"}
    return node, problems


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


def _store_limit(path: Path, store: dict[str, Any]) -> Iterator[Problem]:
    """Give the limit of a whole store to those of its lists' items that have none."""
    if "limit" not in store:
        return
    limit = store.pop("limit")
    for key in ("event-history", "call-queue"):
        for _, item in _select(store, key, _EACH):
            item.setdefault("limit", limit)
    yield warning((*path, "limit"), 'an old form: write "limit" into each item of the store\'s lists')


def _port_variable(path: Path, endpoint: dict[str, Any], environment: Mapping[str, str]) -> Iterator[Problem]:
    port = endpoint.get("port")
    if not isinstance(port, str) or not port.startswith("$"):
        return
    text = environment.get(port[1:], "")
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_PORT:
        endpoint["port"] = int(text)
        return
    endpoint["port"] = 0
    found = f"is {quote(text)}" if port[1:] in environment else "is not set"
    yield error(
        (*path, "port"), f"the environment variable {port[1:]} {found}: set it to a port from 0 to 65535"
    )


def _pusher(path: Path, service: dict[str, Any]) -> Iterator[Problem]:
    if service.get("type") == "pusher":
        service["type"] = "publisher"
        yield warning((*path, "type"), '"pusher" is an old name: write "type": "publisher"')


def _auth_blocks(path: Path, value: object) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Find the `auth` of a transport and of whatever stands inside it."""
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key == "auth" and isinstance(item, dict):
            yield (*path, key), item
        elif key != "config":
            yield from _auth_blocks((*path, key), item)


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
        yield warning((*path, "serializers"), f"{names}: not supported, and not planned: left out")


def _is_crossbars(name: object) -> bool:
    return isinstance(name, str) and name.removesuffix(".batched") in ("ubjson", "flatbuffers")
