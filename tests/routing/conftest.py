import pytest

from tests.support.recording import Bench


@pytest.fixture
def bench() -> Bench:
    """A router with one open realm, ids 1001, 1002, …"""
    return Bench()
