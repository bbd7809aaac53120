"""A body of many events: a JSON array, or one event a line (NDJSON), answered with one list."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from heliograph.http.bridge import BridgeCounters, BridgeRequest, refusal
from heliograph.http.exchange import HttpError
from heliograph.routing.work import UNITS_A_MESSAGE
from heliograph.transports.turn import Turn

EVENTS_A_STEP = 32
"""Events published before others have their turn."""


class Publication(BridgeRequest, kw_only=True):
    """One event: `{"topic": "com.example.t", "args": [..], "kwargs": {..}, "options": {..}}`."""

    topic: str


Publish = Callable[[Publication], int | asyncio.Future[int]]
"""Publishes one event; returns its id or, where a decision has to be waited for, its future."""

Item = Publication | Exception
"""An event, or what is wrong with it."""

Found = TypeVar("Found")


class ManyReader:
    """Reads bodies of many events.

    Args:
        events_limit: events a body may hold.
    """

    def __init__(self, events_limit: int) -> None:
        self._events_limit = events_limit
        self._one = msgspec.json.Decoder(Publication)
        self._all = msgspec.json.Decoder(list[Publication])
        self._raw = msgspec.json.Decoder(list[msgspec.Raw])

    def array(self, body: bytes) -> Sequence[Item]:
        """Return the events of a JSON array.

        Raises:
            msgspec.DecodeError: it is not JSON.
            HttpError: 413, there are too many of them.
        """
        try:
            return self._few_enough(self._all.decode(body))
        except msgspec.ValidationError:
            return [self._item(raw) for raw in self._few_enough(self._raw.decode(body))]

    def lines(self, body: bytes) -> Sequence[Item]:
        """Return the events of as many lines; raises `HttpError` when there are too many of them."""
        try:
            return self._few_enough(self._one.decode_lines(body))
        except msgspec.MsgspecError:
            lines = [line for line in body.split(b"\n") if line.strip()]
            return [self._item(line) for line in self._few_enough(lines)]

    def _few_enough(self, items: list[Found]) -> list[Found]:
        if len(items) > self._events_limit:
            raise HttpError(413, f"a body may have at most {self._events_limit} events, not {len(items)}")
        return items

    def _item(self, piece: bytes | msgspec.Raw) -> Item:
        try:
            return self._one.decode(piece)
        except (msgspec.MsgspecError, RecursionError) as error:
            return error


class ManyPublications:
    """Publishes the events of one body in their order, as many a turn as it has room for.

    Args:
        items: the events.
        publish: publishes one.
        turn: the current turn.
        counters: where events are counted.
    """

    def __init__(self, items: Sequence[Item], publish: Publish, turn: Turn, counters: BridgeCounters) -> None:
        self._items = items
        self._done = 0
        self._publish = publish
        self._turn = turn
        self._counters = counters
        self._acknowledgements: list[bytes] = []
        self._undecided: asyncio.Future[int] | None = None

    def step(self) -> bytes | asyncio.Future[int] | None:
        """Publish some; return the list of acknowledgements behind the last one."""
        if self._undecided is not None:
            self._acknowledge(self._undecided.exception() or self._undecided.result())
            self._undecided = None
        turn = self._turn
        for item in self._items[self._done : self._done + EVENTS_A_STEP]:
            outcome = self._begin(item)
            self._done += 1
            if isinstance(outcome, asyncio.Future):
                # What comes behind it waits, too: events have the order they have in the body.
                self._undecided = outcome
                return outcome
            self._acknowledge(outcome)
            turn.spend(UNITS_A_MESSAGE)
            if turn.is_exhausted:
                break
        if self._done < len(self._items):
            return None
        return b"[%b]" % b",".join(self._acknowledgements)

    def abandon(self) -> None:
        """Publish no more."""
        if self._undecided is not None:
            self._undecided.cancel()

    def _begin(self, item: Item) -> int | asyncio.Future[int] | Exception:
        if isinstance(item, Exception):
            return item
        try:
            return self._publish(item)
        except Exception as error:  # noqa: BLE001 - told in the list, or raised there
            return error

    def _acknowledge(self, outcome: int | BaseException) -> None:
        if isinstance(outcome, int):
            self._counters.events += 1
            self._acknowledgements.append(b'{"id":%d}' % outcome)
            return
        refused = refusal(outcome)
        if refused is None:
            raise outcome
        self._counters.events_refused += 1
        self._acknowledgements.append(refused.body)
