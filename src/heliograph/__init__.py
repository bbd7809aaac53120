"""Heliograph: one message, flashed to everybody who is watching."""

TYPE_CHECKING = (
    False  # not from `typing`: `python -m heliograph` imports this with the current directory first
)

if TYPE_CHECKING:
    from typing import Any

    from heliograph.client.publisher import Publisher

__version__ = "0.1.0"

__all__ = ["Publisher", "__version__"]


def __getattr__(name: str) -> "Any":
    # Imported when asked for: every room imports this package, few of them publish over HTTP.
    if name == "Publisher":
        from heliograph.client.publisher import Publisher

        return Publisher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def leave_current_directory() -> None:
    """Look for no module in the current directory, where `python -m` puts it before everywhere else.

    For programs; called before they import anything. What stands there by the name `heliograph` has been found by then:
    only `python -P -m` looks for nothing there.
    """
    import os
    import sys

    if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
        del sys.path[0]


def open_standard_streams() -> None:
    """Open the null device where a standard stream was closed when the process was started, as `2>&-` does it.

    For programs; called before they open anything. Otherwise the next socket or pipe gets the number of the stream:
    what a library in C prints goes to a client then, and a child that is given such a pipe finds its own stream there.
    """
    import os

    highest = 2
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= highest:
        pass
    os.close(descriptor)
