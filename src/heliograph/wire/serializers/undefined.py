"""JavaScript's `undefined`, which its libraries write into MessagePack and CBOR.

An optional argument that nobody gave arrives so, as in `{match: undefined}`. What is done with it is what JSON does,
where the same clients send the same objects: an entry of a dictionary is left out, an element of a list is null.
"""

from typing import Any

from heliograph.wamp.containers import ContainerCount


def without_undefined(value: Any, undefined: object) -> Any:
    """Return `value` with `undefined` left out of dictionaries and null in place of it elsewhere.

    Raises:
        PayloadError: there are too many lists and dictionaries in it.
    """
    return _without(value, undefined, ContainerCount())


def _without(value: Any, undefined: object, count: ContainerCount) -> Any:
    if value is undefined:
        return None
    if isinstance(value, dict):
        count.add()
        return {key: _without(item, undefined, count) for key, item in value.items() if item is not undefined}
    if isinstance(value, list | tuple):
        count.add()
        return [_without(item, undefined, count) for item in value]
    return value
