"""What deciding about clients needs of the world outside: secrets in files, processes, browsers' cookies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from heliograph.auth.options import DynamicOptions, FunctionOptions, SecretFile
from heliograph.routing.options import SessionOptions

if TYPE_CHECKING:
    from heliograph.routing.authenticators.cookie import Cookies
    from heliograph.routing.router_caller import RouterCaller


def _no_files(secret: str | SecretFile) -> str:
    if isinstance(secret, SecretFile):
        raise TypeError("a secret in a file needs somebody who reads it")
    return secret


def _no_functions(_options: FunctionOptions) -> tuple[DynamicOptions, RouterCaller]:
    raise TypeError("a function needs somebody who starts its process")


class Outside(Struct, frozen=True, kw_only=True):
    """Handed to a router by whoever makes it.

    Attributes:
        read_secret: returns a secret that may stand in a file.
        ask_function: returns how to ask the process of a Python function, and who does.
        cookies: returns whom the cookies of a transport stand for; None where it has none.
    """

    read_secret: Callable[[str | SecretFile], str] = _no_files
    ask_function: Callable[[FunctionOptions], tuple[DynamicOptions, RouterCaller]] = _no_functions
    cookies: Callable[[SessionOptions], Cookies | None] = lambda _options: None


NOTHING_OUTSIDE = Outside()
