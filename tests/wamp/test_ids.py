"""Numbers that a client chose, as keys of tables."""

from collections.abc import Iterable

from heliograph.wamp.ids import MAX_ID, scattered

PLACES = 1 << 15
MEETING = [number << 16 for number in range(1, 1_001)]
"""A table of so many places has all of them in one."""


def places(keys: Iterable[object]) -> int:
    return len({hash(key) % PLACES for key in keys})


class TestScattered:
    def test_numbers_that_meet_in_a_table_do_not_meet_any_more(self) -> None:
        assert places(MEETING) == 1
        assert places(map(scattered, MEETING)) > 900

    def test_no_two_numbers_become_one(self) -> None:
        numbers = [*MEETING, *range(1_000), MAX_ID, MAX_ID - 1]
        assert len(set(map(scattered, numbers))) == len(set(numbers))
