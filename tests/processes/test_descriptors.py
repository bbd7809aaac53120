"""What is known of this process's descriptors."""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

from heliograph.processes import descriptors
from heliograph.processes.descriptors import Descriptors, raise_descriptor_limit
from heliograph.processes.parent import parent_is_gone


@pytest.fixture(autouse=True)
def _limit_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(descriptors, "_before_raising", None)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def set_soft(limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def test_only_the_reserve_is_left_when_every_number_below_it_is_taken() -> None:
    set_soft(200)
    known = Descriptors()
    assert (known.limit, known.reserve) == (200, 50)
    with contextlib.ExitStack() as stack:
        taken = -1
        while taken < 200 - 50 - 1:
            assert not known.is_only_reserve_left()
            taken = os.dup(0)
            stack.callback(os.close, taken)
        assert known.is_only_reserve_left()
        os.close(100)
        assert not known.is_only_reserve_left()
        os.dup2(taken, 100)


def test_it_is_told_too_when_none_is_left_at_all() -> None:
    set_soft(100)
    known = Descriptors()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            while True:
                stack.callback(os.close, os.dup(0))
        assert known.is_only_reserve_left()
    assert not known.is_only_reserve_left()


def test_a_limit_is_raised_as_far_as_it_may_be_and_never_lowered() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    set_soft(100)
    raise_descriptor_limit(300)
    assert descriptors.descriptor_limit() == 300
    raise_descriptor_limit(200)
    assert descriptors.descriptor_limit() == 300
    if hard != resource.RLIM_INFINITY:
        raise_descriptor_limit(hard + 1)
        assert descriptors.descriptor_limit() == hard


def test_where_there_is_no_such_limit_nothing_is_refused() -> None:
    program = """
import sys
sys.modules["resource"] = None  # as on Windows
from heliograph.processes.descriptors import *
raise_descriptor_limit(10**6)
give_back_descriptor_limit(1)
known = Descriptors()
assert (known.limit, known.is_only_reserve_left()) == (None, False)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)


def test_the_pipe_of_a_parent_may_have_a_number_that_select_does_not_take() -> None:
    set_soft(3000)
    reading, writing = os.pipe()
    os.dup2(reading, 2000)
    try:
        assert not parent_is_gone(2000)
        os.close(writing)
        assert parent_is_gone(2000)
    finally:
        os.close(2000)
        os.close(reading)
