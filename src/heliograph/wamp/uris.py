"""URIs of realms, topics, procedures and errors (specification, "URIs").

Loose rules: components separated by dots, holding no white space, dot or `#`. Strict rules: components of
lower-case letters, digits and underscore. Three forms: exact (no empty component), prefix (the last one may be
empty) and wildcard (any may be empty).
"""

import re
from typing import Literal, get_args

from heliograph.wamp.errors import INVALID_URI, RequestError

Match = Literal["exact", "prefix", "wildcard"]

MATCHES: tuple[Match, ...] = get_args(Match)
"""All ways to match, in the order in which they are listed."""

MAX_URI_BYTES = 1024
"""Longer URIs are refused: they are keys of tables that outlive the message."""

MAX_PATTERN_COMPONENTS = 32
"""Wildcard patterns of more are refused: each is compared component by component."""

_LOOSE = r"[^\s.#]"
_STRICT = r"[0-9a-z_]"


def _forms(character: str) -> dict[Match, re.Pattern[str]]:
    return {
        "exact": re.compile(rf"{character}+(?:\.{character}+)*\Z"),
        "prefix": re.compile(rf"(?:{character}+\.)*{character}*\Z"),
        "wildcard": re.compile(rf"{character}*(?:\.{character}*)*\Z"),
    }


LOOSE = _forms(_LOOSE)
STRICT = _forms(_STRICT)


class UriCheck:
    """Checks URIs by the loose or strict rules, remembering a bounded number of good ones.

    Args:
        strict: use the strict rules.
        remembered: how many exact URIs are kept as known to be good.
    """

    __slots__ = ("_forms", "_good", "_remembered")

    def __init__(self, *, strict: bool = False, remembered: int = 4096) -> None:
        self._forms = STRICT if strict else LOOSE
        self._good: set[str] = set()
        self._remembered = remembered

    def __call__(self, uri: str, match: Match = "exact") -> None:
        """Raise `RequestError` with `wamp.error.invalid_uri` unless `uri` is good for `match`."""
        if match == "exact" and uri in self._good:
            return
        if len(uri) > MAX_URI_BYTES or len(uri.encode(errors="surrogatepass")) > MAX_URI_BYTES:
            raise RequestError(INVALID_URI, f"a URI may have at most {MAX_URI_BYTES} bytes")
        if match == "wildcard" and uri.count(".") >= MAX_PATTERN_COMPONENTS:
            raise RequestError(
                INVALID_URI, f"a wildcard pattern may have at most {MAX_PATTERN_COMPONENTS} components"
            )
        if not self._forms[match].match(uri):
            raise RequestError(INVALID_URI, f"{uri!r} is not a valid URI (match: {match})")
        if match == "exact":
            if len(self._good) >= self._remembered:
                self._good.clear()
            self._good.add(uri)


def matches_reserved(pattern: str, match: Match) -> bool:
    """Return whether a pattern matches URIs that belong to the router, which begin with `wamp.`."""
    if match == "exact":
        return is_reserved(pattern)
    if match == "prefix":
        return pattern.startswith("wamp.") or "wamp.".startswith(pattern)
    return pattern.partition(".")[0] in ("", "wamp")


def is_reserved(uri: str) -> bool:
    """Return whether `uri` belongs to the router: its first component is `wamp`."""
    return uri.startswith("wamp.") or uri == "wamp"
