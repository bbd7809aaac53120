"""What becomes of events for a receiver that is behind, where it is not disconnected."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

EventKey = tuple[int, str | None]
"""What makes events follow each other: the subscription and, where it is to a pattern, the topic."""

KeyOf = Callable[[bytes], EventKey | None]
"""Returns the key of an event's frame, None for an answer's."""


TOPIC_BYTES = 256
"""What the place of a topic takes beside its event; tiny events would else take ten times as much as the limit."""

FEW_TOPICS = 16
"""Topics of which the events may wait in any case."""


class Fitting(NamedTuple):
    """What of an outbox a receiver is still sent.

    Attributes:
        frames: in their order.
        dropped: how many events are not among them.
        are_answers_too_many: whether the answers alone are more than it may hold.
    """

    frames: list[bytes]
    dropped: int
    are_answers_too_many: bool


def without_newest(outbox: Sequence[bytes], key_of: KeyOf, *, room: int, answers_room: int) -> Fitting:
    """Return an outbox without the events that do not fit.

    Args:
        outbox: what was to be sent.
        key_of: tells events from answers.
        room: bytes the receiver may still hold; below 0 when it holds too many already.
        answers_room: bytes of answers it may hold beyond that: whoever is at its limit with events asks on.
    """
    are_events = [key_of(frame) is not None for frame in outbox]
    answers = sum(len(frame) for frame, is_event in zip(outbox, are_events, strict=True) if not is_event)
    if answers > room + answers_room:
        return Fitting([], 0, are_answers_too_many=True)
    room -= answers
    fitting: list[bytes] = []
    for frame, is_event in zip(outbox, are_events, strict=True):
        if is_event:
            if len(frame) > room:
                continue
            room -= len(frame)
        fitting.append(frame)
    return Fitting(fitting, len(outbox) - len(fitting), are_answers_too_many=False)


class Conflation:
    """Holds the newest event of each topic, and every answer, for a receiver that is behind.

    A newer event takes the place of the one it replaces, so topics keep the order in which they first came.

    Args:
        limit_bytes: what may wait.

    Attributes:
        replaced: events that a newer one has taken the place of.
        dropped: events for which there was no room: of further topics, or longer than those they would replace.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._most_topics = max(FEW_TOPICS, limit_bytes // TOPIC_BYTES)
        self._frames: dict[EventKey | int, bytes] = {}
        self._size = 0
        self._answers = 0
        self._answers_size = 0
        self.replaced = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frames: Iterable[bytes], key_of: KeyOf) -> bool:
        """Take what was to be sent; return False when the answers alone are more than may wait."""
        for frame in frames:
            key = key_of(frame)
            if key is None:
                self._answers += 1
                self._answers_size += len(frame)
                if self._answers_size > self._limit_bytes:
                    return False
                self._frames[self._answers] = frame
                self._size += len(frame)
            else:
                self._add_event(key, frame)
        return True

    def _add_event(self, key: EventKey, frame: bytes) -> None:
        before = self._frames.get(key)
        grows = len(frame) - (0 if before is None else len(before))
        others = len(self._frames) - (before is not None)
        # One event may be longer than the limit where nothing else waits, or it could never be sent.
        is_full = self._size + grows > self._limit_bytes
        if before is None:
            is_full = is_full or others >= self._most_topics
        if grows > 0 and others and is_full:
            self.dropped += 1
            return
        if before is not None:
            self.replaced += 1
        self._frames[key] = frame
        self._size += grows

    def take(self, room: int) -> list[bytes]:
        """Return what waits longest and fits into `room` bytes, but at least one frame when there is any room."""
        taken: list[bytes] = []
        for key in list(self._frames):
            size = len(self._frames[key])
            if size > room and (taken or room <= 0):
                break
            room -= size
            self._size -= size
            if isinstance(key, int):
                self._answers_size -= size
            taken.append(self._frames.pop(key))
        return taken

    def take_all(self) -> list[bytes]:
        """Return all that waits."""
        frames = list(self._frames.values())
        self._frames.clear()
        return frames
