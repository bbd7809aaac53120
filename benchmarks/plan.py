"""How every question is asked one after the other, and how far that is."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Plan(NamedTuple):
    """How a question is asked when all are.

    Attributes:
        minutes: what that takes on a quiet machine with every peer there.
        options: of the command line.
    """

    minutes: float
    options: Sequence[str] = ()


FULL: dict[str, Plan] = {
    "fanout": Plan(4, ["--seconds", "2"]),
    "formats": Plan(0.8, ["--seconds", "1.5"]),
    "patterns": Plan(1.5, ["--seconds", "1"]),
    "post": Plan(0.8, ["--seconds", "2"]),
    "latency": Plan(1, ["--seconds", "4"]),
    "rpc": Plan(1, ["--seconds", "2"]),
    "connect": Plan(2.2, ["--seconds", "2"]),
    "memory": Plan(2.8),
    "startup": Plan(1.3),
    "publish-api": Plan(1.2, ["--seconds", "2"]),
    "busy-site": Plan(3, ["--seconds", "3"]),
    "slow-reader": Plan(3.8, ["--rounds", "1", "--peers", "heliograph"]),
    "growth": Plan(1.2, ["--rounds", "1", "--seconds", "1"]),
    "hostile": Plan(1.5, ["--rounds", "1"]),
}

# Behind those above, for a look.
QUICK: dict[str, Plan] = {
    **{question: Plan(0.4, ["--rounds", "1", "--seconds", "1"]) for question in FULL},
    "fanout": Plan(1, ["--rounds", "1", "--seconds", "1"]),
    "memory": Plan(0.6, ["--rounds", "1", "--connections", "1000"]),
    "busy-site": Plan(0.5, ["--rounds", "1", "--seconds", "1", "--stretches", "2"]),
    "slow-reader": Plan(1, ["--stalled-seconds", "15"]),
    "hostile": Plan(0.7, ["--scale", "0.1"]),
    "growth": Plan(0.5, ["--rounds", "1", "--seconds", "0.5", "--subscribers", "10", "100", "1000"]),
}


class Progress:
    """How far asking every question is, and how long it still takes.

    Args:
        plans: question → what is planned, in the order of their turns.
        clock: returns seconds.
    """

    def __init__(self, plans: Mapping[str, Plan], clock: Callable[[], float] = time.monotonic) -> None:
        self._plans = plans
        self._clock = clock
        self._begun = clock()

    def minutes(self) -> float:
        """Return how long it has taken."""
        return (self._clock() - self._begun) / 60

    def next(self, question: str) -> str:
        """Return how far it is before `question`; what is left is taken to be as slow as what is done was."""
        place = list(self._plans).index(question)
        planned = [plan.minutes for plan in self._plans.values()]
        done = sum(planned[:place])
        pace = self.minutes() / done if done else 1.0
        return (
            f"question {place + 1} of {len(planned)} after {self.minutes():.0f} minutes, "
            f"about {sum(planned[place:]) * pace:.0f} to go"
        )
