"""Who of the subscribers receives: black- and white-lists of a publication.

"An (authorized) *Subscriber* to topic T will receive an event published to T if and only if" it is in every white-list
and in no black-list (specification, "Subscriber Black- and Whitelisting"). An empty white-list names nobody.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from heliograph.auth.options import MAX_AUTHID_LENGTH
from heliograph.wamp.errors import INVALID_ARGUMENT, RequestError
from heliograph.wamp.ids import scattered
from heliograph.wamp.messages import PublishOptions

if TYPE_CHECKING:
    from heliograph.routing.session import Session

LISTED_LIMIT = 4096
"""Sessions, authids or authroles that one list of a publication may name."""

ITEM_BYTES = 128
"""About what one item of a list takes in memory, beside its text."""

_LISTS = ("exclude", "exclude_authid", "exclude_authrole", "eligible", "eligible_authid", "eligible_authrole")

Item = TypeVar("Item")


class ReceiverFilter:
    """The lists of one publication.

    Args:
        options: of PUBLISH.
    """

    __slots__ = ("_authids", "_authroles", "_not_authids", "_not_authroles", "_not_sessions", "_sessions")

    def __init__(self, options: PublishOptions) -> None:
        self._sessions = _scattered(options.eligible)
        self._authids = _set(options.eligible_authid)
        self._authroles = _set(options.eligible_authrole)
        self._not_sessions = _scattered(options.exclude)
        self._not_authids = _set(options.exclude_authid)
        self._not_authroles = _set(options.exclude_authrole)

    @property
    def size_bytes(self) -> int:
        """About how many bytes the lists take in memory."""
        texts = (self._authids, self._authroles, self._not_authids, self._not_authroles)
        numbers = (self._sessions, self._not_sessions)
        items = sum(len(listed) for listed in (*texts, *numbers) if listed is not None)
        return ITEM_BYTES * items + sum(
            sys.getsizeof(text) for listed in texts if listed is not None for text in listed
        )

    @property
    def names_sessions(self) -> bool:
        """Whether the lists speak of sessions, which mean nothing to whoever joins later."""
        return self._sessions is not None or bool(self._not_sessions)

    def admits(self, session: Session) -> bool:
        """Return whether `session` may receive."""
        principal = session.principal
        return (
            self._admits_id(session.id)
            and _admits(principal.authid, self._authids, self._not_authids)
            and _admits(principal.authrole, self._authroles, self._not_authroles)
        )

    def _admits_id(self, session_id: int) -> bool:
        allowed, refused = self._sessions, self._not_sessions
        if allowed is None and refused is None:
            return True
        return _admits(scattered(session_id), allowed, refused)


def names_receivers(options: PublishOptions) -> bool:
    """Return whether there is a list in `options`."""
    # Written out, because every publication comes by here and next to none has a list.
    return not (
        options.exclude is None
        and options.exclude_authid is None
        and options.exclude_authrole is None
        and options.eligible is None
        and options.eligible_authid is None
        and options.eligible_authrole is None
    )


def receiver_filter(options: PublishOptions) -> ReceiverFilter | None:
    """Return the filter that `options` ask for, None when there is no list in them."""
    return ReceiverFilter(options) if names_receivers(options) else None


def check_receivers(options: PublishOptions) -> None:
    """Raise `RequestError` for lists that are too long, or that name what nobody can be."""
    if not names_receivers(options):
        return
    for name in _LISTS:
        listed = getattr(options, name) or ()
        if len(listed) > LISTED_LIMIT:
            raise RequestError(INVALID_ARGUMENT, f"{name} may name at most {LISTED_LIMIT}")
        if any(isinstance(item, str) and len(item) > MAX_AUTHID_LENGTH for item in listed):
            raise RequestError(INVALID_ARGUMENT, f"{name}: a name has at most {MAX_AUTHID_LENGTH} characters")


def _set(items: list[Item] | None) -> frozenset[Item] | None:
    return None if items is None else frozenset(items)


def _scattered(ids: list[int] | None) -> frozenset[int] | None:
    return None if ids is None else frozenset(map(scattered, ids))


def _admits(item: Item, allowed: frozenset[Item] | None, refused: frozenset[Item] | None) -> bool:
    return (allowed is None or item in allowed) and (refused is None or item not in refused)
