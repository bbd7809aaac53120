"""The circuit breaker, on a clock of its own."""

from heliograph.django.breaker import CircuitBreaker


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_closed_breaker_allows_everything() -> None:
    breaker = CircuitBreaker(5.0, clock=Clock())
    assert all(breaker.allows() for _ in range(10))
    assert breaker.succeeded() is False


def test_after_a_failure_one_attempt_a_cool_down_is_allowed() -> None:
    clock = Clock()
    breaker = CircuitBreaker(5.0, clock=clock)
    assert breaker.failed() is True
    assert not breaker.allows()
    clock.now_s += 4.9
    assert not breaker.allows()
    clock.now_s += 0.1
    assert [breaker.allows(), breaker.allows()] == [True, False]
    assert breaker.failed() is False
    clock.now_s += 4.9
    assert not breaker.allows()


def test_a_successful_attempt_closes_it() -> None:
    clock = Clock()
    breaker = CircuitBreaker(5.0, clock=clock)
    breaker.failed()
    clock.now_s += 5.0
    assert breaker.allows()
    assert breaker.succeeded() is True
    assert all(breaker.allows() for _ in range(10))


def test_an_attempt_that_never_reports_blocks_nobody_for_ever() -> None:
    clock = Clock()
    breaker = CircuitBreaker(5.0, clock=clock)
    breaker.failed()
    clock.now_s += 5.0
    assert breaker.allows()
    clock.now_s += 5.0
    assert breaker.allows()
