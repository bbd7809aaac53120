"""Names with `*` in them, as configurations write them."""

import re

ANYTHING = "*"


def compiled(pattern: str) -> re.Pattern[str]:
    """Return what matches a whole name like `pattern`, whose `*` stand for anything without a slash."""
    first, *others = (re.escape(part) for part in pattern.split(ANYTHING))
    if not others:
        return re.compile(rf"{first}\Z")
    *middle, last = others
    # What stands between two wildcards is found where it comes first, once and for all: tried anew for each place of
    # the other, an origin of 60 KB took two wildcards 6 seconds.
    found = "".join(f"(?>[^/]*?{part})" for part in middle)
    return re.compile(rf"{first}{found}[^/]*{last}\Z")
