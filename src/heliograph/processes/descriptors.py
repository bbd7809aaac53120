"""How many descriptors this process may have open: raised at its start, and never used up by connections."""

import contextlib
import os

RESERVE = 64
"""Descriptors kept for what is no connection of a client: static files, applications, the log of a child."""

_before_raising: int | None = None
_duplicated: int | None = None


def descriptor_limit() -> int | None:
    """Return how many descriptors this process may have open; None where the system sets no limit (or is Windows)."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def reserve_of(limit: int) -> int:
    """Return how many of `limit` descriptors are not for connections."""
    return min(RESERVE, limit // 4)


def raise_descriptor_limit(wanted: int) -> None:
    """Raise the limit of this process to `wanted`, or as far as it may; a higher one stays.

    Children get the limit back that this process was started with, where the system can do that (Linux): a program that
    uses `select` fails with descriptors above 1,023, and some close every number there may be.
    """
    global _before_raising  # the limit is the process's, as this is
    limit = descriptor_limit()
    if limit is None or limit >= wanted:
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    while most > limit:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            most //= 2  # a system may allow less than the hard limit it tells (macOS)
            continue
        _before_raising = limit if _before_raising is None else _before_raising
        return


def give_back_descriptor_limit(pid: int) -> None:
    """Give a child the limit that this process was started with."""
    if _before_raising is None:
        return
    import resource

    with contextlib.suppress(AttributeError, ProcessLookupError, PermissionError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (_before_raising, hard))


class Places:
    """A bounded number of places.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def take(self) -> bool:
        """Take a place; return False when none is free."""
        if self._taken >= self._most:
            return False
        self._taken += 1
        return True

    def give_back(self) -> None:
        """Make a place free again."""
        self._taken -= 1


class Descriptors:
    """Tells when connections have used all descriptors but a reserve.

    Attributes:
        limit: how many this process may have open; None without a limit.
        reserve: how many of them are not for connections.
        lent: places for refused connections that take one of the reserve for a moment; the rest stays for what is no
            connection.
    """

    def __init__(self) -> None:
        self.limit = descriptor_limit()
        self._duplicated = _some_descriptor()
        self.reserve = 0 if self.limit is None else reserve_of(self.limit)
        self.lent = Places(self.reserve // 4)

    def is_only_reserve_left(self) -> bool:
        """Tell whether all descriptors but the reserve are in use."""
        if self.limit is None:
            return False
        # POSIX gives out the lowest free number (open, 2.14), so its number tells how many are left.
        try:
            lowest_free = os.dup(self._duplicated)
        except OSError:  # not one is left, to this process or the whole system
            return True
        os.close(lowest_free)
        return lowest_free >= self.limit - self.reserve


def _some_descriptor() -> int:
    global _duplicated  # one for the process, which always has it
    if _duplicated is None:
        _duplicated = os.open(os.devnull, os.O_RDONLY)
    return _duplicated
