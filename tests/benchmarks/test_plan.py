"""Asking every question tells how far it is."""

from benchmarks.plan import FULL, QUICK, Plan, Progress
from benchmarks.questions import QUESTIONS


def test_every_question_is_planned() -> None:
    assert list(FULL) == list(QUESTIONS)
    assert QUICK.keys() == FULL.keys()


def test_what_is_left_is_as_slow_as_what_is_done() -> None:
    now_s = 0.0
    progress = Progress({"rpc": Plan(1), "post": Plan(2), "memory": Plan(3)}, lambda: now_s)

    assert progress.next("rpc") == "question 1 of 3 after 0 minutes, about 6 to go"
    now_s = 120.0
    assert progress.next("post") == "question 2 of 3 after 2 minutes, about 10 to go"
