"""Who of the subscribers receives: black- and white-lists of a publication.

"An (authorized) *Subscriber* to topic T will receive an event published to T if and only if" it is in every white-list
and in no black-list (specification, "Subscriber Black- and Whitelisting"). An empty white-list names nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from heliograph.wamp.messages import PublishOptions

if TYPE_CHECKING:
    from heliograph.routing.session import Session


Item = TypeVar("Item")


class ReceiverFilter:
    """The lists of one publication.

    Args:
        options: of PUBLISH.
    """

    __slots__ = ("_authids", "_authroles", "_not_authids", "_not_authroles", "_not_sessions", "_sessions")

    def __init__(self, options: PublishOptions) -> None:
        self._sessions = _set(options.eligible)
        self._authids = _set(options.eligible_authid)
        self._authroles = _set(options.eligible_authrole)
        self._not_sessions = _set(options.exclude)
        self._not_authids = _set(options.exclude_authid)
        self._not_authroles = _set(options.exclude_authrole)

    @property
    def names_sessions(self) -> bool:
        """Whether the lists speak of sessions, which mean nothing to whoever joins later."""
        return self._sessions is not None or bool(self._not_sessions)

    def admits(self, session: Session) -> bool:
        """Return whether `session` may receive."""
        principal = session.principal
        return (
            _admits(session.id, self._sessions, self._not_sessions)
            and _admits(principal.authid, self._authids, self._not_authids)
            and _admits(principal.authrole, self._authroles, self._not_authroles)
        )


def receiver_filter(options: PublishOptions) -> ReceiverFilter | None:
    """Return the filter that `options` ask for, None when there is no list in them."""
    # Written out, because every publication comes by here and next to none has a list.
    if (
        options.exclude is None
        and options.exclude_authid is None
        and options.exclude_authrole is None
        and options.eligible is None
        and options.eligible_authid is None
        and options.eligible_authrole is None
    ):
        return None
    return ReceiverFilter(options)


def _set(items: list[Item] | None) -> frozenset[Item] | None:
    return None if items is None else frozenset(items)


def _admits(item: Item, allowed: frozenset[Item] | None, refused: frozenset[Item] | None) -> bool:
    return (allowed is None or item in allowed) and (refused is None or item not in refused)
