"""Autobahn|Testsuite against the echo server on the router's WebSocket layer."""

import fnmatch
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import autobahn_testsuite
from tests.conformance.autobahn_testsuite import Result
from tests.support.nodes import echo_process

Report = dict[str, Result]

SECTIONS = {
    "1": ("framing", 16),
    "2": ("pings and pongs", 11),
    "3": ("reserved bits", 7),
    "4": ("opcodes", 10),
    "5": ("fragmentation", 20),
    "6": ("UTF-8", 145),
    "7": ("closing", 37),
    "10": ("automatic fragmentation", 1),
}
LONG_SECTIONS = {
    "9": ("limits and performance", 54),
    "12": ("permessage-deflate", 90),
    "13": ("permessage-deflate with parameters", 126),
}

NON_STRICT = {
    "6.4.*": "bad UTF-8 is told when its message is complete, not before",
}
"""Cases that may be answered otherwise than the suite prefers, and why."""

INFORMATIONAL = {
    "7.1.6": "a large message right before CLOSE: whether it is still echoed is left open",
    "7.13.*": "close codes above 4999: what is answered is left open",
}


@pytest.fixture(scope="module")
def wstest() -> Path:
    try:
        return autobahn_testsuite.ensure_environment()
    except autobahn_testsuite.Unavailable as reason:
        pytest.skip(str(reason))


def run(wstest: Path, sections: Iterator[str], directory: Path, *, timeout_s: float) -> Report:
    with echo_process(directory) as (host, port):
        cases = [f"{section}.*" for section in sections]
        return autobahn_testsuite.run(wstest, f"ws://{host}:{port}", cases, directory, timeout_s=timeout_s)


@pytest.fixture(scope="module")
def report(wstest: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run(wstest, iter(SECTIONS), tmp_path_factory.mktemp("autobahn"), timeout_s=120)


@pytest.fixture(scope="module")
def long_report(wstest: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run(wstest, iter(LONG_SECTIONS), tmp_path_factory.mktemp("autobahn"), timeout_s=3 * 3600)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: f"{section}-{SECTIONS[section][0]}")
def test_no_case_fails(report: Report, section: str) -> None:
    judge(report, section, SECTIONS[section][1])


@pytest.mark.soak
@pytest.mark.parametrize(
    "section", LONG_SECTIONS, ids=lambda section: f"{section}-{LONG_SECTIONS[section][0]}"
)
def test_no_long_case_fails(long_report: Report, section: str) -> None:
    judge(long_report, section, LONG_SECTIONS[section][1])


def judge(report: Report, section: str, expected: int) -> None:
    """Fail unless all cases of a section were run, and all are right or among those that may be otherwise."""
    cases = {name: result for name, result in report.items() if name.startswith(f"{section}.")}
    otherwise = {name: result for name, result in cases.items() if result != Result("OK", "OK")}
    for name, result in otherwise.items():
        print(f"{name}: {result.behaviour}, closing {result.closing}: {_reason(name, result)}")

    assert len(cases) == expected
    assert {name: result for name, result in otherwise.items() if _reason(name, result) is None} == {}


def _reason(name: str, result: Result) -> str | None:
    """Return why a case may have this result, None when it may not."""
    allowed = {
        Result("NON-STRICT", "OK"): NON_STRICT,
        Result("INFORMATIONAL", "INFORMATIONAL"): INFORMATIONAL,
    }.get(result, {})
    return next((why for pattern, why in allowed.items() if fnmatch.fnmatch(name, pattern)), None)
