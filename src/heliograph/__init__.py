"""Heliograph: one message, flashed to everybody who is watching."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliograph.client.publisher import Publisher

__version__ = "0.1.0"

__all__ = ["Publisher", "__version__"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: every room imports this package, few of them publish over HTTP.
    if name == "Publisher":
        from heliograph.client.publisher import Publisher

        return Publisher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
