"""Methods of a class that say which procedure or topic they are for."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from heliograph.wamp.messages import Invoke
from heliograph.wamp.uris import Match

Method = TypeVar("Method", bound=Callable[..., Any])

_MARK = "__wamp_declarations__"


class Declaration(NamedTuple):
    """What a method is for: a procedure that it answers, or a topic whose events it takes."""

    role: Literal["procedure", "topic"]
    uri: str
    match: Match
    options: Mapping[str, Any]


def procedure(
    uri: str,
    match: Match = "exact",
    *,
    invoke: Invoke = "single",
    concurrency: int | None = None,
    disclose_caller: bool = False,
    force_reregister: bool = False,
) -> Callable[[Method], Method]:
    """Say that a method answers calls of a procedure, once `session.add` is given its object.

        class Calculator:
            @procedure("com.example.add")
            async def add(self, first: int, second: int) -> int:
                return first + second

    Args:
        uri: its URI, or a pattern when `match` is not `exact`; behind the prefix that `session.add` is given.
        match: `exact`, `prefix` or `wildcard`.
        invoke: as `session.register` takes it.
        concurrency: as `session.register` takes it.
        disclose_caller: as `session.register` takes it.
        force_reregister: as `session.register` takes it.
    """
    options = {
        "invoke": invoke,
        "concurrency": concurrency,
        "disclose_caller": disclose_caller,
        "force_reregister": force_reregister,
    }
    return _marked(Declaration("procedure", uri, match, options))


def topic(
    uri: str,
    match: Match = "exact",
    *,
    get_retained: bool = False,
    max_queued_events: int | None = None,
) -> Callable[[Method], Method]:
    """Say that a method takes the events of a topic, once `session.add` is given its object.

    Args:
        uri: a topic, or a pattern when `match` is not `exact`; behind the prefix that `session.add` is given.
        match: `exact`, `prefix` or `wildcard`.
        get_retained: as `session.subscribe` takes it.
        max_queued_events: as `session.subscribe` takes it.
    """
    options = {"get_retained": get_retained, "max_queued_events": max_queued_events}
    return _marked(Declaration("topic", uri, match, options))


def _marked(declaration: Declaration) -> Callable[[Method], Method]:
    def mark(method: Method) -> Method:
        if not callable(method):
            raise TypeError(f"{declaration.uri}: {method!r} cannot be called")
        declarations = [*getattr(method, _MARK, ()), declaration]
        setattr(method, _MARK, declarations)
        return method

    return mark


def declarations(instance: object) -> Iterator[tuple[Callable[..., Any], Declaration]]:
    """Yield the methods of `instance` that say what they are for, as often as they say it.

    A method that overrides one is for what it says itself; where it says nothing, for what the other said.

    Raises:
        TypeError: no method says anything.
    """
    if inspect.isclass(instance):
        raise TypeError(f"{instance.__name__} is a class: make an object of it first")
    found = False
    for name in _names(type(instance)):
        for declaration in _said(type(instance), name):
            found = True
            yield getattr(instance, name), declaration
    if not found:
        raise TypeError(f"no method of {type(instance).__name__} is marked @procedure or @topic")


def _names(kind: type) -> list[str]:
    # In the order in which they are written, those of bases first.
    return list(dict.fromkeys(name for each in reversed(kind.__mro__) for name in vars(each)))


def _said(kind: type, name: str) -> list[Declaration]:
    for each in kind.__mro__:
        member = vars(each).get(name)
        # A static or class method may be marked above or below its own decorator.
        for marked in (member, getattr(member, "__func__", None)):
            said = getattr(marked, _MARK, None)
            if isinstance(said, list):
                return said
    return []
